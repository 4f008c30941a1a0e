"""What routes do with the switch's events: follow its gateways, and who has been idle the longest."""

from eslbridge import link, signals
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from . import gateways, idleness


def connect() -> None:
    signals.link_up.connect(_take_stock, dispatch_uid="gateways stock")
    signals.compare.connect(_take_stock, dispatch_uid="gateways compare")
    signals.gateway_events.connect(_follow, dispatch_uid="gateways follow")
    signals.link_up.connect(_put_in_order, dispatch_uid="idleness stock")
    signals.compare.connect(_put_in_order, dispatch_uid="idleness compare")
    signals.channel_events.connect(_follow_idleness, dispatch_uid="idleness follow")
    signals.published.connect(_order_published, dispatch_uid="idleness published")


def _take_stock(sender: object, switch: Switch, client: Client, **_: object) -> None:
    gateways.take_stock(switch.name, client.api("sofia", gateways.LISTING))
    announce("gateways")


def _follow(sender: object, switch: Switch, client: Client, events: list[Event], **_: object) -> None:
    if gateways.follow(switch.name, events):
        gateways.take_stock(switch.name, client.api("sofia", gateways.LISTING))
    announce("gateways")


def _put_in_order(sender: object, switch: Switch, client: Client, **_: object) -> None:
    idleness.put_in_order(switch, client)


def _follow_idleness(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    if ended := idleness.who_talked(events):
        idleness.note(switch, ended)
        idleness.put_in_order(switch, link.current().client, ended)


def _order_published(sender: object, switch: Switch | None, kinds: set[str], **_: object) -> None:
    if switch is not None and kinds & {"routes.ringgroup", "agents.agent"}:
        try:
            client = link.current().client
        except link.LinkIsDown:
            return  # a command beside the worker published: the next comparison tells the switch
        idleness.put_in_order(switch, client)
