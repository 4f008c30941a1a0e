"""Inbound routes out into spreadsheets and in again."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Agent
from eslbridge.importing import sheets, uploads
from eslbridge.importing.resource import ImportResult
from eslbridge.models import PendingChange, Switch
from routes.destinations import Destination
from routes.importing import (
    GatewayResource,
    InboundRouteResource,
    OutboundRouteResource,
    RingGroupResource,
)
from routes.models import InboundRoute, RingGroup
from tests.factories import make_agent, make_gateway, make_group, make_hours, make_outbound, make_route

pytestmark = pytest.mark.django_db

IMPORT = "/routes/inboundroute/import/"
CONFIRM = "/routes/inboundroute/process_import/"
EXPORT = "/routes/inboundroute/export/"


@pytest.fixture(autouse=True)
def folder_for_uploads(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads.tempfile, "gettempdir", lambda: str(tmp_path))


@pytest.fixture
def ann() -> Agent:
    return Agent.objects.create(extension="1020", name="Ann")


def upload(client: Client, content: bytes) -> HttpResponse:
    return client.post(IMPORT, {"import_file": SimpleUploadedFile("routes.csv", content)})


def confirm(client: Client, page: HttpResponse) -> HttpResponse:
    found = re.search(r'name="token" value="([^"]+)"', page.content.decode())
    assert found, page.content.decode()
    return client.post(CONFIRM, {"token": found[1]}, follow=True)


def preview(content: str) -> ImportResult:
    return InboundRouteResource().import_data(sheets.read(content.encode()), dry_run=True)


def test_routes_are_imported_and_queued(admin_client: Client, ann: Agent) -> None:
    Switch.objects.create(name="switch-1")
    bob = Agent.objects.create(extension="1021", name="Bob")
    make_route(ann, did="+19495431333", description="Sales")
    PendingChange.objects.all().delete()
    content = b"did;destination\n(949) 543-1333;1021\n+49 30 123456;1020\n"
    assert (
        "was imported: 1 new, 1 changed"
        in confirm(admin_client, upload(admin_client, content)).content.decode()
    )
    assert list(InboundRoute.objects.values_list("did", "destination", "description")) == [
        ("+19495431333", Destination.to(bob), "Sales"),
        ("+4930123456", Destination.to(ann), ""),
    ]
    assert set(PendingChange.objects.values_list("path", flat=True)) == {
        "dialplan/public/inbound_19495431333.xml",
        "dialplan/public/inbound_4930123456.xml",
    }


@pytest.mark.parametrize(
    "did",
    [
        "+19495431333",
        "19495431333",
        "9495431333",
        "949-543-1333",
        "(949) 543-1333",
        "tel:+1-949-543-1333",
        "9495431333.0",
    ],
)
def test_a_did_in_any_form_is_the_same_route(ann: Agent, did: str) -> None:
    make_route(ann, did="+19495431333")
    assert preview(f"DID,destination\n{did},1020\n").counts["unchanged"] == 1


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("1-800-FLOWERS,1020", "did", "not a telephone number"),
        ("12,1020", "did", "too few or too many"),
        ("+1949543133312345678,1020", "did", "too few or too many"),
        ("1.94954E+10,1020", "did", "rounded"),
        (",1020", "did", "empty"),
        ("9495431334,", "destination", "empty"),
        ("9495431334,1099", "destination", "no agent and no ring group 1099"),
        ("9495431334,1030", "destination", "is not active"),
        ("949-543-1335,1020", "did", "Row 2 has the same"),
    ],
)
def test_each_wrong_cell_is_named_with_the_fix(ann: Agent, row: str, column: str, words: str) -> None:
    Agent.objects.create(extension="1030", name="Off", is_active=False)
    result = preview(f"did,destination\n(949) 543 1335,1020\n{row}\n")
    [problem] = result.problems
    assert (problem.row, problem.column) == (3, column) and words in problem.text


def test_an_inactive_agent_is_refused_also_when_the_file_does_not_name_it(ann: Agent) -> None:
    off = Agent.objects.create(extension="1030", name="Off", is_active=False)
    make_route(off, did="+19495431333", is_active=False)
    [problem] = preview("did,active\n+19495431333,yes\n").problems
    assert problem.column == "destination" and "is not active" in problem.text


@pytest.mark.parametrize("kind", ["0", "1"])
def test_a_round_trip_changes_nothing(admin_client: Client, ann: Agent, kind: str) -> None:
    make_route(ann, did="+19495431333", description="=cmd|'/c calc'!A1")
    make_route(ann, did="+4930123456", description=" spaces, and “quotes” ", is_active=False)
    content = admin_client.post(EXPORT, {"format": kind, "resource": "0"}).content
    page = upload(admin_client, content)
    assert page.context["result"].counts == {"new": 0, "changed": 0, "unchanged": 2, "wrong": 0}
    before = list(InboundRoute.objects.values_list("did", "destination", "description", "is_active"))
    InboundRoute.objects.all().delete()
    confirm(admin_client, upload(admin_client, content))
    assert list(InboundRoute.objects.values_list("did", "destination", "description", "is_active")) == before


def test_the_export_asks_for_no_secrets_because_there_are_none(admin_client: Client, ann: Agent) -> None:
    assert "secrets" not in admin_client.get(EXPORT).content.decode()
    assert admin_client.post(EXPORT, {"format": "0", "resource": "0", "secrets": "on"}).status_code == 403


def test_many_routes_take_no_more_queries_than_few(ann: Agent) -> None:
    def imported(first: int, count: int) -> int:
        rows = "".join(f"+1949543{number},1020\n" for number in range(first, first + count))
        with CaptureQueriesContext(connection) as captured:
            assert (
                InboundRouteResource()
                .import_data(sheets.read(f"did,destination\n{rows}".encode()))
                .may_be_imported
            )
        return len(captured)

    assert imported(1000, 2) == imported(2000, 90)


@pytest.mark.parametrize(
    ("resource", "make"),
    [
        (
            RingGroupResource,
            lambda: make_group(make_agent(), "+12025550123", then=Destination.to(make_agent())),
        ),
        (GatewayResource, lambda: make_gateway("carrier1", registers=True, username="a", password="s3cret")),
        (OutboundRouteResource, lambda: make_outbound(second_gateway=make_gateway(), hours=make_hours())),
        (
            InboundRouteResource,
            lambda: make_route(hours=make_hours(), closed_destination=Destination.to(make_agent())),
        ),
    ],
)
def test_every_kind_of_routing_makes_the_round_trip(resource: Any, make: Any) -> None:
    make_outbound()
    make()
    content = exported(resource(secrets=True))
    result = resource(secrets=True).import_data(sheets.read(content), dry_run=True)
    assert not result.problems and not result.base_errors
    assert (result.counts["new"], result.counts["changed"]) == (0, 0)
    assert b"s3cret" not in exported(resource())


def exported(resource: Any) -> bytes:
    found = resource.export(queryset=resource._meta.model.objects.all())
    return sheets.to_csv(found.headers, found)


def test_groups_and_failovers_are_imported_as_they_are_typed(ann: Agent) -> None:
    make_outbound()
    result = RingGroupResource().import_data(
        sheets.read(b"extension;name;members;then\n6000;Sales;1020, +1 202 555 0123;voicemail 1020\n")
    )
    assert result.problems[0].column == "members"  # separated by semicolons, within quotes
    content = 'extension,name,members,then\n6000,Sales,"1020; +1 202 555 0123",voicemail 1020\n'
    assert RingGroupResource().import_data(sheets.read(content.encode())).may_be_imported
    group = RingGroup.objects.get()
    assert [str(each) for each in group.members] == [f"agent:{ann.pk}", "number:+12025550123"]
    assert str(group.then) == f"voicemail:{ann.pk}"
