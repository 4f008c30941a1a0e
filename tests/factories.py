"""Makes objects for tests, saved; each call gives another one unless it is told which."""

from itertools import count

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from eslbridge.models import Switch
from routes.destinations import Destination
from routes.models import BusinessHours, Gateway, InboundRoute, OutboundRoute, RingGroup

_extensions = count(2000)
_dids = count(5550100)
_names = count(1)
_groups = count(6000)


# The files that every switch has, whatever the database holds.
ALWAYS = (
    "dialplan/00_patchbay.xml",
    "dialplan/default/00_patchbay_agents.xml",
    "dialplan/patchbay/00_emergency.xml",
)


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
    if "destination" not in fields:
        fields["destination"] = Destination.to(agent or make_agent())
    return InboundRoute.objects.create(**{"did": did, **fields})


def make_group(*members: Agent | str, **fields: object) -> RingGroup:
    """A ring group of these agents and numbers outside."""
    number = str(fields.pop("extension", "") or next(_groups))
    listed = [
        Destination("number", each) if isinstance(each, str) else Destination.to(each) for each in members
    ]
    return RingGroup.objects.create(
        **{"extension": number, "name": f"Group {number}", "members": listed, **fields}
    )


def make_hours(**fields: object) -> BusinessHours:
    """Monday to Friday from nine to five, in UTC."""
    days = dict.fromkeys(["monday", "tuesday", "wednesday", "thursday", "friday"], "09:00-17:00")
    return BusinessHours.objects.create(
        **{"name": f"Hours {next(_names)}", "time_zone": "UTC", **days, **fields}
    )


def make_gateway(name: str = "", **fields: object) -> Gateway:
    """A trunk that does not register."""
    known = {"proxy": "127.0.0.1:5099", "registers": False, "ping_seconds": 0}
    return Gateway.objects.create(**{"name": name or f"carrier{next(_names)}", **known, **fields})


def make_outbound(gateway: Gateway | None = None, **fields: object) -> OutboundRoute:
    """A route for numbers of North America, for who may call domestically."""
    known = {"name": f"Route {next(_names)}", "prefixes": "+1", "gateway": gateway or make_gateway()}
    return OutboundRoute.objects.create(**{**known, **fields})


def make_user(**fields: object) -> User:
    """A member of staff who may do everything."""
    name = f"user{next(_names)}"
    return User.objects.create_user(**{"username": name, "is_staff": True, "is_superuser": True, **fields})
