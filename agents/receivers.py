"""What agents do with the switch's events: follow who is registered."""

import logging

from eslbridge import signals
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from . import presence

log = logging.getLogger(__name__)
_complained: set[str] = set()


def connect() -> None:
    signals.link_up.connect(_take_stock, dispatch_uid="agents stock")
    signals.compare.connect(_take_stock, dispatch_uid="agents compare")
    signals.registration_events.connect(_follow, dispatch_uid="agents follow")


def _take_stock(sender: object, switch: Switch, client: Client, **_: object) -> None:
    try:
        presence.take_stock(switch, client.api(*presence.listing_command().split(" ", 1)))
        _complained.discard(switch.name)
    except presence.NoListing as why:
        # Asked again with every heartbeat: said once.
        log.log(logging.DEBUG if switch.name in _complained else logging.WARNING, "%s", why)
        _complained.add(switch.name)
    announce("agents")


def _follow(sender: object, switch: Switch, client: Client, events: list[Event], **_: object) -> None:
    if presence.follow(switch, events):
        _take_stock(sender, switch, client)
    else:
        announce("agents", detail=presence.news_of(events))
    if any(event.subclass == "sofia::register_failure" for event in events):
        announce("refusals")
