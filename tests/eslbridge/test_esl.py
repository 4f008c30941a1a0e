"""The command that asks the switch one thing, as `fs_cli -x` does."""

import io
import socket
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from eslbridge.client import Client
from eslbridge.simulator import Simulator


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
