"""Events, read lazily: an event keeps the bytes that came and decodes only what is asked for.

Single values are found with `bytes.find`; the whole dictionary is built on demand. That is what makes a
client that reads a handful of the ~170 headers of a channel event fast.

The rules are the same for the three formats, and the same for one value and for the dictionary:
text is UTF-8 with undecodable bytes kept as surrogate escapes; of a name that occurs twice the first
value counts, as it does inside the switch; an array is the string `ARRAY::a|:b`, and `get_list` splits it.
"""

import binascii
import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar, overload
from urllib.parse import unquote_to_bytes

import orjson

from .errors import InvalidJSON

ARRAY_PREFIX = "ARRAY::"
ARRAY_SEPARATOR = "|:"
UNDEFINED = "_undef_"  # what the plain format writes for an empty value

MAX_CACHED_NAMES = 4096  # names of headers whose search patterns are kept; a program asks for a few dozen

_P = TypeVar("_P")

_XML_ELEMENT = re.compile(rb"<([^<>/\s]+)>([^<]*)</\1>")
_XML_REFERENCE = re.compile(rb"&(amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});")
_XML_NAMED = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
_JSON_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # not those that stand for undecodable bytes


def text(raw: bytes) -> str:
    """UTF-8 as text; bytes that are not UTF-8 survive as surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def url_decode(raw: bytes) -> str:
    """`%41` as `A`; a `%` without two hexadecimal digits stays what it is, and so does `+`."""
    if b"%" not in raw:
        return raw.decode("utf-8", "surrogateescape")
    if b"=" not in raw and b"\r" not in raw:
        decoded = binascii.a2b_qp(raw.replace(b"%", b"="))  # three times as fast as urllib.parse.unquote
        if len(raw) - len(decoded) == 2 * raw.count(b"%"):  # every % began a valid escape
            return decoded.decode("utf-8", "surrogateescape")
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")


class Event:
    """One event of the switch. A read-only mapping of header names to text; `body` is its inner body.

    >>> event = PlainEvent(b"Event-Name: CUSTOM\\nEvent-Subclass: sofia%3A%3Aregister\\n\\n")
    >>> event.name, event.subclass, event["Event-Subclass"], event.get("Nothing")
    ('CUSTOM', 'sofia::register', 'sofia::register', None)
    """

    __slots__ = ("_headers", "raw")

    format = ""  # plain, json or xml

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """The body of the frame, as it came."""
        self._headers: dict[str, str] | None = None

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: None) -> str | None: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of header `name`, or `default`. Raises `InvalidJSON` when the event is malformed."""
        raise NotImplementedError

    def _parse(self) -> dict[str, str]:
        raise NotImplementedError

    @property
    def body(self) -> str:
        """The inner body (a BACKGROUND_JOB's result, a MESSAGE's text), or ''."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """`Event-Name`, or '' when the event has none."""
        return self.get("Event-Name", "")

    @property
    def subclass(self) -> str:
        """`Event-Subclass` of a CUSTOM event, or ''."""
        return self.get("Event-Subclass", "")

    def get_list(self, name: str) -> list[str]:
        """The values of header `name`: several for an array, one for a plain value, none when absent."""
        value = self.get(name)
        if value is None:
            return []
        if value.startswith(ARRAY_PREFIX):
            return value[len(ARRAY_PREFIX) :].split(ARRAY_SEPARATOR)
        return [value]

    def as_dict(self) -> dict[str, str]:
        """All headers, in the order of the wire. Built once; do not change it."""
        headers = self._headers
        if headers is None:
            headers = self._headers = self._parse()
        return headers

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self.format == other.format and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        try:
            what = self.subclass or self.name
        except InvalidJSON:
            what = "malformed"
        return f"<{type(self).__name__} {what} {len(self.raw)} bytes>"


_plain_patterns: dict[str, tuple[bytes, bytes]] = {}
_json_patterns: dict[str, bytes] = {}


def _remember(cache: dict[str, _P], name: str, pattern: _P) -> _P:
    if len(cache) >= MAX_CACHED_NAMES:
        cache.clear()
    cache[name] = pattern
    return pattern


class PlainEvent(Event):
    """An event of `event plain`: URL-encoded header lines, a blank line, perhaps a body."""

    __slots__ = ("_searched",)

    format = "plain"

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._headers = None
        self._searched = 0  # there is no blank line before this place

    def get(self, name: str, default: str | None = None) -> Any:
        headers = self._headers
        if headers is not None:
            return headers.get(name, default)
        raw = self.raw
        patterns = _plain_patterns.get(name)
        if patterns is None:
            if "\n" in name or ": " in name:
                return default
            patterns = _plain_pattern(name)
        first, later = patterns
        if raw.startswith(first):
            start = len(first)
        else:
            start = raw.find(later)
            if start < 0:
                return default
            if start > self._searched:
                if raw.find(b"\n\n", self._searched, start + 1) >= 0:
                    return default  # found in the body
                self._searched = start
            start += len(later)
        stop = raw.find(b"\n", start)
        value = raw[start:stop] if stop >= 0 else raw[start:]
        if b"%" in value:
            return url_decode(value)
        return value.decode("utf-8", "surrogateescape") if value != b"_undef_" else ""

    def _end(self) -> int:
        end = self.raw.find(b"\n\n")
        return len(self.raw) if end < 0 else end

    def _parse(self) -> dict[str, str]:
        lines = text(self.raw[: self._end()]).split("\n")
        try:
            headers = dict([line.split(": ", 1) for line in lines])
        except ValueError:
            return _careful_plain(lines)
        if len(headers) != len(lines):
            return _careful_plain(lines)
        for name, value in headers.items():
            if "%" in value or value == UNDEFINED:
                headers[name] = _plain_value(value)
        return headers

    @property
    def body(self) -> str:
        return text(self.raw[self._end() + 2 :])


def _plain_pattern(name: str) -> tuple[bytes, bytes]:
    """What a header's line begins with, as the first one and as a later one."""
    first = name.encode("utf-8", "surrogateescape") + b": "
    return _remember(_plain_patterns, name, (first, b"\n" + first))


