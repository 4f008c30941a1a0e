"""The command that asks the switch one thing, as `fs_cli -x` does."""

import io
import json
import os
import pty
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from eslbridge.client import Client
from eslbridge.management.commands.esl import api_names, completer
from eslbridge.simulator import Simulator
from tests.conftest import wait_until


def esl(*words: str) -> str:
    out = io.StringIO()
    call_command("esl", *words, stdout=out)
    return out.getvalue()


def test_it_prints_the_answer(simulator: Simulator) -> None:
    answer = esl("status")
    assert answer.startswith("UP 0 years")
    assert "is ready" in answer


@pytest.mark.parametrize("words", [["echo hello world"], ["echo", "hello", "world"], ["  echo hello world "]])
def test_the_command_may_be_one_word_or_many(simulator: Simulator, words: list[str]) -> None:
    assert esl(*words) == "hello world\n"


def test_an_answer_that_is_not_text_can_be_printed(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "api", lambda *_, **__: "caf\udce9")
    assert esl("status") == "caf\ufffd\n"


def test_an_empty_answer_is_an_empty_line(simulator: Simulator) -> None:
    assert esl("global_getvar", "nosuchvariable") == "\n"


def test_an_unknown_command_ends_with_the_switchs_words(simulator: Simulator) -> None:
    with pytest.raises(CommandError, match="-ERR nosuch Command not found!"):
        esl("nosuch")


@pytest.mark.parametrize("command", ["status\n\nevent plain ALL", "status\r\n", "", "   "])
def test_what_is_no_command_is_not_sent(simulator: Simulator, command: str) -> None:
    if command == "status\r\n":
        assert "is ready" in esl(command)
        return
    with pytest.raises(CommandError):
        esl(command)
    assert not any("event" in received for _, received in simulator.received)


def test_a_wrong_password_is_said_with_the_fix(simulator: Simulator, settings: Any) -> None:
    settings.FS_ESL_PASSWORD = "wrong"
    with pytest.raises(CommandError, match="refuses the password: set FS_ESL_PASSWORD"):
        esl("status")


