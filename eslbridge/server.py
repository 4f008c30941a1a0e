"""The Event Socket server: FreeSWITCH's `socket` application calls, and a coroutine handles the call.

    async def greet(call: Call) -> None:
        await call.answer()
        await call.execute("playback", "ivr/ivr-welcome.wav")
        await call.hangup()

    async with OutboundServer(greet, port=8084):
        await asyncio.Event().wait()

In the dialplan: `<action application="socket" data="127.0.0.1:8084 async full"/>`. Without `async` the
switch takes no command while an application runs; without `full` it lets a conversation control only its own
channel. Nobody logs in here, so listen only where nobody but the switch can connect.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from .protocol import commands
from .protocol.commands import Command, Execute
from .protocol.connection import Connection, Role, State
from .protocol.errors import CallEnded, CommandFailed, ConnectionLost, ESLError, NeedsFull, Timeout
from .protocol.events import Event
from .protocol.frames import MAX_BODY_BYTES, ApiResponse, ChannelData, Message, Reply, is_error
from .protocol.trace import described, masked

logger = logging.getLogger("eslbridge.server")
trace = logging.getLogger("eslbridge.trace")

MAX_CALLS: Final = 2000
"""Calls at a time. The switch's own limit (`max-sessions`) is 1,000 unless changed."""
MAX_KEPT_EVENTS: Final = 1000
"""Events that wait in one `call.events()`; the oldest is dropped for a newer. Some 8 MB."""
LINGER: Final = 10
"""Seconds that the switch keeps the conversation after the hang-up, for the last events."""
LEAVE_SECONDS: Final = 2.0
"""How long the switch may take to end a conversation that we leave."""
FAILURE_CAUSE: Final = "NORMAL_TEMPORARY_FAILURE"
"""Why a call is hung up whose handler failed or was stopped."""

Handler = Callable[["Call"], Awaitable[object]]


class _Answer(asyncio.Future[Any]):
    """A future that may be told something after its waiter gave up."""

    def set_result(self, result: Any, /) -> None:
        if not self.done():
            super().set_result(result)

    def set_exception(self, exception: type | BaseException, /) -> None:
        if not self.done():
            super().set_exception(exception)
            self.exception()  # nobody has to wait for it


class CallEvents(AsyncIterator[Event]):
    """The events of a call from now on, until the last one after the hang-up."""

    def __init__(self, call: "Call") -> None:
        self.missed = 0
        """Events that were dropped because too many waited."""
        self._call = call
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()

    def put(self, event: Event) -> None:
        if len(self._events) >= MAX_KEPT_EVENTS:
            self._events.popleft()
            self.missed += 1
        self._events.append(event)
        self._changed.set()

    def wake(self) -> None:
        self._changed.set()

    async def __anext__(self) -> Event:
        while not self._events:
            if self._call.is_over:
                self.close()
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    def close(self) -> None:
        """Stops collecting."""
        self._call.listeners.discard(self)


