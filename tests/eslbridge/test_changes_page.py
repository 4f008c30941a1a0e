"""The page Changes: what waits and why, Retry, the last reloads, and the buttons that ask the worker."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from eslbridge import tasks
from eslbridge.models import PendingChange, Reload, Switch
from tests.factories import make_agent, make_switch

pytestmark = pytest.mark.django_db
PAGE = "/eslbridge/pendingchange/"


@pytest.fixture
def refused(switch: Switch) -> Agent:
    """An agent that the switch does not take since yesterday."""
    agent = make_agent(1020, name="Alice")
    yesterday = timezone.now() - timedelta(days=1)
    switch.pending.update(
        error="A broken file", refused=True, attempts=9, since=yesterday, retry_at=timezone.now()
    )
    return agent


@pytest.fixture
def connected() -> Switch:
    return make_switch(link=Switch.Link.CONNECTED, seen_at=timezone.now())


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, str]]:
    """The (task, queue) that were handed to the broker."""
    found: list[tuple[Any, str]] = []
    for task in (tasks.reload_now, tasks.compare_now):
        monkeypatch.setattr(
            task, "apply_async", lambda *_, task=task, queue, **__: found.append((task, queue))
        )
    return found


def test_each_change_names_its_object_since_when_why_and_can_be_retried(
    refused: Agent, admin_client: Client
) -> None:
    page = admin_client.get(PAGE).content.decode()
    assert f'href="/agents/agent/{refused.pk}/change/"' in page
    assert "A broken file" in page
    assert f"{timezone.localtime() - timedelta(days=1):%Y-%m-%d %H:}" in page, "not today: with its date"
    assert "/changes/retry/" in page

    admin_client.post("/changes/retry/", {"kind": "agents.agent", "id": refused.pk})
    (change,) = PendingChange.objects.all()
    assert change.retry_at <= timezone.now()


def test_what_waits_stands_before_the_last_reloads(refused: Agent, admin_client: Client) -> None:
    Reload.objects.create(
        switch=Switch.objects.get(), files=3, milliseconds=17, succeeded=False, reply="+OK [bad]"
    )
    page = admin_client.get(PAGE).content.decode()
    assert (
        page.index("A broken file")
        < page.index("Last reloads")
        < page.index("17 ms")
        < page.index("+OK [bad]")
    )


def test_who_may_only_look_gets_no_buttons_and_cannot_press_them(
    refused: Agent, django_user_model: Any, client: Client
) -> None:
    user = django_user_model.objects.create_user("looker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_pendingchange"))
    client.force_login(user)
    page = client.get(PAGE).content.decode()
    assert "A broken file" in page
    for path in ("/changes/retry/", "/changes/reload/", "/changes/compare/"):
        assert path not in page
        assert client.post(path, {"kind": "agents.agent", "id": "1"}).status_code == 403


@pytest.mark.parametrize(("path", "task"), [("reload", tasks.reload_now), ("compare", tasks.compare_now)])
def test_the_worker_of_each_connected_switch_is_asked(
    connected: Switch, admin_client: Client, sent: list[tuple[Any, str]], path: str, task: Any
) -> None:
    make_switch(name="away", link=Switch.Link.LOST, seen_at=timezone.now())
    admin_client.post(f"/changes/{path}/")
    assert sent == [(task, f"switch.{connected.name}")]


@pytest.mark.parametrize("path", ["reload", "compare"])
def test_without_a_connection_the_button_says_why(
    switch: Switch, admin_client: Client, sent: list[tuple[Any, str]], path: str
) -> None:
    Switch.objects.update(seen_at=None)
    said = admin_client.post(f"/changes/{path}/").content.decode()
    assert "The worker of this switch is not running" in said
    assert sent == []
    assert admin_client.get(f"/changes/{path}/").status_code == 405


def test_a_retry_without_a_number_is_refused(admin_client: Client) -> None:
    assert admin_client.post("/changes/retry/", {"kind": "agents.agent", "id": "¹"}).status_code == 400


def test_the_banner_comes_after_thirty_seconds(switch: Switch, admin_client: Client) -> None:
    make_agent(1020)
    PendingChange.objects.update(since=timezone.now() - timedelta(seconds=25))
    assert admin_client.get("/live/banner/").content.strip() == b""
    PendingChange.objects.update(since=timezone.now() - timedelta(seconds=31))
    assert b"1 change not on the switch" in admin_client.get("/live/banner/").content
