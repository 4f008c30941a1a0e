"""Calls through the rendered dialplan: whom they ring, and what goes out."""

from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent
from calls.legs import Leg, moved
from cdr.models import Call, record
from cdr.reports import from_file, leg_of
from eslbridge.client import Client
from eslbridge.protocol.events import Event
from routes.destinations import Destination
from routes.models import Holiday, RingGroup
from tests.conftest import wait_until
from tests.factories import make_agent, make_gateway, make_group, make_hours, make_outbound, make_route
from tests.routes.office import Office

DID = "+19495431333"


@pytest.fixture
def people(office: Office) -> dict[str, Agent]:
    """Alice 2020, Bob 2021 and Carol 2022, whose phones answer at once."""
    names = {"2020": "Alice", "2021": "Bob", "2022": "Carol"}
    return {number: make_agent(number, name=name, call_group="sales") for number, name in names.items()}


def ready(office: Office) -> None:
    office.publish()
    office.registered("2020", "2021", "2022")


def to(target: Any) -> Destination:
    return Destination.to(target)


# --- inbound routes --------------------------------------------------------------------------------


@pytest.mark.parametrize("dialled", ["+19495431333", "19495431333", "9495431333"])
def test_a_did_rings_its_agent_in_every_form(office: Office, people: dict[str, Agent], dialled: str) -> None:
    make_route(people["2020"], did=DID)
    ready(office)
    assert office.outside_calls(dialled) == {"2020": 1}


def test_each_kind_of_destination(office: Office, people: dict[str, Agent]) -> None:
    carrier = make_gateway("carrier1")
    make_outbound(carrier)
    make_route(did="+19495430001", destination=to(make_group(people["2021"], people["2022"], extension=6000)))
    other = make_route(people["2022"], did="+19495430002")
    make_route(did="+19495430003", destination=to(other))
    make_route(did="+19495430004", destination=Destination("number", "+12025550123"))
    make_route(did="+19495430005", destination=Destination("voicemail", str(people["2020"].pk)))
    make_route(did="+19495430006", destination=Destination("message", "closed.wav"))
    ready(office)
    assert office.outside_calls("+19495430001") == {"2021": 1, "2022": 1}
    assert office.outside_calls("+19495430003") == {"2022": 1}
    assert office.outside_calls("+19495430004") == {"carrier1": 1}
    assert office.sent[-1] == ("carrier1", "+12025550123", "+19495550000")
    assert office.outside_calls("+19495430005") == {}
    assert office.outside_calls("+19495430006") == {}
    assert office.outside_calls("+19495439999") == {}


def test_failover_when_nobody_answers_when_busy_and_when_not_registered(
    office: Office, people: dict[str, Agent]
) -> None:
    make_route(
        people["2020"],
        did=DID,
        ring_seconds=4,
        unanswered_destination=to(people["2021"]),
        busy_destination=to(people["2022"]),
    )
    ready(office)
    assert office.outside_calls(DID) == {"2020": 1}
    office.behave("no_answer", "2020")
    assert office.outside_calls(DID) == {"2020": 1, "2021": 1}
    office.behave("busy", "2020")
    assert office.outside_calls(DID) == {"2020": 1, "2022": 1}
    office.switch.phones["2020"].unregister()
    wait_until(lambda: not office.switch.phones["2020"].registered, "the phone to be gone")
    assert office.outside_calls(DID) == {"2022": 1}


def test_only_one_failover_takes_the_agents_voicemail_for_the_other(
    office: Office, people: dict[str, Agent]
) -> None:
    make_route(people["2020"], did=DID, ring_seconds=4, busy_destination=to(people["2021"]))
    ready(office)
    office.behave("no_answer", "2020")
    office.switch.call_from_outside(DID)
    wait_until(lambda: "voicemail" in applications(office), "voicemail")


