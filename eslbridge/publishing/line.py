"""The connection to the switch that publishing has for itself.

While a switch reloads, which takes a second with 10,000 users, it answers nothing else on the same
connection: events come and calls are placed on the worker's first one meanwhile.
"""

import threading
import time
from collections.abc import Callable

from django.conf import settings

from ..client import Client
from ..protocol.errors import ESLError

# So long a switch that took no second connection is not asked for one again.
DIAL_SECONDS = 30.0


class Line:
    """The second connection, made when it is needed; the first one when there can be no second.

    `on_change` is told why publishing goes over the first connection, or '' when it no longer does.
    """

    def __init__(self, first: Client, on_change: Callable[[str], None]) -> None:
        self._first = first
        self._on_change = on_change
        self._dialling = threading.Lock()
        self._second: Client | None = None
        self._dial_at = 0.0  # not before (monotonic)
        self._is_ended = False

    def client(self) -> Client:
        """A connected client, or the first one. Takes as long as dialling does; raises nothing."""
        with self._dialling:
            old = self._second
            if old is not None and old.is_connected:
                return old
            if self._is_ended or time.monotonic() < self._dial_at:
                return self._first
            fresh = self._second = Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD)
            try:
                fresh.connect()
            except ESLError as problem:
                self._dial_at = time.monotonic() + DIAL_SECONDS
                self._on_change(str(problem))
                return self._first
            finally:
                if old is not None:
                    old.close()
        self._on_change("")
        return fresh

    def allow(self) -> None:
        """The switch is there anew: it may be asked at once."""
        self._dial_at = 0.0

    def hang_up(self) -> None:
        """Also while it is being made, which may take long: that is not waited for, but ends."""
        if self._second is not None:
            self._second.close()

    def end(self) -> None:
        """From now on no connection is made."""
        self._is_ended = True
