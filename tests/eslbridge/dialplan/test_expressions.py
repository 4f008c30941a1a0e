"""Expressions mean what they mean to the switch, or are said not to be evaluable."""

import pytest

from eslbridge.dialplan.expressions import compiled


@pytest.mark.parametrize(
    ("expression", "value", "holds"),
    [
        ("^(10[01][0-9])$", "1019", True),
        ("^(10[01][0-9])$", "1020", False),
        ("00", "100", True),  # it need not match the whole
        ("^100$", "100\n", True),
        (r"^100\z", "100\n", False),
        (r"^100\Z", "100\n", True),
        ("/^abc$/i", "ABC", True),
        ("^abc$", "ABC", False),
        (r"^\d+$", "١٢٣", False),  # bytes: no other digits than 0 to 9
        ("^.{2}$", "é", True),  # two bytes
        ("^[]x]$", "]", True),
        ("^[^]x]$", "]", False),
        ("^[a&&b|]+$", "&|", True),
        (r"^[\d.]+$", "1.2", True),
        ("(?<area>949)", "1949", True),
        (r"^\x41$", "A", True),
        ("", "anything", True),
    ],
)
def test_an_expression_is_searched_as_the_switch_does(expression: str, value: str, holds: bool) -> None:
    assert (compiled(expression).search(value) is not None) == holds


@pytest.mark.parametrize(
    "expression",
    [
        "^+1949",
        "[[:digit:]]+",
        r"\Qx\E",
        r"^\K1",
        "(?R)",
        "(*ACCEPT)",
        "_NXX.",
        "/abc",
        "[abc",
        "abc\\",
        "x{,3}",
        r"\R",
    ],
)
def test_what_python_understands_in_another_way_is_not_evaluated(expression: str) -> None:
    found = compiled(expression)
    assert found.pattern is None
    assert found.problem


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("$1 XML default", "949 XML default"),
        ("${1}x", "949x"),
        ("$0", "1949543"),
        ("$12", ""),
        ("$2", "543"),
        ("${name} $$1 $x", "${name} $949 $x"),
        ("5$", "5$"),
    ],
)
def test_groups_take_the_place_of_their_numbers(text: str, becomes: str) -> None:
    found = compiled("^1(949)(543)$").search("1949543")
    assert found is not None
    assert found.substituted(text) == becomes
