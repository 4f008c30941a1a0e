"""Business hours: when a number is answered otherwise than at night."""

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from ..zones import ADVICE, rules_on_disk, what_is_wrong

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_RANGE = re.compile(
    r"([01]?\d|2[0-3])(?::?([0-5]\d))?\s*[-–]\s*(?:([01]?\d|2[0-3])(?::?([0-5]\d))?|(24)(?::?00)?)"
)
MINUTES_A_DAY = 24 * 60

Range = tuple[int, int]  # minutes since midnight: the first that is open, the first that is not


def read_ranges(text: str) -> list[Range]:
    """“9-12, 13:00-17:30” as minutes; a range that ends before it begins ends on the next day.

    Raises ValidationError, naming the part that is none.
    """
    ranges = []
    for part in filter(None, (part.strip() for part in re.split(r"[,;]", text))):
        found = _RANGE.fullmatch(part)
        if not found:
            raise ValidationError(f"“{part[:20]}” is not a range of hours. Type it like 09:00-17:00.")
        first = int(found[1]) * 60 + int(found[2] or 0)
        last = MINUTES_A_DAY if found[5] else int(found[3]) * 60 + int(found[4] or 0)
        if first == last:
            raise ValidationError(f"“{part}” begins when it ends. The whole day is 00:00-24:00.")
        ranges.append((first, last if last > first else last + MINUTES_A_DAY))
    return ranges


def validate_ranges(text: str) -> None:
    read_ranges(text)


def _day(name: str) -> models.CharField:
    return models.CharField(
        max_length=80,
        blank=True,
        validators=[validate_ranges],
        help_text="09:00-12:00, 13:00-17:00" if name == "monday" else "",
    )


class BusinessHours(models.Model):
    """Ranges a weekday and holidays, in the time zone of the place; used by any number of routes."""

    name = models.CharField(max_length=80, unique=True)
    time_zone = models.CharField(
        max_length=64,
        default=settings.TIME_ZONE,
        help_text="Of the office, whatever the switch's and the site's are: Europe/Berlin, America/New_York.",
    )
    monday, tuesday, wednesday, thursday, friday, saturday, sunday = map(_day, DAYS)
    closed_until = models.DateTimeField(
        "closed now, until",
        null=True,
        blank=True,
        help_text="Closed from now on whatever the hours say; opens by itself at this time.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "business hours"
        ordering = ["name"]
        permissions = [("close_now", "Can close business hours for now, and open them again")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.time_zone not in available_timezones() or not re.fullmatch(
            r"[A-Za-z0-9_+/-]+", self.time_zone
        ):
            raise ValidationError(
                {"time_zone": f"“{self.time_zone[:40]}” is not a time zone. Type one like Europe/Berlin."}
            )
        rules = rules_on_disk()
        if rules is not None and self.time_zone not in rules:
            raise ValidationError(
                {"time_zone": f"{self.time_zone} {what_is_wrong(self.time_zone, rules)}. {ADVICE}"}
            )

    def ranges(self) -> Iterator[tuple[int, Range]]:
        """(weekday, minutes), Monday is 0; what lasts beyond midnight comes as two."""
        for day, name in enumerate(DAYS):
            for first, last in read_ranges(getattr(self, name)):
                yield day, (first, min(last, MINUTES_A_DAY))
                if last > MINUTES_A_DAY:
                    yield (day + 1) % 7, (0, last - MINUTES_A_DAY)

    def week(self) -> list[tuple[str, list[Range]]]:
        """(name, ranges in minutes) of each day from Monday."""
        days: list[tuple[str, list[Range]]] = [(name.capitalize(), []) for name in DAYS]
        for day, minutes in self.ranges():
            days[day][1].append(minutes)
        return [(name, sorted(ranges)) for name, ranges in days]

    def is_open(self, moment: datetime) -> bool:
        """Whether it is open then, “closed now” included."""
        if self.closed_until is not None and moment < self.closed_until:
            return False
        local = moment.astimezone(ZoneInfo(self.time_zone))
        if any(holiday.date == local.date() for holiday in self.holidays.all()):
            return False
        minutes = local.hour * 60 + local.minute
        return any(day == local.weekday() and first <= minutes < last for day, (first, last) in self.ranges())

    @property
    def is_closed_now(self) -> bool:
        return self.closed_until is not None and self.closed_until > timezone.now()

    @property
    def state_now(self) -> str:
        """“open”, “closed”, or “closed by hand”."""
        if self.is_closed_now:
            return "closed by hand"
        return "open" if self.is_open(timezone.now()) else "closed"

    def close_until(self, moment: datetime | None) -> None:
        """Close from now on until that moment; None opens again at once."""
        self.closed_until = moment
        self.save(update_fields=["closed_until"])


class Holiday(models.Model):
    """A day on which the hours do not count."""

    hours = models.ForeignKey(BusinessHours, models.CASCADE, related_name="holidays")
    date = models.DateField()
    name = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ["date"]
        constraints = [models.UniqueConstraint(fields=["hours", "date"], name="one_holiday_a_day")]

    def __str__(self) -> str:
        return f"{self.date} {self.name}".strip()
