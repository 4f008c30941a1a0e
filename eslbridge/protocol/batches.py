"""Many events at once: as they lie in what was read, and the same few values of each.

What `Fields` gives could be had by calls of `Event.get`. But a call costs as much as finding a value; so a
header is looked for in all events before the next one is, and its values are decoded together. What is
written as the switch does not write it is noticed, and left to `get`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import cast, overload

import orjson

from .events import (
    ARRAY_PREFIX,
    ARRAY_SEPARATOR,
    CONTENT_LENGTH,
    UNDEFINED,
    VARIABLE_PREFIX,
    Event,
    JsonEvent,
    PlainEvent,
    json_name,
    plain_pattern,
    url_decode,
)

Row = tuple[str | None, ...]
"""The values of some headers of one event, None for one that it does not have."""
Span = tuple[bytes, int, int]
"""An event inside of what was read: where the line end before it stands, and where it ends. So its first
header has a line end before it, too."""
Column = list[str | None]
"""The values of one header, of each event."""

_MISSING = b"\n"  # what no value of a plain event can be
_LINE_END = ord("\n")
_HEAD = 48  # bytes of an event, with its first header; the events of a switch begin in a few ways


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
        return sum([end - before - 1 for _, before, end in self.spans])

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[Event]:
        kind = self.kind
        return (kind(data[before + 1 : end]) for data, before, end in self.spans)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> "Batch": ...
    def __getitem__(self, index: int | slice) -> "Event | Batch":
        if isinstance(index, slice):
            return Batch(self.kind, self.spans[index])
        data, before, end = self.spans[index]
        return self.kind(data[before + 1 : end])

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
        # Names that could be written in another way, or that no header can have, are left to `get`.
        can_json = all(map(_is_simple, names)) and "_body" not in names
        can_plain = all(map(plain_pattern, names))
        self._json = list(map(_JsonField, names)) if can_json else []
        self._plain = list(map(_PlainField, names)) if can_plain else []

    def read(self, events: Sequence[Event]) -> list[Row]:
        """For each event, what `get` gives for each name. Raises `InvalidJSON` when one is malformed."""
        if not events:
            return []
        kinds = {events.kind} if isinstance(events, Batch) else set(map(type, events))
        if kinds == {JsonEvent} and self._json:
            spans = _spans(events)
            return _rows(spans, self._json, _heads(spans))
        if kinds == {PlainEvent} and self._plain:
            return self._read_plain(_spans(events))
        return [tuple(map(event.get, self.names)) for event in events]

    def _read_plain(self, spans: list[Span]) -> list[Row]:
        """No value may be read out of an inner body, which stands behind a Content-Length of the event's own;
        nor behind the event, which ends with a line end. The last ones are looked at first: they were read
        last, and are still in the processor's cache."""
        odd = [
            data.rfind(CONTENT_LENGTH, before, end) >= 0 or data[end - 1] != _LINE_END
            for data, before, end in reversed(spans)
        ]
        if True not in odd:
            return _plain_rows(spans, self._plain)
        odd.reverse()
        usual = [span for span, is_odd in zip(spans, odd, strict=True) if not is_odd]
        rows = iter(_plain_rows(usual, self._plain) if usual else [])
        return [
            tuple(map(PlainEvent(data[before + 1 : end]).get, self.names)) if is_odd else next(rows)
            for (data, before, end), is_odd in zip(spans, odd, strict=True)
        ]


def _spans(events: Sequence[Event]) -> list[Span]:
    if isinstance(events, Batch):
        return events.spans
    return [(b"\n" + event.raw, 0, len(event.raw) + 1) for event in events]


def _heads(spans: list[Span]) -> list[bytes]:
    return [data[before : before + _HEAD] for data, before, _ in spans]


def _plain_rows(spans: list[Span], fields: list["_PlainField"]) -> list[Row]:
    data, before, _ = spans[0]
    leads = any(data.startswith(field.key, before) for field in fields)
    return _rows(spans, fields, _heads(spans) if leads else [])


def _rows(spans: list[Span], fields: Sequence["_Field"], heads: list[bytes]) -> list[Row]:
    ways = set(heads)
    return list(zip(*[field.column(spans, heads, ways) for field in fields], strict=True))


