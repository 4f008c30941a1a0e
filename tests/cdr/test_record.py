"""Legs become calls: whatever the order, however often, from however many workers."""

import itertools
import random
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from cdr.models import Call, Leg, derive, record, seconds
from cdr.reports import leg_of
from tests import recorded_calls
from tests.recorded_calls import altered, events_of

K = Call.Kind
ANSWERED, UNANSWERED, VOICEMAIL = "answered", "missed", "voicemail"

# kind, caller, callee, reached, answered, duration, billsec, cause, legs; in the order in which they began
CALLS: dict[str, list[tuple[Any, ...]]] = {
    "attended": [
        (K.INTERNAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 2),
        (K.INTERNAL, "1000", "1002", "1002", ANSWERED, 1, 1, "NORMAL_CLEARING", 2),
    ],
    "blind_transfer_and_record": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 5, 5, "NORMAL_CLEARING", 2)],
    "call_extension_to_extension_json": [
        (K.INTERNAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 2)
    ],
    "call_extension_to_extension_plain": [
        (K.INTERNAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 2)
    ],
    "call_extension_to_extension_xml": [
        (K.INTERNAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 2)
    ],
    "click_to_dial_agent_busy": [(K.INTERNAL, "1002", "1002", "", UNANSWERED, 0, 0, "USER_BUSY", 1)],
    "click_to_dial_answered": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 6, 6, "NORMAL_CLEARING", 2)],
    "click_to_dial_callee_busy": [(K.INTERNAL, "1000", "1002", "", ANSWERED, 0, 0, "USER_BUSY", 2)],
    "click_to_dial_no_answer": [(K.INTERNAL, "1003", "1003", "", UNANSWERED, 2, 0, "NO_ANSWER", 1)],
    "dial_agent_busy": [(K.CLICK_TO_DIAL, "1000", "1001", "", UNANSWERED, 0, 0, "USER_BUSY", 1)],
    "dial_agent_rejects": [(K.CLICK_TO_DIAL, "1000", "1001", "", UNANSWERED, 0, 0, "CALL_REJECTED", 1)],
    "dial_agent_unregistered": [],
    "dial_answered": [(K.CLICK_TO_DIAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 2)],
    "dial_busy_voicemail": [(K.CLICK_TO_DIAL, "1000", "1002", "voicemail", UNANSWERED, 1, 0, "USER_BUSY", 4)],
    "dial_callee_unregistered": [
        (K.CLICK_TO_DIAL, "1000", "1009", "voicemail", UNANSWERED, 1, 0, "NORMAL_CLEARING", 3)
    ],
    "dial_cancelled": [(K.CLICK_TO_DIAL, "1000", "1001", "", UNANSWERED, 0, 0, "ORIGINATOR_CANCEL", 2)],
    "dial_no_route": [(K.CLICK_TO_DIAL, "1000", "99999999", "", UNANSWERED, 12, 0, "MANAGER_REQUEST", 1)],
    "did": [(K.INBOUND, "+15557654321", "5551212", "1000", ANSWERED, 1, 1, "NORMAL_CLEARING", 2)],
    "did_hostile_name": [
        (K.INBOUND, "+15557654321", "5551212", "1000", ANSWERED, 1, 1, "NORMAL_CLEARING", 2)
    ],
    "did_transfer": [(K.INBOUND, "+15557654321", "5551212", "1000", ANSWERED, 1, 1, "NORMAL_CLEARING", 3)],
    "did_unknown": [(K.INBOUND, "+15557654321", "+19990000000", "", UNANSWERED, 0, 0, "NORMAL_CLEARING", 1)],
    "did_voicemail": [
        (K.INBOUND, "+15557654321", "+19495431333", "voicemail", VOICEMAIL, 1, 1, "NORMAL_CLEARING", 1)
    ],
    "eavesdrop": [
        (K.INTERNAL, "1000", "1001", "1001", ANSWERED, 4, 4, "NORMAL_CLEARING", 2),
        (K.INTERNAL, "1003", "1003", "", ANSWERED, 2, 2, "NORMAL_CLEARING", 1),
    ],
    "inbound_did": [
        (K.INBOUND, "+15551230000", "5551212", "voicemail", VOICEMAIL, 2, 2, "NORMAL_CLEARING", 5)
    ],
    "inbound_did_from_trunk": [
        (K.INBOUND, "+15557654321", "+19495431333", "1000", ANSWERED, 2, 2, "NORMAL_CLEARING", 2)
    ],
    "inbound_did_unknown": [
        (K.INBOUND, "+15557654321", "+19990000000", "", UNANSWERED, 0, 0, "NORMAL_CLEARING", 1)
    ],
    "internal_busy_voicemail": [
        (K.INTERNAL, "1000", "1002", "voicemail", VOICEMAIL, 1, 1, "NORMAL_CLEARING", 4)
    ],
    "internal_hold": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 2, 2, "NORMAL_CLEARING", 2)],
    "internal_ringing": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 2, 0, "NORMAL_CLEARING", 2)],
    "odd_uuid": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 0, 0, "NORMAL_CLEARING", 2)],
    "outbound": [(K.OUTBOUND, "1000", "+15550001111", "+15550001111", ANSWERED, 1, 1, "NORMAL_CLEARING", 2)],
    "park": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 3)],
    "park_and_retrieve": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 5, 5, "MANAGER_REQUEST", 3)],
    "ring_group": [(K.INTERNAL, "1000", "1002", "1002", ANSWERED, 1, 1, "NORMAL_CLEARING", 3)],
    "sendmsg_execute": [(K.INTERNAL, "1000", "1000", "", ANSWERED, 3, 3, "NORMAL_CLEARING", 1)],
    "three_way": [
        (K.INTERNAL, "1000", "1001", "1001", ANSWERED, 2, 2, "NORMAL_CLEARING", 2),
        (K.INTERNAL, "1002", "1002", "", ANSWERED, 1, 1, "MANAGER_REQUEST", 1),
    ],
    "transfer_a": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 3)],
    "transfer_both": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 1, 1, "NORMAL_CLEARING", 3)],
    "transfer_of_the_b_leg": [(K.INTERNAL, "1000", "1001", "1001", ANSWERED, 5, 5, "NORMAL_CLEARING", 3)],
}


