"""How what was read reaches those who listen: one thread calls them, and a second one reads meanwhile."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .protocol.batches import Batch
from .protocol.errors import ESLError
from .protocol.events import Event
from .protocol.frames import LogLine
from .session import Session
from .waiting import call_back

BATCH: Final = 500
"""Events in one call of `on_events` at most."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Logged in, with subscriptions, filters and log level made. Comes before this connection's events."""

    gap: bool
    """Events may have been missed: this is not the first connection."""
    reply: str = ""
    """The switch's answer to the login."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """An attempt failed or the connection was lost."""

    error: ESLError
    retry_in: float
    """Seconds until the next attempt."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the user wants to be told. Called by one thread only."""

    on_events: Callable[[Sequence[Event]], None] | None
    on_state: Callable[[Connected | Disconnected], None] | None
    on_log: Callable[[LogLine], None] | None

    def deliver(self, items: Sequence[Any]) -> None:
        """One call for a row of events, up to a batch. Greetings and notices mean nothing here."""
        if isinstance(items, Batch):
            for start in range(0, len(items), BATCH):
                self.deliver_events(items[start : start + BATCH])
            return
        events: list[Event] = []
        for item in items:
            if isinstance(item, Event):
                events.append(item)
                if len(events) == BATCH:
                    self.deliver_events(events)
                    events = []
                continue
            self.deliver_events(events)
            events = []
            if isinstance(item, LogLine):
                if self.on_log is not None:
                    call_back(self.on_log, item)
            elif isinstance(item, (Connected, Disconnected)) and self.on_state is not None:
                call_back(self.on_state, item)
        self.deliver_events(events)

    def deliver_events(self, events: Sequence[Event]) -> None:
        if events and self.on_events is not None:
            call_back(self.on_events, events)


class Ahead:
    """What the second thread reads while the first one runs callbacks, and when it does so."""

    def __init__(self, limit: int, closing: threading.Event) -> None:
        self._limit = limit
        self._closing = closing
        self._changed = threading.Condition(threading.Lock())
        self._busy: Session | None = None  # callbacks are running; this session must be read by the second
        self._reading = False
        self._read: deque[tuple[Sequence[Any], int]] = deque()
        self.size = 0
        """Bytes that were read ahead."""

    # The first thread

    def begin(self, session: Session) -> None:
        """From now on `session` may be read by the second thread."""
        with self._changed:
            self._busy = session
            if session.is_awaited:
                self._changed.notify_all()

    def next(self) -> Sequence[Any] | None:
        """What was read ahead; None when there is nothing, and the session is the first thread's again."""
        with self._changed:
            while not self._read:
                if not self._reading:
                    self._busy = None
                    return None
                self._changed.wait()
            items, size = self._read.popleft()
            self.size -= size
            self._changed.notify_all()
            return items

    # The second thread

    def wait(self) -> "Session | None":
        """A session that has to be read now; None at the end."""
        with self._changed:
            while not self._is_needed:
                if self._closing.is_set():
                    return None
                self._changed.wait()
            self._reading = True
            return self._busy

    @property
    def _is_needed(self) -> bool:
        busy = self._busy
        if busy is None:
            return False
        if self._closing.is_set():  # then to the end, which all are told who wait for something
            return busy.connection.error is None
        return busy.is_awaited and self.size < self._limit

    def put(self, items: Sequence[Any]) -> None:
        """What was read. The session may be read by either from now on."""
        if isinstance(items, Batch):
            size = items.size
        else:
            size = sum([len(item.raw) for item in items if isinstance(item, Event)])
        with self._changed:
            self._reading = False
            if items:
                self._read.append((items, size))
                self.size += size
            self._changed.notify_all()

    # Everyone

    def release(self) -> None:
        """Drops what was read ahead, and waits until the second thread does not read."""
        with self._changed:
            self._busy = None
            self._read.clear()
            self.size = 0
            self._changed.wait_for(lambda: not self._reading)
            self._read.clear()
            self.size = 0

    def wake(self) -> None:
        """Something was asked, or the client closes."""
        if self._busy is not None or self._closing.is_set():
            with self._changed:
                self._changed.notify_all()
