"""What agents do with the switch's events: follow who is registered."""

from eslbridge import signals
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from . import presence


def connect() -> None:
    signals.link_up.connect(_take_stock, dispatch_uid="agents stock")
    signals.compare.connect(_take_stock, dispatch_uid="agents compare")
    signals.registration_events.connect(_follow, dispatch_uid="agents follow")


def _take_stock(sender: object, switch: Switch, client: Client, **_: object) -> None:
    presence.take_stock(switch, client.api(*presence.listing_command().split(" ", 1)))
    announce("agents")


def _follow(sender: object, switch: Switch, client: Client, events: list[Event], **_: object) -> None:
    if presence.follow(switch, events):
        presence.take_stock(switch, client.api(*presence.listing_command().split(" ", 1)))
    announce("agents")
