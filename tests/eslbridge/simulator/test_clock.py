"""The time of day on the simulated switch: zones, summer time, and what conditions make of them."""

from __future__ import annotations

import datetime
from pathlib import Path
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from eslbridge.simulator import Simulator, times
from eslbridge.simulator.clock import Clock

from .conversation import Conversation, eventually

NEW_YORK = ZoneInfo("America/New_York")
HOURS = """\
<include>
<extension name="hours">
<condition field="destination_number" expression="^hours$">
<action application="set" data="timezone={zone}" inline="true"/>
<action application="set" data="patchbay_hours=closed" inline="true"/>
</condition>
<condition wday="2-6" time-of-day="09:00-17:00" break="never">
<action application="set" data="patchbay_hours=open" inline="true"/>
</condition>
<condition year="2026" mon="12" mday="25" break="never">
<action application="set" data="patchbay_hours=closed" inline="true"/>
</condition>
<condition field="${{cond(${{strepoch()}} &lt; {flip} ? closed : over)}}" expression="^closed$" break="never">
<action application="set" data="patchbay_hours=closed" inline="true"/>
</condition>
<condition field="${{patchbay_hours}}" expression="^open$">
<action application="bridge" data="user/1000@127.0.0.1"/>
<anti-action application="hangup" data="NO_ROUTE_DESTINATION"/>
</condition>
</extension>
</include>
"""


def fits(attributes: str, at: str, zone: str = "") -> bool | None:
    """Whether a condition fits at this time in UTC, for a call that asks for that zone."""
    now = datetime.datetime.fromisoformat(at).replace(tzinfo=datetime.UTC)
    there = now.astimezone(ZoneInfo(zone)) if zone else now
    return times.matches(ElementTree.fromstring(f"<condition {attributes}/>"), now, there)


@pytest.mark.parametrize(
    ("attributes", "at", "expected"),
    [
        ('time-of-day="09:00-17:00"', "2026-07-24 08:59:59", False),
        ('time-of-day="09:00-17:00"', "2026-07-24 09:00:00", True),
        ('time-of-day="09:00-17:00"', "2026-07-24 17:00:00", True),
        ('time-of-day="09:00-17:00"', "2026-07-24 17:00:01", False),
        ('time-of-day="22:00-06:00"', "2026-07-24 23:30:00", True),
        ('time-of-day="22:00-06:00"', "2026-07-24 05:59:00", True),
        ('time-of-day="22:00-06:00"', "2026-07-24 12:00:00", False),
        ('time-of-day="08:00-09:00,12:00-13:00"', "2026-07-24 12:30:00", True),
        ('time-of-day="12:30"', "2026-07-24 12:30:00", False),
        ('wday="6-1"', "2026-07-26 12:00:00", True),
        ('wday="sat,mon"', "2026-07-26 12:00:00", False),
        ('wday="8"', "2026-07-26 12:00:00", False),
        ('mon="12,1" mday="24-2"', "2026-12-31 12:00:00", True),
        ('week="1"', "2026-01-07 12:00:00", True),
        ('week="2"', "2026-01-08 12:00:00", True),
        ('date-time="2026-07-24 00:00:00~2026-07-25 00:00:00"', "2026-07-24 23:59:59", True),
        ('date-time="2026-07-24 00:00:00~2026-07-25 00:00:00"', "2026-07-25 00:00:00", False),
        ('date-time="2026-07-24 00:00:00"', "2026-07-24 00:00:00", False),
        ('field="destination_number"', "2026-07-24 00:00:00", None),
    ],
)
def test_what_fits(attributes: str, at: str, expected: bool | None) -> None:
    assert fits(attributes, at) is expected


def test_a_date_and_time_is_in_the_zone_of_the_switch_whatever_the_call_asks_for() -> None:
    assert fits('hour="20"', "2026-07-25 00:30:00", "America/New_York")
    assert fits(
        'date-time="2026-07-25 00:00:00~2026-07-25 01:00:00"', "2026-07-25 00:30:00", "America/New_York"
    )


