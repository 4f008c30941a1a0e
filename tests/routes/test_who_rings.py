"""“Who rings if …”: the command, the page and the box, over files that were really published."""

import html
import io
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from agents import presence
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.publisher import Publisher
from eslbridge.store import store
from routes import who_rings
from tests.factories import make_agent, make_route, make_user

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def office(publisher: Publisher, settings: Any, redis_client: Any) -> Path:
    """1020 Ada and 1021 Grace, and a DID for Ada, on the switch."""
    ada = make_agent(1020, name="Ada")
    make_agent(1021, name="Grace")
    make_route(ada, did="+19495431333")
    queue_differences(publisher.switch, differences(publisher.switch, publisher.disk.root))
    publisher.publish()
    settings.FS_TIME_ZONE = "Europe/Berlin"
    return Path(settings.FS_CONF_DIR)


def asked(*arguments: str) -> str:
    out = io.StringIO()
    call_command("route", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def refusal(*arguments: str) -> str:
    with pytest.raises(CommandError) as refused:
        asked(*arguments)
    return str(refused.value)


@pytest.mark.parametrize("number", ["+19495431333", "+1 949-543-1333", "tel:+1(949)5431333"])
def test_the_command_says_who_rings(office: Path, number: str) -> None:
    said = asked(number, "--from", "+15551230000", "--at", "2026-12-24 18:05").splitlines()
    rule = "rule inbound_19495431333 (dialplan/public/inbound_19495431333.xml)"
    assert said[0] == f"The number +1 949-543-1333 is a DID: {rule}."
    assert "Rings 1020 Ada for 30 s." in said
    assert "If nobody answers: voicemail of 1020 Ada." in said


def test_an_extension_that_calls_begins_in_its_own_context(office: Path) -> None:
    said = asked("1021", "--from", "1020")
    assert "taken by rule patchbay_agents (dialplan/00_patchbay.xml)" in said
    assert "Rings 1021 Grace for 30 s." in said


def test_an_extension_asked_about_without_a_caller_is_told_how_to_ask(office: Path) -> None:
    said = asked("1021")
    assert "call is taken to come from outside" in said and "a phone to 1021 Grace" in said
    assert "taken to come from outside" not in asked("1021", "--from", "1020")
    assert "taken to come from outside" not in asked("1021", "--context", "patchbay")
    assert "taken to come from outside" not in asked("+19495431333")


def test_an_extension_that_is_none_is_said_and_taken_for_a_caller_from_outside(office: Path) -> None:
    said = asked("+19495431333", "--from", "1999")
    assert said.startswith("The switch's directory has no user 1999: the call is taken to come from outside.")
    assert "Rings 1020 Ada" in said


def test_hand_made_rules_are_told_of_too(office: Path) -> None:
    (office / "dialplan/public/00_mine.xml").write_text(
        '<include>\n<extension name="mine"><condition field="destination_number" expression="^\\+?1949">'
        '<action application="lua" data="mine.lua"/></condition></extension>\n</include>\n'
    )
    said = asked("+19495431333")
    assert "is taken by rule mine (dialplan/public/00_mine.xml)" in said
    assert "Cannot tell what the application lua does: mine.lua." in said


def test_the_moment_is_one_of_the_sites_time_zone(office: Path, settings: Any) -> None:
    """18:05 in New York is 00:05 of the next day at the switch."""
    settings.TIME_ZONE = "America/New_York"
    (office / "dialplan/public/00_hours.xml").write_text(
        '<include>\n<extension name="night"><condition wday="6" time-of-day="00:00-00:10">'
        '<action application="hangup" data="USER_BUSY"/></condition></extension>\n</include>\n'
    )
    said = asked("+19495431333", "--at", "2026-12-24 18:05")
    assert "It is Friday 25 December 2026, 00:05 in Europe/Berlin, which is within the rule's hours" in said
    assert "The call is hung up (busy, USER_BUSY)." in said


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["${system(x)}"], "number"),
        (["1020 XML default"], "number"),
        (["1020", "--from", "a b"], "--from"),
        (["1020", "--at", "tomorrow"], "--at"),
        (["1020", "--context", "nowhere"], "--context"),
        (["x" * 65], "number"),
        ([""], "number"),
    ],
)
def test_what_cannot_be_asked_names_the_option_and_the_fix(
    office: Path, arguments: list[str], option: str
) -> None:
    assert refusal(*arguments).startswith(f"{option}: ")


def test_a_context_can_be_chosen(office: Path) -> None:
    assert "rule vmain (dialplan/default.xml)" in asked("4000", "--context", "default")
    assert "It has: default, features, patchbay, public." in refusal("1", "--context", "x")


