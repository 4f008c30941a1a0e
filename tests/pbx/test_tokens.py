"""API tokens: made and shown once, used by programs, refused with what to do."""

import json
import logging
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_library
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from calls.live import Projection
from calls.models import Dial
from pbx import api
from pbx.models import ApiToken
from tests.calls.making import SWITCH, a_switch, a_user, an_agent
from tests.conftest import BASE_DIR

pytestmark = pytest.mark.django_db

ADD, LIST, CALLS = "/pbx/apitoken/add/", "/pbx/apitoken/", "/api/v1/calls"
PERMISSIONS = ("view_apitoken", "add_apitoken", "change_apitoken", "delete_apitoken")


@pytest.fixture(autouse=True)
def the_switch(redis_client: "redis_library.Redis") -> None:
    """A connected switch on which nobody talks."""
    a_switch()
    Projection(SWITCH).take_stock([], lambda commands: [])


def a_token(user: User, **values: Any) -> str:
    token = ApiToken(user=user, **{"name": "CRM", **values})
    secret = token.give()
    token.save()
    return secret


def ask(secret: str, path: str = CALLS, **data: Any) -> Any:
    """As a program does: no cookie, no CSRF token."""
    client = Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {secret}"}
    if data:
        return client.post(path, data, content_type="application/json", headers=headers)
    return client.get(path, headers=headers)


def alice() -> User:
    user = a_user("alice", staff=False)
    an_agent("1020", "Alice", user=user)
    return user


# Making


def add(client: Client, user: User, **values: str) -> Any:
    posted = {"name": "CRM", "user": user.pk, "expires_at_0": "", "expires_at_1": "", **values}
    return client.post(ADD, posted)


def test_a_token_is_made_shown_once_and_only_its_hash_is_kept(admin_client: Client, admin_user: User) -> None:
    page = add(admin_client, admin_user)
    assert "no-store" in page["Cache-Control"]
    (secret,) = set(re.findall(r"patchbay_[\w-]{43}", page.content.decode()))
    assert ask(secret).json() == []

    token = ApiToken.objects.get()
    everywhere = [admin_client.get(path).content.decode() for path in (LIST, f"{LIST}{token.pk}/change/")]
    everywhere += [str(ApiToken.objects.values().get()), *map(str, LogEntry.objects.values())]
    assert not [text for text in everywhere if secret in text]
    assert secret.startswith(token.beginning)
    assert timezone.now() - token.used_at < timedelta(seconds=60)
    again = add(admin_client, admin_user).content.decode()
    assert "There is a token of this name." in again
    assert ApiToken.objects.count() == 1


def test_only_a_superuser_makes_tokens_of_others(admin_user: User) -> None:
    bob = a_user("bob", permissions=PERMISSIONS)
    client = Client()
    client.force_login(bob)
    assert "Select a valid choice" in add(client, admin_user).content.decode()
    assert add(client, bob).status_code == 200
    assert [token.user for token in ApiToken.objects.all()] == [bob]
    a_token(admin_user, name="secret plans")
    assert "secret plans" not in client.get(LIST).content.decode()
    theirs = ApiToken.objects.get(name="secret plans")
    assert client.get(f"{LIST}{theirs.pk}/change/").status_code == 302
    assert client.post(f"{LIST}{theirs.pk}/delete/", {"post": "yes"}).status_code == 302
    client.post(LIST, {"action": "revoke", "_selected_action": [theirs.pk]})
    theirs.refresh_from_db()
    assert theirs.revoked_at is None
    client.force_login(a_user("carol"))
    assert client.get(LIST).status_code == 403


def test_a_token_that_would_be_over_already_is_not_made(admin_client: Client, admin_user: User) -> None:
    past = add(admin_client, admin_user, expires_at_0="2020-01-01", expires_at_1="00:00:00")
    assert "That is over already." in past.content.decode()
    future = add(admin_client, admin_user, expires_at_0="2999-01-01", expires_at_1="00:00:00")
    assert "patchbay_" in future.content.decode()


