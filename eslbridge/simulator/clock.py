"""The switch's clock: the time of day, which tests may choose, and the zone that the switch lives in."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

from .events import Header


class Clock:
    """Wall-clock stamps, for events, records and the dialplan.

    ``source`` tells the time instead of the machine (an aware datetime); ``zone`` is the switch's own time
    zone by name, empty for the machine's. How long things take is not its business: phones ring in real
    seconds whatever the time of day.
    """

    def __init__(self, source: Callable[[], datetime.datetime] | None = None, zone: str = "") -> None:
        self.zone = ZoneInfo(zone) if zone else None
        self._source = source
        self._shift = 0
        self._second: int | None = None
        self._local = ""
        self._gmt = ""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        if self._source is not None:
            return _microseconds(self._source())
        return time.time_ns() // 1000 + self._shift

    def set(self, moment: datetime.datetime | None) -> None:
        """Makes it this time now; the clock goes on from there. None brings the machine's time back.

        Raises ValueError when the moment has no time zone.
        """
        self._source = None
        self._shift = 0 if moment is None else _microseconds(moment) - time.time_ns() // 1000

    def local(self, second: float | None = None) -> datetime.datetime:
        """A second since 1970 (else now) in the switch's own zone."""
        moment = datetime.datetime.fromtimestamp(self.now() / 1e6 if second is None else second, datetime.UTC)
        return moment.astimezone(self.zone)

    def stamp(self, micros: int) -> str:
        """Microseconds since 1970 as the switch's local time, without a zone."""
        return self.local(micros // 1_000_000).strftime("%Y-%m-%d %H:%M:%S")

    def headers(self, stamp: int) -> list[Header]:
        """When an event happened; the text of a second is built once."""
        second = stamp // 1_000_000
        if second != self._second:
            self._second = second
            self._local = self.stamp(stamp)
            self._gmt = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second))
        return [
            ("Event-Date-Local", self._local),
            ("Event-Date-GMT", self._gmt),
            ("Event-Date-Timestamp", str(stamp)),
        ]


def _microseconds(moment: datetime.datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"a time of the simulated switch needs a time zone: {moment}")
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)
