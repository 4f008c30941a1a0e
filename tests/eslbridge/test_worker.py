"""A switch's worker as a process of its own: from its start to SIGTERM."""

import signal
import subprocess
from typing import Any

import pytest

from agents import presence
from agents.models import Agent
from eslbridge.models import Switch
from eslbridge.publishing.state import sync_states
from eslbridge.simulator import Simulator
from tests.conftest import wait_until
from tests.factories import make_agent

START_SECONDS = 30.0


def is_live(agent: Agent) -> bool:
    return sync_states([agent])[agent.pk].name == "live"


@pytest.mark.django_db(transaction=True)
def test_a_worker_publishes_registers_and_ends_on_sigterm(
    simulator: Simulator, worker: subprocess.Popen[bytes]
) -> None:
    agent = make_agent(1020)
    wait_until(lambda: is_live(agent), "the agent to be live", START_SECONDS)
    wait_until(lambda: "1020" in presence.users("switch-1"), "its phone")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(10) == 0
    assert Switch.objects.get().worker_is_gone
    assert sync_states([make_agent(1021)]).popitem()[1].why == (
        "The worker of this switch is not running, so nothing reaches the switch."
    )


@pytest.mark.django_db(transaction=True)
def test_a_worker_publishes_also_when_redis_is_away_from_the_start(
    simulator: Simulator,
    redis_client: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    agent = make_agent(1020)

    request.getfixturevalue("worker")

    wait_until(lambda: is_live(agent), "the agent to be live", START_SECONDS)
