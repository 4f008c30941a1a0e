"""What routes do with the switch's events: follow its gateways."""

from eslbridge import signals
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from . import gateways


def connect() -> None:
    signals.link_up.connect(_take_stock, dispatch_uid="gateways stock")
    signals.compare.connect(_take_stock, dispatch_uid="gateways compare")
    signals.gateway_events.connect(_follow, dispatch_uid="gateways follow")


def _take_stock(sender: object, switch: Switch, client: Client, **_: object) -> None:
    gateways.take_stock(switch.name, client.api("sofia", gateways.LISTING))
    announce("gateways")


def _follow(sender: object, switch: Switch, client: Client, events: list[Event], **_: object) -> None:
    if gateways.follow(switch.name, events):
        gateways.take_stock(switch.name, client.api("sofia", gateways.LISTING))
    announce("gateways")
