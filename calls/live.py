"""The calls of this moment: a projection of the switch's channels into Redis.

A leg is one channel. `State` is the table of what moves it. The link's process holds the legs of its
switch in memory and writes each batch of changes to Redis in one pipeline; pages only read.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace

import orjson

from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import store
from eslbridge.text import printable

RINGING, EARLY, ANSWERED, HELD = "ringing", "early media", "answered", "held"

# What the switch calls a channel's call state, and what a leg is then.
STATES = {
    "DOWN": RINGING,
    "DIALING": RINGING,
    "RINGING": RINGING,
    "RING_WAIT": RINGING,
    "EARLY": EARLY,
    "ACTIVE": ANSWERED,
    "UNHELD": ANSWERED,
    "HELD": HELD,
}
GONE = frozenset({"CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"})


@dataclass(frozen=True)
class Leg:
    """One channel. Times are seconds since 1970, UTC; 0 is never."""

    uuid: str
    switch: str
    direction: str  # "inbound": the phone called the switch; "outbound": the switch called the phone
    state: str
    caller: str
    caller_name: str
    destination: str
    user: str = ""  # the directory user whose phone this is, if it is one's
    other: str = ""  # the leg it is connected with, or is to be
    origin: str = ""  # the A-leg that made this one
    did: str = ""
    dialled: str = ""  # what a click-to-dial is to reach once the agent's phone has answered
    created: float = 0
    answered: float = 0


@dataclass(frozen=True)
class Call:
    """The legs that belong together; the first is the one that began it."""

    legs: list[Leg]

    @property
    def a_leg(self) -> Leg:
        return self.legs[0]

    @property
    def uuid(self) -> str:
        return self.a_leg.uuid

    @property
    def b_leg(self) -> Leg | None:
        return next((leg for leg in self.legs[1:]), None)

    @property
    def is_click_to_dial(self) -> bool:
        return bool(self.a_leg.dialled)

    @property
    def caller(self) -> str:
        leg = self.a_leg
        return leg.user if leg.direction == "outbound" and leg.user else leg.caller

    @property
    def caller_name(self) -> str:
        return "" if self.a_leg.direction == "outbound" else self.a_leg.caller_name

    @property
    def callee(self) -> str:
        if self.is_click_to_dial:
            return self.a_leg.dialled
        return self.a_leg.did or self.a_leg.destination

    @property
    def reached(self) -> str:
        """Whose phone the other leg is, when that is somebody else than who was dialled."""
        user = self.b_leg.user if self.b_leg else ""
        return "" if user == self.callee else user

    @property
    def state(self) -> str:
        if any(leg.state == HELD for leg in self.legs):
            return HELD
        if self.is_click_to_dial and self.a_leg.state == ANSWERED and self.b_leg:
            return self.b_leg.state
        return self.a_leg.state

    @property
    def direction(self) -> str:
        if self.a_leg.did:
            return "in"
        return "internal" if self.a_leg.user or self.a_leg.direction == "outbound" else "in"

    @property
    def since(self) -> float:
        return self.a_leg.created


def _key(switch_name: str) -> str:
    return f"patchbay:legs:{switch_name}"


def _stock_key(switch_name: str) -> str:
    return f"patchbay:legs:{switch_name}:at"


@dataclass
class Projection:
    """The legs of one switch, in the process that follows it."""

    switch: str
    legs: dict[str, Leg] = field(default_factory=dict)

    def follow(self, events: Iterable[Event]) -> None:
        """Move the legs as these events say, and write what changed to Redis."""
        changed: dict[str, Leg | None] = {}
        for event in events:
            uuid = event.get("Unique-ID")
            if not uuid:
                continue
            if event.name in GONE:
                if self.legs.pop(uuid, None):
                    changed[uuid] = None
            elif event.get("Channel-State") not in {"CS_HANGUP", "CS_REPORTING", "CS_DESTROY"}:
                changed[uuid] = self.legs[uuid] = moved(self.legs.get(uuid), event, self.switch)
        self._write(changed)

    def take_stock(self, rows: Iterable[dict[str, str]], exist: Callable[[list[str]], set[str]]) -> None:
        """Replace all legs by what the switch has; keep what only events tell.

        Its list (`show channels as json`) lags behind its events: it names the dead and misses the newborn.
        So `exist` asks for each leg that either knows (`uuid_exists`) and returns those that are alive.
        """
        listed = {row["uuid"]: _listed(row, self.legs.get(row["uuid"]), self.switch) for row in rows}
        legs = {**self.legs, **listed}
        alive = exist(list(legs))
        self.legs = {uuid: leg for uuid, leg in legs.items() if uuid in alive}
        pipeline = store().pipeline(transaction=True)
        pipeline.delete(_key(self.switch))
        for leg in self.legs.values():
            pipeline.hset(_key(self.switch), leg.uuid, orjson.dumps(asdict(leg)))
        pipeline.set(_stock_key(self.switch), time.time())
        pipeline.execute()

    def _write(self, changed: dict[str, Leg | None]) -> None:
        pipeline = store().pipeline(transaction=False)
        for uuid, leg in changed.items():
            if leg is None:
                pipeline.hdel(_key(self.switch), uuid)
            else:
                pipeline.hset(_key(self.switch), uuid, orjson.dumps(asdict(leg)))
        pipeline.set(_stock_key(self.switch), time.time())
        pipeline.execute()


def moved(leg: Leg | None, event: Event, switch: str) -> Leg:
    """The leg after this event; a leg that is not known yet begins with it."""
    state = STATES.get(event.get("Channel-Call-State", ""), RINGING)
    answered = int(event.get("Caller-Channel-Answered-Time") or 0) / 1e6
    if event.get("Answer-State") == "answered" and state in {RINGING, EARLY}:
        state = ANSWERED
    return Leg(
        uuid=event["Unique-ID"],
        switch=switch,
        direction=event.get("Call-Direction", ""),
        state=state,
        caller=printable(event.get("Caller-Caller-ID-Number", "")),
        caller_name=printable(event.get("Caller-Caller-ID-Name", "")),
        destination=printable(event.get("Caller-Destination-Number", "")),
        user=_user(event.get("Channel-Presence-ID", "")) or (leg.user if leg else ""),
        other="" if event.name == "CHANNEL_UNBRIDGE" else event.get("Other-Leg-Unique-ID", ""),
        origin=event.get("variable_originator") or (leg.origin if leg else ""),
        did=printable(event.get("variable_patchbay_did") or (leg.did if leg else "") or _first_did(event)),
        dialled=event.get("variable_patchbay_dial") or (leg.dialled if leg else ""),
        created=int(event.get("Caller-Channel-Created-Time") or 0) / 1e6 or time.time(),
        answered=answered or (leg.answered if leg else 0),
    )


def _user(presence_id: str) -> str:
    return printable(presence_id.partition("@")[0])


def _first_did(event: Event) -> str:
    """A call from outside begins in context public; after the transfer its destination is no DID."""
    if event.name == "CHANNEL_CREATE" and event.get("Caller-Context") == "public":
        return event.get("Caller-Destination-Number", "")
    return ""


def _listed(row: dict[str, str], known: Leg | None, switch: str) -> Leg:
    state = STATES.get(row.get("callstate", ""), RINGING)
    call_uuid = row.get("call_uuid", "")
    leg = Leg(
        uuid=row["uuid"],
        switch=switch,
        direction=row.get("direction", ""),
        state=state,
        caller=row.get("cid_num", ""),
        caller_name=row.get("cid_name", ""),
        destination=row.get("dest", ""),
        user=_user(row.get("presence_id", "")),
        other=call_uuid if call_uuid != row["uuid"] else "",
        created=float(row.get("created_epoch") or 0),
    )
    if known is None:
        return leg
    return replace(known, state=state, destination=leg.destination, other=leg.other or known.other)


def legs_of(switch_name: str) -> list[Leg]:
    """The live legs of one switch, oldest first; raises StoreError."""
    legs = [Leg(**orjson.loads(text)) for text in store().hvals(_key(switch_name))]
    return sorted(legs, key=lambda leg: (leg.created, leg.uuid))


def last_update(switch_name: str) -> float:
    """When the projection of a switch was last written, seconds since 1970; 0 for never."""
    return float(store().get(_stock_key(switch_name)) or 0)


def grouped(legs: Iterable[Leg]) -> list[Call]:
    """Legs as calls. The originator and the other leg tell which belong together; the call UUID does not."""
    legs = list(legs)
    alive = {leg.uuid: leg for leg in legs}
    members: dict[str, list[Leg]] = defaultdict(list)
    for leg in legs:
        members[_root(leg, alive)].append(leg)
    calls = [Call(sorted(found, key=lambda leg: leg.uuid != root)) for root, found in members.items()]
    return sorted(calls, key=lambda call: call.since)


def _root(leg: Leg, alive: dict[str, Leg]) -> str:
    for uuid in _towards_the_root(leg, alive):
        leg = alive[uuid]
    return leg.uuid


def _towards_the_root(leg: Leg, alive: dict[str, Leg]) -> Iterator[str]:
    seen = {leg.uuid}
    while True:
        parent = leg.origin if leg.origin in alive else ""
        if not parent and leg.other in alive:
            other = alive[leg.other]
            older = (other.created, other.uuid) < (leg.created, leg.uuid)
            parent = other.uuid if older and other.origin != leg.uuid else ""
        if not parent or parent in seen:
            return
        seen.add(parent)
        yield parent
        leg = alive[parent]


def active_calls() -> list[Call]:
    """The calls of every switch, oldest first; raises StoreError."""
    return [call for name in Switch.objects.values_list("name", flat=True) for call in grouped(legs_of(name))]
