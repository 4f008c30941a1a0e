"""What can be said to the switch: one frozen dataclass a command, `to_bytes()` is what goes on the wire.

Newlines end a command on an event socket, so a value that holds one would be read as the next command. Every
value is checked when the command is built: CR, LF and NUL raise `ValueError` that names the argument.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from random import Random
from typing import ClassVar, Final, Literal

Format = Literal["plain", "json", "xml"]

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""The switch hangs up on a command with a longer body."""
MAX_LINE: Final = 512 * 1024
"""Characters of one argument. The switch ends a command after 10 MiB, and takes what follows for the next."""
MAX_JOB_UUID_LENGTH: Final = 200
"""The switch names it twice in an answer of 511 bytes: one that is much longer cuts off the blank line."""
LONG_ARGUMENT_BYTES: Final = 1024
"""Application arguments longer than this travel in the body of `sendmsg` instead of in a header."""

_FORBIDDEN: Final = {"\r": "a carriage return", "\n": "a newline", "\0": "a NUL"}
_find_forbidden: Final = re.compile("[\r\n\0]").search
_FORMATS: Final = ("plain", "json", "xml")
_LAST_PORT: Final = 65535


_random: Final = Random()  # noqa: S311  # an own one: whoever seeds the common one must not repeat our UUIDs
os.register_at_fork(after_in_child=_random.seed)


