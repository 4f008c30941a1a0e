"""Cuts the byte stream of an event socket into messages.

A frame is header lines, a blank line, and as many BYTES of body as `Content-Length` says. The parser keeps
an incomplete frame and nothing else; its size is limited.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .batches import Batch, Span
from .errors import (
    ESLError,
    FrameTooLarge,
    MissingContentType,
    ProtocolError,
    UnhandledContentType,
)
from .events import Event, JsonEvent, PlainEvent, XmlEvent, text

MAX_HEADER_BYTES: Final = 1024 * 1024
"""Of one header block. The largest real one, the answer to `connect`, has about 10 KB and all variables."""
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Of one body. 10,000 registrations as JSON are 3 MB."""
MAX_CACHED_HEADERS: Final = 8192
"""Header blocks of events and outputs that are remembered: they differ only in the length."""
MAX_CACHED_BYTES: Final = 100
"""Of such a header block."""

_LENGTH_DIGITS: Final = 18  # more digits than any limit; int() of a longer text costs quadratic time


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """The switch greets and wants `auth` or `userauth`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`command/reply`: the answer to everything but `api`. Of most, only `is_error` is ever read."""

    block: bytes
    """The header lines of the frame."""

    @property
    def value(self) -> str:
        """`Reply-Text` and all that follows it: the value of a variable can have several lines (`getvar`)."""
        return text(self.block.partition(b"Reply-Text: ")[2])

    @property
    def text(self) -> str:
        """`Reply-Text`, e.g. `+OK accepted`."""
        return self.value.partition("\n")[0]

    @property
    def headers(self) -> dict[str, str]:
        """The header lines, e.g. `Job-UUID`, `Allowed-API`."""
        return _parse_headers(self.block)

    @property
    def is_error(self) -> bool:
        """Whether the switch said no."""
        block = self.block
        place = block.find(b"Reply-Text: ")
        return block.startswith(b"-", place + 12)


@dataclass(frozen=True, slots=True)
class ChannelData:
    """The answer to `connect`: the channel's data as URL-encoded headers, with the reply among them."""

    event: Event

    @property
    def text(self) -> str:
        return self.event.get("Reply-Text", "").rstrip("\n")

    @property
    def is_error(self) -> bool:
        return self.text.startswith("-")


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """`api/response`: the output of an API command."""

    body: bytes

    @property
    def text(self) -> str:
        """The output without its last newline; '' for `-ERR no reply`, the switch's word for no output."""
        output = text(self.body).removesuffix("\n")
        return "" if output == "-ERR no reply" else output

    @property
    def is_error(self) -> bool:
        return is_error(self.text)


@dataclass(frozen=True, slots=True)
class LogLine:
    """`log/data`: one line of the switch's log, after `log <level>`."""

    level: int
    file: str
    function: str
    line: int
    user_data: str
    """The UUID of the call that the line is about, if it is about one."""
    text: str


@dataclass(frozen=True, slots=True)
class DisconnectNotice:
    """The switch ends the conversation, or (`linger`) will do so when the last events are sent."""

    text: str
    linger: bool = False
    linger_seconds: int = -1
    """How long it will linger; -1 means until we say `exit`."""
    call: str = ""
    """The UUID of the controlled channel of an outbound conversation."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """`text/rude-rejection`: the switch's ACL refuses our address."""

    text: str


Message = Event | Reply | ChannelData | ApiResponse | LogLine | AuthRequest | DisconnectNotice | Rejection


def is_error(output: str) -> bool:
    """Whether the output of an API command is the switch's way to say no."""
    return output.startswith(("-ERR", "-USAGE"))


_CUT_LOGIN: Final = b"Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-Events: "
_CUT_LOGIN_BYTES: Final = 538
"""The switch has 511 bytes for its answer to `userauth`. When the lists of what the user may do are longer,
the rest is missing, the blank line too, and nothing follows until we send something."""

_REPLY: Final = b"Content-Type: command/reply\nReply-Text: "
_KindOfBody = type[Event] | type[ApiResponse]
_KINDS_OF_BODY: Final[dict[str, _KindOfBody]] = {
    "text/event-json": JsonEvent,
    "text/event-plain": PlainEvent,
    "text/event-xml": XmlEvent,
    "api/response": ApiResponse,
}
"""Messages that are nothing but their body: their header blocks say only how long it is."""


