"""A gateway's way to the switch and away from it, with calls under way; and who has been idle the longest."""

from typing import Any

import pytest

from eslbridge.publishing.state import sync_states
from routes import idleness
from routes.destinations import Destination
from routes.switchxml import gateways as rendering
from tests.conftest import wait_until
from tests.factories import make_agent, make_gateway, make_group, make_outbound, make_route
from tests.routes.office import Office


def running(office: Office, name: str) -> str:
    """The revision that the running gateway names; empty when there is none."""
    return office.esl.api("sofia_gateway_data", f"{name} var patchbay_revision").strip()


def test_a_new_gateway_runs_and_a_changed_one_is_another(office: Office) -> None:
    gateway = make_gateway("carrier1")
    office.publish()
    before = running(office, "carrier1")
    assert before
    gateway.codecs = "PCMA"
    gateway.save()
    office.publish()
    assert running(office, "carrier1") not in {"", before}
    assert office.esl.api("sofia_gateway_data", "carrier1 var absolute_codec_string").strip() == "PCMA"
    gateway.delete()
    office.publish()
    assert running(office, "carrier1") == ""
    assert "Invalid Gateway" in office.esl.api("sofia", "status gateway carrier1")


def test_a_changed_gateway_waits_says_so_cuts_no_call_and_holds_up_nobody(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "UNREGISTER_SECONDS", 0.5)
    make_agent(2020)
    gateway = make_gateway("carrier1", registers=True, username="acct", password="secret")
    make_outbound(gateway)
    office.publish()
    office.registered("2020")
    wait_until(lambda: "\tREGED" in office.esl.api("sofia", "status gateway carrier1"), "the registration")
    office.switch.phones["2020"].place_call("2025550123")
    wait_until(lambda: len(office.switch.calls) == 1, "a call through it")
    reloads = sum("reloadxml" in command for _, command in office.switch.received)

    gateway.proxy = "127.0.0.1:5098"
    gateway.save()
    assert office.publisher.publish().waiting == 1
    state = sync_states([gateway])[gateway.pk]
    assert state.name == "pending" and "lets go of the old gateway" in state.why
    agent = make_agent(2021)
    office.publisher.publish()
    assert sync_states([agent])[agent.pk].name == "live"
    assert sync_states([gateway])[gateway.pk].name == "pending"
    office.publish()

    assert sync_states([gateway])[gateway.pk].name == "live"
    assert len(office.switch.calls) == 1
    # One for the gateway, one for the agent: waiting costs none.
    assert sum("reloadxml" in command for _, command in office.switch.received) - reloads == 2


def test_a_gateway_that_is_saved_again_while_it_waits_starts_over(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "UNREGISTER_SECONDS", 0.3)
    gateway = make_gateway("carrier1", registers=True, username="acct", password="secret")
    office.publish()
    for codecs in ("PCMA", "PCMU"):
        gateway.codecs = codecs
        gateway.save()
        assert office.publisher.publish().waiting == 1
    office.publish()
    assert office.esl.api("sofia_gateway_data", "carrier1 var absolute_codec_string").strip() == "PCMU"


def test_a_handmade_gateway_of_the_same_name_is_reported(office: Office) -> None:
    folder = office.publisher.disk.root / "sip_profiles" / "external"
    (folder / "aaa.xml").write_text(
        '<include>\n<gateway name="carrier1">\n<param name="register" value="false"/>\n</gateway>\n'
        "</include>\n"
    )
    office.esl.api("reloadxml")
    office.esl.api("sofia", "profile external rescan")
    gateway = make_gateway("carrier1")
    outcome = office.publisher.publish()
    assert "no other gateway of this name" in outcome.failed["sip_profiles/external/carrier1.xml"]
    assert sync_states([gateway])[gateway.pk].name == "failed"


def test_an_inactive_gateway_is_off_and_its_route_goes_by_the_next(office: Office) -> None:
    make_agent(2020)
    first = make_gateway("carrier1")
    make_outbound(first, second_gateway=make_gateway("carrier2"))
    office.publish()
    office.registered("2020")
    first.is_active = False
    first.save()
    office.publish()
    assert office.phone_calls("2020", "2025550123") == {"carrier2": 1}


def test_the_longest_idle_rings_first_and_the_order_stays_on_the_switch(
    office: Office, redis_client: Any
) -> None:
    people = [make_agent(number) for number in (2020, 2021, 2022)]
    group = make_group(*people, extension=6000, strategy="longest_idle")
    make_route(did="+19495431333", destination=Destination.to(group))
    office.publish()
    office.registered("2020", "2021", "2022")
    assert office.outside_calls("+19495431333") == {"2020": 1}  # no order yet: the form's

    idleness.note(office.publisher.switch, {"2020"})
    idleness.note(office.publisher.switch, {"2022"})
    idleness.put_in_order(office.publisher.switch, office.esl)
    assert office.outside_calls("+19495431333") == {"2021": 1}
    office.behave("no_answer", "2021")
    assert office.outside_calls("+19495431333") == {"2021": 1, "2020": 1}

    group.members = group.members[1:]  # others: the old order is not used
    group.save()
    office.publish()
    office.behave("answer", "2021")
    assert office.outside_calls("+19495431333") == {"2021": 1}
