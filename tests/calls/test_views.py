"""The pages and buttons of calls: who may press them, what is refused, and that nothing is sent then."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
import redis as redis_library
from celery import current_app
from django.db import connection
from django.test import Client
from django.utils import timezone
from kombu.pools import ProducerPool

from agents import presence
from agents.models import Agent
from calls import dialling
from calls.dialling import DialRefused
from calls.live import Projection
from calls.models import Dial, DialQuerySet
from eslbridge.models import Switch
from tests.recorded_calls import altered, events_of

from .making import SWITCH, a_dial, a_switch, a_user, an_agent, an_outbound_route

pytestmark = pytest.mark.django_db

SEE, HANG_UP, FOR_OTHERS = "view_active_calls", "hang_up_calls", "dial_for_others"


@pytest.fixture(autouse=True)
def the_switch(redis_client: "redis_library.Redis") -> Switch:
    """A connected switch on which nobody talks."""
    switch = a_switch()
    Projection(SWITCH).take_stock([], lambda commands: [])
    return switch


def sent(redis_client: "redis_library.Redis") -> int:
    """Commands that wait for the switch's worker."""
    return redis_client.llen(f"switch.{SWITCH}")


def logged_in(user: Any, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def press(client: Client, path: str, **data: str) -> Any:
    """What a button on a page does."""
    return client.post(path, data, headers={"HX-Request": "true"})


# Dialling


def test_ones_own_phone_dials(redis_client: "redis_library.Redis") -> None:
    an_outbound_route()
    user = a_user()
    an_agent(user=user)
    response = press(logged_in(user), "/dial/", number="(949)\u00a0543\t1333")
    asked = Dial.objects.get()
    assert (asked.extension, asked.number, asked.requested_by) == ("1020", "+19495431333", user)
    assert sent(redis_client) == 1
    assert f"dial-{asked.pk}" in response.content.decode()


HOSTILE = [
    "system:touch x inline",
    "1000 &system(x)",
    "&system(x)",
    "${system(x)}",
    "$${domain}",
    "-both x",
    "1000\nexit",
    "1000\r\n\r\napi system x",
    "1000\x0bexit",
    "1000\x1c2000",
    "1000\u2028exit",
    "1000\x00",
    "10,execute_on_answer=system",
    "1000}",
    "{a=b}1000",
    "[a=b]1000",
    "1000|1001",
    "'1000'",
    '"1000"',
    "user/1000",
    "1000 XML default",
    "１０２１",
    "١٠٢١",
    "1²",
    "++1",
    "",
    " ",
    "9" * 40,
    "<script>",
    "sip:1000@example.com",
]


@pytest.mark.parametrize("number", HOSTILE)
def test_what_is_no_number_is_refused_before_anything_is_sent(
    number: str, redis_client: "redis_library.Redis"
) -> None:
    user = a_user()
    an_agent(user=user)
    response = press(logged_in(user), "/dial/", number=number)
    assert "digits, * and # only" in text_of(response) or "1000 XML" in number
    assert not Dial.objects.exists()
    assert sent(redis_client) == 0
    assert "<script>" not in response.content.decode()


@pytest.mark.parametrize("number", ["1021", "+19495431333", "*98", "#1", "1000"])
def test_what_is_a_number_is_sent(number: str, redis_client: "redis_library.Redis") -> None:
    an_outbound_route()
    asked = dialling.dial(an_agent(), number, None)
    assert asked.number == number
    assert sent(redis_client) == 1


@pytest.mark.parametrize(
    ("toll", "number", "why"),
    [
        ("international", "+442079460958", "Not allowed: international"),
        ("premium", "+1 900 555 1234", "Not allowed: premium"),
        ("domestic", "9495431333", ""),
    ],
)
def test_a_number_outside_is_judged_by_the_outbound_routes(
    toll: str, number: str, why: str, redis_client: "redis_library.Redis"
) -> None:
    user = a_user()
    an_agent(user=user)
    client = logged_in(user)
    assert "No route for this number" in text_of(press(client, "/dial/", number=number))
    an_outbound_route(toll_class=toll)
    response = press(client, "/dial/", number=number)
    assert why in text_of(response)
    assert sent(redis_client) == (0 if why else 1)


def test_two_clicks_are_one_call(redis_client: "redis_library.Redis") -> None:
    user = a_user()
    an_agent(user=user)
    client = logged_in(user)
    press(client, "/dial/", number="1021")
    second = press(client, "/dial/", number="1021")
    assert Dial.objects.count() == sent(redis_client) == 1
    assert f"dial-{Dial.objects.get().pk}" in second.content.decode()
    press(client, "/dial/", number="1022")
    assert sent(redis_client) == 2


@pytest.mark.django_db(transaction=True)
def test_two_clicks_in_the_same_instant_are_one_call(
    redis_client: "redis_library.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, user, asked, both_look = an_agent(), a_user(), [], threading.Barrier(2)
    look = DialQuerySet.since

    def look_together(dials: DialQuerySet, age: timedelta) -> DialQuerySet:
        with suppress(threading.BrokenBarrierError):  # the other one waits for the lock instead
            both_look.wait(0.5)
        return look(dials, age)

    monkeypatch.setattr(DialQuerySet, "since", look_together)

    start = threading.Barrier(2)

    def click() -> None:
        connection.ensure_connection()
        start.wait(10)
        asked.append(dialling.dial(agent, "1021", user).pk)
        connection.close()

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(asked) == 2
    assert len(set(asked)) == Dial.objects.count() == sent(redis_client) == 1


def test_the_switch_is_asked_where_the_agents_phone_is(redis_client: "redis_library.Redis") -> None:
    a_switch(name="a-first")
    other = a_switch(name="z-other")
    device = presence.Device("1020", "sip:1020@127.0.0.1", "phone", "udp", "127.0.0.1:5060", 0, 9e9)
    redis_client.hset(presence._key(other.name), device.user, orjson.dumps([asdict(device)]))
    assert dialling.dial(an_agent(), "1021", None).switch == "z-other"
    assert redis_client.llen("switch.z-other") == 1
    a_switch(name="z-other", link=Switch.Link.LOST)
    assert dialling.dial(Agent.objects.get(), "1022", None).switch == "a-first"


def test_the_same_number_may_be_dialled_again_later_and_after_the_end(
    redis_client: "redis_library.Redis",
) -> None:
    agent = an_agent()
    first = dialling.dial(agent, "1021", None)
    dialling.fail(first, "Busy.")
    assert dialling.dial(agent, "1021", None) != first
    Dial.objects.update(created_at=timezone.now() - timedelta(seconds=dialling.TWICE_SECONDS + 1))
    dialling.dial(agent, "1021", None)
    assert sent(redis_client) == 3


def test_two_users_may_dial_the_same_number_with_the_same_phone() -> None:
    agent, one, two = an_agent(), a_user("one"), a_user("two")
    assert dialling.dial(agent, "1021", one) != dialling.dial(agent, "1021", two)


def test_another_agents_phone_needs_the_permission(redis_client: "redis_library.Redis") -> None:
    an_agent("1020", user=(user := a_user()))
    an_agent("1021", "Bob")
    client = logged_in(user)
    assert press(client, "/dial/", number="1022", extension="1021").status_code == 403
    assert sent(redis_client) == 0
    boss = logged_in(a_user("boss", permissions=(FOR_OTHERS,)))
    press(boss, "/dial/", number="1022", extension="1021")
    assert Dial.objects.get().extension == "1021"
    assert "no agent 9999" in text_of(press(boss, "/dial/", number="1022", extension="9999"))
    assert "no agent" in text_of(press(boss, "/dial/", number="1022", extension="<script>" * 10))


def test_who_has_no_phone_is_told_what_to_do(redis_client: "redis_library.Redis") -> None:
    response = press(logged_in(a_user()), "/dial/", number="1021")
    assert "You have no phone here" in text_of(response)
    assert sent(redis_client) == 0


def test_an_inactive_agent_and_oneself_are_not_dialled(redis_client: "redis_library.Redis") -> None:
    agent = an_agent(is_active=False)
    with pytest.raises(DialRefused, match="is not active"):
        dialling.dial(agent, "1021", None)
    with pytest.raises(DialRefused, match="is the phone that would ring"):
        dialling.dial(an_agent("1021"), "1021", None)
    assert sent(redis_client) == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"link": Switch.Link.LOST, "reason": "Connection refused"}, "The switch does not answer"),
        ({"link": Switch.Link.REFUSED}, "password"),
        ({"seen_at": timezone.now() - timedelta(minutes=1)}, "worker"),
        ({"seen_at": None}, "worker"),
    ],
)
def test_without_a_switch_the_reason_is_said_at_once(
    values: dict[str, Any], reason: str, redis_client: "redis_library.Redis"
) -> None:
    a_switch(**values)
    user = a_user()
    an_agent(user=user)
    response = press(logged_in(user), "/dial/", number="1021")
    assert reason in text_of(response)
    assert 'role="alert"' in response.content.decode()
    assert not Dial.objects.exists()
    assert sent(redis_client) == 0


