"""A client that logs in as a directory user, who may not do everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eslbridge.client import Client
from eslbridge.protocol.errors import AuthenticationFailed, CommandFailed
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla

from .scripted_switch import until

USERS = """\
<include>
  <user id="watcher">
    <params>
      <param name="esl-password" value="secret"/>
      <param name="esl-allowed-api" value="{api}"/>
      <param name="esl-allowed-events" value="{events}"/>
      <param name="esl-allowed-log" value="false"/>
    </params>
  </user>
</include>
"""


@pytest.fixture
def api() -> str:
    return "echo,status"


@pytest.fixture
def simulator(tmp_path: Path, api: str) -> Iterator[Simulator]:
    write_vanilla(tmp_path / "conf", users=range(1000, 1001))
    users = USERS.format(api=api, events="HEARTBEAT,CHANNEL_CREATE")
    (tmp_path / "conf/directory/default/watcher.xml").write_text(users)
    with Simulator(tmp_path / "conf") as running:
        yield running


def client_of(simulator: Simulator, password: str = "secret") -> Client:
    user = f"watcher@{simulator.switch.domain}"
    return Client("127.0.0.1", simulator.esl_port, password, user=user, retry=(0.01, 0.02))


def test_what_is_not_allowed_is_refused_in_the_switchs_words(simulator: Simulator) -> None:
    with client_of(simulator) as client:
        client.connect()
        assert client.api("echo", "x") == "x"
        for refused in (
            lambda: client.api("reloadxml"),
            lambda: client.subscribe("CHANNEL_ANSWER"),
            lambda: client.log(7),
        ):
            with pytest.raises(CommandFailed, match="-ERR permission denied"):
                refused()
        client.subscribe("CHANNEL_CREATE")


def test_a_job_that_could_not_be_followed_fails_at_once(simulator: Simulator) -> None:
    """Without BACKGROUND_JOB nobody would ever hear of its end."""
    with client_of(simulator) as client:
        client.connect()
        with pytest.raises(CommandFailed, match="BACKGROUND_JOB: -ERR permission denied"):
            client.bgapi("status").result()
        with pytest.raises(CommandFailed, match="BACKGROUND_JOB: -ERR permission denied"):
            client.bgapi("status")
        with pytest.raises(CommandFailed, match="CHANNEL_EXECUTE"):
            client.execute("uuid", "park").result()


def test_after_a_loss_what_was_refused_is_not_asked_for_again(simulator: Simulator) -> None:
    with client_of(simulator) as client:
        client.connect()
        client.subscribe("HEARTBEAT")
        with pytest.raises(CommandFailed):
            client.bgapi("status").result()
        simulator.faults.drop_connections()
        until(lambda: sum("HEARTBEAT" in command for _, command in simulator.received) == 2)
        until(lambda: client.is_connected)
        assert client.api("echo", "again") == "again"


@pytest.mark.parametrize("api", [",".join(["echo", *(f"command_{n:03}" for n in range(60))])])
def test_a_long_list_of_what_is_allowed_does_not_stop_the_login(simulator: Simulator) -> None:
    with client_of(simulator) as client:
        client.connect(timeout=2)
        assert client.api("echo", "x") == "x"


def test_a_wrong_password(simulator: Simulator) -> None:
    with client_of(simulator, "wrong") as client, pytest.raises(AuthenticationFailed):
        client.connect()
