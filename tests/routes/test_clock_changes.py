"""Hours on the days when clocks change: what rings on the switch is what the page says is open."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from routes.destinations import Destination
from routes.models import Holiday
from tests.factories import make_agent, make_hours, make_route
from tests.routes.office import Office

DID = "+19495431333"
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
HOUR = timedelta(hours=1)


def changes(zone: str, year: int) -> list[datetime]:
    """The hours of that year in which the clock of the zone changes, in UTC."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    moments = [start + count * HOUR for count in range(365 * 24)]
    local = ZoneInfo(zone)
    return [
        moment
        for moment in moments
        if moment.astimezone(local).utcoffset() != (moment + HOUR).astimezone(local).utcoffset()
    ]


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "America/New_York",
        "America/St_Johns",  # half an hour off
        "Australia/Lord_Howe",  # changes by half an hour
        "Pacific/Auckland",  # the other half of the year, and a day ahead
    ],
)
def test_whom_a_call_rings_when_the_clocks_change(office: Office, zone: str) -> None:
    hours = make_hours(time_zone=zone, **dict.fromkeys(DAYS, "00:30-01:30, 02:00-02:30, 23:00-00:15"))
    alice, bob = make_agent(2020), make_agent(2021)
    spring, autumn = changes(zone, 2026)
    Holiday.objects.create(hours=hours, date=(autumn + 20 * HOUR).astimezone(ZoneInfo(zone)).date())
    make_route(alice, did=DID, hours=hours, closed_destination=Destination.to(bob))
    office.publish()
    office.registered("2020", "2021")
    moments = [
        change + minutes * timedelta(minutes=30) for change in (spring, autumn) for minutes in range(5)
    ]
    midnight = datetime(2026, 6, 30, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    moments += [midnight - timedelta(seconds=1), midnight, midnight + timedelta(minutes=15)]
    rung = set()
    for moment in moments:
        office.at(moment.isoformat())
        expected = "2020" if hours.is_open(moment) else "2021"
        assert office.outside_calls(DID) == {expected: 1}, moment.astimezone(ZoneInfo(zone))
        rung.add(expected)
    assert rung == {"2020", "2021"}
