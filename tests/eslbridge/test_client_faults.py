"""The whole client against everything that the simulated switch can play between a client and a switch."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eslbridge.client import Client, Connected, Disconnected
from eslbridge.protocol.errors import AuthenticationFailed, ConnectionLost, ESLError, Rejected, Timeout
from eslbridge.protocol.events import Event
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from eslbridge.simulator.faults import Faults

from .scripted_switch import until


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    write_vanilla(tmp_path / "conf", users=range(1000, 1001))
    with Simulator(tmp_path / "conf") as running:
        yield running
        assert running.errors == []


class Heard:
    def __init__(self) -> None:
        self.states: list[Connected | Disconnected] = []
        self.events: list[Event] = []

    def client(self, simulator: Simulator) -> Client:
        return Client(
            "127.0.0.1",
            simulator.esl_port,
            subscriptions=["HEARTBEAT"],
            on_state=self.states.append,
            on_events=self.events.extend,
            retry=(0.01, 0.05),
            timeout=0.5,
            silence=0.3,
        )

    @property
    def losses(self) -> list[ESLError]:
        return [state.error for state in self.states if isinstance(state, Disconnected)]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Faults.drop_connections, ConnectionLost),
        (Faults.half_open, ConnectionLost),
        (Faults.garbage, ESLError),
        (Faults.cut_in_frame, ConnectionLost),
    ],
)
def test_a_connection_that_is_no_good_is_dropped_and_made_again(
    simulator: Simulator, fault: Callable[[Faults], object], error: type[ESLError]
) -> None:
    heard = Heard()
    with heard.client(simulator) as client:
        client.connect()
        fault(simulator.faults)
        until(lambda: heard.losses)
        assert isinstance(heard.losses[0], error)
        simulator.faults.clear()
        until(lambda: client.is_connected and isinstance(heard.states[-1], Connected))
        assert heard.states[-1] == Connected(gap=True, reply="+OK accepted")
        assert client.api("echo", "again") == "again"
        simulator.heartbeat()
        until(lambda: heard.events)


@pytest.mark.parametrize(
    ("fault", "error"), [(Faults.refuse_auth, AuthenticationFailed), (Faults.reject_acl, Rejected)]
)
def test_a_switch_that_refuses_us_is_asked_again(
    simulator: Simulator, fault: Callable[[Faults], object], error: type[ESLError]
) -> None:
    heard = Heard()
    fault(simulator.faults)
    with heard.client(simulator) as client:
        client.start()
        until(lambda: len(heard.losses) >= 2)
        assert {type(loss) for loss in heard.losses} == {error}
        simulator.faults.clear()
        until(lambda: client.is_connected)


def test_a_slow_switch_costs_a_time_out_and_nothing_else(simulator: Simulator) -> None:
    heard = Heard()
    with heard.client(simulator) as client:
        client.connect()
        simulator.faults.slow(0.2)
        with pytest.raises(Timeout):
            client.api("echo", "slow", timeout=0.05)
        assert client.api("echo", "mine", timeout=5) == "mine"
    assert heard.losses == []


def test_single_bytes_are_as_good_as_any(simulator: Simulator) -> None:
    heard = Heard()
    simulator.faults.split_every_byte()
    with heard.client(simulator) as client:
        client.connect()
        assert client.bgapi("status").result().startswith("UP ")
        simulator.heartbeat()
        until(lambda: heard.events)
    assert heard.losses == []


def test_a_switch_that_crashes_and_comes_back_is_found_again(simulator: Simulator) -> None:
    heard = Heard()
    with heard.client(simulator) as client:
        client.connect()
        simulator.restart()
        until(lambda: len(heard.states) >= 3 and client.is_connected, 10)
        assert client.api("echo", "again") == "again"