class Call:
    """One call that the switch handed to us.

    Everything that talks to the switch raises `CallEnded` (an `ESLError`) when the caller has hung up;
    a handler may just let that pass. `timeout` (seconds) limits the wait for an answer, not for the end of an
    application: that ends with the call at the latest.
    """

    def __init__(self, conversation: "_Conversation", data: Event, timeout: float) -> None:
        self.data = data
        """What the switch told about the channel at the beginning."""
        self.listeners: set[CallEvents] = set()
        self.timeout = timeout
        self._conversation = conversation
        self._connection = conversation.connection

    def __repr__(self) -> str:
        return f"<Call {self.uuid}>"

    def __getitem__(self, name: str) -> str:
        """A header of the beginning, like `Caller-Destination-Number` or `variable_sip_from_user`."""
        return self.data[name]

    def get(self, name: str, default: str = "") -> str:
        """The same, with a default."""
        return self.data.get(name, default)

    @property
    def uuid(self) -> str:
        """The channel's Unique-ID."""
        return self._connection.channel

    @property
    def is_full(self) -> bool:
        """Whether the dialplan said `full`."""
        return self.data.get("Control") == "full"

    @property
    def is_async(self) -> bool:
        """Whether the dialplan said `async`."""
        return self.data.get("Socket-Mode") == "async"

    @property
    def hangup_cause(self) -> str:
        """Why the call ended; '' as long as it has not, or when the switch did not say."""
        return self._connection.hangup_cause

    @property
    def is_over(self) -> bool:
        """Whether nothing will come any more: the connection ended, or all that follows a hang-up came.

        Without `async` the channel itself waits for the conversation to end, and reports nothing more before.
        """
        connection = self._connection
        if connection.state is State.LINGERING:
            return connection.hangup_complete or bool(connection.hangup_cause and not self.is_async)
        return connection.error is not None

    # Applications

    async def execute(self, app: str, arg: str = "", *, loops: int = 1, event_lock: bool = False) -> Event:
        """Runs a dialplan application and waits until it is complete: its CHANNEL_EXECUTE_COMPLETE.

        The event has `Application-Response` and the channel's variables as they are then. Raises `CallEnded`
        when the call ends before the application could run.
        """
        event: Event = await self.execute_nowait(app, arg, loops=loops, event_lock=event_lock)
        return event

    def execute_nowait(
        self, app: str, arg: str = "", *, loops: int = 1, event_lock: bool = False
    ) -> asyncio.Future[Any]:
        """Sends a dialplan application; the switch runs it after those sent before. The future is for its end
        and need not be awaited."""
        command = Execute(app, arg, self.uuid, commands.new_uuid(), loops, event_lock)
        if self.hangup_cause:
            raise CallEnded(self.hangup_cause, app)
        answer = _Answer()
        self._conversation.write(self._connection.send_execution(command, answer))
        return answer

    async def answer(self) -> None:
        """Answers the call."""
        await self.execute("answer")

    async def set(self, name: str, value: str) -> None:
        """Sets a channel variable. The switch expands `${…}` in `value`: never pass on what a caller said."""
        if not name or "=" in name or " " in name:
            raise ValueError("name: must be a variable name")
        await self.execute("set", f"{name}={value}")

    async def hangup(self, cause: str = "NORMAL_CLEARING") -> None:
        """Ends the call. Does nothing when it has ended."""
        command = commands.Hangup(self.uuid, cause)
        with suppress(CallEnded):
            await self.send(command)
            await self.wait_ended(self.timeout)
            # Where it does not linger, the switch may leave before it has told us what we told it.
            self._connection.hangup_cause = self._connection.hangup_cause or cause

    async def wait_ended(self, timeout: float | None = None) -> None:
        """Waits until the call has ended. Raises `Timeout` after so many seconds."""
        try:
            await asyncio.wait_for(self._conversation.call_ended.wait(), timeout)
        except TimeoutError:
            raise Timeout(f"{self.uuid} did not end in {timeout:g} s") from None

    # Questions

    async def getvar(self, name: str) -> str | None:
        """A channel variable as it is now, None when it is not set.

        Without `full` the switch cuts values after 511 bytes and sends them as they are: then never ask for
        one in which a caller could put newlines (`switch_r_sdp`).
        """
        asked = commands.GetVar(name)
        if self.is_full and not self.hangup_cause:
            answer = await self._ask(commands.Api("uuid_getvar", f"{self.uuid} {name}"))
            if not answer.is_error:
                return None if answer.text in ("_undef_", "") else answer.text
        reply = await self._ask(asked)
        value = reply.value if isinstance(reply, Reply) else ""
        return None if value in ("-ERR command not found", "") else value

    async def api(self, command: str, arguments: str = "") -> str:
        """The output of an API command, its last newline removed.

        Raises `CommandFailed` for `-ERR` and `-USAGE`, `NeedsFull` when the dialplan did not say `full`.
        """
        asked = commands.Api(command, arguments)
        self._check_full(asked)
        answer = await self._ask(asked)
        if answer.is_error:
            raise CommandFailed(answer.text, asked.summary)
        return answer.text

    async def bgapi(self, command: str, arguments: str = "") -> str:
        """The output of an API command that runs in the background; waits for it without a limit. Raises as
        `api` does."""
        asked = commands.BgApi(command, arguments)
        self._check_full(asked)
        await self._conversation.listen_for_jobs()
        answer = _Answer()
        self._conversation.write(self._connection.send_job(asked, answer))
        event: Event = await answer
        output = event.body.removesuffix("\n")
        if is_error(output):
            raise CommandFailed(output, asked.summary)
        return output

    async def send(self, command: Command) -> Reply:
        """Sends any command that is answered by a reply; raises `CommandFailed` when that is `-ERR`."""
        if command.is_api:
            raise ValueError("command: is answered by its output: use api()")
        reply = await self._ask(command)
        if reply.is_error:
            raise CommandFailed(reply.text, command.summary)
        assert isinstance(reply, Reply)
        return reply

    async def subscribe(self, *names: str) -> None:
        """Has more kinds of this call's events sent than the usual ones. Needs `full`."""
        asked = commands.Events(names)
        self._check_full(asked)
        await self.send(asked)

    def events(self) -> CallEvents:
        """The call's events from now on: `async for event in call.events()`. Ends after the hang-up."""
        events = CallEvents(self)
        self.listeners.add(events)
        return events

    async def _ask(self, command: Command) -> Reply | ApiResponse:
        answer = _Answer()
        self._conversation.write(self._connection.send(command, answer))
        try:
            result: Reply | ApiResponse = await asyncio.wait_for(answer, self.timeout)
        except TimeoutError:
            raise Timeout(f"no answer in {self.timeout:g} s: {command.summary}") from None
        return result

    def _check_full(self, command: Command) -> None:
        if not self.is_full:
            raise NeedsFull(command.summary)


