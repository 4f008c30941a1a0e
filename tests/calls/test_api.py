"""The JSON API of calls: the same verbs, permissions and refusals as on the pages."""

from typing import Any
from uuid import uuid4

import pytest
import redis as redis_library
from django.test import Client

from calls.live import Projection
from calls.models import Command, Dial
from eslbridge.models import Switch
from tests.recorded_calls import events_of

from .making import SWITCH, a_dial, a_switch, a_user, an_agent
from .test_views import a_call, logged_in, sent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def the_switch(redis_client: "redis_library.Redis") -> Switch:
    switch = a_switch()
    Projection(SWITCH).take_stock([], lambda commands: [])
    return switch


@pytest.fixture
def alice() -> Client:
    user = a_user("alice", staff=False)
    an_agent("1000", "Alice", user=user)
    return logged_in(user)


def post(client: Client, path: str, headers: dict[str, str] | None = None, **data: Any) -> Any:
    return client.post(f"/api/v1{path}", data, content_type="application/json", headers=headers or {})


def test_who_is_not_logged_in_or_comes_from_elsewhere_is_refused(redis_client: "redis_library.Redis") -> None:
    for client in (Client(), logged_in(a_user("guest", staff=False))):
        assert post(client, "/dials", number="1021").status_code == 401
        assert client.get("/api/v1/calls").status_code == 401
    user = a_user("bob", staff=False)
    an_agent(user=user)
    strict = logged_in(user, enforce_csrf_checks=True)
    assert post(strict, "/dials", number="1021").status_code == 403
    assert sent(redis_client) == 0


def test_a_dial_and_its_key(alice: Client, redis_client: "redis_library.Redis") -> None:
    key = {"Idempotency-Key": "one"}
    first = post(alice, "/dials", key, number="1021")
    assert (first.status_code, first.json()["state"]) == (201, "queued")
    assert post(alice, "/dials", key, number="1021").json()["id"] == first.json()["id"]
    assert post(alice, "/dials", key, number="1022").status_code == 409
    assert sent(redis_client) == 1
    address = f"/api/v1/dials/{first.json()['id']}"
    assert alice.get(address).json()["number"] == "1021"
    assert alice.delete(address).status_code == 202
    assert Dial.objects.get().cause == "Cancelled."
    assert logged_in(a_user("other")).get(address).status_code == 404


@pytest.mark.parametrize(
    "number", ["1000 &system(x)", "${system(x)}", "-both x", "1\\n2", "", "+442079460958"]
)
def test_why_nothing_is_dialled(number: str, alice: Client, redis_client: "redis_library.Redis") -> None:
    answer = post(alice, "/dials", number=number)
    assert answer.status_code == 409
    assert "digits, * and # only" in answer.json()["detail"] or "No route" in answer.json()["detail"]
    assert sent(redis_client) == 0


def test_another_phone_needs_the_permission(alice: Client) -> None:
    an_agent("1021", "Bob")
    assert post(alice, "/dials", number="1022", extension="1021").status_code == 403
    boss = logged_in(a_user("boss", permissions=("dial_for_others",)))
    assert post(boss, "/dials", number="1022", extension="1021").status_code == 201
    assert "no agent 9999" in post(boss, "/dials", number="1022", extension="9999").json()["detail"]
    assert "no phone here" in post(boss, "/dials", number="1022").json()["detail"]


def test_calls_say_what_may_be_done_and_verbs_do_it(
    alice: Client, redis_client: "redis_library.Redis"
) -> None:
    uuid = a_call(*events_of("internal_hold")[:12])
    (call,) = alice.get("/api/v1/calls").json()
    assert call["uuid"] == uuid
    assert {"hold", "transfer", "hang-up"} <= set(call["verbs"])
    answer = post(alice, f"/calls/{uuid}/hold")
    assert (answer.status_code, answer.json()["words"]) == (202, "Holding…")
    assert alice.get(f"/api/v1/commands/{answer.json()['id']}").json()["state"] == "queued"
    assert post(alice, f"/calls/{uuid}/listen").status_code == 403
    assert post(alice, f"/calls/{uuid}/resume").status_code == 409
    assert post(alice, f"/calls/{uuid}/nosuch").status_code == 404
    assert post(alice, f"/calls/{uuid4()}/hold").status_code == 404
    assert "digits" in post(alice, f"/calls/{uuid}/transfer", number="${x}").json()["detail"]
    assert sent(redis_client) == Command.objects.count() == 1
    eve = a_user("eve", staff=False)
    an_agent("1005", "Eve", user=eve)
    assert logged_in(eve).get("/api/v1/calls").json() == []
    assert post(logged_in(eve), f"/calls/{uuid}/hold").status_code == 403


def test_the_description_is_there_and_needs_nothing_from_elsewhere(alice: Client) -> None:
    described = alice.get("/api/v1/openapi.json").json()["paths"]
    assert {"/api/v1/dials", "/api/v1/calls", "/api/v1/calls/{uuid}/{verb}"} <= described.keys()
    a_dial(str(uuid4()))