def new_uuid() -> str:
    """A random UUID (version 4), made in a fifth of the time that the standard library takes. No secret."""
    digits = _random.randbytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def encode(name: str, value: str) -> bytes:
    """`value` as UTF-8, surrogate escapes as the bytes they stand for. `ValueError` names the argument."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(f"{name}: cannot be written as UTF-8") from None


def check_line(name: str, value: object) -> None:
    """Refuses what could end a command early."""
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be text, not {type(value).__name__}")
    if len(value) > MAX_LINE:
        raise ValueError(f"{name}: is longer than {MAX_LINE} characters")
    forbidden = _find_forbidden(value)
    if forbidden is not None:
        raise ValueError(f"{name}: contains {_FORBIDDEN[forbidden.group()]}")
    if not value.isascii():
        encode(name, value)


def _check_word(name: str, value: str, *, what: str = "a name") -> None:
    """For what is known to be a line."""
    if not value or " " in value or "\t" in value:
        raise ValueError(f"{name}: must be {what} without spaces")


def _check_lines(name: str, values: tuple[str, ...]) -> None:
    """Each of them a line, and together no longer than one may be."""
    for value in values:
        check_line(name, value)
    if sum(map(len, values)) > MAX_LINE:
        raise ValueError(f"{name}: are longer than {MAX_LINE} characters")


def _check_body(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be text, not {type(value).__name__}")
    if "\0" in value:
        raise ValueError(f"{name}: contains a NUL")
    if len(encode(name, value)) > MAX_BODY_BYTES:
        raise ValueError(f"{name}: is longer than {MAX_BODY_BYTES} bytes")


def _check_header_name(name: str, value: str) -> None:
    check_line(name, value)
    _check_word(name, value, what="a header name")
    if ":" in value:
        raise ValueError(f"{name}: contains a colon")
    if value.lower() == "content-length":
        raise ValueError(f"{name}: Content-Length is computed from the body")


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name}: must be a number from {low} to {high}")


class Command:
    """Base of the commands. Building one checks it; a built one can always be sent."""

    is_api: ClassVar[bool] = False
    """Whether it is answered by `api/response` instead of `command/reply`."""
    is_login: ClassVar[bool] = False
    """Whether it asks to be let in."""

    def lines(self) -> Iterator[str]:
        """The command line, then header lines."""
        raise NotImplementedError

    def content(self) -> str:
        """The body; '' for none."""
        return ""

    def to_bytes(self) -> bytes:
        """The bytes for the wire, blank line included."""
        content = self.content()
        if not content:
            return ("\n".join(self.lines()) + "\n\n").encode("utf-8", "surrogateescape")
        body = encode("body", content)
        lines = [*self.lines(), f"content-length: {len(body)}", "", ""]
        return "\n".join(lines).encode("utf-8", "surrogateescape") + body

    @property
    def summary(self) -> str:
        """The first line, for error messages."""
        return next(self.lines())

    def __post_init__(self) -> None:
        for name in _text_fields(type(self)):  # type: ignore[arg-type]  # a type is hashable
            value = getattr(self, name)
            if type(value) is not str or not value.isprintable() or len(value) > MAX_LINE:
                check_line(name, value)  # most often it need not be called
        self.check()

    def check(self) -> None:
        """What a subclass demands of its values, beyond being one line each."""


@cache
def _text_fields(kind: type[Command]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind) if item.type is str)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Auth(Command):
    """Logs in with the password of event_socket.conf."""

    is_login: ClassVar[bool] = True

    password: str = field(repr=False)

    def lines(self) -> Iterator[str]:
        yield f"auth {self.password}"

    @property
    def summary(self) -> str:
        return "auth"


@dataclass(frozen=True, slots=True)
class UserAuth(Command):
    """Logs in as a directory user (`user@domain`) with its `esl-password`, and with its limits."""

    is_login: ClassVar[bool] = True

    user: str
    password: str = field(repr=False)

    def check(self) -> None:
        name, at, domain = self.user.partition("@")
        if not (name and at and domain) or ":" in self.user:
            raise ValueError("user: must be name@domain")

    def lines(self) -> Iterator[str]:
        yield f"userauth {self.user}:{self.password}"

    @property
    def summary(self) -> str:
        return f"userauth {self.user}"


def _command_line(verb: str, command: str, arguments: str) -> str:
    return f"{verb} {command} {arguments}" if arguments else f"{verb} {command}"


def _check_api(command: str) -> None:
    if not command.strip():
        raise ValueError("command: must not be empty")


@dataclass(frozen=True, slots=True)
class Api(Command):
    """Runs an API command; until its output is sent, the switch does nothing else on this connection."""

    is_api: ClassVar[bool] = True

    command: str
    arguments: str = ""

    def check(self) -> None:
        _check_api(self.command)

    def lines(self) -> Iterator[str]:
        yield _command_line("api", self.command, self.arguments)


@dataclass(frozen=True, slots=True)
class BgApi(Command):
    """Runs an API command in the background; a BACKGROUND_JOB event with `job_uuid` brings its output."""

    command: str
    arguments: str = ""
    job_uuid: str = field(default_factory=new_uuid)

    def check(self) -> None:
        _check_api(self.command)
        _check_word("job_uuid", self.job_uuid, what="a UUID")
        if len(self.job_uuid) > MAX_JOB_UUID_LENGTH or not self.job_uuid.isascii():
            raise ValueError(f"job_uuid: must be ASCII, at most {MAX_JOB_UUID_LENGTH} characters")

    def lines(self) -> Iterator[str]:
        yield _command_line("bgapi", self.command, self.arguments)
        yield f"Job-UUID: {self.job_uuid}"


def subclass_of(name: str) -> str:
    """The CUSTOM subclass that `name` asks for (`sofia::register`, `CUSTOM anything`), or ''."""
    if name.startswith("CUSTOM "):
        return name.removeprefix("CUSTOM ")
    return name if "::" in name else ""


def _check_names(names: object) -> None:
    if isinstance(names, str) or not isinstance(names, tuple) or not names:
        raise ValueError("names: must be a tuple of event names, at least one")
    _check_lines("names", names)
    for name in names:
        _check_word("names", subclass_of(name) or name, what="event names")


def _keywords(names: Iterable[str]) -> str:
    """Subclasses go after `CUSTOM`, because every word after it is taken for one."""
    events: list[str] = []
    subclasses: list[str] = []
    for name in dict.fromkeys(names):
        subclass = subclass_of(name)
        if subclass:
            subclasses.append(subclass)
        elif name != "CUSTOM":
            events.append(name)
    if subclasses or "CUSTOM" in names:
        events += ["CUSTOM", *subclasses]
    return " ".join(events)


@dataclass(frozen=True, slots=True)
class Events(Command):
    """Subscribes to events by name, in addition to those subscribed before; sets the format of all.

    Names with `::` are CUSTOM subclasses; so is what follows `CUSTOM ` in a name. The switch ignores names
    that it does not know as long as it knows one.
    """

    names: tuple[str, ...]
    format: Format = "json"

    def check(self) -> None:
        _check_names(self.names)
        check_format(self.format)

    def lines(self) -> Iterator[str]:
        yield f"event {self.format} {_keywords(self.names)}"


def check_format(value: object) -> None:
    """Refuses what is no format of events."""
    if value not in _FORMATS:
        raise ValueError("format: must be plain, json or xml")


@dataclass(frozen=True, slots=True)
class NixEvent(Command):
    """Ends the subscription to these events."""

    names: tuple[str, ...]

    def check(self) -> None:
        _check_names(self.names)

    def lines(self) -> Iterator[str]:
        yield f"nixevent {_keywords(self.names)}"


@dataclass(frozen=True, slots=True)
class NoEvents(Command):
    """Ends all subscriptions and drops the events that wait in the switch."""

    def lines(self) -> Iterator[str]:
        yield "noevents"


@dataclass(frozen=True, slots=True)
class MyEvents(Command):
    """Subscribes to the events of one channel: the controlled one (outbound), or `uuid` (inbound).

    The switch takes the format here only when there is no `uuid`; inbound, set it with `Events` before.
    """

    uuid: str = ""
    format: Format | None = None

    def check(self) -> None:
        if self.uuid:
            _check_word("uuid", self.uuid, what="a UUID")
        if self.format is not None:
            check_format(self.format)

    def lines(self) -> Iterator[str]:
        yield " ".join(word for word in ("myevents", self.uuid, self.format) if word)


@dataclass(frozen=True, slots=True)
class DivertEvents(Command):
    """Sends this connection the events for the channel itself: those of `SendEvent` with its `unique-id`.

    They come without `Event-Name`, since they are not fired in the switch; `Command` says `sendevent NAME`.
    """

    on: bool

    def lines(self) -> Iterator[str]:
        yield f"divert_events {'on' if self.on else 'off'}"


@dataclass(frozen=True, slots=True)
class Filter(Command):
    """Lets only events through whose `header` has `value` (or the value of another filter).

    `value` may be `/regular expression/`; a leading `-` drops what matches from what other filters let in.
    """

    header: str
    value: str

    def check(self) -> None:
        _check_header_name("header", self.header)
        if self.header.lower() in ("add", "delete"):
            raise ValueError(f"header: {self.header!r} is a word of the command")
        if not self.value.strip():
            raise ValueError("value: must not be empty")

    def lines(self) -> Iterator[str]:
        yield f"filter {self.header} {self.value}"


@dataclass(frozen=True, slots=True)
class FilterDelete(Command):
    """Removes filters: of `header` with `value`, of `header` with any value, or (`all`) every one."""

    header: str = "all"
    value: str = ""

    def check(self) -> None:
        _check_header_name("header", self.header)

    def lines(self) -> Iterator[str]:
        yield " ".join(word for word in ("filter delete", self.header, self.value) if word)


def _header_lines(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in headers)


def _check_headers(headers: object) -> None:
    if not isinstance(headers, tuple):
        raise ValueError("headers: must be a tuple of pairs; see header_pairs()")
    for name, value in headers:
        _check_header_name("headers", name)
        check_line(f"headers[{name}]", value)
    _check_lines("headers", tuple(text for pair in headers for text in pair))


def header_pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Headers as the commands take them."""
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)


