"""The calls of this moment: a projection of the switch's channels into Redis.

A leg is one channel. `STATES` is the table of what moves it. The link's process holds the legs of its
switch in memory and writes each batch of changes to Redis in one pipeline; pages only read.

Events are not trusted to come in order, once, or at all: each has the switch's own sequence number, so an
older one only fills in what a newer one does not tell, and a leg that has ended stays ended.
"""

import json
import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote

import orjson

from eslbridge.models import Switch
from eslbridge.protocol.errors import InvalidJSON
from eslbridge.protocol.events import Event, JsonEvent
from eslbridge.store import StoreError, store
from eslbridge.text import printable

if TYPE_CHECKING:
    from redis.client import Pipeline

log = logging.getLogger(__name__)

RINGING, EARLY, ANSWERED, HELD = "ringing", "early media", "answered", "held"
# A call's only, not a leg's: a machine answered it. Also the name of the switch's application.
VOICEMAIL = "voicemail"

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
# Between its hang-up and its end a leg says nothing that matters.
ENDING = frozenset({"CS_HANGUP", "CS_REPORTING", "CS_DESTROY"})
# So many ended legs are remembered: their last events may still be on the way.
REMEMBERED = 5_000
# Characters of a name or number that are kept; a caller may send any number of them.
LONGEST = 120
# Commands in one write to the switch; an answer about one leg has about 10 kB.
ASKED_AT_ONCE = 100


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
    channel: str = ""  # the switch's name for it, “sofia/internal/1000@…”
    gateway: str = ""  # the trunk to or from which it goes, where the switch names one
    application: str = ""  # what the switch did with it when it last told all about it
    # File -> the event that told last of it; negative when that was the recording's end.
    recordings: Mapping[str, int] = field(default_factory=dict)
    created: float = 0
    answered: float = 0
    sequence: int = 0  # the switch's number of the event that told this

    @property
    def rings(self) -> bool:
        return self.state in {RINGING, EARLY}

    @property
    def party(self) -> str:
        """Who is at the other end of this channel: a user, or a number."""
        return self.user or (self.destination if self.direction == "outbound" else self.caller)

    @property
    def is_called_by_switch(self) -> bool:
        """The switch rang this phone first: the number on this channel is its own, not whom it talks to."""
        return self.direction == "outbound" and bool(self.user) and self.destination == self.user

    @property
    def is_loopback(self) -> bool:
        """Half of a pair that the switch connects with itself (vanilla reaches voicemail so): no phone."""
        return self.channel.startswith("loopback/")

    @property
    def is_in_voicemail(self) -> bool:
        return VOICEMAIL in {self.application, self.destination if self.is_loopback else ""}

    @property
    def is_recorded(self) -> bool:
        """Not while it leaves a message: that is what the caller wants recorded."""
        return not self.is_in_voicemail and any(told > 0 for told in self.recordings.values())

    @property
    def profile(self) -> str:
        """The switch's SIP profile through which it goes."""
        kind, _, rest = self.channel.partition("/")
        return rest.partition("/")[0] if kind == "sofia" else ""


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

    @cached_property
    def others(self) -> list[Leg]:
        """The phones that were called, oldest first."""
        return [leg for leg in self.legs[1:] if not leg.is_loopback]

    @cached_property
    def b_leg(self) -> Leg | None:
        """The leg that the first one is connected with, or else the oldest one."""
        connected = [leg for leg in self.others if leg.uuid == self.a_leg.other]
        return next(iter(connected + self.others), None)

    @property
    def users(self) -> list[str]:
        """The directory users whose phones take part."""
        return list(dict.fromkeys(leg.user for leg in self.legs if leg.user))

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
        if self.a_leg.is_called_by_switch and self.b_leg:
            return self.b_leg.party
        return self.did or self.a_leg.destination

    @property
    def did(self) -> str:
        """The number that was called from outside, if it was."""
        return "" if self.a_leg.user else next((leg.did for leg in self.legs if leg.did), "")

    @property
    def reached(self) -> str:
        """Whose phone the other leg is, when that is somebody else than who was dialled."""
        user = self.b_leg.user if self.b_leg else ""
        return "" if user == self.callee else user

    @property
    def state(self) -> str:
        """The first leg's, but a call rings for as long as it is answered on that side only."""
        if any(leg.state == HELD for leg in self.legs):
            return HELD
        if self.a_leg.state != ANSWERED:
            return self.a_leg.state
        if self.b_leg and all(leg.rings for leg in self.others):
            return self.b_leg.state
        is_machine = not self.others and any(leg.is_in_voicemail for leg in self.legs)
        return VOICEMAIL if is_machine else ANSWERED

    @property
    def direction(self) -> str:
        if self.did:
            return "in"
        if self.b_leg and not self.b_leg.user:
            return "out"
        return "internal" if self.a_leg.user or self.a_leg.direction == "outbound" else "in"

    @property
    def gateway(self) -> str:
        """The trunk, or the SIP profile of a leg that is no phone of ours and names none."""
        outside = [leg for leg in self.legs if not leg.user and not leg.is_loopback]
        named = [leg.gateway for leg in self.legs if leg.gateway]
        return next(iter(named + [leg.profile for leg in outside if leg.profile]), "")

    @property
    def is_recorded(self) -> bool:
        return any(leg.is_recorded for leg in self.legs)

    @property
    def since(self) -> float:
        return self.a_leg.created


