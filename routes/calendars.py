"""Holidays from a calendar file (.ics), as governments and calendar programs publish them."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from django.core.exceptions import ValidationError
from icalendar import Calendar

from .models import BusinessHours, Holiday

MOST_BYTES = 2_000_000
MOST_DAYS = 2000
# An event of more days than this is not a holiday: somebody exported the wrong calendar.
LONGEST = timedelta(days=60)


def read_calendar(content: bytes) -> list[tuple[date, str]]:
    """(day, name) of every whole-day event, sorted; raises ValidationError with what is wrong."""
    if len(content) > MOST_BYTES:
        raise ValidationError("This calendar has more than 2 MB. Export only the holidays.")
    try:
        calendar = Calendar.from_ical(content)
    except (ValueError, IndexError, KeyError):
        raise ValidationError("This is not a calendar file. Choose one that ends in .ics.") from None
    days = sorted(set(_days(calendar)))
    if not days:
        raise ValidationError("There is no whole-day event in this calendar: holidays are whole days.")
    if len(days) > MOST_DAYS:
        raise ValidationError(
            f"These are {len(days)} days. Export fewer years; at most {MOST_DAYS} are taken."
        )
    return days


def _days(calendar: Calendar) -> Iterator[tuple[date, str]]:
    for event in calendar.walk("VEVENT"):
        start = event.get("DTSTART")
        if start is None or isinstance(start.dt, datetime):
            continue  # an appointment, not a day
        end = event.get("DTEND")
        last = (
            end.dt if end is not None and not isinstance(end.dt, datetime) else start.dt + timedelta(days=1)
        )
        if last - start.dt > LONGEST:
            name = str(event.get("SUMMARY", ""))[:60]
            raise ValidationError(f"“{name}” lasts {(last - start.dt).days} days, which is no holiday.")
        day = start.dt
        while day < max(last, start.dt + timedelta(days=1)):
            yield day, str(event.get("SUMMARY", ""))[:120]
            day += timedelta(days=1)


def add_holidays(hours: BusinessHours, days: list[tuple[date, str]]) -> int:
    """Add the days that are not there yet; returns how many."""
    known = set(hours.holidays.values_list("date", flat=True))
    new = {day: name for day, name in days if day not in known}
    for day, name in new.items():
        Holiday.objects.create(hours=hours, date=day, name=name)
    return len(new)
