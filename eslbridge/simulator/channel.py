"""A channel: its states, its caller profile, its variables, and the one place where its events are built."""

from __future__ import annotations

import asyncio
import uuid as uuid_module
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from .dialplan import Caller, Extension
from .events import Event, Header, Value, flat
from .expansion import expand
from .profile import FIELDS, Profile
from .sources import SOURCES

if TYPE_CHECKING:
    from .configuration import User
    from .core import Switch


class State(IntEnum):
    """The states of a channel; an event shows the one that runs by name and the one it is in by number."""

    NEW = 0
    INIT = 1
    ROUTING = 2
    SOFT_EXECUTE = 3
    EXECUTE = 4
    EXCHANGE_MEDIA = 5
    PARK = 6
    CONSUME_MEDIA = 7
    HIBERNATE = 8
    RESET = 9
    HANGUP = 10
    REPORTING = 11
    DESTROY = 12
    NONE = 13


CALL_STATES = ("DOWN", "DIALING", "RINGING", "EARLY", "ACTIVE", "HELD", "RING_WAIT", "HANGUP", "UNHELD")


BIT_RATES = {"PCMU": "64000", "L16": "128000"}
# State changes are frequent and carry no variables.
WITHOUT_VARIABLES = frozenset({"CHANNEL_STATE", "CHANNEL_CALLSTATE"})