class Parser:
    """Bytes in, messages out.

    `feed` returns what became complete, in a `Batch` when it is nothing but events of one format. When the
    stream breaks the protocol, `feed` returns what was complete before that, `error` says what is wrong, and
    everything after is ignored.
    """

    def __init__(self, max_header: int = MAX_HEADER_BYTES, max_body: int = MAX_BODY_BYTES) -> None:
        self.max_header = max_header
        self.max_body = max_body
        self.error: ESLError | None = None
        self._partial = bytearray()  # a frame that is not complete
        self._needed = 0  # bytes that _partial must have before it is worth looking; 0: no blank line yet
        self._known: dict[bytes, tuple[_KindOfBody, int, int]] = {}  # where the last byte is; and of the body
        self._usual = 0  # length of the last header block that was known: the next one is as long, most often
        self._messages: list[Message] = []  # what was found in the data that is being cut
        self._bodies: list[Span] = []  # and, behind it, messages that are nothing but their body
        self._kind: _KindOfBody = JsonEvent  # of all of them

    @property
    def buffered(self) -> int:
        """Bytes of an incomplete frame that are kept."""
        return len(self._partial)

    def feed(self, data: bytes) -> Sequence[Message]:
        """The messages that `data` completes, in order."""
        if self.error is not None:
            return []
        try:
            start = self._complete(data) if self._partial else 0
            self._cut(data, start)
            if not self._needed and self._partial.startswith(_CUT_LOGIN):
                self._take_cut_login()
        except ESLError as error:
            self._fail(error)
        return self._found()

    def _found(self) -> Sequence[Message]:
        kind, bodies = self._kind, self._bodies
        if bodies and not self._messages and issubclass(kind, Event):
            self._bodies = []
            return Batch(kind, bodies)
        self._end_row()
        messages, self._messages = self._messages, []
        return messages

    def _end_row(self) -> None:
        """Makes messages of the bodies, because something else comes behind them."""
        if self._bodies:
            kind = self._kind
            self._messages += [kind(data[before + 1 : end]) for data, before, end in self._bodies]
            self._bodies = []

    def _add(self, message: Message) -> None:
        self._end_row()
        self._messages.append(message)

    def _complete(self, data: bytes) -> int:
        """What earlier data began. Returns how many bytes of `data` that took: only those are copied."""
        partial = self._partial
        used = len(data)
        if self._needed:
            used = min(used, self._needed - len(partial))
            partial += data[:used]
            if len(partial) < self._needed:
                return used
        else:
            searched = max(0, len(partial) - 1)
            partial += data
            if partial.find(b"\n\n", searched) < 0:
                if len(partial) > self.max_header + 1:
                    raise FrameTooLarge(f"a header block of more than {self.max_header} bytes")
                return used
        complete = bytes(partial)
        partial.clear()
        self._needed = 0
        self._cut(complete, 0)
        return used

    def _fail(self, error: ESLError) -> None:
        self.error = error
        self._partial.clear()

    def _cut(self, data: bytes, position: int) -> None:
        known, usual = self._known, self._usual
        kind_here, bodies = self._kind, self._bodies
        size = len(data)
        while position < size:
            head = data[position : position + usual]
            hit = known.get(head)
            if hit is None:
                end = data.find(b"\n\n", position)
                if end < 0:
                    break
                head = data[position : end + 2]
                hit = known.get(head)
                if hit is None:
                    position = self._cut_other(data, position, end)
                    kind_here, bodies = self._kind, self._bodies
                    if self._needed:
                        break
                    continue
                usual = self._usual = len(head)
            kind, last, size_of_frame = hit
            stop = position + size_of_frame
            if stop > size:
                self._needed = stop - position
                break
            if kind is kind_here:  # nearly always
                bodies.append((data, position + last, stop))
            else:
                self._add_body(kind, (data, position + last, stop))
                kind_here, bodies = self._kind, self._bodies
            position = stop
        if position < size:
            if not self._needed and size - position > self.max_header + 1:
                raise FrameTooLarge(f"a header block of more than {self.max_header} bytes")
            self._partial += data[position:] if position else data

    def _take_cut_login(self) -> None:
        if len(self._partial) >= _CUT_LOGIN_BYTES:
            self._add(Reply(bytes(self._partial[:_CUT_LOGIN_BYTES])))
            del self._partial[:_CUT_LOGIN_BYTES]

    def _cut_other(self, data: bytes, position: int, end: int) -> int:
        """One frame whose header block is not known yet. Returns where the next one begins."""
        block = data[position:end]
        if len(block) > self.max_header:
            raise FrameTooLarge(f"a header block of more than {self.max_header} bytes")
        bare = block.lstrip(b"\n")
        if not bare:  # newlines between frames mean nothing
            return end + 2
        if len(block) >= _CUT_LOGIN_BYTES and block.startswith(_CUT_LOGIN):
            self._add(Reply(block[:_CUT_LOGIN_BYTES]))
            return position + _CUT_LOGIN_BYTES
        if bare.startswith(_REPLY) and b"\nContent-Length:" not in bare:
            self._add(Reply(bare))
            return end + 2
        headers = _parse_headers(bare)
        length = _content_length(headers, self.max_body)
        stop = end + 2 + length
        if stop > len(data):
            self._needed = stop - position
            return position
        kind = _KINDS_OF_BODY.get(headers.get("Content-Type", ""))
        if kind is None:
            self._add(_message(headers, bare, data[end + 2 : stop]))
        else:
            self._add_body(kind, (data, end + 1, stop))
            self._remember(data[position : end + 2], kind, length)
        return stop

    def _add_body(self, kind: "_KindOfBody", span: Span) -> None:
        if kind is not self._kind:
            self._end_row()
            self._kind = kind
        self._bodies.append(span)

    def _remember(self, block: bytes, kind: "_KindOfBody", length: int) -> None:
        if len(self._known) >= MAX_CACHED_HEADERS:
            self._known.clear()
        if len(block) < MAX_CACHED_BYTES:
            self._known[block] = (kind, len(block) - 1, len(block) + length)


