"""Which answer belongs to which command, for both directions of the event socket.

The switch answers commands in the order in which they were sent, and puts events anywhere between. So
every command that is sent takes a place in a queue, also one that nobody waits for and one whose waiter
gave up: only its answer removes it. What answers later carries a UUID: BACKGROUND_JOB the Job-UUID of a
`bgapi`, CHANNEL_EXECUTE_COMPLETE the Event-UUID of an `execute`.

No method here reads, writes, waits or locks. Only one thread at a time may send, and one may receive
meanwhile; when the conversation ended, `fail` has to be called once more where nobody can be sending, for a
command that was on its way in just then.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from .batches import Batch, Fields
from .commands import BgApi, Command, Connect, Execute, Exit
from .errors import (
    AuthenticationFailed,
    CallEnded,
    CommandFailed,
    ConnectionLost,
    ESLError,
    InvalidJSON,
    ProtocolError,
    Rejected,
)
from .events import Event
from .frames import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    ApiResponse,
    AuthRequest,
    ChannelData,
    DisconnectNotice,
    LogLine,
    Message,
    Parser,
    Rejection,
    Reply,
)

MAX_UNANSWERED: Final = 100_000
"""Commands, jobs and executions (each) that may wait for an answer: ten times a whole directory read back."""

SHORTEST_LOOP_US: Final = 500_000
"""The switch ends the loops of an application early when one run takes less microseconds than this."""


class Role(Enum):
    """Who called whom, from our side."""

    INBOUND = "inbound"  # we connected to the switch
    OUTBOUND = "outbound"  # the switch connected to us, for one call


class State(Enum):
    """How far a conversation is."""

    NEW = "new"
    GREETED = "greeted"
    LOGGING_IN = "logging in"
    READY = "ready"
    LINGERING = "lingering"
    LEAVING = "leaving"
    ENDED = "ended"


class Step(Enum):
    """What moves a conversation on."""

    AUTH_REQUEST = "auth/request received"
    SEND_AUTH = "auth sent"
    AUTH_ACCEPTED = "auth accepted"
    SEND_CONNECT = "connect sent"
    CHANNEL_DATA = "channel data received"
    SEND_COMMAND = "command sent"
    LINGER_NOTICE = "linger notice received"
    SEND_EXIT = "exit sent"


_STEPS: Final[dict[tuple[Role, State, Step], State]] = {
    (Role.INBOUND, State.NEW, Step.AUTH_REQUEST): State.GREETED,
    (Role.INBOUND, State.GREETED, Step.SEND_AUTH): State.LOGGING_IN,
    (Role.INBOUND, State.LOGGING_IN, Step.AUTH_ACCEPTED): State.READY,
    (Role.INBOUND, State.READY, Step.SEND_COMMAND): State.READY,
    (Role.INBOUND, State.READY, Step.LINGER_NOTICE): State.LINGERING,  # after `myevents <uuid>`
    (Role.INBOUND, State.READY, Step.SEND_EXIT): State.LEAVING,
    (Role.INBOUND, State.LINGERING, Step.SEND_COMMAND): State.LINGERING,
    (Role.INBOUND, State.LINGERING, Step.SEND_EXIT): State.LEAVING,
    (Role.OUTBOUND, State.NEW, Step.SEND_CONNECT): State.LOGGING_IN,
    (Role.OUTBOUND, State.LOGGING_IN, Step.CHANNEL_DATA): State.READY,
    (Role.OUTBOUND, State.READY, Step.SEND_COMMAND): State.READY,
    (Role.OUTBOUND, State.READY, Step.LINGER_NOTICE): State.LINGERING,
    (Role.OUTBOUND, State.READY, Step.SEND_EXIT): State.LEAVING,
    (Role.OUTBOUND, State.LINGERING, Step.SEND_COMMAND): State.LINGERING,
    (Role.OUTBOUND, State.LINGERING, Step.SEND_EXIT): State.LEAVING,
    (Role.OUTBOUND, State.LEAVING, Step.LINGER_NOTICE): State.LEAVING,
}


class Waiter(Protocol):
    """Who waits for an answer. Is told once, either way; must not raise, also after it gave up waiting."""

    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: ESLError, /) -> None: ...


@dataclass(slots=True)
class _Slot:
    command: Command
    waiter: Waiter | None


@dataclass(slots=True)
class _Execution:
    command: Execute
    waiter: Waiter
    runs: int = 0
    started_us: int = 0


class Connection:
    """The core of one conversation with the switch, whichever side called.

    `send` gives the bytes to write and remembers the waiter; `receive` takes bytes, tells the waiters, and
    returns what is left for the caller: events, log lines, the greeting and disconnect notices, in order.
    When the conversation is over, `error` says why and every waiter has been told.
    """

    def __init__(
        self, role: Role, *, max_header: int = MAX_HEADER_BYTES, max_body: int = MAX_BODY_BYTES
    ) -> None:
        self.role = role
        self.state = State.NEW
        self.error: ESLError | None = None
        self.channel = ""
        """Outbound: the UUID of the call."""
        self.hangup_cause = ""
        """Outbound: why the call ended, once it did."""
        self.hangup_complete = False
        """Outbound: whether the last event of the call, CHANNEL_HANGUP_COMPLETE, has come."""
        self.hidden: frozenset[str] = frozenset()
        """Names of events that complete jobs and executions but are not to be returned by `receive`."""
        self.taken = 0
        """Messages that the last `receive` did not return: answers, and events that complete something."""
        self._parser = Parser(max_header, max_body)
        self._slots: deque[_Slot] = deque()
        self._jobs: dict[str, tuple[BgApi, Waiter]] = {}
        self._executions: dict[str, _Execution] = {}

    @property
    def unanswered(self) -> int:
        """Commands whose answers are still to come."""
        return len(self._slots)

    @property
    def under_way(self) -> int:
        """Jobs and executions that are not complete."""
        return len(self._jobs) + len(self._executions)

    def send(self, command: Command, waiter: Waiter | None = None) -> bytes:
        """The bytes of `command`; the waiter gets its answer, also one that is an error.

        Raises `ConnectionLost` after the end and `ProtocolError` when this is not the moment for `command`.
        """
        self._advance(_step_of(command))
        return self._enqueue(command, waiter)

    def send_job(self, command: BgApi, waiter: Waiter) -> bytes:
        """As `send`, but the waiter gets the BACKGROUND_JOB event, or `CommandFailed`."""
        self._advance(Step.SEND_COMMAND)
        _check_room(self._jobs)
        if command.job_uuid in self._jobs:
            raise ProtocolError(f"a job {command.job_uuid} is already under way")
        data = self._enqueue(command, None)
        self._jobs[command.job_uuid] = (command, waiter)
        return data

    def send_execution(self, command: Execute, waiter: Waiter) -> bytes:
        """As `send`, but the waiter gets the CHANNEL_EXECUTE_COMPLETE event, `CommandFailed` or `CallEnded`.

        `command.event_uuid` must be set; with `loops`, the event of the last run counts.
        """
        self._advance(Step.SEND_COMMAND)
        _check_room(self._executions)
        if not command.event_uuid or command.event_uuid in self._executions:
            raise ProtocolError("an execution needs an event_uuid of its own")
        data = self._enqueue(command, None)
        self._executions[command.event_uuid] = _Execution(command, waiter)
        return data

    def receive(self, data: bytes) -> Sequence[Message]:
        """What `data` completes and no waiter takes. Check `error` afterwards."""
        if self.error is not None:
            return []
        parser = self._parser
        messages = parser.feed(data)
        if not self._is_for_others(messages):
            count = len(messages)
            messages = self._take_answers(messages)
            self.taken = count - len(messages)
        if parser.error is not None:
            self.fail(parser.error)
        return messages

    def receive_end(self) -> None:
        """The peer closed the stream."""
        inside = " in the middle of a frame" if self._parser.buffered else ""
        if self.hangup_cause:
            self.fail(CallEnded(self.hangup_cause))
        else:
            self.fail(ConnectionLost(f"the switch closed the connection{inside}"))

    def fail(self, error: ESLError) -> None:
        """Ends the conversation: every waiter gets `error`, or the reason for which it had ended before."""
        if self.error is None:
            self.error = error
        self.state = State.ENDED
        while self._slots:
            slot = self._slots.popleft()
            if slot.waiter is not None:
                slot.waiter.set_exception(self.error)
        while self._jobs:
            self._jobs.popitem()[1][1].set_exception(self.error)
        while self._executions:
            self._executions.popitem()[1].waiter.set_exception(self.error)

    def _advance(self, step: Step) -> None:
        if self.error is not None:
            raise self.error.fresh()
        if step is Step.SEND_COMMAND and self.state is State.READY:
            return  # as the table says, which takes its time to look into
        state = _STEPS.get((self.role, self.state, step))
        if state is None and self.state is State.LEAVING and step is Step.SEND_COMMAND:
            raise ConnectionLost("exit was sent: the conversation is over")
        if state is None:
            raise ProtocolError(
                f"{self.role.value} connection, {self.state.value}: no place for {step.value!r}"
            )
        self.state = state

    def _enqueue(self, command: Command, waiter: Waiter | None) -> bytes:
        _check_room(self._slots)
        data = command.to_bytes()
        self._slots.append(_Slot(command, waiter))
        return data

    def _is_for_others(self, messages: Sequence[Message]) -> bool:
        """Whether none of them completes anything or is hidden: then no event has to be made."""
        if not isinstance(messages, Batch):
            return False
        if not (self._jobs or self._executions or self.hidden or self.channel):
            return True
        try:
            names = {name for (name,) in _NAME.read(messages)}
        except InvalidJSON:
            return False
        return self.hidden.isdisjoint(names) and names.isdisjoint(_HANDLERS)

    def _take_answers(self, messages: Sequence[Message]) -> list[Message]:
        rest: list[Message] = []
        for message in messages:
            if isinstance(message, Event):
                if self._is_shown(message):
                    rest.append(message)
            elif isinstance(message, _ANSWERS):
                self._answer(message)
            else:
                self._note(message)
                rest.append(message)
            if self.error is not None:
                break
        return rest

    def _is_shown(self, event: Event) -> bool:
        """Tells whom `event` completes. A malformed event completes nobody; its reader will see the error."""
        try:
            name = event.name
            handle = _HANDLERS.get(name)
            if handle is not None:
                handle(self, event)
        except InvalidJSON:
            return True
        return name not in self.hidden

    def _note(self, message: LogLine | AuthRequest | DisconnectNotice | Rejection) -> None:
        if isinstance(message, AuthRequest):
            self._received(Step.AUTH_REQUEST)
        elif isinstance(message, Rejection):
            self.fail(Rejected(message.text))
        elif isinstance(message, DisconnectNotice):
            if message.linger:
                self._received(Step.LINGER_NOTICE)
            elif self.channel:
                self.fail(CallEnded(self.hangup_cause))
            else:
                self.fail(ConnectionLost(f"the switch ended the connection: {message.text}"))

    def _received(self, step: Step) -> None:
        try:
            self._advance(step)
        except ProtocolError as error:
            self.fail(error)

    def _answer(self, answer: Reply | ApiResponse | ChannelData) -> None:
        if not self._slots:
            self.fail(ProtocolError("an answer without a command"))
            return
        slot = self._slots[0]
        command = slot.command
        if not _fits(command, answer):
            self.fail(ProtocolError(f"{type(answer).__name__} does not answer {command.summary!r}"))
            return
        self._slots.popleft()
        if command.is_login:
            self._logged_in(slot, answer)
            return
        if isinstance(answer, ChannelData):
            self.channel = answer.event.get("Unique-ID", "")
            self._received(Step.CHANNEL_DATA)
        elif answer.is_error:
            self._refused(command, answer.text)
        if slot.waiter is not None:
            slot.waiter.set_result(answer)

    def _logged_in(self, slot: _Slot, answer: Reply | ApiResponse | ChannelData) -> None:
        if answer.is_error:
            error = AuthenticationFailed(answer.text)
            if slot.waiter is not None:
                slot.waiter.set_exception(error)
            self.fail(error)
            return
        self._received(Step.AUTH_ACCEPTED)
        if slot.waiter is not None:
            slot.waiter.set_result(answer)

    def _refused(self, command: Command, words: str) -> None:
        """What was to complete later will not."""
        if isinstance(command, BgApi):
            job = self._jobs.pop(command.job_uuid, None)
            if job is not None:
                job[1].set_exception(CommandFailed(words, command.summary))
        elif isinstance(command, Execute):
            execution = self._executions.pop(command.event_uuid, None)
            if execution is not None:
                execution.waiter.set_exception(CommandFailed(words, command.summary))

    def _job_done(self, event: Event) -> None:
        job = self._jobs.pop(event.get("Job-UUID", ""), None)
        if job is not None:
            job[1].set_result(event)

    def _execution_begins(self, event: Event) -> None:
        execution = self._executions.get(event.get("Application-UUID", ""))
        if execution is not None:
            execution.started_us = _timestamp(event)

    def _execution_ran(self, event: Event) -> None:
        uuid = event.get("Application-UUID", "")
        execution = self._executions.get(uuid)
        if execution is None:
            return
        execution.runs += 1
        if _will_run_again(execution, event):
            return
        del self._executions[uuid]
        execution.waiter.set_result(event)

    def _hung_up(self, event: Event) -> None:
        if event.get("Unique-ID") == self.channel:
            self.hangup_cause = event.get("Hangup-Cause", "")

    def _hangup_completed(self, event: Event) -> None:
        self._hung_up(event)
        channel = event.get("Unique-ID")
        self.hangup_complete = self.hangup_complete or channel == self.channel
        for uuid, execution in list(self._executions.items()):
            if execution.command.uuid == channel:
                del self._executions[uuid]
                cause = event.get("Hangup-Cause", "")
                execution.waiter.set_exception(CallEnded(cause, execution.command.app))


_NAME: Final = Fields("Event-Name")
_ANSWERS: Final = (Reply, ApiResponse, ChannelData)
_HANDLERS: Final[dict[str, Callable[[Connection, Event], None]]] = {
    "BACKGROUND_JOB": Connection._job_done,
    "CHANNEL_EXECUTE": Connection._execution_begins,
    "CHANNEL_EXECUTE_COMPLETE": Connection._execution_ran,
    "CHANNEL_HANGUP": Connection._hung_up,
    "CHANNEL_HANGUP_COMPLETE": Connection._hangup_completed,
}


def _step_of(command: Command) -> Step:
    if command.is_login:
        return Step.SEND_AUTH
    if isinstance(command, Connect):
        return Step.SEND_CONNECT
    return Step.SEND_EXIT if isinstance(command, Exit) else Step.SEND_COMMAND


def _fits(command: Command, answer: Reply | ApiResponse | ChannelData) -> bool:
    """An API command that is refused (permission, `full` missing) is answered by a reply."""
    if isinstance(answer, ApiResponse):
        return command.is_api
    if isinstance(command, Connect):
        return isinstance(answer, ChannelData)
    return isinstance(answer, Reply) and (not command.is_api or answer.is_error)


def _check_room(waiting: deque[_Slot] | dict[str, Any]) -> None:
    if len(waiting) >= MAX_UNANSWERED:
        raise ESLError(f"{MAX_UNANSWERED} commands already wait for an answer")


def _will_run_again(execution: _Execution, event: Event) -> bool:
    loops = execution.command.loops
    if loops >= 0 and execution.runs >= loops:
        return False
    if event.get("Answer-State") == "hangup":
        return False
    took_us = _timestamp(event) - execution.started_us
    return not (execution.started_us and took_us < SHORTEST_LOOP_US)


def _timestamp(event: Event) -> int:
    value = event.get("Event-Date-Timestamp", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0
