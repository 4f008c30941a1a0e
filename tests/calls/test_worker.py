"""The worker as a process of its own with the simulated switch: dials, records, and what cuts them short."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents import presence
from calls import dialling, live, tasks
from calls.legs import ANSWERED, RINGING
from calls.models import Dial
from cdr.models import Call as Record
from cdr.models import Leg
from eslbridge.models import Switch
from eslbridge.simulator import Simulator
from tests.conftest import start_worker, stop_worker, wait_until

from .making import SWITCH, a_dial, an_agent

Worker = subprocess.Popen[bytes]


@pytest.fixture
def phones(simulator: Simulator, worker: Worker) -> Simulator:
    """Alice has 1020 and Bob 1021; both phones are registered and answer after a moment."""
    for extension, name in (("1020", "Alice"), ("1021", "Bob")):
        an_agent(extension, name)
    wait_until(lambda: registered() == {"1020", "1021"}, "two registered phones", 30)
    for extension in ("1020", "1021"):
        simulator.phones[extension].answer_after = 0.05
    return simulator


def registered() -> set[str]:
    return {user for user in presence.users(SWITCH) if user.startswith("102")}


def alice() -> Any:
    from agents.models import Agent

    return Agent.objects.get(extension="1020")


def state_of(asked: Dial) -> str:
    asked.refresh_from_db()
    return asked.state


def until(asked: Dial, *states: str) -> Dial:
    wait_until(lambda: state_of(asked) in states, f"the dial to be {states}, not {asked.state} {asked.cause}")
    return asked


def originates(simulator: Simulator) -> list[str]:
    return [command for _, command in simulator.received if "originate" in command]


def test_a_dial_from_the_button_to_the_record(phones: Simulator, settings: Any) -> None:
    asked = until(dialling.dial(alice(), "1021", None), Dial.State.ANSWERED)
    (call,) = live.active_calls()
    assert (call.caller, call.callee, call.state, len(call.legs)) == ("1020", "1021", ANSWERED, 2)
    dialling.cancel(asked)
    until(asked, Dial.State.ENDED)
    wait_until(lambda: Leg.objects.filter(call=asked.pk).count() == 2, "both legs")
    record = Record.objects.get()
    assert (record.kind, record.caller, record.callee, record.reached) == (
        "click_to_dial",
        "1020",
        "1021",
        "1021",
    )
    wait_until(lambda: live.active_calls() == [], "the end of the call")

    # The switch's files tell the same once more, when the worker looks: after a reconnection.
    folder = Path(settings.FS_CDR_DIR)
    wait_until(lambda: len(list(folder.glob("*.cdr.json"))) == 2, "the files")
    phones.faults.drop_connections()
    wait_until(lambda: len(list((folder / "done").glob("*.cdr.json"))) == 2, "the files to be done")
    assert Leg.objects.count() == 2
    assert Record.objects.get() == record


HOSTILE = ("1000 &system(x)", "system:touch x inline", "${system(x)}", "1021\n\napi system x", "-both x")


def dial_what_is_hostile(simulator: Simulator) -> None:
    """Straight from the database: the worker, too, checks what it sends."""
    before = originates(simulator)
    asked = [Dial.objects.create(extension="1020", number=number, switch=SWITCH) for number in HOSTILE]
    asked.append(Dial.objects.create(extension="1020}", number="1021", switch=SWITCH))
    for each in asked:
        dialling.send(tasks.originate, SWITCH, str(each.pk))
        until(each, Dial.State.FAILED)
        assert "may hold digits" in each.cause or "may not be" in each.cause
    assert originates(simulator) == before
    assert simulator.executed_commands == []


def test_why_a_dial_came_to_nothing(phones: Simulator) -> None:
    agent = alice()

    def dialled(who: str, behaviour: str) -> tuple[str, str]:
        phones.phones[who].behaviour = behaviour
        if behaviour == "offline":
            wait_until(lambda: who not in registered(), f"{who} to be gone")
        asked = dialling.dial(agent, "1021", None)
        wait_until(lambda: state_of(asked) == Dial.State.FAILED or asked.cause, "a reason")
        if not asked.is_over:
            dialling.cancel(asked)
            until(asked, Dial.State.FAILED)
        wait_until(lambda: live.active_calls() == [], "silence")
        phones.phones[who].behaviour = "answer"
        wait_until(lambda: who in registered(), f"{who} to be back")
        return asked.state, asked.cause

    assert dialled("1021", "busy") == (Dial.State.FAILED, "Busy.")
    assert dialled("1021", "reject") == (Dial.State.FAILED, "Rejected.")
    assert dialled("1020", "busy") == (Dial.State.FAILED, "Phone 1020 is busy.")
    assert dialled("1020", "reject") == (Dial.State.FAILED, "Phone 1020 rejected the call.")
    assert dialled("1020", "offline") == (Dial.State.FAILED, "Phone 1020 is not registered.")
    dial_what_is_hostile(phones)


def test_a_command_that_waited_too_long_or_was_cancelled_rings_nobody(
    simulator: Simulator,
    transactional_db: None,
    redis_client: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = an_agent("1020", "Alice")
    late = a_dial_of(agent)
    monkeypatch.setattr(dialling, "COMMAND_EXPIRES_SECONDS", 0.01)
    dialling.send(tasks.originate, SWITCH, str(late.pk))
    monkeypatch.undo()
    worker = start_worker(settings)
    try:
        wait_until(lambda: registered() == {"1020"}, "the phone", 30)
        in_time = a_dial_of(agent)
        dialling.cancel(cancelled := a_dial_of(agent))
        dialling.send(tasks.originate, SWITCH, str(cancelled.pk))
        dialling.send(tasks.originate, SWITCH, str(in_time.pk))
        until(
            in_time, Dial.State.RINGING_AGENT, Dial.State.AGENT_ANSWERED, Dial.State.ENDED, Dial.State.FAILED
        )
        assert state_of(late) in {Dial.State.QUEUED, Dial.State.FAILED}  # given up, on a busy machine
        assert [str(in_time.pk) in command for command in originates(simulator)] == [True]
    finally:
        stop_worker(worker)


def a_dial_of(agent: Any) -> Dial:
    return Dial.objects.create(agent=agent, extension=agent.extension, number="*98", switch=SWITCH)


def test_a_connection_that_is_cut_while_the_phone_rings_loses_nothing(phones: Simulator) -> None:
    phones.phones["1021"].answer_after = 1.0
    asked = until(dialling.dial(alice(), "1021", None), Dial.State.RINGING)
    phones.faults.drop_connections()
    wait_until(lambda: Switch.objects.get().link != Switch.Link.CONNECTED, "the loss to be noticed")
    until(asked, Dial.State.ANSWERED)
    (call,) = live.active_calls()
    assert (call.state, len(call.legs)) == (ANSWERED, 2)

    # And a switch that restarts leaves no ghosts.
    phones.restart()
    until(asked, Dial.State.ENDED)
    assert asked.cause == dialling.LOST
    wait_until(lambda: Switch.objects.get().is_connected and live.active_calls() == [], "no calls")


@pytest.fixture
def next_worker(settings: Any) -> Iterator[Callable[[], Worker]]:
    """Starts one worker more."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(start_worker(settings))
        return started[-1]

    yield start
    for process in started:
        stop_worker(process)


