"""Whole calls: DIDs with hours and failover, groups, outbound routes, transfers, limits."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from eslbridge.dialplan import Configuration, in_words, load
from eslbridge.dialplan.steps import Hours, LimitReached, Loops, Ring, Transferred
from eslbridge.simulator.conf import write_vanilla
from tests.eslbridge.dialplan.making import (
    condition,
    configured,
    context,
    explored,
    matched,
    outcomes,
    rule,
    steps,
    what_happens,
    write,
)
from tests.eslbridge.dialplan.shapes import Did, Group, Outbound, Plan

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 12, 24, 12, 0, tzinfo=BERLIN)
DID = "19495431333"


def planned(root: Path, plan: Plan) -> Configuration:
    write_vanilla(root)
    for name, text in plan.files().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return load(root)


USERS = {
    "1020": {"toll_allow": "local,domestic", "outbound_caller_id_number": "+19495430000"},
    "1021": {"toll_allow": "local"},
    "1022": {},
}
BOTH = "user/1021@127.0.0.1,user/1022@127.0.0.1"
PLAN = Plan(
    dids=(Did(DID, "user/1020@127.0.0.1", when_busy=(("voicemail", "default 127.0.0.1 1020"),)),),
    groups=(Group("6000", ((BOTH, 30),), (("transfer", "1020 XML patchbay"),)),),
    outbound=(
        Outbound("domestic", "1", "domestic", (("carrier1", 2), ("carrier2", 30))),
        Outbound("everywhere", "", "international", (("carrier1", 2),)),
    ),
    users=USERS,
    gateways=("carrier1", "carrier2"),
)


@pytest.fixture
def office(tmp_path: Path) -> Configuration:
    return planned(tmp_path, PLAN)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize("number", ["+19495431333", "19495431333", "9495431333"])
def test_a_did_rings_its_agent_then_the_group_then_the_agent_again(
    office: Configuration, number: str
) -> None:
    found = steps(office, number, at=NOON)
    assert what_happens(found) == ["1020 20", "1021+1022 30", "1020 30", "vm 1020"]
    assert matched(found) == [f"inbound_{DID}", f"next_{DID}", "group_6000", "patchbay_agents"]


@pytest.mark.parametrize("said", ["busy", "unregistered"])
def test_who_cannot_be_reached_leads_elsewhere_than_who_does_not_answer(
    office: Configuration, said: str
) -> None:
    found = steps(office, DID, outcomes(_1020=said), at=NOON)
    assert what_happens(found) == ["1020 20" if said == "busy" else "nobody 20", "vm 1020"]


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-12-24T08:59:59", False),
        ("2026-12-24T09:00:00", True),
        ("2026-12-24T17:00:00", True),
        ("2026-12-24T17:00:01", False),
        ("2026-12-26T12:00:00", False),
        ("2026-03-30T09:00:00", True),  # the day after the clock went forward
    ],
)
def test_hours_decide(office: Configuration, moment: str, is_open: bool) -> None:
    found = steps(office, DID, at=at(moment))
    assert (what_happens(found)[0] == "1020 20") == is_open
    [hours] = [step for step in found if isinstance(step, Hours)]
    assert (hours.is_open, hours.zone) == (is_open, "Europe/Berlin")


def test_holidays_and_closed_now_win_over_hours(tmp_path: Path) -> None:
    holiday = {"year": "2026", "mon": "12", "mday": "24"}
    until = int(at("2026-12-23T15:00:00").timestamp())
    did = Did(DID, "user/1020@127.0.0.1", closed_at=(holiday,), closed_until=until)
    office = planned(tmp_path, Plan(dids=(did,), users=USERS))

    def rings(moment: str) -> bool:
        return what_happens(steps(office, DID, at=at(moment)))[0] == "1020 20"

    assert not rings("2026-12-24T12:00:00")
    assert not rings("2026-12-23T14:59:59")
    assert rings("2026-12-23T15:00:00")


def test_time_passes_while_a_phone_rings(tmp_path: Path) -> None:
    """The first rings until after five; the way back to the DID finds it closed."""
    did = Did(DID, "user/1020@127.0.0.1", when_unanswered=(("transfer", f"{DID} XML public"),))
    office = planned(tmp_path, Plan(dids=(did,), users=USERS))
    assert what_happens(steps(office, DID, at=at("2026-12-24T16:59:50"))) == ["1020 20", "end USER_BUSY"]


def test_who_may_not_call_there_is_refused_with_a_reason(office: Configuration) -> None:
    found = explored(office, "15551230000", user="1021", at=NOON, caller_number="", caller_name="")
    assert what_happens(found.steps) == ["refused 403"]
    assert [near.rule for step in found.steps if hasattr(step, "near") for near in step.near] == []


def test_an_outbound_call_takes_the_next_gateway_for_the_causes_it_names(office: Configuration) -> None:
    def rung(said: str) -> list[str]:
        found = steps(office, "15551230000", outcomes(carrier1=said), user="1020", at=NOON)
        return [
            f"{ring.ringing[0].name if ring.ringing else '-'}" for ring in found if isinstance(ring, Ring)
        ]

    assert rung("unregistered") == ["-", "carrier2"]
    assert rung("NORMAL_TEMPORARY_FAILURE") == ["carrier1", "carrier2"]
    assert rung("busy") == ["carrier1"]
    assert rung("no_answer") == ["carrier1"]


def test_the_agents_caller_id_and_digits_go_out(office: Configuration) -> None:
    [ring] = [
        step
        for step in steps(office, "+15551230000", outcomes(carrier1="answer"), user="1020", at=NOON)
        if isinstance(step, Ring)
    ]
    assert (ring.ringing[0].digits, ring.caller_number) == ("15551230000", "+19495430000")
    assert ring.limit == ("patchbay_gateway_carrier1", 2)


def test_a_gateway_that_is_full_is_left_out(office: Configuration) -> None:
    found = steps(office, "15551230000", user="1020", at=NOON, usage={"patchbay_gateway_carrier1": 2})
    [full] = [step for step in found if isinstance(step, LimitReached)]
    assert (full.counter, full.most) == ("patchbay_gateway_carrier1", 2)
    assert [ring.ringing[0].name for ring in found if isinstance(ring, Ring)] == ["carrier2"]


def test_transfers_in_a_circle_are_cut_and_said(tmp_path: Path) -> None:
    rules = rule(condition('field="destination_number" expression="^100$"', "transfer 200 XML public"))
    rules += rule(condition('field="destination_number" expression="^200$"', "transfer 100 XML public"))
    found = steps(configured(tmp_path, rules))
    assert isinstance(found[-1], Loops)
    assert len([step for step in found if isinstance(step, Transferred)]) == 3


def test_groups_that_fail_over_to_one_another_are_a_circle(tmp_path: Path) -> None:
    groups = (
        Group("6000", (("user/1020@127.0.0.1", 10),), (("transfer", "6001 XML patchbay"),)),
        Group("6001", (("user/1021@127.0.0.1", 10),), (("transfer", "6000 XML patchbay"),)),
    )
    found = steps(planned(tmp_path, Plan(groups=groups, users=USERS)), "6000", context="patchbay", at=NOON)
    assert isinstance(found[-1], Loops)
    assert len(found) < 40


def test_a_rule_that_is_run_like_a_subroutine_comes_back(tmp_path: Path) -> None:
    rules = rule(
        condition(
            'field="destination_number" expression="^100$"',
            "execute_extension sub XML public",
            "bridge user/1021@10.0.0.5",
        )
    )
    rules += rule(
        condition(
            'field="destination_number" expression="^sub$"', "set call_timeout=5", "bridge user/1020@10.0.0.5"
        )
    )
    assert what_happens(steps(configured(tmp_path, rules)))[:2] == ["1020 5", "1021 5"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ["end NO_ROUTE_DESTINATION"]),
        (context(rule(condition("", "hangup USER_BUSY")), "global"), ["end USER_BUSY"]),
    ],
)
def test_a_context_that_is_not_there(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    assert what_happens(steps(load(write(tmp_path, files)), context="nowhere")) == expected


def test_limits_end_with_a_transfer_unless_told_otherwise(tmp_path: Path) -> None:
    counted = 'field="${limit_usage(hash patchbay busy_1020)}" expression="^1$"'
    other = condition(counted, "hangup USER_BUSY", "-hangup NO_ANSWER")

    def ends(where: str, *first: str) -> list[str]:
        begin = condition(
            'field="destination_number" expression="^100$"',
            *first,
            "limit hash patchbay busy_1020 -",
            "transfer 200",
        )
        return what_happens(steps(configured(tmp_path / where, rule(begin) + rule(other))))

    assert ends("released") == ["end NO_ANSWER"]
    assert ends("kept", "set limit_ignore_transfer=true") == ["end USER_BUSY"]


def test_who_is_over_a_limit_goes_where_it_says(tmp_path: Path) -> None:
    def ends(where: str, target: str) -> list[str]:
        begin = condition('field="destination_number" expression="^100$"', f"limit hash a b 1 {target}")
        other = condition('field="destination_number" expression="^(200|limit_exceeded)$"', "respond 486 $1")
        found = configured(tmp_path / where, rule(begin) + rule(other))
        return what_happens(steps(found, usage={"a_b": 1}))

    assert ends("cause", "!USER_BUSY") == ["end USER_BUSY"]
    assert ends("number", "200 XML public") == ["refused 486"]
    assert ends("unsaid", "") == ["refused 486"]


def test_branches_are_said_where_they_differ(office: Configuration) -> None:
    answer = explored(office, DID, at=NOON)
    first, group, again = answer.rings
    assert {branch.when: what_happens(branch.steps) for branch in first.branches} == {
        ("busy", "unregistered"): ["vm 1020"]
    }
    assert group.branches == ()  # all of them lead to the agent again
    assert again.branches == ()


def test_an_answer_in_sentences(office: Configuration) -> None:
    said = in_words(explored(office, DID, at=NOON))
    assert said == [
        f"The number +{DID} is a DID: rule inbound_{DID} (dialplan/public/inbound_{DID}.xml).",
        "It is Thursday 24 December 2026, 12:00 in Europe/Berlin: open (Monday to Friday 09:00-17:00).",
        "Rings 1020 for 20 s.",
        "  If busy or not registered: voicemail of 1020.",
        "If nobody answers: goes on as a call to 6000 (context patchbay).",
        "The call to 6000 is taken by rule group_6000 (dialplan/patchbay/20_group_6000.xml).",
        "Rings 1021 and 1022 at once for 30 s.",
        "If nobody answers: goes on as a call to 1020 (context patchbay).",
        "The call to 1020 is taken by rule patchbay_agents (dialplan/00_patchbay.xml).",
        "Rings 1020 for 30 s.",
        "If nobody answers: voicemail of 1020.",
    ]
