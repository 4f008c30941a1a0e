"""Agents out into spreadsheets and in again: the preview, all or nothing, and nothing secret by accident."""

import io
import re
import time
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.importing import AgentResource, validate_password
from agents.models import Agent
from eslbridge.importing import sheets, uploads
from eslbridge.importing.resource import ImportResult
from eslbridge.models import PendingChange, PublishedFile, Switch
from eslbridge.publishing import outbox
from routes.destinations import Destination
from routes.models import InboundRoute
from tests.factories import make_route

pytestmark = pytest.mark.django_db

IMPORT = "/agents/agent/import/"
CONFIRM = "/agents/agent/process_import/"
EXPORT = "/agents/agent/export/"


@pytest.fixture(autouse=True)
def folder_for_uploads(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads.tempfile, "gettempdir", lambda: str(tmp_path))


@pytest.fixture
def switch() -> Switch:
    return Switch.objects.create(name="switch-1")


def agent(extension: str = "1020", **values: Any) -> Agent:
    return Agent.objects.create(**{"extension": extension, "name": f"Agent {extension}", **values})


def clerk(django_user_model: Any, *permissions: str, name: str = "clerk") -> Client:
    """Somebody with exactly these permissions on agents."""
    user = django_user_model.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def upload(client: Client, content: str | bytes, name: str = "agents.csv") -> HttpResponse:
    data = content.encode() if isinstance(content, str) else content
    return client.post(IMPORT, {"import_file": SimpleUploadedFile(name, data)})


def token(page: HttpResponse) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page.content.decode())
    assert found, page.content.decode()
    return found[1]


def confirm(client: Client, page: HttpResponse) -> HttpResponse:
    return client.post(CONFIRM, {"token": token(page)}, follow=True)


def preview(content: str, *, secrets: bool = True) -> ImportResult:
    return AgentResource(secrets=secrets).import_data(sheets.read(content.encode()), dry_run=True)


def problems(content: str, **options: Any) -> list[tuple[int, str]]:
    found = preview(content, **options)
    assert not found.may_be_imported and not found.base_errors
    return [(problem.row, problem.column) for problem in found.problems]


def objections(content: str, **options: Any) -> str:
    """What is wrong with the file as a whole."""
    return " ".join(str(error.error) for error in preview(content, **options).base_errors)


def state() -> list[dict[str, Any]]:
    return list(Agent.objects.values())


# --- preview and import ------------------------------------------------------------------------------


def test_the_preview_changes_nothing_and_confirming_imports(admin_client: Client, switch: Switch) -> None:
    agent("1020", name="Ann")
    page = upload(admin_client, "extension,name,call_group\n1020,Ann Lee,\n1021,Bob,support\n")
    assert Agent.objects.get().name == "Ann"
    assert page.context["result"].counts == {"new": 1, "changed": 1, "unchanged": 0, "wrong": 0}
    text = page.content.decode()
    assert "<del><bdi>Ann</bdi></del> → <ins><bdi>Ann Lee</bdi></ins>" in text
    PendingChange.objects.all().delete()

    answer = confirm(admin_client, page)
    assert "agents.csv was imported: 1 new, 1 changed, 0 unchanged." in answer.content.decode()
    assert list(Agent.objects.values_list("extension", "name", "call_group")) == [
        ("1020", "Ann Lee", ""),
        ("1021", "Bob", "support"),
    ]
    assert set(PendingChange.objects.values_list("path", flat=True)) == {
        "directory/default/1020.xml",
        "directory/default/1021.xml",
    }


def test_what_is_not_in_the_file_stays(admin_client: Client) -> None:
    before = agent("1020", name="Ann", call_group="support", may_call_international=True, media="desk")
    confirm(admin_client, upload(admin_client, "Extension;E-Mail;Active;media\n1020;ann@example.org;;\n"))
    after = Agent.objects.get()
    assert (after.email, after.call_group, after.media, after.is_active) == (
        "ann@example.org",
        "support",
        "desk",
        True,
    )
    assert (after.password, after.voicemail_pin, after.created_at) == (
        before.password,
        before.voicemail_pin,
        before.created_at,
    )


