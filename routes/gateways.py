"""The gateways of this moment: a projection of what the switch says of its SIP trunks into Redis.

Events move a gateway's state; the switch's own list (`sofia xmlstatus gateway`) brings all the rest and
corrects it. Hand-made gateways are shown like any other: it is the switch that is asked.
"""

import re
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import orjson

from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import StoreIsEmpty, store
from eslbridge.text import printable

LISTING = "xmlstatus gateway"
REGISTERED, NOT_REGISTERING = "REGED", "NOREG"
# The switch tries, or is about to.
TRYING = frozenset({"TRYING", "REGISTER", "UNREGED"})


@dataclass(frozen=True)
class Gateway:
    """One SIP trunk of one switch. `since` is seconds since 1970, UTC."""

    name: str
    switch: str
    profile: str
    state: str  # the switch's word: REGED, NOREG, TRYING, FAIL_WAIT, …
    ping: str  # UP or DOWN
    phrase: str = ""  # why it failed, in the other side's words
    proxy: str = ""
    calls_in: int = 0
    calls_out: int = 0
    failed_in: int = 0
    failed_out: int = 0
    since: float = 0
    failure: str = ""  # the last one, in words; it stays when the gateway is up again
    failed_at: float = 0

    @property
    def failed(self) -> datetime:
        """When it last failed."""
        return datetime.fromtimestamp(self.failed_at, UTC)

    @property
    def is_up(self) -> bool:
        return self.state in {REGISTERED, NOT_REGISTERING} and self.ping != "DOWN"

    @property
    def chip(self) -> str:
        """The colour: live, pending or failed."""
        if self.is_up:
            return "live"
        return "pending" if self.state in TRYING else "failed"

    @property
    def is_down(self) -> bool:
        """Failed. One that registers at this moment is neither up nor down."""
        return self.chip == "failed"

    @property
    def words(self) -> str:
        """The switch's word for the state, with the other side's reason if it is one."""
        return self.state if self.phrase in ("", "OK") else f"{self.state}: {self.phrase}"

    @property
    def in_words(self) -> str:
        if self.state == REGISTERED and self.is_up:
            return "Registered"
        if self.state == NOT_REGISTERING and self.is_up:
            return "In service"
        if self.state in {REGISTERED, NOT_REGISTERING}:
            return "Does not answer pings"
        return "Registering" if self.state in TRYING else "Down"


def _key(switch_name: str) -> str:
    return f"patchbay:gateways:{switch_name}"


def _at_key(switch_name: str) -> str:
    """When the gateways were last told of; missing after Redis was emptied, until stock is taken."""
    return f"patchbay:gateways:{switch_name}:at"


def last_update(switch_name: str) -> float:
    """When the gateways of a switch were last told of, seconds since 1970, 0 for never; raises StoreError."""
    return float(store().get(_at_key(switch_name)) or 0)


def gateways_of(switch_name: str) -> dict[str, Gateway]:
    """The gateways of one switch by name; raises StoreError."""
    found = store().hgetall(_key(switch_name))
    return {name: Gateway(**orjson.loads(text)) for name, text in sorted(found.items())}


def all_gateways() -> list[Gateway]:
    """The gateways of every switch; raises StoreError when they are not known."""
    found: list[Gateway] = []
    for switch in Switch.objects.all():
        if switch.is_connected and not last_update(switch.name):
            raise StoreIsEmpty(f"The gateways of {switch} are not in Redis.")
        found += gateways_of(switch.name).values()
    return found


def take_stock(switch_name: str, listing: str) -> None:
    """Replace the gateways of a switch by its own list; keep since when each is in its state."""
    known = gateways_of(switch_name)
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", printable(listing))
    root = ET.fromstring(text)  # noqa: S314 - our own switch's answer
    pipeline = store().pipeline(transaction=True)
    pipeline.delete(_key(switch_name))
    for row in root.iter("gateway"):
        gateway = _listed(row, switch_name)
        before = known.get(gateway.name)
        if before and (before.state, before.ping) == (gateway.state, gateway.ping):
            gateway = replace(gateway, since=before.since, phrase=before.phrase)
        if before:
            gateway = replace(gateway, failure=before.failure, failed_at=before.failed_at)
        gateway = _with_failure(before, gateway)
        pipeline.hset(_key(switch_name), gateway.name, orjson.dumps(asdict(gateway)))
    pipeline.set(_at_key(switch_name), time.time())
    pipeline.execute()


def _listed(row: ET.Element, switch_name: str) -> Gateway:
    def number(tag: str) -> int:
        text = row.findtext(tag, "0")
        return int(text) if text.isdigit() else 0

    return Gateway(
        name=row.findtext("name", ""),
        switch=switch_name,
        profile=row.findtext("profile", ""),
        state=row.findtext("state", ""),
        ping=row.findtext("status", ""),
        proxy=row.findtext("proxy", ""),
        calls_in=number("calls-in"),
        calls_out=number("calls-out"),
        failed_in=number("failed-calls-in"),
        failed_out=number("failed-calls-out"),
        since=time.time(),
    )


def follow(switch_name: str, events: Iterable[Event]) -> bool:
    """Move the gateways as these events say. True when one came that is not known: take stock then."""
    known = gateways_of(switch_name)
    stranger = False
    pipeline = store().pipeline(transaction=False)
    for event in events:
        name = printable(event.get("Gateway", ""))
        if event.subclass == "sofia::gateway_delete":
            known.pop(name, None)
            pipeline.hdel(_key(switch_name), name)
        elif event.subclass == "sofia::gateway_state" and name in known:
            known[name] = _moved(known[name], event)
            pipeline.hset(_key(switch_name), name, orjson.dumps(asdict(known[name])))
        else:
            stranger = True
    pipeline.set(_at_key(switch_name), time.time(), xx=True)
    pipeline.execute()
    return stranger


def _moved(gateway: Gateway, event: Event) -> Gateway:
    state, ping = event.get("State", gateway.state), event.get("Ping-Status", gateway.ping)
    since = gateway.since if (state, ping) == (gateway.state, gateway.ping) else time.time()
    phrase = printable(event.get("Phrase", ""))
    return _with_failure(gateway, replace(gateway, state=state, ping=ping, phrase=phrase, since=since))


def _with_failure(before: Gateway | None, gateway: Gateway) -> Gateway:
    """With what failed now, if it has just failed."""
    failed = gateway.chip == "failed"
    if not failed or (before and (before.state, before.ping) == (gateway.state, gateway.ping)):
        return gateway
    return replace(gateway, failure=gateway.phrase or gateway.in_words, failed_at=time.time())


# --- calls now -------------------------------------------------------------------------------------

# The switch counts a gateway's calls since it was loaded. Who knows those of this moment registers.
_counting: list[Callable[[], Mapping[str, int]]] = []


def counts_calls(find: Callable[[], Mapping[str, int]]) -> Callable[[], Mapping[str, int]]:
    """Register a function that tells how many calls go through each gateway now; it may raise StoreError."""
    _counting.append(find)
    return find


def calls_now() -> Counter[str]:
    """How many calls go through each gateway now; raises StoreError."""
    return sum((Counter(find()) for find in _counting), Counter())
