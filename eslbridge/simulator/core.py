"""The switch itself: everything that lives in the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from . import api, hooks, machine, outbound, sip
from .apps import run_inline, run_message
from .channel import Channel, State
from .clock import Clock
from .configuration import Configuration, ConfigurationError, load
from .events import Event, Header
from .expansion import expand
from .farend import Nobody, Outside, say_bye
from .faults import Faults
from .gateways import Gateway, Gateways
from .limits import Limits
from .loglevels import LOG_LEVELS
from .messages import Message
from .phones import Phone
from .profile import Profile, Times
from .races import Races
from .registrar import Registrar, secret_of
from .version import FULL_VERSION

T = TypeVar("T")

HEARTBEAT_SECONDS = 20.0
# How many received commands and internal errors are remembered.
MEMORY = 10_000


@dataclass
class Options:
    """What the simulator was started with."""

    conf_dir: Path
    host: str
    port: int
    password: str
    domain: str
    cdr_dir: Path | None
    answer_after: float
    register_delay: float
    # As in the switch: events that wait for one listener, and how many may be lost before it is cut off.
    event_queue_length: int = 100_000
    lost_events_allowed: int = 500
    # Seconds between looks for events, while no command comes (switch_poll in mod_event_socket.c).
    event_tick: float = 0.02
    late: frozenset[str] | None = None
    clock: Clock = field(default_factory=Clock)
    # How many seconds a second of ringing takes.
    ring_second: float = 1.0
    # What mod_db keeps on disk, by realm and key.
    database: dict[tuple[str, str], str] = field(default_factory=dict)


class Switch:
    """Configuration, channels, phones and listeners of one running switch."""

    hostname = "simulator"
    profiles = ("internal", "external")

    def __init__(
        self, options: Options, received: deque[tuple[float, str]], executed: list[str], faults: Faults
    ):
        self.options = options
        self.faults = faults
        self.conf_dir = options.conf_dir
        self.clock = options.clock
        self.core_uuid = str(uuid.uuid4())
        self.started = time.time()
        self.started_exactly = time.monotonic()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.received = received
        self.executed_commands = executed
        self.errors: deque[BaseException] = deque(maxlen=MEMORY)
        self.logged: deque[str] = deque(maxlen=MEMORY)
        self.variables = self._core_variables()
        self.configuration = Configuration(Element("document"), {}, {})
        self.configuration_error = ""
        self.forced_reload_error = ""
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, tuple[Channel, Channel, int]] = {}
        self.hash_table: dict[str, str] = {}
        self.phones: dict[str, Phone] = {}
        self.second_phones: list[Phone] = []
        self.registrar = Registrar(self)
        self.gateway_list = Gateways(self)
        self.limits = Limits(self)
        self.outside = Outside(self)
        self.nobody = Nobody()
        self.listeners: list[Any] = []
        self.sequence = 0
        self.session_count = 0
        self.peak_sessions = 0
        self.races = Races(options.late)
        self.recent: deque[float] = deque(maxlen=MEMORY)
        self.peak_per_second = 0
        self.shutting_down = False
        self._wanted: frozenset[str] = frozenset()
        self._wanted_custom: frozenset[str] = frozenset()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reload_lock = asyncio.Lock()

    def _core_variables(self) -> dict[str, str]:
        base = "/usr/local/freeswitch"
        return {
            "hostname": self.hostname,
            "local_ip_v4": self.options.domain if self.options.domain[:1].isdigit() else "127.0.0.1",
            "local_mask_v4": "255.255.255.0",
            "local_ip_v6": "::1",
            "base_dir": base,
            "recordings_dir": f"{base}/recordings",
            "sounds_dir": f"{base}/sounds",
            "conf_dir": str(self.conf_dir),
            "log_dir": f"{base}/log",
            "run_dir": f"{base}/run",
            "db_dir": f"{base}/db",
            "mod_dir": f"{base}/mod",
            "htdocs_dir": f"{base}/htdocs",
            "script_dir": f"{base}/scripts",
            "temp_dir": "/tmp",  # noqa: S108 - a name that clients are told, nothing is written there
            "certs_dir": f"{base}/certs",
            "storage_dir": f"{base}/storage",
            "cache_dir": f"{base}/cache",
            "data_dir": f"{base}/share",
            "core_uuid": self.core_uuid,
            "domain": self.options.domain,
            "domain_name": self.options.domain,
            "zrtp_enabled": "true",
        }

    @property
    def domain(self) -> str:
        """The domain that the loaded configuration names."""
        return self.variables.get("domain") or self.options.domain

    @property
    def gateways(self) -> dict[str, Gateway]:
        return self.gateway_list.running

    # Starting and stopping

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._note_failure)
        await self.reload(first=True)
        self.spawn(self._heartbeat())
        self.spawn(self._housekeeping())

    async def stop(self) -> None:
        for listener in list(self.listeners):
            listener.abort()
        self.registrar.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        tasks += [channel.task for channel in self.channels.values() if channel.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.note_error(error)

    def in_loop(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function in the switch's own thread and returns what it returns."""
        assert self.loop is not None
        with contextlib.suppress(RuntimeError):
            if asyncio.get_running_loop() is self.loop:
                return function(*arguments)
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            try:
                done.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the result shall see it
                done.set_exception(error)

        self.loop.call_soon_threadsafe(call)
        return done.result(timeout=10)

    def call_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(function, *arguments)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self.heartbeat()

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.registrar.expire_due()

    def note_error(self, error: BaseException) -> None:
        """An error of the simulator itself; tests look at these."""
        self.errors.append(error)

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.note_error(context.get("exception") or RuntimeError(context.get("message", "")))

    def log(self, level: int, text: str, source: str = "mod_dptools.c:1879", uuid: str = "") -> None:
        """A line of the switch's log, for listeners that asked for that level."""
        now = self.clock.now()
        stamp = f"{self.clock.stamp(now)}.{now % 1_000_000:06d}"
        line = f"{stamp} 98.90% [{LOG_LEVELS[level].upper()}] {source} {text}\n"
        self.logged.append(line)
        for listener in self.listeners:
            listener.log_line(level, line, source, uuid)

    # Configuration

    async def reload(self, first: bool = False) -> str:
        """Reads the files. Returns what stands in the brackets of ``reloadxml``."""
        async with self._reload_lock:
            variables = dict(self.variables)
            try:
                if self.forced_reload_error:
                    raise ConfigurationError(self.forced_reload_error)
                loaded = await asyncio.to_thread(load, self.conf_dir, variables)
            except ConfigurationError as error:
                self.variables.update(variables)
                self.configuration_error = str(error)
                return str(error)
            except OSError as error:
                return f"Cannot Open log directory or XML Root! {error.strerror}"
            self.variables.update(variables)
            self.configuration = loaded
            self.configuration_error = ""
            self.simple_event("RELOADXML", ("switch_xml.c", "switch_xml_open_root", "2423"), [])
            if first:
                self.gateway_list.load_all()
            self.registrar.sync()
            return "Success"

    def group_members(self, group: str, domain: str) -> list[str]:
        node = self.configuration.domains.get(domain)
        if node is None:
            return []
        for found in node.findall("groups/group"):
            if found.get("name") == group:
                return [user.get("id", "") for user in found.findall("users/user")]
        return []

    def expand_with(self, text: str, variables: dict[str, str], caller: Channel | None) -> str:
        """Expands a text outside a channel, or in one, with some more variables."""

        def value(name: str) -> str | None:
            if name in variables:
                return variables[name]
            return caller.get_variable(name) if caller else self.variables.get(name)

        return expand(text, value, lambda name, data: self.expansion_api(name, data, caller))

    def expansion_api(self, name: str, arguments: str, channel: Channel | None) -> str:
        """A function called from within ``${…}``."""
        return api.expansion(self, name, arguments)

    def set_global(self, name: str, value: str) -> None:
        """A global variable; an empty value removes it. As in the switch, ``${`` in it is made harmless."""
        if value:
            self.variables[name] = value.replace("${", "%{")
        else:
            self.variables.pop(name, None)

    def would_execute(self, command: str) -> None:
        """Notes a shell command that a real switch would have run now."""
        self.executed_commands.append(command)

    # Events

    def next_session_id(self) -> int:
        self.session_count += 1
        return self.session_count

    def subscriptions_changed(self) -> None:
        names: set[str] = set()
        customs: set[str] = set()
        for listener in self.listeners:
            names |= listener.events
            customs |= listener.customs
        self._wanted = frozenset(names)
        self._wanted_custom = frozenset(customs)

    def wanted(self, name: str) -> bool:
        """Whether any listener asked for this event."""
        return name in self._wanted or "ALL" in self._wanted

    def skip_event(self) -> None:
        """Counts an event that nobody wants."""
        self.sequence += 1

    def event_head(self, name: str, source: tuple[str, str, str], subclass: str = "") -> list[Header]:
        """The headers that every event begins with."""
        self.sequence += 1
        headers: list[Header] = [("Event-Subclass", subclass)] if subclass else []
        headers += [
            ("Event-Name", name),
            ("Core-UUID", self.core_uuid),
            ("FreeSWITCH-Hostname", self.hostname),
            ("FreeSWITCH-Switchname", self.hostname),
            ("FreeSWITCH-IPv4", "127.0.0.1"),
            ("FreeSWITCH-IPv6", "::1"),
        ]
        headers += self.clock.headers(self.clock.now())
        headers += [
            ("Event-Calling-File", source[0]),
            ("Event-Calling-Function", source[1]),
            ("Event-Calling-Line-Number", source[2]),
            ("Event-Sequence", str(self.sequence)),
        ]
        return headers

    def send(self, event: Event) -> None:
        """Queues an event at every listener that wants it."""
        for listener in list(self.listeners):
            listener.offer(event)

    def simple_event(
        self,
        name: str,
        source: tuple[str, str, str],
        headers: list[Header],
        body: str | None = None,
        subclass: str = "",
    ) -> None:
        head = self.event_head(name, source, subclass)
        self.send(Event(name, head + headers, body, subclass or None))

    def send_custom(self, subclass: str, headers: list[Header], body: str | None = None) -> None:
        self.send(Event("CUSTOM", headers, body, subclass))

    def custom_event_from_dialplan(self, channel: Channel, data: str) -> None:
        given = dict(item.partition("=")[::2] for item in data.split(",") if "=" in item)
        name, subclass = given.pop("Event-Name", "CUSTOM"), given.pop("Event-Subclass", "")
        source = ("mod_dptools.c", "event_function", "1863")
        headers = channel.headers() + list(given.items())
        self.simple_event(name, source, headers, subclass=subclass)

    def heartbeat(self) -> None:
        """Sends a HEARTBEAT now."""
        headers: list[Header] = [
            ("Event-Info", "System Ready"),
            ("Up-Time", self.uptime_text()),
            ("FreeSWITCH-Version", FULL_VERSION),
            ("Uptime-msec", str(int((time.monotonic() - self.started_exactly) * 1000))),
            ("Session-Count", str(len(self.channels))),
            ("Max-Sessions", "1000"),
            ("Session-Per-Sec", "30"),
            ("Session-Per-Sec-Last", str(self.sessions_last_second())),
            ("Session-Per-Sec-Max", str(self.peak_per_second)),
            ("Session-Per-Sec-FiveMin", str(self.peak_per_second)),
            ("Session-Since-Startup", str(self.session_count)),
            ("Session-Peak-Max", str(self.peak_sessions)),
            ("Session-Peak-FiveMin", str(self.peak_sessions)),
            ("Idle-CPU", "98.900000"),
        ]
        self.simple_event("HEARTBEAT", ("switch_core.c", "send_heartbeat", "95"), headers)

    def uptime_text(self) -> str:
        micros = int((time.monotonic() - self.started_exactly) * 1e6)
        milliseconds, micros = divmod(micros, 1000)
        seconds, milliseconds = divmod(milliseconds, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        years, days = divmod(days, 365)
        parts = (
            (years, "year"),
            (days, "day"),
            (hours, "hour"),
            (minutes, "minute"),
            (seconds, "second"),
            (milliseconds, "millisecond"),
            (micros, "microsecond"),
        )
        return ", ".join(f"{count} {unit}" + ("" if count == 1 else "s") for count, unit in parts)

    def sessions_last_second(self) -> int:
        now = time.monotonic()
        return sum(1 for stamp in self.recent if now - stamp < 1.0)

    # Channels

    def register_channel(self, channel: Channel) -> None:
        self.channels[channel.uuid] = channel
        self.peak_sessions = max(self.peak_sessions, len(self.channels))
        self.recent.append(time.monotonic())
        self.peak_per_second = max(self.peak_per_second, self.sessions_last_second())

    async def run_channel(self, channel: Channel) -> None:
        await machine.run(channel)

    async def run_message(self, channel: Channel, message: Message) -> None:
        await run_message(channel, message)

    def run_inline(self, channel: Channel, application: str, data: str) -> None:
        run_inline(channel, application, data)

    def run_hooks(self, channel: Channel, moment: str) -> None:
        hooks.run_hooks(channel, moment)

    def forget(self, channel: Channel) -> None:
        self.channels.pop(channel.uuid, None)

    def bridged(self, a: Channel, b: Channel) -> None:
        self.bridges[a.uuid] = (a, b, self.clock.now() // 1_000_000)

    def unbridged(self, a: Channel) -> None:
        self.bridges.pop(a.uuid, None)

    def phone_at(self, user: str, port: int) -> Phone | None:
        """The phone of that user at that port."""
        phones = (self.phones.get(user), *self.second_phones)
        return next((each for each in phones if each and (each.user, each.port) == (user, port)), None)

    def call_from_phone(self, phone: Phone, number: str) -> str:
        """An INVITE from a phone. Returns the channel's UUID."""
        user = self.configuration.user(phone.user, phone.domain)
        if user is None or phone.secret != secret_of(user):
            raise PermissionError(f"the switch refuses {phone.user}")
        channel = Channel(self, f"sofia/internal/{phone.user}@{phone.domain}", "inbound")
        channel.sip = sip.SipLeg("internal", phone.host, phone.port, phone.user, phone.domain)
        channel.party = phone
        phone.channels.append(channel)
        channel.enter(State.NEW)
        channel.presence_id = f"{phone.user}@{phone.domain}"
        context = user.variables.get("user_context", "public")
        self._invite(channel, phone.user, phone.user, number, context)
        sip.received_invite(channel, channel.sip, phone.user, phone.user, number, user.variables)
        self.register_channel(channel)
        channel.start()
        return channel.uuid

    def call_from_outside(self, did: str, caller: str, caller_name: str) -> str:
        """An INVITE that reaches the external profile. Returns the channel's UUID."""
        channel = Channel(self, f"sofia/external/{caller}@{self.domain}", "inbound")
        channel.sip = sip.SipLeg("external", "127.0.0.1", self.registrar.free_port(), caller, self.domain)
        channel.party = self.outside
        self.outside.channels.append(channel)
        channel.enter(State.NEW)
        self._invite(channel, caller, caller_name or caller, did, "public")
        sip.received_invite(channel, channel.sip, caller, caller_name or caller, did, None)
        self.register_channel(channel)
        channel.start()
        return channel.uuid

    def _invite(self, channel: Channel, number: str, name: str, destination: str, context: str) -> None:
        now = self.clock.now()
        channel.profile = Profile(
            channel.uuid,
            channel.name,
            "inbound",
            "inbound",
            username=number,
            dialplan="XML",
            caller_id_name=name,
            caller_id_number=number,
            orig_caller_id_name=name,
            orig_caller_id_number=number,
            network_addr="127.0.0.1",
            ani=number,
            destination_number=destination,
            context=context,
            times=Times(created=now, profile_created=now),
        )

    def hang_up_later(self, uuid: str, seconds: float) -> None:
        """The far end of a channel says goodbye after so many seconds."""
        channel = self.channels.get(uuid)
        if channel is not None:
            channel.timers.append(asyncio.get_running_loop().call_later(seconds, say_bye, channel))

    def hang_up_all(self, cause: str) -> None:
        """``hupall``: the youngest first."""
        for channel in reversed(list(self.channels.values())):
            channel.hangup(cause)

    def start_recording(self, channel: Channel, path: str) -> None:
        if path not in channel.recordings:
            channel.recordings.append(path)
            channel.fire(
                "RECORD_START",
                after=[("Record-File-Path", path)],
                source=("switch_ivr_async.c", "record_callback", "1482"),
            )

    def stop_recording(self, channel: Channel, path: str) -> None:
        for one in [item for item in channel.recordings if path in ("all", item)]:
            channel.recordings.remove(one)
            channel.set_variables(
                {"record_file_size": "15404", "record_samples": "3840", "record_seconds": "0"}
            )
            channel.set_variables({"record_ms": "480", "record_completion_cause": "success-maxtime"})
            after: list[Header] = [("Record-File-Path", one), ("Record-Completion-Cause", "success-maxtime")]
            channel.fire(
                "RECORD_STOP", after=after, source=("switch_ivr_async.c", "send_record_stop_event", "1241")
            )

    async def outbound_socket(self, channel: Channel, data: str) -> None:
        await outbound.serve(channel, data)

    # The end

    async def shut_down(self) -> None:
        """``fsctl shutdown``: announces it, takes calls and gateways down, and sends everybody away."""
        if self.shutting_down:
            return
        self.shutting_down = True
        await asyncio.sleep(0.05)
        self.hang_up_all("SYSTEM_SHUTDOWN")
        source = ("switch_core.c", "switch_core_destroy", "3033")
        self.simple_event("SHUTDOWN", source, [("Event-Info", "System Shutting Down")])
        self.gateway_list.delete_all()
        await asyncio.sleep(0.05)
        for listener in list(self.listeners):
            listener.say_goodbye("The system is being shut down.\n")