def test_an_empty_cell_empties_a_text(admin_client: Client) -> None:
    agent("1020", call_group="support", caller_id_number="4711")
    confirm(admin_client, upload(admin_client, "extension,call group,caller ID number\n1020,,\n"))
    assert list(Agent.objects.values_list("call_group", "caller_id_number")) == [("", "")]


def test_new_agents_get_passwords_of_their_own(admin_client: Client) -> None:
    confirm(admin_client, upload(admin_client, "extension,name\n1020,Ann\n1021,Bob\n"))
    ann, bob = Agent.objects.all()
    assert len(ann.password) == len(bob.password) == 24 and ann.password != bob.password
    assert ann.voicemail_pin != bob.voicemail_pin


def test_the_history_tells_what_was_changed_but_no_secret(admin_client: Client) -> None:
    agent("1020", name="Ann", voicemail_pin="4711", password="x" * 12)
    content = "extension,name,voicemail_pin,password\n1020,Zoë,8251,correct-horse-battery\n"
    confirm(admin_client, upload(admin_client, content))
    assert LogEntry.objects.get().change_message == (
        "Imported from agents.csv: name: “Ann” → “Zoë”; voicemail_pin changed; password changed."
    )
    assert Agent.objects.get().password == "correct-horse-battery"


def test_all_or_nothing(admin_client: Client, switch: Switch) -> None:
    agent("1020", name="Ann")
    before = state()
    PendingChange.objects.all().delete()
    page = upload(admin_client, "extension,name\n1020,Changed\n1021,Good\n10,Bad\n")
    assert page.context["result"].counts["wrong"] == 1 and "token" not in page.context
    assert state() == before and not PendingChange.objects.exists()
    assert "Nothing was imported" in page.content.decode()


def test_a_wrong_row_stops_a_confirmed_import_too(admin_client: Client, switch: Switch) -> None:
    page = upload(admin_client, "extension,name,user\n1020,Ann,admin\n1021,Bob,\n")
    agent("1030", user_id=Agent._meta.get_field("user").related_model.objects.get().pk)
    answer = confirm(admin_client, page)
    assert answer.status_code == 200 and "phone is 1030 already" in answer.content.decode()
    assert Agent.objects.count() == 1


def test_only_what_was_shown_is_imported(admin_client: Client) -> None:
    agent("1020", name="Ann")
    page = upload(admin_client, "extension,name\n1020,Zoë\n")
    Agent.objects.update(name="Somebody else's change")
    answer = confirm(admin_client, page)
    assert "changed since this preview" in answer.content.decode()
    assert Agent.objects.get().name == "Somebody else's change"
    assert "was imported" in confirm(admin_client, answer).content.decode()
    assert Agent.objects.get().name == "Zoë"


def test_a_preview_is_confirmed_once_in_an_hour_and_by_its_user(
    admin_client: Client, django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "extension,name\n1020,Ann\n"
    page = upload(admin_client, content)
    other = clerk(django_user_model, "add_agent", "change_agent", "view_agent")
    assert "Nothing was imported" in confirm(other, page).content.decode()
    assert "was imported" in confirm(admin_client, page).content.decode()
    assert "Nothing was imported" in confirm(admin_client, page).content.decode()

    page = upload(admin_client, content.replace("1020", "1021"))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3601)
    assert "Nothing was imported" in confirm(admin_client, page).content.decode()
    assert list(Agent.objects.values_list("extension", flat=True)) == ["1020"]


def test_a_forged_token_reads_no_file(admin_client: Client) -> None:
    answer = admin_client.post(CONFIRM, {"token": "../../etc/passwd"}, follow=True)
    assert "Nothing was imported" in answer.content.decode()


