"""What calls do with the switch's events: follow the channels, and the dials among them."""

import orjson

from eslbridge import signals
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from .dialling import Follower
from .live import Projection

_projections: dict[str, Projection] = {}
_followers: dict[str, Follower] = {}


def connect() -> None:
    signals.link_up.connect(_begin, dispatch_uid="calls stock")
    signals.compare.connect(_take_stock, dispatch_uid="calls compare")
    signals.channel_events.connect(_follow_dials, dispatch_uid="dials follow")
    signals.channel_events.connect(_follow_calls, dispatch_uid="calls follow")


def projection(switch_name: str) -> Projection:
    return _projections.setdefault(switch_name, Projection(switch_name))


def follower(switch_name: str) -> Follower:
    return _followers.setdefault(switch_name, Follower(switch_name))


def _begin(sender: object, switch: Switch, client: Client, **_: object) -> None:
    alive = _take_stock(sender, switch, client)
    follower(switch.name).take_stock(alive, switch.link_since)


def _take_stock(sender: object, switch: Switch, client: Client, **_: object) -> set[str]:
    rows = orjson.loads(client.api("show", "channels as json")).get("rows", [])
    known = projection(switch.name)
    known.take_stock(rows, lambda uuids: _existing(client, uuids))
    announce("calls")
    return set(known.legs)


def _existing(client: Client, uuids: list[str]) -> set[str]:
    answers = client.api_many([f"uuid_exists {uuid}" for uuid in uuids]) if uuids else []
    return {uuid for uuid, answer in zip(uuids, answers, strict=True) if answer.strip() == "true"}


def _follow_calls(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    projection(switch.name).follow(events)
    announce("calls")


def _follow_dials(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    follower(switch.name).follow(events)
