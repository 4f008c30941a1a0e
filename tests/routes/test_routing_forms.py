"""What the forms of groups, gateways, outbound routes and failovers take and refuse."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import ProtectedError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agents.models import Agent
from eslbridge.models import PendingChange
from routes.destinations import Destination
from routes.models import Gateway, InboundRoute, OutboundRoute, RingGroup
from tests.factories import (
    make_agent,
    make_gateway,
    make_group,
    make_hours,
    make_outbound,
    make_route,
    make_switch,
    make_user,
)
from tests.forms import form_errors

pytestmark = pytest.mark.django_db
to = Destination.to

# What hostile or careless people type where a destination is asked.
HOSTILE = [
    "system:touch x",
    "1020 &system(x)",
    "${system(x)}",
    "-both x",
    "1020\n1021",
    "1020,1021",
    "{x}",
    "'1020'",
    "../1020",
]


def route_errors(**fields: object) -> dict[str, list[str]]:
    known = {"did": "+19495431333", "destination": "1020", "ring_seconds": "30", "is_active": "on"}
    return form_errors(InboundRoute, {**known, **fields})


def group_errors(**fields: object) -> dict[str, list[str]]:
    known = {
        "extension": "6000",
        "name": "Sales",
        "members": "1020",
        "strategy": "at_once",
        "ring_seconds": "15",
        "total_seconds": "45",
        "is_active": "on",
    }
    return form_errors(RingGroup, {**known, **fields})


def gateway_errors(**fields: object) -> dict[str, list[str]]:
    known = {
        "name": "carrier1",
        "profile": "external",
        "proxy": "sip.example.com",
        "transport": "udp",
        "caller_id_header": "pid",
        "ping_seconds": "30",
        "is_active": "on",
    }
    return form_errors(Gateway, {**known, **fields})


def outbound_errors(**fields: object) -> dict[str, list[str]]:
    known = {
        "order": "10",
        "name": "Domestic",
        "match": "prefix",
        "prefixes": "+1",
        "toll_class": "domestic",
        "failover": "way",
        "strip": "0",
        "prepend": "+",
        "caller_id": "agent",
        "is_active": "on",
    }
    return form_errors(OutboundRoute, {**known, **fields})


@pytest.fixture
def alice() -> Agent:
    return make_agent(1020, name="Alice")


# --- destinations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("1020", "agent:{alice}"),
        (" 6000 ", "group:{group}"),
        ("voicemail 1020", "voicemail:{alice}"),
        ("Voicemail 1020", "voicemail:{alice}"),
        ("(949) 543-1334", "route:{other}"),
        ("+1 202 555 0123", "number:+12025550123"),
        ("message custom/closed.wav", "message:custom/closed.wav"),
    ],
)
def test_a_destination_is_typed_as_people_say_it(alice: Agent, text: str, kept: str) -> None:
    make_outbound()
    known = {"alice": alice.pk, "group": make_group(alice, extension=6000).pk}
    known["other"] = make_route(alice, did="+19495431334").pk
    assert route_errors(destination=text) == {}
    assert str(InboundRoute.objects.get(did="+19495431333").destination) == kept.format(**known)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1099", "no agent and no ring group 1099"),
        ("voicemail 1099", "no agent “1099”"),
        ("voicemail 6000", "no agent “6000”"),
        ("message ../../etc/passwd.wav", "not the path of a sound file"),
        ("message ${system(x)}.wav", "not the path of a sound file"),
        ("message /etc/passwd", "not the path of a sound file"),
        ("message closed.wav x", "not the path of a sound file"),
        ("Alice", "is no destination"),
        ("+12", "too few or too many"),
        ("+12025550123", "No outbound route takes +12025550123"),
        ("1030", "is not active"),
        *((text, "") for text in HOSTILE),
    ],
)
def test_what_is_no_destination_is_refused_with_the_fix(alice: Agent, text: str, words: str) -> None:
    make_group(alice, extension=6000)
    make_agent(1030, is_active=False)
    [problem] = route_errors(destination=text)["destination"]
    assert words in problem
    assert not InboundRoute.objects.exists()


def test_no_circle_of_failovers(alice: Agent) -> None:
    first = make_route(alice, did="+19495431331")
    second = make_route(did="+19495431332", destination=to(first))
    group = make_group(alice, extension=6000, then=to(second))
    first.destination = to(group)
    with pytest.raises(Exception, match=r"A circle: .+ → 6000 Group 6000 → .+ → "):
        first.full_clean()


def test_a_route_to_itself_is_a_circle(alice: Agent) -> None:
    route = make_route(alice)
    route.destination = to(route)
    with pytest.raises(Exception, match="circle"):
        route.full_clean()


def test_hours_and_their_destination_come_together(alice: Agent) -> None:
    hours = make_hours()
    assert "Say where calls go" in route_errors(hours=hours.pk)["closed_destination"][0]
    assert "Choose the business hours" in route_errors(closed_destination="1020")["hours"][0]


def test_failovers_are_for_phones_only(alice: Agent) -> None:
    make_group(alice, extension=6000)
    errors = route_errors(destination="6000", busy_destination="1020", unanswered_destination="1020")
    assert set(errors) == {"busy_destination", "unanswered_destination"}
    assert "“then” of its own" in errors["busy_destination"][0]


# --- groups ----------------------------------------------------------------------------------------


def test_a_group_is_saved_with_its_members_in_order(alice: Agent) -> None:
    bob = make_agent(1021)
    make_outbound()
    assert group_errors(members="1021\r\n\r\n 1020 \r\n+1 202 555 0123") == {}
    assert RingGroup.objects.get().members == [to(bob), to(alice), Destination("number", "+12025550123")]


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"extension": "1020"}, "extension", "1020 Alice has this extension"),
        ({"extension": "60"}, "extension", "4 to 6 digits"),
        ({"members": ""}, "members", "required"),
        ({"members": "1020\n1099"}, "members", "Line 2: There is no agent"),
        ({"members": "1020\n1020"}, "members", "twice"),
        ({"members": "voicemail 1020"}, "members", "cannot ring groups, voicemail"),
        ({"members": "6001"}, "members", "cannot ring groups"),
        ({"total_seconds": "5", "ring_seconds": "15"}, "total_seconds", "Not less than"),
        ({"ring_seconds": "0"}, "ring_seconds", "greater than or equal"),
        ({"prefix": "Sales: "}, "prefix", "“:”"),
        ({"prefix": "${x}"}, "prefix", "${"),
        ({"then": "1099"}, "then", "no agent"),
    ],
)
def test_a_wrong_group_names_the_field_and_the_fix(
    alice: Agent, fields: dict[str, object], field: str, words: str
) -> None:
    make_group(alice, extension=6001)
    assert words in " ".join(group_errors(**fields)[field])


def test_an_agent_cannot_take_a_groups_extension(alice: Agent) -> None:
    make_group(alice, extension=6000, name="Sales")
    with pytest.raises(Exception, match="The ring group 6000 Sales has this extension"):
        make_agent(6000).full_clean()


# --- deleting --------------------------------------------------------------------------------------


def test_what_others_point_to_is_not_deleted_and_the_page_lists_them(
    alice: Agent, admin_client: Client
) -> None:
    group = make_group(alice, extension=6000, name="Sales")
    make_route(did="+19495431333", destination=to(group))
    make_route(did="+19495431334", destination=Destination("voicemail", str(alice.pk)))
    page = admin_client.post(f"/agents/agent/{alice.pk}/delete/", {"post": "yes"}).content.decode()
    assert "6000 Sales" in page and "+1 949-543-1334" in page
    page = admin_client.post(f"/routes/ringgroup/{group.pk}/delete/", {"post": "yes"}).content.decode()
    assert "+1 949-543-1333" in page
    for victim in (alice, group):
        with pytest.raises(ProtectedError, match="Calls are sent to"), transaction.atomic():
            victim.delete()
    assert Agent.objects.count() == RingGroup.objects.count() == 1


def test_a_gateway_in_use_is_not_deleted(admin_client: Client) -> None:
    gateway = make_gateway("carrier1")
    make_outbound(gateway, name="Domestic")
    page = admin_client.post(f"/routes/gateway/{gateway.pk}/delete/", {"post": "yes"}).content.decode()
    assert "Domestic" in page and Gateway.objects.exists()


# --- gateways --------------------------------------------------------------------------------------


def test_a_gateway_keeps_its_password_and_never_shows_it(admin_client: Client) -> None:
    assert gateway_errors(registers="on", username="acct", password="s3cr3t&<") == {}
    gateway = Gateway.objects.get()
    assert gateway.password == "s3cr3t&<"
    url = reverse("admin:routes_gateway_change", args=[gateway.pk])
    page = admin_client.get(url).content.decode()
    assert "s3cr3t" not in page
    fields = {
        "profile": "external",
        "proxy": "new.example.com",
        "transport": "udp",
        "registers": "on",
        "username": "acct",
    }
    fields |= {"caller_id_header": "pid", "ping_seconds": "30", "is_active": "on", "password": ""}
    assert admin_client.post(url, fields).status_code == 302
    gateway.refresh_from_db()
    assert (gateway.proxy, gateway.password) == ("new.example.com", "s3cr3t&<")
    assert (
        "s3cr3t"
        not in admin_client.get(reverse("admin:routes_gateway_history", args=[gateway.pk])).content.decode()
    )


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": "Carrier 1"}, "name", "one word of small letters"),
        ({"name": "../x"}, "name", "one word"),
        ({"name": "taken"}, "name", "already"),
        ({"proxy": "sip:x"}, "proxy", "not a host name"),
        ({"proxy": "a b"}, "proxy", "not a host name"),
        ({"proxy": "x;transport=tcp"}, "proxy", "not a host name"),
        ({"registers": "on"}, "username", "user name is needed"),
        ({"registers": "on", "username": "x"}, "password", "password is needed"),
        ({"password": "a\nb"}, "password", "control character"),
        ({"password": "${x}"}, "password", "${"),
        ({"username": "a b"}, "username", "SIP user name"),
        ({"codecs": "PCMU, PCMA"}, "codecs", "without spaces"),
        ({"profile": "internal"}, "profile", "Choose one of: external"),
        ({"ping_seconds": "2"}, "ping_seconds", "5 seconds or more"),
    ],
)
def test_a_wrong_gateway_names_the_field_and_the_fix(
    fields: dict[str, object], field: str, words: str
) -> None:
    make_gateway("taken")
    assert words in " ".join(gateway_errors(**fields)[field])


def test_a_carrier_fills_the_form_in(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:routes_gateway_add")).content.decode()
    assert "sip.telnyx.com" in page and "Fill in for" in page


# --- outbound routes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prefixes": ""}, "prefixes", "which numbers"),
        ({"prefixes": "+1, x"}, "prefixes", "“x” is not the beginning"),
        ({"prefixes": ".*"}, "prefixes", "not the beginning"),
        (
            {"match": "range", "range_first": "+19495431999", "range_last": "+19495431000"},
            "range_first",
            "ends before",
        ),
        (
            {"match": "range", "range_first": "+19495431999", "range_last": "+4930901820"},
            "range_first",
            "same number",
        ),
        ({"match": "region", "countries": "US, XX"}, "countries", "no country “XX”"),
        ({"match": "region", "countries": ""}, "countries", "which numbers"),
        ({"shortest": "12", "longest": "11"}, "longest", "Not fewer"),
        ({"prepend": "${x}"}, "prepend", "Digits, * and #"),
        ({"call_groups": "a b, c!"}, "call_groups", "one word"),
        ({"caller_id": "route"}, "caller_id_number", "Type the number"),
        ({"caller_id": "route", "caller_id_number": "x"}, "caller_id_number", "not a telephone"),
        ({"second_gateway": "same"}, "second_gateway", "chosen twice"),
        ({"third_gateway": "other"}, "second_gateway", "before the third"),
        ({"gateway": "off"}, "gateway", "is not active"),
    ],
)
def test_a_wrong_outbound_route_names_the_field_and_the_fix(
    fields: dict[str, object], field: str, words: str
) -> None:
    gateways = {
        "same": make_gateway("same"),
        "other": make_gateway("other"),
        "off": make_gateway("off", is_active=False),
    }
    chosen = {name: getattr(gateways.get(str(value)), "pk", value) for name, value in fields.items()}
    assert words in " ".join(outbound_errors(**{"gateway": gateways["same"].pk, **chosen})[field])


# --- lists and previews ----------------------------------------------------------------------------


def test_lists_take_as_many_queries_for_many_as_for_few(
    admin_client: Client, redis_client: Any, django_assert_max_num_queries: Any
) -> None:
    make_switch()

    def fill(count: int) -> None:
        for _ in range(count):
            agent = make_agent()
            group = make_group(agent, make_agent(), then=Destination("voicemail", str(agent.pk)))
            make_route(did=f"+1949543{RingGroup.objects.count():04}", destination=to(group))
            make_outbound(make_gateway(), second_gateway=make_gateway())

    def queries(url: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(url).status_code == 200
        return len(captured)

    urls = ["/routes/inboundroute/", "/routes/ringgroup/", "/routes/gateway/", "/routes/outboundroute/"]
    fill(2)
    few = [queries(url) for url in urls]
    fill(10)
    assert [queries(url) for url in urls] == few


def test_a_group_is_previewed_before_it_is_saved(alice: Agent, admin_client: Client) -> None:
    make_switch(domain="example.org")
    fields = {"extension": "6000", "name": "Sales", "members": "1020", "strategy": "at_once"}
    fields |= {"ring_seconds": "15", "total_seconds": "45", "is_active": "on"}
    page = admin_client.post("/routes/ringgroup/add/preview/", fields).content.decode()
    assert "user/1020@example.org" in page
    assert not RingGroup.objects.exists()


def test_an_agents_new_extension_travels_to_all_that_point_to_it(alice: Agent) -> None:
    make_switch()
    group = make_group(alice, extension=6000)
    make_route(did="+19495431333", destination=to(alice))
    make_route(did="+19495431334", destination=to(group))
    PendingChange.objects.all().delete()
    alice.extension = "1044"
    alice.save()
    assert set(PendingChange.objects.values_list("path", flat=True)) == {
        "directory/default/1044.xml",
        "dialplan/patchbay/20_group_6000.xml",
        "dialplan/public/inbound_19495431333.xml",
    }


def test_what_is_typed_is_told_as_it_is_understood(admin_client: Client, alice: Agent) -> None:
    page = admin_client.get("/routing/destinations/?destination=1020").content.decode()
    assert "Rings 1020 Alice" in page and 'value="voicemail 1020"' in page
    page = admin_client.get("/routing/destinations/?x=1099").content.decode()
    assert "no ring group 1099" in page
    assert admin_client.get("/routing/destinations/").status_code == 200


def test_the_pages_are_for_those_with_the_permission(client: Client, alice: Agent) -> None:
    client.force_login(make_user(is_superuser=False))
    for url in ("/live/ring-groups/", "/live/gateway-rows/", "/live/outbound-routes/"):
        assert client.get(url).status_code == 403


def test_each_line_and_a_number_are_told_as_they_are_understood(admin_client: Client, alice: Agent) -> None:
    page = admin_client.get("/routing/destinations/", {"members": "1020\n1099"}).content.decode()
    assert "Rings 1020 Alice" in page
    assert "no agent and no ring group 1099" in page
    page = admin_client.get("/routing/number/", {"did": "(949) 543-1333"}).content.decode()
    assert "+1 949-543-1333, United States" in page
    assert "too few" in admin_client.get("/routing/number/", {"did": "1"}).content.decode()


def test_the_profile_of_a_gateway_is_chosen_among_those_that_may_have_gateways(
    admin_client: Client, settings: Any
) -> None:
    settings.FS_GATEWAY_PROFILES = ["external", "carriers"]
    page = admin_client.get(reverse("admin:routes_gateway_add")).content.decode()
    assert '<option value="carriers">carriers</option>' in page
    assert gateway_errors(profile="carriers") == {}
    assert "profile" in gateway_errors(name="carrier2", profile="internal")


def test_a_route_says_what_happens_now(admin_client: Client, alice: Agent) -> None:
    bob = make_agent(1021, name="Bob")
    hours = make_hours(name="Office", **dict.fromkeys(["saturday", "sunday"], "00:00-24:00"))
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday"):
        setattr(hours, day, "00:00-24:00")
    hours.save()
    route = make_route(alice, hours=hours, closed_destination=to(bob))
    assert route.now_in_words == "Office is open now: rings 1020 Alice for 30 seconds, then voicemail."
    page = admin_client.get(reverse("admin:routes_inboundroute_change", args=[route.pk])).content.decode()
    assert route.now_in_words in page
    assert "Sunday: 00:00-24:00" in page
    hours.close_until(timezone.now() + timedelta(hours=1))
    route = InboundRoute.objects.get()
    assert route.now_in_words == "Office is closed by hand now: rings 1021 Bob."
