"""How things are said."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from eslbridge.dialplan import Names, in_words
from eslbridge.dialplan.steps import (
    Branch,
    CannotTell,
    Does,
    Hours,
    HungUp,
    LimitReached,
    Looked,
    Near,
    Refused,
    Ring,
    Step,
    Talks,
    Target,
    Voicemail,
)
from eslbridge.dialplan.tracing import Answer
from eslbridge.dialplan.words import times_in_words
from tests.eslbridge.dialplan.making import call

NAMES = Names({"1020": "Alice", "1021": "1021 Bob", "6000": "Sales"}.get, lambda number: f"<{number}>")
THEN = datetime(2026, 12, 24, 18, 5, tzinfo=ZoneInfo("Europe/Berlin"))
WEEK = (("wday", "2-6"), ("time-of-day", "09:00:00-16:59:59"))
HOLIDAY = (("year", "2026"), ("mon", "12"), ("mday", "24"))


def said(*steps: Step, user: str = "") -> list[str]:
    names = Names(lambda extension: NAMES.of(extension) or "", NAMES.number)
    return in_words(Answer(call(user=user), steps), names)


def ring(*targets: Target, cause: str = "NO_ANSWER", **fields: object) -> Ring:
    return Ring(targets, 20, "Ada", "+1555", cause, **fields)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"wday": "2-6", "time-of-day": "09:00-17:00"}, "Monday to Friday 09:00-17:00"),
        ({"wday": "2,3,4,5,6", "time-of-day": "09:00:00-16:59:59"}, "Monday to Friday 09:00-17:00"),
        ({"wday": "1,7"}, "Sunday, Saturday"),
        ({"wday": "mon-fri"}, "mon-fri"),
        ({"time-of-day": "08:00-12:00,13:00-23:59:59"}, "08:00-12:00 and 13:00-24:00"),
        ({"year": "2026", "mon": "12", "mday": "25"}, "25 December 2026"),
        ({"mon": "12", "mday": "25"}, "25 December"),
        ({"hour": "9-18"}, "hour 9-18"),
    ],
)
def test_times(times: dict[str, str], words: str) -> None:
    assert times_in_words(times) == words


@pytest.mark.parametrize(
    ("is_open", "checks", "words"),
    [
        (True, ((WEEK, True), (HOLIDAY, False)), "open (Monday to Friday 09:00-17:00)."),
        (False, ((WEEK, True), (HOLIDAY, True)), "closed (24 December 2026)."),
        (False, ((WEEK, True),), "closed (although it is Monday to Friday 09:00-17:00)."),
        (False, ((WEEK, False),), "closed."),
    ],
)
def test_hours(is_open: bool, checks: tuple, words: str) -> None:
    [sentence] = said(Hours(THEN, "Europe/Berlin", is_open, checks))
    assert sentence == f"It is Thursday 24 December 2026, 18:05 in Europe/Berlin: {words}"


def test_hours_of_hand_made_rules() -> None:
    assert said(Hours(THEN, "UTC", None, ((WEEK, True),)))[0].endswith(
        ", which is within the rule's hours (Monday to Friday 09:00-17:00)."
    )
    assert "not within the rule's hours" in said(Hours(THEN, "UTC", None, ((WEEK, False),)))[0]


def test_who_rings() -> None:
    alice, bob = Target("phone", "1020"), Target("phone", "1021", seconds=15)
    assert said(ring(alice)) == ["Rings 1020 Alice for 20 s."]
    assert said(ring(alice, bob)) == ["Rings 1020 Alice and 1021 Bob (15 s) at once for 20 s."]
    absent = Target("phone", "1022", failure="USER_NOT_REGISTERED")
    assert said(ring(alice, absent)) == ["Rings 1020 Alice for 20 s (not 1022: not registered)."]
    assert said(ring(absent)) == ["Nobody rings: 1022: not registered."]


def test_a_gateway_is_said_with_what_it_gets() -> None:
    carrier = ring(Target("gateway", "carrier1", "+1555"), limit=("patchbay_gateway_carrier1", 30))
    assert said(carrier) == [
        "Rings +1555 through gateway carrier1 for 20 s, caller ID <+1555> “Ada”, at most 30 calls at a time."
    ]


def test_what_follows_a_ring_in_vain() -> None:
    box = Voicemail("1020", "x", exists=True)
    assert said(ring(Target("phone", "1020")), box)[1] == "If nobody answers: voicemail of 1020 Alice."
    busy = ring(Target("phone", "1020"), cause="USER_BUSY")
    assert said(busy, box) == ["Rings 1020 Alice for 20 s: busy.", "Voicemail of 1020 Alice."]


def test_rounds_are_said_once() -> None:
    both = [ring(Target("phone", "1020")), ring(Target("phone", "1021"))]
    assert said(*both, *both, *both, HungUp("NO_ANSWER", "dialplan")) == [
        "Rings 3 rounds:",
        "  Rings 1020 Alice for 20 s.",
        "  Rings 1021 Bob for 20 s.",
        "If nobody answers: the call is hung up (nobody answers, NO_ANSWER).",
    ]


def test_branches_stand_below() -> None:
    branches = (
        Branch(("busy", "unregistered"), (HungUp("USER_BUSY", "dialplan"),)),
        Branch(("answer",), (Talks("1020", goes_on=True), Does("ivr", "menu"))),
    )
    assert said(ring(Target("phone", "1020"), branches=branches)) == [
        "Rings 1020 Alice for 20 s.",
        "  If busy or not registered: the call is hung up (busy, USER_BUSY).",
        "  If answered:",
        "    1020 Alice answers and they talk; when the called party hangs up:",
        "    Plays the menu menu; what the caller presses decides.",
    ]


def test_why_a_rule_does_not_apply() -> None:
    toll = Near("outbound_7", "f.xml", "${toll_allow}", "local", "(?:^|,)international(?:,|$)")
    other = Near("vip", "f.xml", "${callgroup}", "sales", "^(?:boss)$")
    late = Near("day", "f.xml", "", "", "", dict(WEEK))
    assert said(Looked("x", 5, (toll, other, late)), user="1020") == [
        "Rule outbound_7 (f.xml) does not apply: "
        "it needs the toll permission international, which 1020 Alice has not.",
        "Rule vip (f.xml) does not apply: callgroup is “sales” and does not match ^(?:boss)$.",
        "Rule day (f.xml) does not apply: not at this time (Monday to Friday 09:00-17:00).",
    ]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            Refused(403, "Not allowed: international", "CALL_REJECTED"),
            "Refused: Not allowed: international (403, CALL_REJECTED).",
        ),
        (
            HungUp("NO_ROUTE_DESTINATION", "nothing"),
            "No rule takes this call: it is hung up (no such number, NO_ROUTE_DESTINATION).",
        ),
        (
            CannotTell("what the application lua does: x.lua"),
            "Cannot tell what the application lua does: x.lua. What follows is without it.",
        ),
        (CannotTell("where it goes", stops=True), "Cannot tell where it goes."),
        (
            LimitReached("a_b", 2, "bridge", "sofia/gateway/carrier1/1"),
            "Not through gateway carrier1: 2 calls are under way there, and no more are allowed.",
        ),
        (
            Voicemail("1999", "x", exists=False),
            "Voicemail of 1999, whom the switch does not know: the caller hears an error.",
        ),
        (Does("park", ""), "Is parked until somebody takes the call."),
        (Does("three_way", "x"), "Does three_way x."),
    ],
)
def test_other_steps(step: Step, words: str) -> None:
    assert said(step) == [words]
