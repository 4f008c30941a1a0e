"""Makes what the tests of calls need in the database."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.utils import timezone

from agents.models import Agent
from calls.models import Dial
from eslbridge.models import Switch
from routes.models import Gateway, OutboundRoute

SWITCH = "switch-1"


def a_switch(**values: Any) -> Switch:
    """A connected switch whose worker lives."""
    values = {"link": Switch.Link.CONNECTED, "seen_at": timezone.now(), "domain": "127.0.0.1", **values}
    return Switch.objects.update_or_create(name=values.pop("name", SWITCH), defaults=values)[0]


def an_agent(extension: str = "1020", name: str = "Alice Martin", **values: Any) -> Agent:
    return Agent.objects.create(extension=extension, name=name, **values)


def an_outbound_route(**values: Any) -> OutboundRoute:
    """A route for every number, through the gateway carrier1, for who may call abroad or not."""
    gateway, _ = Gateway.objects.get_or_create(
        name="carrier1", defaults={"proxy": "127.0.0.1", "registers": False}
    )
    values = {"name": "everywhere", "match": "any", "toll_class": "domestic", "gateway": gateway, **values}
    return OutboundRoute.objects.create(**values)


def a_user(
    name: str = "alice", *, staff: bool = True, permissions: tuple[str, ...] = (), **values: Any
) -> Any:
    user = get_user_model().objects.create_user(name, password="secret", is_staff=staff, **values)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def a_dial(uuid: str, extension: str = "1000", **values: Any) -> Dial:
    """A dial whose originate was sent."""
    values = {
        "number": "1001",
        "state": Dial.State.SENT,
        "sent_at": timezone.now(),
        "switch": SWITCH,
        **values,
    }
    return Dial.objects.create(pk=uuid, extension=extension, **values)