class _Conversation(asyncio.Protocol):
    """One connection from the switch: pumps bytes between the socket and the core, and runs the handler."""

    def __init__(self, server: "OutboundServer") -> None:
        self.connection = Connection(Role.OUTBOUND, max_body=server.max_frame)
        self.call: Call | None = None
        self._server = server
        self._transport: asyncio.Transport | None = None
        self.call_ended = asyncio.Event()
        self._closed = asyncio.Event()
        self._listens_for_jobs = False

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.begin(self)

    def data_received(self, data: bytes) -> None:
        messages = self.connection.receive(data)
        if trace.isEnabledFor(logging.DEBUG):
            for message in messages:
                trace.debug("< %s", described(message))
        self._hand_out(messages)
        if self.connection.error is not None and self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.receive_end()
        self._transport = None
        self._closed.set()
        self._hand_out([])

    def _hand_out(self, messages: Iterable[Message]) -> None:
        if self.connection.hangup_cause or self.connection.error is not None:
            self.call_ended.set()
        if self.call is None:
            return
        for listener in tuple(self.call.listeners):
            for message in messages:
                if isinstance(message, Event):
                    listener.put(message)
            listener.wake()

    # Called by the call and the server

    def write(self, data: bytes) -> None:
        if trace.isEnabledFor(logging.DEBUG):
            trace.debug("> %s", masked(data))
        if self._transport is not None:
            self._transport.write(data)

    def refuse(self) -> None:
        """Closes without a word; the switch tries the next host of its `socket` list, or the dialplan."""
        if self._transport is not None:
            self._transport.abort()

    async def run(self) -> None:
        """The whole conversation."""
        try:
            call = self.call = await self._begin()
            await self._handle(call)
        except CallEnded as error:
            logger.debug("A caller was gone before the conversation began: %s", error)
        except ESLError as error:
            logger.warning("A conversation did not begin: %s", error)
        finally:
            await self._leave()

    async def _begin(self) -> Call:
        """Asks for the channel's data and subscribes to its events, as far as the dialplan allows."""
        timeout = self._server.timeout
        answer = _Answer()
        self.write(self.connection.send(commands.Connect(), answer))
        try:
            data: ChannelData = await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise Timeout(f"no answer in {timeout:g} s: connect") from None
        call = Call(self, data.event, timeout)
        wanted: list[Command] = [commands.MyEvents(format="json")]
        if call.is_full and self._server.linger is not None:
            wanted.insert(0, commands.Linger(self._server.linger))
        await asyncio.gather(*(call.send(command) for command in wanted))
        return call

    async def listen_for_jobs(self) -> None:
        if not self._listens_for_jobs and self.call is not None:
            self._listens_for_jobs = True
            await self.call.send(commands.Events(("BACKGROUND_JOB",)))

    async def _handle(self, call: Call) -> None:
        """Runs the handler; one that fails, or is stopped, costs this call and no other."""
        try:
            await self._server.handler(call)
        except CallEnded as error:
            logger.debug("%s: the caller was faster: %s", call, error)
        except BaseException as error:
            if isinstance(error, Exception):
                logger.exception("%s: its handler failed; hanging up", call)
            with suppress(ESLError):
                await call.hangup(FAILURE_CAUSE)
            if not isinstance(error, Exception):
                raise

    async def _leave(self) -> None:
        """Ends the conversation; a channel that is still up goes on in the dialplan."""
        with suppress(ESLError, TimeoutError):
            self.write(self.connection.send(commands.Exit()))
            await asyncio.wait_for(self._closed.wait(), LEAVE_SECONDS)
        self.connection.fail(ConnectionLost("the conversation was left"))
        self.refuse()
        self._hand_out([])


