"""Two people who have the same form open: the second is told before the first one's change is undone."""

import re
from typing import Any

import pytest
from django.test import Client

from agents.models import Agent
from tests.factories import make_agent, make_hours, make_switch, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


class Tab:
    """A browser's tab with a form open: what it holds is what it posts."""

    def __init__(self, path: str, user: Any) -> None:
        self.client, self.path = Client(), path
        self.client.force_login(user)
        self.read(self.client.get(path))

    def read(self, response: Any) -> None:
        self.page = response.content.decode()
        form = response.context["adminform"].form
        values = {name: form[name].value() for name in form.fields}
        self.values = {name: value for name, value in values.items() if value not in (None, False, "")}
        for field in re.findall(r'<input type="hidden"[^>]*>', self.page):
            name, value = (re.search(rf'{key}="([^"]*)"', field) for key in ("name", "value"))
            if name and value and (name[1] == "seen" or name[1].startswith("initial-")):
                self.values[name[1]] = value[1]

    def save(self, **typed: object) -> bool:
        """Whether it was saved; if not, the tab shows the form with what is wrong."""
        self.values.update(typed)
        response = self.client.post(self.path, self.values)
        if response.status_code != 302:
            self.read(response)
        return response.status_code == 302


def two_tabs(agent: Agent) -> tuple[Tab, Tab]:
    make_switch()
    path = f"/agents/agent/{agent.pk}/change/"
    return Tab(path, make_user(username="vera")), Tab(path, make_user(username="wim"))


def test_the_second_to_save_is_told_and_keeps_what_was_typed() -> None:
    agent = make_agent(1020, name="Grace")
    first, second = two_tabs(agent)
    assert first.save(name="Grace Hopper")
    assert not second.save(email="grace@example.com")
    assert "vera at" in second.page and "“Grace” → “Grace Hopper”" in second.page
    assert second.values["email"] == "grace@example.com"
    agent.refresh_from_db()
    assert (agent.name, agent.email) == ("Grace Hopper", "")
    assert second.save(name="Grace Hopper")
    agent.refresh_from_db()
    assert (agent.name, agent.email) == ("Grace Hopper", "grace@example.com")


def test_one_who_is_alone_saves_as_often_as_wanted() -> None:
    agent = make_agent(1020)
    tab = Tab(f"/agents/agent/{agent.pk}/change/", make_user())
    assert tab.save(name="One")
    tab.read(tab.client.get(tab.path))
    assert tab.save(name="Two")


def test_a_double_click_saves_once_and_says_nothing() -> None:
    agent = make_agent(1020)
    tab, _ = two_tabs(agent)
    assert tab.save(name="One") and tab.save(name="One")


def test_a_form_with_another_mistake_tells_of_both() -> None:
    first, second = two_tabs(make_agent(1020))
    assert first.save(name="One")
    assert not second.save(extension="10x2", name="Two")
    assert "An extension is 4 to 6 digits" in second.page and "changed after you opened it" in second.page


def test_business_hours_that_were_closed_meanwhile_are_not_opened_by_a_save() -> None:
    make_switch()
    hours = make_hours()
    path = f"/routes/businesshours/{hours.pk}/change/"
    holidays = {"holidays-TOTAL_FORMS": 0, "holidays-INITIAL_FORMS": 0}
    first, second = Tab(path, make_user(username="vera")), Tab(path, make_user(username="wim"))
    first.values.update(holidays)
    second.values.update(holidays)
    assert first.save(saturday="10:00-12:00")
    assert not second.save(sunday="10:00-12:00")
    hours.refresh_from_db()
    assert (hours.saturday, hours.sunday) == ("10:00-12:00", "")