def test_without_any_switch_too() -> None:
    Switch.objects.all().delete()
    with pytest.raises(DialRefused, match="No switch"):
        dialling.dial(an_agent(), "1021", None)


def test_looking_at_the_page_never_dials(redis_client: "redis_library.Redis") -> None:
    user = a_user(permissions=(FOR_OTHERS,))
    an_agent(user=user)
    client = logged_in(user)
    response = client.get("/dial/", {"number": '"><script>alert(1)</script>'})
    assert b"<script>alert(1)" not in response.content
    for method in (client.get, client.head, client.put, client.patch, client.delete, client.options):
        method("/dial/?number=1021", {"number": "1021"} if method == client.get else "")
    assert not Dial.objects.exists()
    assert sent(redis_client) == 0


def test_a_foreign_page_cannot_dial_or_hang_up(redis_client: "redis_library.Redis") -> None:
    user = a_user(permissions=(FOR_OTHERS, HANG_UP))
    an_agent(user=user)
    client = logged_in(user, enforce_csrf_checks=True)
    assert press(client, "/dial/", number="1021").status_code == 403
    assert press(client, f"/calls/{uuid4()}/hang-up/").status_code == 403
    assert sent(redis_client) == 0


UNKNOWN = "0d6c8f64-2f4e-4f0b-9a57-6f1f3c2a7b10"  # one for all of pytest-xdist's workers
PAGES = [
    "/calls/active/",
    "/live/calls/",
    "/live/calls/few/",
    "/dial/",
    f"/dial/{UNKNOWN}/",
    "/live/link/",
    "/live/dashboard/",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_staff(path: str) -> None:
    for client in (Client(), logged_in(a_user("guest", staff=False))):
        response = client.get(path)
        assert response.status_code == 302
        assert response["Location"].startswith("/login/")


def test_buttons_are_for_staff_and_agents(redis_client: "redis_library.Redis") -> None:
    for client in (Client(), logged_in(a_user("guest", staff=False))):
        assert press(client, "/dial/", number="1021").status_code == 302
        assert press(client, f"/calls/{uuid4()}/hang-up/").status_code == 302
    assert sent(redis_client) == 0
    agent = a_user("agent", staff=False)
    an_agent(user=agent)
    press(logged_in(agent), "/dial/", number="1021")
    assert sent(redis_client) == 1


def test_the_calls_of_others_are_for_those_who_may_see_them() -> None:
    for path in ("/calls/active/", "/live/calls/"):
        assert logged_in(a_user(f"a{path[1]}")).get(path).status_code == 403
        assert logged_in(a_user(f"b{path[1]}", permissions=(SEE,))).get(path).status_code == 200


def test_a_dial_is_shown_to_whom_it_belongs() -> None:
    asked = a_dial(str(uuid4()), requested_by=(user := a_user()), cause="<b>Busy</b>")
    response = logged_in(user).get(f"/dial/{asked.pk}/")
    assert b"<b>Busy" not in response.content
    assert logged_in(a_user("other", is_superuser=True)).get(f"/dial/{asked.pk}/").status_code == 404


def test_a_dial_that_no_worker_takes_says_so_instead_of_waiting_for_ever() -> None:
    old = timezone.now() - timedelta(seconds=dialling.COMMAND_EXPIRES_SECONDS + 3)
    values = {"state": Dial.State.QUEUED, "sent_at": None, "created_at": old, "requested_by": a_user()}
    asked = a_dial(str(uuid4()), **values)
    response = logged_in(asked.requested_by).get(f"/dial/{asked.pk}/")
    assert "did not take the command" in text_of(response)


# Hanging up


def a_call(*events: Any) -> str:
    """A live call between 1000 and 1001, unless other events are given. Returns the UUID of its A-leg."""
    events = events or tuple(events_of("internal_hold")[:12])
    Projection(SWITCH).follow(events)
    return events[0]["Unique-ID"]


def test_a_call_is_hung_up_by_those_who_may(redis_client: "redis_library.Redis") -> None:
    uuid = a_call()
    stranger = a_user("stranger", permissions=(SEE,))
    an_agent("1005", "Eve", user=stranger)
    assert press(logged_in(stranger), f"/calls/{uuid}/hang-up/").status_code == 403
    assert press(logged_in(a_user("none")), f"/calls/{uuid}/hang-up/").status_code == 403
    assert sent(redis_client) == 0
    an_agent("1001", "Bob", user=(callee := a_user("callee")))
    assert "Hanging up" in text_of(press(logged_in(callee), f"/calls/{uuid}/hang-up/"))
    assert "Hanging up" in text_of(
        press(logged_in(a_user("boss", permissions=(HANG_UP,))), f"/calls/{uuid}/hang-up/")
    )
    assert sent(redis_client) == 2


@pytest.mark.parametrize("uuid", [UNKNOWN, "x", "a/b/c", "%0aexit", "..", "${system(x)}"])
def test_a_call_that_is_not_there_is_not_hung_up(uuid: str, redis_client: "redis_library.Redis") -> None:
    boss = logged_in(a_user("boss", permissions=(HANG_UP,)))
    response = press(boss, f"/calls/{uuid}/hang-up/")
    assert response.status_code == 404 or "over already" in text_of(response)
    assert sent(redis_client) == 0


def test_a_call_whose_uuid_is_any_text_is_shown_and_hung_up(redis_client: "redis_library.Redis") -> None:
    """A script on the switch may originate with an UUID of its own taste; the page must not break."""
    create = events_of("odd_uuid")[0]
    a_call(
        *(
            altered(create, Unique_ID=text)
            for text in ("my-own.id", "a/b", 'x"><script>alert(1)</script>', "Zoë")
        )
    )
    boss = logged_in(a_user("boss", permissions=(SEE, HANG_UP)))
    page = boss.get("/calls/active/").content.decode()
    assert "<script>alert(1)" not in page
    for path in re.findall(r'hx-post="(/calls/[^"]+/hang-up/)"', page):
        assert "Hanging up" in text_of(press(boss, path)), path
    assert sent(redis_client) == 4


def test_ones_own_dial_is_cancelled_before_a_worker_took_it(redis_client: "redis_library.Redis") -> None:
    user = a_user()
    an_agent(user=user)
    client = logged_in(user)
    press(client, "/dial/", number="1021")
    asked = Dial.objects.get()
    press(client, f"/calls/{asked.pk}/hang-up/")
    asked.refresh_from_db()
    assert (asked.state, asked.cause) == (Dial.State.FAILED, "Cancelled.")
    assert sent(redis_client) == 1  # the originate, which finds that it is not wanted any more
    from calls.tasks import originate

    originate(str(asked.pk))
    asked.refresh_from_db()
    assert asked.cause == "Cancelled."


def test_ones_own_dial_is_hung_up_before_its_call_is_seen(redis_client: "redis_library.Redis") -> None:
    asked = a_dial(str(uuid4()), requested_by=(user := a_user()))
    assert press(logged_in(a_user("other")), f"/calls/{asked.pk}/hang-up/").status_code == 403
    assert "Hanging up" in text_of(press(logged_in(user), f"/calls/{asked.pk}/hang-up/"))
    assert sent(redis_client) == 1


def test_a_task_that_comes_too_late_dials_nothing() -> None:
    from calls.tasks import originate

    old = timezone.now() - timedelta(seconds=dialling.COMMAND_EXPIRES_SECONDS + 3)
    asked = a_dial(str(uuid4()), state=Dial.State.QUEUED, sent_at=None, created_at=old)
    originate(str(asked.pk))
    asked.refresh_from_db()
    assert asked.state == Dial.State.FAILED
    assert "did not take the command" in asked.cause


# The broker


class Broker:
    """Where Celery sends commands, for one test."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"

    def refuses(self) -> None:
        self.listener.close()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A broker that takes connections and never says a word."""
    broker, app = Broker(), current_app._get_current_object()
    connections = app.connection_for_write(broker.url).Pool(2)
    producers = ProducerPool(connections, limit=2)
    monkeypatch.setattr(type(app.amqp), "producer_pool", property(lambda amqp: producers))
    yield broker
    producers.force_close_all()
    connections.force_close_all()
    broker.listener.close()


@pytest.mark.parametrize("fault", ["refuses", "is silent"])
def test_without_a_broker_the_dial_fails_at_once_and_says_so(fault: str, broker: Broker) -> None:
    if fault == "refuses":
        broker.refuses()
    user = a_user()
    an_agent(user=user)
    began = time.monotonic()
    response = press(logged_in(user), "/dial/", number="1021")
    assert time.monotonic() - began < 2
    assert "Redis does not answer" in text_of(response)
    asked = Dial.objects.get()
    assert (asked.state, bool(asked.cause)) == (Dial.State.FAILED, True)


def test_the_first_page_does_not_wait_for_a_thousand_rows() -> None:
    create = events_of("internal_hold")[0]
    Projection(SWITCH).follow(altered(create, Unique_ID=f"leg-{n}") for n in range(250))
    boss = logged_in(a_user("boss", permissions=(SEE,)))
    page = boss.get("/calls/active/").content.decode()
    assert page.count('<tr id="call-') == 200
    assert 'hx-trigger="load, ' in page
    assert boss.get("/live/calls/").content.decode().count('<tr id="call-') == 250
    assert boss.get("/live/calls/few/").content.decode().count('<tr id="call-') == 8


def test_a_row_has_buttons_that_call_its_numbers_and_none_for_what_is_no_number() -> None:
    create = events_of("internal_hold")[0]
    told = {"Caller_ANI": "anonymous", "Caller_Destination_Number": "1021"}
    Projection(SWITCH).follow([altered(create, **told)])
    an_agent("1021", "Bob")
    page = logged_in(a_user("boss", permissions=(SEE,))).get("/live/calls/").content.decode()
    assert "anonymous" in page
    assert page.count("pb-call") - page.count("pb-calls") == 1
    assert 'aria-label="Call 1021 Bob"' in page