def test_a_worker_that_is_killed_while_the_phone_rings_is_replaced(
    phones: Simulator, worker: Worker, next_worker: Callable[[], Worker]
) -> None:
    phones.phones["1020"].behaviour = "no_answer"
    asked = until(dialling.dial(alice(), "1021", None), Dial.State.RINGING_AGENT)
    gone = a_dial("00000000-0000-4000-8000-00000000dead", "1020")
    phones.phones["1021"].place_call("1020")
    wait_until(lambda: len(live.active_calls()) == 2, "the other call")
    worker.kill()
    worker.wait()
    phones.phones["1021"].hangup()
    assert not Record.objects.exists()
    next_worker()
    until(gone, Dial.State.FAILED)
    assert gone.cause == dialling.LOST
    assert state_of(asked) == Dial.State.RINGING_AGENT
    (call,) = wait_until(live.active_calls, "the dial's call")
    assert (call.uuid, call.callee, call.state) == (str(asked.pk), "1021", RINGING)
    dialling.cancel(asked)
    until(asked, Dial.State.FAILED)
    assert asked.cause == "Cancelled."
    # The call that ended while nobody listened is in the records, from its file.
    other = Record.objects.filter(caller="1021", callee="1020", answer=None)
    wait_until(other.exists, "the record of the other call")
