"""Who rings for how long, what that leads to, and in which order: facts seen on a real switch."""

from pathlib import Path
from typing import Any

import pytest

from eslbridge.dialplan.steps import CannotTell, Ring, Talks
from tests.eslbridge.dialplan.making import (
    DOMAIN,
    condition,
    configured,
    file,
    outcomes,
    rule,
    steps,
    user,
    what_happens,
)

A, B, C = (f"user/{each}@{DOMAIN}" for each in (1020, 1021, 1022))


def rung(root: Path, *actions: str, files: dict[str, str] | None = None, **said: str) -> list[str]:
    return what_happens(found(root, *actions, files=files, **said))


def found(root: Path, *actions: str, files: dict[str, str] | None = None, **said: str) -> tuple[Any, ...]:
    text = rule(condition("", *actions))
    return steps(configured(root, text, **(files or {})), outcome=outcomes(**said))


SEVEN = ("set call_timeout=7", "set continue_on_fail=true")
CAUSE = "hangup ${originate_disposition}"


@pytest.mark.parametrize(
    ("target", "said", "cause"),
    [
        (A, {"_1020": "unregistered"}, "USER_NOT_REGISTERED"),
        (f"user/1999@{DOMAIN}", {}, "SUBSCRIBER_ABSENT"),
        (A, {"_1020": "busy"}, "USER_BUSY"),
        (A, {}, "NO_ANSWER"),
        ("sofia/gateway/carrier1/1555", {"carrier1": "busy"}, "USER_BUSY"),
        ("sofia/gateway/carrier1/1555", {"carrier1": "NORMAL_TEMPORARY_FAILURE"}, "NORMAL_TEMPORARY_FAILURE"),
        ("sofia/gateway/carrier1/1555", {"carrier1": "unregistered"}, "GATEWAY_DOWN"),
        ("sofia/gateway/nosuch/1555", {}, "INVALID_GATEWAY"),
        ("error/USER_BUSY", {}, "USER_BUSY"),
        (f"error/USER_BUSY,{A}", {"_1020": "unregistered"}, "USER_NOT_REGISTERED"),  # the last one's cause
        (f"{A},error/USER_BUSY", {"_1020": "unregistered"}, "USER_BUSY"),
        (f"{A},{B}", {"_1020": "busy"}, "NO_ANSWER"),
        (f"{A},{B}", {"_1020": "busy", "_1021": "unregistered"}, "USER_BUSY"),
        (f"[leg_timeout=2]{A}|[leg_timeout=2]{B}", {}, "ALLOTTED_TIMEOUT"),
        (f"[leg_timeout=2]{A},{B}", {"_1021": "busy"}, "ALLOTTED_TIMEOUT"),
        (f"{A},[leg_timeout=2]{B}", {"_1020": "busy"}, "USER_BUSY"),
        (f"[leg_timeout=2]{A}", {}, "ALLOTTED_TIMEOUT"),
        ("[leg_timeout=2]sofia/gateway/carrier1/1", {}, "ALLOTTED_TIMEOUT"),
    ],
)
def test_what_ends_a_bridge_is_left_in_originate_disposition(
    tmp_path: Path, target: str, said: dict[str, str], cause: str
) -> None:
    assert rung(tmp_path, *SEVEN, f"bridge {target}", CAUSE, **said)[-1] == f"end {cause}"


@pytest.mark.parametrize(
    "target",
    [
        f"error/USER_BUSY,{A}",
        f"user/1999@{DOMAIN},{A}",
        f"sofia/gateway/nosuch/1,{A}",
        f"error/USER_BUSY|{A}",
        f",{A}",
    ],
)
def test_what_cannot_ring_does_not_disturb_what_can(tmp_path: Path, target: str) -> None:
    happened = found(
        tmp_path, *SEVEN, "set hangup_after_bridge=true", f"bridge {target}", **{"_1020": "answer"}
    )
    assert happened[-1] == Talks("1020", goes_on=False)


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([f"bridge {A},{B}"], ["1020+1021 60"]),
        (["set call_timeout=20", f"bridge {A},{B}"], ["1020+1021 20"]),
        (["set call_timeout=20", f"bridge {A}|{B}"], ["1020 20"]),  # a time-out ends all of it
        (["set call_timeout=20", f"bridge [leg_timeout=15]{A}|[leg_timeout=15]{B}"], ["1020 15", "1021 15"]),
        (
            ["set call_timeout=20", f"bridge {{originate_continue_on_timeout=true}}{A}|{B}"],
            ["1020 20", "1021 20"],
        ),
        (["set call_timeout=16", f"bridge [leg_timeout=15]{A}|[leg_timeout=15]{B}"], ["1020 15"]),
        (["set call_timeout=15", f"bridge [leg_timeout=15]{A}|[leg_timeout=15]{B}"], ["1020 15"]),
        ([f"bridge [leg_timeout=15]{A}|[leg_timeout=10]{B}"], ["1020 15", "1021 10"]),
        ([f"bridge {{leg_timeout=15}}{A}|{B}"], ["1020 15", "1021 15"]),
        ([f"bridge {{originate_timeout=9}}{A}"], ["1020 9"]),
        (["export originate_timeout=9", f"bridge {A}"], ["1020 9"]),
        ([f"bridge [leg_timeout=15,origination_caller_id_number=7]{A},{B}"], ["1020+1021 60"]),
        (["bridge ${group_call(sales@10.0.0.5)}"], ["1021+1020 60"]),
        (["bridge group/sales@10.0.0.5"], ["1021+1020 60"]),
        (["bridge sofia/gateway/carrier1/+15551230000"], ["+15551230000 60"]),
        ([f"bridge {A}:_:{B}"], ["1020+1021 60"]),
        (["bridge ${unset}", f"bridge {A}"], ["1020 60"]),  # an empty one does nothing
    ],
)
def test_how_long_and_in_which_order(tmp_path: Path, actions: list[str], expected: list[str]) -> None:
    actions = ["set continue_on_fail=true", *actions, "hangup NORMAL_CLEARING"]
    assert rung(tmp_path, *actions) == [*expected, "end NORMAL_CLEARING"]