@dataclass(frozen=True, slots=True)
class SendEvent(Command):
    """Fires an event inside the switch. For `CUSTOM`, give the header `Event-Subclass`."""

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def check(self) -> None:
        _check_word("name", self.name, what="an event name")
        _check_headers(self.headers)

    def __post_init__(self) -> None:
        check_line("name", self.name)
        _check_body("body", self.body)
        self.check()

    def lines(self) -> Iterator[str]:
        yield f"sendevent {self.name}"
        yield from _header_lines(self.headers)

    def content(self) -> str:
        return self.body


@dataclass(frozen=True, slots=True)
class SendMsg(Command):
    """A message to a channel: `uuid`, or '' for the channel that an outbound connection controls.

    The usual ones have classes of their own: `Execute`, `Hangup`, `Unicast`, `NoMedia`, `XferExt`.
    """

    uuid: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def check(self) -> None:
        if self.uuid:
            _check_word("uuid", self.uuid, what="a UUID")
        _check_headers(self.headers)

    def __post_init__(self) -> None:
        check_line("uuid", self.uuid)
        _check_body("body", self.body)
        self.check()

    def lines(self) -> Iterator[str]:
        yield f"sendmsg {self.uuid}" if self.uuid else "sendmsg"
        yield from _header_lines(self.headers)

    def content(self) -> str:
        return self.body


