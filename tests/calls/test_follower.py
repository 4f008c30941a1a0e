"""What becomes of a click-to-dial, as the recorded events tell it."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from calls import dialling
from calls.dialling import LOST, UNHEARD, Follower, in_words, phone_in_words
from calls.legs import Leg
from calls.live import listed_channels
from calls.models import Dial
from eslbridge.protocol.events import Event, JsonEvent
from tests.recorded_calls import Stock, altered, events_of, job_of, load, made

from .making import SWITCH, a_dial
from .test_live import Answers, Memory, played

pytestmark = pytest.mark.django_db

STATE = Dial.State
UNHEARD_OF = "00000000-0000-4000-8000-000000000001"

# Recording: the agent's phone, and what the dial is at its end.
ENDS = {
    "click_to_dial_answered": ("1000", STATE.ENDED, ""),
    "click_to_dial_agent_busy": ("1002", STATE.FAILED, "Phone 1002 is busy."),
    "click_to_dial_agent_unregistered": ("1009", STATE.FAILED, "Phone 1009 is not registered."),
    "click_to_dial_no_answer": ("1003", STATE.FAILED, "Phone 1003 did not answer."),
    "click_to_dial_callee_busy": ("1000", STATE.FAILED, "Busy."),
    "dial_answered": ("1000", STATE.ENDED, ""),
    "dial_agent_busy": ("1000", STATE.FAILED, "Phone 1000 is busy."),
    "dial_agent_rejects": ("1000", STATE.FAILED, "Phone 1000 rejected the call."),
    "dial_agent_unregistered": ("1009", STATE.FAILED, "Phone 1009 is not registered."),
    "dial_busy_voicemail": ("1000", STATE.FAILED, "Busy."),
    "dial_cancelled": ("1000", STATE.FAILED, "Cancelled."),
    "dial_no_route": ("1000", STATE.FAILED, "Ended by an administrator."),
    "dial_callee_unregistered": ("1000", STATE.ENDED, ""),  # voicemail took it: no leg to a phone was made
}


def recorded(name: str) -> tuple[str, list[Event]]:
    """The A-leg's UUID and the events, the job's among them as our own originate names it."""
    events = events_of(name)
    created = [event["Unique-ID"] for event in events if event.name == "CHANNEL_CREATE"]
    uuid = created[0] if created else UNHEARD_OF
    return uuid, job_of(events, uuid)


def after(events: Iterable[Event], dial: Dial) -> Dial:
    follower = Follower(SWITCH)
    follower.watch(dial)
    follower.follow(list(events))
    dial.refresh_from_db()
    return dial


@pytest.mark.parametrize("name", ENDS)
def test_every_recorded_dial_ends_with_its_reason(name: str) -> None:
    uuid, events = recorded(name)
    extension, state, cause = ENDS[name]
    dial = after(events, a_dial(uuid, extension))
    assert (dial.state, dial.cause) == (state, cause)
    assert dial.ended_at


@pytest.mark.parametrize("name", ENDS)
def test_the_same_events_one_by_one_and_twice_end_the_same(name: str) -> None:
    uuid, events = recorded(name)
    extension, state, cause = ENDS[name]
    dial, follower = a_dial(uuid, extension), Follower(SWITCH)
    follower.watch(dial)
    for event in events:
        follower.follow([event])
        follower.follow([event])
    dial.refresh_from_db()
    assert (dial.state, dial.cause) == (state, cause)
    assert not follower.watched
    assert not follower.unsaved


def steps(name: str) -> list[tuple[str, str]]:
    uuid, events = recorded(name)
    dial, follower = a_dial(uuid), Follower(SWITCH)
    follower.watch(dial)
    seen = [(dial.state, dial.cause)]
    for event in events:
        follower.follow([event])
        dial.refresh_from_db()
        if seen[-1] != (dial.state, dial.cause):
            seen.append((dial.state, dial.cause))
    return seen


def test_the_steps_of_an_answered_dial() -> None:
    states = [state for state, _ in steps("dial_answered")]
    assert states == [
        STATE.SENT,
        STATE.RINGING_AGENT,
        STATE.AGENT_ANSWERED,
        STATE.DIALLING,
        STATE.RINGING,
        STATE.ANSWERED,
        STATE.ENDED,
    ]


def test_a_late_event_does_not_turn_a_dial_back() -> None:
    uuid, events = recorded("dial_answered")
    dial, follower = a_dial(uuid), Follower(SWITCH)
    follower.watch(dial)
    answered = load("dial_answered").stock("answered").after
    follower.follow(events[:answered])
    follower.follow(events[:answered])
    dial.refresh_from_db()
    assert dial.state == STATE.ANSWERED
    for late in events[:answered]:
        follower.follow([late])
        dial.refresh_from_db()
        assert dial.state == STATE.ANSWERED, late


def test_that_the_callee_is_busy_is_told_while_voicemail_still_talks() -> None:
    seen = steps("dial_busy_voicemail")
    assert seen[-2:] == [(STATE.RINGING, "Busy."), (STATE.FAILED, "Busy.")]
    assert (STATE.ANSWERED, "") not in seen


@pytest.mark.parametrize("name", sorted(ENDS.keys() - {"dial_callee_unregistered", "dial_no_route"}))
def test_neighbouring_events_may_change_places(name: str) -> None:
    uuid, events = recorded(name)
    extension, state, cause = ENDS[name]
    for at in range(len(events) - 1):
        swapped = [*events[:at], events[at + 1], events[at], *events[at + 2 :]]
        Dial.objects.all().delete()
        dial = after(swapped, a_dial(uuid, extension))
        assert (dial.state, dial.cause) == (state, cause), (events[at], events[at + 1])


@pytest.mark.parametrize("name", ENDS)
def test_in_any_order_the_dial_ends(name: str) -> None:
    uuid, events = recorded(name)
    for seed in range(5):
        Dial.objects.all().delete()
        shuffled = random.Random(seed).sample(events, len(events))
        dial = after(shuffled, a_dial(uuid))
        assert dial.state in {STATE.ENDED, STATE.FAILED}
        assert dial.ended_at


def test_the_end_of_the_agents_leg_may_come_before_the_callees() -> None:
    """Seen on a real switch: the sequence numbers tell that the callee's leg ended first."""
    uuid, events = recorded("dial_cancelled")
    a_end, b_end = (event for event in events if event.name == "CHANNEL_HANGUP_COMPLETE")
    assert a_end["Unique-ID"] == uuid
    assert int(a_end["Event-Sequence"]) > int(b_end["Event-Sequence"])
    assert after(events, a_dial(uuid)).cause == "Cancelled."