def test_nothing_fits_in_a_zone_that_nobody_knows() -> None:
    now = datetime.datetime(2026, 7, 24, tzinfo=datetime.UTC)
    assert times.matches(ElementTree.fromstring('<condition hour="0-23"/>'), now, None) is False
    assert times.zone_named("Mars/Base") is None


def test_a_clock_goes_on_from_where_it_was_set() -> None:
    clock = Clock(zone="America/New_York")
    clock.set(datetime.datetime(2026, 12, 24, 18, 5, tzinfo=NEW_YORK))
    first = clock.now()
    assert clock.local().strftime("%Y-%m-%d %H:%M") == "2026-12-24 18:05"
    assert clock.now() >= first
    clock.set(None)
    assert abs(clock.local().timestamp() - datetime.datetime.now().timestamp()) < 5
    with pytest.raises(ValueError, match="time zone"):
        clock.set(datetime.datetime(2026, 1, 1))


def rings_at(simulator: Simulator, moment: datetime.datetime) -> bool:
    """Whether somebody who dials the number with hours reaches phone 1000 then."""
    simulator.set_time(moment)
    phone = simulator.phones["1000"]
    before = len(phone.received)
    simulator.phones["1001"].place_call("hours")
    eventually(lambda: not simulator.channels or len(simulator.calls) == 1)
    simulator.phones["1001"].hangup()
    eventually(lambda: not simulator.channels)
    return len(phone.received) > before


@pytest.mark.parametrize("own_zone", ["UTC", "Asia/Tokyo"])
def test_hours_are_those_of_the_zone_that_the_call_asks_for(conf_dir: Path, own_zone: str) -> None:
    """A minute before and after, on both sides of the change to summer time, and on a holiday."""
    flip = int(datetime.datetime(2026, 3, 3, 12, tzinfo=NEW_YORK).timestamp())
    (conf_dir / "dialplan/default/hours.xml").write_text(HOURS.format(zone="America/New_York", flip=flip))
    with Simulator(conf_dir, answer_after=0, register_delay=0, zone=own_zone) as simulator:
        eventually(lambda: sum(phone.registered for phone in simulator.phones.values()) == 4)

        def at(*when: int) -> bool:
            return rings_at(simulator, datetime.datetime(*when, tzinfo=NEW_YORK))  # type: ignore[arg-type]

        assert [at(2026, 3, 6, 8, 59, 30), at(2026, 3, 6, 9, 0, 30)] == [False, True]
        assert [at(2026, 3, 9, 8, 59, 30), at(2026, 3, 9, 9, 0, 30)] == [False, True]
        assert [at(2026, 3, 9, 16, 59, 30), at(2026, 3, 9, 17, 0, 30)] == [True, False]
        assert [at(2026, 12, 24, 10), at(2026, 12, 25, 10), at(2026, 12, 26, 10)] == [True, False, False]
        assert [at(2026, 3, 3, 11, 59), at(2026, 3, 3, 12, 1)] == [False, True]
        assert simulator.errors == []


def test_everything_that_tells_the_time_tells_this_one(simulator: Simulator, client: Conversation) -> None:
    moment = datetime.datetime(2026, 12, 24, 18, 5, tzinfo=NEW_YORK)
    simulator.set_time(moment)
    assert abs(int(client.api("strepoch")) - moment.timestamp()) < 5
    assert client.api("eval ${strepoch()}")[:8] == str(int(moment.timestamp()))[:8]
    client.command("event json HEARTBEAT")
    simulator.heartbeat()
    assert client.wait_for("HEARTBEAT")["Event-Date-GMT"].startswith("Thu, 24 Dec 2026 23:05")
    assert all(phone.registered for phone in simulator.phones.values())


def test_a_caller_of_the_simulator_can_be_the_clock(conf_dir: Path) -> None:
    moment = datetime.datetime(2026, 12, 24, tzinfo=datetime.UTC)
    with Simulator(conf_dir, now=lambda: moment) as simulator, Conversation(simulator.esl_port) as client:
        assert client.api("strepoch") == str(int(moment.timestamp()))
