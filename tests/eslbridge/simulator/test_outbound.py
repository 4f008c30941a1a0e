"""The ``socket`` application: the switch connects to a server, which drives the call."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from eslbridge.simulator import Simulator

from .conversation import Conversation, eventually

RULE = """\
<include>
<extension name="menu">
<condition field="destination_number" expression="^7000$">
<action application="socket" data="127.0.0.1:{port} {mode}"/>
<action application="set" data="after=socket"/>
</condition>
</extension>
</include>
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


def call(simulator: Simulator, conf_dir: Path, server: socket.socket, mode: str) -> Conversation:
    """A phone dials the menu; the connection that the switch makes."""
    rule = RULE.format(port=server.getsockname()[1], mode=mode)
    (conf_dir / "dialplan/default/menu.xml").write_text(rule)
    with Conversation(simulator.esl_port) as control:
        control.api("reloadxml")
    simulator.phones["1000"].place_call("7000")
    return Conversation(0, password=None, connection=server.accept()[0])


def execute(connection: Conversation, application: str, data: str = "") -> None:
    lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}"]
    assert connection.command("\n".join([*lines, f"execute-app-arg: {data}"]))["Reply-Text"] == "+OK"


def connect(connection: Conversation) -> dict[str, str]:
    connection.send("connect\n\n")
    frame = connection.read_until(lambda frame: frame["Event-Name"] == "CHANNEL_DATA")
    return dict(frame.headers)


@pytest.mark.parametrize(("pin", "result"), [("4711#", "success"), ("9", "failure")])
def test_a_menu_behind_a_pin(
    simulator: Simulator, conf_dir: Path, server: socket.socket, pin: str, result: str
) -> None:
    with call(simulator, conf_dir, server, "async full") as menu:
        headers = connect(menu)
        assert (headers["Content-Type"], headers["Channel-Caller-ID-Number"]) == ("command/reply", "1000")
        assert (headers["Socket-Mode"], headers["Control"]) == ("async", "full")
        menu.command("myevents json")
        execute(menu, "answer")
        execute(menu, "play_and_get_digits", "4 4 1 500 # silence_stream://250 none pin 4711")
        menu.wait_for("CHANNEL_EXECUTE", Application="play_and_get_digits")
        simulator.phones["1000"].press(pin)
        done = menu.wait_for("CHANNEL_EXECUTE_COMPLETE", Application="play_and_get_digits")
        assert done["variable_read_result"] == result
        assert menu.command("getvar read_result")["Reply-Text"] == result
        menu.command("sendmsg\ncall-command: hangup")
        menu.read_until(lambda frame: frame.kind == "text/disconnect-notice")


def test_a_server_that_lets_go_leaves_the_call_to_the_dialplan(
    simulator: Simulator, conf_dir: Path, server: socket.socket
) -> None:
    with Conversation(simulator.esl_port) as control:
        control.command("event json CHANNEL_HANGUP_COMPLETE")
        with call(simulator, conf_dir, server, "") as menu:
            connect(menu)
            execute(menu, "set", "colour=red")
            assert menu.command("exit")["Reply-Text"] == "+OK bye"
        done = control.wait_for("CHANNEL_HANGUP_COMPLETE")
        assert (done["variable_colour"], done["variable_after"]) == ("red", "socket")


def test_a_caller_who_hangs_up_ends_the_conversation(
    simulator: Simulator, conf_dir: Path, server: socket.socket
) -> None:
    with call(simulator, conf_dir, server, "async full") as menu:
        connect(menu)
        assert menu.command("linger 1")["Reply-Text"] == "+OK will linger 1 seconds"
        simulator.phones["1000"].hangup()
        notice = menu.read_until(lambda frame: frame["Content-Disposition"] == "linger")
        assert notice["Linger-Time"] == "1"
        menu.read_until(lambda frame: frame["Content-Disposition"] == "disconnect")
        eventually(lambda: menu.receive(0.1) or menu.ended)


def test_only_full_control_may_ask_the_switch(
    simulator: Simulator, conf_dir: Path, server: socket.socket
) -> None:
    with call(simulator, conf_dir, server, "async") as menu:
        connect(menu)
        for command in ("api status", "event plain ALL", "linger"):
            assert menu.command(command)["Reply-Text"] == "-ERR command not found"


def test_nobody_listens(simulator: Simulator, conf_dir: Path) -> None:
    (conf_dir / "dialplan/default/menu.xml").write_text(RULE.format(port=1, mode="async full"))
    with Conversation(simulator.esl_port) as control:
        control.command("event json CHANNEL_HANGUP_COMPLETE")
        control.api("reloadxml")
        inbound = simulator.phones["1000"].place_call("7000")
        assert control.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)["variable_after"] == "socket"