@pytest.mark.parametrize(
    ("moment", "rung"),
    [
        ("2026-12-22T08:59:59-05:00", "2021"),
        ("2026-12-22T09:00:00-05:00", "2020"),
        ("2026-12-22T16:59:59-05:00", "2020"),
        ("2026-12-22T17:00:00-05:00", "2021"),
        ("2026-12-25T12:00:00-05:00", "2021"),  # a holiday
        ("2026-12-26T12:00:00-05:00", "2021"),  # a Saturday
        ("2026-07-07T12:59:59+00:00", "2021"),  # in summer it opens at 13:00 UTC
        ("2026-07-07T13:00:00+00:00", "2020"),
        ("2026-12-26T03:30:00+00:00", "2021"),  # Friday night there, Saturday here
        ("2026-03-09T13:00:00+00:00", "2020"),  # the day after the clocks went forward
        ("2026-03-06T13:59:59+00:00", "2021"),
        ("2026-12-22T23:59:59-05:00", "2021"),
    ],
)
def test_business_hours_to_the_second(
    office: Office, people: dict[str, Agent], moment: str, rung: str
) -> None:
    hours = make_hours(time_zone="America/New_York")
    Holiday.objects.create(hours=hours, date="2026-12-25", name="Christmas")
    make_route(people["2020"], did=DID, hours=hours, closed_destination=to(people["2021"]))
    ready(office)
    office.at(moment)
    assert office.outside_calls(DID) == {rung: 1}


def test_hours_across_midnight_belong_to_the_day_they_began(office: Office, people: dict[str, Agent]) -> None:
    hours = make_hours(time_zone="Europe/Berlin", friday="22:00-02:00", saturday="")
    make_route(people["2020"], did=DID, hours=hours, closed_destination=to(people["2021"]))
    ready(office)
    for moment, rung in (("2026-12-05T01:59:59+01:00", "2020"), ("2026-12-05T02:00:00+01:00", "2021")):
        office.at(moment)
        assert office.outside_calls(DID) == {rung: 1}


def test_closed_now_opens_by_itself(office: Office, people: dict[str, Agent]) -> None:
    hours = make_hours(closed_until="2026-12-22T12:00:00+00:00")
    make_route(people["2020"], did=DID, hours=hours, closed_destination=to(people["2021"]))
    ready(office)
    office.at("2026-12-22T11:59:58+00:00")
    assert office.outside_calls(DID) == {"2021": 1}
    office.at("2026-12-22T12:00:00+00:00")
    assert office.outside_calls(DID) == {"2020": 1}


# --- ring groups -----------------------------------------------------------------------------------


def test_one_after_another_in_order_again_and_then(office: Office, people: dict[str, Agent]) -> None:
    make_group(
        people["2020"],
        people["2021"],
        extension=6000,
        strategy="in_order",
        ring_seconds=3,
        total_seconds=11,
        then=to(people["2022"]),
    )
    ready(office)
    assert office.phone_calls("2022", "6000") == {"2020": 1}
    office.behave("no_answer", "2020")
    assert office.phone_calls("2022", "6000") == {"2020": 1, "2021": 1}
    office.behave("no_answer", "2021")
    make_route(did=DID, destination=to(RingGroup.objects.get()))
    office.publish()
    assert office.outside_calls(DID) == {"2020": 2, "2021": 2, "2022": 1}


def talking(office: Office, extension: str) -> str:
    return office.esl.api("limit_usage", f"hash patchbay busy_{extension}").strip()


def test_a_member_who_talks_is_skipped(office: Office, people: dict[str, Agent]) -> None:
    make_group(people["2020"], people["2021"], extension=6000)
    make_group(people["2020"], people["2021"], extension=6001, skips_busy=False)
    for extension in ("6000", "6001"):
        make_route(did=f"+1949543{extension}", destination=to(RingGroup.objects.get(extension=extension)))
    ready(office)
    office.switch.phones["2022"].place_call("2020")
    wait_until(lambda: talking(office, "2020") == "1", "Alice to talk")
    assert talking(office, "2022") == "1"  # whoever calls is counted, too
    office.behave("busy", "2020", "2021")
    before = len(office.switch.phones["2020"].received)
    uuid = office.switch.call_from_outside("+19495436000")
    wait_until(lambda: uuid not in office.switch.channels, "the end")
    assert len(office.switch.phones["2020"].received) == before
    uuid = office.switch.call_from_outside("+19495436001")
    wait_until(lambda: uuid not in office.switch.channels, "the end")
    assert len(office.switch.phones["2020"].received) == before + 1