def _key(switch_name: str) -> str:
    return f"patchbay:legs:{switch_name}"


def _stock_key(switch_name: str) -> str:
    return f"patchbay:legs:{switch_name}:at"


def _corrected_key(switch_name: str) -> str:
    return f"patchbay:legs:{switch_name}:corrected"


@dataclass
class Projection:
    """The legs of one switch, in the process that follows it."""

    switch: str
    legs: dict[str, Leg] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)  # UUID -> sequence number of its end, oldest first
    is_written: bool = True  # Redis has what is here
    corrected: int = 0  # legs that comparisons found to be otherwise than events had told

    def follow(self, events: Iterable[Event]) -> list[str]:
        """Move the legs as these events say, and write what changed to Redis. Returns the UUIDs of those."""
        changed: dict[str, Leg | None] = {}
        for event in events:
            try:
                self._move(event, changed)
            except (InvalidJSON, ValueError, KeyError) as problem:
                log.warning("An event of %s cannot be read and is left out: %s", self.switch, problem)
        if changed or not self.is_written:
            self._write(changed)
        return list(changed)

    def _move(self, event: Event, changed: dict[str, Leg | None]) -> None:
        uuid = printable(event.get("Unique-ID", ""))
        if not uuid:
            return
        before = printable(event.get("Old-Unique-ID", "")) if event.name == "CHANNEL_UUID" else ""
        if event.name in GONE:
            self._end(uuid, _sequence(event), changed)
        elif before and before != uuid:
            self._rename(before, uuid, event, changed)
        elif self._is_news(uuid, event):
            leg = moved(self.legs.get(uuid), event, self.switch)
            if leg != self.legs.get(uuid):
                changed[uuid] = self.legs[uuid] = leg

    def _is_news(self, uuid: str, event: Event) -> bool:
        if event.get("Channel-State") in ENDING or event.get("Answer-State") == "hangup":
            return False
        return uuid not in self.ended or (
            event.name == "CHANNEL_CREATE" and _sequence(event) > self.ended[uuid]
        )

    def _end(self, uuid: str, sequence: int, changed: dict[str, Leg | None]) -> None:
        self.ended[uuid] = max(sequence, self.ended.pop(uuid, 0))
        while len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]
        if self.legs.pop(uuid, None):
            changed[uuid] = None

    def _rename(self, before: str, uuid: str, event: Event, changed: dict[str, Leg | None]) -> None:
        known = self.legs.get(before)
        self._end(before, _sequence(event), changed)
        if uuid not in self.ended:
            leg = moved(known, event, self.switch)
            changed[uuid] = self.legs[uuid] = replace(leg, uuid=uuid)

    def take_stock(
        self,
        rows: Iterable[Mapping[str, str]],
        ask: Callable[[list[str]], list[str]],
        *,
        events_were_missed: bool = True,
    ) -> None:
        """Replace all legs by what the switch has; keep what only events tell.

        Its list (`show channels as json`, `rows`) lags behind its events: it names the dead, misses the
        newborn and tells old states. So it only says whom to ask about: `ask` takes commands and returns the
        answers, and `uuid_dump` is the truth about a leg. Between two comparisons in which no event was
        missed, only those are asked about of whom the list says something else than we believe.
        """
        listed = {row["uuid"]: STATES.get(row.get("callstate", ""), RINGING) for row in rows}
        if events_were_missed:
            self.ended.clear()  # the switch may be another one by now
        believed = {
            uuid: leg
            for uuid, leg in self.legs.items()
            if not events_were_missed and listed.get(uuid, leg.state) == leg.state
        }
        alive = _existing(list(believed), ask)
        legs = {uuid: leg for uuid, leg in believed.items() if uuid in alive}
        doubtful = [uuid for uuid in {**self.legs, **listed} if uuid not in believed and _is_one_word(uuid)]
        for leg in _with_recordings(list(self._dumped(doubtful, ask)), ask):
            legs[leg.uuid] = leg
        if not events_were_missed and (found := _differences(self.legs, legs)):
            log.info("%s legs of %s were not as their events had told", found, self.switch)
            self.corrected += found
        for uuid in self.legs.keys() - legs.keys():
            self._end(uuid, self.legs[uuid].sequence, {})
        self.legs = legs
        self._write_all()

    def _dumped(self, uuids: list[str], ask: Callable[[list[str]], list[str]]) -> Iterator[Leg]:
        for event in _dumps(uuids, ask):
            if event.get("Channel-State") not in ENDING and event.get("Answer-State") != "hangup":
                uuid = printable(event["Unique-ID"])
                yield moved(self.legs.get(uuid), event, self.switch)

    def _write(self, changed: dict[str, Leg | None]) -> None:
        """Redis may have been away or emptied meanwhile: then it gets everything."""
        if not self.is_written:
            self._write_all()
            return
        pipeline = store().pipeline(transaction=False)
        for uuid, leg in changed.items():
            if leg is None:
                pipeline.hdel(_key(self.switch), uuid)
            else:
                pipeline.hset(_key(self.switch), uuid, orjson.dumps(leg))
        pipeline.set(_stock_key(self.switch), time.time())
        pipeline.hlen(_key(self.switch))
        answers = self._execute(pipeline)
        if answers and answers[-1] != len(self.legs):
            self._write_all()

    def _write_all(self) -> None:
        pipeline = store().pipeline(transaction=True)
        pipeline.set(_corrected_key(self.switch), self.corrected)
        pipeline.delete(_key(self.switch))
        for leg in self.legs.values():
            pipeline.hset(_key(self.switch), leg.uuid, orjson.dumps(leg))
        pipeline.set(_stock_key(self.switch), time.time())
        self._execute(pipeline)

    def _execute(self, pipeline: "Pipeline") -> list[object]:
        try:
            answers = pipeline.execute()
        except StoreError as problem:
            if self.is_written:
                log.warning(
                    "Redis does not take the live calls of %s, so they wait: %s", self.switch, problem
                )
            self.is_written = False
            return []
        self.is_written = True
        return answers


