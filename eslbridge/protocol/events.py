"""Events, read lazily: an event keeps the bytes that came and decodes only what is asked for.

Single values are found with `bytes.find` and `bytes.rfind`, the whole dictionary is built on demand. That
makes a client fast that reads a handful of an event's ~170 headers.

The rules are the same for the three formats, and for one value as for the dictionary: text is UTF-8 with
undecodable bytes kept as surrogate escapes; of a name that occurs twice the first value counts, as inside the
switch (of a `variable_…` the last: they stand at the end, and the switch sends none twice); an array is the
string `ARRAY::a|:b`, which `get_list` splits.
"""

import binascii
import json
import re
from collections.abc import Iterator
from itertools import repeat
from typing import Any, overload
from urllib.parse import unquote_to_bytes

import orjson

from .errors import InvalidJSON

ARRAY_PREFIX = "ARRAY::"
ARRAY_SEPARATOR = "|:"
VARIABLE_PREFIX = "variable_"
BEGINNING = b"Event-Name: "  # of the plain events that the switch makes itself, but for CUSTOM
CONTENT_LENGTH = b"\nContent-Length: "  # of the inner body, which no event without one has
UNDEFINED = b"_undef_"  # what the plain format writes for an empty value

MAX_CACHED_NAMES = 4096  # names of headers whose search patterns are kept; a program asks for a few dozen

_JSON_PUNCTUATION = (",", ":", "]", "}")  # what can follow a quote that ends a string
# Bytes as numbers: `92 in raw` is ten times as fast as `b"\\" in raw`.
_BACKSLASH = ord("\\")
_QUOTE = ord('"')
_NEWLINE = ord("\n")
_PERCENT = ord("%")
_EQUALS = ord("=")
_RETURN = ord("\r")
_PERCENT_AS_EQUALS = bytes.maketrans(b"%", b"=")
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
    return text(_unquoted(raw) if _PERCENT in raw else raw)


def url_decode_all(raws: list[bytes]) -> list[str]:
    """The same for many: all at once costs half of one by one, but none may bring a separator of its own."""
    decoded = url_decode(b"\0".join(raws)).split("\0")
    return decoded if len(decoded) == len(raws) else list(map(url_decode, raws))


def _unquoted(raw: bytes) -> bytes:
    if _EQUALS not in raw and _RETURN not in raw:
        decoded = binascii.a2b_qp(raw.translate(_PERCENT_AS_EQUALS))  # much faster than urllib.parse.unquote
        if len(raw) - len(decoded) == 2 * raw.count(b"%"):  # every % began a valid escape
            return decoded
    return unquote_to_bytes(raw)


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


_Pattern = tuple[bytes, int, bool]
"""What stands before the value of a header, its length, and whether the last one counts: of a variable."""

_plain_patterns: dict[str, _Pattern] = {}
_json_patterns: dict[str, _Pattern] = {}


def _remember(cache: dict[str, _Pattern], name: str, pattern: bytes) -> _Pattern:
    if len(cache) >= MAX_CACHED_NAMES:
        cache.clear()
    cache[name] = found = (pattern, len(pattern), name.startswith(VARIABLE_PREFIX))
    return found


def _counts(name: str, headers: dict[str, str]) -> bool:
    """Whether the value that comes now is the one that counts."""
    return name not in headers or name.startswith(VARIABLE_PREFIX)


def _name_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


class PlainEvent(Event):
    """An event of `event plain`: URL-encoded header lines, a blank line, and the body if there is one."""

    __slots__ = ("_end",)

    format = "plain"

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._headers = None
        self._end = -1  # where the header lines end, once known

    def get(self, name: str, default: str | None = None) -> Any:
        if self._headers is not None:
            return self._headers.get(name, default)
        try:
            pattern, size, is_last = _plain_patterns[name]
        except KeyError:
            pattern, size, is_last = _remember(_plain_patterns, name, plain_pattern(name))
        raw = self.raw
        end = self._end
        if end < 0 or not pattern:
            if not pattern or not raw.startswith(BEGINNING):  # CUSTOM: any header may be the first
                return self.as_dict().get(name, default)
            end = self._end = self._find_end()
        start = raw.rfind(pattern, 0, end) if is_last else raw.find(pattern, 0, end)
        if start < 0:
            return default
        start += size
        stop = raw.find(_NEWLINE, start)
        value = raw[start:stop] if stop >= 0 else raw[start:]
        if _PERCENT in value or value == UNDEFINED:
            return _plain_value(value)
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("utf-8", "surrogateescape")

    def _find_end(self) -> int:
        """A look-up must not read on into the body. There is one only after a Content-Length of the event's
        own; to look for that from the end is faster than for a blank line from the beginning."""
        raw = self.raw
        if raw.rfind(CONTENT_LENGTH) < 0 and not raw.startswith(b"Content-Length: "):
            return len(raw)
        end = raw.find(b"\n\n")
        return end if end >= 0 else len(raw)

    def _parse(self) -> dict[str, str]:
        block = text(self.raw[: self._find_end()]).rstrip("\n")
        lines = block.split("\n")
        headers = {name: value for name, _, value in map(str.partition, lines, repeat(": "))}
        if len(headers) != len(lines) or "" in headers.values():
            headers = _careful_plain(lines)
        if "_undef_" in block:
            for name in [name for name, value in headers.items() if value == "_undef_"]:
                headers[name] = ""
        encoded = [name for name, value in headers.items() if "%" in value]
        values = [headers[name].encode("utf-8", "surrogateescape") for name in encoded]
        headers.update(zip(encoded, url_decode_all(values), strict=True))
        return headers

    @property
    def body(self) -> str:
        return text(self.raw[self._find_end() + 2 :])