def test_a_callee_that_was_never_dialled_because_it_is_not_registered_is_named() -> None:
    """With voicemail as an application of its own (our dialplan), the A-leg still knows why."""
    uuid, events = recorded("dial_no_route")
    end = next(event for event in events if event.name == "CHANNEL_HANGUP_COMPLETE")
    told = {"Hangup_Cause": "NORMAL_CLEARING", "variable_originate_failed_cause": "USER_NOT_REGISTERED"}
    dial = after([*events[: events.index(end)], altered(end, **told)], a_dial(uuid))
    assert (dial.state, dial.cause) == (STATE.FAILED, "The phone is not registered.")


def test_a_menu_or_a_conference_is_no_failure() -> None:
    uuid, events = recorded("dial_no_route")
    end = next(event for event in events if event.name == "CHANNEL_HANGUP_COMPLETE")
    dial = after([*events[: events.index(end)], altered(end, Hangup_Cause="NORMAL_CLEARING")], a_dial(uuid))
    assert (dial.state, dial.cause) == (STATE.ENDED, "")


def test_hung_up_while_the_callee_rings_without_any_reason() -> None:
    uuid, events = recorded("dial_cancelled")
    end = next(event for event in events if event.name == "CHANNEL_HANGUP_COMPLETE")
    silent = altered(end, variable_originate_failed_cause="")
    assert after([*events[: events.index(end)], silent], a_dial(uuid)).cause == UNHEARD


def test_other_calls_do_not_move_it() -> None:
    uuid, _ = recorded("dial_answered")
    dial = after(events_of("internal_hold") + events_of("did"), a_dial(uuid))
    assert dial.state == STATE.SENT


def test_a_cause_of_any_length_fits() -> None:
    job = made({"Event-Name": "BACKGROUND_JOB", "Job-UUID": UNHEARD_OF}, "-ERR " + "<x>" * 1000)
    dial = after([job], a_dial(UNHEARD_OF))
    assert dial.state == STATE.FAILED
    assert len(dial.cause) == 200