def test_uploads_are_private_and_do_not_stay(tmp_path: Any, admin_client: Client) -> None:
    page = upload(admin_client, "extension,name\n1020,Ann\n")
    [folder] = tmp_path.iterdir()
    [file] = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700 and file.stat().st_mode & 0o777 == 0o600
    confirm(admin_client, page)
    assert list(folder.iterdir()) == []


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Any, admin_client: Client) -> None:
    upload(admin_client, "extension,name\n1020,Ann\n")
    [folder] = tmp_path.iterdir()
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="not a private folder"):
        uploads.keep(b"")


# --- what is queued ----------------------------------------------------------------------------------


def test_only_changed_agents_and_their_routes_are_queued(admin_client: Client, switch: Switch) -> None:
    ann, bob = agent("1020"), agent("1021")
    make_route(ann, did="+19495431333")
    make_route(bob, did="+19495431334")
    PendingChange.objects.all().delete()
    confirm(admin_client, upload(admin_client, "extension,active\n1020,no\n1021,yes\n"))
    assert set(PendingChange.objects.values_list("path", flat=True)) == {
        "directory/default/1020.xml",
        "dialplan/public/inbound_19495431333.xml",
    }


def test_a_change_that_waits_already_gets_a_new_revision(admin_client: Client, switch: Switch) -> None:
    agent("1020")
    before = PendingChange.objects.get()
    confirm(admin_client, upload(admin_client, "extension,name\n1020,Zoë\n"))
    after = PendingChange.objects.get()
    assert after.revision != before.revision and after.since == before.since


