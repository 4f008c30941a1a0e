"""What the forms of inbound routes take and refuse, through the admin as a user posts them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agents.models import Agent
from eslbridge.models import PendingChange
from eslbridge.publishing.publisher import Publisher
from routes.models import InboundRoute
from tests.factories import make_agent, make_route, make_switch, make_user
from tests.forms import form_errors

ADD = "admin:routes_inboundroute_add"


@pytest.fixture
def site(client: Client, db: None, redis_client: Any) -> Client:
    client.force_login(make_user())
    return client


@pytest.fixture
def agent(db: None) -> Agent:
    return make_agent(1020)


def filled(to: Agent, **fields: object) -> dict[str, object]:
    known = {
        "did": "+19495431333",
        "description": "",
        "destination": to.extension,
        "ring_seconds": "30",
        "is_active": "on",
    }
    return {**known, **fields}


def errors(site: Client, to: Agent, **fields: object) -> dict[str, list[str]]:
    """What the admin's form says; empty when it was saved."""
    return form_errors(InboundRoute, filled(to, **fields))


def page_errors(site: Client, to: Agent, **fields: object) -> dict[str, list[str]]:
    """The same, through the page."""
    response = site.post(reverse(ADD), filled(to, **fields))
    return {} if response.status_code == 302 else dict(response.context["adminform"].form.errors)


@pytest.mark.parametrize(
    "did",
    [
        "+19495431333",
        "tel:+1-949-543-1333",
        "TEL:+19495431333",
        "(949) 543-1333",
        "949.543.1333",
        "949/543/1333",
        "1 949 543 1333",
        " +1 (949) 543 1333 ",
    ],
)
def test_any_common_form_of_a_number_is_kept_with_its_country_code(
    site: Client, agent: Agent, did: str
) -> None:
    make_switch()
    assert errors(site, agent, did=did) == {}
    assert InboundRoute.objects.get().did == "+19495431333"
    assert PendingChange.objects.filter(path="dialplan/public/inbound_19495431333.xml").exists()


def test_a_national_number_is_one_of_the_sites_region(site: Client, agent: Agent, settings: Any) -> None:
    settings.DEFAULT_REGION = "DE"
    assert errors(site, agent, did="030 901820") == {}
    assert InboundRoute.objects.get().did == "+4930901820"


@pytest.mark.parametrize(
    "did",
    [
        "letters",
        "1-800-FLOWERS",
        "+1949543133x",
        "１９４９５４３１３３３",
        "5431333",
        "123",
        "+1",
        "+",
        "--",
        "+1949543133312345",
        "+999123456789",
        "tel:",
        "sip:1000@x",
        "${x}",
        "+1949\u20285431333",
        "+1949'5431333",
        "+1+9495431333",
    ],
)
def test_what_is_no_number_is_refused_with_an_example(site: Client, agent: Agent, did: str) -> None:
    [message] = errors(site, agent, did=did)["did"]
    assert "like +" in message
    assert not InboundRoute.objects.exists()


def test_a_number_that_is_too_long_for_the_column_is_refused(site: Client, agent: Agent) -> None:
    assert list(errors(site, agent, did="+1" + "9" * 40)) == ["did"]


def test_a_missing_number_is_said_once(site: Client, agent: Agent) -> None:
    assert errors(site, agent, did="") == {"did": ["This field is required."]}


@pytest.mark.parametrize("did", ["+19495431333", "(949) 543-1333"])
def test_a_number_that_is_routed_already_is_refused_in_any_form(site: Client, agent: Agent, did: str) -> None:
    make_route(did="+19495431333")
    assert page_errors(site, agent, did=did) == {
        "did": ["This DID is routed already: change that route instead."]
    }


def test_a_route_to_an_inactive_agent_is_refused(site: Client) -> None:
    agent = make_agent(1020, name="Grace", is_active=False)
    assert page_errors(site, agent) == {
        "destination": [
            "1020 Grace is not active, so nobody would be called. Choose another, or activate it first."
        ]
    }
    assert errors(site, agent, is_active="") == {}


def test_a_route_without_an_agent_is_refused(site: Client, agent: Agent) -> None:
    assert errors(site, agent, destination="") == {"destination": ["This field is required."]}


def test_another_agent_for_a_route_is_published(site: Client, agent: Agent, publisher: Publisher) -> None:
    assert page_errors(site, agent) == {}
    publisher.publish()
    other = make_agent(1021)
    route = InboundRoute.objects.get()
    site.post(
        reverse("admin:routes_inboundroute_change", args=[route.pk]),
        {
            "did": route.did,
            "description": "",
            "destination": other.extension,
            "ring_seconds": "30",
            "is_active": "on",
        },
    )
    assert "dialplan/public/inbound_19495431333.xml" in publisher.publish().written
    file = publisher.disk.root / "dialplan/public/inbound_19495431333.xml"
    assert "1021 XML patchbay" in file.read_text()


def test_another_number_for_a_route_moves_its_file(site: Client, agent: Agent, publisher: Publisher) -> None:
    assert page_errors(site, agent) == {}
    publisher.publish()
    route = InboundRoute.objects.get()
    site.post(
        reverse("admin:routes_inboundroute_change", args=[route.pk]),
        {
            "did": "+19495431334",
            "description": "",
            "destination": agent.extension,
            "ring_seconds": "30",
            "is_active": "on",
        },
    )
    outcome = publisher.publish()
    assert outcome.written == ["dialplan/public/inbound_19495431334.xml"]
    assert outcome.removed == ["dialplan/public/inbound_19495431333.xml"]


def test_an_agent_to_whom_calls_go_is_not_deleted_and_the_page_says_what_to_change(admin_client: Any) -> None:
    make_switch()
    agent = make_agent()
    route = make_route(agent)
    delete = {"action": "delete_selected", "_selected_action": [agent.pk]}
    for page in (
        admin_client.post(f"/agents/agent/{agent.pk}/delete/", {"post": "yes"}),
        admin_client.post("/agents/agent/", {**delete, "post": "yes"}),
    ):
        said = page.content.decode()
        assert "In use, so not deleted" in said and f'href="/routes/inboundroute/{route.pk}/change/"' in said
        assert "would require deleting" not in said
    assert Agent.objects.filter(pk=agent.pk).exists()
