"""Times of day in the dialplan: what ``wday``, ``time-of-day`` and their like mean to the switch."""

from __future__ import annotations

import datetime
import re
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBER = re.compile(r"\s*([+-]?\d+|)")
_TIME_RANGE = re.compile(r"\s*(\d+):(\d+)(?::(\d+))?\s*-\s*(\d+):(\d+)(?::(\d+))?")


def zone_named(name: str) -> ZoneInfo | None:
    """A zone by its exact name; None when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def matches(node: Element, now: datetime.datetime, there: datetime.datetime | None) -> bool | None:
    """Whether the time attributes of a condition fit; None when it has none.

    ``now`` is the switch's own time, ``there`` the time in the zone that the call asks for; None when no
    such zone is known, and then nothing fits.
    """
    results = [
        fits for name, wanted in node.attrib.items() if (fits := _fits(name, wanted, now, there)) is not None
    ]
    return all(results) if results else None


def _fits(name: str, wanted: str, now: datetime.datetime, there: datetime.datetime | None) -> bool | None:
    if name in _IN_OWN_ZONE:
        return _IN_OWN_ZONE[name](wanted, now)
    if name in _FIELDS:
        return there is not None and _number_fits(wanted, _FIELDS[name](there))
    if name in _IN_ITS_ZONE:
        return there is not None and _IN_ITS_ZONE[name](wanted, there)
    return None


def _week_of_month(at: datetime.datetime) -> int:
    return (at.day - 1 + at.replace(day=1).isoweekday() % 7) // 7 + 1


_FIELDS = {
    "year": lambda at: at.year,
    "yday": lambda at: at.timetuple().tm_yday,
    "mon": lambda at: at.month,
    "mday": lambda at: at.day,
    "week": lambda at: (at.timetuple().tm_yday - 1) // 7 + 1,
    "mweek": _week_of_month,
    "hour": lambda at: at.hour,
    "minute": lambda at: at.minute,
    "minute-of-day": lambda at: at.hour * 60 + at.minute + 1,
}


def _is_summer(wanted: str, now: datetime.datetime) -> bool:
    return bool(now.dst()) and wanted.lower() in ("yes", "on", "true", "1")


def _offset_fits(wanted: str, at: datetime.datetime) -> bool:
    offset = at.utcoffset() or datetime.timedelta()
    return int(offset.total_seconds() / 3600) == _integer(wanted)


def _integer(text: str) -> int:
    found = _NUMBER.match(text)
    return int(found[1]) if found and found[1] else 0


def _number_fits(wanted: str, value: int) -> bool:
    """``1,3-5``; a range that ends before it begins goes around."""
    for part in wanted.split(","):
        first, dash, last = part.partition("-")
        if _within(_integer(first), _integer(last) if dash else _integer(first), value):
            return True
    return False


def _within(low: int, high: int, value: int) -> bool:
    return low <= value <= high if low <= high else value >= low or value <= high


def _day(text: str) -> int | None:
    text = text.strip().lower()
    if text[:3] in _DAYS:
        return _DAYS.index(text[:3]) + 1
    return int(text) if text in "1234567" and len(text) == 1 else None


def _day_fits(wanted: str, at: datetime.datetime) -> bool:
    """Days by name or number, Sunday being 1. The first that is neither ends the list."""
    for part in wanted.split(","):
        first, dash, last = part.partition("-")
        low, high = _day(first), _day(last) if dash else _day(first)
        if low is None or high is None:
            return False
        if _within(low, high, at.isoweekday() % 7 + 1):
            return True
    return False


def _time_of_day(wanted: str, now: datetime.datetime) -> bool:
    """Ranges ``9:00-17:30``, both ends to the second included; a single time never fits."""
    value = now.hour * 3600 + now.minute * 60 + now.second
    for part in wanted.split(","):
        found = _TIME_RANGE.match(part)
        if found:
            numbers = [int(number or 0) for number in found.groups()]
            low, high = (
                hour * 3600 + minute * 60 + second for hour, minute, second in (numbers[:3], numbers[3:])
            )
            if _within(low, high, value):
                return True
    return False


def _date_time(wanted: str, now: datetime.datetime) -> bool:
    """``2026-12-24 00:00:00~2026-12-27 00:00:00`` in the switch's own zone, the end excluded."""
    for part in wanted.split(","):
        first, tilde, last = part.partition("~")
        if not tilde:
            continue
        begin, end = _moment(first, now), _moment(last, now)
        if begin is None or end is None:
            return False
        if begin <= now < end:
            return True
    return False


def _moment(text: str, now: datetime.datetime) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text.strip()).replace(tzinfo=now.tzinfo)
    except ValueError:
        return None


_IN_OWN_ZONE = {"date-time": _date_time, "dst": _is_summer}
_IN_ITS_ZONE = {"wday": _day_fits, "time-of-day": _time_of_day, "tz-offset": _offset_fits}
