"""My phone, for an agent without other rights: logging in, what is seen, and whose it is."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis as redis_library
from django.test import Client
from django.utils import timezone

from calls.live import Projection
from calls.models import Dial
from cdr.models import Call, Leg
from eslbridge.models import Switch
from tests.recorded_calls import events_of

from .making import SWITCH, a_dial, a_switch, a_user, an_agent
from .test_views import a_call, logged_in, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def the_switch(redis_client: "redis_library.Redis") -> Switch:
    switch = a_switch()
    Projection(SWITCH).take_stock([], lambda commands: [])
    return switch


@pytest.fixture
def alice() -> Any:
    """A user with the phone 1000 and no rights."""
    user = a_user("alice", staff=False)
    an_agent("1000", "Alice", user=user)
    return user


def log_in(name: str, address: str = "/login/") -> Any:
    return Client().post(address, {"username": name, "password": "secret"})


def test_an_agent_without_rights_logs_in_and_comes_to_my_phone(alice: Any) -> None:
    assert log_in("alice")["Location"] == "/my-phone/"
    assert log_in("alice", "/login/?next=/dial/%3Fnumber%3D1021")["Location"] == "/dial/?number=1021"
    for elsewhere in ("/agents/agent/", "https://example.com/", "//example.com/", "/nosuch/"):
        assert log_in("alice", f"/login/?next={elsewhere}")["Location"] == "/my-phone/"
    client = logged_in(alice)
    assert client.get("/login/?next=/")["Location"] == "/my-phone/"
    page = client.get("/my-phone/")
    assert page.status_code == 200
    assert "1000 Alice" in text_of(page)
    assert "Gateways" not in text_of(page)


def test_staff_come_to_the_dashboard_and_strangers_are_told_what_is_missing() -> None:
    a_user("staff")
    a_user("stranger", staff=False)
    assert log_in("staff")["Location"] == "/"
    assert "neither a phone here nor rights" in text_of(log_in("stranger"))
    assert logged_in(a_user("other", staff=False)).get("/my-phone/").status_code == 302


def test_an_agent_sees_nothing_of_others(alice: Any) -> None:
    client = logged_in(alice)
    for path in ("/calls/active/", "/live/calls/", "/", "/agents/agent/", "/live/badges/"):
        assert client.get(path).status_code in {302, 403}, path
    for path in ("/my-phone/", "/live/my-phone/", "/live/my-phone/state/", "/live/my-calls/", "/dial/"):
        assert client.get(path).status_code == 200, path


def test_the_own_call_is_shown_with_its_controls(alice: Any) -> None:
    page = logged_in(alice).get("/live/my-phone/")
    assert "You are not in a call." in text_of(page)
    uuid = a_call(*events_of("internal_hold")[:12])
    page = logged_in(alice).get("/live/my-phone/")
    assert f"my-call-{uuid}" in page.content.decode()
    assert f"/calls/{uuid}/do/hold/" in page.content.decode()
    bystander = a_user("eve", staff=False)
    an_agent("1005", "Eve", user=bystander)
    assert "You are not in a call." in text_of(logged_in(bystander).get("/live/my-phone/"))


def test_that_a_page_was_closed_in_mid_dial_loses_nothing(alice: Any) -> None:
    asked = a_dial(str(uuid4()), requested_by=alice)
    a_dial(str(uuid4()), requested_by=alice, state=Dial.State.ENDED)
    a_dial(str(uuid4()), requested_by=a_user("other"))
    page = logged_in(alice).get("/live/my-phone/dials/").content.decode()
    assert page.count('class="pb-toast"') == 1
    assert f"dial-{asked.pk}" in page


def a_record(caller: str, callee: str, *, user: str, answered: bool, reached: str = "") -> None:
    start = timezone.now() - timedelta(minutes=5)
    times = {"start": start, "end": start, "duration": 0, "billsec": 0, "hangup_cause": "NONE"}
    call = Call.objects.create(
        uuid=uuid4(), switch=SWITCH, kind="inbound", caller=caller, callee=callee, reached=reached,
        answer=start if answered else None, **times,
    )  # fmt: skip
    for uuid, whose in ((call.uuid, ""), (uuid4(), user)):
        Leg.objects.create(
            uuid=uuid, call=call.uuid, switch=SWITCH, direction="outbound", caller=caller, destination=callee,
            user=whose, **times,
        )  # fmt: skip


def test_own_last_calls_and_missed_ones_with_a_button_to_call_back(alice: Any) -> None:
    a_record("+15551110000", "+19495431333", user="1000", answered=False)
    a_record("+15552220000", "+19495431333", user="1000", answered=True, reached="1000")
    a_record("+15553330000", "1000", user="1000", answered=True, reached="voicemail")
    a_record("+15554440000", "1001", user="1001", answered=False)
    page = logged_in(alice).get("/live/my-calls/").content.decode()
    missed, _, past = page.partition("Last calls")
    assert "+15551110000" in missed
    assert "+15553330000" in missed
    assert "+15552220000" not in missed
    assert all(number in past for number in ("+15551110000", "+15552220000", "+15553330000"))
    assert "+15554440000" not in page
    assert "Call +15551110000" in missed


def test_without_redis_nothing_is_claimed(alice: Any, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    page = text_of(logged_in(alice).get("/my-phone/"))
    assert "what is live is not known" in page
    assert "You are not in a call." not in page
    assert "Not registered" not in page
