"""What happens to finished legs when PostgreSQL does not take them."""

import pytest
from django.db import DataError, OperationalError

from cdr import receivers
from cdr.models import Leg, record
from cdr.receivers import Backlog
from eslbridge.models import Switch
from eslbridge.protocol.events import JsonEvent
from tests.recorded_calls import altered, load

from .test_record import CALLS, a_leg, legs_of, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def backlog(monkeypatch: pytest.MonkeyPatch) -> Backlog:
    """The one that the receivers use, empty, and offering again at once."""
    fresh = Backlog()
    monkeypatch.setattr(receivers, "backlog", fresh)
    monkeypatch.setattr(receivers, "PAUSE", -1.0)
    return fresh


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    topics: list[str] = []
    monkeypatch.setattr(receivers, "announce", topics.append)
    return topics


def away(*_: object) -> int:
    raise OperationalError("connection refused\n\tIs the server running?")


def happen(events: list[object]) -> None:
    receivers._record(None, switch=Switch(name="switch-1"), events=events)


def test_a_call_that_ends_is_recorded_and_told(backlog: Backlog, announced: list[str]) -> None:
    happen(load("did").events)
    assert shown() == CALLS["did"]
    assert announced == ["records"]
    happen(load("did").events)
    assert announced == ["records"]


def test_legs_wait_for_postgresql_and_arrive_with_the_next_event(
    backlog: Backlog, announced: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as outage:
        outage.setattr(receivers, "record", away)
        happen(load("did").events)
        happen(load("internal_hold").events)
    assert not Leg.objects.exists()
    assert len(backlog.waiting) == 4
    assert "4 call records wait for PostgreSQL: connection refused" in caplog.text
    happen(load("did_unknown").events)
    assert len(shown()) == 3
    assert not backlog.waiting


def test_legs_arrive_with_the_comparison_when_nobody_calls_any_more(
    backlog: Backlog, announced: list[str], monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    settings.FS_CDR_DIR = ""
    with monkeypatch.context() as outage:
        outage.setattr(receivers, "record", away)
        happen(load("did").events)
    receivers._look_again(None, switch=Switch(name="switch-1"))
    assert shown() == CALLS["did"]
    assert announced == ["records"]


def test_the_events_do_not_wait_for_each_attempt(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def slow(*_: object) -> int:
        attempts.append(1)
        raise OperationalError("timeout expired")

    monkeypatch.setattr(receivers, "PAUSE", 60.0)
    monkeypatch.setattr(receivers, "record", slow)
    for name in ("did", "internal_hold", "park"):
        happen(load(name).events)
    assert len(attempts) == 1
    assert len(backlog.waiting) == 7


def test_only_so_many_wait_and_that_is_said_once(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(receivers, "MOST_WAITING", 3)
    legs = [a_leg() for _ in range(10)]
    for leg in legs:
        backlog.add([leg])
    assert list(backlog.waiting) == [leg["uuid"] for leg in legs[7:]]
    assert caplog.text.count("Too many call records") == 1


def test_a_leg_that_postgresql_refuses_costs_only_itself(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = legs_of("did")[0]["uuid"]

    def picky(legs: list[dict[str, object]]) -> int:
        if any(leg["uuid"] == bad for leg in legs):
            raise DataError("value out of range")
        return record(legs)

    monkeypatch.setattr(receivers, "record", picky)
    backlog.add(legs_of("did") + legs_of("internal_hold"))
    assert backlog.store() == 3
    assert not backlog.waiting
    assert f"{bad} cannot be stored: value out of range" in caplog.text


def test_many_legs_go_in_portions(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "PORTION", 3)
    backlog.add([a_leg() for _ in range(10)])
    assert backlog.store() == 10 == Leg.objects.count()


def test_an_event_that_cannot_be_read_costs_only_itself(
    backlog: Backlog, announced: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    events = load("did").events
    broken = [
        JsonEvent(b'{"Event-Name":"CHANNEL_HANGUP_COMPLETE","variable_uuid":"x'),
        altered(events[-2], variable_uuid=""),
    ]
    happen([*broken, *events])
    assert shown() == CALLS["did"]
    assert caplog.text.count("cannot be read, so it waits for its file") == 2