def legs_of(name: str) -> list[dict[str, Any]]:
    ended = (event for event in events_of(name) if event.name == "CHANNEL_HANGUP_COMPLETE")
    return [leg_of(event, "switch-1") for event in ended]


def shown() -> list[tuple[Any, ...]]:
    return [
        (
            call.kind,
            call.caller,
            call.callee,
            call.reached,
            call.outcome,
            call.duration,
            call.billsec,
            call.hangup_cause,
            Leg.objects.filter(call=call.uuid).count(),
        )
        for call in Call.objects.order_by("start", "callee")
    ]


def everything() -> tuple[list[Any], list[Any]]:
    return list(Leg.objects.order_by("uuid").values()), list(Call.objects.order_by("uuid").values())


def forget() -> None:
    Leg.objects.all().delete()
    Call.objects.all().delete()


def test_every_recorded_call_has_its_expectation() -> None:
    with_ends = set(recorded_calls.every_call())
    assert with_ends == CALLS.keys()


@pytest.mark.django_db
@pytest.mark.parametrize("name", CALLS)
def test_a_recorded_call_becomes_its_record(name: str) -> None:
    legs = legs_of(name)
    assert record(legs) == len(legs)
    assert shown() == CALLS[name]
    assert record(legs) == 0
    assert shown() == CALLS[name]


@pytest.mark.django_db
@pytest.mark.parametrize("name", CALLS)
def test_the_order_of_the_legs_does_not_matter(name: str) -> None:
    legs = legs_of(name)
    orders = (
        list(itertools.permutations(legs))
        if len(legs) < 4
        else [random.sample(legs, len(legs)) for _ in range(8)]
    )
    for order in orders:
        forget()
        for leg in order:
            record([leg])
        one_by_one = everything()
        assert shown() == CALLS[name]
        forget()
        record(order)
        assert everything() == one_by_one


def a_leg(uuid: UUID | None = None, **values: Any) -> dict[str, Any]:
    start = datetime(2026, 11, 22, 12, 0, 0, 250_000, UTC)
    return {
        "uuid": uuid or uuid4(),
        "switch": "switch-1",
        "direction": "inbound",
        "originator": None,
        "other": None,
        "caller": "1000",
        "caller_name": "",
        "destination": "1001",
        "did": "",
        "dialled": "",
        "user": "1000",
        "channel": "sofia/internal/1000",
        "application": "",
        "start": start,
        "answer": None,
        "end": start + timedelta(seconds=5),
        "duration": 5,
        "billsec": 0,
        "hangup_cause": "NORMAL_CLEARING",
        "disposition": "",
        **values,
    }


def a_chain(length: int) -> list[dict[str, Any]]:
    """Legs that made one another: a call that was transferred again and again."""
    legs = [a_leg()]
    for _ in range(length - 1):
        legs.append(a_leg(direction="outbound", originator=legs[-1]["uuid"]))
    return legs


@pytest.mark.django_db
def test_a_chain_of_transfers_is_one_call_in_every_order() -> None:
    chain = a_chain(4)
    for order in itertools.permutations(chain):
        forget()
        for leg in order:
            record([leg])
        assert [call.uuid for call in Call.objects.all()] == [chain[0]["uuid"]]
        assert set(Leg.objects.values_list("call", flat=True)) == {chain[0]["uuid"]}