def _is_one_word(uuid: str) -> bool:
    """A channel can be given any text as its UUID; only this can be asked about."""
    return uuid.isprintable() and " " not in uuid


def _existing(uuids: list[str], ask: Callable[[list[str]], list[str]]) -> set[str]:
    answers = _in_portions([f"uuid_exists {uuid}" for uuid in uuids], ask)
    return {uuid for uuid, answer in zip(uuids, answers, strict=True) if answer.strip() == "true"}


def _dumps(uuids: list[str], ask: Callable[[list[str]], list[str]]) -> Iterator[Event]:
    for answer in _in_portions([f"uuid_dump {uuid} json" for uuid in uuids], ask):
        if answer.startswith("{"):
            event = JsonEvent(answer.encode("utf-8", "surrogateescape"))
            try:
                event["Unique-ID"]
            except (InvalidJSON, KeyError) as problem:
                log.warning("The switch's answer about a channel cannot be read: %s", problem)
                continue
            yield event


# What the switch calls a recording among those who listen to a channel, and its file.
_RECORDING = re.compile(r"<function>session_record</function>\s*<target>(.*?)</target>", re.DOTALL)


def _with_recordings(legs: list[Leg], ask: Callable[[list[str]], list[str]]) -> Iterator[Leg]:
    """The legs with the recordings that run now: no dump tells them."""
    answers = _in_portions([f"uuid_buglist {leg.uuid}" for leg in legs], ask)
    for leg, answer in zip(legs, answers, strict=True):
        running = {printable(file, LONGEST) for file in _RECORDING.findall(answer)}
        now = leg.sequence or 1
        ended = {file: -now for file in leg.recordings if file not in running}
        yield replace(leg, recordings=ended | dict.fromkeys(running, now))