def test_an_event_that_cannot_be_read_is_left_out() -> None:
    uuid, events = recorded("dial_answered")
    broken = JsonEvent(b'{"Event-Name":"CHANNEL_CREATE","Unique-ID":"x')
    mixed = itertools.chain.from_iterable((event, broken, JsonEvent(b"[]")) for event in events)
    assert after(mixed, a_dial(uuid)).state == STATE.ENDED


def test_causes_in_words() -> None:
    assert in_words("USER_BUSY") == "Busy."
    assert in_words("SOME_NEW_CAUSE") == "Some new cause."
    assert in_words("no such command!") == "no such command!"
    assert phone_in_words("1000", "SOME_NEW_CAUSE") == "Phone 1000: Some new cause."


# Several devices ring

ID = "00000000-0000-4000-8000-0000000d1a11"


def on_two_devices(name: str) -> list[Event]:
    """The recording as it is when each leg to the agent has a UUID of its own and names the dial: the other
    device rings, too, and does so a moment longer than the one that is answered."""
    uuid, events = recorded(name)
    told = []
    for event in job_of(events, ID):
        is_device = event.get("Unique-ID") == uuid and not event.get("variable_originator")
        told.append(altered(event, variable_patchbay_asked=ID) if is_device else event)
        if is_device and event.name in {"CHANNEL_CREATE", "CHANNEL_PROGRESS"}:
            told.append(altered(told[-1], Unique_ID=UNHEARD_OF))
        if is_device and event.name in {"CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE"}:
            other = altered(told[-1], Unique_ID=UNHEARD_OF, Event_Name="CHANNEL_HANGUP_COMPLETE")
            told.append(altered(other, Hangup_Cause="LOSE_RACE"))
    return told


@pytest.mark.parametrize("name", ENDS)
def test_a_dial_on_several_devices_ends_as_one_on_one_device(name: str) -> None:
    extension, state, cause = ENDS[name]
    dial = after(on_two_devices(name), a_dial(ID, extension))
    assert (dial.state, dial.cause) == (state, cause)


@pytest.mark.parametrize("remembers", [True, False], ids=["same worker", "new worker"])
def test_a_dial_on_several_devices_is_taken_up_again(remembers: bool) -> None:
    uuid, _ = recorded("dial_answered")
    stock = load("dial_answered").stock("answered")
    legs = legs_at(stock)
    legs[uuid] = replace(legs[uuid], asked=ID)
    dial, follower = a_dial(ID), Follower(SWITCH)
    if remembers:
        follower.watch(dial)
    reconnected(dial, legs, follower)
    assert dial.state == STATE.ANSWERED
    rest = load("dial_answered").events[stock.after :]
    is_mine = [event.get("Unique-ID") == uuid for event in rest]
    follower.follow(
        altered(event, variable_patchbay_asked=ID) if mine else event
        for event, mine in zip(rest, is_mine, strict=True)
    )
    dial.refresh_from_db()
    assert (dial.state, dial.cause) == (STATE.ENDED, "")
    assert not follower.answered


# The connection is lost and comes back


def legs_at(stock: Stock) -> dict[str, Leg]:
    projection = Memory(SWITCH)
    projection.take_stock(listed_channels(stock.channels), Answers(stock.dumps))
    return projection.legs


def reconnected(dial: Dial, legs: dict[str, Leg], follower: Follower | None = None) -> Follower:
    follower = follower or Follower(SWITCH)
    follower.take_stock(legs, timezone.now())
    dial.refresh_from_db()
    return follower


@pytest.mark.parametrize("remembers", [True, False], ids=["same worker", "new worker"])
def test_a_call_that_was_answered_meanwhile_is_answered(remembers: bool) -> None:
    uuid, _ = recorded("dial_answered")
    dial, follower = a_dial(uuid), Follower(SWITCH)
    if remembers:
        follower.watch(dial)
    stock = load("dial_answered").stock("answered")
    reconnected(dial, legs_at(stock), follower)
    assert dial.state == STATE.ANSWERED
    follower.follow(load("dial_answered").events[stock.after :])
    dial.refresh_from_db()
    assert (dial.state, dial.cause) == (STATE.ENDED, "")


def test_a_call_that_rings_is_shown_as_ringing() -> None:
    uuid, _ = recorded("dial_cancelled")
    dial = a_dial(uuid)
    reconnected(dial, legs_at(load("dial_cancelled").stock("ringing")))
    assert dial.state == STATE.RINGING