def queries(work: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


def test_a_large_import_takes_no_more_queries_than_a_small_one(switch: Switch) -> None:
    def imported(first: int, count: int) -> None:
        numbers = range(first, first + count)
        rows = "".join(f"{number},Agent {number},,yes\n" for number in numbers)
        result = AgentResource().import_data(sheets.read(f"extension,name,user,active\n{rows}".encode()))
        assert result.may_be_imported

    few, many = queries(lambda: imported(1000, 150)), queries(lambda: imported(2000, 300))
    assert few == many
    again = queries(lambda: imported(2000, 300))
    assert again < few  # nothing to save


def test_queueing_takes_a_constant_number_of_queries(switch: Switch) -> None:
    Switch.objects.create(name="switch-2")
    agents = Agent.objects.bulk_create(Agent(extension=str(number), name="A") for number in range(1000, 1020))
    InboundRoute.objects.bulk_create(
        InboundRoute(did=f"+194954{each.extension}0", destination=Destination.to(each)) for each in agents
    )
    assert queries(lambda: outbox.queue_saved(agents[:2])) == queries(lambda: outbox.queue_saved(agents[2:]))
    assert PendingChange.objects.count() == 2 * 2 * len(agents)


def test_queueing_two_agents_that_exchange_extensions_leaves_each_path_to_its_owner(switch: Switch) -> None:
    ann, bob = Agent.objects.bulk_create(
        [Agent(extension="1020", name="A"), Agent(extension="1021", name="B")]
    )
    for each in (ann, bob):
        path = f"directory/default/{each.extension}.xml"
        PublishedFile.objects.create(switch=switch, path=path, kind="agents.agent", object_id=each.pk)
    ann.extension, bob.extension = bob.extension, ann.extension
    outbox.queue(ann, bob)
    assert dict(PendingChange.objects.values_list("path", "object_id")) == {
        "directory/default/1021.xml": ann.pk,
        "directory/default/1020.xml": bob.pk,
    }


# --- out and in again --------------------------------------------------------------------------------


def exported(client: Client, kind: str, **options: str) -> bytes:
    number = {"csv": "0", "xlsx": "1"}[kind]
    answer = client.post(EXPORT, {"format": number, "resource": "0", **options})
    assert answer.status_code == 200 and f".{kind}" in answer["Content-Disposition"]
    return answer.content


NAMES = [
    "+Plus",
    "-Minus",
    "=1+1",
    "'t Hooft",
    "'=x",
    "Zoë Müller",
    "李雷",
    "נועה",
    "🎧 Desk",
    "a, b; c",
    "1020.0",
]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("secrets", [{}, {"secrets": "on"}])
def test_a_round_trip_changes_nothing(
    admin_client: Client, admin_user: Any, kind: str, secrets: dict[str, str]
) -> None:
    for number, name in enumerate(NAMES, 1020):
        agent(str(number), name=name, caller_id_name=name, call_group="-g", voicemail_pin="0042")
    Agent.objects.filter(extension="1020").update(
        user=admin_user,
        email="+ann@example.org",
        is_active=False,
        outbound_caller_id="+19495431333",
        caller_id_number="+4930123456",
        media="webrtc",
        may_call_local=False,
        may_call_international=True,
    )
    content, before = exported(admin_client, kind, **secrets), state()
    page = upload(admin_client, content, f"agents.{kind}")
    assert page.context["result"].counts == {"new": 0, "changed": 0, "unchanged": len(NAMES), "wrong": 0}
    assert "Nothing would change" in page.content.decode()

    Agent.objects.all().delete()
    confirm(admin_client, upload(admin_client, content, f"agents.{kind}"))
    new = {"id", "created_at"} | (set() if secrets else {"password", "voicemail_pin"})
    assert [row.keys() for row in state()] == [row.keys() for row in before]
    for was, now in zip(before, state(), strict=True):
        assert {name: now[name] for name in now if name not in new} == {
            name: was[name] for name in was if name not in new
        }


def test_the_export_is_what_the_list_shows(admin_client: Client) -> None:
    agent("1020", name="Ann")
    agent("1021", name="Bob")
    answer = admin_client.post(f"{EXPORT}?q=Bob", {"format": "0", "resource": "0"})
    assert b"Bob" in answer.content and b"Ann" not in answer.content
    assert "1 agent," in admin_client.get(f"{EXPORT}?q=Bob").content.decode()


def test_an_export_takes_few_queries(admin_client: Client, django_user_model: Any) -> None:
    def users(first: int, last: int) -> None:
        for number in range(first, last):
            agent(str(number), user=django_user_model.objects.create_user(f"user{number}"))

    users(1000, 1002)
    few = queries(lambda: exported(admin_client, "csv"))
    users(1002, 1020)
    assert queries(lambda: exported(admin_client, "csv")) == few


# --- secrets -----------------------------------------------------------------------------------------

MAY_IMPORT = ("add_agent", "change_agent", "view_agent")


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_secrets_are_exported_only_when_asked_for(admin_client: Client, kind: str) -> None:
    agent("1020", password="hunter2hunter2", voicemail_pin="8251")
    headers = sheets.read(exported(admin_client, kind)).headers
    assert "password" not in headers and "voicemail_pin" not in headers
    assert not LogEntry.objects.exists()

    sheet = sheets.read(exported(admin_client, kind, secrets="on"))
    row = dict(zip(sheet.headers, sheet[0], strict=True))
    assert (row["password"], row["voicemail_pin"]) == ("hunter2hunter2", "8251")
    assert "Exported with passwords" in LogEntry.objects.get().change_message


def test_secrets_are_not_exported_without_the_permission(django_user_model: Any) -> None:
    agent("1020", password="hunter2hunter2")
    client = clerk(django_user_model, "view_agent")
    assert "secrets" not in client.get(EXPORT).content.decode()
    assert "password" not in sheets.read(exported(client, "csv")).headers
    assert client.post(EXPORT, {"format": "0", "resource": "0", "secrets": "on"}).status_code == 403
    may = clerk(django_user_model, "view_agent", "view_password", name="may")
    assert "password" in sheets.read(exported(may, "csv", secrets="on")).headers


@pytest.mark.parametrize("column", ["password", "voicemail_pin"])
def test_secrets_are_refused_without_the_permission(django_user_model: Any, column: str) -> None:
    client = clerk(django_user_model, *MAY_IMPORT)
    assert column not in client.get(IMPORT).content.decode()
    page = upload(client, f"extension,name,{column}\n1020,Ann,correct-horse-8251\n")
    assert f"The column “{column}” may be imported only by somebody who may see" in page.content.decode()
    assert "token" not in page.context


def test_empty_secret_columns_do_no_harm(django_user_model: Any) -> None:
    client = clerk(django_user_model, *MAY_IMPORT)
    before = agent("1020")
    confirm(client, upload(client, "extension,name,password,voicemail_pin\n1020,Ann,,\n1021,Bob, ,\n"))
    ann, bob = Agent.objects.all()
    assert (ann.name, ann.password, ann.voicemail_pin) == ("Ann", before.password, before.voicemail_pin)
    assert len(bob.password) == 24


def test_secrets_are_in_no_page(admin_client: Client) -> None:
    agent("1020")
    header = "extension,name,voicemail_pin,password"
    content = f"{header}\n1020,Ann,825117,correct-horse-battery\n1021,Bob,825118,short\n"
    for text in (content, content.replace("short", "correct-horse-stapler")):
        page = upload(admin_client, text).content.decode()
        assert not re.search("correct|825117|825118|short<", page)
    assert "set, not shown" in page


@pytest.mark.parametrize("password", ["correct-horse", "!\"#%&'()*+,-./:;<=>?@[]^_`|~", "$1$dollars$$$"])
def test_a_password_may_hold_any_sign_of_the_keyboard(password: str) -> None:
    validate_password(password)


@pytest.mark.parametrize(
    "password",
    ["elevenchars", "with a space in it", "pässwörter-lang", "x" * 65, "a${system(x)}bc", "abcdef$${domain}"],
)
def test_a_password_that_a_phone_or_the_switch_cannot_carry_is_refused(password: str) -> None:
    assert problems(f"extension,name,password\n1020,Ann,{password}\n") == [(2, "password")]


def test_an_old_password_need_not_be_a_good_one(admin_client: Client) -> None:
    agent("1020", password="1234")
    assert preview("extension,name,password\n1020,Zoë,1234\n").counts["changed"] == 1


@pytest.mark.parametrize("permissions", [(), ("view_agent",), ("view_agent", "add_agent"), ("change_agent",)])
def test_importing_needs_the_right_to_add_and_to_change(
    django_user_model: Any, permissions: tuple[str, ...]
) -> None:
    client = clerk(django_user_model, *permissions)
    assert client.get(IMPORT).status_code == client.post(CONFIRM).status_code == 403
    assert client.get(EXPORT).status_code == (200 if permissions else 403)


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (",Ann", "extension", "empty"),
        ("1021,", "name", "empty"),
        ("102,Ann", "extension", "4 to 6 digits"),
        ("0102,Ann", "extension", "4 to 6 digits"),
        ("../1020,Ann", "extension", "4 to 6 digits"),
        ("10 20,Ann", "extension", "4 to 6 digits"),
        ("１０２０,Ann", "extension", "4 to 6 digits"),
        ("1.02E+03,Ann", "extension", "rounded"),
        ("1020.5,Ann", "extension", "4 to 6 digits"),
        ("1021,$${default_password}", "name", "$"),
        ("1021,${system(touch x)}", "name", "$"),
        ('1021,"Ann\nLee"', "name", "line break"),
        ("1021,Ann\x07", "name", "control character"),
        ("1021,a@b", "name", "cannot carry"),
        (f"1021,{'x' * 81}", "name", "at most 80"),
    ],
)
def test_each_wrong_cell_is_named_with_the_fix(
    admin_client: Client, row: str, column: str, words: str
) -> None:
    page = upload(admin_client, f"extension,name\n1030,Good\n{row}\n")
    [problem] = page.context["problems"]
    assert (problem.row, problem.column) == (3, column) and words in problem.text
    assert f"<td>{column}</td>" in page.content.decode()
    assert not Agent.objects.exists()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("email", "ann(at)example.org", "valid email"),
        ("active", "maybe", "neither yes nor no"),
        ("media", "phone", "either \\(desk phone or browser\\)"),
        ("user", "nobody", "no site user “nobody”"),
        ("caller_id_number", "anonymous", "2 to 20 digits"),
        ("outbound_caller_id", "call me", "not a telephone"),
        ("outbound_caller_id", "12", "too few or too many"),
        ("call_group", "two words", "one word"),
        ("voicemail_pin", "1020", "may not be the extension"),
        ("voicemail_pin", "123", "4 to 10 digits"),
    ],
)
def test_each_column_has_its_rule(column: str, value: str, words: str) -> None:
    result = preview(f"extension,name,{column}\n1020,Ann,{value}\n")
    [problem] = result.problems
    assert (problem.row, problem.column) == (2, column)
    assert re.search(words, problem.text)


