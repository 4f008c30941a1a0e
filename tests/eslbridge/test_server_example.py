"""The example of docs/eslbridge.md, run as it stands there against the simulator."""

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from eslbridge.client import Client
from eslbridge.protocol.events import Event
from eslbridge.server import OutboundServer
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla

from .scripted_switch import until

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
RULE = """\
<include>
<extension name="menu">
<condition field="destination_number" expression="^7000$">
<action application="socket" data="127.0.0.1:{port} {mode}"/>
</condition>
</extension>
</include>
"""


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pin_menu", DOCS / "pin_menu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def port(example: ModuleType) -> Iterator[int]:
    """Where the example's menu listens, in a thread of its own."""
    server = OutboundServer(example.menu, port=0)
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert started.wait(5)
    yield server.port
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()
    assert server.calls == 0


@pytest.fixture
def mode() -> str:
    return "async full"


@pytest.fixture
def simulator(tmp_path: Path, port: int, mode: str) -> Iterator[Simulator]:
    write_vanilla(tmp_path / "conf", users=range(1000, 1002))
    (tmp_path / "conf/dialplan/default/menu.xml").write_text(RULE.format(port=port, mode=mode))
    with Simulator(tmp_path / "conf", answer_after=0.05, register_delay=0.01) as running:
        until(lambda: len(running.phones) == 2 and all(phone.registered for phone in running.phones.values()))
        yield running


class Follower:
    """A client that remembers the events, and presses keys when a menu asks for them."""

    def __init__(self, simulator: Simulator) -> None:
        self.events: list[Event] = []
        self.client = Client(
            "127.0.0.1",
            simulator.esl_port,
            subscriptions=[
                "CHANNEL_EXECUTE",
                "CHANNEL_EXECUTE_COMPLETE",
                "CHANNEL_BRIDGE",
                "CHANNEL_HANGUP_COMPLETE",
            ],
            on_events=self.events.extend,
        )

    def has(self, name: str, **headers: str) -> bool:
        wanted = {key.replace("_", "-"): value for key, value in headers.items()}
        return any(
            event.name == name and all(event.get(key) == value for key, value in wanted.items())
            for event in list(self.events)
        )

    def asked_for(self, variable: str) -> bool:
        return any(
            event.name == "CHANNEL_EXECUTE" and event.get("Application-Data", "").endswith(f" {variable}")
            for event in list(self.events)
        )


def dial(simulator: Simulator, follower: Follower, keys: dict[str, str]) -> None:
    """Phone 1000 dials the menu and presses `keys` when it is asked for a variable."""
    follower.client.connect()
    simulator.phones["1000"].place_call("7000")
    for variable, digits in keys.items():
        until(lambda name=variable: follower.asked_for(name), 10)
        simulator.phones["1000"].press(digits)


@pytest.mark.parametrize("mode", ["async full", "async", "full", ""])
def test_the_right_pin_and_1_connects(simulator: Simulator) -> None:
    follower = Follower(simulator)
    with follower.client:
        dial(simulator, follower, {"pin": "4711", "choice": "1"})
        until(lambda: follower.has("CHANNEL_BRIDGE"), 10)
        assert follower.has("CHANNEL_EXECUTE", Application="transfer", Application_Data="1001 XML default")
        simulator.phones["1000"].hangup()


def test_the_right_pin_and_another_digit_says_goodbye(simulator: Simulator) -> None:
    follower = Follower(simulator)
    with follower.client:
        dial(simulator, follower, {"pin": "4711", "choice": "5"})
        until(lambda: follower.has("CHANNEL_HANGUP_COMPLETE", Hangup_Cause="NORMAL_CLEARING"), 10)
        assert follower.has("CHANNEL_EXECUTE_COMPLETE", Application="playback")


def test_a_wrong_pin_is_rejected(simulator: Simulator) -> None:
    follower = Follower(simulator)
    with follower.client:
        dial(simulator, follower, {"pin": "0815"})
        until(lambda: follower.has("CHANNEL_HANGUP_COMPLETE", Hangup_Cause="CALL_REJECTED"), 10)
        assert not follower.asked_for("choice")


def test_a_caller_may_hang_up_in_the_middle(simulator: Simulator) -> None:
    follower = Follower(simulator)
    with follower.client:
        dial(simulator, follower, {})
        until(lambda: follower.asked_for("pin"), 10)
        simulator.phones["1000"].hangup()
        until(lambda: follower.has("CHANNEL_HANGUP_COMPLETE"), 10)


def test_the_documentation_shows_this_example() -> None:
    assert (DOCS / "pin_menu.py").read_text() in (DOCS / "eslbridge.md").read_text()
