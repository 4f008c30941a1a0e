"""Many events at once: as they lie in what was read, and the same few values of each.

What `Fields` gives could be had by calls of `Event.get`. But a call costs as much as finding a value; so a
header is looked for in all events before the next one is, and its values are decoded together. What is
written as the switch does not write it is noticed, and left to `get`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, overload

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
"""An event inside of what was read: where it begins and where it ends."""
Column = list[str | None]
"""The values of one header, of each event."""

_MISSING = b"\n"  # what no value of a plain event can be
_LINE_END = ord("\n")
_HEAD = 16  # bytes: `{"Event-Name":"C`


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
        # Names that could be written in another way, or that no header can have, are left to `get`.
        self._can_json = all(map(_is_simple, names)) and "_body" not in names
        self._can_plain = all(map(plain_pattern, names))
        self._json = [_json_field(name) for name in names if self._can_json]
        self._plain = [_plain_field(name) for name in names if self._can_plain]

    def read(self, events: Sequence[Event]) -> list[Row]:
        """For each event, what `get` gives for each name. Raises `InvalidJSON` when one is malformed."""
        if not events:
            return []
        kinds = {events.kind} if isinstance(events, Batch) else set(map(type, events))
        if kinds == {JsonEvent} and self._can_json:
            spans = _spans(events)
            heads = tuple({data[begin : begin + _HEAD] for data, begin, _ in spans})
            columns = [_json_column(spans, field, heads) for field in self._json]
            return list(zip(*columns, strict=True))
        if kinds == {PlainEvent} and self._can_plain:
            return self._read_plain(_spans(events))
        return [tuple(map(event.get, self.names)) for event in events]

    def _read_plain(self, spans: list[Span]) -> list[Row]:
        """No value may be read out of an inner body, which stands behind a Content-Length of the event's own;
        nor behind the event, which ends with a line end, like what stands before it."""
        odd = [
            index
            for index, (data, begin, end) in enumerate(spans)
            if not begin or data.rfind(CONTENT_LENGTH, begin - 1, end) >= 0 or data[end - 1] != _LINE_END
        ]
        if odd:
            left_out = set(odd)
            usual = [span for index, span in enumerate(spans) if index not in left_out]
        else:
            usual = spans
        columns = [_plain_column(usual, field) for field in self._plain] if usual else []
        rows: list[Row] = list(zip(*columns, strict=True))
        for index in odd:
            data, begin, end = spans[index]
            rows.insert(index, tuple(map(PlainEvent(data[begin:end]).get, self.names)))
        return rows


class _Field(NamedTuple):
    """How one header is found."""

    name: str
    key: bytes  # what stands before its value
    first: bytes  # the same, and as long, when nothing stands before the header; empty when that cannot be
    search: Callable[..., int]  # the last one counts of a variable that occurs twice, of others the first


def _json_field(name: str) -> _Field:
    key = json_name(name) + b":"
    is_last = name.startswith(VARIABLE_PREFIX)
    # In a string every quote is escaped: behind a comma or a bracket one can only begin a name.
    return _Field(name, b"," + key, b"" if is_last else b"{" + key, _search(name))


def _plain_field(name: str) -> _Field:
    key = plain_pattern(name)
    return _Field(name, key if key.startswith(b"\n") else b"\n" + key, b"", _search(name))


def _search(name: str) -> Callable[..., int]:
    return bytes.rfind if name.startswith(VARIABLE_PREFIX) else bytes.find


def _is_simple(name: str) -> bool:
    return name.isascii() and name.replace("-", "").isidentifier()


def _spans(events: Sequence[Event]) -> list[Span]:
    if isinstance(events, Batch):
        return events.spans
    return [(b"\n" + event.raw, 1, len(event.raw) + 1) for event in events]


def _json_column(spans: list[Span], field: _Field, heads: tuple[bytes, ...]) -> Column:
    """`heads` are the different ways in which these events begin."""
    _, key, first, search = field
    size = len(key)
    if first and any(head.startswith(first[:_HEAD]) for head in heads):
        raws = [
            data[start : data.find(b'"', start + 1, end) + 1]
            if (start := (begin if data.startswith(first, begin) else search(data, key, begin, end)) + size)
            >= size
            else b""
            for data, begin, end in spans
        ]
    else:
        data, begin, end = spans[0]
        if data.startswith(b"[", search(data, key, begin, end) + size):
            return _json_arrays(spans, field)
        raws = [
            data[start : data.find(b'"', start + 1, end) + 1]
            if (start := search(data, key, begin, end) + size) >= size
            else b""
            for data, begin, end in spans
        ]
    found = list(filter(None, raws))
    strings = b",".join(found)
    # Each ends with the first quote behind its first byte: all are strings when they have two quotes each.
    if strings.count(b'"') == 2 * len(found) and b'\\"' not in strings:
        with suppress(orjson.JSONDecodeError):  # not UTF-8
            return _json_filled(spans, field, raws, orjson.loads(b"[" + strings + b"]"))
    return _one_by_one(spans, field)


def _json_arrays(spans: list[Span], field: _Field) -> Column:
    """The values when all are arrays."""
    _, key, _, search = field
    size = len(key)
    raws = [
        data[start : data.find(b'"]', start + 2, end) + 2]
        if (start := search(data, key, begin, end) + size) >= size
        else b""
        for data, begin, end in spans
    ]
    arrays = b",".join(filter(None, raws))
    # An item that begins with a bracket looks like the end, but for the comma before its quote.
    if b'\\"' not in arrays and b',"]' not in arrays:
        # What is no whole array leaves a bracket open, or has a colon in it.
        with suppress(orjson.JSONDecodeError, TypeError):
            lists: list[list[str]] = orjson.loads(b"[" + arrays + b"]")
            values: Column = [ARRAY_PREFIX + ARRAY_SEPARATOR.join(items) for items in lists]
            return _json_filled(spans, field, raws, values)
    return _one_by_one(spans, field)


def _json_filled(spans: list[Span], field: _Field, raws: list[bytes], values: Column) -> Column:
    """The values, and those of events in which the header was not found: None, but for an event that has the
    name somewhere."""
    if len(values) == len(spans):
        return values
    name = field.key[1:-1]
    found = iter(values)
    return [
        next(found)
        if raw
        else None
        if data.find(name, begin, end) < 0
        else JsonEvent(data[begin:end]).get(field.name)
        for raw, (data, begin, end) in zip(raws, spans, strict=True)
    ]


def _one_by_one(spans: list[Span], field: _Field) -> Column:
    return [JsonEvent(data[begin:end]).get(field.name) for data, begin, end in spans]


def _plain_column(spans: list[Span], field: _Field) -> Column:
    _, key, _, search = field
    size = len(key)
    raws = [
        data[start : data.find(b"\n", start, end)]
        if (start := search(data, key, begin - 1, end) + size) >= size
        else _MISSING
        for data, begin, end in spans
    ]
    joined = b"\0".join(raws)
    values: Column = [*url_decode(joined).split("\0")]
    if len(values) != len(raws):
        values = [*map(url_decode, raws)]
    if UNDEFINED in joined:
        values = ["" if raw == UNDEFINED else value for raw, value in zip(raws, values, strict=True)]
    if _MISSING in joined:
        values = [None if raw == _MISSING else value for raw, value in zip(raws, values, strict=True)]
    return values