def _sendmsg(uuid: str, call_command: str) -> Iterator[str]:
    yield f"sendmsg {uuid}" if uuid else "sendmsg"
    yield f"call-command: {call_command}"


def _check_channel(uuid: str) -> None:
    if uuid:
        _check_word("uuid", uuid, what="a UUID")


@dataclass(frozen=True, slots=True)
class Execute(Command):
    """Runs a dialplan application on a channel.

    `event_uuid` comes back as `Application-UUID` in CHANNEL_EXECUTE and CHANNEL_EXECUTE_COMPLETE.
    `event_lock` keeps applications sent later from running at the same time. `loops` runs it again and again
    (-1: for ever); the switch stops early when one run takes less than half a second.
    """

    app: str
    arg: str = ""
    uuid: str = ""
    event_uuid: str = ""
    loops: int = 1
    event_lock: bool = False
    hold_bleg: bool = False

    def check(self) -> None:
        _check_channel(self.uuid)
        _check_word("app", self.app, what="an application")
        if self.event_uuid:
            _check_word("event_uuid", self.event_uuid, what="a UUID")
        _check_range("loops", self.loops, -1, 1_000_000)
        if self.loops == 0:
            raise ValueError("loops: 0 would never run it, and never be complete; -1 is for ever")

    @property
    def _long(self) -> bool:
        return len(encode("arg", self.arg)) > LONG_ARGUMENT_BYTES

    def lines(self) -> Iterator[str]:
        yield from _sendmsg(self.uuid, "execute")
        yield f"execute-app-name: {self.app}"
        if self.arg and not self._long:
            yield f"execute-app-arg: {self.arg}"
        if self.event_uuid:
            yield f"Event-UUID: {self.event_uuid}"
        if self.loops != 1:
            yield f"loops: {self.loops}"
        if self.event_lock:
            yield "event-lock: true"
        if self.hold_bleg:
            yield "hold-bleg: true"
        if self._long:
            yield "content-type: text/plain"

    def content(self) -> str:
        return self.arg if self._long else ""


@dataclass(frozen=True, slots=True)
class Hangup(Command):
    """Ends a channel with a cause, by name (`USER_BUSY`) or Q.850 number."""

    uuid: str = ""
    cause: str = "NORMAL_CLEARING"

    def check(self) -> None:
        _check_channel(self.uuid)
        _check_word("cause", self.cause, what="a hang-up cause")

    def lines(self) -> Iterator[str]:
        yield from _sendmsg(self.uuid, "hangup")
        yield f"hangup-cause: {self.cause}"


@dataclass(frozen=True, slots=True)
class Unicast(Command):
    """Sends the channel's raw audio to a socket and plays what comes back. `native` keeps its codec."""

    uuid: str = ""
    local_ip: str = "127.0.0.1"
    local_port: int = 8025
    remote_ip: str = "127.0.0.1"
    remote_port: int = 8026
    transport: Literal["udp", "tcp"] = "udp"
    native: bool = False

    def check(self) -> None:
        _check_channel(self.uuid)
        _check_word("local_ip", self.local_ip, what="an address")
        _check_word("remote_ip", self.remote_ip, what="an address")
        _check_range("local_port", self.local_port, 1, _LAST_PORT)
        _check_range("remote_port", self.remote_port, 1, _LAST_PORT)
        if self.transport not in ("udp", "tcp"):
            raise ValueError("transport: must be udp or tcp")

    def lines(self) -> Iterator[str]:
        yield from _sendmsg(self.uuid, "unicast")
        yield f"local-ip: {self.local_ip}"
        yield f"local-port: {self.local_port}"
        yield f"remote-ip: {self.remote_ip}"
        yield f"remote-port: {self.remote_port}"
        yield f"transport: {self.transport}"
        if self.native:
            yield "flags: native"