async def _stop_accepting(server: asyncio.Server) -> None:
    """Asyncio forgets connections that it accepts just when a server closes, and leaves them open."""
    for sock in server.sockets:
        asyncio.get_running_loop().remove_reader(sock.fileno())
    for _ in range(3):  # an accepted one needs as many turns of the loop
        await asyncio.sleep(0)
    server.close()


class OutboundServer:
    """Listens for FreeSWITCH's `socket` application and runs `handler(call)` for every call.

    When the handler returns, the conversation ends and the dialplan goes on with the channel. When it
    raises, the call is hung up with `NORMAL_TEMPORARY_FAILURE` and the error is logged. More than `max_calls`
    at a time are refused. `linger`: seconds that the switch keeps a conversation after the hang-up for the
    last events (None: not at all); `timeout`: seconds for an answer; `max_frame`: bytes of the largest
    message that is accepted.
    """

    def __init__(
        self,
        handler: Handler,
        host: str = "127.0.0.1",
        port: int = 8084,
        *,
        max_calls: int = MAX_CALLS,
        linger: int | None = LINGER,
        timeout: float = 10.0,
        max_frame: int = MAX_BODY_BYTES,
    ) -> None:
        self.handler = handler
        self.host = host
        self.port = port
        """Where it listens; with 0, the port that the system chose, once it does."""
        self.max_calls = max_calls
        self.linger = linger
        self.timeout = timeout
        self.max_frame = max_frame
        self.handled = 0
        """Calls that were handled to the end."""
        self.refused = 0
        """Calls that were one too many."""
        self._conversations: dict[_Conversation, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._closing = False

    @property
    def calls(self) -> int:
        """Calls under way."""
        return len(self._conversations)

    async def start(self) -> None:
        """Begins to listen. Raises `OSError` when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Conversation(self), self.host, self.port, backlog=min(self.max_calls, 4096)
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self, grace: float = 10.0) -> None:
        """Takes no more calls, gives those under way `grace` seconds, then stops their handlers and hangs
        up. May be called again."""
        self._closing = True
        if self._server is not None:
            await _stop_accepting(self._server)
        if self._conversations:
            await asyncio.wait(self._conversations.values(), timeout=grace)
        for task in self._conversations.values():
            task.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations.values())
        if self._server is not None:
            await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close(grace=10.0 if error is None else 0.0)

    def begin(self, conversation: _Conversation) -> None:
        """A connection was accepted."""
        if self._closing or len(self._conversations) >= self.max_calls:
            self.refused += 1
            logger.warning("Call refused: %d are under way", len(self._conversations))
            conversation.refuse()
            return
        task = asyncio.get_running_loop().create_task(conversation.run(), name="esl-call")
        self._conversations[conversation] = task
        task.add_done_callback(lambda _: self._end(conversation))

    def _end(self, conversation: _Conversation) -> None:
        del self._conversations[conversation]
        self.handled += 1
