"""One TCP connection to a switch and its protocol, as `eslbridge.client` uses it."""

import logging
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from .protocol.connection import Connection, Role
from .protocol.errors import ConnectionLost, ESLError
from .protocol.frames import Message
from .protocol.trace import described, masked

trace = logging.getLogger("eslbridge.trace")

READ_BYTES: Final = 256 * 1024
"""Bytes of one read: some thirty channel events."""
MOST_READ_BYTES: Final = 3 * 1024 * 1024
"""The same while the switch sends faster than we read: what is done many times in a row takes less time."""
KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
"""Finds a dead peer within a minute also when no event is subscribed (seconds, count, milliseconds)."""
TICK: Final = 0.25
"""Seconds between looks at the clock while nothing comes."""


class Session:
    """One TCP connection and its protocol. Written by whoever holds the client's lock."""

    def __init__(self, sock: socket.socket, max_frame: int, send_timeout: float) -> None:
        self.connection = Connection(Role.INBOUND, max_body=max_frame)
        self.ready = False
        self.last_read = time.monotonic()
        self.patience = 0.0
        """Until then (monotonic) somebody waits for an answer, and silence means nothing."""
        self.refused: dict[tuple[str, ...], ESLError] = {}
        """Subscriptions for ourselves that this user may not have."""
        self._sock = sock
        self._reason: ESLError | None = None
        self._room = READ_BYTES
        _tune(sock, send_timeout)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for something that has to be read, and it can be."""
        connection = self.connection
        return connection.error is None and bool(connection.unanswered or connection.under_way)

    def write(self, data: bytes, deadline: float = 0.0) -> None:
        """One write for whole commands. A peer that does not take them in time is lost."""
        if trace.isEnabledFor(logging.DEBUG):
            trace.debug("> %s", masked(data))
        self.patience = max(self.patience, deadline)
        try:
            self._sock.sendall(data)
        except OSError as error:
            lost = ConnectionLost(f"cannot write to the switch: {error.strerror or error}")
            self.abort(lost)
            raise lost from error

    def read(self, most: int = MOST_READ_BYTES) -> Sequence[Message]:
        """What came, up to `most` bytes; nothing when nothing came within a tick. At the end,
        `connection.error` is set."""
        try:
            data = self._sock.recv(min(self._room, most))
        except BlockingIOError:
            return []
        except OSError as error:
            self.connection.fail(
                self._reason or ConnectionLost(f"cannot read from the switch: {error.strerror}")
            )
            return []
        self.last_read = time.monotonic()
        if not data:
            if self._reason is not None:
                self.connection.fail(self._reason)
            self.connection.receive_end()
            return []
        self._room = MOST_READ_BYTES if len(data) >= READ_BYTES else READ_BYTES
        messages = self.connection.receive(data)
        if trace.isEnabledFor(logging.DEBUG):
            for message in messages:
                trace.debug("< %s", described(message))
        return messages

    def abort(self, reason: ESLError) -> None:
        """Makes the reader end this session. May be called by any thread."""
        if self._reason is None:
            self._reason = reason
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


def _tune(sock: socket.socket, send_timeout: float) -> None:
    """Blocking, with limits that the kernel keeps: cheaper than polling before every read."""
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(TICK))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(send_timeout))


def _timeval(seconds: float) -> bytes:
    microseconds = max(1, int(seconds * 1_000_000))
    return struct.pack("ll", *divmod(microseconds, 1_000_000))
