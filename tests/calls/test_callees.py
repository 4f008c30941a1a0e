"""Whom to call: what people type, with DEFAULT_REGION, names of agents, and what is refused."""

from typing import Any

import pytest

from calls import dialling
from calls.callees import DialRefused, callee
from calls.models import Dial

from .making import SWITCH, a_dial, a_switch, an_agent, an_outbound_route

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("(949) 543-1333", "+19495431333"),
        ("949.543.1333", "+19495431333"),
        ("9495431333", "+19495431333"),
        ("19495431333", "+19495431333"),
        ("+1 949 543 1333", "+19495431333"),
        ("tel:+1-949-543-1333", "+19495431333"),
        ("callto://+19495431333", "+19495431333"),
        ("011 44 20 7946 0958", "+442079460958"),
        ("+44 20 7946 0958", "+442079460958"),
        ("\u00a0+1\u202f949\u00a0543\t1333 ", "+19495431333"),
        ("911", "911"),
        ("1021", "1021"),
        ("*98", "*98"),
        ("*98 1020", "*981020"),
        ("#1", "#1"),
    ],
)
def test_what_people_type(typed: str, number: str) -> None:
    assert callee(typed).number == number


def test_the_region_decides_what_a_number_without_country_code_means(settings: Any) -> None:
    settings.DEFAULT_REGION = "GB"
    assert callee("020 7946 0958").number == "+442079460958"
    settings.DEFAULT_REGION = "DE"
    assert callee("030/901820").number == "+4930901820"


@pytest.mark.parametrize("typed", ["12345678", "+1", "+999 12345678901", "1" * 20])
def test_a_number_of_the_wrong_length_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(DialRefused, match="with the country code"):
        callee(typed)


def test_agents_are_called_by_name() -> None:
    an_agent("1020", "O'Brien, Zoë ☎")
    an_agent("1021", "Bob")
    an_agent("1022", "Bob")
    an_agent("1023", "Gone", is_active=False)
    for typed in ("O'Brien, Zoë ☎", "o'brien, zoë ☎", "1020", "1020 O'Brien, Zoë ☎"):
        assert callee(typed).number == "1020"
    assert callee("1022 Bob").number == "1022"
    for typed, why in (
        ("Bob", "Several agents"),
        ("1020 Bob", "digits"),
        ("Nobody", "digits"),
        ("Gone", "digits"),
    ):
        with pytest.raises(DialRefused, match=why):
            callee(typed)


def command(extension: str, number: str) -> dict[str, str]:
    asked = a_dial("00000000-0000-4000-8000-000000000001", extension, number=number, state=Dial.State.QUEUED)
    found = dict(dialling.command(asked, a_switch()).variables)
    asked.delete()
    return found


def test_the_caller_id_is_set_on_both_legs(settings: Any) -> None:
    settings.DEFAULT_CALLER_ID, settings.DEFAULT_CALLER_NAME = "+15550001111", "Acme"
    an_agent("1020", "Alice", outbound_caller_id="+19495430000")
    an_agent("1021", "Bob", caller_id_name="Sales", caller_id_number="6000")
    an_outbound_route()

    sent = command("1020", "+442079460958")
    assert sent["origination_caller_id_number"] == "+442079460958"
    assert (sent["effective_caller_id_number"], sent["effective_caller_id_name"]) == ("+19495430000", "Acme")
    assert command("1021", "+442079460958")["effective_caller_id_number"] == "+15550001111"

    sent = command("1021", "1020")
    assert (sent["origination_caller_id_number"], sent["origination_caller_id_name"]) == ("1020", "Alice")
    assert (sent["effective_caller_id_number"], sent["effective_caller_id_name"]) == ("6000", "Sales")

    settings.DEFAULT_CALLER_ID = settings.DEFAULT_CALLER_NAME = ""
    assert command("1021", "+442079460958")["effective_caller_id_number"] == "6000"


def test_a_key_makes_one_call_and_never_two_different_ones(redis_client: Any, django_user_model: Any) -> None:
    a_switch()
    agent, user = an_agent(), django_user_model.objects.create_user("alice")
    first = dialling.dial(agent, "1021", user, "key-1")
    Dial.objects.update(state=Dial.State.ENDED)
    assert dialling.dial(agent, "1021", user, "key-1") == first
    with pytest.raises(DialRefused, match="was used for another call"):
        dialling.dial(agent, "1022", user, "key-1")
    assert dialling.dial(agent, "1021", user, "key-2") != first
    other = django_user_model.objects.create_user("bob")
    assert dialling.dial(agent, "1021", other, "key-1") != first
    assert redis_client.llen(f"switch.{SWITCH}") == 3