def _plain_value(value: str) -> str:
    return "" if value == UNDEFINED else url_decode(value.encode("utf-8", "surrogateescape"))


def _careful_plain(lines: list[str]) -> dict[str, str]:
    """Where a name occurs twice the first counts; a line that is no header is left out."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if colon:
            headers.setdefault(name, _plain_value(value))
    return headers


class JsonEvent(Event):
    """An event of `event json`: one object of strings, arrays of strings, and `_body`."""

    __slots__ = ()

    format = "json"

    def get(self, name: str, default: str | None = None) -> Any:
        headers = self._headers
        if headers is not None:
            return headers.get(name, default)
        pattern = _json_patterns.get(name)
        if pattern is None:
            pattern = _json_pattern(name)
        raw = self.raw
        start = raw.find(pattern)
        if start >= 0:
            start += len(pattern)
            stop = raw.find(b'"', start)
            value = raw[start:stop]
            if stop >= 0 and b"\\" not in value:
                return value.decode("utf-8", "surrogateescape")
            return _json_string_at(raw, start - 1)
        if raw.find(pattern[:-2]) < 0 and name.isascii():
            return default
        return self.as_dict().get(name, default)

    def _parse(self) -> dict[str, str]:
        raw = self.raw
        try:
            headers = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return _careful_json(raw)
        if type(headers) is not dict:
            raise InvalidJSON("the event is not a JSON object")
        # In a value every quote is escaped, so `":"` counts the names that have a string. Fewer in the
        # dictionary means that a name occurs twice: then, as in the switch, the first must win.
        pairs = raw.count(b'":"')
        kinds = set(map(type, headers.values()))
        if kinds == {str, list}:
            pairs += _join_arrays(headers)
        elif kinds != {str}:
            return _careful_json(raw)
        if pairs != len(headers):
            return _careful_json(raw)
        headers.pop("_body", None)
        return headers

    @property
    def body(self) -> str:
        pattern = b'"_body":"'
        start = self.raw.rfind(pattern)
        if start < 0:
            return _careful_pairs(self.raw).get("_body", "") if b'"_body"' in self.raw else ""
        return _json_string_at(self.raw, start + len(pattern) - 1)


def _json_pattern(name: str) -> bytes:
    if name == "_body":  # not a header
        return _remember(_json_patterns, name, b'\n"":"')
    try:
        key = orjson.dumps(name)
    except orjson.JSONEncodeError:  # surrogate escapes
        key = b'"' + name.encode("utf-8", "surrogateescape") + b'"'
    return _remember(_json_patterns, name, key + b':"')


def _json_string_at(raw: bytes, start: int) -> str:
    """The JSON string that begins with the quote at `start`."""
    match = _JSON_STRING.match(raw, start)
    if match is None:
        raise InvalidJSON("a string of the event has no end")
    try:
        return str(orjson.loads(match.group()))
    except orjson.JSONDecodeError:
        return _clean(str(_lenient_json(match.group())))


def _lenient_json(raw: bytes) -> Any:
    """As the standard library reads it, pairs of an object in order; bytes that are not UTF-8 survive."""
    try:
        return json.loads(text(raw), strict=False, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise InvalidJSON(f"the event is not JSON: {error}") from None


def _careful_pairs(raw: bytes) -> dict[str, str]:
    pairs = _lenient_json(raw)
    if not raw.lstrip().startswith(b"{"):
        raise InvalidJSON("the event is not a JSON object")
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers.setdefault(_clean(name), _clean(_json_value(name, value)))
    return headers


def _careful_json(raw: bytes) -> dict[str, str]:
    headers = _careful_pairs(raw)
    headers.pop("_body", None)
    return headers


def _clean(value: str) -> str:
    return _LONE_SURROGATE.sub("\ufffd", value)


def _json_value(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ARRAY_PREFIX + ARRAY_SEPARATOR.join(value)
    raise InvalidJSON(f"{name!r} is neither a string nor an array of strings")


def _join_arrays(headers: dict[str, Any]) -> int:
    """Turns the arrays into the strings that the switch keeps for them; how many there were."""
    arrays = [name for name, value in headers.items() if type(value) is list]
    for name in arrays:
        headers[name] = _json_value(name, headers[name])
    return len(arrays)


class XmlEvent(Event):
    """An event of `event xml`. Values are URL-encoded inside the elements; an array is a repeated element."""

    __slots__ = ()

    format = "xml"

    def get(self, name: str, default: str | None = None) -> Any:
        return self.as_dict().get(name, default)

    def get_list(self, name: str) -> list[str]:
        wanted = name.encode("utf-8", "surrogateescape")
        return [url_decode(value) for found, value in self._elements() if found == wanted]

    def _elements(self) -> list[tuple[bytes, bytes]]:
        raw = self.raw
        body = raw.find(b"<body>")
        return _XML_ELEMENT.findall(raw if body < 0 else raw[:body])

    def _parse(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in self._elements():
            headers.setdefault(text(name), url_decode(_XML_REFERENCE.sub(_dereference, value)))
        return headers

    @property
    def body(self) -> str:
        start = self.raw.find(b"<body>")
        stop = self.raw.rfind(b"</body>")
        if start < 0 or stop < start:
            return ""
        return text(_XML_REFERENCE.sub(_dereference, self.raw[start + 6 : stop]))


def _dereference(match: re.Match[bytes]) -> bytes:
    reference = match.group(1)
    if not reference.startswith(b"#"):
        return _XML_NAMED[reference]
    number = int(reference[2:], 16) if reference[1:2] == b"x" else int(reference[1:])
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return match.group()
    return chr(number).encode()
