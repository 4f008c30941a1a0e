"""Numbers as expressions: what they match is asked of phonenumbers, or counted."""

import re
from types import SimpleNamespace

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routes.patterns import (
    Unmatchable,
    as_e164,
    between,
    did_expression,
    emergency_expression,
    numbers_expression,
    premium_expression,
)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[str, str, str]:
    size = draw(st.integers(1, 12))
    first, last, number = (draw(st.integers(0, 10**size - 1)) for _ in range(3))
    first, last = min(first, last), max(first, last)
    return str(first).zfill(size), str(last).zfill(size), str(number).zfill(size)


@given(ranges())
def test_a_range_is_all_its_numbers_and_no_others(numbers: tuple[str, str, str]) -> None:
    first, last, number = numbers
    expression = re.compile(f"^(?:{between(first, last)})$")
    assert bool(expression.search(number)) == (first <= number <= last)
    assert expression.search(first) and expression.search(last)
    assert not expression.search(number + "0")


@pytest.mark.parametrize(("first", "last"), [("10", "9"), ("1", "10"), ("x", "y"), ("20", "10")])
def test_ends_that_are_no_range_are_refused(first: str, last: str) -> None:
    with pytest.raises(Unmatchable):
        between(first, last)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_countrys_numbers_are_its_own_and_not_its_neighbours(region: str) -> None:
    route = SimpleNamespace(match="region", country_list=[region], shortest=None, longest=None)
    expression = numbers_expression(route)
    for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
        example = phonenumbers.example_number_for_type(region, kind)
        if example and phonenumbers.region_code_for_number(example) == region:
            assert re.search(expression, digits(example)), digits(example)
    premium = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.PREMIUM_RATE)
    if premium and phonenumbers.number_type(premium) == phonenumbers.PhoneNumberType.PREMIUM_RATE:
        assert not re.search(expression, digits(premium)), digits(premium)


def digits(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def test_canada_is_not_the_united_states() -> None:
    states = numbers_expression(
        SimpleNamespace(match="region", country_list=["US"], shortest=None, longest=None)
    )
    assert re.search(states, "19495431333") and not re.search(states, "14165550123")


@pytest.mark.parametrize(
    ("region", "dialled", "number"),
    [
        ("US", "+19495431333", "19495431333"),
        ("US", "19495431333", "19495431333"),
        ("US", "9495431333", "19495431333"),
        ("US", "0114930901820", "4930901820"),
        ("US", "5431333", ""),
        ("US", "1020", ""),
        ("US", "123456", ""),
        ("DE", "030901820", "4930901820"),
        ("DE", "004930901820", "4930901820"),
        ("DE", "0019495431333", "19495431333"),
        ("DE", "901820", ""),
        ("GB", "02079460000", "442079460000"),
        ("FR", "0142685300", "33142685300"),
        ("IT", "0669821234", "390669821234"),
        ("DK", "32123456", "4532123456"),
        ("US", "*97", ""),
        ("US", "911", ""),
    ],
)
def test_what_is_dialled_is_understood_as_in_its_region(region: str, dialled: str, number: str) -> None:
    assert as_e164(dialled, region) == number


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.data())
def test_a_countrys_own_way_to_dial_is_understood(region: str, data: st.DataObject) -> None:
    kinds = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    example = phonenumbers.example_number_for_type(region, data.draw(st.sampled_from(kinds)))
    if example is None or len(digits(example)) < 9:
        return
    assert as_e164(f"+{digits(example)}", region) == digits(example)


@pytest.mark.parametrize(
    ("did", "region", "yes", "no"),
    [
        (
            "+19495431333",
            "US",
            ["+19495431333", "19495431333", "9495431333"],
            ["949543133", "29495431333", "94954313330"],
        ),
        ("+4930901820", "DE", ["+4930901820", "4930901820", "030901820"], ["30901820", "0030901820"]),
        ("+4930901820", "US", ["+4930901820", "4930901820"], ["030901820"]),
        ("+4532123456", "DK", ["+4532123456", "4532123456", "32123456"], ["2123456"]),
    ],
)
def test_a_did_matches_as_carriers_send_it(did: str, region: str, yes: list[str], no: list[str]) -> None:
    expression = did_expression(did, region)
    assert all(re.search(expression, each) for each in yes)
    assert not any(re.search(expression, each) for each in no)


@pytest.mark.parametrize(
    ("region", "numbers"),
    [("US", ["911", "112"]), ("DE", ["112", "110"]), ("GB", ["999", "112"]), ("AU", ["000"])],
)
def test_the_emergency_numbers_of_a_region(region: str, numbers: list[str]) -> None:
    assert all(re.search(emergency_expression(region), number) for number in numbers)
    assert not re.search(emergency_expression(region), "1020")


def test_premium_numbers_are_known() -> None:
    assert re.search(premium_expression("US"), "19002345678")
    assert not re.search(premium_expression("US"), "19495431333")


def prefix(prefixes: list[str], shortest: int | None = None, longest: int | None = None) -> str:
    return numbers_expression(
        SimpleNamespace(match="prefix", prefix_list=prefixes, shortest=shortest, longest=longest)
    )


def test_prefixes_and_lengths() -> None:
    assert re.search(prefix(["+1949", "1714"]), "17145551234")
    assert not re.search(prefix(["+1949"]), "17145551234")
    assert not re.search(prefix(["+1949"], 12), "19495431333")
    assert not re.search(prefix(["+1949"], None, 10), "19495431333")
    assert re.search(prefix(["+1949"], 11, 11), "19495431333")