def test_members_see_for_whom_they_answer_and_nothing_that_a_caller_sends_is_expanded(
    office: Office, people: dict[str, Agent]
) -> None:
    group = make_group(people["2020"], extension=6000, prefix="Sales")
    make_route(did=DID, destination=to(group))
    ready(office)
    office.outside_calls(DID, name="O'Brien, Zoë")
    assert office.switch.phones["2020"].received[-1].caller_name == "Sales O'Brien, Zoë"
    for name, shown in (
        ("${system(touch /tmp/x)}", "Sales"),
        ("Joe ${system(touch /tmp/x)}", "Sales Joe "),
        ("Acme: Joe", "Sales Acme"),
        ('O"Neil', "Sales O"),
        ('O\\"Neil', "Sales O"),
        ("x" * 200, "Sales " + "x" * 60),
    ):
        office.outside_calls(DID, name=name)
        assert office.switch.phones["2020"].received[-1].caller_name == shown


def test_a_number_outside_is_a_member(office: Office, people: dict[str, Agent]) -> None:
    make_outbound(make_gateway("carrier1"))
    make_route(did=DID, destination=to(make_group(people["2020"], "+12025550123", extension=6000)))
    ready(office)
    office.behave("no_answer", "2020")
    assert office.outside_calls(DID) == {"2020": 1, "carrier1": 1}
    assert office.sent == [("carrier1", "+12025550123", "+19495550000")]


@pytest.mark.parametrize("strategy", ["at_once", "in_order", "longest_idle"])
def test_numbers_outside_are_rung_by_the_next_gateway_when_the_way_is_bad(
    office: Office, people: dict[str, Agent], strategy: str
) -> None:
    make_outbound(make_gateway("carrier1"), second_gateway=make_gateway("carrier2"))
    group = make_group(
        people["2020"],
        "+12025550123",
        "+12025550124",
        extension=6000,
        strategy=strategy,
        ring_seconds=3,
        total_seconds=9,
    )
    make_route(did=DID, destination=to(group))
    ready(office)
    office.behave("busy", "2020")
    outside = office.switch.outside
    outside.gateways = {"carrier1": "congested", "carrier2": "busy"}
    assert office.outside_calls(DID) == {"2020": 1, "carrier1": 2, "carrier2": 2}
    outside.gateways = {"carrier1": "busy"}
    assert office.outside_calls(DID) == {"2020": 1, "carrier1": 2}


def test_a_number_that_is_busy_is_not_rung_again_by_the_next_gateway(
    office: Office, people: dict[str, Agent]
) -> None:
    make_outbound(make_gateway("carrier1"), second_gateway=make_gateway("carrier2"))
    make_route(
        did=DID, destination=Destination("number", "+12025550123"), busy_destination=to(people["2020"])
    )
    ready(office)
    office.switch.outside.gateways["carrier1"] = "busy"
    assert office.outside_calls(DID) == {"carrier1": 1, "2020": 1}
    office.switch.outside.gateways["carrier1"] = "congested"
    assert office.outside_calls(DID) == {"carrier1": 1, "carrier2": 1}


def test_a_change_of_members_while_the_group_rings_is_for_the_next_call(
    office: Office, people: dict[str, Agent]
) -> None:
    group = make_group(people["2020"], extension=6000, total_seconds=60, ring_seconds=60)
    make_route(did=DID, destination=to(group))
    ready(office)
    office.behave("no_answer", "2020")
    uuid = office.switch.call_from_outside(DID)
    wait_until(lambda: len(office.switch.phones["2020"].received) == 1, "the first member to ring")
    group.members = [to(people["2021"])]
    group.save()
    office.publish()
    assert uuid in office.switch.channels
    office.hang_up()
    assert office.outside_calls(DID) == {"2021": 1}


# --- outbound routes -------------------------------------------------------------------------------


def test_digits_caller_id_and_permission(office: Office, people: dict[str, Agent]) -> None:
    Agent.objects.filter(extension="2020").update(outbound_caller_id="+19495431333")
    Agent.objects.filter(extension="2022").update(may_call_international=True)
    carrier = make_gateway("carrier1")
    make_outbound(carrier, order=1, name="domestic")
    make_outbound(carrier, order=2, name="world", match="any", toll_class="international", prepend="00")
    ready(office)
    assert office.phone_calls("2020", "9495551234") == {"carrier1": 1}
    assert office.phone_calls("2021", "0114930901820") == {}
    assert office.switch.phones["2021"].told[-1] == "403 Not allowed: international"
    assert office.phone_calls("2022", "0114930901820") == {"carrier1": 1}
    assert office.sent == [
        ("carrier1", "+19495551234", "+19495431333"),
        ("carrier1", "004930901820", "+19495550000"),
    ]