@pytest.mark.parametrize("name", ["Zoë", "נועה לי", "🎧", "O'Neil & Sons <b>", "x-pre-process", "\u202eevil"])
def test_strange_but_harmless_names_are_imported_and_shown_as_text(admin_client: Client, name: str) -> None:
    page = upload(admin_client, f"extension,name\n1020,{name}\n")
    assert "<b>" not in page.content.decode().partition('id="preview"')[2].partition("</table>")[0]
    confirm(admin_client, page)
    assert Agent.objects.get().name == name


def test_numbers_are_read_as_excel_leaves_them(admin_client: Client) -> None:
    header = "extension,name,caller_id_number,outbound_caller_id"
    confirm(admin_client, upload(admin_client, f"{header}\n1020.0,Ann,4711.0,1949-543-1333\n"))
    found = Agent.objects.get()
    assert (found.extension, found.caller_id_number, found.outbound_caller_id) == (
        "1020",
        "4711",
        "+19495431333",
    )


def test_numbers_of_an_xlsx_are_numbers(admin_client: Client) -> None:
    book = openpyxl.Workbook()
    for row in (
        ("extension", "name", "caller_id_number", "active"),
        (1020, "Ann", 19495431333, True),
        (1021.0, "B", 4711.0, False),
    ):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    confirm(admin_client, upload(admin_client, out.getvalue(), "agents.xlsx"))
    assert list(Agent.objects.values_list("extension", "caller_id_number", "is_active")) == [
        ("1020", "19495431333", True),
        ("1021", "4711", False),
    ]


