"""The Event Socket client: blocking, thread-safe, and always trying to be connected.

Many threads share one `Client` and its one connection. A thread of its own keeps the connection, hands
answers to whoever waits for them, and calls `on_events`, `on_state` and `on_log`, in the order of the wire. A
callback may use the client like anyone else: while one runs and anybody waits for an answer, a second thread
reads.

    with Client("127.0.0.1", password="ClueCon") as client:
        client.connect()
        print(client.api("status"))
"""

import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from .delivery import Ahead, Callbacks, Connected, Disconnected
from .protocol import commands
from .protocol.commands import Command, Execute, Format
from .protocol.connection import State
from .protocol.errors import CommandFailed, ConnectionLost, ESLError, Timeout
from .protocol.events import Event
from .protocol.frames import MAX_BODY_BYTES, ApiResponse, LogLine, Message, Reply
from .protocol.wishes import EXECUTION_EVENTS, JOB_EVENTS, Wishes
from .session import READ_BYTES, Session
from .waiting import Answer, Execution, Gathering, Job, Outcome

__all__ = ["Client", "Connected", "Disconnected"]

FIRST_RETRY: Final = 0.5
"""Seconds before the first new attempt; doubles with each failure."""
LAST_RETRY: Final = 30.0
"""Seconds between attempts at most: a switch that restarts is found again within this time."""
JITTER: Final = 0.2
"""The wait is up to this part shorter or longer, so that many clients do not come back in step."""
SILENCE: Final = 60.0
"""Seconds without a byte after which a connection that should bring heartbeats (every 20 s) is dead."""
QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Bytes of events that are read ahead of the callbacks at most, and only while an answer is awaited. Beyond
that, and whenever nobody waits for an answer, the client reads no faster than the callbacks return. The
switch then keeps up to 100,000 events for us and drops us after losing 500 more: a gap like any other."""
MANY_ANSWERS: Final = 4
"""Answers in one read, from which on the next ones are left to gather, while no thread waits for one."""


@dataclass(frozen=True, slots=True)
class _Subscription:
    """Waits for the answer to a subscription that a job or an execution needs to be completed."""

    command: Command
    names: tuple[str, ...]
    session: Session
    outcome: Outcome

    def set_result(self, reply: Reply, /) -> None:
        if reply.is_error:  # a directory user may not have all events
            error = CommandFailed(reply.text, self.command.summary)
            self.session.refused[self.names] = error
            self.outcome.set_exception(error)

    def set_exception(self, exception: ESLError, /) -> None:
        """Whoever waits for the outcome is told, too."""


class _Turn:
    """The right to write, which `_begin` or `_acquire` got: `with` it around what is written."""

    __slots__ = ("_client",)

    def __init__(self, client: "Client") -> None:
        self._client = client

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self._client._break_off(error)
        self._client._release()


class Client:
    """One connection to a switch, shared by all threads; the module's text tells how it works.

    `subscriptions` are event names and CUSTOM subclasses (`sofia::register`). `on_events` gets up to 500
    events, `on_state` gets `Connected` and `Disconnected`, `on_log` the switch's log lines; one thread
    calls them all, in order, and logs what they raise. `timeout` (seconds) limits every wait that is given
    no limit of its own. `retry`: the first and the longest wait between attempts, seconds. `silence`: the
    longest time without a byte while HEARTBEAT is subscribed, seconds. `queue_bytes`: see `QUEUE_BYTES`.
    `max_frame`: bytes of the largest answer or event that is accepted.

    What talks to the switch raises `ConnectionLost` at once when there is no connection, `Timeout` when no
    answer comes, and `ValueError` with the argument's name for a value that cannot be sent.
    """

    def __init__(  # noqa: PLR0913  # keyword-only settings with defaults
        self,
        host: str,
        port: int = 8021,
        password: str = "ClueCon",  # noqa: S107  # every FreeSWITCH's default
        *,
        user: str | None = None,
        subscriptions: Iterable[str] = (),
        event_format: Format = "json",
        on_events: Callable[[Sequence[Event]], None] | None = None,
        on_state: Callable[[Connected | Disconnected], None] | None = None,
        on_log: Callable[[LogLine], None] | None = None,
        timeout: float = 10.0,
        retry: tuple[float, float] = (FIRST_RETRY, LAST_RETRY),
        silence: float = SILENCE,
        queue_bytes: int = QUEUE_BYTES,
        max_frame: int = MAX_BODY_BYTES,
    ) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        self._login = commands.UserAuth(user, password) if user else commands.Auth(password)
        self._wishes = Wishes(event_format).listening(subscriptions)
        self._wishes.commands_after(Wishes())  # refuses at once what cannot be sent
        self._retry = retry
        self._silence = silence
        self._max_frame = max_frame
        self._callbacks = Callbacks(on_events, on_state, on_log)
        self._first = threading.Thread(target=self._run, name="esl-client", daemon=True)
        self._second = threading.Thread(target=self._help, name="esl-client-ahead", daemon=True)
        self._lock = threading.Lock()  # who holds it may write, and change the session and the wishes
        self._turn = _Turn(self)
        self._session: Session | None = None
        self._gathering = Gathering()
        self._closing = threading.Event()
        self._ahead = Ahead(queue_bytes, self._closing)
        self._tried = threading.Event()  # the first attempt has ended, well or not
        self._up = threading.Event()  # connected now, or closed
        self._first_error: ESLError | None = None
        self._last_error: ESLError | None = None
        self._started = False
        self._once = False
        self._is_forked = False
        _clients.add(self)

    # Life

    def start(self) -> None:
        """Connects in the background and stays connected until `close`. Returns at once."""
        with self._lock:
            if self._closing.is_set():
                raise self._lost()
            if self._started:
                return
            self._started = True
        self._first.start()
        self._second.start()

    def connect(self, timeout: float | None = None) -> None:
        """As `start`, but waits until the client is logged in and its subscriptions are made.

        When the first attempt fails no other is made, the client is closed, and it raises
        `AuthenticationFailed`, `Rejected`, `ConnectionLost`, `Timeout`, or `CommandFailed` for a
        subscription that the switch refuses. After `start` it waits for the attempts that are made anyway,
        raises why the last one failed, and leaves the client trying.
        """
        seconds = self._seconds(timeout)
        if self._started:
            self._wait_until_up(seconds)
            return
        self._once = True
        self.start()
        error: ESLError | None = Timeout(f"not connected to {self.host}:{self.port} in {seconds:g} s")
        if self._tried.wait(seconds):
            error = self._first_error
        if error is not None:
            self.close()
            raise error.fresh()

    def _wait_until_up(self, seconds: float) -> None:
        in_time = self._up.wait(seconds)
        if self._closing.is_set():
            raise self._lost()
        if not in_time:
            late = Timeout(f"not connected to {self.host}:{self.port} in {seconds:g} s")
            raise (self._last_error or late).fresh()

    def close(self) -> None:
        """Ends the connection and the threads; all waiters get `ConnectionLost`. May be called again.

        Events that were not yet handed over are dropped; a callback that runs is waited for.
        """
        self._closing.set()
        self._up.set()
        session = self._session
        if session is not None:
            session.abort(ConnectionLost("the client was closed"))
        self._ahead.wake()
        with self._gathering:
            for thread in (self._first, self._second):
                if thread.is_alive() and thread is not threading.current_thread():
                    thread.join(self.timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_connected(self) -> bool:
        """Whether commands can be sent now."""
        session = self._session
        return session is not None and session.ready

    # Commands

    def api(self, command: str, arguments: str = "", *, timeout: float | None = None) -> str:
        """The output of an API command, its last newline removed; '' for `-ERR no reply`.

        Raises `CommandFailed` when the output begins with `-ERR` or `-USAGE`. While it runs the switch does
        nothing else on this connection: use `bgapi` for what takes long (`originate`).
        """
        asked = commands.Api(command, arguments)
        answer = self._ask(asked, timeout)
        if answer.is_error:
            raise CommandFailed(answer.text, asked.summary)
        return answer.text

    def api_many(self, requests: Sequence[str], *, timeout: float | None = None) -> list[str]:
        """The outputs of many API commands, in their order, for the price of one way there and back.

        `-ERR` and `-USAGE` come as text. `timeout` is for all of them together.
        """
        asked = [commands.Api(request) for request in requests]
        answers = [Answer() for _ in asked]
        deadline = time.monotonic() + self._seconds(timeout)
        session = self._begin(deadline)
        with self._turn:
            session.write(b"".join(map(session.connection.send, asked, answers)), deadline)
        with self._gathering:
            replies = [answer.wait(deadline, command) for answer, command in zip(answers, asked, strict=True)]
        return [reply.text for reply in replies]

    def bgapi(self, command: str, arguments: str = "", *, job_uuid: str | None = None) -> Job:
        """Starts an API command in the background. Returns without waiting for the switch."""
        asked = commands.BgApi(command, arguments, job_uuid or commands.new_uuid())
        job = Job(asked, self.timeout, self._gathering)
        session = self._begin(time.monotonic() + self.timeout)
        with self._turn:
            needed = self._listen(session, JOB_EVENTS, job)
            session.write(needed + session.connection.send_job(asked, job))
        return job

    def execute(
        self, uuid: str, app: str, arg: str = "", *, loops: int = 1, event_lock: bool = False
    ) -> Execution:
        """Starts a dialplan application on the channel `uuid`. Returns without waiting for the switch."""
        if not uuid:
            raise ValueError("uuid: must name a channel")
        asked = Execute(app, arg, uuid, commands.new_uuid(), loops=loops, event_lock=event_lock)
        execution = Execution(asked, self.timeout, self._gathering)
        session = self._begin(time.monotonic() + self.timeout)
        with self._turn:
            needed = self._listen(session, EXECUTION_EVENTS, execution)
            session.write(needed + session.connection.send_execution(asked, execution))
        return execution

    def hangup(self, uuid: str, cause: str = "NORMAL_CLEARING", *, timeout: float | None = None) -> None:
        """Ends the channel `uuid`. Raises `CommandFailed` when there is none."""
        if not uuid:
            raise ValueError("uuid: must name a channel")
        self.send(commands.Hangup(uuid, cause), timeout=timeout)

    def sendevent(
        self,
        name: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: str = "",
        *,
        timeout: float | None = None,
    ) -> str:
        """Fires an event inside the switch; its Event-UUID."""
        asked = commands.SendEvent(name, commands.header_pairs(headers), body)
        return self.send(asked, timeout=timeout).text.removeprefix("+OK").strip()

    def send(self, command: Command, *, timeout: float | None = None) -> Reply:
        """Sends any command that is answered by a reply, and raises `CommandFailed` when that is `-ERR`.

        What it changes is not made again after a reconnect: see `subscribe`, `filter` and `log` for that,
        which also know what jobs and executions need.
        """
        if command.is_api:
            raise ValueError("command: is answered by its output: use api()")
        reply = self._ask(command, timeout, self._wishes_after)
        if reply.is_error:
            raise CommandFailed(reply.text, command.summary)
        assert isinstance(reply, Reply)
        return reply

    def subscribe(self, *names: str, timeout: float | None = None) -> None:
        """Adds event names and CUSTOM subclasses, now and after every reconnect; without a connection they
        are only noted. Raises `CommandFailed` when the switch knows none of them, and forgets them."""
        self._change(lambda wishes: wishes.listening(names), timeout)

    def unsubscribe(self, *names: str, timeout: float | None = None) -> None:
        """Takes `subscribe` back."""
        commands.NixEvent(names)  # refuses what cannot be sent, also when there is nothing to send
        self._change(lambda wishes: wishes.not_listening(names), timeout)

    def filter(self, header: str, value: str, *, timeout: float | None = None) -> None:
        """Lets only events through that have `value` in `header` or match another filter, now and after every
        reconnect. HEARTBEAT and what completes jobs and executions always pass."""
        self._change(lambda wishes: wishes.filtering(header, value), timeout)

    def filter_delete(self, header: str = "all", value: str = "", *, timeout: float | None = None) -> None:
        """Removes the filters of `header` (`all`: of any) with `value` ('': with any)."""
        commands.FilterDelete(header, value)
        self._change(lambda wishes: wishes.not_filtering(header, value), timeout)

    def log(self, level: int | str = 7, *, timeout: float | None = None) -> None:
        """Sends the switch's log lines up to `level` (0 to 7, or a name) to `on_log`, now and after every
        reconnect."""
        self._change(lambda wishes: wishes.logging(level), timeout)

    def nolog(self, *, timeout: float | None = None) -> None:
        """Ends `log`."""
        self._change(lambda wishes: wishes.logging(None), timeout)

    # How a command is sent

    def _seconds(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout

    def _begin(self, deadline: float) -> Session:
        """The session, for this thread alone until `_release`."""
        self._acquire(deadline)
        session = self._session
        if session is None or not session.ready:
            self._release()
            raise self._lost()
        return session

    def _lost(self) -> ConnectionLost:
        """Why nothing can be sent."""
        if self._is_forked:
            return ConnectionLost("this client is of the process before the fork: make one after it")
        if self._closing.is_set():
            return ConnectionLost("the client is closed")
        why = "" if self._started else ": call connect() or start() first"
        return ConnectionLost(f"not connected to {self.host}:{self.port}{why}")

    def _acquire(self, deadline: float) -> None:
        if self._lock.acquire(blocking=False):
            return
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Timeout("another thread is still writing")

    def _release(self) -> None:
        self._lock.release()
        self._ahead.wake()

    def _break_off(self, error: BaseException) -> None:
        """Something else than the switch stopped a command on its way out (Ctrl-C, a signal handler that
        raises): nobody knows how much of it was written, and whose answer comes next. The lock is held."""
        if self._session is not None and not isinstance(error, (ESLError, ValueError, TypeError)):
            self._session.abort(ConnectionLost(f"a command was interrupted: {type(error).__name__}"))

    def _wish(self, wishes: Wishes) -> None:
        """The lock must be held."""
        self._wishes = wishes
        if self._session is not None:
            self._session.connection.hidden = wishes.hidden

    def _wishes_after(self, command: Command) -> None:
        """What somebody subscribes to by hand is shown; what is ended is asked for when needed."""
        if isinstance(command, (commands.Events, commands.MyEvents, commands.NixEvent, commands.NoEvents)):
            self._wish(self._wishes.after(command))

    def _ask(
        self, command: Command, timeout: float | None, also: Callable[[Command], None] | None = None
    ) -> Reply | ApiResponse:
        deadline = time.monotonic() + self._seconds(timeout)
        answer = Answer()
        session = self._begin(deadline)
        with self._turn:
            session.write(session.connection.send(command, answer), deadline)
            if also is not None:
                also(command)
        with self._gathering:
            result: Reply | ApiResponse = answer.wait(deadline, command)
        return result

    def _listen(self, session: Session, names: tuple[str, ...], outcome: Outcome) -> bytes:
        """What to write first so that events `names` come. The lock must be held."""
        if names in session.refused:
            raise session.refused[names].fresh()
        if names[-1] in self._wishes.internal:
            return b""
        before = self._wishes
        self._wish(before.needing(names))
        needed = self._wishes.commands_after(before)
        return b"".join(
            session.connection.send(command, _Subscription(command, names, session, outcome))
            for command in needed
        )

    def _change(self, change: Callable[[Wishes], Wishes], timeout: float | None) -> None:
        """Changes what the connection should be like, and the connection if there is one."""
        deadline = time.monotonic() + self._seconds(timeout)
        sent: list[tuple[Command, Answer]] = []
        self._acquire(deadline)
        with self._turn:
            before = self._wishes
            wishes = change(before)
            sent = [(command, Answer()) for command in wishes.commands_after(before)]
            session = self._session
            self._wish(wishes)  # before any of these events can come
            if session is None or not session.ready:
                sent = []
            elif sent:
                session.write(b"".join(session.connection.send(*pair) for pair in sent), deadline)
        for command, answer in sent:
            with self._gathering:
                reply = answer.wait(deadline, command)
            if reply.is_error:
                self._take_back(wishes, before)
                raise CommandFailed(reply.text, command.summary)

    def _take_back(self, wishes: Wishes, before: Wishes) -> None:
        with self._lock:
            if self._wishes is wishes:
                self._wish(before)

    # The reader thread

    def _run(self) -> None:
        first, last = self._retry
        wait = first
        connected_before = False
        while not self._closing.is_set():
            error, was_ready = self._converse(connected_before)
            connected_before = connected_before or was_ready
            self._last_error = error
            if not self._tried.is_set():
                self._first_error = error
                self._tried.set()
                if self._once:
                    return
            if self._closing.is_set():
                return
            wait = first if was_ready else wait
            retry_in = wait * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # no secret
            wait = min(wait * 2, last)
            self._callbacks.deliver([Disconnected(error, retry_in)])
            self._closing.wait(retry_in)
        if not self._tried.is_set():  # closed before the first attempt, for which `connect` waits
            self._first_error = ConnectionLost("the client was closed")
            self._tried.set()

    def _converse(self, connected_before: bool) -> tuple[ESLError, bool]:
        """One connection, from dialling to its end: why it ended, and whether it was ever ready."""
        deadline = time.monotonic() + self.timeout
        try:
            session = Session(self._dial(), self._max_frame, self.timeout)
        except ESLError as error:
            return error, False
        with self._lock:
            self._session = session
        try:
            if self._closing.is_set():
                raise ConnectionLost("the client was closed")
            early, reply = self._log_in(session, deadline)
            self._last_error = None
            self._up.set()
            self._tried.set()
            self._hand_over(session, [Connected(connected_before, reply.text), *early])
            self._follow(session)
        except ESLError as error:
            session.connection.fail(error)
        finally:
            self._end(session)
        assert session.connection.error is not None
        return session.connection.error, session.ready

    def _end(self, session: Session) -> None:
        session.abort(ConnectionLost("the connection was lost"))  # also wakes who is writing or reading
        self._ahead.release()
        self._up.clear()
        if self._closing.is_set():
            self._up.set()
        with self._lock:
            self._session = None
            self._wish(self._wishes.renewed(name for names in session.refused for name in names))
            session.connection.fail(ConnectionLost("the connection was lost"))
            session.close()

    def _dial(self) -> socket.socket:
        where = f"{self.host}:{self.port}"
        try:
            return socket.create_connection((self.host, self.port), self.timeout)
        except TimeoutError as error:
            raise Timeout(f"{where} does not answer") from error
        except OSError as error:
            raise ConnectionLost(f"cannot connect to {where}: {error.strerror or error}") from error

    def _log_in(self, session: Session, deadline: float) -> tuple[list[Any], Reply]:
        """Greeting, login, then everything that is wished; the events that came meanwhile, and the reply."""
        connection = session.connection
        early: list[Any] = []
        self._pump(session, early, deadline, "the greeting", lambda: connection.state is State.GREETED)
        login = Answer()
        session.write(connection.send(self._login, login))
        self._pump(session, early, deadline, "the login", lambda: connection.state is State.READY)
        made = Wishes(self._wishes.format)
        while not self._take_over(session, made):
            wishes = self._wishes
            connection.hidden = wishes.hidden
            sent = [(command, Answer()) for command in wishes.commands_after(made)]
            session.write(b"".join(connection.send(*pair) for pair in sent))
            self._pump(session, early, deadline, "the subscriptions", lambda: connection.unanswered == 0)
            for command, answer in sent:
                _check(command, answer.wait(deadline, command))
            made = wishes
        return early, login.wait(deadline, self._login)

    def _take_over(self, session: Session, made: Wishes) -> bool:
        """Opens the connection for all threads, unless the wishes changed since they were made."""
        with self._lock:
            session.ready = not self._wishes.commands_after(made)
            return session.ready

    def _pump(
        self, session: Session, items: list[Any], deadline: float, what: str, done: Callable[[], bool]
    ) -> None:
        """Reads until `done`; raises why that will not be."""
        while not done():
            if time.monotonic() > deadline:
                raise Timeout(f"{what}: no answer from {self.host}:{self.port}")
            items += session.read()
            if session.connection.error is not None:
                raise session.connection.error.fresh()

    def _follow(self, session: Session) -> None:
        """Reads until the end, and hands over what comes."""
        while session.connection.error is None:
            messages = session.read()
            if messages:
                self._hand_over(session, messages)
                messages = ()  # what was read is not kept while more is read: megabytes
            elif self._is_silent(session):
                raise ConnectionLost(f"nothing from the switch for {self._silence:g} s")
            elif session.connection.taken >= MANY_ANSWERS:
                self._gathering.pause()

    def _hand_over(self, session: Session, items: Sequence[Any] | None) -> None:
        """Runs the callbacks, also for what the second thread reads meanwhile."""
        self._ahead.begin(session)
        while items is not None and not self._closing.is_set():
            self._callbacks.deliver(items)
            items = self._ahead.next()
        if self._closing.is_set():
            self._ahead.release()
        session.last_read = time.monotonic()  # what was silent may have been us

    def _help(self) -> None:
        """The second thread."""
        while (session := self._ahead.wait()) is not None:
            messages: Sequence[Message] = []
            try:
                messages = session.read(READ_BYTES)  # no more than that beyond the limit
            finally:
                self._ahead.put(messages)
            if (error := session.connection.error) is not None:
                with self._lock:  # nobody is sending: for a command that was on its way in just then
                    session.connection.fail(error)

    def _is_silent(self, session: Session) -> bool:
        if not self._wishes.expects_heartbeats:
            return False
        return time.monotonic() > max(session.last_read + self._silence, session.patience)

    # A child process

    def _forked(self) -> None:
        """In a child process: the threads, the locks as they are, and the connection are the parent's."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        self._is_forked = True
        self._lock = threading.Lock()
        self._gathering = Gathering()
        self._closing = threading.Event()
        self._closing.set()
        self._up = threading.Event()
        self._up.set()
        self._ahead = Ahead(0, self._closing)


_clients: Final = weakref.WeakSet[Client]()


def _forget_all() -> None:
    for client in list(_clients):
        client._forked()


os.register_at_fork(after_in_child=_forget_all)


def _check(command: Command, reply: Reply) -> None:
    if reply.is_error:
        raise CommandFailed(reply.text, command.summary)
