"""What the tracer says and whom the simulator rings are the same: two implementations that share no code."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eslbridge.dialplan import Configuration, load, trace
from eslbridge.dialplan.steps import Loops
from eslbridge.simulator.conf import write_vanilla
from tests.eslbridge.dialplan.making import call, condition, file, outcomes, rule
from tests.eslbridge.dialplan.shapes import Actions, Did, Group, Outbound, Plan
from tests.eslbridge.dialplan.simulated import Office, compared, told
from tests.eslbridge.dialplan.test_tracing import DID, NOON, PLAN, planned

EXAMPLES = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to find a smaller example would take minutes
)


def ask(
    office: Office,
    configuration: Configuration,
    number: str,
    moment: datetime,
    said: dict[str, str],
    user: str = "",
) -> None:
    """One call in both."""
    outside = {"caller_number": "+15551230000", "caller_name": "Ada"}
    who = {"caller_number": "", "caller_name": ""} if user else outside
    steps = trace(configuration, call(number, at=moment, user=user, **who), outcomes(**said)).steps
    if not any(isinstance(step, Loops) for step in steps):  # the simulator would go round for ever
        happened, says = compared(office.call(number, user=user)), compared(told(steps))
        assert happened == says, f"{number} from {user or 'outside'}: {happened}, but it says {says}"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"1020": "busy"},
        {"1020": "unregistered"},
        {"1020": "answer"},
        {"1021": "answer", "1022": "busy"},
        {"carrier1": "NORMAL_TEMPORARY_FAILURE", "carrier2": "answer"},
    ],
)
def test_an_office_rings_as_told(tmp_path: Path, said: dict[str, str]) -> None:
    configuration = planned(tmp_path, PLAN)
    calls = ((DID, ""), ("6000", "1021"), ("15551230000", "1020"), ("15551230000", "1021"), ("4711", ""))
    with Office(tmp_path, NOON) as office:
        office.behave(said, PLAN.users)
        for number, user in calls:
            ask(office, configuration, number, NOON, said, user)


# --- random routes ---------------------------------------------------------------------------------------

AGENTS = ("1020", "1021", "1022", "1023")
GROUPS = ("6000", "6001")
CARRIERS = ("carrier1", "carrier2")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")
SECONDS = st.sampled_from((5, 10, 20))
PHONES = st.sampled_from(("answer", "busy", "no_answer", "unregistered"))
LINES = st.sampled_from(("answer", "busy", "no_answer", "NORMAL_TEMPORARY_FAILURE", "UNALLOCATED_NUMBER"))


def user(extension: str) -> str:
    return f"user/{extension}@127.0.0.1"


agents = st.sampled_from(AGENTS)
lines = st.builds(
    "sofia/gateway/{}/{}".format,
    st.sampled_from((*CARRIERS, "nosuch")),
    st.sampled_from(("+15551230000", "4930")),
)
skipped_when_busy = agents.map(
    lambda each: (
        f"${{cond(${{limit_usage(hash patchbay busy_{each})}} == 0 ? {user(each)} : error/USER_BUSY)}}"
    )
)
members = st.one_of(
    agents.map(user), lines, skipped_when_busy, st.just("error/USER_BUSY"), st.just(user("1999"))
)


def joined(delimiter: str, each: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(each, min_size=1, max_size=4, unique=True).map(delimiter.join)


in_turn = st.builds("[leg_timeout={}]{}".format, SECONDS, agents.map(user))
dial_strings = st.one_of(joined(",", members), joined("|", in_turn), joined("|", members))


def _bridged(line: str) -> Actions:
    return (("set", "call_timeout=20"), ("bridge", line), ("hangup", "${originate_disposition}"))


# Each kind of thing that a route can lead to.
destinations: st.SearchStrategy[Actions] = st.one_of(
    st.sampled_from((*GROUPS, *AGENTS)).map(lambda each: (("transfer", f"{each} XML patchbay"),)),
    agents.map(lambda each: (("answer", ""), ("voicemail", f"default 127.0.0.1 {each}"))),
    st.just((("playback", "closed.wav"), ("hangup", "NORMAL_CLEARING"))),
    st.sampled_from(("USER_BUSY", "CALL_REJECTED", "17")).map(lambda each: (("hangup", each),)),
    st.just((("respond", "486 Closed"), ("hangup", "USER_BUSY"))),
    lines.map(_bridged),
)


@st.composite
def hours(draw: st.DrawFn) -> dict[str, str]:
    first, last = draw(st.integers(0, 23)), draw(st.integers(0, 23))
    days = draw(st.sampled_from(("2-6", "1,7", "6-2", "mon-fri", "1-7")))
    return {"wday": days, "time-of-day": f"{first:02}:00-{last:02}:00"}


closed_days = st.sampled_from(({"mon": "12", "mday": "24"}, {"year": "2026", "mon": "7"}))
dids = st.builds(
    Did,
    st.just("19495431333"),
    dial_strings,
    SECONDS,
    destinations,
    destinations,
    destinations,
    st.sampled_from(ZONES),
    st.lists(hours(), max_size=3).map(tuple),
    st.lists(closed_days, max_size=1).map(tuple),
    st.sampled_from((0, 1_790_000_000)),
)
bridges = st.lists(st.tuples(dial_strings, SECONDS), min_size=1, max_size=3).map(tuple)
ways = st.lists(st.tuples(st.sampled_from(CARRIERS), st.integers(0, 2)), min_size=1, max_size=2).map(tuple)
causes = st.sampled_from(("true", "NORMAL_TEMPORARY_FAILURE,GATEWAY_DOWN", "41,17", "false"))
tolls = st.lists(st.sampled_from(("local", "domestic", "international")), unique=True).map(",".join)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    first_toll = draw(st.sampled_from(("domestic", "")))
    return Plan(
        dids=(draw(dids),),
        groups=tuple(Group(each, draw(bridges), draw(destinations)) for each in GROUPS),
        outbound=(
            Outbound("domestic", "1", first_toll, draw(ways), causes=draw(causes)),
            Outbound("everywhere", "", "international", draw(ways), causes=draw(causes)),
        ),
        users={
            each: {"toll_allow": draw(tolls), "outbound_caller_id_number": f"+1949{each}"} for each in AGENTS
        },
        gateways=CARRIERS,
    )


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """On the hour, a second after it, or in its middle: never so that it strikes while a phone rings."""
    day = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")) + timedelta(days=draw(st.integers(0, 364)))
    return day + timedelta(hours=draw(st.integers(0, 23)), seconds=draw(st.sampled_from((0, 1, 1000))))


behaviours = st.fixed_dictionaries(dict.fromkeys(AGENTS, PHONES) | dict.fromkeys(CARRIERS, LINES))


@EXAMPLES
@given(plans(), moments(), behaviours)
def test_random_routes_ring_as_told(plan: Plan, moment: datetime, said: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        configuration = planned(Path(folder), plan)
        with Office(Path(folder), moment) as office:
            office.behave(said, plan.users)
            for number in ("+19495431333", "9495431333"):
                ask(office, configuration, number, moment, said)
            callers = [each for each in AGENTS if said[each] != "unregistered"]
            for number in ("6000", "1021", "15551230000", "+4930901820", "1999") if callers else ():
                ask(office, configuration, number, moment, said, callers[0])


# --- random rules ----------------------------------------------------------------------------------------

fields = st.sampled_from(
    (
        "destination_number",
        "caller_id_name",
        "${destination_number}",
        "${x}",
        "${y:1}",
        "${x}${y}",
        "${unset}",
    )
)
expressions = st.sampled_from(
    (
        *(
            "^1",
            "^(1)(0*)$",
            "00$",
            "^$",
            "^Ada$",
            "ada",
            "/ada/i",
            "^2|^3",
            "^(?!1)",
            "[13]$",
            "^yes$",
            "^[^y]",
        ),
    )
)
times_of_day = st.sampled_from(
    (
        'hour="9-17"',
        'time-of-day="22:00-06:00"',
        'wday="2-6"',
        'mday="1-15" mon="1-6"',
        'minute-of-day="1-720"',
    )
)
breaks = st.sampled_from(("", ' break="on-true"', ' break="never"', ' break="always"', ' break="on-false"'))
deeds = st.one_of(
    st.builds("+set {}={}".format, st.sampled_from("xy"), st.sampled_from(("yes", "no", "1", "$1", "${x}1"))),
    st.builds("set {}={}".format, st.sampled_from("xy"), st.sampled_from(("yes", "no"))),
    st.sampled_from(
        ("playback a", "playback $1-$2", "playback ${x}", "-playback b", "-+set x=no", "-set y=1")
    ),
)


@st.composite
def askings(draw: st.DrawFn) -> str:
    """A condition's attributes: a field, a time, nothing."""
    asked = st.builds('field="{}" expression="{}"'.format, fields, expressions)
    return draw(st.one_of(asked, asked, asked, times_of_day, st.just(""))) + draw(breaks)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 0) -> str:
    text = condition(draw(askings()), *draw(st.lists(deeds, max_size=3)))
    inside = ""
    if draw(st.integers(0, 5)) == 0:
        several = draw(st.lists(st.tuples(fields, expressions), min_size=1, max_size=3))
        inside = "".join(f'<regex field="{name}" expression="{wanted}"/>' for name, wanted in several)
        text = condition(
            f'regex="{draw(st.sampled_from(("all", "any", "xor")))}"{draw(breaks)}', "playback r", "-set y=2"
        )
    if depth < 2 and draw(st.integers(0, 4)) == 0:
        inside += draw(conditions(depth + 1))
    return text.replace("</condition>", f"{inside}</condition>")


@st.composite
def contexts(draw: st.DrawFn) -> str:
    found = draw(
        st.lists(st.tuples(st.lists(conditions(), max_size=4), st.booleans()), min_size=1, max_size=6)
    )
    return "\n".join(
        rule("".join(inside), f"rule{number}", ' continue="true"' if goes_on else "")
        for number, (inside, goes_on) in enumerate(found)
    )


@EXAMPLES
@given(contexts(), moments())
def test_random_rules_are_met_as_told(text: str, moment: datetime) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_vanilla(root)
        (root / "dialplan/public.xml").write_text(file(f'<context name="public">\n{text}\n</context>'))
        with Office(root, moment) as office:
            for number in ("1", "100", "2003", "yes", "300"):
                ask(office, load(root), number, moment, {})
