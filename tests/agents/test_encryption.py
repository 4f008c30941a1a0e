"""Passwords in the database can be read with the site's keys only."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from agents.encryption import cipher
from agents.models import Agent
from tests.factories import make_agent

pytestmark = pytest.mark.django_db


def stored(agent: Agent) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM agents_agent WHERE id = %s", [agent.pk])
        return str(cursor.fetchone()[0])


def test_the_database_does_not_hold_the_password() -> None:
    agent = make_agent()
    assert agent.password not in stored(agent)
    assert Agent.objects.get().password == agent.password


def test_a_key_is_changed_by_putting_a_new_one_in_front(settings: Any) -> None:
    agent = make_agent()
    old, new = settings.FIELD_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    again = Agent.objects.get()
    assert again.password == agent.password

    again.save()

    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert Agent.objects.get().password == agent.password


def test_a_key_that_is_gone_is_named(settings: Any) -> None:
    make_agent()
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(ImproperlyConfigured, match=r"password was encrypted with a key .* add it"):
        Agent.objects.get()


@pytest.mark.parametrize("keys", [[], ["nonsense"], ["é" * 44], [""]])
def test_without_a_key_it_is_said_how_to_make_one(settings: Any, keys: list[str]) -> None:
    settings.FIELD_ENCRYPTION_KEYS = keys
    with pytest.raises(ImproperlyConfigured, match="Make one with: python -c"):
        cipher()


def test_another_password_differs_and_is_queued() -> None:
    agent = make_agent()
    before = agent.password
    agent.rotate_password()
    assert agent.password != before
    assert Agent.objects.get().password == agent.password
