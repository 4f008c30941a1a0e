"""Who is sent on by whom, to where: transfers by phones, and by people outside (REFER)."""

import pytest

from routes.destinations import Destination
from tests.conftest import wait_until
from tests.factories import make_agent, make_gateway, make_outbound, make_route
from tests.routes.office import Office


def _talks(office: Office, uuid: str) -> None:
    wait_until(lambda: bool(office.switch.channels[uuid].partner), "the two to talk")


def _gone_out(office: Office, uuid: str, before: int = 0) -> list[tuple[str, str, str]]:
    """What went out by gateways, once the call is settled: a leg that was sent on talks or is gone."""
    wait_until(
        lambda: len(office.sent) > before or uuid not in office.switch.channels, "the transfer's outcome"
    )
    found = office.sent[before:]
    office.hang_up()
    return found


ABROAD = {"may_call_international": True, "outbound_caller_id": "+19495432022"}


@pytest.fixture
def world(office: Office) -> None:
    """Carol 2022 may call abroad and has a number of her own, Alice 2020 and Bob 2021 may not."""
    alice, carol = make_agent(2020, name="Alice"), make_agent(2022, name="Carol", **ABROAD)
    make_agent(2021, name="Bob")
    carrier = make_gateway("carrier1")
    make_outbound(carrier, order=1)
    make_outbound(carrier, order=2, match="any", toll_class="international")
    make_route(alice, did="+19495432020")
    make_route(carol, did="+19495432022", ring_seconds=9, unanswered_destination=Destination.to(alice))
    make_route(carol, did="+19495432023")
    make_route(did="+19495432029", destination=Destination("number", "+4930901820"))
    office.publish()
    office.registered("2020", "2021", "2022")


@pytest.mark.parametrize(
    ("did", "number", "sent"),
    [
        ("+19495432020", "2025550123", [("carrier1", "+12025550123", "+19495550000")]),
        ("+19495432020", "0114930901820", []),
        ("+19495432022", "0114930901820", [("carrier1", "+4930901820", "+19495432022")]),
    ],
)
@pytest.mark.usefixtures("world")
def test_a_caller_whom_a_phone_sends_on_has_the_rights_of_that_phone(
    office: Office, did: str, number: str, sent: list[object]
) -> None:
    uuid = office.switch.call_from_outside(did)
    _talks(office, uuid)
    office.switch.phones[did[-4:]].transfer(number)
    assert _gone_out(office, uuid) == sent


@pytest.mark.usefixtures("world")
def test_a_caller_is_sent_on_to_a_colleague_whatever_the_route(office: Office) -> None:
    for did in ("+19495432020", "+19495432022"):
        uuid = office.switch.call_from_outside(did)
        _talks(office, uuid)
        before = len(office.switch.phones["2021"].received)
        office.switch.phones[did[-4:]].transfer("2021")
        wait_until(lambda before=before: len(office.switch.phones["2021"].received) > before, "Bob to ring")
        office.hang_up()


@pytest.mark.usefixtures("world")
def test_a_caller_from_outside_sends_nobody_abroad(office: Office) -> None:
    for did in ("+19495432022", "+19495432023"):
        uuid = office.switch.call_from_outside(did)
        _talks(office, uuid)
        carol = office.switch.channels[uuid].partner.uuid
        office.switch.refer(uuid, "0114930901821")
        assert _gone_out(office, carol) == []
    uuid = office.switch.call_from_outside("+19495432029")
    _talks(office, uuid)
    callee = office.switch.channels[uuid].partner.uuid
    office.switch.refer(uuid, "011441632960000")
    assert _gone_out(office, callee, before=1) == []


@pytest.mark.usefixtures("world")
def test_a_callee_outside_sends_nobody_on_to_other_numbers(office: Office) -> None:
    uuid = office.switch.call_from_outside("+19495432029")
    _talks(office, uuid)
    office.switch.refer(office.switch.channels[uuid].partner.uuid, "011441632960000")
    assert _gone_out(office, uuid, before=1) == []
    uuid = office.switch.phones["2022"].place_call("0114930901820")
    _talks(office, uuid)
    office.switch.refer(office.switch.channels[uuid].partner.uuid, "011441632960000")
    assert _gone_out(office, uuid, before=2) == []


@pytest.mark.usefixtures("world")
def test_a_callee_outside_is_sent_on_with_the_rights_of_the_phone_that_called(office: Office) -> None:
    for extension, sent in (
        ("2022", [("carrier1", "+441632960000", "+19495432022")]),
        ("2020", []),
    ):
        before = len(office.sent)
        uuid = office.switch.phones[extension].place_call("2025550123")
        _talks(office, uuid)
        callee = office.switch.channels[uuid].partner.uuid
        office.switch.phones[extension].transfer("011441632960000")
        assert _gone_out(office, callee, before=before + 1) == sent
