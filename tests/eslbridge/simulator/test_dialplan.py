"""The dialplan's walk through a context."""

from __future__ import annotations

import datetime
from xml.etree import ElementTree

import pytest

from eslbridge.simulator.dialplan import Caller, hunt, search
from eslbridge.simulator.expansion import expand

FRIDAY = datetime.datetime(2026, 7, 24, 10, 30)


class Somebody(Caller):
    """A caller with some fields and variables."""

    def __init__(self, **values: str):
        self.values = values
        self.matches: list[list[str]] = []

    def profile_field(self, name: str) -> str | None:
        return self.values.get(name)

    def variable(self, name: str) -> str | None:
        return self.values.get(name)

    def expand(self, text: str) -> str:
        return expand(text, self.values.get, lambda name, data: f"<{name}:{data}>")

    def set_match(self, values: list[str]) -> None:
        self.matches.append(values)

    def run_inline(self, application: str, data: str) -> None:
        name, _, value = data.partition("=")
        self.values[name] = value


def run(extensions: str, now: datetime.datetime = FRIDAY, **values: str) -> list[tuple[str, str]]:
    """The applications that a call would run."""
    context = ElementTree.fromstring(f'<context name="c">{extensions}</context>')
    caller = Somebody(**{"destination_number": "1001", **values})
    found = hunt(context, caller, caller.values["destination_number"], now)
    return found.applications if found else []


def extension(inside: str, more: str = "") -> str:
    return f'<extension name="e"{more}>{inside}</extension>'


def condition(expression: str, *actions: str, more: str = "", anti: str = "") -> str:
    inside = "".join(f'<action application="set" data="{action}"/>' for action in actions)
    inside += f'<anti-action application="set" data="{anti}"/>' if anti else ""
    return f'<condition field="destination_number" expression="{expression}"{more}>{inside}</condition>'


def data(applications: list[tuple[str, str]]) -> list[str]:
    return [one for _, one in applications]


def test_groups_of_the_match_stand_for_dollar_numbers() -> None:
    found = run(extension(condition(r"^(10)(\d\d)$", "a=$1-$2-$0-$3")))
    assert found == [("set", "a=10-01-1001-")]


def test_without_parentheses_nothing_is_put_in() -> None:
    assert run(extension(condition("^1001$", "a=$1"))) == [("set", "a=$1")]


def test_the_first_extension_that_matches_ends_the_walk_unless_it_continues() -> None:
    one, two = condition("^1001$", "a=1"), condition("^1001$", "a=2")
    assert data(run(extension(one) + extension(two))) == ["a=1"]
    assert data(run(extension(one, ' continue="true"') + extension(two))) == ["a=1", "a=2"]
    assert run(extension(condition("^9$", "a=1"))) == []


@pytest.mark.parametrize(
    ("how", "first", "expected"),
    [
        ("on-false", "^9$", []),
        ("on-false", "^1001$", ["a=1", "a=2"]),
        ("on-true", "^1001$", ["a=1"]),
        ("on-true", "^9$", ["a=2"]),
        ("always", "^1001$", ["a=1"]),
        ("always", "^9$", []),
        ("never", "^9$", ["a=2"]),
        ("never", "^1001$", ["a=1", "a=2"]),
    ],
)
def test_break_says_when_the_conditions_end(how: str, first: str, expected: list[str]) -> None:
    conditions = condition(first, "a=1", more=f' break="{how}"') + condition("^1001$", "a=2")
    assert data(run(extension(conditions))) == expected


def test_an_anti_action_runs_when_the_condition_fails() -> None:
    assert data(run(extension(condition("^9$", "a=1", anti="a=2")))) == ["a=2"]
    assert data(run(extension(condition("^1001$", "a=1", anti="a=2")))) == ["a=1"]


def test_a_field_can_be_a_variable_or_a_function() -> None:
    action = '<action application="log"/>'
    rule = f'<condition field="${{user_exists(id $1 x)}}" expression="user_exists">{action}</condition>'
    assert run(extension(rule)) == [("log", "")]
    rule = '<condition field="${colour}" expression="^red$"><action application="log" data="x"/></condition>'
    assert run(extension(rule), colour="red") == [("log", "x")]
    assert run(extension(rule)) == []


def test_inline_actions_show_in_later_conditions() -> None:
    first = '<condition><action application="set" data="colour=red" inline="true"/></condition>'
    second = '<condition field="${colour}" expression="red"><action application="answer"/></condition>'
    assert run(extension(first + second)) == [("answer", "")]


@pytest.mark.parametrize(
    ("attributes", "fits"),
    [
        ('wday="2-6"', True),
        ('wday="sat"', False),
        ('wday="mon-fri" hour="9-17"', True),
        ('hour="22-5"', False),
        ('time-of-day="09:00-10:29"', False),
        ('time-of-day="09:00-10:30"', True),
        ('mon="7" mday="20-25" year="2026"', True),
        ('minute-of-day="631"', True),
        ('date-time="2026-07-24 00:00:00~2026-07-24 23:59:59"', True),
        ('date-time="2026-07-25 00:00:00~2026-07-25 23:59:59"', False),
    ],
)
def test_conditions_on_the_time(attributes: str, fits: bool) -> None:
    rule = extension(f'<condition {attributes}><action application="answer"/></condition>')
    assert bool(run(rule)) == fits


@pytest.mark.parametrize(
    ("rule", "matching", "fits"), [("all", 1, False), ("any", 1, True), ("xor", 2, False)]
)
def test_several_expressions_in_one_condition(rule: str, matching: int, fits: bool) -> None:
    fields = ["^1001$"] * matching + ["^9$"] * (2 - matching)
    inside = "".join(f'<regex field="destination_number" expression="{one}"/>' for one in fields)
    text = extension(f'<condition regex="{rule}">{inside}<action application="answer"/></condition>')
    assert bool(run(text)) == fits


def test_conditions_within_conditions() -> None:
    inner = condition("^1", "a=2")
    outer = condition("^1001$", "a=1").replace("</condition>", inner + "</condition>")
    assert data(run(extension(outer))) == ["a=1", "a=2"]


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("_X.", "12", True),
        ("_NX", "12", False),
        ("/^SMITH$/i", "smith", True),
        ("/^SMITH$/", "smith", False),
        ("(", "(", False),
    ],
)
def test_kinds_of_expressions(expression: str, text: str, found: bool) -> None:
    assert (search(expression, text) is not None) == found
