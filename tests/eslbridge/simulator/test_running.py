"""The simulator as a program: its command, its demo traffic, and how it keeps up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from eslbridge.simulator.traffic import Traffic

from .conversation import Conversation, eventually

USER_FILE = """\
<include>
<user id="{user}">
<params>
<param name="password" value="secret-of-{user}"/>
</params>
<variables>
<variable name="user_context" value="default"/>
</variables>
</user>
</include>
"""


def test_traffic_calls_dids_and_phones(simulator: Simulator) -> None:
    traffic = Traffic(simulator, 60.0, random.Random(1))
    assert traffic.dids() == ["19495431333"]
    with Conversation(simulator.esl_port) as client:
        client.command("event json CHANNEL_CREATE")
        placed = {traffic.place_one() for _ in range(4)}
        assert None not in placed
        eventually(lambda: client.receive(0.1) or {e["Unique-ID"] for e in client.events()} >= placed)
        inbound = [event for event in client.events() if event["Unique-ID"] in placed]
        kinds = {event["Channel-Name"].split("/")[1] for event in inbound}
        assert kinds == {"internal", "external"}


def test_fifty_calls_a_second(simulator: Simulator) -> None:
    with Conversation(simulator.esl_port) as client:
        client.command("event json CHANNEL_HANGUP_COMPLETE")
        placed = Traffic(simulator, 0.0, random.Random(1)).place_steadily(50, 1.0, lasting=0.5)
        assert len(set(placed)) == 50
        eventually(lambda: client.receive(0.1) or {e["Unique-ID"] for e in client.events()} >= set(placed))
        dispositions = {event["variable_sip_hangup_disposition"] for event in client.events()}
        assert dispositions == {"recv_bye", "send_bye"}


@pytest.mark.parametrize("ticks", range(6))
def test_who_is_being_accepted_while_it_stops_is_not_left_waiting(simulator: Simulator, ticks: int) -> None:
    async def stop_just_then() -> None:
        for _ in range(ticks):
            await asyncio.sleep(0)
        simulator._stop.set()

    def connect() -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", simulator.esl_port), 2)
        tasks.append(asyncio.get_running_loop().create_task(stop_just_then()))
        return connected

    tasks: list[asyncio.Task[None]] = []
    with simulator.switch.in_loop(connect) as connection, suppress(ConnectionResetError):
        while connection.recv(4096):
            pass
    simulator._thread.join(5)
    simulator._thread = None


def test_traffic_without_anybody_to_call(tmp_path: Path) -> None:
    write_vanilla(tmp_path)
    with Simulator(tmp_path) as simulator:
        assert Traffic(simulator, 60.0, random.Random(1)).place_one() is None


def test_traffic_ends_when_it_is_told(simulator: Simulator) -> None:
    stop = threading.Event()
    runner = threading.Thread(target=Traffic(simulator, 6000.0, random.Random(1)).run, args=[stop])
    runner.start()
    eventually(lambda: simulator.channels)
    stop.set()
    runner.join(timeout=10)
    assert not runner.is_alive()


def test_calls_of_demo_traffic_end(simulator: Simulator) -> None:
    uuid = simulator.phones["1000"].place_call("1001")
    eventually(lambda: simulator.calls)
    simulator.hang_up_later(uuid, 0.01)
    eventually(lambda: not simulator.channels)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    folders = {"FS_CONF_DIR": str(tmp_path / "conf"), "FS_CDR_DIR": str(tmp_path / "cdr")}
    known = {
        "FS_ESL_PASSWORD": "other",
        "FS_DOMAIN": "pbx.example",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    return {**os.environ, **folders, **known}


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_the_command(environment: dict[str, str], tmp_path: Path, signal_number: int) -> None:
    command = [sys.executable, "manage.py", "simulate_switch", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split()[3].rstrip(",")
        assert line == f"Simulated switch on {address}, configuration in {tmp_path / 'conf'}\n"
        with Conversation(int(address.rpartition(":")[2]), password="other") as client:
            assert client.api("global_getvar domain") == "pbx.example"
        process.send_signal(signal_number)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / "conf/dialplan/public.xml").exists()


def test_a_port_that_is_taken_is_said_plainly(environment: dict[str, str], simulator: Simulator) -> None:
    command = [sys.executable, "manage.py", "simulate_switch", "--port", str(simulator.esl_port)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{simulator.esl_port}: Address already in use" in done.stderr


def test_ten_thousand_users_reload_while_others_are_answered(tmp_path: Path) -> None:
    write_vanilla(tmp_path)
    for user in range(20000, 30000):
        (tmp_path / f"directory/default/{user}.xml").write_text(USER_FILE.format(user=user))
    with Simulator(tmp_path, register_delay=0.0) as simulator, Conversation(simulator.esl_port) as client:
        eventually(lambda: len(simulator.phones) == 10_000, seconds=60)
        eventually(lambda: all(phone.registered for phone in simulator.phones.values()), seconds=60)
        answered = 0
        client.command("event json BACKGROUND_JOB")
        client.command("bgapi reloadxml\nJob-UUID: reload")
        while not any(event["Job-UUID"] == "reload" for event in client.events()):
            assert client.api("user_exists id 29999 127.0.0.1") == "true"
            answered += 1
        assert client.events()[0]["_body"] == "+OK [Success]\n"
        assert answered > 10


def test_a_hundred_calls_at_once(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CHANNEL_HANGUP_COMPLETE BACKGROUND_JOB")
    began = time.monotonic()
    wanted = {f"call-{number}" for number in range(100)}
    for uuid in wanted:
        client.send(f"bgapi originate {{origination_uuid={uuid}}}user/1000@127.0.0.1 &hangup()\n\n")

    def ended() -> set[str]:
        return {event["Unique-ID"] for event in client.events() if "Unique-ID" in event}

    eventually(lambda: client.receive(0.1) or ended() == wanted, seconds=60)
    assert time.monotonic() - began < 30
    jobs = [event["_body"] for event in client.events() if event["Event-Name"] == "BACKGROUND_JOB"]
    assert sorted(jobs) == sorted(f"+OK {uuid}\n" for uuid in wanted)
