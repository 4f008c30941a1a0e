"""The rows of the page of active calls: the same template for the page and for what is pushed to it."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import orjson
from django.template.loader import get_template
from django.utils.safestring import SafeString

from agents.models import Agent

from .grouping import Call, grouped
from .legs import Leg
from .live import active_calls, legs_by_uuid

# Rendered rows that are kept: some 2 kB each. The page of a busy switch shows a thousand.
MOST_ROWS = 4000
_cache: dict["Row", SafeString] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Row:
    """What of a call can be seen: calls whose rows are equal look the same. The template reads only this."""

    uuid: str
    switch: str
    state: str
    direction: str
    since: float
    caller: str
    caller_name: str
    callee: str
    reached: str
    gateway: str
    is_recorded: bool
    users: tuple[str, ...]
    legs: tuple[tuple[str, str, str], ...]  # party, state and what else it is found by
    names: tuple[tuple[str, str], ...]  # of those of its numbers that are agents'

    def named(self, number: str) -> str:
        """“1020 Alice” for an agent's extension, the number itself for any other."""
        name = next((name for extension, name in self.names if extension == number), "")
        return f"{number} {name}" if name else number

    @property
    def from_whom(self) -> str:
        return self.named(self.caller)

    @property
    def stranger(self) -> str:
        """The name that a caller sends along, who is no agent."""
        is_told_already = self.named(self.caller) != self.caller or self.caller_name == self.caller
        return "" if is_told_already else self.caller_name

    @property
    def to_whom(self) -> str:
        return self.named(self.callee)

    @property
    def by_whom(self) -> str:
        return self.named(self.reached)

    @property
    def agents(self) -> str:
        """The users whose phones take part, with their names, for the filter."""
        return ", ".join(map(self.named, self.users))

    @property
    def words(self) -> str:
        """All that the row is found by."""
        found = " ".join(word for leg in self.legs for word in leg)
        return f"{found} {self.from_whom} {self.to_whom} {self.by_whom} {self.agents} {self.gateway}"

    @property
    def has_many_legs(self) -> bool:
        """Two are said by “from” and “to” already."""
        return len(self.legs) > 2


def row_of(call: Call, names: dict[str, str]) -> Row:
    """What can be seen of a call; `names` are agents' by extension."""
    numbers = dict.fromkeys((call.caller, call.callee, call.reached, *call.users))
    return Row(
        uuid=call.uuid,
        switch=call.a_leg.switch,
        state=call.state,
        direction=call.direction,
        since=call.since,
        caller=call.caller,
        caller_name=call.caller_name,
        callee=call.callee,
        reached=call.reached,
        gateway=call.gateway,
        is_recorded=call.is_recorded,
        users=tuple(call.users),
        legs=tuple((leg.party, leg.state, f"{leg.caller} {leg.caller_name}") for leg in call.legs),
        names=tuple((number, names[number]) for number in numbers if number in names),
    )


def rows_of(calls: Iterable[Call]) -> list[Row]:
    """The calls as they are seen; one query for the agents' names."""
    calls = list(calls)
    numbers = {number for call in calls for number in (call.caller, call.callee, call.reached, *call.users)}
    names = dict(Agent.objects.filter(extension__in=numbers).values_list("extension", "name"))
    return [row_of(call, names) for call in calls]


def rows(calls: Iterable[Call]) -> list[SafeString]:
    """The calls' rows as HTML, for the page."""
    return [rendered(row) for row in rows_of(calls)]


def rendered(row: Row) -> SafeString:
    """A row is rendered once a change, whoever asks for it: the page, a fragment or the stream."""
    if (known := _cache.get(row)) is None:
        known = get_template("calls/_row.html").render({"row": row, "now": time.time()})
        with _lock:
            while len(_cache) >= MOST_ROWS:
                del _cache[next(iter(_cache))]
            _cache[row] = known
    return known


@dataclass
class Watched:
    """Every call's row by its id, for the stream: what was read is kept, and of what a switch's worker says
    has changed only that is read again. Not thread-safe; one hub asks it."""

    legs: dict[str, dict[str, Leg]] = field(default_factory=dict)  # by switch and UUID
    calls: dict[str, list[Leg]] = field(default_factory=dict)  # by id: the legs when it was last looked at

    def __call__(self, told: list[str] | None) -> dict[str, tuple[object, Callable[[], str]] | None]:
        """The rows of the calls that are not as they were, None for those that are gone; with `told` None
        all that there are. `told` are the details of news (`news_of`); raises StoreError."""
        if told is None:
            return self._all()
        for detail in told:
            switch, uuids = orjson.loads(detail)
            self._read(switch, uuids)
        now = self._grouped()
        changed = [call for key, call in now.items() if self.calls.get(key) != call.legs]
        gone = self.calls.keys() - now.keys()
        self.calls = {key: call.legs for key, call in now.items()}
        return {**dict.fromkeys(gone), **_renderers(changed)}

    def _all(self) -> dict[str, tuple[object, Callable[[], str]] | None]:
        calls = active_calls()
        self.legs = {}
        for leg in (leg for call in calls for leg in call.legs):
            self.legs.setdefault(leg.switch, {})[leg.uuid] = leg
        self.calls = {_id(call): call.legs for call in calls}
        return _renderers(calls)

    def _read(self, switch: str, uuids: list[str]) -> None:
        known = self.legs.setdefault(switch, {})
        for uuid, leg in legs_by_uuid(switch, uuids).items():
            if leg is None:
                known.pop(uuid, None)
            else:
                known[uuid] = leg

    def _grouped(self) -> dict[str, Call]:
        return {_id(call): call for legs in self.legs.values() for call in grouped(legs.values())}


def news_of(switch_name: str, uuids: Iterable[str]) -> str:
    """The detail of the news that these legs have changed."""
    return orjson.dumps([switch_name, list(uuids)]).decode()


def _id(call: Call) -> str:
    return f"call-{call.uuid}"


def _renderers(calls: list[Call]) -> dict[str, tuple[object, Callable[[], str]]]:
    found = rows_of(calls) if calls else []
    return {f"call-{row.uuid}": (row, _renderer(row)) for row in found}


def _renderer(row: Row) -> Callable[[], str]:
    return lambda: rendered(row)
