"""The calls of this moment: a projection of the switch's channels into Redis.

The link's process holds the legs of its switch in memory and writes each batch of changes to Redis in one
pipeline; pages only read. A leg that has ended stays ended, whatever comes late.
"""

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson

from eslbridge.models import Switch
from eslbridge.protocol.errors import InvalidJSON
from eslbridge.protocol.events import Event, JsonEvent
from eslbridge.store import StoreError, StoreIsEmpty, store
from eslbridge.text import printable
from routes.gateways import counts_calls

from .grouping import Call, grouped
from .legs import GONE, LONGEST_PATH, RINGING, STATES, Leg, has_hung_up, moved, sequence_of

if TYPE_CHECKING:
    from redis.client import Pipeline

log = logging.getLogger(__name__)

# So many ended legs are remembered: their last events may still be on the way.
REMEMBERED = 5_000
# Commands in one write to the switch; an answer about one leg has about 10 kB.
ASKED_AT_ONCE = 100


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
    dying: set[str] = field(default_factory=set)  # hung up, and not yet reported
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
            self._end(uuid, sequence_of(event), changed)
        elif before and before != uuid:
            self._rename(before, uuid, event, changed)
        elif self._is_news(uuid, event):
            leg = moved(self.legs.get(uuid), event, self.switch)
            if leg != self.legs.get(uuid):
                changed[uuid] = self.legs[uuid] = leg
            if event.name == "CHANNEL_BRIDGE":
                self._end_between(uuid, leg.other, sequence_of(event), changed)

    def _end_between(self, uuid: str, other: str, sequence: int, changed: dict[str, Leg | None]) -> None:
        """Whoever let these two talk and hung up: the switch reports its end only with theirs."""
        for dead in [each for each in self.dying if each in self.legs]:
            if self.legs[dead].other in {uuid, other}:
                self._end(dead, sequence, changed)

    def _is_news(self, uuid: str, event: Event) -> bool:
        if has_hung_up(event):
            if uuid in self.legs:
                self.dying.add(uuid)
            return False
        return uuid not in self.ended or (
            event.name == "CHANNEL_CREATE" and sequence_of(event) > self.ended[uuid]
        )

    def _end(self, uuid: str, sequence: int, changed: dict[str, Leg | None]) -> None:
        self.ended[uuid] = max(sequence, self.ended.pop(uuid, 0))
        while len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]
        self.dying.discard(uuid)
        if self.legs.pop(uuid, None):
            changed[uuid] = None

    def _rename(self, before: str, uuid: str, event: Event, changed: dict[str, Leg | None]) -> None:
        known = self.legs.get(before)
        self._end(before, sequence_of(event), changed)
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
        self.dying &= legs.keys()
        self._write_all()

    def _dumped(self, uuids: list[str], ask: Callable[[list[str]], list[str]]) -> Iterator[Leg]:
        for event in _dumps(uuids, ask):
            if not has_hung_up(event):
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
        running = {printable(file, LONGEST_PATH) for file in _RECORDING.findall(answer)}
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


def active_calls() -> list[Call]:
    """The calls of every switch, oldest first; raises StoreError when they are not known."""
    calls = []
    for switch in Switch.objects.all():
        if switch.is_connected and not last_update(switch.name):
            raise StoreIsEmpty(f"The live calls of {switch} are not in Redis.")
        calls += grouped(legs_of(switch.name))
    return calls


@counts_calls
def calls_by_gateway() -> Counter[str]:
    """How many legs of live calls go through each gateway; raises StoreError."""
    return Counter(leg.gateway for call in active_calls() for leg in call.legs if leg.gateway)