def test_the_record_says_which_gateway_and_why_not(
    office: Office, people: dict[str, Agent], settings: Any
) -> None:
    make_outbound(make_gateway("carrier1"))
    ready(office)
    office.phone_calls("2020", "2025550123")
    office.phone_calls("2020", "0114930901820")
    folder = Path(settings.FS_CDR_DIR)
    wait_until(lambda: len(list(folder.glob("*.json"))) == 3, "the records")
    record(leg_of(from_file(file.read_bytes()), "switch-1") for file in folder.glob("*.json"))
    called, refused = Call.objects.order_by("start")
    assert (called.kind, called.gateway, called.refused) == ("outbound", "carrier1", "")
    assert (refused.kind, refused.gateway, refused.refused) == ("outbound", "", "No route for this number")


def test_a_number_that_no_route_takes_is_refused_with_the_reason(
    office: Office, people: dict[str, Agent]
) -> None:
    make_outbound(make_gateway("carrier1"), prefixes="+1949")
    ready(office)
    for number, reason in (
        ("2025550123", "404 No route for this number"),
        ("0114930901820", "404 No route for this number"),
        ("19002345678", "403 Not allowed: premium"),
    ):
        assert office.phone_calls("2020", number) == {}
        assert office.switch.phones["2020"].told[-1] == reason


def test_only_for_some_call_groups(office: Office, people: dict[str, Agent]) -> None:
    Agent.objects.filter(extension="2021").update(call_group="support")
    make_outbound(make_gateway("carrier1"), call_groups="sales, boss")
    ready(office)
    assert office.phone_calls("2020", "2025550123") == {"carrier1": 1}
    assert office.phone_calls("2021", "2025550123") == {}
    assert office.switch.phones["2021"].told[-1] == "403 Not allowed: other call groups only"


def test_routes_have_hours_and_the_next_one_takes_over(office: Office, people: dict[str, Agent]) -> None:
    hours = make_hours()
    make_outbound(make_gateway("day"), order=1, hours=hours)
    make_outbound(make_gateway("night"), order=2)
    ready(office)
    office.at("2026-12-22T12:00:00+00:00")
    assert office.phone_calls("2020", "2025550123") == {"day": 1}
    office.at("2026-12-22T18:00:00+00:00")
    assert office.phone_calls("2020", "2025550123") == {"night": 1}


def test_a_route_that_is_closed_says_so(office: Office, people: dict[str, Agent]) -> None:
    make_outbound(make_gateway("day"), hours=make_hours())
    ready(office)
    office.at("2026-12-22T18:00:00+00:00")
    assert office.phone_calls("2020", "2025550123") == {}
    assert office.switch.phones["2020"].told[-1] == "403 Not allowed: outside business hours"


@pytest.mark.parametrize(
    ("first", "rung"),
    [
        ("congested", {"carrier1": 1, "carrier2": 1}),
        ("unreachable", {"carrier1": 1, "carrier2": 1}),
        ("offline", {"carrier1": 1, "carrier2": 1}),
        ("busy", {"carrier1": 1}),
        ("no_answer", {"carrier1": 1}),
    ],
)
def test_the_next_gateway_is_tried_when_the_way_is_bad_not_the_callee(
    office: Office, people: dict[str, Agent], first: str, rung: dict[str, int]
) -> None:
    make_outbound(make_gateway("carrier1"), second_gateway=make_gateway("carrier2"))
    ready(office)
    office.switch.outside.gateways["carrier1"] = first
    assert office.phone_calls("2020", "2025550123") == rung


def test_a_gateway_at_its_limit_is_passed_over(office: Office, people: dict[str, Agent]) -> None:
    make_outbound(make_gateway("carrier1", most_calls=1), second_gateway=make_gateway("carrier2"))
    ready(office)
    office.switch.phones["2021"].place_call("2025550199")
    wait_until(
        lambda: office.esl.api("limit_usage", "hash patchbay gateway_carrier1").strip() == "1", "a call"
    )
    before = len(office.sent)
    office.switch.phones["2020"].place_call("2025550123")
    wait_until(lambda: len(office.sent) > before, "the second call")
    assert office.sent[-1][0] == "carrier2"