def test_a_call_that_is_gone_is_over_and_nobody_knows_how() -> None:
    dial = a_dial(UNHEARD_OF)
    reconnected(dial, {})
    assert (dial.state, dial.cause) == (STATE.FAILED, LOST)
    talked = a_dial("00000000-0000-4000-8000-000000000002", state=STATE.ANSWERED)
    reconnected(talked, {})
    assert (talked.state, talked.cause) == (STATE.ENDED, LOST)


def test_other_switches_dials_are_left_alone() -> None:
    dial = a_dial(UNHEARD_OF, switch="other")
    reconnected(dial, {})
    assert dial.state == STATE.SENT


def test_a_dial_that_was_sent_after_the_connection_is_not_taken_for_lost() -> None:
    dial, follower = a_dial(UNHEARD_OF), Follower(SWITCH)
    follower.take_stock({}, timezone.now() - timedelta(seconds=1))
    dial.refresh_from_db()
    assert dial.state == STATE.SENT


def test_missed_events_are_caught_up_by_the_comparison() -> None:
    uuid, events = recorded("dial_answered")
    dial, follower = a_dial(uuid), Follower(SWITCH)
    follower.watch(dial)
    follower.follow(events[:2])
    follower.compare(legs_at(load("dial_answered").stock("answered")))
    dial.refresh_from_db()
    assert dial.state == STATE.ANSWERED


def test_a_call_that_the_switch_does_not_know_twice_is_over() -> None:
    uuid, events = recorded("dial_answered")
    dial, follower = a_dial(uuid), Follower(SWITCH)
    follower.watch(dial)
    follower.compare({})
    dial.refresh_from_db()
    assert dial.state == STATE.SENT  # its end may be waiting behind the comparison
    follower.compare(played(events[:3]).legs)
    follower.compare({})
    dial.refresh_from_db()
    assert dial.state == STATE.RINGING_AGENT
    follower.compare({})
    dial.refresh_from_db()
    assert (dial.state, dial.cause) == (STATE.FAILED, LOST)


def test_a_dial_that_no_worker_took_is_given_up() -> None:
    old = timezone.now() - timedelta(seconds=13)
    waiting = a_dial(UNHEARD_OF, state=STATE.QUEUED, sent_at=None, created_at=old)
    Follower(SWITCH).compare({})
    waiting.refresh_from_db()
    assert waiting.state == STATE.FAILED
    assert "did not take the command" in waiting.cause


# PostgreSQL is away


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PostgreSQL did not take is offered again with the next occasion."""
    monkeypatch.setattr(dialling, "SAVE_PAUSE", -1.0)


@pytest.mark.usefixtures("at_once")
def test_steps_wait_for_postgresql(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    uuid, events = recorded("dial_answered")
    dial, follower = a_dial(uuid), Follower(SWITCH)
    follower.watch(dial)
    with monkeypatch.context() as away:
        away.setattr("calls.models.DialQuerySet.open", _away)
        follower.follow(events)
    dial.refresh_from_db()
    assert dial.state == STATE.SENT
    assert "wait for PostgreSQL" in caplog.text
    follower.compare({})
    dial.refresh_from_db()
    assert dial.state == STATE.ENDED
    assert not follower.unsaved


def _away(*_: object) -> None:
    raise OperationalError("server closed the connection unexpectedly")


@pytest.mark.usefixtures("at_once")
def test_what_waits_for_postgresql_counts_more_than_a_reconnection(monkeypatch: pytest.MonkeyPatch) -> None:
    uuid, events = recorded("click_to_dial_callee_busy")
    dial, follower = a_dial(uuid), Follower(SWITCH)
    follower.watch(dial)
    with monkeypatch.context() as away:
        away.setattr("calls.models.DialQuerySet.open", _away)
        follower.follow(events)
    reconnected(dial, {}, follower)
    assert (dial.state, dial.cause) == (STATE.FAILED, "Busy.")


def test_while_postgresql_is_away_the_events_do_not_wait_for_it_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uuid, events = recorded("dial_answered")
    dial, follower, attempts = a_dial(uuid), Follower(SWITCH), []
    follower.watch(dial)

    def away(*_: object) -> None:
        attempts.append(1)
        raise OperationalError("timeout expired")

    monkeypatch.setattr("calls.models.DialQuerySet.open", away)
    for event in events:
        follower.follow([event])
    assert len(attempts) == 1
