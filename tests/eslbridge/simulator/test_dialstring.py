"""The small languages of originate and bridge, and what is expanded in them."""

from __future__ import annotations

import pytest

from eslbridge.simulator.dialstring import UnclosedBrace, separate, split_legs, take_variables
from eslbridge.simulator.expansion import expand


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a b c", ["a", "b", "c"]),
        ("a   b", ["a", "b"]),
        ("{n='Smith, John'}user/1 '&park()'", ["{n=Smith, John}user/1", "&park()"]),
        (r"{n='O\'Neil'}user/1 2", ["{n=O'Neil}user/1", "2"]),
        ("{n=Smith John}user/1 2", ["{n=Smith", "John}user/1", "2"]),
        ("^^:a:b", ["a", "b"]),
    ],
)
def test_arguments(text: str, parts: list[str]) -> None:
    assert separate(text, " ") == parts


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{a=1,b=2}x", {"a": "1", "b": "2"}),
        ("{a=1}{b=2}x", {"a": "1", "b": "2"}),
        (r"{a=one\, two,b=2}x", {"a": "one, two", "b": "2"}),
        ("{^^:a=1,5:b=2}x", {"a": "1,5", "b": "2"}),
        ("{a=b=c}x", {"a": "b=c"}),
        ("{lonely}x", {}),
        ("x", {}),
    ],
)
def test_variables_in_front(text: str, variables: dict[str, str]) -> None:
    assert take_variables(text, "{", "}") == (variables, "x")


def test_a_brace_that_nobody_closes() -> None:
    with pytest.raises(UnclosedBrace):
        take_variables("{a=1", "{", "}")


def test_legs_ring_together_or_one_after_another() -> None:
    groups = split_legs("[leg_timeout=5]user/1@d,user/2@d|sofia/gateway/gw/+1949")
    endpoints = [[(leg.endpoint, leg.variables) for leg in group] for group in groups]
    assert endpoints == [
        [("user/1@d", {"leg_timeout": "5"}), ("user/2@d", {})],
        [("sofia/gateway/gw/+1949", {})],
    ]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${name}", "Ada"),
        ("[${none}]", "[]"),
        ("${name:1}", "da"),
        ("${name:0:2}", "Ad"),
        ("${name:-2}", "da"),
        ("${indirect}", "Ada"),
        ("${echo(a ${name})}", "<echo|a Ada>"),
        ("${echo a b}", "<echo|a b>"),
        (r"\${name}", "${name}"),
        ("$1 and $", "$1 and $"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    variables = {"name": "Ada", "indirect": "${name}"}
    assert expand(text, variables.get, lambda name, data: f"<{name}|{data}>") == result


def test_what_a_variable_holds_is_expanded_again() -> None:
    called = []
    variables = {"caller_id_name": "${system(touch /x)}"}
    expand("x=${caller_id_name}", variables.get, lambda name, data: called.append((name, data)) or "")
    assert called == [("system", "touch /x")]
