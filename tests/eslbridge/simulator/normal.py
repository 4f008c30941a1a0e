"""Takes out of a conversation what differs each time: UUIDs, times, ports, host names and counters."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from .conversation import Frame

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")

# Headers that hold nothing but such a thing.
MASKED = re.compile(
    r"""FreeSWITCH-(Hostname|Switchname|IPv4|IPv6)|Event-Sequence|variable_Event-Sequence|Core-UUID
    |variable_(Core-UUID|FreeSWITCH-.*)|variable_session_id|.*network-port|.*-Port
    |variable_(sip_(network|received|contact|via|reply|to)_port|sip_via_rport|.*_media_port|rtp_use_ssrc|sip_cseq)
    |variable_sip_(to|from)_tag|variable_rtp_audio_.*(count|bytes)|variable_record_(file_size|samples|seconds|ms)
    |variable_.*(duration|sec|msec|usec)|variable_hold_accum_.*|Caller-Channel-Hold-Accum
    |Other-Leg-Channel-Hold-Accum|Up-Time|Uptime-msec|Session-.*|Idle-CPU|user-agent|Content-Length|Job-Owner-UUID
    |variable_.*_u?epoch|variable_.*_stamp""",
    re.VERBOSE,
)
PATTERNS = (
    (re.compile(r"\b\d{4}-\d\d-\d\d([ -])\d\d([:-])\d\d([:-])\d\d"), "<date>"),
    (
        re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d (GMT|[+-]\d{4})"),
        "<date>",
    ),
    (re.compile(r"\b1\d{15}\b"), "<us>"),
    (re.compile(r"(?<![\d+])1[67]\d{8}\b"), "<s>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<call-id>"),
    (re.compile(r"tag=[\w.-]+"), "tag=<tag>"),
    (re.compile(r"branch=z9hG4bK[\w.-]+"), "branch=<branch>"),
    (re.compile(r"rport=\d+"), "rport=<port>"),
    (re.compile(r"127\.0\.0\.1:(?!50[68]0\b|5999\b|80\d\d\b)\d+"), "127.0.0.1:<port>"),
    (re.compile(r"m=audio \d+"), "m=audio <port>"),
    (re.compile(r"o=FreeSWITCH \d+ \d+"), "o=FreeSWITCH <n> <n>"),
    (re.compile(r"/\S*/(recordings|sounds)/"), r"<\1>/"),
)
# Bodies of api answers: what counts, measures or names the machine.
BODY_PATTERNS = (
    (re.compile(r"^UP .*$", re.MULTILINE), "UP <uptime>"),
    (re.compile(r"\d+ session\(s\)[^\n]*"), "<sessions>"),
    (re.compile(r"min idle cpu [\d./]+"), "min idle cpu <n>"),
    (re.compile(r'"hostname":"\w+"'), '"hostname":"<host>"'),
    (re.compile(r'"network_port":"\d+"'), '"network_port":"<port>"'),
    (re.compile(r"rig-softphone/1\.0|patchbay-softphone/1\.0"), "<agent>"),
    (re.compile(r"expsecs\(\d+\)|EXPSECS\(\d+\)"), "expsecs(<n>)"),
    (re.compile(r"(<host>|<network-port>|<uptime-usec>|<ping>)[^<]*"), r"\1<n>"),
    (re.compile(r"^(Host|Port|Uptime|Ping)(:?\s+)\S+$", re.MULTILINE), r"\1\2<n>"),
)


@dataclass
class Names:
    """UUIDs get names in the order in which they appear."""

    known: dict[str, str] = field(default_factory=dict)

    def clean(self, text: str) -> str:
        text = UUID.sub(lambda found: self.known.setdefault(found[0], f"<uuid{len(self.known) + 1}>"), text)
        for pattern, replacement in PATTERNS:
            text = pattern.sub(replacement, text)
        return text


@dataclass
class Line:
    """A frame, ready to be compared: what it is, and its headers with cleaned values."""

    kind: str
    name: str
    leg: str
    free: bool
    headers: list[tuple[str, Any]]
    body: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.name, self.leg

    @property
    def header_names(self) -> list[str]:
        return [name for name, _ in self.headers]


def event_headers(frame: Frame) -> tuple[list[tuple[str, Any]], str]:
    """Header pairs and body of an event in any format."""
    if frame.kind == "text/event-json":
        pairs = json.loads(frame.body, object_pairs_hook=list)
        body = next((value for name, value in pairs if name == "_body"), "")
        return [pair for pair in pairs if pair[0] != "_body"], body
    if frame.kind == "text/event-plain":
        head, _, body = frame.text.partition("\n\n")
        pairs = [line.split(": ", 1) for line in head.split("\n")]
        return [(name, unquote(value)) for name, value in pairs], body
    root = ElementTree.fromstring(frame.body)
    headers = root.find("headers")
    assert headers is not None
    return [(node.tag, unquote(node.text or "")) for node in headers], root.findtext("body") or ""


def lines_of(frames: list[Frame]) -> list[Line]:
    """Frames as comparable lines. UUIDs are named in the order of the frames."""
    names = Names()
    return [_line(frame, names) for frame in frames]


def _line(frame: Frame, names: Names) -> Line:
    if frame.kind.startswith("text/event-"):
        pairs, body = event_headers(frame)
        plain = dict(pairs)
        name = plain.get("Event-Name", "") + (
            ":" + plain["Event-Subclass"] if "Event-Subclass" in plain else ""
        )
        leg = names.clean(plain.get("Unique-ID", ""))
        ending = plain.get("Answer-State") == "hangup"
        display = plain.get("Direction") == "SEND"
        free = bool(leg) and (ending or display)
        return Line(frame.kind, name, leg, free, _clean(pairs, names), clean_body(body, names))
    headers: list[tuple[str, Any]] = list(frame.headers)
    if headers[:1] == [("Event-Name", "CHANNEL_DATA")]:
        headers = [(name, unquote(value)) for name, value in headers]
    body = frame.text
    if body.startswith('{"Event-Name"'):
        headers += json.loads(body, object_pairs_hook=list)
        body = ""
    return Line(
        frame.kind, frame["Reply-Text"][:4], "", False, _clean(headers, names), clean_body(body, names)
    )


def _clean(pairs: list[tuple[str, Any]], names: Names) -> list[tuple[str, Any]]:
    cleaned: list[tuple[str, Any]] = []
    for name, value in pairs:
        if MASKED.fullmatch(name):
            cleaned.append((name, "<*>"))
        elif isinstance(value, list):
            cleaned.append((name, [names.clean(one) for one in value]))
        else:
            cleaned.append((name, names.clean(str(value))))
    return cleaned


def clean_body(text: str, names: Names) -> str:
    for pattern, replacement in BODY_PATTERNS:
        text = pattern.sub(replacement, text)
    return names.clean(text)


def by_leg(lines: list[Line]) -> list[list[Line]]:
    """What must be in one order: everything that is not free, and each leg by itself."""
    fixed = [line for line in lines if not line.free]
    legs: dict[str, list[Line]] = {}
    for line in lines:
        if line.leg:
            legs.setdefault(line.leg, []).append(line)
    return [fixed, *(legs[leg] for leg in sorted(legs))]