def _differences(believed: Mapping[str, Leg], found: Mapping[str, Leg]) -> int:
    """How many legs are there or not, or in another state, than was believed."""
    both = believed.keys() | found.keys()
    return sum(
        getattr(believed.get(uuid), "state", None) != getattr(found.get(uuid), "state", None) for uuid in both
    )


def _in_portions(commands: list[str], ask: Callable[[list[str]], list[str]]) -> Iterator[str]:
    for start in range(0, len(commands), ASKED_AT_ONCE):
        yield from ask(commands[start : start + ASKED_AT_ONCE])


def listed_channels(answer: str) -> list[dict[str, str]]:
    """The rows of `show channels as json`; what is not UTF-8 in a caller's name comes as a mark."""
    return json.loads(printable(answer), strict=False).get("rows", [])


def moved(leg: Leg | None, event: Event, switch: str) -> Leg:
    """The leg after this event; a leg that is not known yet begins with it.

    An event that is older than what is known only fills in what is missing.
    """
    told = _told(event, switch)
    if leg is None:
        return told
    newer, older = (told, leg) if told.sequence >= leg.sequence else (leg, told)
    return replace(
        newer,
        user=newer.user or older.user,
        origin=newer.origin or older.origin,
        did=_text(event, "variable_patchbay_did") or leg.did or told.did,
        dialled=newer.dialled or older.dialled,
        channel=newer.channel or older.channel,
        gateway=newer.gateway or older.gateway,
        application=newer.application or older.application,
        recordings=_latest(leg.recordings, told.recordings),
        created=min(filter(None, (newer.created, older.created)), default=0),
        answered=newer.answered or older.answered,
    )


def _told(event: Event, switch: str) -> Leg:
    """What one event tells about its leg."""
    state = STATES.get(event.get("Channel-Call-State", ""), RINGING)
    if event.get("Answer-State") == "answered" and state in {RINGING, EARLY}:
        state = ANSWERED
    return Leg(
        uuid=printable(event["Unique-ID"]),
        switch=switch,
        direction=_text(event, "Call-Direction"),
        state=state,
        # Not the caller ID: the switch turns that of a leg that it began round when it answers.
        caller=_text(event, "Caller-ANI") or _text(event, "Caller-Caller-ID-Number"),
        caller_name=_text(event, "Caller-Caller-ID-Name"),
        destination=_number(_text(event, "Caller-Destination-Number")),
        user=_text(event, "Channel-Presence-ID").partition("@")[0],
        other="" if event.name == "CHANNEL_UNBRIDGE" else _text(event, "Other-Leg-Unique-ID"),
        origin=_text(event, "variable_originator") or _loopback_twin(event),
        did=_did(event),
        dialled="" if event.get("variable_originator") else _text(event, "variable_patchbay_dial"),
        channel=_text(event, "Channel-Name"),
        gateway=_text(event, "variable_sip_gateway_name") or _text(event, "variable_sip_gateway"),
        application=_text(event, "variable_current_application"),
        recordings=_recordings(event),
        created=_seconds(event, "Caller-Channel-Created-Time") or time.time(),
        answered=_seconds(event, "Caller-Channel-Answered-Time"),
        sequence=_sequence(event),
    )


def _recordings(event: Event) -> dict[str, int]:
    """The file that this event says is being written from now on, or not any more."""
    if not event.name.startswith("RECORD_"):
        return {}
    at = _sequence(event) or 1
    return {_text(event, "Record-File-Path"): at if event.name == "RECORD_START" else -at}


def _latest(known: Mapping[str, int], told: Mapping[str, int]) -> Mapping[str, int]:
    """Both, and of a file of which both tell what was told last."""
    if not told:
        return known
    return {file: max(known.get(file, 0), told.get(file, 0), key=abs) for file in {**known, **told}}


def _text(event: Event, name: str) -> str:
    return printable(event.get(name, ""), LONGEST)


def _number(text: str) -> str:
    """A destination that the switch dialled at a SIP address comes as it was escaped there: “%2B1555…”."""
    return unquote(text) if text.startswith("%2B") else text


