"""An event and a file tell the same of a leg, whatever a caller puts into it."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from cdr.models import Leg, record
from cdr.reports import from_file, leg_of
from eslbridge.protocol.events import Event
from tests import recorded_calls
from tests.recorded_calls import altered, events_of, load

FILES = [(name, file) for name in recorded_calls.names() for file in sorted(load(name).files)]


def told_by_event(name: str, uuid: UUID) -> dict[str, Any]:
    return next(leg for event in load(name).ends() if (leg := leg_of(event, "switch-1"))["uuid"] == uuid)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_both_sources_tell_the_same(name: str, file: str) -> None:
    leg = leg_of(from_file(load(name).files[file]), "switch-1")
    assert leg == told_by_event(name, leg["uuid"])


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_file_with_encoded_values_tells_the_same(name: str, file: str) -> None:
    """`encode-values` is on unless it is set off."""
    data = load(name).files[file]
    parsed = json.loads(data.decode("utf-8", "surrogateescape"))
    for key, value in parsed["variables"].items():
        parsed["variables"][key] = quote(value.encode("utf-8", "surrogateescape"), safe="")
    encoded = json.dumps(parsed, ensure_ascii=False).encode("utf-8", "surrogateescape")
    assert leg_of(from_file(encoded), "switch-1") == leg_of(from_file(data), "switch-1")


def test_every_leg_of_a_recorded_call_has_its_file() -> None:
    for name in recorded_calls.names():
        call = load(name)
        of_files = {leg_of(from_file(data), "switch-1")["uuid"] for data in call.files.values()}
        assert of_files == {leg_of(event, "switch-1")["uuid"] for event in call.ends()}


def an_end(**headers: str) -> Event:
    return altered(load("did").ends()[-1], **headers)


LONG = "9" * 5_000
HOSTILE = [
    "\udcff\udcfe",
    "a\0b",
    LONG,
    "<script>",
    "𝕏☎" * 100,
    "%00%zz",
    "' OR 1=1; --",
    "${system(id)}",
    " ",
    "",
]
FREE = [
    *(
        "Caller-ANI",
        "Caller-Caller-ID-Name",
        "Caller-Caller-ID-Number",
        "Caller-Destination-Number",
        "Caller-RDNIS",
    ),
    *("variable_sip_req_user", "variable_patchbay_did", "variable_patchbay_dial", "variable_presence_id"),
    *(
        "variable_channel_name",
        "variable_last_app",
        "variable_hangup_cause",
        "variable_sip_hangup_disposition",
    ),
    *("variable_originator", "variable_bridge_uuid", "variable_direction", "variable_loopback_leg"),
    *("variable_start_uepoch", "variable_answer_uepoch", "variable_end_uepoch"),
]


@pytest.mark.django_db
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_header_holds_the_leg_is_stored(value: str) -> None:
    uuid = an_end()["variable_uuid"]
    for name in FREE:
        Leg.objects.all().delete()
        assert record([leg_of(an_end(**{name.replace("-", "_"): value}), "switch-1")]) == 1, name
        assert str(Leg.objects.get().uuid) == uuid


def test_a_report_without_a_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="names no channel"):
        leg_of(an_end(variable_uuid=""), "switch-1")


def test_a_channel_with_a_text_for_a_uuid_always_has_the_same_uuid() -> None:
    ends = {event["Unique-ID"]: leg_of(event, "switch-1") for event in load("odd_uuid").ends()}
    a_leg = ends.pop("my-own.id")
    (b_leg,) = ends.values()
    assert b_leg["originator"] == a_leg["uuid"] == b_leg["other"]
    again = {event["Unique-ID"]: leg_of(event, "switch-1") for event in load("odd_uuid").ends()}
    assert again["my-own.id"]["uuid"] == a_leg["uuid"]


def test_times_are_utc_and_never_is_none() -> None:
    leg = leg_of(an_end(variable_start_uepoch="1795302926213092", variable_answer_uepoch="0"), "switch-1")
    assert leg["start"] == datetime(2026, 11, 21, 23, 15, 26, 213092, UTC)
    assert leg["answer"] is None
    assert leg["billsec"] == 0


@pytest.mark.parametrize("time", ["soon", "-5", "9" * 30, str(253_402_300_800 * 10**6)])
def test_an_impossible_time_is_none(time: str) -> None:
    assert leg_of(an_end(variable_answer_uepoch=time), "switch-1")["answer"] is None


def test_a_clock_that_was_set_back_gives_no_negative_length() -> None:
    leg = leg_of(
        an_end(variable_start_uepoch="1795302926213092", variable_end_uepoch="1795302900000000"), "switch-1"
    )
    assert (leg["duration"], leg["billsec"]) == (0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"variables": {}}',
        b'{"variables": [], "callflow": [{"caller_profile": {}}]}',
        b'{"variables": {"start_stamp": 5}, "callflow": []}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"variables": {"uuid": "x',
    ],
)
def test_what_is_no_call_record_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        leg_of(from_file(data), "switch-1")


def test_a_transfer_keeps_the_number_that_was_dialled_first() -> None:
    for name, dialled in (("transfer_a", "1001"), ("park", "1001"), ("did_transfer", "5551212")):
        first = next(event for event in events_of(name) if event.name == "CHANNEL_CREATE")
        end = next(event for event in load(name).ends() if event["Unique-ID"] == first["Unique-ID"])
        assert leg_of(end, "switch-1")["destination"] == dialled
