"""What tests of calls share: a user with a phone, and two more phones, on the simulated switch."""

import subprocess
from typing import Any

import pytest

from agents import presence
from eslbridge.simulator import Simulator
from eslbridge.store import StoreIsEmpty
from tests.conftest import wait_until

from .making import an_agent

Worker = subprocess.Popen[bytes]
PHONES = {"1020": "Alice", "1021": "Bob", "1022": "Carol"}


@pytest.fixture
def alice(simulator: Simulator, worker: Worker, django_user_model: Any) -> Any:
    """A user with the phone 1020; Bob has 1021, Carol 1022. All are registered and answer after a moment."""
    user = django_user_model.objects.create_user("alice")
    for extension, name in PHONES.items():
        an_agent(extension, name, user=user if extension == "1020" else None)
    wait_until(lambda: PHONES.keys() <= registered(), "registered phones", seconds=30)  # the worker starts
    for extension in PHONES:
        simulator.phones[extension].answer_after = 0.05
    return user


def registered() -> set[str]:
    try:
        return set(presence.registered())
    except StoreIsEmpty:
        return set()  # the worker has just started