def plain_pattern(name: str) -> bytes:
    """What stands before the value of a header behind the first; b'' for a name that no header can have."""
    if "\n" in name or ": " in name:
        return b""
    return BEGINNING if name == "Event-Name" else b"\n" + _name_bytes(name) + b": "


def _careful_plain(lines: list[str]) -> dict[str, str]:
    """Lines of which one is no header, or has the name of another."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if colon and _counts(name, headers):
            headers[name] = value
    return headers


def _plain_value(value: bytes) -> str:
    return "" if value == UNDEFINED else url_decode(value)


class JsonEvent(Event):
    """An event of `event json`: one object of strings, arrays of strings, and `_body`."""

    __slots__ = ()

    format = "json"

    def get(self, name: str, default: str | None = None) -> Any:
        if self._headers is not None:
            return self._headers.get(name, default)
        try:
            pattern, size, is_last = _json_patterns[name]
        except KeyError:
            pattern, size, is_last = _remember(_json_patterns, name, _json_pattern(name))
        # Inside of a string every quote is escaped: behind no backslash, what is found is a whole name.
        raw = self.raw
        start = raw.rfind(pattern) if is_last else raw.find(pattern)
        if start < 0 or raw[start - 1] == _BACKSLASH:
            return self._get_other(name, default)
        start += size + 1
        try:
            value = raw[start : raw.index(_QUOTE, start)]
            if _BACKSLASH not in value and raw[start - 1] == _QUOTE:
                return value.decode()
        except ValueError:  # no end, or no UTF-8
            pass
        return self._get_unusual(start - 1, name, default)

    def _get_unusual(self, start: int, name: str, default: str | None) -> str | None:
        """A value, which begins at `start`, that is no string, or one with escapes in it."""
        raw = self.raw
        if raw.startswith(b'"', start):
            return _json_string_at(raw, start)
        if raw.startswith(b'["', start):
            stop = raw.find(b'"]', start)
            joined = text(raw[start + 2 : stop]).replace('","', ARRAY_SEPARATOR)
            if stop > start + 1 and "\\" not in joined and '"' not in joined:
                return ARRAY_PREFIX + joined
        return self.as_dict().get(name, default)

    def _get_other(self, name: str, default: str | None) -> str | None:
        """A value whose name is written in another way, or is none at all."""
        if name == "_body":
            return default
        if not name.startswith(_JSON_PUNCTUATION) and name.isascii() and json_name(name) not in self.raw:
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
        # Of a name that occurs twice the parser may have kept the wrong value. orjson writes as short as can
        # be, so what it writes in the same length has lost nothing; and the switch writes as short.
        try:
            if len(orjson.dumps(headers)) != len(raw):
                return _careful_json(raw)
        except orjson.JSONEncodeError:  # what is nested too deep
            return _careful_json(raw)
        for name in [name for name, value in headers.items() if value.__class__ is not str]:
            headers[name] = _json_value(name, headers[name])
        headers.pop("_body", None)
        return headers

    @property
    def body(self) -> str:
        pattern = b'"_body":"'
        start = self.raw.rfind(pattern)
        if start >= 0 and self.raw[start - 1] != _BACKSLASH:
            return _json_string_at(self.raw, start + len(pattern) - 1)
        if b'"_body"' not in self.raw:
            return ""
        return _careful_pairs(self.raw).get("_body", "")


def _json_pattern(name: str) -> bytes:
    if name == "_body" or name.startswith(_JSON_PUNCTUATION):
        return b'\n"":"'  # occurs nowhere
    return json_name(name) + b":"


def json_name(name: str) -> bytes:
    try:
        return orjson.dumps(name)
    except orjson.JSONEncodeError:  # surrogate escapes
        return b'"' + _name_bytes(name) + b'"'


def _json_string_at(raw: bytes, start: int) -> str:
    """The JSON string that begins with the quote at `start`."""
    stop = raw.find(_QUOTE, start + 1)
    if stop > 0 and raw[stop - 1] != _BACKSLASH:
        string = raw[start : stop + 1]
    else:
        match = _JSON_STRING.match(raw, start)
        if match is None:
            raise InvalidJSON("a string of the event has no end")
        string = match.group()
    try:
        value: str = orjson.loads(string)
    except orjson.JSONDecodeError:
        return _clean(_lenient_json(string))
    return value


def _lenient_json(raw: bytes) -> Any:
    """As the standard library reads it, an object as its pairs; bytes that are not UTF-8 survive."""
    try:
        return json.loads(text(raw), strict=False, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise InvalidJSON(f"the event is not JSON: {error}") from None


def _careful_pairs(raw: bytes) -> dict[str, str]:
    pairs = _lenient_json(raw)
    if type(pairs) is not tuple:
        raise InvalidJSON("the event is not a JSON object")
    headers: dict[str, str] = {}
    for name, value in pairs:
        if _counts(name, headers):
            headers[_clean(name)] = _clean(_json_value(name, value))
    return headers


def _careful_json(raw: bytes) -> dict[str, str]:
    headers = _careful_pairs(raw)
    headers.pop("_body", None)
    return headers


def _clean(value: str) -> str:
    """Without the lone surrogates that JSON can hold, and that nothing could write again."""
    return _LONE_SURROGATE.sub("\ufffd", value)


def _json_value(name: str, value: object) -> str:
    """A string, or an array as the one string that the switch keeps for it."""
    if type(value) is str:
        return value
    if type(value) is not list or not all(type(item) is str for item in value):
        raise InvalidJSON(f"{name!r} is neither a string nor an array of strings")
    return ARRAY_PREFIX + ARRAY_SEPARATOR.join(value)


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
            key = text(name)
            if _counts(key, headers):
                headers[key] = url_decode(_XML_REFERENCE.sub(_dereference, value))
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