class Channel(Caller):
    """One leg. Its task runs the state machine; whoever changes its state wakes the task."""

    call_state = "DOWN"
    cause = ""
    presence_id = ""
    early = False
    answered = False
    has_media = False
    held = False
    controlled = False
    codec_name = "PCMU"
    read_codec = ""
    application = ""
    application_data = ""
    broken_off = 0
    # As many of these were only the end of the music that it heard on hold: its bridge stands.
    taken_back = 0
    hung_up_here = False
    reports_late = False
    cleaned_late = True
    disposition = ""
    final_phrase = ""
    # What `respond` told the caller.
    final_answer = ""

    def __init__(self, switch: Switch, name: str, direction: str, uuid: str = ""):
        self.switch = switch
        self.uuid = uuid or str(uuid_module.uuid4())
        self.call_uuid = self.uuid
        self.name = name
        self.direction = direction
        self.state = State.NEW
        self.running = State.NEW
        self.hit_dialplan = direction == "inbound"
        self.variables: dict[str, Value] = {}
        self.profile: Profile | None = None
        self.profiles: list[tuple[Profile, Extension | None]] = []
        self.partner: Channel | None = None
        self.consulted: Channel | None = None
        self.extension: Extension | None = None
        self.app_log: list[tuple[str, str, int]] = []
        self.party: Any = None
        self.sip: Any = None
        self.session_id = switch.next_session_id()
        self.started_at = switch.clock.now()
        self.queue: list[Any] = []
        # Events that were sent to this call, and whether a connection that controls it has them diverted.
        self.notices: deque[Event] = deque()
        self.diverts = False
        self.dialled_user: User | None = None
        # Whether the leg had its user's variables from the start.
        self.knows_user = False
        self.outer_variables: dict[str, str] = {}
        self.reports_after: Channel | None = None
        self.noted_legs: list[str] = []
        self.last_dialled: list[Channel] = []
        self.preset: Extension | None = None
        self.soft_task: Callable[[], Awaitable[None]] | None = None
        self.recordings: list[str] = []
        self.digits: list[str] = []
        self.sent_digits = ""
        self.hold_log: list[tuple[int, int]] = []
        self.reporting = asyncio.Event()
        self.reported = asyncio.Event()
        self.destroyed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.controllers: list[Any] = []
        self.timers: list[asyncio.TimerHandle] = []
        self._sleepers: list[asyncio.Future[Any]] = []

    # What the dialplan asks

    def profile_field(self, name: str) -> str | None:
        attribute = FIELDS.get(name.lower())
        if self.profile is None or attribute is None:
            return None
        return str(getattr(self.profile, attribute))

    def expand(self, text: str) -> str:
        return expand(text, self.get_variable, self.call_api)

    def set_match(self, values: list[str]) -> None:
        self.set_variable("DP_MATCH", values)

    def variable(self, name: str) -> str | None:
        return self.get_variable(name)

    def run_inline(self, application: str, data: str) -> None:
        self.switch.run_inline(self, application, data)

    def call_api(self, name: str, arguments: str) -> str:
        return self.switch.expansion_api(name, arguments, self)

    @property
    def originator(self) -> Profile | None:
        """The leg that this one was called for, as it was then; a transfer makes the leg its own master."""
        return self.profile.originator if self.profile else None

    @property
    def originatee(self) -> Profile | None:
        return self.profile.originatee if self.profile else None

    # Variables

    def set_variable(self, name: str, value: Value | None) -> None:
        """Sets a variable, which moves it to the end; an empty value removes it."""
        self.variables.pop(name, None)
        if value:
            self.variables[name] = value

    def set_variables(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            self.set_variable(name, value)

    def push_variable(self, name: str, value: str) -> None:
        """Adds to a variable, which becomes an array with the second value; it stays where it is."""
        known = self.variables.get(name)
        if known is None:
            self.variables[name] = value
        else:
            self.variables[name] = [known, value] if isinstance(known, str) else [*known, value]

    def change_variable(self, name: str, value: Value) -> None:
        """Changes a value where it stands."""
        self.variables[name] = value

    def get_variable(self, name: str) -> str | None:
        """A channel variable, else a field of the caller profile, else a global."""
        index = None
        if name.endswith("]") and "[" in name:
            name, _, number = name[:-1].partition("[")
            index = int(number) if number.isdigit() else 0
        found = self.variables.get(name)
        if found is not None:
            if index is not None and not isinstance(found, str):
                return found[index] if index < len(found) else None
            return flat(found)
        return self.profile_field(name) or self.switch.variables.get(name)

    def text(self, name: str) -> str:
        """A channel variable as text, empty when absent."""
        return flat(self.variables.get(name, ""))

    # Events

    @property
    def answer_state(self) -> str:
        if self.state >= State.HANGUP:
            return "hangup"
        if self.answered:
            return "answered"
        return "early" if self.early else "ringing"

    def basic_headers(self) -> list[Header]:
        headers: list[Header] = [
            ("Channel-State", f"CS_{self.running.name}"),
            ("Channel-Call-State", self.call_state),
            ("Channel-State-Number", str(int(self.state))),
            ("Channel-Name", self.name),
            ("Unique-ID", self.uuid),
            ("Call-Direction", self.direction),
            ("Presence-Call-Direction", self.direction),
            ("Channel-HIT-Dialplan", "true" if self.hit_dialplan else "false"),
        ]
        if self.presence_id:
            headers.append(("Channel-Presence-ID", self.presence_id))
        headers.append(("Channel-Call-UUID", self.call_uuid))
        headers.append(("Answer-State", self.answer_state))
        if self.cause:
            headers.append(("Hangup-Cause", self.cause))
        if self.has_media:
            for side, codec in (("Read", self.read_codec or self.codec_name), ("Write", self.codec_name)):
                headers.append((f"Channel-{side}-Codec-Name", codec))
                headers.append((f"Channel-{side}-Codec-Rate", "8000"))
                headers.append((f"Channel-{side}-Codec-Bit-Rate", BIT_RATES[codec]))
        return headers

    def headers(self, with_variables: bool = True) -> list[Header]:
        """Everything that an event about this channel says of it, in the switch's order."""
        headers = self.basic_headers()
        if self.profile:
            headers += self.profile.headers("Caller")
        other = self.originator or self.originatee
        if other:
            headers.append(("Other-Type", "originator" if self.originator else "originatee"))
            headers += other.headers("Other-Leg", index=False)
        if with_variables:
            headers += [("variable_" + name, value) for name, value in self.variables.items()]
        return headers

    def fire(
        self,
        name: str,
        before: list[Header] | None = None,
        after: list[Header] | None = None,
        source: tuple[str, str, str] | None = None,
    ) -> None:
        """Sends an event about this channel: extra headers come before or after its own."""
        if not self.switch.wanted(name):
            self.switch.skip_event()
            return
        self.switch.send(self.event(name, before, after, source))

    def event(
        self,
        name: str,
        before: list[Header] | None = None,
        after: list[Header] | None = None,
        source: tuple[str, str, str] | None = None,
    ) -> Event:
        headers = self.switch.event_head(name, source or SOURCES[name])
        headers += before or ()
        headers += self.headers(name not in WITHOUT_VARIABLES)
        headers += after or ()
        return Event(name, headers)

    # States

    def enter(self, state: State) -> None:
        """Makes a state the one that runs, and says so."""
        self.running = state
        self.fire("CHANNEL_STATE")

    def set_call_state(self, call_state: str) -> None:
        if call_state == self.call_state:
            return
        before = self.call_state
        self.call_state = call_state
        number = str(CALL_STATES.index(call_state))
        self.fire(
            "CHANNEL_CALLSTATE",
            [("Original-Channel-Call-State", before), ("Channel-Call-State-Number", number)],
        )

    def set_state(self, state: State) -> None:
        """Asks the task to go on in another state."""
        if self.state < State.HANGUP:
            self.state = state
            self.broken_off += 1
            self.wake()

    @property
    def is_second_leg(self) -> bool:
        """Whether this leg was called for another that is its partner now."""
        return (
            self.originator is not None
            and self.partner is not None
            and self.originator.uuid == self.partner.uuid
        )

    @property
    def up(self) -> bool:
        return self.state < State.HANGUP

    def hangup(self, cause: str) -> None:
        """Ends the channel: the event goes out at once, the rest follows in the channel's own task."""
        if self.state >= State.HANGUP:
            return
        self.state = State.HANGUP
        self.cause = cause
        if self.partner is not None:
            self.set_variable("last_bridge_role", "originatee" if self.is_second_leg else "originator")
        self.fire("CHANNEL_HANGUP")
        self._tell_bonded_leg()
        if self.party is not None:
            self.party.channel_ended(self)
        self.wake()

    def _tell_bonded_leg(self) -> None:
        other = self.switch.channels.get(self.text("signal_bond"))
        if other is None or not other.up:
            return
        for name in ("sip_invite_failure_status", "sip_invite_failure_phrase"):
            if name in self.variables:
                other.set_variable(name, self.text(name))
        other.set_variable("sip_hangup_phrase", self.final_phrase or other.text("sip_hangup_phrase"))
        other.set_variable("last_bridge_hangup_cause", self.cause)
        specific = self.text("proto_specific_hangup_cause")
        if specific:
            other.set_variable("last_bridge_proto_specific_hangup_cause", specific)

    def mark_ringing(self) -> None:
        """The far end rings (180)."""
        if not self.up or self.answered or self.early or not self.profile:
            return
        if not self.profile.times.progress:
            self.profile.times.progress = self.switch.clock.now()
            if self.originator:
                self.originator.times.progress = self.profile.times.progress
        self.fire("CHANNEL_PROGRESS")
        self.switch.run_hooks(self, "ring")
        self.set_call_state("RINGING")
        self.wake()

    def mark_early(self) -> None:
        """Media before the answer (183)."""
        if not self.up or self.answered or self.early or not self.profile:
            return
        self.early = True
        self.has_media = True
        self.profile.times.progress_media = self.switch.clock.now()
        if self.originator:
            self.originator.times.progress_media = self.profile.times.progress_media
        self.fire("CHANNEL_PROGRESS_MEDIA")
        self.switch.run_hooks(self, "pre_answer")
        self.switch.run_hooks(self, "media")
        self.set_call_state("EARLY")
        self.wake()

    def mark_answered(self) -> None:
        if not self.up or self.answered or not self.profile:
            return
        self.answered = True
        self.has_media = True
        self.profile.times.answered = self.switch.clock.now()
        self.fire("CHANNEL_ANSWER")
        self.switch.run_hooks(self, "answer")
        if not self.early:
            self.switch.run_hooks(self, "media")
        self.set_call_state("ACTIVE")
        if self.party is not None and self.direction == "inbound":
            self.party.call_answered(self)
        self.wake()

    # Waiting

    def wake(self) -> None:
        """Whoever waits on this channel looks again."""
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    def sleep_with(self, sleeper: asyncio.Future[Any]) -> None:
        self._sleepers.append(sleeper)

    def stop_sleeping(self, sleeper: asyncio.Future[Any]) -> None:
        if sleeper in self._sleepers:
            self._sleepers.remove(sleeper)

    async def wait(self, seconds: float | None = None) -> bool:
        """Waits for a change of this channel. False when the time ran out first."""
        sleeper: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sleep_with(sleeper)
        handle = None
        if seconds is not None:
            handle = asyncio.get_running_loop().call_later(max(seconds, 0), _time_is_up, sleeper)
        result = await sleeper
        if handle:
            handle.cancel()
        self.stop_sleeping(sleeper)
        return result is None

    async def sleep(self, seconds: float) -> None:
        """Passes time on the call: until it is over, sent elsewhere, or interrupted. Messages are obeyed."""
        loop = asyncio.get_running_loop()
        until, state, mark = loop.time() + seconds, self.state, self.broken_off
        while self.state == state and self.broken_off == mark and loop.time() < until:
            if not await self.run_queue():
                await self.wait(until - loop.time())

    def start(self) -> None:
        """Starts the channel's task."""
        self.task = asyncio.get_running_loop().create_task(self.switch.run_channel(self))

    async def run_queue(self) -> bool:
        """Runs what was sent to this channel meanwhile. False when there was nothing."""
        worked = bool(self.queue)
        while self.queue and self.up:
            await self.switch.run_message(self, self.queue.pop(0))
        return worked

    async def work_queue(self) -> None:
        """Waits for a change, or runs what was sent to this channel."""
        if not await self.run_queue() and self.up:
            await self.wait()

    def receive_digits(self, digits: str, source: str = "RTP") -> None:
        """Keys that the far end pressed, or a command (`source` APP) in its place."""
        for digit in digits:
            self.digits.append(digit)
            self.fire(
                "DTMF", after=[("DTMF-Digit", digit), ("DTMF-Duration", "2000"), ("DTMF-Source", source)]
            )
        self.wake()

    def post(self, message: Any) -> None:
        self.queue.append(message)
        self.wake()

    def fire_uuid_change(self, old: str) -> None:
        """The channel was made under another UUID than the one that was asked for."""
        running, state = self.running, self.state
        self.running, self.state = State.NONE, State.INIT
        self.fire("CHANNEL_UUID", [("Old-Unique-ID", old)])
        self.running, self.state = running, state

    def replace_profile(self, profile: Profile) -> None:
        """A transfer: the old profile stays in the records."""
        if self.profile:
            self.profiles.insert(0, (self.profile, self.extension))
            profile.index = self.profile.index + 1
            profile.logical_direction = "inbound" if self.hit_dialplan else self.direction
        self.profile = profile
        self.extension = None


def _time_is_up(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result("late")


async def wait_any(channels: list[Channel], seconds: float | None = None) -> None:
    """Waits until one of the channels changes, or until the time runs out."""
    loop = asyncio.get_running_loop()
    sleeper: asyncio.Future[Any] = loop.create_future()
    for channel in channels:
        channel.sleep_with(sleeper)
    handle = loop.call_later(max(seconds, 0), _time_is_up, sleeper) if seconds is not None else None
    await sleeper
    if handle:
        handle.cancel()
    for channel in channels:
        channel.stop_sleeping(sleeper)
