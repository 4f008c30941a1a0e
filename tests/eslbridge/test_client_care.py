"""What a client does for those who use it in ways that nobody meant: fork, Ctrl-C, commands of their own."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eslbridge.client import Client, Connected, Disconnected
from eslbridge.protocol import commands
from eslbridge.protocol.errors import AuthenticationFailed, CommandFailed, ConnectionLost, Timeout
from eslbridge.protocol.events import Event
from eslbridge.session import Session
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla

from .scripted_switch import ScriptedSwitch, until


@pytest.fixture
def switch() -> Iterator[ScriptedSwitch]:
    with ScriptedSwitch() as running:
        yield running


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    write_vanilla(tmp_path / "conf", users=range(1000, 1001))
    with Simulator(tmp_path / "conf") as running:
        yield running


def client_of(switch: ScriptedSwitch, password: str = "ClueCon") -> Client:
    return Client("127.0.0.1", switch.port, password, timeout=5.0, retry=(0.01, 0.04))


# connect after start


def test_connect_waits_for_a_client_that_was_started_and_does_not_close_it(switch: ScriptedSwitch) -> None:
    with client_of(switch, "wrong") as client:
        client.start()
        with pytest.raises(AuthenticationFailed):
            client.connect(timeout=0.1)
        switch.password = "wrong"
        client.connect()
        assert client.api("status") == "UP"
        client.connect()  # as often as one likes


def test_connect_after_start_says_that_it_took_too_long() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Client("127.0.0.1", silent.getsockname()[1], timeout=5.0) as client,
    ):
        client.start()
        with pytest.raises(Timeout, match=r"not connected to 127.0.0.1:\d+ in 0.05 s"):
            client.connect(timeout=0.05)


def test_who_waits_in_connect_hears_at_once_that_the_client_is_closed(switch: ScriptedSwitch) -> None:
    client = client_of(switch, "wrong")
    client.start()
    closing = threading.Timer(0.05, client.close)
    closing.start()
    with pytest.raises(ConnectionLost, match="the client is closed"):
        client.connect(timeout=60)
    closing.join()


def test_a_client_that_was_never_started_says_what_to_do(switch: ScriptedSwitch) -> None:
    client = client_of(switch)
    with pytest.raises(ConnectionLost, match=r"call connect\(\) or start\(\) first"):
        client.api("status")


# fork


def in_a_child(work: Callable[[], str]) -> str:
    """What `work` returns, or what it raised, in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = work()
        except Exception as error:  # noqa: BLE001  # the parent tells what it should have been
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_does_not_disturb_its_parents_connection(simulator: Simulator) -> None:
    states: list[Connected | Disconnected] = []
    with Client("127.0.0.1", simulator.esl_port, on_state=states.append) as client:
        client.connect()
        for ask in (
            lambda: client.api("echo", "child"),
            lambda: client.bgapi("echo", "child"),
            client.connect,
            client.start,
        ):
            said = in_a_child(lambda ask=ask: str(ask()))
            assert said == "ConnectionLost: this client is of the process before the fork: make one after it"

        def close_and_make_another() -> str:
            assert not client.is_connected
            client.close()
            with Client("127.0.0.1", simulator.esl_port) as own:
                own.connect()
                return own.bgapi("echo", "own").result()

        assert in_a_child(close_and_make_another) == "own"
        assert client.api("echo", "parent") == "parent"
    assert states == [Connected(gap=False, reply="+OK accepted")]


# Ctrl-C


def test_a_command_that_is_interrupted_on_its_way_out_shifts_no_answers(
    switch: ScriptedSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Connected | Disconnected] = []
    with Client("127.0.0.1", switch.port, on_state=lost.append, retry=(0.01, 0.04)) as client:
        client.connect()

        def interrupt(session: Session, data: bytes, deadline: float = 0.0) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Session, "write", interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.api("echo", "interrupted")
        until(lambda: len(lost) == 3)
        assert client.api("echo", "mine") == "mine"
    assert isinstance(lost[1], Disconnected)
    assert str(lost[1].error) == "a command was interrupted: KeyboardInterrupt"


# What makes no sense


def test_one_text_is_no_list_of_subscriptions(switch: ScriptedSwitch) -> None:
    for make in (
        lambda: Client("127.0.0.1", subscriptions="HEARTBEAT"),
        lambda: Client("127.0.0.1", subscriptions=[5]),  # type: ignore[list-item]
        lambda: Client("127.0.0.1").subscribe(["TALK"]),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"^(subscriptions|names): must be"):
            make()
    with pytest.raises(ValueError, match=r"^format: must be plain, json or xml"):
        Client("127.0.0.1", event_format="yaml")  # type: ignore[arg-type]


def test_an_api_command_cannot_be_sent_as_one_that_is_answered_by_a_reply(switch: ScriptedSwitch) -> None:
    with client_of(switch) as client:
        client.connect()
        with pytest.raises(ValueError, match=r"^command: .* use api"):
            client.send(commands.Api("status"))
        assert client.api("status") == "UP"


# Subscriptions by hand


@pytest.mark.parametrize(
    "ended", [commands.NoEvents(), commands.NixEvent(("ALL",)), commands.NixEvent(("BACKGROUND_JOB", "TALK"))]
)
def test_jobs_are_completed_after_their_events_were_ended_by_hand(
    simulator: Simulator, ended: commands.Command
) -> None:
    with Client("127.0.0.1", simulator.esl_port) as client:
        client.connect()
        client.subscribe("TALK", "HEARTBEAT")
        assert client.bgapi("echo", "1").result() == "1"
        client.send(ended)
        assert client.bgapi("echo", "2").result() == "2"


def test_events_that_were_asked_for_by_hand_are_shown_until_they_are_ended(simulator: Simulator) -> None:
    heard: list[Event] = []
    with Client("127.0.0.1", simulator.esl_port, on_events=heard.extend) as client:
        client.connect()
        client.bgapi("echo", "1").result()
        client.send(commands.Events(("BACKGROUND_JOB",)))
        client.bgapi("echo", "2").result()
        until(lambda: heard)
        client.send(commands.NixEvent(("BACKGROUND_JOB",)))
        client.bgapi("echo", "3").result()
        client.send(commands.MyEvents("nobody"))
        client.subscribe("TALK")
        with pytest.raises(CommandFailed):
            client.execute("nobody", "sleep").result()
    assert [event.body.strip() for event in heard] == ["2"]
