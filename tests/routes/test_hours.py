"""Business hours: typed, told, and in the zone of the office."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from routes.calendars import add_holidays, read_calendar
from routes.models import BusinessHours, Holiday
from routes.models.hours import read_ranges
from tests.factories import make_hours, make_route, make_user


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("09:00-17:00", [(540, 1020)]),
        ("9-12, 13:30 – 17", [(540, 720), (810, 1020)]),
        ("0800-1200;1300-1700", [(480, 720), (780, 1020)]),
        ("22:00-02:00", [(1320, 1560)]),
        ("00:00-24:00", [(0, 1440)]),
        ("", []),
    ],
)
def test_hours_are_read_as_people_type_them(text: str, ranges: list[tuple[int, int]]) -> None:
    assert read_ranges(text) == ranges


@pytest.mark.parametrize(
    "text", ["9 to 5", "09:00", "25:00-26:00", "09:60-10:00", "09:00-09:00", "٠٩:٠٠-١٧:٠٠", "24:00-25:00"]
)
def test_what_are_no_hours_is_refused_with_the_part(text: str) -> None:
    with pytest.raises(ValidationError, match=r"range of hours|begins when it ends"):
        read_ranges(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_minute_before_and_after(db: None) -> None:
    hours = make_hours(time_zone="America/New_York")
    assert not hours.is_open(utc("2026-12-24T13:59:59"))
    assert hours.is_open(utc("2026-12-24T14:00:00"))
    assert hours.is_open(utc("2026-12-24T21:59:59"))
    assert not hours.is_open(utc("2026-12-24T22:00:00"))


def test_across_midnight_and_daylight_saving(db: None) -> None:
    night = make_hours(time_zone="Europe/Berlin", friday="22:00-04:00", saturday="")
    assert night.is_open(utc("2026-03-28T02:59:00"))  # Saturday 03:59, winter
    assert not night.is_open(utc("2026-03-28T03:00:00"))
    assert night.is_open(utc("2026-04-04T01:59:00"))  # Saturday 03:59, summer
    assert not night.is_open(utc("2026-04-04T02:00:00"))


def test_holidays_and_closed_now(db: None) -> None:
    hours = make_hours(closed_until=utc("2026-12-23T12:00:00"))
    Holiday.objects.create(hours=hours, date=date(2026, 12, 24))
    assert not hours.is_open(utc("2026-12-23T11:59:59"))
    assert hours.is_open(utc("2026-12-23T12:00:00"))
    assert not hours.is_open(utc("2026-12-24T12:00:00"))


CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTART;VALUE=DATE:20261225\r
DTEND;VALUE=DATE:20261227\r
SUMMARY:Christmas\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:2\r
DTSTART:20261231T180000Z\r
DTEND:20261231T190000Z\r
SUMMARY:Party\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:3\r
DTSTART;VALUE=DATE:20270101\r
SUMMARY:New Year\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_a_calendars_whole_days_become_holidays_once(db: None) -> None:
    hours = make_hours()
    days = read_calendar(CALENDAR.encode())
    assert [(str(day), name) for day, name in days] == [
        ("2026-12-25", "Christmas"),
        ("2026-12-26", "Christmas"),
        ("2027-01-01", "New Year"),
    ]
    assert (add_holidays(hours, days), add_holidays(hours, days)) == (3, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a calendar|no whole-day"),
        (b"date,name\n2026-12-25,x\n", "not a calendar|no whole-day"),
        (b"\xff\xfe\x00", "not a calendar|no whole-day"),
        (CALENDAR.replace("20261227", "20281227").encode(), "lasts"),
        (b"x" * 2_000_001, "2 MB"),
    ],
)
def test_what_is_no_calendar_of_holidays_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        read_calendar(content)


@pytest.fixture
def site(client: Client, db: None, redis_client: Any) -> Client:
    client.force_login(make_user())
    return client


def test_an_operator_closes_now_until_later_and_opens_again(site: Client) -> None:
    hours = make_hours()
    url = reverse("admin:routes_businesshours_close_now", args=[hours.pk])
    assert b"for an hour" in site.get(url).content
    site.post(url, {"how_long": "4"})
    assert BusinessHours.objects.get().state_now == "closed by hand"
    site.post(url, {"how_long": "open"})
    assert BusinessHours.objects.get().closed_until is None


def test_a_time_that_is_over_is_refused(site: Client) -> None:
    hours = make_hours()
    page = site.post(
        reverse("admin:routes_businesshours_close_now", args=[hours.pk]),
        {"how_long": "at", "until_0": "2020-01-01", "until_1": "10:00"},
    )
    assert "still to come" in page.content.decode()
    assert BusinessHours.objects.get().closed_until is None


def test_hours_in_use_cannot_be_deleted_and_say_by_what(site: Client) -> None:
    hours = make_hours()
    make_route(did="+19495431333", hours=hours)
    page = site.post(f"/routes/businesshours/{hours.pk}/delete/", {"post": "yes"})
    assert "+1 949-543-1333" in page.content.decode()
    assert BusinessHours.objects.exists()