# Using


def test_a_token_has_the_rights_and_the_phone_of_its_user() -> None:
    secret = a_token(alice())
    asked = ask(secret, "/api/v1/dials", number="1021")
    assert (asked.status_code, asked.json()["extension"]) == (201, "1020")
    assert Dial.objects.get().requested_by.username == "alice"
    an_agent("1021", "Bob")
    for_bob = ask(secret, "/api/v1/dials", number="1022", extension="1021")
    assert (for_bob.status_code, for_bob.json()["detail"]) == (
        403,
        "You may not make another agent's phone dial.",
    )


def refused(secret: str) -> str:
    answer = ask(secret)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    return answer.json()["detail"]


def test_a_token_that_opens_nothing_says_why(
    admin_client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "refusals", api.Refusals())
    secret = a_token(alice())
    assert "not known here. Make a new one" in refused(secret[:-1])
    assert "not known here" in refused("")
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "has expired" in refused(secret)
    ApiToken.objects.update(expires_at=None)
    User.objects.filter(username="alice").update(is_active=False)
    assert "may not use the site" in refused(secret)
    User.objects.filter(username="alice").update(is_active=True)
    assert ask(secret).status_code == 200
    admin_client.post(LIST, {"action": "revoke", "_selected_action": [ApiToken.objects.get().pk]})
    assert "was revoked" in refused(secret)
    assert "revoked" in admin_client.get(LIST).content.decode()

    for _ in range(20):
        refused("patchbay_guess")
    told = [record.getMessage() for record in caplog.records if record.name == "pbx.api"]
    assert [re.findall(r"minute: (\d+)", text) for text in told] == [["1"], ["10"]]
    assert "127.0.0.1" in told[0]
    assert secret[:-1] not in caplog.text
    assert "guess" not in caplog.text


def test_the_log_does_not_grow_with_the_addresses(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "pbx.api")
    counted = api.Refusals()
    counted.MOST = 3
    for number in range(100):
        counted.note(f"192.0.2.{number}", "unknown")
    told = [record.getMessage().partition(" within")[0].rpartition(" to ")[2] for record in caplog.records]
    assert told == ["192.0.2.0", "192.0.2.1", "192.0.2.2", "other addresses", "other addresses"]


def test_who_sends_nothing_is_told_how_to_come_in_and_a_session_needs_its_csrf_token() -> None:
    for answer in (
        Client().get(CALLS),
        Client().post(CALLS + "/x/hold"),
        Client(enforce_csrf_checks=True).post(CALLS + "/x/hold"),
    ):
        assert answer.status_code == 401
        assert "Authorization: Bearer" in answer.json()["detail"]
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice())
    strange = browser.post("/api/v1/dials", {"number": "1021"}, content_type="application/json")
    assert strange.status_code == 403
    assert "X-CSRFToken" in strange.json()["detail"]
    assert not Dial.objects.exists()


def test_the_use_of_a_token_is_noted_once_a_minute(django_assert_num_queries: Any) -> None:
    secret = a_token(alice())
    ask(secret)
    with django_assert_num_queries(1):
        ApiToken.objects.presented(secret)
    ApiToken.objects.update(used_at=timezone.now() - timedelta(minutes=2))
    with django_assert_num_queries(2):
        ApiToken.objects.presented(secret)


@pytest.mark.django_db(transaction=True)
def test_the_example_of_the_documentation(live_site: str) -> None:
    a_switch()
    text = Path(BASE_DIR, "docs/click-to-dial.md").read_text()
    (example,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    environment = os.environ | {"PATCHBAY": live_site, "PATCHBAY_TOKEN": a_token(alice())}
    said = subprocess.run(
        ["bash", "-c", example], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout)["number"] == "1021"
    assert Dial.objects.get().requested_by.username == "alice"
