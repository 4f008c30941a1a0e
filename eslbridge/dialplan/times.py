"""The time attributes of conditions, as `switch_xml_std_datetime_check` compares them."""

import io
import re
import struct
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

ATTRIBUTES = (
    "date-time",
    "year",
    "yday",
    "mon",
    "mday",
    "week",
    "mweek",
    "wday",
    "hour",
    "minute",
    "minute-of-day",
    "time-of-day",
    "tz-offset",
    "dst",
)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_INTEGER = re.compile(r"\s*([+-]?\d+)?")
_NUMBER = re.compile(r"[+-]?[0-9.]*")
TRUE_WORDS = ("yes", "on", "true", "t", "enabled", "active", "allow")


def is_number(text: str) -> bool:
    """As the switch decides: digits and dots after a sign; an empty text is one, too."""
    return _NUMBER.fullmatch(text) is not None


def atoi(text: str) -> int:
    """The number at the beginning, or 0."""
    found = _INTEGER.match(text)
    return int(found[1]) if found and found[1] else 0


def is_true(text: str) -> bool:
    """What the switch takes for a yes."""
    return text.lower() in TRUE_WORDS or (is_number(text) and atoi(text) != 0)


def check(
    attributes: Mapping[str, str], at: datetime, own: datetime, offset: int | None = None
) -> bool | None:
    """Whether the time attributes of a condition hold; None when it has none.

    `at` is the moment in the zone of the call, `own` in the switch's; `offset` are the hours of the
    variable tod_tz_offset, when it is set.
    """
    wanted = {name: attributes[name] for name in ATTRIBUTES if name in attributes}
    if not wanted:
        return None
    return all(_holds(name, text, at, own, offset) for name, text in wanted.items())


def _holds(name: str, text: str, at: datetime, own: datetime, offset: int | None) -> bool:
    if name == "date-time":
        return _date_matches(text, own)
    if name == "tz-offset":
        hours = offset if offset is not None else int(_utc_offset(at).total_seconds() / 3600)
        return not text or not is_number(text) or atoi(text) == hours
    if name == "dst":
        return not text or (is_true(text) and bool(own.dst()))
    if name == "wday":
        return _day_matches(text, at.isoweekday() % 7 + 1)
    if name == "time-of-day":
        return _time_matches(text, at.hour * 3600 + at.minute * 60 + at.second)
    return _number_matches(text, _NUMBERS[name](at))


def _utc_offset(at: datetime) -> timedelta:
    return at.utcoffset() or timedelta()


def _week_of_month(at: datetime) -> int:
    # C's % keeps the sign of what is divided, Python's that of the divisor.
    past = at.day - (at.isoweekday() % 7 + 1)
    first_day = (7 - int(past - 7 * int(past / 7))) % 7
    return -(-(at.day + first_day) // 7)


_NUMBERS: dict[str, Callable[[datetime], int]] = {
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


def _is_between(first: int, value: int, last: int) -> bool:
    """A range that ends before it begins goes around: 22-6."""
    return first <= value <= last if first <= last else value >= first or value <= last


def _number_matches(text: str, value: int) -> bool:
    position = 0
    while True:
        found = _INTEGER.match(text, position)
        assert found is not None
        first = last = int(found[1] or 0)
        position = found.end()
        if text.startswith("-", position):
            found = _INTEGER.match(text, position + 1)
            assert found is not None
            last, position = int(found[1] or 0), found.end()
            if _is_between(first, value, last):
                return True
        elif first == value:
            return True
        if not text.startswith(",", position):
            return False
        position += 1


def _day_matches(text: str, day: int) -> bool:
    """Days are 1 (Sunday) to 7 or names; what is neither ends the comparison."""
    start: int | None = None
    previous: int | None = None
    position = 0
    while position < len(text):
        character = text[position]
        if character in ",-":
            start = previous if character == "-" else start
            previous, position = None, position + 1
            continue
        name = text[position : position + 3].lower()
        if character in "1234567":
            current, position = int(character), position + 1
        elif name in _DAYS:
            current, position = _DAYS.index(name) + 1, position + 3
        else:
            return False
        if start is not None:
            if _is_between(start, day, current):
                return True
            start = None
        elif day == current:
            return True
        previous = current
    return False


def _time_matches(text: str, second: int) -> bool:
    for one in text.split(","):
        first, dash, last = one.partition("-")
        if dash and ":" in first and ":" in last and _is_between(_seconds(first), second, _seconds(last)):
            return True
    return False


def _seconds(text: str) -> int:
    hour, minute, second = ([*text.split(":", 2), "0"])[:3]
    return atoi(hour) * 3600 + atoi(minute) * 60 + atoi(second)


def _date_matches(text: str, own: datetime) -> bool:
    for one in text.split(","):
        first, tilde, last = one.partition("~")
        if not tilde:
            continue
        begin, end = moment(first, own.tzinfo), moment(last, own.tzinfo)
        if begin is None or end is None:
            return False
        if begin <= own < end:
            return True
    return False


def moment(text: str, zone: tzinfo | None) -> datetime | None:
    """A moment like “2026-12-24 18:05:00” in a zone; None when the text is none."""
    found = re.match(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:\s+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?", text)
    if not found:
        return None
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None


def hours_east(hours: int) -> tzinfo:
    """The zone of tod_tz_offset."""
    return timezone(timedelta(hours=max(-23, min(23, hours))))


@lru_cache(maxsize=1024)
def posix_zone(definition: str, name: str) -> tzinfo:
    """The zone of a definition as in timezones.conf.xml, like `CET-1CEST,M3.5.0,M10.5.0/3`.

    Raises ValueError when it is none. Python reads such a line as the end of a file of the tz database.
    """
    header = b"TZif2" + bytes(15)
    empty = header + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    file = empty + empty + b"\n" + definition.encode("ascii", "replace") + b"\n"
    return ZoneInfo.from_file(io.BytesIO(file), key=name)