def test_when_every_gateway_is_full_the_caller_hears_it(office: Office, people: dict[str, Agent]) -> None:
    make_outbound(make_gateway("carrier1", most_calls=1))
    ready(office)
    office.switch.phones["2021"].place_call("2025550199")
    wait_until(
        lambda: office.esl.api("limit_usage", "hash patchbay gateway_carrier1").strip() == "1", "a call"
    )
    office.switch.phones["2020"].place_call("2025550123")
    wait_until(lambda: office.switch.phones["2020"].told, "the refusal")
    assert office.switch.phones["2020"].told[-1].startswith("503")


def test_emergency_calls_go_first_for_everybody_by_every_gateway(
    office: Office, people: dict[str, Agent], settings: Any
) -> None:
    settings.EMERGENCY_CALLER_ID = "+19495550911"
    Agent.objects.filter(extension="2020").update(may_call_local=False, may_call_domestic=False)
    make_outbound(make_gateway("carrier1", most_calls=1), call_groups="nobody")
    make_outbound(make_gateway("carrier2"), toll_class="emergency")
    ready(office)
    office.switch.outside.gateways["carrier2"] = "congested"
    assert office.phone_calls("2020", "911") == {"carrier2": 1, "carrier1": 1}
    assert office.sent == [("carrier2", "911", "+19495550911"), ("carrier1", "911", "+19495550911")]


def test_without_a_gateway_an_emergency_call_says_so(office: Office, people: dict[str, Agent]) -> None:
    ready(office)
    assert office.phone_calls("2020", "911") == {}
    assert office.switch.phones["2020"].told[-1] == "503 No gateway for emergency calls"


def test_a_vanilla_extension_without_a_user_is_refused_not_answered(
    office: Office, people: dict[str, Agent]
) -> None:
    agent = make_agent(1015)
    ready(office)
    office.registered("1015")
    assert office.phone_calls("2020", "1015") == {"1015": 1}
    agent.deactivate()
    office.publish()
    assert office.phone_calls("2020", "1015") == {}
    assert office.switch.phones["2020"].told[-1].startswith("404")


def test_an_agent_who_is_gone_is_refused_also_where_the_switch_has_a_conference_of_that_number(
    office: Office, people: dict[str, Agent]
) -> None:
    agent = make_agent(3001)
    ready(office)
    office.registered("3001")
    assert office.phone_calls("2020", "3001") == {"3001": 1}
    agent.deactivate()
    office.publish()
    office.switch.restart()
    office.registered("2020")
    wait_until(lambda: office.esl.is_connected, "the link to be back")
    assert office.phone_calls("2020", "3001") == {}
    assert office.switch.phones["2020"].told[-1].startswith("404")
    agent.activate()
    office.publish()
    office.registered("3001")
    assert office.phone_calls("2020", "3001") == {"3001": 1}
    office.switch.phones["2020"].place_call("3002")  # never an agent's: the switch's own
    wait_until(lambda: "conference" in applications(office), "the conference")


def test_feature_codes_still_reach_the_switchs_own_dialplan(office: Office, people: dict[str, Agent]) -> None:
    ready(office)
    office.switch.phones["2020"].place_call("9196")
    wait_until(lambda: "echo" in applications(office), "the echo")


def applications(office: Office) -> set[str]:
    """What the switch has run for those who are in a call; what runs now may be a hook beside it."""
    return {name for channel in list(office.switch.channels.values()) for name, *_ in list(channel.app_log)}


def test_the_event_of_the_answer_says_that_a_machine_answered(
    office: Office, people: dict[str, Agent]
) -> None:
    make_route(did=DID, destination=Destination("voicemail", str(people["2020"].pk)))
    make_route(people["2021"], did="+19495430002")
    ready(office)
    answers: list[Leg] = []

    def told(events: list[Event]) -> None:
        answers.extend(moved(None, event, "switch-1") for event in events)

    with Client("127.0.0.1", office.switch.esl_port, "ClueCon", on_events=told) as listener:
        listener.connect()
        listener.subscribe("CHANNEL_ANSWER")
        office.outside_calls(DID)
        wait_until(lambda: answers, "the answer")
        assert answers[0].is_in_voicemail
        answers.clear()
        office.outside_calls("+19495430002")
        wait_until(lambda: answers, "the answer")
        assert not any(leg.is_in_voicemail for leg in answers)