@dataclass(frozen=True, slots=True)
class NoMedia(Command):
    """Takes the switch out of the media path of the channel `nomedia_uuid`."""

    nomedia_uuid: str
    uuid: str = ""

    def check(self) -> None:
        _check_channel(self.uuid)
        _check_word("nomedia_uuid", self.nomedia_uuid, what="a UUID")

    def lines(self) -> Iterator[str]:
        yield from _sendmsg(self.uuid, "nomedia")
        yield f"nomedia-uuid: {self.nomedia_uuid}"


@dataclass(frozen=True, slots=True)
class XferExt(Command):
    """Makes an extension of applications, `("answer", "playback file.wav")`, and has the channel run it."""

    applications: tuple[str, ...]
    uuid: str = ""

    def check(self) -> None:
        _check_channel(self.uuid)
        if not isinstance(self.applications, tuple) or not self.applications:
            raise ValueError("applications: must be a tuple of texts, at least one")
        _check_lines("applications", self.applications)
        for application in self.applications:
            _check_api_word(application)

    def lines(self) -> Iterator[str]:
        yield from _sendmsg(self.uuid, "xferext")
        for application in self.applications:
            yield f"application: {application}"


def _check_api_word(application: str) -> None:
    if not application.strip():
        raise ValueError("applications: must not be empty")


@dataclass(frozen=True, slots=True)
class Linger(Command):
    """Outbound: stay after the hang-up for the last events, `seconds` long or (None) until `exit`."""

    seconds: int | None = None

    def check(self) -> None:
        if self.seconds is not None:
            _check_range("seconds", self.seconds, 0, 86_400)

    def lines(self) -> Iterator[str]:
        yield "linger" if self.seconds is None else f"linger {self.seconds}"


@dataclass(frozen=True, slots=True)
class NoLinger(Command):
    """Outbound: takes `linger` back."""

    def lines(self) -> Iterator[str]:
        yield "nolinger"


@dataclass(frozen=True, slots=True)
class Connect(Command):
    """Outbound: the first command of a conversation; its answer is the channel's data."""

    def lines(self) -> Iterator[str]:
        yield "connect"


@dataclass(frozen=True, slots=True)
class Resume(Command):
    """Outbound: when this connection ends, the dialplan goes on with the channel."""

    def lines(self) -> Iterator[str]:
        yield "resume"


@dataclass(frozen=True, slots=True)
class GetVar(Command):
    """A variable of the controlled channel: outbound, or inbound after `MyEvents`. See `Reply.value`.

    The switch cuts the value after 511 bytes; its answer for one that is not set is `-ERR command not found`.
    """

    name: str

    def check(self) -> None:
        _check_word("name", self.name, what="a variable name")

    def lines(self) -> Iterator[str]:
        yield f"getvar {self.name}"


_LEVELS: Final = ("console", "alert", "crit", "err", "warning", "notice", "info", "debug")


@dataclass(frozen=True, slots=True)
class Log(Command):
    """Sends the switch's log, up to `level`: 0 (console) to 7 (debug), or its name."""

    level: int | str = 7

    def check(self) -> None:
        if isinstance(self.level, str):
            if self.level.lower() not in _LEVELS:
                raise ValueError(f"level: must be one of {', '.join(_LEVELS)}, or a number from 0 to 7")
            return
        _check_range("level", self.level, 0, 7)

    def lines(self) -> Iterator[str]:
        yield f"log {self.level}"


@dataclass(frozen=True, slots=True)
class NoLog(Command):
    """Ends the log."""

    def lines(self) -> Iterator[str]:
        yield "nolog"


@dataclass(frozen=True, slots=True)
class Exit(Command):
    """Ends the connection."""

    def lines(self) -> Iterator[str]:
        yield "exit"
