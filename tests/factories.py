"""Makes objects for tests, saved; each call gives another one unless it is told which."""

from itertools import count

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from eslbridge.models import Switch
from routes.models import InboundRoute

_extensions = count(2000)
_dids = count(5550100)
_names = count(1)


def make_switch(**fields: object) -> Switch:
    """A switch as a connected worker describes it; the one that the settings name, unless told otherwise."""
    known = {
        "name": settings.SWITCH_NAME,
        "host": settings.FS_HOST,
        "esl_port": settings.FS_ESL_PORT,
        "conf_dir": settings.FS_CONF_DIR,
        "domain": "127.0.0.1",
        "link": Switch.Link.CONNECTED,
        "seen_at": timezone.now(),
    }
    return Switch.objects.create(**{**known, **fields})


def make_agent(extension: str | int = "", **fields: object) -> Agent:
    number = str(extension or next(_extensions))
    return Agent.objects.create(**{"extension": number, "name": f"Agent {number}", **fields})


def make_route(agent: Agent | None = None, **fields: object) -> InboundRoute:
    did = f"+1949{next(_dids)}"
    return InboundRoute.objects.create(**{"did": did, "agent": agent or make_agent(), **fields})


def make_user(**fields: object) -> User:
    """A member of staff who may do everything."""
    name = f"user{next(_names)}"
    return User.objects.create_user(**{"username": name, "is_staff": True, "is_superuser": True, **fields})
