"""Business hours as conditions: after them `${patchbay_hours}` is “open” or “closed”."""

from collections import defaultdict

from eslbridge.switchxml import Element, Expression

from ..models import BusinessHours
from ..models.hours import MINUTES_A_DAY
from .parts import condition, setting

_OPEN = setting("patchbay_hours", "open", inline=True)
_CLOSED = setting("patchbay_hours", "closed", inline=True)


def hours_conditions(hours: BusinessHours) -> list[Element]:
    """The last of them that matches decides: ranges, then holidays, then “closed now”.

    The switch evaluates them in the zone of the channel's variable `timezone`; the moment until which it is
    closed is compared as seconds since 1970, which need no zone, and passes without anybody's doing.
    """
    zone = setting("timezone", hours.time_zone, inline=True)
    conditions = [Element("condition", {"break": "never"}, (zone, _CLOSED))]
    conditions += [_at({"wday": days} | time, _OPEN) for days, time in _ranges(hours)]
    conditions += [
        _at({"year": str(day.year), "mon": str(day.month), "mday": str(day.day)}, _CLOSED)
        for day in sorted(holiday.date for holiday in hours.holidays.all())
    ]
    if hours.closed_until:
        end = int(hours.closed_until.timestamp())
        now = Expression(f"${{cond(${{strepoch()}} < {end} ? closed : over)}}")
        conditions.append(condition(now, "^closed$", _CLOSED, goes_on=True))
    return conditions


def _at(when: dict[str, str], then: Element) -> Element:
    return Element("condition", {**when, "break": "never"}, (then,))


def _ranges(hours: BusinessHours) -> list[tuple[str, dict[str, str]]]:
    """(weekdays as the switch counts them, from Sunday = 1; time of day) of the days that are alike."""
    days = defaultdict(list)
    for day, minutes in hours.ranges():
        days[minutes].append((day + 1) % 7 + 1)
    return [
        (",".join(map(str, sorted(alike))), _time(first, last))
        for (first, last), alike in sorted(days.items())
    ]


def _time(first: int, last: int) -> dict[str, str]:
    """Without the last second's end: for the switch a range includes both ends."""
    if (first, last) == (0, MINUTES_A_DAY):
        return {}
    end = last - 1
    return {"time-of-day": f"{first // 60:02}:{first % 60:02}:00-{end // 60:02}:{end % 60:02}:59"}
