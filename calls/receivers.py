"""What calls do with the switch's events: follow the channels, and the dials among them."""

from eslbridge import signals
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from .dialling import Follower
from .live import Projection, listed_channels
from .outcomes import Outcomes
from .rendering import news_of

_projections: dict[str, Projection] = {}
_followers: dict[str, Follower] = {}
_outcomes: dict[str, Outcomes] = {}


def connect() -> None:
    signals.link_up.connect(_begin, dispatch_uid="calls stock")
    signals.compare.connect(_compare, dispatch_uid="calls compare")
    # The live calls first: who sees that a dial was answered must not find its call still ringing.
    signals.channel_events.connect(_follow_calls, dispatch_uid="calls follow")
    signals.channel_events.connect(_follow_dials, dispatch_uid="dials follow")
    signals.channel_events.connect(_follow_commands, dispatch_uid="commands follow")


def projection(switch_name: str) -> Projection:
    return _projections.setdefault(switch_name, Projection(switch_name))


def follower(switch_name: str) -> Follower:
    return _followers.setdefault(switch_name, Follower(switch_name))


def outcomes(switch_name: str) -> Outcomes:
    return _outcomes.setdefault(switch_name, Outcomes(switch_name))


def _begin(sender: object, switch: Switch, client: Client, **_: object) -> None:
    _take_stock(switch, client, events_were_missed=True)
    legs = projection(switch.name).legs
    follower(switch.name).take_stock(legs, switch.link_since)
    outcomes(switch.name).take_stock(legs, switch.link_since)


def _compare(sender: object, switch: Switch, client: Client, **_: object) -> None:
    _take_stock(switch, client, events_were_missed=False)
    follower(switch.name).compare(projection(switch.name).legs)
    outcomes(switch.name).compare(projection(switch.name).legs)


def _take_stock(switch: Switch, client: Client, *, events_were_missed: bool) -> None:
    rows = listed_channels(client.api("show", "channels as json"))
    projection(switch.name).take_stock(rows, client.api_many, events_were_missed=events_were_missed)
    announce("calls")


def _follow_calls(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    if changed := projection(switch.name).follow(events):
        announce("calls", detail=news_of(switch.name, changed))


def _follow_dials(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    follower(switch.name).follow(events)


def _follow_commands(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    outcomes(switch.name).follow(events)
