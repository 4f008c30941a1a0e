"""A worker that is killed between any two steps of the publisher: files can be loaded, and all arrives."""

import os
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.db import connection

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
from tests.factories import make_agent

KILLED, FAILED = 9, 1


class Steps:
    """Counts the crossings to disk, switch and database; ends this process without a word at one of them."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.crossed = 0

    def cross(self) -> None:
        if self.crossed == self.last:
            os._exit(KILLED)
        self.crossed += 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def crossing(*arguments: Any, **options: Any) -> Any:
            self.cross()
            return function(*arguments, **options)

        return crossing

    def around_sql(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.cross()
        return execute(*arguments)


def publish_and_be_killed(switch: Switch, port: int, last: int) -> NoReturn:
    """The life of a worker process that dies before its step number `last`."""
    steps = Steps(last)
    client = Client("127.0.0.1", port, "ClueCon")
    client.connect()
    for name in ("open", "fsync", "replace", "unlink"):
        setattr(os, name, steps.around(getattr(os, name)))
    client.bgapi = steps.around(client.bgapi)  # type: ignore[method-assign]
    client.api_many = steps.around(client.api_many)  # type: ignore[method-assign]
    with connection.execute_wrapper(steps.around_sql):
        Publisher(switch, client, Path(switch.conf_dir)).publish(wait=True)
    os._exit(0)


def in_a_process_of_its_own(switch: Switch, port: int, last: int) -> int:
    """Returns the exit code."""
    connection.close()
    connection.close_pool()
    child = os.fork()
    if child == 0:
        try:
            publish_and_be_killed(switch, port, last)
        except BaseException:  # noqa: BLE001 - nothing of pytest may run in this process
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(FAILED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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


@pytest.mark.django_db(transaction=True)
def test_killed_between_any_two_steps_the_change_still_arrives(
    simulator: Simulator, switch: Switch, esl: Client, switch_folders: Path, monkeypatch: pytest.MonkeyPatch
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

        code = in_a_process_of_its_own(switch, simulator.esl_port, step)

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
