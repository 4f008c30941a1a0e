"""One connection of the event socket, seen from the switch."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from . import api
from .channel import Channel
from .commandreader import Command, CommandReader
from .events import EVENT_NAMES, Event, Header, as_array, plain_lines
from .loglevels import log_level
from .messages import Message

if TYPE_CHECKING:
    from .core import Switch
    from .faults import Faults

GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
# How long a client may take to log in.
AUTH_SECONDS = 25.0
# What a reply may have; the switch cuts the rest off, also the blank line of one that brings its own.
MAX_REPLY = 511
# Seconds between two looks of a listener at its channel.
TICK = 0.02
# API commands that run others, which have to be allowed, too.
RUNNING_OTHERS = ("bgapi", "sched_api", "eval", "expand", "xml_wrap")
FORMATS = ("plain", "json", "xml")
MY_EVENTS = frozenset(
    [
        "CHANNEL_ANSWER",
        "CHANNEL_APPLICATION",
        "CHANNEL_BRIDGE",
        "CHANNEL_CREATE",
        "CHANNEL_DATA",
        "CHANNEL_DESTROY",
        "CHANNEL_EXECUTE",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_ORIGINATE",
        "CHANNEL_UUID",
        "CHANNEL_OUTGOING",
        "CHANNEL_PARK",
        "CHANNEL_PROGRESS",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_STATE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_UNPARK",
        "DETECTED_SPEECH",
        "DTMF",
        "NOTALK",
        "TALK",
    ]
)


class Listener(asyncio.Protocol):
    """The switch's end of a connection. Commands run one after another; events wait while one runs."""

    def __init__(
        self,
        switch: Switch,
        faults: Faults,
        channel: Channel | None = None,
        full: bool = True,
        asynchronous: bool = False,
    ):
        self.switch = switch
        self.faults = faults
        self.channel = channel
        self.outbound = channel is not None
        self.full = full
        self.asynchronous = asynchronous
        self.authenticated = self.outbound
        self.format = "plain"
        self.events: set[str] = set()
        self.customs: set[str] = set()
        self.listening = False
        self.filters: list[tuple[str, str]] = []
        self.my_events_only = False
        self.allowed_events: set[str] | None = None
        self.allowed_api: set[str] | None = None
        self.allowed_log = True
        self.log_level: int | None = None
        self.linger: int | None = None
        self.lingering = False
        self.running = True
        self.lost = 0
        self.connected = asyncio.Event()
        self.closed = asyncio.Event()
        self._queue: deque[bytes] = deque()
        self._looked_at = 0.0
        self._commands: deque[Command] = deque()
        self._reader = CommandReader()
        self._busy = False
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._disconnecting = False

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.switch.listeners.append(self)
        self.faults.connected(self)
        if self.outbound:
            self.connected.set()
        elif self.faults.rejecting_acl:
            notice = "Access Denied, go away.\n"
            self.write_frame(
                [("Content-Type", "text/rude-rejection"), ("Content-Length", str(len(notice)))], notice
            )
            transport.close()
        else:
            self.write(b"Content-Type: auth/request\n\n")
            asyncio.get_running_loop().call_later(AUTH_SECONDS, self._lose_patience)

    def _lose_patience(self) -> None:
        if not self.authenticated and self.running:
            self.hang_up_politely()

    def connection_lost(self, error: Exception | None) -> None:
        self.running = False
        if self in self.switch.listeners:
            self.switch.listeners.remove(self)
        self.faults.disconnected(self)
        self.switch.subscriptions_changed()
        self.closed.set()
        if self.channel is not None:
            self.channel.wake()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def close_after_write(self) -> None:
        self.running = False
        if self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self.faults.write(self._transport, data)

    def write_frame(self, headers: list[Header], body: str = "") -> None:
        head = "".join(f"{name}: {value}\n" for name, value in headers)
        self.write((head + "\n" + body).encode("utf-8", "surrogateescape"))

    def data_received(self, data: bytes) -> None:
        if self.faults.deaf:
            return
        self._commands.extend(self._reader.feed(data))
        if self._commands and not self._busy:
            self._busy = True
            self.switch.spawn(self._work())

    async def _work(self) -> None:
        try:
            while self._commands and self.running:
                command = self._commands.popleft()
                shown = "auth ***" if command.line.startswith("auth ") else command.line
                self.switch.received.append((time.monotonic(), shown))
                await self.faults.before_reply()
                await self._handle(command)
                self.notice_hangup()
                self._flush_now()
        finally:
            self._busy = False
        if not self.running:
            self._disconnect()
        else:
            self._flush()

    # Events

    def offer(self, event: Event) -> None:
        """Queues an event if this connection subscribed to it; cuts off a listener that is too slow."""
        if not self.running or not self._wants(event):
            return
        if len(self._queue) >= self.switch.options.event_queue_length:
            self.lost += 1
            if self.lost > self.switch.options.lost_events_allowed:
                self.say_goodbye("killed listener because of lost events\n")
            return
        self.lost = 0
        self._put(event)

    def _put(self, event: Event) -> None:
        self._queue.append(event.frame(self.format))
        if not self._busy:
            self._flush_soon()

    def _wants(self, event: Event) -> bool:
        if "ALL" not in self.events:
            if event.name not in self.events:
                return False
            if event.name == "CUSTOM" and event.subclass and event.subclass not in self.customs:
                return False
        if self.filters and not self._passes(event):
            return False
        return not self.my_events_only or self._is_mine(event)

    def _is_mine(self, event: Event) -> bool:
        """Those of the channel; of any channel, when there was none of that UUID."""
        if self.channel is None:
            return event.get("Unique-ID") is not None
        return self.channel.uuid in (event.get("Unique-ID"), event.get("Job-Owner-UUID"))

    def _passes(self, event: Event) -> bool:
        passes = False
        for name, wanted in self.filters:
            value = event.get(name)
            if value is None:
                continue
            positive = not wanted.startswith("-")
            compared = wanted.lstrip("+- ")
            if passes and positive:
                continue
            if _filter_matches(compared, value):
                if not positive:
                    return False
                passes = True
        return passes

    def _flush_soon(self) -> None:
        """With the next look for events: one every `event_tick` seconds while no command comes."""
        loop = asyncio.get_running_loop()
        tick = self.switch.options.event_tick
        loop.call_later(tick - (loop.time() - self._looked_at) % tick if tick else 0, self._flush)

    def _flush(self) -> None:
        if not self._busy:
            self._flush_now()

    def _flush_now(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        while self._queue and not self._paused and self.faults.lets_events_through:
            self.write(self._queue.popleft())

    # Commands

    def reply(self, text: str) -> None:
        """A text that begins with ``~`` brings its own lines, and its own blank line."""
        data = text.encode("utf-8", "surrogateescape")[:MAX_REPLY]
        lines = data[1:] if data.startswith(b"~") else b"Reply-Text: " + data + b"\n\n"
        self.write(b"Content-Type: command/reply\n" + lines)

    async def _handle(self, command: Command) -> None:
        line = command.line
        lower = line.lower()
        if lower.startswith(("exit", "...")):
            self.running = False
            self.reply("+OK bye")
            return
        if not self.authenticated:
            self._authenticate(line)
            return
        for name, handler in _COMMANDS:
            if lower.startswith(name):
                answer = handler(self, command)
                if isinstance(answer, Awaitable):
                    answer = await answer
                if answer is not NO_REPLY:
                    self.reply(str(answer or "-ERR command not found"))
                return
        self.reply("-ERR command not found")

    def _authenticate(self, line: str) -> None:
        lower = line.lower()
        if lower.startswith("auth "):
            if line[5:] == self.switch.options.password and not self.faults.refusing_auth:
                self.authenticated = True
                self.reply("+OK accepted")
                return
        elif lower.startswith("userauth "):
            user, password = _user_of(line[9:], self.switch)
            wanted = user.params.get("esl-password") if user else None
            if user and wanted and wanted == password:
                self.authenticated = True
                self.reply(self._limit_to(user.params))
                return
        else:
            self.reply("-ERR command not found")
            return
        self.running = False
        self.reply("-ERR invalid")

    def _limit_to(self, params: dict[str, str]) -> str:
        """What a directory user may do; the answer to its login."""
        events, commands = params.get("esl-allowed-events"), params.get("esl-allowed-api")
        self.allowed_events = None if events is None else set(_listed(events))
        self.allowed_api = None if commands is None else set(_listed(commands))
        self.allowed_log = params.get("esl-allowed-log", "true").lower() in ("true", "yes", "on", "1")
        lines = (events or "all", commands or "all", str(self.allowed_log).lower())
        return "~Reply-Text: +OK accepted\nAllowed-Events: {}\nAllowed-API: {}\nAllowed-LOG: {}\n\n".format(
            *lines
        )

    def _may_listen(self, name: str, *, custom: bool) -> bool:
        allowed = self.allowed_events
        return allowed is None or name in allowed or (not custom and "ALL" in allowed)

    def _may_run(self, name: str, arguments: str) -> bool:
        if self.allowed_api is None:
            return True
        if name not in self.allowed_api:
            return False
        return name.lower() not in RUNNING_OTHERS or self._may_run(*arguments.partition(" ")[::2])

    def _disconnect(self) -> None:
        if self._disconnecting:
            return
        self._disconnecting = True
        headers: list[Header] = [("Content-Type", "text/disconnect-notice")]
        if self.channel is not None:
            headers.append(("Controlled-Session-UUID", self.channel.uuid))
            headers.append(("Content-Disposition", "disconnect"))
        self.write_frame([*headers, ("Content-Length", str(len(GOODBYE)))], GOODBYE)
        if self._transport is not None:
            self._transport.close()

    def hang_up_politely(self) -> None:
        """Ends the conversation with a notice, after the events that wait."""
        self.running = False
        self._flush_now()
        self._disconnect()

    def notice_hangup(self) -> None:
        """When the controlled call is over: goodbye, or the promise to linger."""
        if self.channel is None or self.channel.up or self.lingering or not self.running:
            return
        if self.linger is None:
            self.hang_up_politely()
            return
        self.lingering = True
        headers: list[Header] = [
            ("Content-Type", "text/disconnect-notice"),
            ("Controlled-Session-UUID", self.channel.uuid),
            ("Content-Disposition", "linger"),
            ("Channel-Name", self.channel.name),
            ("Linger-Time", str(self.linger)),
            ("Content-Length", "0"),
        ]
        self.write_frame(headers)
        if self.linger >= 0:
            asyncio.get_running_loop().call_later(self.linger, self.hang_up_politely)

    def say_goodbye(self, text: str) -> None:
        """Ends the connection with a text of its own, which a client that does not read never sees."""
        if self._disconnecting:
            return
        self._disconnecting = True
        self.running = False
        self._flush_now()
        self.write_frame(
            [("Content-Type", "text/disconnect-notice"), ("Content-Length", str(len(text)))], text
        )
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._transport.abort()
        elif self._transport is not None:
            self._transport.close()

    def log_line(self, level: int, text: str, source: str, uuid: str) -> None:
        if self.log_level is None or level > self.log_level or not self.running:
            return
        file, _, line = source.partition(":")
        headers: list[Header] = [("Content-Type", "log/data"), ("Content-Length", str(len(text.encode())))]
        headers += [("Log-Level", str(level)), ("Text-Channel", "0"), ("Log-File", file)]
        headers += [("Log-Func", "log_function"), ("Log-Line", line), ("User-Data", uuid)]
        self.write_frame(headers, text)

    # Subscribing

    def subscribe(self, command: Command) -> str:
        names = command.line.split(" ")[1:]
        custom = False
        found = 0
        for index, name in enumerate(names):
            if index == 0 and name.lower() in FORMATS:
                self.format = name.lower()
            elif custom:
                if not self._may_listen(name, custom=True):
                    return "-ERR permission denied"
                if name:
                    self.customs.add(name)
            elif name.upper() in EVENT_NAMES:
                if not self._may_listen(name.upper(), custom=False):
                    return "-ERR permission denied"
                found += 1
                self.events.add(name.upper())
                custom = name.upper() == "CUSTOM"
        if not found:
            return "-ERR no keywords supplied"
        self.listening = True
        self.switch.subscriptions_changed()
        return f"+OK event listener enabled {self.format}"

    def unsubscribe(self, command: Command) -> str:
        custom = False
        found = 0
        for name in command.line.split(" ")[1:]:
            upper = name.upper()
            if custom:
                self.customs.discard(name)
            elif upper in EVENT_NAMES:
                found += 1
                self._drop(upper)
                custom = upper == "CUSTOM"
        if not found:
            return "-ERR no keywords supplied"
        self.listening = True
        self.switch.subscriptions_changed()
        return "+OK events nixed"

    def _drop(self, name: str) -> None:
        if name == "ALL":
            self.events.clear()
        elif name != "CUSTOM":
            if "ALL" in self.events:
                self.events = set(EVENT_NAMES - {"ALL"})
            self.events.discard(name)

    def no_events(self, command: Command) -> str:
        self._queue.clear()
        if not self.listening:
            return "-ERR not listening for events"
        self.listening = False
        self.events.clear()
        self.customs.clear()
        self.switch.subscriptions_changed()
        return "+OK no longer listening for events"

    def filter(self, command: Command) -> str:
        name, _, value = command.line[7:].strip(" ").partition(" ")
        if name.lower() == "delete" and value:
            name, _, value = value.partition(" ")
            if name.lower() == "all":
                self.filters.clear()
            else:
                self.filters = [
                    (one, wanted)
                    for one, wanted in self.filters
                    if one.lower() != name.lower() or (value and wanted != value)
                ]
            return f"+OK filter deleted. [{name}][{value}]"
        if not value:
            return "-ERR invalid syntax"
        if name.lower() == "add":
            name, _, value = value.partition(" ")
        self.filters.append((name, value))
        return f"+OK filter added. [{name}]=[{value}]"

    def my_events(self, command: Command) -> str | None:
        words = command.line.split(" ")
        if not self.outbound and len(words) < 2:
            return None
        if self.my_events_only:
            return "-ERR aready enabled."
        if self.channel is not None:
            self.format = next((word for word in words[1:] if word in FORMATS), self.format)
        else:
            channel = self.switch.channels.get(words[1])
            if channel is not None:
                self._control(channel)
            elif len(words) > 2:
                return "-ERR invalid uuid"
        self.my_events_only = True
        self.events |= MY_EVENTS
        self.listening = True
        self.switch.subscriptions_changed()
        return "+OK Events Enabled"

    def _control(self, channel: Channel) -> None:
        """After ``myevents <uuid>`` an inbound connection has a channel, as an outbound one always has."""
        self.channel = channel
        self.asynchronous = True
        self.full = False
        channel.controllers.append(self)
        self.switch.spawn(self.watch(channel))

    async def watch(self, channel: Channel) -> None:
        """The listener's own thread notices at a tick that its channel is gone."""
        while channel.up and not self.closed.is_set():
            await channel.wait(AUTH_SECONDS)
        await asyncio.sleep(TICK)
        self.notice_hangup()

    # Commands about the session that an outbound connection controls

    def connect(self, command: Command) -> object:
        if self.channel is None:
            return None
        channel = self.channel
        assert channel.profile is not None
        source = ("mod_event_socket.c", "parse_command", "2029")
        headers = self.switch.event_head("CHANNEL_DATA", source)
        headers += channel.profile.headers("Channel")
        headers += channel.headers()
        headers += [("Content-Type", "command/reply"), ("Reply-Text", "+OK\n")]
        headers += [("Socket-Mode", "async" if self.asynchronous else "static")]
        headers += [("Control", "full" if self.full else "single-channel")]
        self.write((plain_lines(headers) + "\n").encode("utf-8", "surrogateescape"))
        return NO_REPLY

    def get_variable(self, command: Command) -> object:
        if self.channel is None:
            return None
        name = command.line[6:].strip(" ")
        return (self.channel.get_variable(name) or "") or None

    def resume(self, command: Command) -> object:
        if self.channel is None:
            return None
        self.channel.set_variable("socket_resume", "true")
        return "+OK"

    def divert(self, command: Command) -> str:
        if self.channel is None:
            return "-ERR not controlling a session."
        word = command.line[13:].strip(" ")
        if not word:
            return "-ERR missing value."
        self.channel.diverts = word.lower() == "on"
        self.take_diverted()
        return "+OK events diverted" if self.channel.diverts else "+OK events not diverted"

    def take_diverted(self) -> None:
        """What was sent to the controlled call itself."""
        channel = self.channel
        while channel and channel.diverts and channel.up and channel.notices:
            self._put(channel.notices.popleft())

    def start_linger(self, command: Command) -> object:
        if self.outbound and not self.full:
            return None
        if self.channel is None:
            return "-ERR not controlling a session"
        seconds = command.line[6:].strip(" ")
        self.linger = int(seconds) if seconds.isdigit() else -1
        return "+OK will linger" if self.linger < 0 else f"+OK will linger {self.linger} seconds"

    def stop_linger(self, command: Command) -> object:
        if self.outbound and not self.full:
            return None
        if self.channel is None:
            return "-ERR not controlling a session"
        self.linger = None
        return "+OK will not linger"

    async def send_message(self, command: Command) -> str:
        target = command.line[7:].strip(" ") or command.headers.get("session-id", "")
        own = self.channel if self.channel and target in ("", self.channel.uuid) else None
        channel = own or self.switch.channels.get(target)
        if channel is None or not (channel.up or own):
            return f"-ERR invalid session id [{target}]"
        message = Message(command.headers, command.body, command.given)
        if own is not None and not self.asynchronous and command.headers.get("async") != "true":
            await self.switch.run_message(channel, message)
        else:
            channel.post(message)
        return "+OK"

    # Commands that need full control

    def allowed(self) -> bool:
        return not self.outbound or self.full

    async def run_api(self, command: Command) -> object:
        if not self.allowed():
            return None
        name, _, arguments = command.line[4:].partition(" ")
        if not self._may_run(name, arguments):
            return "-ERR permission denied"
        result = await api.run(self.switch, name, arguments) or "-ERR no reply\n"
        body = result.encode("utf-8", "surrogateescape")
        self.write(b"Content-Type: api/response\nContent-Length: %d\n\n" % len(body) + body)
        return NO_REPLY

    def run_in_background(self, command: Command) -> object:
        if not self.allowed():
            return None
        name, _, arguments = command.line[6:].partition(" ")
        if not self._may_run(name, arguments):
            return "-ERR permission denied"
        job = command.headers.get("job-uuid") or str(uuid.uuid4())
        self.write(
            f"Content-Type: command/reply\nReply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n\n".encode(
                "utf-8", "surrogateescape"
            )
        )
        owner = self.channel.uuid if self.channel else ""
        self.switch.spawn(_job(self.switch, job, name, arguments, owner))
        return NO_REPLY

    def send_event(self, command: Command) -> object:
        if not self.allowed():
            return None
        name = command.line[9:].strip(" \t").upper() or "CLONE"
        event_uuid = str(uuid.uuid4())
        subclass = command.headers.get("event-subclass", "") if name == "CUSTOM" else ""
        source = ("mod_event_socket.c", "parse_command", "2348")
        headers: list[Header] = [("Event-Subclass", subclass)] if subclass else []
        headers += [("Command", command.line)]
        headers += [
            (key, as_array(value))
            for key, value in command.given
            if value and not (subclass and key.lower() == "event-subclass")
        ]
        headers += [("Event-UUID", event_uuid)]
        addressee = self.switch.channels.get(command.headers.get("unique-id", ""))
        if addressee is None:
            headers += [one for one in self.switch.event_head(name, source) if one[0] != "Event-Subclass"]
            self.switch.send(Event(name, headers, command.body or None, subclass or None))
        else:
            self._send_to_call(addressee, Event(name, headers, command.body or None, subclass or None))
        if name == "NOTIFY" and command.headers.get("profile") == "internal":
            self.switch.registrar.notify(
                command.headers.get("user", ""), command.headers.get("event-string", "")
            )
        return f"+OK {event_uuid}"

    def _send_to_call(self, channel: Channel, event: Event) -> None:
        """What is sent to a call has no name. A parked call fires it, another one keeps it, unless a
        connection has it diverted."""
        if _is_parked(channel) and not channel.diverts:
            self.switch.send(Event(event.name, event.headers + channel.headers(), event.body, event.subclass))
            return
        channel.notices.append(event)
        for listener in self.switch.listeners:
            listener.take_diverted()

    def start_log(self, command: Command) -> object:
        if not self.allowed():
            return None
        if not self.allowed_log:
            return "-ERR permission denied"
        word = command.line[3:].strip(" ").split(" ")[0]
        level = log_level(word) if word else 7
        if level is None:
            return "-ERR invalid log level"
        self.log_level = level
        return f"+OK log level {word} [{level}]"

    def stop_log(self, command: Command) -> object:
        if not self.allowed():
            return None
        if self.log_level is None:
            return "-ERR not loging"
        self.log_level = None
        return "+OK no longer logging"

    def full_only(self, handler: Callable[[Listener, Command], Any], command: Command) -> object:
        return handler(self, command) if self.allowed() else None


def _filter_matches(wanted: str, value: str) -> bool:
    if wanted.startswith("/") and wanted.rfind("/") > 0:
        try:
            return re.search(wanted[1 : wanted.rfind("/")], value) is not None
        except re.error:
            return False
    return wanted.lower() == value.lower()


def _listed(names: str) -> list[str]:
    return names.split(" " if " " in names else ",")


def _user_of(text: str, switch: Switch) -> tuple[Any, str]:
    name, _, rest = text.partition("@")
    domain, _, password = rest.partition(":")
    return switch.configuration.user(name, domain), password


def _is_parked(channel: Channel) -> bool:
    """Whether it sends on what is sent to it."""
    return channel.controlled and all(listener.asynchronous for listener in channel.controllers)


async def _job(switch: Switch, job: str, name: str, arguments: str, owner: str) -> None:
    result = await api.run(switch, name, arguments)
    headers: list[Header] = [("Job-UUID", job), ("Job-Command", name)]
    if arguments:
        headers.append(("Job-Command-Arg", arguments))
    if owner:
        headers.append(("Job-Owner-UUID", owner))
    switch.simple_event("BACKGROUND_JOB", ("mod_event_socket.c", "api_exec", "1580"), headers, result)


NO_REPLY = object()


def _when_full(handler: Callable[[Listener, Command], Any]) -> Callable[[Listener, Command], Any]:
    return lambda listener, command: listener.full_only(handler, command)


# In the order in which the switch looks: by the beginning of the line.
_COMMANDS: tuple[tuple[str, Callable[[Listener, Command], Any]], ...] = (
    ("filter ", Listener.filter),
    ("resume", Listener.resume),
    ("connect", Listener.connect),
    ("getvar", Listener.get_variable),
    ("myevents", Listener.my_events),
    ("divert_events", Listener.divert),
    ("sendmsg", Listener.send_message),
    ("sendevent", Listener.send_event),
    ("api ", Listener.run_api),
    ("bgapi ", Listener.run_in_background),
    ("log", Listener.start_log),
    ("linger", Listener.start_linger),
    ("nolinger", Listener.stop_linger),
    ("nolog", Listener.stop_log),
    ("event", _when_full(Listener.subscribe)),
    ("nixevent", _when_full(Listener.unsubscribe)),
    ("noevents", _when_full(Listener.no_events)),
)
