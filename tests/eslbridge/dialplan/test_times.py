"""The time attributes of conditions, at their edges."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from eslbridge.dialplan.times import check, posix_zone

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("attributes", "moment", "fits"),
    [
        ({"wday": "2-6", "time-of-day": "09:00-17:00"}, "2026-12-24T08:59:59", False),
        ({"wday": "2-6", "time-of-day": "09:00-17:00"}, "2026-12-24T09:00:00", True),
        ({"wday": "2-6", "time-of-day": "09:00-17:00"}, "2026-12-24T17:00:00", True),
        ({"wday": "2-6", "time-of-day": "09:00-17:00"}, "2026-12-24T17:00:01", False),
        ({"wday": "2-6", "time-of-day": "09:00-17:00"}, "2026-12-26T12:00:00", False),
        ({"time-of-day": "22:00-06:00"}, "2026-12-24T23:00:00", True),
        ({"time-of-day": "22:00-06:00"}, "2026-12-24T05:59:00", True),
        ({"time-of-day": "22:00-06:00"}, "2026-12-24T12:00:00", False),
        ({"time-of-day": "8:00-12:00,13:00-17:30:30"}, "2026-12-24T17:30:30", True),
        ({"time-of-day": "8:00-12:00,13:00-17:30"}, "2026-12-24T12:30:00", False),
        ({"time-of-day": "12:00"}, "2026-12-24T12:00:00", False),
        ({"wday": "sun"}, "2026-12-27T12:00:00", True),
        ({"wday": "fri-mon"}, "2026-12-27T12:00:00", True),
        ({"wday": "7-2"}, "2026-12-27T12:00:00", True),
        ({"wday": "1,3"}, "2026-12-28T12:00:00", False),
        ({"wday": "x"}, "2026-12-28T12:00:00", False),
        ({"year": "2026", "mon": "12", "mday": "25"}, "2026-12-25T00:00:00", True),
        ({"year": "2026", "mon": "12", "mday": "25"}, "2026-12-26T00:00:00", False),
        ({"mday": "1,24-26,31"}, "2026-12-25T00:00:00", True),
        ({"mon": "11-2"}, "2026-01-05T00:00:00", True),
        ({"hour": "9-18"}, "2026-12-24T18:59:00", True),
        ({"minute-of-day": "540-1080"}, "2026-12-24T08:59:00", True),
        ({"week": "52"}, "2026-12-30T00:00:00", True),
        ({"mweek": "4", "wday": "5", "mon": "11"}, "2026-11-26T00:00:00", True),
        ({"mweek": "4", "wday": "5", "mon": "11"}, "2026-11-19T00:00:00", False),
        ({"mweek": "1"}, "2026-12-03T00:00:00", True),  # a month that begins on a Tuesday
        ({"mweek": "2"}, "2026-12-06T00:00:00", True),
        ({"yday": "358"}, "2026-12-24T00:00:00", True),
        ({"date-time": "2026-12-24 00:00:00~2026-12-25 00:00:00"}, "2026-12-24T23:59:59", True),
        ({"date-time": "2026-12-24 00:00:00~2026-12-25 00:00:00"}, "2026-12-25T00:00:00", False),
        ({"date-time": "2026-12-24"}, "2026-12-24T10:00:00", False),
        ({"tz-offset": "1"}, "2026-12-24T10:00:00", True),
        ({"tz-offset": "1"}, "2026-07-24T10:00:00", False),
        ({"dst": "true"}, "2026-07-24T10:00:00", True),
        ({"field": "x"}, "2026-07-24T10:00:00", None),
    ],
)
def test_a_moment_is_compared_as_the_switch_does(
    attributes: dict[str, str], moment: str, fits: bool | None
) -> None:
    assert check(attributes, at(moment), at(moment)) is fits


def test_a_date_is_compared_in_the_switchs_own_zone() -> None:
    moment = datetime(2026, 12, 24, 23, 30, tzinfo=UTC)
    christmas = {"date-time": "2026-12-25 00:00:00~2026-12-26 00:00:00"}
    assert check(christmas, moment.astimezone(BERLIN), moment) is False
    assert check({"mday": "25"}, moment.astimezone(BERLIN), moment) is True


@pytest.mark.parametrize(
    ("moment", "hour"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), 1),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), 3),
        (datetime(2026, 10, 25, 0, 59, tzinfo=UTC), 2),
        (datetime(2026, 10, 25, 1, 0, tzinfo=UTC), 2),
    ],
)
def test_a_zone_of_the_switchs_own_list_knows_its_summer_time(moment: datetime, hour: int) -> None:
    zone = posix_zone("CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Berlin")
    assert moment.astimezone(zone).hour == hour
    assert moment.astimezone(zone).isoformat() == moment.astimezone(BERLIN).isoformat()