class _Field(ABC):
    """How one header is found and read. Of a variable that occurs twice the last one counts, of others the
    first: so only those can be read from how an event begins."""

    first: bytes
    """How an event begins whose first header it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_last = name.startswith(VARIABLE_PREFIX)
        self.search: Callable[..., int] = bytes.rfind if self.is_last else bytes.find

    def column(self, spans: list[Span], heads: list[bytes], ways: set[bytes]) -> Column:
        """The values. `heads` are the beginnings of the events, `ways` the different ones: few."""
        leading = [] if self.is_last else [head for head in ways if head.startswith(self.first)]
        if not leading:
            return self.found(spans)
        known = self.read_heads(leading)
        if known is None:
            return self.one_by_one(spans)
        if len(known) == len(ways):
            return [known[head] for head in heads]
        others = [span for span, head in zip(spans, heads, strict=True) if head not in known]
        found = iter(self.found(others))
        return [known[head] if head in known else next(found) for head in heads]

    @abstractmethod
    def read_heads(self, heads: list[bytes]) -> dict[bytes, str] | None:
        """The value that each begins with; None when one is written in an unusual way."""

    @abstractmethod
    def found(self, spans: list[Span]) -> Column:
        """The values of events that do not begin with this header."""

    @abstractmethod
    def one_by_one(self, spans: list[Span]) -> Column: ...


class _PlainField(_Field):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.key = self.first = b"\n" + plain_pattern(name).removeprefix(b"\n")

    def read_heads(self, heads: list[bytes]) -> dict[bytes, str] | None:
        size = len(self.key)
        ends = [head.find(b"\n", size) for head in heads]
        if -1 in ends:
            return None
        raws = [head[size:end] for head, end in zip(heads, ends, strict=True)]
        return {
            head: "" if raw == UNDEFINED else url_decode(raw) for head, raw in zip(heads, raws, strict=True)
        }

    def found(self, spans: list[Span]) -> Column:
        search, key, size = self.search, self.key, len(self.key)
        raws = [
            data[start : data.find(b"\n", start)]
            if (start := search(data, key, before, end) + size) >= size
            else _MISSING
            for data, before, end in spans
        ]
        joined = b"\0".join(raws)
        values = cast(Column, url_decode(joined).split("\0"))
        if len(values) != len(raws):
            values = [*map(url_decode, raws)]
        if UNDEFINED in raws:
            values = ["" if raw == UNDEFINED else value for raw, value in zip(raws, values, strict=True)]
        if _MISSING in joined:
            values = [None if raw == _MISSING else value for raw, value in zip(raws, values, strict=True)]
        return values

    def one_by_one(self, spans: list[Span]) -> Column:
        return [PlainEvent(data[before + 1 : end]).get(self.name) for data, before, end in spans]


class _JsonField(_Field):
    """In a string every quote is escaped: behind a comma or a bracket one can only begin a name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.key = b"," + json_name(name) + b":"
        self.first = b"\n{" + json_name(name) + b":"

    def read_heads(self, heads: list[bytes]) -> dict[bytes, str] | None:
        size = len(self.first)
        try:
            return {head: orjson.loads(head[size : head.find(b'"', size + 1) + 1]) for head in heads}
        except orjson.JSONDecodeError:  # no string, one with a quote in it, or too long
            return None

    def found(self, spans: list[Span]) -> Column:
        search, key, size = self.search, self.key, len(self.key)
        data, before, end = spans[0]
        if (place := search(data, key, before, end)) >= 0 and data.startswith(b"[", place + size):
            return self._arrays(spans)
        raws = [
            data[start : data.find(b'"', start + 1, end) + 1]
            if (start := search(data, key, before, end) + size) >= size
            else b""
            for data, before, end in spans
        ]
        found = list(filter(None, raws))
        strings = b",".join(found)
        # Each ends with the first quote behind its first byte: all are strings when each has two quotes.
        if strings.count(b'"') == 2 * len(found) and b'\\"' not in strings:
            with suppress(orjson.JSONDecodeError):  # not UTF-8
                return self._filled(spans, raws, orjson.loads(b"[" + strings + b"]"))
        return self.one_by_one(spans)

    def _arrays(self, spans: list[Span]) -> Column:
        """The values when all are arrays."""
        search, key, size = self.search, self.key, len(self.key)
        raws = [
            data[start : data.find(b'"]', start + 2, end) + 2]
            if (start := search(data, key, before, end) + size) >= size
            else b""
            for data, before, end in spans
        ]
        arrays = b",".join(filter(None, raws))
        # An item that begins with a bracket looks like the end, but for the comma before its quote.
        if b'\\"' not in arrays and b',"]' not in arrays:
            # What is no whole array leaves a bracket open, or has a colon in it.
            with suppress(orjson.JSONDecodeError, TypeError):
                lists: list[list[str]] = orjson.loads(b"[" + arrays + b"]")
                values: Column = [ARRAY_PREFIX + ARRAY_SEPARATOR.join(items) for items in lists]
                return self._filled(spans, raws, values)
        return self.one_by_one(spans)

    def _filled(self, spans: list[Span], raws: list[bytes], values: Column) -> Column:
        """The values, and those of events in which the header was not found: None, but for an event that has
        the name somewhere."""
        if len(values) == len(spans):
            return values
        quoted = self.key[1:-1]
        found = iter(values)
        return [
            next(found)
            if raw
            else None
            if data.find(quoted, before, end) < 0
            else JsonEvent(data[before + 1 : end]).get(self.name)
            for raw, (data, before, end) in zip(raws, spans, strict=True)
        ]

    def one_by_one(self, spans: list[Span]) -> Column:
        return [JsonEvent(data[before + 1 : end]).get(self.name) for data, before, end in spans]


def _is_simple(name: str) -> bool:
    return name.isascii() and name.replace("-", "").isidentifier()
