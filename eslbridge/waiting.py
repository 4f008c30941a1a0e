"""How threads wait for what another one reads: an answer, a job, an application, and when all may gather."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from .protocol import commands
from .protocol.commands import Command, Execute
from .protocol.errors import CommandFailed, ESLError, Timeout
from .protocol.events import Event
from .protocol.frames import is_error

logger = logging.getLogger("eslbridge.client")

GATHERING: Final = 0.001
"""Seconds for which answers gather at most: time to start some fifty jobs. Whoever reads each as it comes
takes the interpreter away each time from the thread that starts the jobs; that costs half as much again."""

_T = TypeVar("_T")


def call_back(callback: Callable[[_T], None], argument: _T) -> None:
    try:
        callback(argument)
    except Exception:
        logger.exception("A callback failed: %r", callback)


class Answer:
    """One answer for one thread. A lock is the cheapest thing that can be waited for with a limit."""

    __slots__ = ("_error", "_ready", "_result")

    def __init__(self) -> None:
        self._ready = threading.Lock()
        self._ready.acquire()
        self._result: Any = None
        self._error: ESLError | None = None

    def set_result(self, result: Any, /) -> None:
        self._result = result
        self._ready.release()

    def set_exception(self, exception: ESLError, /) -> None:
        self._error = exception
        self._ready.release()

    def wait(self, deadline: float, command: Command) -> Any:
        """The answer. Raises what went wrong, or `Timeout` when `deadline` (monotonic) has passed."""
        if not self._ready.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Timeout(f"no answer in time: {command.summary}")
        if self._error is not None:
            raise self._error.fresh()
        return self._result


_outcomes = threading.Lock()
"""Guards the few steps in which an outcome or its waiters change. One for all: it is held for no time."""
os.register_at_fork(
    before=_outcomes.acquire, after_in_parent=_outcomes.release, after_in_child=_outcomes.release
)


class Gathering:
    """Lets answers gather before they are read, unless a thread waits: `with` it around a wait."""

    __slots__ = ("_changing", "_end", "_is_on", "_waiting")

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._waiting = 0  # threads
        self._is_on = False
        self._end = threading.Lock()
        self._end.acquire()

    def pause(self) -> None:
        """For the reader: returns after a moment, but at once when somebody waits or begins to."""
        with self._changing:
            if self._waiting:
                return
            self._is_on = True
        self._end.acquire(timeout=GATHERING)
        with self._changing:
            if not self._is_on:
                self._end.acquire(blocking=False)  # ended when the moment was over, too
            self._is_on = False

    def __enter__(self) -> None:
        with self._changing:
            self._waiting += 1
            if self._is_on:
                self._is_on = False
                self._end.release()

    def __exit__(self, *_: object) -> None:
        with self._changing:
            self._waiting -= 1


class Outcome:
    """What `Job` and `Execution` share: completed once, by whoever reads; asked by any thread, and again."""

    __slots__ = ("_callbacks", "_error", "_event", "_gathering", "_timeout", "_waiting", "_what")

    def __init__(self, what: Command, timeout: float, gathering: Gathering) -> None:
        self._what = what
        self._timeout = timeout
        self._gathering = gathering
        self._event: Event | None = None
        self._error: ESLError | None = None
        self._waiting: list[threading.Lock] = []
        self._callbacks: list[Callable[[Any], None]] = []

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._event is not None or self._error is not None

    def set_result(self, result: Event, /) -> None:
        self._end(result, None)

    def set_exception(self, exception: ESLError, /) -> None:
        self._end(None, exception)

    def _end(self, event: Event | None, error: ESLError | None) -> None:
        with _outcomes:
            if self.done:
                return
            self._event, self._error = event, error
        for waiting in self._waiting:
            waiting.release()
        for callback in self._callbacks:
            call_back(callback, self)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback(self)` at the end, at once if that was before. It runs where the connection is
        read: it must not wait for the switch, and take little time."""
        with _outcomes:
            if not self.done:
                self._callbacks.append(callback)
                return
        call_back(callback, self)

    def _wait(self, timeout: float | None) -> Event:
        if not self.done:
            self._wait_until_done(self._timeout if timeout is None else timeout)
        if self._error is not None:
            raise self._error.fresh()
        assert self._event is not None
        return self._event

    def _wait_until_done(self, seconds: float) -> None:
        ready = threading.Lock()
        ready.acquire()
        with _outcomes:
            if self.done:
                return
            self._waiting.append(ready)
        with self._gathering:
            in_time = ready.acquire(timeout=max(0.0, seconds))
        if not in_time:
            raise Timeout(f"not done in {seconds:g} s: {self._what.summary}")


class Job(Outcome):
    """A `bgapi` under way."""

    __slots__ = ("uuid",)

    def __init__(self, command: commands.BgApi, timeout: float, gathering: Gathering) -> None:
        super().__init__(command, timeout, gathering)
        self.uuid = command.job_uuid
        """The Job-UUID of its BACKGROUND_JOB event."""

    def result(self, timeout: float | None = None) -> str:
        """The output, its last newline removed. Waits `timeout` seconds, the client's when None.

        Raises `CommandFailed` with the switch's words, `ConnectionLost`, or `Timeout`; after a time-out the
        job is still under way and can be asked again.
        """
        output = self._wait(timeout).body.removesuffix("\n")
        if is_error(output):
            raise CommandFailed(output, self._what.summary)
        return output


class Execution(Outcome):
    """A dialplan application under way."""

    __slots__ = ("uuid",)

    def __init__(self, command: Execute, timeout: float, gathering: Gathering) -> None:
        super().__init__(command, timeout, gathering)
        self.uuid = command.event_uuid
        """The Application-UUID of its events."""

    def result(self, timeout: float | None = None) -> Event:
        """Its CHANNEL_EXECUTE_COMPLETE, with `Application-Response`. Waits and raises as `Job.result` does;
        `CallEnded` when the channel hung up before the application ran."""
        return self._wait(timeout)