def test_a_folder_that_cannot_be_read_is_said(office: Path, settings: Any, tmp_path: Path) -> None:
    settings.FS_CONF_DIR = str(tmp_path / "nothing")
    assert "FS_CONF_DIR" in refusal("1020")


def test_a_file_that_is_broken_is_named(office: Path) -> None:
    (office / "dialplan/public/broken.xml").write_text("<include>\n<extension>\n</include>\n")
    assert "dialplan/public/broken.xml, line" in refusal("1020")


def test_phones_as_they_are_now(office: Path, settings: Any) -> None:
    device = presence.Device("1021", "sip:1021@x", "phone", "udp", "127.0.0.1:5060", 0, 9e9)
    store().hset(presence._key(settings.SWITCH_NAME), "1021", presence.orjson.dumps([device.__dict__]))
    assert "Nobody rings: 1020 Ada: not registered." in asked("1020", "--from", "1021", "--now")
    assert "Rings 1021 Grace for 30 s." in asked("1021", "--from", "1021", "--now")


def test_the_switchs_zone_is_this_hosts_unless_it_is_set(
    settings: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    settings.FS_TIME_ZONE = ""
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    monkeypatch.setattr(who_rings, "LOCAL_TIME", link)
    assert who_rings.own_zone() == ZoneInfo("Asia/Tokyo")
    settings.FS_TIME_ZONE = "Europe/Paris"
    assert who_rings.own_zone() == ZoneInfo("Europe/Paris")
    settings.FS_TIME_ZONE = ""
    monkeypatch.setattr(who_rings, "LOCAL_TIME", tmp_path / "none")
    assert datetime.now(who_rings.own_zone()).utcoffset() is not None


# --- pages -----------------------------------------------------------------------------------------------


@pytest.fixture
def site(client: Client, office: Path) -> Client:
    client.force_login(make_user())
    return client


def words(response: Any) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def test_the_page_asks_and_answers(site: Client) -> None:
    assert "Who rings if …" in words(site.get(reverse("admin:index")))
    empty = site.get(reverse("who_rings"))
    assert "Number called" in words(empty)
    answered = site.get(reverse("who_rings"), {"number": "+19495431333", "at": "2026-12-24T18:05"})
    assert "Rings 1020 Ada for 30 s." in words(answered)
    assert 'value="2026-12-24T18:05"' in answered.content.decode()


def test_the_answer_alone_is_a_fragment(site: Client) -> None:
    page = site.get(reverse("who_rings_answer"), {"number": "1021", "caller": "1020"})
    assert "Rings 1021 Grace for 30 s." in words(page)
    assert "<html" not in page.content.decode()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"number": ""}, "This field is required."),
        ({"number": HOSTILE}, "cannot be dialled"),
        ({"number": "1020", "at": "soon"}, "Write a date and time like 2026-12-24 18:05."),
        ({"number": "1020", "context": HOSTILE}, "The dialplan has no context"),
    ],
)
def test_what_cannot_be_asked_is_said_and_escaped(site: Client, query: dict[str, str], said: str) -> None:
    for name in ("who_rings", "who_rings_answer"):
        page = site.get(reverse(name), query)
        assert page.status_code == 200
        assert said in words(page)
        assert HOSTILE not in page.content.decode()


def test_names_and_files_are_escaped(site: Client, office: Path, publisher: Publisher) -> None:
    make_agent(1022, name="Bobby <b>Tables</b>")
    publisher.publish()
    assert (
        "Bobby &lt;b&gt;Tables&lt;/b&gt;"
        in site.get(reverse("who_rings_answer"), {"number": "1022", "caller": "1020"}).content.decode()
    )


def test_a_switch_that_cannot_be_read_is_a_sentence_on_the_page(site: Client, settings: Any) -> None:
    settings.FS_CONF_DIR = "/nowhere"
    page = site.get(reverse("who_rings"), {"number": "1020"})
    assert "The switch's configuration cannot be read" in words(page)


def test_only_who_may_see_routes_may_ask(client: Client, office: Path) -> None:
    client.force_login(make_user(is_superuser=False))
    assert client.get(reverse("who_rings")).status_code == 403
    client.logout()
    assert client.get(reverse("who_rings")).status_code == 302


def test_the_page_of_a_route_asks_for_its_number(site: Client) -> None:
    from routes.models import InboundRoute

    route = InboundRoute.objects.get()
    page = site.get(reverse("admin:routes_inboundroute_change", args=[route.pk])).content.decode()
    assert 'value="+19495431333"' in page
    assert 'hx-trigger="load, submit' in page
    assert "Who rings if …</h2>" not in site.get(reverse("admin:routes_inboundroute_add")).content.decode()