def test_the_own_time_of_a_user_alone_is_that_of_the_whole_if_there_is_no_other(tmp_path: Path) -> None:
    actions = ("set continue_on_fail=true", f"bridge [leg_timeout=2]{A}", CAUSE)
    assert rung(tmp_path, *actions) == ["1020 2", "end NO_ANSWER"]


def test_after_a_refusal_the_next_one_rings(tmp_path: Path) -> None:
    assert rung(tmp_path, *SEVEN, f"bridge {A}|{B}", CAUSE, _1020="busy") == [
        "1020 7",
        "1021 7",
        "end NO_ANSWER",
    ]


@pytest.mark.parametrize(
    ("setting", "said", "goes_on"),
    [
        ("", "no_answer", True),
        ("", "busy", False),
        ("true", "busy", True),
        ("false", "no_answer", False),
        ("USER_BUSY,NO_ANSWER", "busy", True),
        ("user_busy", "busy", True),
        ("17,GATEWAY_DOWN", "busy", True),
        ("NO_ANSWER", "busy", False),
        ("NO_ANSWER,17,USER_NOT_REGISTERED", "NORMAL_TEMPORARY_FAILURE", False),
    ],
)
def test_whether_it_goes_on_after_a_failure(tmp_path: Path, setting: str, said: str, goes_on: bool) -> None:
    actions = [f"set continue_on_fail={setting}", f"bridge {A}", "voicemail default 10.0.0.5 1020"]
    assert ("vm 1020" in rung(tmp_path, *actions, _1020=said)) == goes_on


def test_after_an_answer_it_goes_on_unless_told_otherwise(tmp_path: Path) -> None:
    happened = found(tmp_path, f"bridge {A}", f"bridge {B}", _1020="answer")
    assert happened[3] == Talks("1020", goes_on=True)
    assert what_happens(happened) == ["1020 60", "1021 60", "end NORMAL_CLEARING"]


def test_the_caller_id_is_the_effective_one(tmp_path: Path) -> None:
    def shown(where: str, *actions: str) -> tuple[str, str]:
        [ring] = [step for step in found(tmp_path / where, *actions) if isinstance(step, Ring)]
        return ring.caller_name, ring.caller_number

    own = ("set effective_caller_id_number=+19495431333", "set effective_caller_id_name=Sales")
    assert shown("as_it_came", f"bridge {A}") == ("Ada", "+15551230000")
    assert shown("effective", *own, f"bridge {A}") == ("Sales", "+19495431333")
    colon = ("set effective_caller_id_name=Sales: Ada",)
    assert shown("cut", *colon, f"bridge {A}")[0] == " Ada"  # as the switch cuts it for a SIP leg
    assert shown("of_the_leg", *own, f"bridge [origination_caller_id_number=7]{A}") == ("Sales", "7")


def dialled(extension: str, dial_string: str) -> dict[str, str]:
    params = f'<params><param name="dial-string" value="{dial_string}"/></params>'
    return {f"directory/default/{extension}.xml": file(f'<user id="{extension}">{params}</user>')}


def test_a_users_own_dial_string_is_followed(tmp_path: Path) -> None:
    files = dialled("1020", "sofia/gateway/carrier1/+4930")
    assert rung(tmp_path, f"bridge {A}", files=files)[0] == "+4930 60"


def test_users_that_name_one_another_end(tmp_path: Path) -> None:
    files = {**dialled("1020", B), **dialled("1021", A)}
    assert [step.what for step in found(tmp_path, f"bridge {A}", files=files) if isinstance(step, CannotTell)]


def test_a_busy_agent_is_left_out(tmp_path: Path) -> None:
    def member(extension: int) -> str:
        free = f"${{limit_usage(hash patchbay busy_{extension})}} == 0"
        return f"${{cond({free} ? user/{extension}@{DOMAIN} : error/USER_BUSY)}}"

    text = configured(tmp_path, rule(condition("", f"bridge {member(1020)},{member(1021)}")))
    assert what_happens(steps(text, usage={"patchbay_busy_1020": 1}))[0] == "1021 60"


def test_an_own_call_counts_against_the_own_limit(tmp_path: Path) -> None:
    busy = "${cond(${limit_usage(hash patchbay busy_1020)} == 0 ? user/1020@10.0.0.5 : error/USER_BUSY)}"
    own = {"directory/default/1020.xml": user("1020", execute_on_answer="limit hash patchbay busy_1020 -")}

    def call_of(where: str, *actions: str) -> list[str]:
        found = configured(tmp_path / where, rule(condition("", *actions)), "patchbay", **own)
        return what_happens(steps(found, user="1020"))

    assert call_of("unanswered", f"bridge {busy}")[0] == "1020 60"
    assert call_of("answered", "answer", f"bridge {busy}")[0] == "nobody 60"


@pytest.mark.parametrize(
    "data",
    [
        "${hash(select/x/y)}",
        "{unclosed",
        "[leg_timeout=3user/1020@10.0.0.5",
        "freetdm/1/a/555",
        "loopback/wait",
    ],
)
def test_what_cannot_be_said_of_a_dial_string_is_said(tmp_path: Path, data: str) -> None:
    assert [step for step in found(tmp_path, f"bridge {data}") if isinstance(step, CannotTell)]
