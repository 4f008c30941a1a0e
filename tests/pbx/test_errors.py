"""Error pages, also those for developers, show no password."""

from typing import Any

import pytest
from django.test import Client

from agents.models import Agent
from eslbridge.models import Switch
from tests.factories import make_agent, make_switch

PIN = "739184"


@pytest.mark.parametrize("debug", [False, True])
def test_an_error_while_an_agent_is_saved_shows_no_secret(
    admin_client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    settings.DEBUG = debug
    make_switch()
    agent = make_agent(1020)

    def broken(self: Agent, *arguments: Any, **options: Any) -> None:
        typed, kept = self.voicemail_pin, self.password
        raise RuntimeError(f"not for {typed and kept and self}")

    monkeypatch.setattr(Agent, "save", broken)
    admin_client.raise_request_exception = False
    posted = {"extension": "1020", "name": "Alice", "media": "either", "button_rings": "all"}
    posted["voicemail_pin"] = PIN
    answer = admin_client.post(f"/agents/agent/{agent.pk}/change/", posted)

    page = answer.content.decode()
    assert answer.status_code == 500
    assert ("not for 1020" in page) is debug, "developers are told what is wrong"
    assert PIN not in page
    assert agent.password not in page


def test_a_broken_rendering_shows_no_secret(
    admin_client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True
    make_switch()
    agent = make_agent(1020)
    monkeypatch.setattr("agents.switchxml.document", None)  # called when all values are in place
    admin_client.raise_request_exception = False
    page = admin_client.get(f"/agents/agent/{agent.pk}/change/")
    assert page.status_code == 500
    assert "agents/switchxml.py" in page.content.decode()
    assert agent.password not in page.content.decode()
    assert Switch.objects.exists()