def test_cells_without_text_are_problems_of_their_row() -> None:
    book = openpyxl.Workbook()
    for row in (("Extension", "Name"), ("=1+1", "Ann"), (1021, "#REF!")):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    result = AgentResource().import_data(sheets.read(out.getvalue()), dry_run=True)
    found = {(each.row, each.column, each.text.split(".")[0]) for each in result.problems}
    assert (2, "extension", "This is a formula") in found
    assert (3, "name", "The spreadsheet could not calculate this") in found


def test_duplicates_in_the_file_are_named_with_both_rows() -> None:
    agent("1020", name="Ann")
    result = preview("extension,name\n1020,Ann\n1021,Bob\n1020.0,Ann\n1021,Zoë\n")
    assert [(each.row, each.column, each.text[:16]) for each in result.problems] == [
        (4, "extension", "Row 2 has the sa"),
        (5, "extension", "Row 3 has the sa"),
    ]


def test_a_site_user_has_one_phone(admin_user: Any) -> None:
    agent("1020", user=admin_user)
    assert problems("extension,name,user\n1021,Bob,admin\n") == [(2, "user")]
    assert problems("extension,name,user\n1020,A,\n1021,B,admin\n1022,C,admin\n") == [(4, "user")]
    assert preview("extension,name,user\n1020,A,\n1021,B,admin\n").may_be_imported