def _seconds(event: Event, name: str) -> float:
    return int(event.get(name) or 0) / 1e6


def _sequence(event: Event) -> int:
    return int(event.get("Event-Sequence") or 0)


def _loopback_twin(event: Event) -> str:
    """The half through which a loopback pair was called is what made the other half."""
    is_inner_half = event.get("variable_loopback_leg") == "B"
    return _text(event, "variable_other_loopback_leg_uuid") if is_inner_half else ""


def _did(event: Event) -> str:
    """The number that a caller from outside dialled: after the transfer the destination is an extension.

    A call from outside is an inbound leg that is no directory user's. It begins in the context `public`.
    """
    if event.get("Call-Direction") != "inbound" or event.get("Channel-Presence-ID"):
        return ""
    told = _text(event, "variable_patchbay_did")
    if told or event.get("variable_loopback_app"):
        return told
    if event.get("Caller-Context") == "public":
        return _text(event, "Caller-Destination-Number")
    return _text(event, "variable_sip_req_user") or _text(event, "Caller-RDNIS")


def legs_of(switch_name: str) -> list[Leg]:
    """The live legs of one switch, oldest first; raises StoreError."""
    legs = [Leg(**orjson.loads(text)) for text in store().hvals(_key(switch_name))]
    return sorted(legs, key=lambda leg: (leg.created, leg.uuid))


def legs_by_uuid(switch_name: str, uuids: list[str]) -> dict[str, Leg | None]:
    """These legs as they are now, None for those that have ended; raises StoreError."""
    texts = store().hmget(_key(switch_name), uuids) if uuids else []
    return {
        uuid: Leg(**orjson.loads(text)) if text else None for uuid, text in zip(uuids, texts, strict=True)
    }


def corrections(switch_name: str) -> int:
    """How many legs comparisons found to be otherwise than events had told since the worker started;
    raises StoreError."""
    return int(store().get(_corrected_key(switch_name)) or 0)


def last_update(switch_name: str) -> float:
    """When the projection of a switch was last written, seconds since 1970; 0 for never."""
    return float(store().get(_stock_key(switch_name)) or 0)


def grouped(legs: Iterable[Leg]) -> list[Call]:
    """Legs as calls, oldest first. Who is connected with whom tells what belongs together, and for a leg that
    rings or talks to nobody, who made it; the call UUID does not."""
    alive = {leg.uuid: leg for leg in legs}
    parents = {leg.uuid: _parent(leg, alive) for leg in alive.values()}
    members: dict[str, list[Leg]] = defaultdict(list)
    for leg in alive.values():
        members[_root(leg.uuid, parents)].append(leg)
    calls = []
    for root, found in members.items():
        calls.append(Call(sorted(found, key=lambda leg: (leg.uuid != root, leg.created, leg.uuid))))
    return sorted(calls, key=lambda call: (call.since, call.uuid))


def _parent(leg: Leg, alive: Mapping[str, Leg]) -> str:
    """The leg of the same call that was there before this one; empty for a call's first leg."""
    origin, other = alive.get(leg.origin), alive.get(leg.other)
    if origin and (leg.rings or _is_free_for(origin, leg, alive)):
        return origin.uuid
    if other and other.origin != leg.uuid and _is_free_for(other, leg, alive):
        is_older = (other.created, other.uuid) < (leg.created, leg.uuid)
        return other.uuid if is_older else ""
    return ""


def _is_free_for(other: Leg, leg: Leg, alive: Mapping[str, Leg]) -> bool:
    """Whether the other leg is connected with this one, or with nobody."""
    return other.other == leg.uuid or other.other not in alive


def _root(uuid: str, parents: Mapping[str, str]) -> str:
    seen = {uuid}
    while (parent := parents[uuid]) and parent not in seen:
        seen.add(parent)
        uuid = parent
    return uuid


class NotKnown(StoreError):
    """Redis has no projection of a connected switch: it was emptied, and will be filled again."""


def active_calls() -> list[Call]:
    """The calls of every switch, oldest first; raises StoreError when they are not known."""
    calls = []
    for switch in Switch.objects.all():
        if switch.is_connected and not last_update(switch.name):
            raise NotKnown(f"The live calls of {switch} are not in Redis.")
        calls += grouped(legs_of(switch.name))
    return calls
