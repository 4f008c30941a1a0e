"""The pages that show much: a constant number of queries, nothing unescaped, and no zero for the unknown."""

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
import redis as redis_library
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import presence
from agents.models import Agent
from calls.live import Projection
from calls.models import Dial
from cdr.models import Call, Leg
from eslbridge import store as eslbridge_store
from eslbridge.models import PendingChange, Switch
from pbx import dashboard
from tests.calls.making import SWITCH, a_dial, a_switch, a_user
from tests.factories import make_agent, make_group, make_route
from tests.recorded_calls import altered, events_of

pytestmark = pytest.mark.django_db

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def client(client: Client) -> Client:
    """Logged in as one who may everything."""
    client.force_login(a_user("admin", is_superuser=True))
    return client


@pytest.fixture(autouse=True)
def switch(redis_client: "redis_library.Redis") -> Switch:
    known = a_switch(version="1.10.12", up_since=timezone.now() - timedelta(days=3))
    Projection(SWITCH).take_stock([], lambda commands: [])
    return known


def text_of(response: Any) -> str:
    content = re.sub(r"<(script|style)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content))


def queries(client: Client, path: str) -> int:
    client.get(path)  # what is read once a process
    with CaptureQueriesContext(connection) as counted:
        assert client.get(path).status_code == 200, path
    return len(counted)


# Many rows


def more_agents(count: int = 20) -> None:
    start = 2000 + Agent.objects.count()
    for number in range(start, start + count):
        user = a_user(f"user{number}") if number % 2 else None
        Agent.objects.create(extension=str(number), name=f"Agent {number}", user=user)


def more_records(count: int = 20) -> None:
    now = timezone.now()
    for number in range(count):
        values = {"start": now, "end": now, "duration": 1, "billsec": 1, "hangup_cause": "NORMAL_CLEARING"}
        uuid = uuid4()
        answer = now if number % 2 else None
        Call.objects.create(
            uuid=uuid, switch=SWITCH, kind="internal", caller="1000", callee="1001", answer=answer, **values
        )
        Leg.objects.create(uuid=uuid, call=uuid, switch=SWITCH, direction="inbound", caller="1000", **values)


def more_calls(count: int = 20) -> None:
    """Live calls between agents who are known by name."""
    projection = Projection(SWITCH)
    create, *_ = events_of("internal_hold")
    for number in range(count):
        headers = {"Caller_ANI": f"20{number:02}", "Caller_Destination_Number": f"20{number + 1:02}"}
        projection.follow([altered(create, Unique_ID=str(uuid4()), **headers)])


def more_phones(count: int = 20) -> None:
    client = eslbridge_store.store()
    for number in range(count):
        device = presence.Device(f"20{number:02}", f"sip:{uuid4()}", "phone", "udp", "127.0.0.1:5060", 0, 9e9)
        client.hset(presence._key(SWITCH), device.user, orjson.dumps([device.__dict__]))


def more_changes(count: int = 20) -> None:
    for number in range(count):
        path = f"directory/default/{PendingChange.objects.count()}.xml"
        values = {"path": path, "kind": "agents.agent", "object_id": number, "label": f"Agent {number}"}
        PendingChange.objects.create(switch=Switch.objects.get(), **values)


PAGES: dict[str, tuple[Callable[..., None], ...]] = {
    "/": (more_agents, more_calls, more_records, more_changes, more_phones),
    "/live/dashboard/": (more_agents, more_calls, more_records, more_changes, more_phones),
    "/calls/active/": (more_agents, more_calls),
    "/live/calls/": (more_agents, more_calls),
    "/live/calls/few/": (more_agents, more_calls),
    "/cdr/call/": (more_records,),
    "/agents/agent/": (more_agents, more_phones, more_changes),
    "/phones/": (more_agents, more_phones),
    "/eslbridge/pendingchange/": (more_changes,),
    "/eslbridge/switch/": (more_changes,),
    "/live/badges/": (more_agents, more_calls, more_changes, more_phones),
    "/live/banner/": (more_changes,),
}


@pytest.mark.parametrize("path", PAGES)
def test_more_rows_need_no_more_queries(path: str, client: Client) -> None:
    for more in PAGES[path]:
        more(3)
    few = queries(client, path)
    for more in PAGES[path]:
        more(30)
    assert queries(client, path) <= few
    assert few < 40


def test_a_record_shows_its_legs(client: Client) -> None:
    more_records(1)
    (call,) = Call.objects.all()
    page = client.get(f"/cdr/call/{call.uuid}/change/")
    assert page.status_code == 200
    assert "NORMAL_CLEARING" in text_of(page)


# Nothing unescaped


def test_whatever_callers_send_is_text(client: Client) -> None:
    event = altered(
        events_of("did")[0],
        Caller_Caller_ID_Name=HOSTILE,
        Caller_ANI=HOSTILE,
        Caller_Destination_Number=HOSTILE,
        Channel_Presence_ID=HOSTILE,
    )
    Projection(SWITCH).follow([event])
    now, uuid = timezone.now(), uuid4()
    values = {
        "start": now,
        "end": now,
        "duration": 1,
        "billsec": 1,
        "hangup_cause": HOSTILE,
        "caller": HOSTILE,
    }
    people = {"caller_name": HOSTILE, "switch": HOSTILE}
    Call.objects.create(uuid=uuid, kind="internal", callee=HOSTILE, reached=HOSTILE, **values, **people)
    Leg.objects.create(
        uuid=uuid, call=uuid, direction="inbound", destination=HOSTILE, user=HOSTILE, disposition=HOSTILE,
        **values, **people,
    )  # fmt: skip
    a_dial(str(uuid4()), cause=HOSTILE)
    pages = [
        "/",
        "/calls/active/",
        "/live/calls/",
        "/live/dashboard/",
        "/cdr/call/",
        f"/cdr/call/{uuid}/change/",
    ]
    for path in [
        *pages,
        f"/cdr/call/?q={HOSTILE}",
        f"/dial/?number={HOSTILE}",
        f"/agents/agent/?q={HOSTILE}",
    ]:
        response = client.get(path)
        assert response.status_code == 200, path
        assert b"<script>alert(1)" not in response.content, path
    assert "&lt;script&gt;" in client.get("/calls/active/").content.decode()


def test_whatever_a_switch_says_is_text(client: Client) -> None:
    a_switch(link=Switch.Link.LOST, reason=HOSTILE, version=HOSTILE, domain=HOSTILE, host=HOSTILE)
    more_changes(1)
    PendingChange.objects.update(error=HOSTILE, label=HOSTILE)
    for path in (*PAGES, "/live/link/", "/dial/"):
        assert b"<script>alert(1)" not in client.get(path).content, path


def test_the_pushed_rows_are_escaped_too() -> None:
    from calls import rendering

    Projection(SWITCH).follow(
        [altered(events_of("did")[0], Caller_ANI=HOSTILE, Caller_Caller_ID_Name=HOSTILE)]
    )
    (html,) = (render() for _, render in rendering.Watched()(None).values())
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;" in html


# Who may


def test_a_stranger_is_sent_to_the_log_in() -> None:
    for path in (*PAGES, "/live/link/", "/dial/"):
        response = Client().get(path)
        assert response.status_code in {302, 403}, path
        if response.status_code == 302:
            assert response["Location"].startswith("/login/?next="), path


def test_a_user_without_staff_rights_sees_nothing() -> None:
    guest = Client()
    guest.force_login(a_user("guest", staff=False))
    for path in (*PAGES, "/live/link/", "/dial/"):
        assert guest.get(path).status_code in {302, 403}, path


def test_staff_without_permissions_see_only_the_frame() -> None:
    clerk = Client()
    clerk.force_login(a_user("clerk"))
    more_calls(1)
    for path in ("/calls/active/", "/live/calls/", "/cdr/call/", "/agents/agent/", "/phones/"):
        assert clerk.get(path).status_code == 403, path
    page = clerk.get("/")
    assert page.status_code == 200
    assert "/live/calls/" not in page.content.decode()


OFFERED = [
    "/calls/active/",
    "/phones/",
    "/cdr/call/",
    "/agents/agent/",
    "/routes/ringgroup/",
    "/routes/inboundroute/",
    "/routes/outboundroute/",
    "/routes/gateway/",
    "/routes/businesshours/",
    "/who-rings/",
    "/eslbridge/pendingchange/",
    "/eslbridge/switch/",
    "/auth/user/",
    "/auth/group/",
    "/pbx/apitoken/",
]


def led_to(user: Any) -> list[str]:
    """The pages that the navigation offers, which is all there is to click beside an empty My phone."""
    client = Client()
    client.force_login(user)
    page = client.get("/my-phone/").content.decode()
    return [path for path in OFFERED if f'href="{path}"' in page]


def test_the_navigation_leads_nobody_to_a_refusal() -> None:
    assert led_to(a_user("admin", is_superuser=True)) == OFFERED
    some = ("view_active_calls", "view_call", "view_agent", "change_gateway")
    supervisor = a_user("vera", permissions=some)
    assert led_to(supervisor) == [
        "/calls/active/",
        "/phones/",
        "/cdr/call/",
        "/agents/agent/",
        "/routes/gateway/",
    ]
    client = Client()
    client.force_login(supervisor)
    for path in OFFERED:
        assert (client.get(path).status_code == 200) == (path in led_to(supervisor)), path


def test_who_may_only_see_an_agent_gets_no_button_that_is_refused() -> None:
    agent = make_agent(1020)
    client = Client()
    client.force_login(a_user("vera", permissions=("view_agent",)))
    page = client.get(f"/agents/agent/{agent.pk}/change/").content.decode()
    assert "Preview the file" not in page
    assert client.post(f"/agents/agent/{agent.pk}/change/preview/").status_code == 403


# The unknown is no zero


@pytest.fixture
def no_redis(settings: Any) -> None:
    """Redis refuses every connection."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


def tile(response: Any, name: str) -> str:
    found = re.search(rf'id="tile-{name}".*?</a>', response.content.decode(), re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0])).partition(">")[2].strip()


def test_without_redis_the_pages_say_so(client: Client, no_redis: None) -> None:
    more_agents(2)
    page = client.get("/")
    assert "Redis does not answer" in text_of(page)
    for name in ("phones", "calls"):
        assert "?" in tile(page, name)
        assert "0" not in tile(page, name).partition("of")[0]
    assert "Redis does not answer" in text_of(client.get("/calls/active/"))
    assert "Nobody is talking" not in text_of(client.get("/calls/active/"))
    agents = text_of(client.get("/agents/agent/"))
    assert "Redis does not answer" in agents
    assert "Not registered" not in agents
    assert client.get("/live/badges/").status_code == 200


def test_without_the_switch_the_dashboard_knows_neither_phones_nor_calls(client: Client) -> None:
    more_agents(1)
    a_switch(link=Switch.Link.LOST, reason="Connection refused", host="10.1.2.3")
    page = client.get("/")
    assert "does not answer at 10.1.2.3:8021: Connection refused" in text_of(page)
    for name in ("phones", "calls"):
        assert "?" in tile(page, name)
        assert "not known now" in tile(page, name)
    agents = text_of(client.get("/agents/agent/"))
    assert "Unknown: the switch is not connected" in agents
    assert "Not registered" not in agents


def test_an_empty_list_is_shown_only_when_the_switch_said_that_it_is_empty(
    client: Client, redis_client: "redis_library.Redis"
) -> None:
    assert "Nobody is talking" in text_of(client.get("/calls/active/"))
    redis_client.flushdb()
    page = text_of(client.get("/calls/active/"))
    assert "Nobody is talking" not in page
    assert "Redis had lost it" in page
    assert "?" in tile(client.get("/"), "calls")


def test_calls_of_a_switch_that_is_away_are_shown_as_old(client: Client) -> None:
    Projection(SWITCH).follow(events_of("internal_hold")[:12])
    a_switch(link=Switch.Link.LOST, reason="Connection refused")
    page = client.get("/calls/active/").content.decode()
    assert "pb-old" in page
    assert "Last update" in page
    assert "1000" in page


def test_without_any_switch_the_pages_say_what_to_do(client: Client) -> None:
    Switch.objects.all().delete()
    for path in ("/", "/calls/active/"):
        assert "start its worker" in text_of(client.get(path)), path


def test_a_call_that_only_reached_voicemail_is_missed_on_the_dashboard(client: Client) -> None:
    more_records(2)  # one of two was answered
    Call.objects.update(reached="voicemail")
    assert "2 calls 0 answered, 2 missed" in tile(client.get("/"), "today")
    assert sum(dashboard.calls_by_hour()["missed"]) == 2
    Call.objects.update(reached="1001")
    assert "2 calls 1 answered, 1 missed" in tile(client.get("/"), "today")


# Health


def test_health_needs_no_log_in_and_tells_each_part(switch: Switch) -> None:
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"database": "ok", "redis": "ok", "switch": "ok"})
    a_switch(link=Switch.Link.REFUSED)
    assert "password" in Client().get("/healthz").json()["switch"]
    Switch.objects.all().delete()
    assert Client().get("/healthz").json()["switch"] == "no switch yet"


def test_health_without_redis_serves_on(no_redis: None) -> None:
    response = Client().get("/healthz")
    assert response.status_code == 200
    assert response.json()["redis"] == "Redis does not answer"


def test_health_without_postgresql_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise DatabaseError("connection refused")

    monkeypatch.setattr("pbx.views.connection.cursor", away)
    response = Client().get("/healthz")
    assert response.status_code == 503
    assert response.json()["database"] == "PostgreSQL does not answer"


def test_records_cannot_be_changed_or_deleted_even_by_a_superuser(client: Client) -> None:
    more_records(1)
    (call,) = Call.objects.all()
    assert client.get("/cdr/call/add/").status_code == 403
    assert client.post(f"/cdr/call/{call.uuid}/change/", {"caller": "x"}).status_code == 403
    assert client.post(f"/cdr/call/{call.uuid}/delete/", {"post": "yes"}).status_code == 403
    client.post(
        "/cdr/call/", {"action": "delete_selected", "_selected_action": str(call.uuid), "post": "yes"}
    )
    assert Call.objects.get().caller == "1000"


def test_roles_can_be_given_what_calls_need(client: Client) -> None:
    page = client.get("/auth/group/add/").content.decode()
    assert Group.objects.count() == 0
    for name in ("Can see active calls", "Can hang up anybody", "Can make another agent"):
        assert name in page
    assert Dial._meta.app_label == "calls"


# A call button beside every number


def test_every_number_and_agent_can_be_called_from_where_it_stands(client: Client) -> None:
    agent, off = make_agent(2000, name="Alice"), make_agent(2001, is_active=False)
    make_route(off, did="+19495550142", is_active=False)
    group, route = make_group(agent), make_route(agent, did="+19495550141")
    presence.take_stock(Switch.objects.get(), "<registrations>")
    more_phones(2)
    values = {"start": timezone.now(), "end": timezone.now(), "duration": 1, "billsec": 1}
    values |= {"switch": SWITCH, "caller": "+15551110000", "hangup_cause": "NONE"}
    record = Call.objects.create(
        uuid=uuid4(), kind="inbound", callee="+19495550141", reached="2000", **values
    )
    Call.objects.create(uuid=uuid4(), kind="inbound", callee="*98", **{**values, "caller": "anonymous"})
    for direction, uuid, whose in (("inbound", record.uuid, ""), ("outbound", uuid4(), "2000")):
        Leg.objects.create(uuid=uuid, call=record.uuid, user=whose, direction=direction, **values)
    buttons = {
        "/agents/agent/": {"2000"},
        f"/agents/agent/{agent.pk}/change/": {"2000"},
        f"/agents/agent/{off.pk}/change/": set(),
        "/phones/": {"2000"},
        "/routes/inboundroute/": {"+19495550141"},
        f"/routes/inboundroute/{route.pk}/change/": {"+19495550141"},
        "/routes/ringgroup/": {group.extension},
        f"/routes/ringgroup/{group.pk}/change/": {group.extension},
        "/cdr/call/": {"+15551110000", "+19495550141", "2000", "*98"},
        f"/cdr/call/{record.pk}/change/": {"+15551110000", "+19495550141", "2000"},
    }
    for path, numbers in buttons.items():
        page = html.unescape(client.get(path).content.decode())
        found = re.findall(r'"number": "([^"]*)"', page)
        assert {number.replace("\\u002B", "+") for number in found} == numbers, path


def test_a_list_is_called_what_it_lists(client: Client) -> None:
    for path, name in (("/agents/agent/", "Agents"), ("/cdr/call/", "Calls"), ("/auth/group/", "Roles")):
        title = re.search(r"<title>(.*?)</title>", client.get(path).content.decode(), re.DOTALL)
        assert title and title[1].strip() == f"{name} | Patchbay"


def test_a_caller_without_a_name_is_shown_once(client: Client) -> None:
    now = timezone.now()
    values = {"start": now, "end": now, "duration": 1, "billsec": 1, "hangup_cause": "NORMAL_CLEARING"}
    for caller, name in (("+12025550101", "+12025550101"), ("+12025550102", "Ada Byron")):
        people = {"caller": caller, "caller_name": name, "callee": "1001"}
        Call.objects.create(uuid=uuid4(), switch=SWITCH, kind="inbound", **people, **values)
    page = client.get("/cdr/call/").content.decode()
    assert '<span class="pb-why">+12025550101</span>' not in page
    assert '<span class="pb-why">Ada Byron</span>' in page


def test_a_call_that_is_told_with_early_media_rings_too(client: Client) -> None:
    """A real switch sends most callers from outside the ringing tone itself."""
    for event in events_of("did"):
        Projection(SWITCH).follow([event])
        if dashboard.tiles().calls[0].state == "early media":
            break
    assert "1 (1 ringing)" in tile(client.get("/"), "calls")