def test_agents_may_exchange_their_users(
    admin_client: Client, admin_user: Any, django_user_model: Any
) -> None:
    other = django_user_model.objects.create_user("other")
    agent("1020", user=admin_user)
    agent("1021", user=other)
    confirm(admin_client, upload(admin_client, "extension,name,user\n1020,A,other\n1021,B,admin\n"))
    assert dict(Agent.objects.values_list("extension", "user__username")) == {
        "1020": "other",
        "1021": "admin",
    }
    confirm(admin_client, upload(admin_client, "extension,name,user\n1020,A,\n1022,C,other\n"))
    assert Agent.objects.get(user=other).extension == "1022"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            "extension,name,colour",
            "“colour” is unknown. Delete it, or rename it to one of: extension, name, email",
        ),
        ("extention,name", "“extention” is unknown. Did you mean “extension”?"),
        ("extension,,name", "Column 2 has no name"),
        ("extension,name,Name", "“name” stands there twice"),
        ("name,email", "“extension” is missing: it says which agent"),
        (
            "extension,email",
            "“name” is missing. Without it only existing agents can be changed, but row 2 is new.",
        ),
    ],
)
def test_wrong_columns_are_named(header: str, words: str) -> None:
    cells = header.replace("extension", "1020").replace("email", "ann@example.org")
    assert words in objections(f"{header}\n{cells}\n")


def test_a_file_that_is_no_table_is_refused_on_the_page(admin_client: Client) -> None:
    for content, words in ((b"", "The file is empty"), (b"%PDF-1.7", "not a spreadsheet but a PDF file")):
        page = upload(admin_client, content)
        assert page.status_code == 200 and words in page.content.decode()
    assert "This field is required" in admin_client.post(IMPORT).content.decode()


def test_too_many_bytes_are_refused_before_they_are_read(admin_client: Client) -> None:
    page = upload(admin_client, b"extension\n" + b"1" * sheets.MAX_BYTES)
    assert "at most 10 MB and 20,000 rows" in page.content.decode()


def test_100_000_rows_are_refused_with_the_limit(admin_client: Client) -> None:
    page = upload(admin_client, "extension,name\n" + "".join(f"{n},A\n" for n in range(100_000, 200_000)))
    assert "more than 20,000 rows" in page.content.decode()


def test_the_page_shows_the_first_rows_and_problems_of_many(admin_client: Client) -> None:
    page = upload(admin_client, "extension,name\n" + "".join(f"{n},A\n" for n in range(1000, 2000)))
    text = page.content.decode()
    assert "the first 300 of 1000 rows" in text and text.count('pb-chip pb-live">New') == 300
    page = upload(admin_client, "extension,name\n" + "".join(f"{n},\n" for n in range(1000, 2000)))
    text = page.content.decode()
    assert "the first 200 of 1000" in text and "1000 wrong" in text and len(page.context["problems"]) == 200
    assert len(text) < 200_000


def test_a_defect_of_ours_is_said_and_stops_the_import(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Agent) -> None:
        if self.name == "Bob":
            raise RuntimeError("out of order")

    monkeypatch.setattr(Agent, "clean", broken)
    page = upload(admin_client, "extension,name\n1020,Ann\n1021,Bob\n")
    [problem] = page.context["problems"]
    assert (problem.row, problem.text) == (3, "Could not be checked: out of order")
    assert "token" not in page.context


def test_somebody_who_adds_the_same_agent_meanwhile_stops_the_import(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = upload(admin_client, "extension,name\n1020,Ann\n1021,Bob\n")
    save = AgentResource._save

    def late(self: AgentResource) -> None:
        agent("1021", name="Somebody else's")
        save(self)

    monkeypatch.setattr(AgentResource, "_save", late)
    answer = confirm(admin_client, page)
    assert "at the same moment" in answer.content.decode()
    assert not Agent.objects.filter(extension="1020").exists()
