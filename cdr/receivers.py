"""What records do with the switch's events: a leg that has ended becomes a row, now or when it can.

The switch's files are the second source: what no event told is read from there.
"""

import logging
import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError

from eslbridge import signals
from eslbridge.models import Switch
from eslbridge.protocol.errors import InvalidJSON
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from . import files
from .models import record
from .reports import leg_of

log = logging.getLogger(__name__)

# Legs that wait for PostgreSQL; each takes about 2 kB. A busy switch ends so many in some hours.
MOST_WAITING = 20_000
# Legs of one transaction.
PORTION = 500
# Seconds between attempts, and three times what one took: events wait behind it.
PAUSE = 5.0


def connect() -> None:
    signals.channel_events.connect(_record, dispatch_uid="cdr record")
    signals.compare.connect(_look_again, dispatch_uid="cdr compare")
    signals.link_up.connect(_look_again, dispatch_uid="cdr link up")
    signals.link_down.connect(_look_again, dispatch_uid="cdr link down")


class Backlog:
    """Legs that have ended and are not stored yet: a moment's, or those of a time without PostgreSQL."""

    def __init__(self) -> None:
        self.waiting: dict[UUID, dict[str, Any]] = {}
        self._retry_at = 0.0
        self._has_lost = False

    def add(self, legs: list[dict[str, Any]]) -> None:
        for leg in legs:
            self.waiting.setdefault(leg["uuid"], leg)
        while len(self.waiting) > MOST_WAITING:
            lost = next(iter(self.waiting))
            del self.waiting[lost]
            if not self._has_lost:
                log.error(
                    "Too many call records wait for PostgreSQL. The oldest are given up, from %s on.", lost
                )
            self._has_lost = True

    def store(self) -> int:
        """Record what waits. Returns how many legs were new; without PostgreSQL they wait on."""
        stored = 0
        while self.waiting and time.monotonic() >= self._retry_at:
            portion = list(self.waiting.values())[:PORTION]
            began = time.monotonic()
            try:
                stored += _record_each(portion)
            except (OperationalError, InterfaceError) as problem:
                self._retry_at = time.monotonic() + PAUSE + 3 * (time.monotonic() - began)
                reason = str(problem).partition("\n")[0]
                log.warning("%s call records wait for PostgreSQL: %s", len(self.waiting), reason)
                break
            for leg in portion:
                del self.waiting[leg["uuid"]]
            self._has_lost = False
        return stored


def _record_each(legs: list[dict[str, Any]]) -> int:
    """All at once; when PostgreSQL refuses that, one by one, so that a bad one costs only itself."""
    try:
        return record(legs)
    except (OperationalError, InterfaceError):
        raise
    except (DatabaseError, ValueError) as problem:
        if len(legs) == 1:
            log.error("The record of leg %s cannot be stored: %s", legs[0]["uuid"], problem)
            return 0
        return sum(_record_each([leg]) for leg in legs)


backlog = Backlog()


def _record(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    backlog.add([leg for event in events if (leg := _ended(event, switch.name))])
    if backlog.store():
        announce("records")


def _ended(event: Event, switch_name: str) -> dict[str, Any] | None:
    try:
        return leg_of(event, switch_name) if event.name == "CHANNEL_HANGUP_COMPLETE" else None
    except (InvalidJSON, ValueError) as problem:
        log.error("The report of a finished leg cannot be read, so it waits for its file: %s", problem)
        return None


def _look_again(sender: object, switch: Switch, **_: object) -> None:
    if backlog.store():
        announce("records")
    if settings.FS_CDR_DIR:
        files.read_soon(settings.FS_CDR_DIR, switch.name)