def test_a_switch_that_is_away_is_said(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings.FS_HOST, settings.FS_ESL_PORT = "127.0.0.1", port
    with pytest.raises(CommandError, match=f"does not answer at 127.0.0.1:{port}: .*refused"):
        esl("status")


def test_without_a_host_it_is_said_what_to_set(settings: Any) -> None:
    settings.FS_HOST = ""
    with pytest.raises(CommandError, match="FS_HOST is not set"):
        esl("status")


def test_events_are_followed_one_readable_line_each(simulator: Simulator) -> None:
    out, seen = follow("patchbay::probe", "--count", "2")
    send_probes(simulator, out, 2)
    seen.join(10)
    assert [line.split()[1:] for line in out.getvalue().splitlines()] == [
        ["patchbay::probe", "user", "1000"],
        ["patchbay::probe", "user", "1000"],
    ]


def test_events_as_json_have_every_header(simulator: Simulator) -> None:
    out, seen = follow("patchbay::probe", "--json", "--count", "1")
    send_probes(simulator, out, 1)
    seen.join(10)
    event = json.loads(out.getvalue())
    assert (event["Event-Name"], event["from-user"]) == ("CUSTOM", "1000")


def test_events_that_the_switch_does_not_know_are_refused_in_its_words(simulator: Simulator) -> None:
    with pytest.raises(
        CommandError, match=r"refuses these events: event json NOSUCHEVENT: .*no keywords supplied"
    ):
        call_command("esl", "--events", "NOSUCHEVENT", "--count", "1")


def test_events_that_were_meant_to_be_followed_are_not_passed_over(simulator: Simulator) -> None:
    with pytest.raises(CommandError, match="separated by commas: what is 'sofia::register'"):
        call_command("esl", "sofia::register", "--events", "CHANNEL_ANSWER", "--count", "1")


@pytest.mark.parametrize("words", [["--json", "status"], ["--count", "1"]])
def test_options_of_events_without_events_are_not_passed_over(words: list[str]) -> None:
    with pytest.raises(CommandError, match="--json and --count go with --events"):
        call_command("esl", *words)


def test_an_address_that_the_switch_refuses_is_said_with_the_fix(simulator: Simulator) -> None:
    simulator.faults.reject_acl()
    with pytest.raises(CommandError, match="refuses our address: add it to the list that apply-inbound-acl"):
        esl("status")


def follow(*words: str) -> tuple[io.StringIO, threading.Thread]:
    out = io.StringIO()
    thread = threading.Thread(target=lambda: call_command("esl", "--events", *words, stdout=out), daemon=True)
    thread.start()
    return out, thread


def send_probes(simulator: Simulator, out: io.StringIO, count: int) -> None:
    """Sends events of our own once the follower has subscribed to them."""
    wait_until(lambda: any(text.startswith("event ") for _, text in simulator.received), "the subscription")
    with Client("127.0.0.1", simulator.esl_port, "ClueCon") as client:
        client.connect()
        for _ in range(count):
            client.sendevent("CUSTOM", {"Event-Subclass": "patchbay::probe", "from-user": "1000"})
    wait_until(out.getvalue, "an event")


def test_alone_it_is_a_console_that_goes_on_after_an_error(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("echo one\nnosuch\n\necho two\n"))
    out, err = io.StringIO(), io.StringIO()
    call_command("esl", stdout=out, stderr=err)
    assert out.getvalue().split() == ["one", "two"]
    assert "-ERR nosuch Command not found!" in err.getvalue()


def test_the_console_completes_what_the_switch_has(simulator: Simulator) -> None:
    with Client("127.0.0.1", simulator.esl_port, "ClueCon") as client:
        client.connect()
        names = api_names(client)
    begins = 0
    complete = completer(names, lambda: begins)
    assert "reloadxml" in names
    assert complete("reloadx", 0) == "reloadxml "
    assert complete("reloadx", 1) is None
    begins = 6  # what comes behind a command is no command
    assert complete("st", 0) is None


TAKE_TERMINAL = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches this process
sys.argv = ["manage.py", "esl"]
runpy.run_path("manage.py", run_name="__main__")
"""


class Terminal:
    """A console in a process of its own, on a terminal."""

    def __init__(self, simulator: Simulator, var: Path) -> None:
        self.shown = ""
        self._ours, theirs = pty.openpty()
        environment = {
            **os.environ,
            "FS_HOST": "127.0.0.1",
            "FS_ESL_PORT": str(simulator.esl_port),
            "FS_ESL_PASSWORD": "ClueCon",
            "PATCHBAY_VAR_DIR": str(var),
            "TERM": "dumb",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            cwd=Path(__file__).parent.parent.parent,
            start_new_session=True,
        )
        os.close(theirs)

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self._read(), text, 30)

    def _read(self) -> str:
        with suppress(OSError):
            while select.select([self._ours], [], [], 0)[0]:
                self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
        return self.shown

    def type(self, keys: str) -> None:
        self.shown = ""
        os.write(self._ours, keys.encode())

    def close(self, keys: str = "\x04") -> int:
        self.type(keys)
        try:
            return self._process.wait(20)
        finally:
            self._process.kill()
            os.close(self._ours)


def test_on_a_terminal_the_console_completes_and_remembers(simulator: Simulator, tmp_path: Path) -> None:
    """Tab completes with what the switch told of its commands; the arrow brings back the last session's."""
    first = Terminal(simulator, tmp_path)
    first.wait_for("Tab completes")
    first.wait_for("127.0.0.1> ")
    first.type("hostn\t\n")
    first.wait_for(simulator.switch.hostname)
    assert first.close() == 0
    second = Terminal(simulator, tmp_path)
    second.wait_for("127.0.0.1> ")
    second.type("\x1b[A\n")
    second.wait_for(simulator.switch.hostname)
    assert second.close() == 0
    assert [text for _, text in simulator.received if "hostname" in text] == ["api hostname"] * 2


def test_ctrl_c_takes_back_a_line_and_ends_a_wait_but_not_the_console(
    simulator: Simulator, tmp_path: Path
) -> None:
    terminal = Terminal(simulator, tmp_path)
    terminal.wait_for("127.0.0.1> ")
    terminal.type("half typed\x03")
    terminal.wait_for("127.0.0.1> ")
    terminal.type("msleep 500\n")
    wait_until(lambda: "api msleep 500" in [text for _, text in simulator.received], "the command")
    terminal.type("\x03")
    terminal.wait_for("Not waited for.")
    terminal.wait_for("127.0.0.1> ")
    assert "Traceback" not in terminal.shown
    terminal.type("hostname\n")
    terminal.wait_for(simulator.switch.hostname)
    simulator.stop()
    terminal.type("hostname\n")
    terminal.wait_for("not connected to 127.0.0.1:")
    assert terminal.close() == 0


def test_following_ends_without_a_word_when_nobody_reads(simulator: Simulator, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "FS_HOST": "127.0.0.1",
        "FS_ESL_PORT": str(simulator.esl_port),
        "FS_ESL_PASSWORD": "ClueCon",
        "PATCHBAY_VAR_DIR": str(tmp_path),
    }
    following = subprocess.Popen(
        [sys.executable, "manage.py", "esl", "--events", "HEARTBEAT"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=Path(__file__).parent.parent.parent,
    )
    try:
        assert following.stdout is not None
        assert following.stderr is not None
        following.stdout.close()
        while following.poll() is None:
            simulator.heartbeat()
            with suppress(subprocess.TimeoutExpired):
                following.wait(0.05)
        assert (following.returncode, following.stderr.read()) == (0, b"")
        following.stderr.close()
    finally:
        following.kill()