@pytest.mark.django_db
def test_a_b_leg_whose_a_leg_is_never_reported_is_a_call_nevertheless() -> None:
    origin = uuid4()
    record([a_leg(direction="outbound", originator=origin, user="1001", answer=a_leg()["start"])])
    (call,) = Call.objects.all()
    assert (call.uuid, call.caller, call.callee) == (origin, "1000", "1001")


@pytest.mark.django_db
def test_legs_that_name_each_other_do_not_hang_it() -> None:
    one, two = uuid4(), uuid4()
    record(
        [a_leg(one, originator=two), a_leg(two, originator=one), a_leg(three := uuid4(), originator=three)]
    )
    assert Leg.objects.count() == 3


@pytest.mark.django_db
def test_a_call_can_be_derived_again_and_goes_with_its_last_leg() -> None:
    record(legs_of("did"))
    (call,) = Call.objects.all()
    Call.objects.update(caller="x", kind=K.INTERNAL)
    derive([call.uuid])
    assert shown() == CALLS["did"]
    Leg.objects.all().delete()
    derive([call.uuid])
    assert not Call.objects.exists()


@pytest.mark.django_db
def test_a_thousand_legs_need_no_more_queries_than_two() -> None:
    def queries(legs: Iterable[dict[str, Any]]) -> int:
        with CaptureQueriesContext(
            connection,
        ) as counted:
            record(legs)
        return len(counted)

    few = queries(a_chain(2))
    chains = itertools.chain.from_iterable(a_chain(2) for _ in range(500))
    assert queries(chains) <= few
    assert Call.objects.count() == 501


# Several workers at once


def at_once(*jobs: list[list[dict[str, Any]]]) -> list[BaseException]:
    """Each list of batches in a thread and a connection of its own, all starting together."""
    start, failures = threading.Barrier(len(jobs)), []

    def work(batches: list[list[dict[str, Any]]]) -> None:
        try:
            start.wait()
            for batch in batches:
                record(batch)
        except BaseException as failure:  # noqa: BLE001 - it belongs to the test
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(batches,)) for batches in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures


@pytest.mark.django_db(transaction=True)
def test_the_same_legs_from_several_workers_at_once() -> None:
    legs = [leg for name in CALLS for leg in legs_of(name)]
    unique = {leg["uuid"]: leg for leg in legs}
    orders = [random.sample(legs, len(legs)) for _ in range(4)]
    assert at_once(*([order[at : at + 7] for at in range(0, len(order), 7)] for order in orders)) == []
    assert Leg.objects.count() == len(unique)


@pytest.mark.django_db(transaction=True)
def test_the_legs_of_one_call_from_two_workers_at_once_are_one_call() -> None:
    for _ in range(15):
        chain = a_chain(3)
        assert at_once([[chain[2]]], [[chain[0]]], [[chain[1]]]) == []
        (call,) = Call.objects.filter(uuid__in=[leg["uuid"] for leg in chain])
        assert call.uuid == chain[0]["uuid"]
        assert Leg.objects.filter(call=call.uuid).count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_fails_stores_nothing_and_blocks_nobody() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(legs_of("did"))
        raise ZeroDivisionError
    assert not Leg.objects.exists()
    record(legs_of("did"))
    assert shown() == CALLS["did"]


# Figures


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0.9, 1.1, 1), (0.0, 0.99, 0), (0.5, 60.4, 60), (5.0, 3.0, 0), (None, 3.0, 0)],
)
def test_seconds_are_counted_as_the_switch_counts_them(
    start: float | None, end: float, expected: int
) -> None:
    zero = datetime(2026, 11, 22, tzinfo=UTC)
    begin = None if start is None else zero + timedelta(seconds=start)
    assert seconds(begin, zero + timedelta(seconds=end)) == expected


@pytest.mark.parametrize("name", CALLS)
def test_duration_and_billable_seconds_of_a_leg_are_the_switchs_own(name: str) -> None:
    for event in events_of(name):
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            leg = leg_of(event, "switch-1")
            assert (leg["duration"], leg["billsec"]) == (
                int(event["variable_duration"]),
                int(event["variable_billsec"]),
            )


@pytest.mark.django_db
def test_voicemail_is_no_answer_but_who_listens_to_it_missed_nobody() -> None:
    for name in ("did_voicemail", "internal_hold", "did_unknown"):
        record(legs_of(name))
    assert set(Call.objects.answered().values_list("reached", flat=True)) == {"1001"}
    assert set(Call.objects.missed().values_list("reached", flat=True)) == {"voicemail", ""}
    forget()
    (end,) = (event for event in events_of("did_voicemail") if event.name == "CHANNEL_HANGUP_COMPLETE")
    check = altered(end, variable_current_application_data="check default 127.0.0.1 1021")
    record([leg_of(check, "switch-1")])
    assert Call.objects.get().outcome == "answered"
