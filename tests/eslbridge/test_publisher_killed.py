"""A worker that is killed between any two steps of the publisher: files can be loaded, and all arrives."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from agents.models import Agent
from eslbridge.client import Client
from eslbridge.models import PendingChange, Switch
from eslbridge.publishing import publisher as publishing
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.publisher import Publisher
from eslbridge.publishing.state import sync_states
from eslbridge.simulator import Simulator
from eslbridge.simulator.configuration import load
from eslbridge.switchxml import managed_by
from tests.conftest import BASE_DIR, _url_of_test_database
from tests.eslbridge.mortal_publisher import KILLED
from tests.factories import make_agent


@pytest.fixture
def publish_until(
    transactional_db: None, switch: Switch, simulator: Simulator
) -> Iterator[Callable[[int], int]]:
    """Lets a process publish until that step; returns its exit code."""
    module = ["-m", "tests.eslbridge.mortal_publisher", str(switch.pk), str(simulator.esl_port)]
    environment = os.environ | {
        "DATABASE_URL": _url_of_test_database(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    with subprocess.Popen(
        [sys.executable, *module],
        cwd=BASE_DIR,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:

        def until(step: int) -> int:
            process.stdin.write(f"{step}\n")
            return int(process.stdout.readline())

        yield until
        process.stdin.close()


def passwords_on_the_switch(esl: Client) -> dict[str, str]:
    answers = {
        extension: esl.api("user_data", f"{extension}@127.0.0.1 param password")
        for extension in ("1020", "1021", "1022", "1023")
    }
    return {extension: answer for extension, answer in answers.items() if answer}


def half_files(conf: Path) -> list[str]:
    """Managed files that are not whole."""
    return [
        path.name
        for path in conf.rglob("*.xml")
        if managed_by(text := path.read_text()) and not text.endswith("</include>\n")
    ]


# Some thirty processes live and die, one after another, each with a PostgreSQL session of its own: four
# seconds, but more than a minute where ten others want the processor.
@pytest.mark.timeout(400)
def test_killed_between_any_two_steps_the_change_still_arrives(
    publish_until: Callable[[int], int],
    simulator: Simulator,
    switch: Switch,
    esl: Client,
    switch_folders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renamed, moving, coming = make_agent(1020), make_agent(1021), make_agent(1023)
    queue_differences(switch, differences(switch, switch_folders))
    Publisher(switch, esl, switch_folders).publish()
    unharmed = 0
    for step in count():
        renamed.name = f"Name {step}"
        renamed.rotate_password()
        moving.extension = "1022" if moving.extension == "1021" else "1021"
        moving.save()
        coming.is_active = not coming.is_active
        coming.save()
        so_far = len(simulator.received)

        code = publish_until(step)

        assert code in (0, KILLED), "the publisher must not fail, see above"
        load(switch_folders, {})  # raises when a switch that starts now could not read its files
        assert half_files(switch_folders) == []

        monkeypatch.setattr(publishing, "_swept", set())  # as in a worker that starts
        outcome = Publisher(switch, esl, switch_folders).publish(wait=True)

        assert outcome.failed == {}
        assert not PendingChange.objects.exists()
        assert {each.name for each in sync_states([renamed, moving]).values()} == {"live"}
        assert passwords_on_the_switch(esl) == {
            agent.extension: agent.password for agent in Agent.objects.active()
        }
        assert differences(switch, switch_folders) == []
        assert list(switch_folders.rglob(".*")) == []
        ended = [command.split()[5] for _, command in list(simulator.received)[so_far:] if "flush" in command]
        assert "1020@127.0.0.1" in ended, "the old password's registration must end"
        unharmed = unharmed + 1 if code == 0 else 0
        if unharmed == 2:
            break
    assert step > 20, "most steps were not found"
