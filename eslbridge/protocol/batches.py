"""Many events at once: as they lie in what was read, and the same few values of each.

What is written here in one long loop could be a call of `Event.get` for each value, which gives the same. But
a call costs as much as finding a value; and an event that nobody looks at as a whole is not even cut out of
the bytes that were read.
"""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import orjson

from .events import (
    ARRAY_PREFIX,
    ARRAY_SEPARATOR,
    BEGINNING,
    CONTENT_LENGTH,
    UNDEFINED,
    VARIABLE_PREFIX,
    Event,
    JsonEvent,
    PlainEvent,
    json_name,
    plain_pattern,
    url_decode_all,
)

Row = tuple[str | None, ...]
"""The values of some headers of one event, None for one that it does not have."""
Span = tuple[bytes, int, int]
"""An event inside of what was read: where it begins and where it ends."""

_JsonField = tuple[bytes, int, bool, str]
"""The name in quotes with a colon, its length and that of a quote, whether the last one counts of a name that
occurs twice, the name."""
_PlainField = tuple[bytes, int, bool, str]
"""What stands before the value, its length, whether the last one counts, the name."""

_BACKSLASH = ord("\\")
_QUOTE = ord('"')
_BEGINNING_BYTES = len(BEGINNING)


class Batch(Sequence[Event]):
    """Events in a row, in one format. One is made whenever somebody asks for it, anew each time.

    It keeps alive what was read, up to some megabytes: keep its events, or their values, but not the batch.
    """

    __slots__ = ("kind", "spans")

    def __init__(self, kind: type[Event], spans: list[Span]) -> None:
        self.kind = kind
        self.spans = spans

    @property
    def size(self) -> int:
        """Bytes of all events together."""
        return sum([end - begin for _, begin, end in self.spans])

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[Event]:
        kind = self.kind
        return (kind(data[begin:end]) for data, begin, end in self.spans)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> "Batch": ...
    def __getitem__(self, index: int | slice) -> "Event | Batch":
        if isinstance(index, slice):
            return Batch(self.kind, self.spans[index])
        data, begin, end = self.spans[index]
        return self.kind(data[begin:end])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} {self.kind.__name__}s>"


class Fields:
    """Reads the values of the same headers of many events, in less time than `Event.get` takes.

    >>> fields = Fields("Event-Name", "Unique-ID")
    >>> fields.read([JsonEvent(b'{"Event-Name":"TALK"}')])
    [('TALK', None)]
    """

    def __init__(self, *names: str) -> None:
        if not names:
            raise ValueError("names: at least one is needed")
        self.names = names
        self._json = [_json_field(name) for name in names]
        self._plain = [_plain_field(name) for name in names]
        # Names that could be written in another way, or that no header can have, are left to `get`.
        self._can_json = all(map(_is_simple, names)) and "_body" not in names
        self._can_plain = all(map(plain_pattern, names))

    def read(self, events: Sequence[Event]) -> list[Row]:
        """For each event, what `get` gives for each name. Raises `InvalidJSON` when one is malformed."""
        kinds = {events.kind} if isinstance(events, Batch) else set(map(type, events))
        try:
            if kinds == {JsonEvent} and self._can_json:
                return self._rows(_read_json(_spans(events), self._json))
            if kinds == {PlainEvent} and self._can_plain:
                return self._rows(_read_plain(_spans(events), self._plain))
        except (orjson.JSONDecodeError, IndexError):  # one has a value that is malformed, or not UTF-8
            pass
        return [tuple(map(event.get, self.names)) for event in events]

    def _rows(self, values: list[str | None]) -> list[Row]:
        return list(zip(*[iter(values)] * len(self.names), strict=True))


def _json_field(name: str) -> _JsonField:
    pattern = json_name(name) + b":"
    return pattern, len(pattern) + 1, name.startswith(VARIABLE_PREFIX), name


def _plain_field(name: str) -> _PlainField:
    pattern = plain_pattern(name)
    return pattern, len(pattern), name.startswith(VARIABLE_PREFIX), name


def _is_simple(name: str) -> bool:
    return name.isascii() and name.replace("-", "").isidentifier()


def _spans(events: Sequence[Event]) -> list[Span]:
    if isinstance(events, Batch):
        return events.spans
    return [(event.raw, 0, len(event.raw)) for event in events]


def _read_json(spans: list[Span], fields: list[_JsonField]) -> list[Any]:
    """The values of all events in one list. Strings are decoded as one array, in one call; whatever else a
    value is, there is a `null` in its place first."""
    strings: list[bytes] = []
    add = strings.append
    others: dict[int, str | None] = {}
    for data, begin, end in spans:
        find, rfind = data.find, data.rfind
        for pattern, size, is_last, name in fields:
            place = rfind(pattern, begin, end) if is_last else find(pattern, begin, end)
            start = place + size
            # Inside of a string every quote is escaped: what has none behind a backslash is a whole string.
            if place > 0 and data[place - 1] != _BACKSLASH:
                if data[start - 1] == _QUOTE:
                    stop = find(b'"', start, end)
                    if stop > 0 and data[stop - 1] != _BACKSLASH:
                        add(data[start - 1 : stop + 1])
                        continue
                elif data[start] == _QUOTE:
                    value = _array(data, start - 1, end)
                    if value is not None:
                        others[len(strings)] = value
                        add(b"null")
                        continue
            if place >= 0 or find(pattern[:-1], begin, end) >= 0:  # it is there, but written in another way
                others[len(strings)] = JsonEvent(data[begin:end]).get(name)
            add(b"null")
    values: list[Any] = orjson.loads(b"[" + b",".join(strings) + b"]")
    for index, value in others.items():
        values[index] = value
    return values


def _array(data: bytes, start: int, end: int) -> str | None:
    """The array of strings that begins at `start` with a bracket and a quote; None for an unusual one."""
    try:
        items: list[str] = orjson.loads(data[start : data.find(b'"]', start + 2, end) + 2])
        return ARRAY_PREFIX + ARRAY_SEPARATOR.join(items)
    except (orjson.JSONDecodeError, TypeError):
        return None


def _read_plain(spans: list[Span], fields: list[_PlainField]) -> list[Any]:
    """The values of all events in one list, decoded in one call."""
    values: list[bytes] = []
    add = values.append
    others: dict[int, str | None] = {}
    for data, begin, end in spans:
        find, rfind = data.find, data.rfind
        if data[begin : begin + _BEGINNING_BYTES] != BEGINNING or rfind(CONTENT_LENGTH, begin, end) >= 0:
            get = PlainEvent(data[begin:end]).get
            for *_, name in fields:
                others[len(values)] = get(name)
                add(b"")
            continue
        for pattern, size, is_last, _ in fields:
            place = rfind(pattern, begin, end) if is_last else find(pattern, begin, end)
            if place < 0:
                others[len(values)] = None
                add(b"")
                continue
            start = place + size
            stop = find(b"\n", start, end)
            add(data[start:stop] if stop >= 0 else data[start:end])
    if UNDEFINED in values:
        values = [b"" if value == UNDEFINED else value for value in values]
    texts: list[Any] = url_decode_all(values)
    for index, value in others.items():
        texts[index] = value
    return texts