def _parse_headers(block: bytes) -> dict[str, str]:
    """Header lines of a frame. Values are as they came: only those of the answer to `connect` are encoded."""
    lines = text(block).split("\n")
    try:
        return dict([line.split(": ", 1) for line in lines])
    except ValueError:
        pairs = [line.partition(":") for line in lines]
        return {name: value.strip(" ") for name, colon, value in pairs if colon}


def _content_length(headers: dict[str, str], limit: int) -> int:
    value = headers.get("Content-Length")
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit()):
        raise ProtocolError(f"Content-Length is {value[:40]!r}")
    if len(value) > _LENGTH_DIGITS or int(value) > limit:
        raise FrameTooLarge(f"a body of {value[:40]} bytes; the limit is {limit}")
    return int(value)


def _message(headers: dict[str, str], block: bytes, body: bytes) -> Message:
    content_type = headers.get("Content-Type")
    if content_type == "command/reply":
        return _reply(headers, block)
    if content_type == "log/data":
        return _log_line(headers, body)
    if content_type == "auth/request":
        return AuthRequest()
    if content_type == "text/disconnect-notice":
        return _disconnect_notice(headers, body)
    if content_type == "text/rude-rejection":
        return Rejection(text(body).strip())
    if content_type is None:
        raise MissingContentType(f"a frame without Content-Type: {text(block[:80])!r}")
    raise UnhandledContentType(f"a frame of type {content_type[:80]!r}")


def _reply(headers: dict[str, str], block: bytes) -> Reply | ChannelData:
    return ChannelData(PlainEvent(block)) if "Event-Name" in headers else Reply(block)


def _log_line(headers: dict[str, str], body: bytes) -> LogLine:
    return LogLine(
        level=_number(headers.get("Log-Level", "")),
        file=headers.get("Log-File", ""),
        function=headers.get("Log-Func", ""),
        line=_number(headers.get("Log-Line", "")),
        user_data=headers.get("User-Data", ""),
        text=text(body).removesuffix("\n"),
    )


def _disconnect_notice(headers: dict[str, str], body: bytes) -> DisconnectNotice:
    return DisconnectNotice(
        text=text(body).strip(),
        linger=headers.get("Content-Disposition") == "linger",
        linger_seconds=_number(headers.get("Linger-Time", "")),
        call=headers.get("Controlled-Session-UUID", ""),
    )


def _number(value: str) -> int:
    """-1 for what is not a number."""
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _LENGTH_DIGITS):
        return -1
    return int(value)
