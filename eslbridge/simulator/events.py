"""Events as the switch makes them, and the three ways it writes them to a socket."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import orjson

Value = str | list[str]
Header = tuple[str, Value]

# What the switch escapes in plain and XML events. A "%" that already starts an escape is left alone,
# which is why a literal "%41" reaches a plain listener decoded.
_ESCAPED = re.compile(rb'%(?![0-9A-Fa-f]{2})|[\x00-\x20\x7f-\xff #&+:;<=>?@\[\\\]^`{|}"]')
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9_./,()!*'$~-]*\Z")


class Event:
    """One event: a name, ordered headers (a name may come twice, a value may be an array), perhaps a body."""

    __slots__ = ("_encoded", "_index", "body", "headers", "name", "subclass")

    def __init__(
        self, name: str, headers: list[Header], body: str | None = None, subclass: str | None = None
    ):
        self.name = name
        self.subclass = subclass
        self.headers = headers
        self.body = body
        self._encoded: dict[str, bytes] = {}
        self._index: dict[str, Value] | None = None

    def get(self, name: str) -> str | None:
        """The value of a header, looked up without regard to case; arrays as the switch joins them."""
        if self._index is None:
            self._index = {}
            for key, value in self.headers:
                self._index.setdefault(key.lower(), value)
        found = self._index.get(name.lower())
        return flat(found) if found is not None else None

    def frame(self, form: str) -> bytes:
        """The whole frame, as bytes, in ``plain``, ``json`` or ``xml``."""
        if form not in self._encoded:
            content = _WRITERS[form](self)
            head = b"Content-Length: %d\nContent-Type: text/event-%s\n\n" % (len(content), form.encode())
            self._encoded[form] = head + content
        return self._encoded[form]


def flat(value: Value) -> str:
    """A value as one string; an array in the switch's own notation."""
    if isinstance(value, str):
        return value
    return "ARRAY::" + "|:".join(value)


def as_array(text: str) -> Value:
    """What the switch makes of a value that a client gives it."""
    return text.removeprefix("ARRAY::").split("|:") if text.startswith("ARRAY::") else text


def url_encode(text: str) -> str:
    """Escapes a value as the switch does in plain and XML events."""
    if _NEVER_ESCAPED.match(text):
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")


def plain_lines(headers: Iterable[Header]) -> str:
    """Header lines as a plain event has them, without the blank line at the end."""
    return "".join(f"{name}: {url_encode(flat(value)) or '_undef_'}\n" for name, value in headers)


def _plain(event: Event) -> bytes:
    text = plain_lines(event.headers)
    if not event.body:
        return (text + "\n").encode("utf-8", "surrogateescape")
    body = event.body.encode("utf-8", "surrogateescape")
    return text.encode("utf-8", "surrogateescape") + b"Content-Length: %d\n\n" % len(body) + body


def json_object(headers: list[Header]) -> bytes:
    """A JSON object that keeps the order and every repeated name."""
    try:
        whole = dict(headers)
        if len(whole) == len(headers):
            return orjson.dumps(whole)
        return b"{" + b",".join(orjson.dumps(k) + b":" + orjson.dumps(v) for k, v in headers) + b"}"
    except (TypeError, ValueError):
        pairs = (f"{json.dumps(k)}:{json.dumps(v, ensure_ascii=False)}" for k, v in headers)
        return ("{" + ",".join(pairs) + "}").encode("utf-8", "surrogateescape")


def _json(event: Event) -> bytes:
    if event.body is None:
        return json_object(event.headers)
    length = len(event.body.encode("utf-8", "surrogateescape"))
    return json_object([*event.headers, ("Content-Length", str(length)), ("_body", event.body)])


def _xml_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _xml(event: Event) -> bytes:
    lines = ["<event>\n  <headers>\n"]
    for name, value in event.headers:
        values = [value] if isinstance(value, str) else value
        lines += [f"    <{name}>{url_encode(one)}</{name}>\n" for one in values]
    if event.body:
        length = len(event.body.encode("utf-8", "surrogateescape"))
        lines.append(f"    <Content-Length>{length}</Content-Length>\n")
    lines.append("  </headers>\n")
    if event.body:
        lines.append(f"  <body>{_xml_text(event.body)}</body>\n")
    lines.append("</event>\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


_WRITERS = {"plain": _plain, "json": _json, "xml": _xml}


# Every event name that `event` accepts (switch_event.c keeps this list).
EVENT_NAMES = frozenset(
    [
        "CUSTOM",
        "CLONE",
        "CHANNEL_CREATE",
        "CHANNEL_DESTROY",
        "CHANNEL_STATE",
        "CHANNEL_CALLSTATE",
        "CHANNEL_ANSWER",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_EXECUTE",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_HOLD",
        "CHANNEL_UNHOLD",
        "CHANNEL_BRIDGE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_PROGRESS",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_OUTGOING",
        "CHANNEL_PARK",
        "CHANNEL_UNPARK",
        "CHANNEL_APPLICATION",
        "CHANNEL_ORIGINATE",
        "CHANNEL_UUID",
        "API",
        "LOG",
        "INBOUND_CHAN",
        "OUTBOUND_CHAN",
        "STARTUP",
        "SHUTDOWN",
        "PUBLISH",
        "UNPUBLISH",
        "TALK",
        "NOTALK",
        "SESSION_CRASH",
        "MODULE_LOAD",
        "MODULE_UNLOAD",
        "DTMF",
        "MESSAGE",
        "PRESENCE_IN",
        "NOTIFY_IN",
        "PRESENCE_OUT",
        "PRESENCE_PROBE",
        "MESSAGE_WAITING",
        "MESSAGE_QUERY",
        "ROSTER",
        "CODEC",
        "BACKGROUND_JOB",
        "DETECTED_SPEECH",
        "DETECTED_TONE",
        "PRIVATE_COMMAND",
        "HEARTBEAT",
        "TRAP",
        "ADD_SCHEDULE",
        "DEL_SCHEDULE",
        "EXE_SCHEDULE",
        "RE_SCHEDULE",
        "RELOADXML",
        "NOTIFY",
        "PHONE_FEATURE",
        "PHONE_FEATURE_SUBSCRIBE",
        "SEND_MESSAGE",
        "RECV_MESSAGE",
        "REQUEST_PARAMS",
        "CHANNEL_DATA",
        "GENERAL",
        "COMMAND",
        "SESSION_HEARTBEAT",
        "CLIENT_DISCONNECTED",
        "SERVER_DISCONNECTED",
        "SEND_INFO",
        "RECV_INFO",
        "RECV_RTCP_MESSAGE",
        "SEND_RTCP_MESSAGE",
        "CALL_SECURE",
        "NAT",
        "RECORD_START",
        "RECORD_STOP",
        "PLAYBACK_START",
        "PLAYBACK_STOP",
        "CALL_UPDATE",
        "FAILURE",
        "SOCKET_DATA",
        "MEDIA_BUG_START",
        "MEDIA_BUG_STOP",
        "CONFERENCE_DATA_QUERY",
        "CONFERENCE_DATA",
        "CALL_SETUP_REQ",
        "CALL_SETUP_RESULT",
        "CALL_DETAIL",
        "DEVICE_STATE",
        "TEXT",
        "SHUTDOWN_REQUESTED",
        "ALL",
    ]
)
