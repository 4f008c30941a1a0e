"""Server and client on a whole switch: always the simulated one, and a real one when FS_HOST names it.

Each test places one call of the switch to itself, so that it needs no phone. What the two switches do must be
the same: these tests are how the simulator is kept honest.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from eslbridge.client import Client
from eslbridge.protocol import commands
from eslbridge.protocol.errors import CallEnded, CommandFailed, NeedsFull
from eslbridge.protocol.events import Event
from eslbridge.protocol.frames import LogLine
from eslbridge.server import Call, OutboundServer
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla

from .scripted_switch import until

ECHO = "loopback/9196/default"
MODES = ["async full", "full", "async", ""]


@dataclass
class Watcher:
    """A client, and what it heard."""

    client: Client = field(init=False)
    events: list[Event] = field(default_factory=list)

    def has(self, name: str, **headers: str) -> bool:
        wanted = {key.replace("_", "-"): value for key, value in headers.items()}
        return any(
            event.name == name and all(event.get(key) == value for key, value in wanted.items())
            for event in list(self.events)
        )


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.real_switch)])
def watcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watcher]:
    if request.param == "real":
        port, password = os.environ.get("FS_ESL_PORT", "8021"), os.environ.get("FS_ESL_PASSWORD", "ClueCon")
        yield from watching(os.environ["FS_HOST"], int(port), password)
        return
    write_vanilla(tmp_path / "conf", users=range(1000, 1001))
    with Simulator(tmp_path / "conf") as simulator:
        yield from watching("127.0.0.1", simulator.esl_port, "ClueCon")
        assert simulator.errors == []


def watching(host: str, port: int, password: str) -> Iterator[Watcher]:
    watcher = Watcher()
    watcher.client = Client(host, port, password, on_events=watcher.events.extend)
    with watcher.client as client:
        client.connect()
        client.subscribe("CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP_COMPLETE")
        yield watcher


def originate(watcher: Watcher, application: str) -> str:
    uuid = str(uuid4())
    watcher.client.bgapi("originate", f"{{origination_uuid={uuid}}}{ECHO} {application}").result(20)
    return uuid


def serve(watcher: Watcher, mode: str, handler: Callable[[Call], Awaitable[None]], linger: int = 2) -> str:
    """Has a call handled, and raises what the handler raised. Returns the call's UUID."""
    outcome: list[BaseException | None] = []

    async def watched(call: Call) -> None:
        try:
            await handler(call)
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)
            raise

    async def run() -> str:
        async with OutboundServer(watched, port=0, linger=linger) as server:
            then = f"'socket:127.0.0.1:{server.port} {mode},set:after=1,park:' inline"
            uuid = await asyncio.to_thread(originate, watcher, then)
            while not outcome or server.calls:
                await asyncio.sleep(0.005)
            return uuid

    uuid = asyncio.run(asyncio.wait_for(run(), 30))
    if outcome[0] is not None:
        raise outcome[0]
    return uuid


@pytest.mark.parametrize("mode", MODES)
def test_applications_and_variables(watcher: Watcher, mode: str) -> None:
    async def handler(call: Call) -> None:
        assert (call.is_async, call.is_full) == ("async" in mode, "full" in mode)
        await call.answer()
        await call.set("patchbay_a", "b c")
        assert await call.getvar("patchbay_a") == "b c"
        assert await call.getvar("patchbay_none") is None
        await call.execute("set", "patchbay_long=" + "y" * 3000)
        assert len(await call.getvar("patchbay_long") or "") == (3000 if call.is_full else 511)
        await call.set("patchbay_u", "Zoë 🦊")
        assert await call.getvar("patchbay_u") == "Zoë 🦊"
        assert (await call.execute("sleep", "510", loops=2)).name == "CHANNEL_EXECUTE_COMPLETE"
        await call.execute("set", "patchbay_n=0", loops=3)
        await asyncio.gather(*(call.execute_nowait("set", f"patchbay_n={n}") for n in range(3)))
        assert await call.getvar("patchbay_n") == "2"
        await call.execute("set", "patchbay_l=1", event_lock=True)
        await call.hangup("USER_BUSY")
        assert call.hangup_cause == "USER_BUSY"

    uuid = serve(watcher, mode, handler)
    until(lambda: watcher.has("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid, Hangup_Cause="USER_BUSY"))


@pytest.mark.parametrize("mode", MODES)
def test_questions_and_subscriptions(watcher: Watcher, mode: str) -> None:
    only_full = [
        commands.Linger(5),
        commands.NoLinger(),
        commands.NixEvent(("HEARTBEAT",)),
        commands.SendEvent("CUSTOM", (("Event-Subclass", "patchbay::test"),)),
        commands.Log(3),
        commands.NoLog(),
    ]
    always = [
        commands.DivertEvents(True),
        commands.DivertEvents(False),
        commands.Filter("Unique-ID", "x"),
        commands.FilterDelete(),
    ]

    async def handler(call: Call) -> None:
        for command in always:
            assert (await call.send(command)).text.startswith("+OK")
        with pytest.raises(CommandFailed, match="aready enabled"):
            await call.send(commands.MyEvents())
        if "full" in mode:
            with pytest.raises(ValueError, match=r"^command: .* use api"):
                await call.send(commands.Api("echo", "x"))
            assert await call.api("echo", "x") == "x"
            assert await call.bgapi("echo", "y") == "y"
            for ask in (call.api, call.bgapi):
                with pytest.raises(CommandFailed, match="-ERR nosuch Command not found!"):
                    await ask("nosuch")
            await call.subscribe("HEARTBEAT")
            for command in only_full:
                assert (await call.send(command)).text.startswith("+OK")
        else:
            for ask in (call.api, call.bgapi, call.subscribe):
                with pytest.raises(NeedsFull, match="the dialplan must say `full`"):
                    await ask("HEARTBEAT")
            for command in only_full:
                with pytest.raises(CommandFailed, match="-ERR command not found"):
                    await call.send(command)
        await call.hangup()

    serve(watcher, mode, handler)


@pytest.mark.parametrize("mode", MODES)
def test_events_for_the_call_itself_are_diverted(watcher: Watcher, mode: str) -> None:
    """A parked call fires what it gets, another one keeps it; once they are diverted they come to us."""

    async def handler(call: Call) -> None:
        async def send(text: str) -> None:
            headers = {"Event-Subclass": "patchbay::test", "X": text, "unique-id": call.uuid}
            await asyncio.to_thread(watcher.client.sendevent, "CUSTOM", headers, f"to you: {text}")

        events = call.events()
        await call.execute("set", "patchbay_a=1")  # it is parked now
        await send("early")
        if call.is_async:
            await asyncio.to_thread(until, lambda: watcher.has("", X="early", Unique_ID=call.uuid))
        await call.send(commands.DivertEvents(True))
        await send("diverted")
        expected = ["diverted"] if call.is_async else ["early", "diverted"]
        seen = [event async for event in _first(events, len(expected), lambda event: "X" in event)]
        assert [(event["X"], event.name, event["Command"], event.body) for event in seen] == [
            (text, "", "sendevent CUSTOM", f"to you: {text}") for text in expected
        ]
        await call.hangup()

    watcher.client.subscribe("patchbay::test")
    serve(watcher, mode, handler)
    assert not watcher.has("", X="diverted")


async def _first(
    events: AsyncIterator[Event], count: int, wanted: Callable[[Event], bool]
) -> AsyncIterator[Event]:
    async for event in events:
        if wanted(event):
            yield event
            count -= 1
            if not count:
                return


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_is_ended_by_others(watcher: Watcher, mode: str) -> None:
    """Whether the running application is still reported as complete, or the end comes first, is a race."""

    async def handler(call: Call) -> None:
        events = call.events()
        running = call.execute_nowait("sleep", "20000")
        await asyncio.to_thread(watcher.client.api, "uuid_kill", f"{call.uuid} CALL_REJECTED")
        await asyncio.wait([running], timeout=10)
        assert running.done()
        error = running.exception()
        assert error is None or isinstance(error, CallEnded)
        seen = [event.name async for event in events]
        assert call.is_over
        # Without `full` it cannot linger, and may leave before it tells.
        assert call.hangup_cause in (("CALL_REJECTED",) if call.is_full else ("CALL_REJECTED", ""))
        assert ("CHANNEL_HANGUP_COMPLETE" in seen) == (mode == "async full") or mode == "async"
        with pytest.raises(CallEnded):
            await call.execute("playback", "x")

    uuid = serve(watcher, mode, handler)
    until(lambda: watcher.has("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid, Hangup_Cause="CALL_REJECTED"))


@pytest.mark.parametrize("mode", MODES)
def test_a_handler_that_returns_lets_the_dialplan_go_on(watcher: Watcher, mode: str) -> None:
    async def handler(call: Call) -> None:
        await call.answer()

    uuid = serve(watcher, mode, handler)
    until(lambda: watcher.has("CHANNEL_EXECUTE", Unique_ID=uuid, Application="park"))
    assert watcher.client.api("uuid_getvar", f"{uuid} after") == "1"
    watcher.client.hangup(uuid)


@pytest.mark.parametrize("mode", MODES)
def test_an_extension_of_our_own(watcher: Watcher, mode: str) -> None:
    async def handler(call: Call) -> None:
        await call.send(commands.XferExt(("set patchbay_x=1", "set patchbay_y=2 3", "park")))

    uuid = serve(watcher, mode, handler)
    until(lambda: watcher.has("CHANNEL_EXECUTE", Unique_ID=uuid, Application="park"))
    values = watcher.client.api_many([f"uuid_getvar {uuid} patchbay_{name}" for name in "xy"])
    assert values == ["1", "2 3"]
    watcher.client.hangup(uuid)


def test_a_call_of_an_inbound_connection(watcher: Watcher) -> None:
    """`myevents <uuid>` gives it the call: until that ends, and with it the connection."""
    uuid = originate(watcher, "&park()")
    heard: list[Event] = []
    client = watcher.client
    with Client(client.host, client.port, on_events=heard.extend, retry=(60, 60)) as second:
        second.connect()
        second.subscribe("HEARTBEAT")
        assert second.send(commands.MyEvents(uuid)).text == "+OK Events Enabled"
        assert second.send(commands.GetVar("uuid")).text == uuid
        assert second.send(commands.Linger(1)).text == "+OK will linger 1 seconds"
        assert second.send(commands.Execute("set", "patchbay_a=b")).text == "+OK"
        until(lambda: any(event.get("Application-Data") == "patchbay_a=b" for event in heard))
        second.send(commands.Hangup(cause="USER_BUSY"))
        until(lambda: "CHANNEL_HANGUP_COMPLETE" in [event.name for event in heard])
        assert second.api("echo", "lingering") == "lingering"
        until(lambda: not second.is_connected)
    assert {event["Unique-ID"] for event in heard if event.name.startswith("CHANNEL_")} == {uuid}


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ("17", "USER_BUSY"),
        ("user_busy", "USER_BUSY"),
        ("NOSUCH", "NORMAL_CLEARING"),
        ("17x", "USER_BUSY"),
        ("9", "UNKNOWN"),
    ],
)
def test_causes_as_people_write_them(watcher: Watcher, given: str, cause: str) -> None:
    first, second = (originate(watcher, "&park()") for _ in range(2))
    watcher.client.hangup(first, given)
    watcher.client.api("uuid_kill", f"{second} {given}")
    for uuid in (first, second):
        until(lambda uuid=uuid: watcher.has("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid, Hangup_Cause=cause))


@pytest.mark.parametrize("form", ["json", "plain", "xml"])
def test_a_job_without_output(watcher: Watcher, form: commands.Format) -> None:
    heard: list[Event] = []
    client = watcher.client
    with Client(
        client.host,
        client.port,
        event_format=form,
        subscriptions=["BACKGROUND_JOB"],
        on_events=heard.extend,
    ) as second:
        second.connect()
        assert second.bgapi("global_getvar", "patchbay_none", job_uuid="j" * 200).result() == ""
        assert second.api("global_getvar", "patchbay_none") == ""
        until(lambda: heard)
    assert heard[0]["Job-UUID"] == "j" * 200
    assert ("Content-Length" in heard[0]) == (form == "json")


def test_api_arguments_lose_the_spaces_around_them(watcher: Watcher) -> None:
    assert watcher.client.api("echo", "  a  b \t ") == "a  b"
    assert watcher.client.bgapi("echo", "  a  b  ").result() == "a  b"


def test_long_log_lines(watcher: Watcher) -> None:
    lines: list[LogLine] = []
    client = watcher.client
    text = "Zoë 🦊 %41 " + "y" * 60_000
    with Client(client.host, client.port, on_log=lines.append) as second:
        second.connect()
        second.log("warning")
        assert second.api("log", f"warning {text}") == "+OK"
        second.api("log", "info not for us")
        assert second.bgapi("msleep", "50").result() == "+OK"
        until(lambda: any(line.text.endswith(text) for line in lines))
        second.nolog()
    assert all(line.level <= 4 for line in lines)


def test_messages_to_a_call(watcher: Watcher) -> None:
    uuid = originate(watcher, "&park()")
    client = watcher.client
    run = client.execute(uuid, "set", "patchbay_long=" + "y" * 5000)
    assert run.result()["Application"] == "set"
    assert len(client.api("uuid_getvar", f"{uuid} patchbay_long")) == 5000
    twice = client.execute(uuid, "sleep", "510", loops=2, event_lock=True).result()
    assert [twice[name] for name in ("Application", "variable_current_loop", "variable_total_loops")] == [
        "sleep",
        "2",
        "2",
    ]
    for command in (
        commands.Unicast(uuid, local_port=28025, remote_port=28026, native=True),
        commands.NoMedia(uuid, uuid),
        commands.SendMsg(uuid, (("call-command", "nosuch"),)),
    ):
        assert client.send(command).text == "+OK"
    client.hangup(uuid, "USER_BUSY")
    until(lambda: watcher.has("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid, Hangup_Cause="USER_BUSY"))
    for refused in (lambda: client.hangup(uuid), lambda: client.execute(uuid, "park").result()):
        with pytest.raises(CommandFailed, match="-ERR invalid session id"):
            refused()


@pytest.mark.parametrize("form", ["json", "plain", "xml"])
def test_an_event_of_our_own_in_every_format(watcher: Watcher, form: commands.Format) -> None:
    heard: list[Event] = []
    client = watcher.client
    with Client(client.host, client.port, event_format=form, on_events=heard.extend) as second:
        second.connect()
        second.subscribe("patchbay::test")
        headers = {
            "Event-Subclass": "patchbay::test",
            "Amp": "a&b <c> \"q\" 'z'",
            "Uni": "Zoë 🦊",
            "Arr": "ARRAY::a|:b",
        }
        uuid = second.sendevent("CUSTOM", headers, "body <&> \n\nx: y")
        until(lambda: heard)
        event = heard[0]
        assert (event.name, event.subclass, event["Event-UUID"]) == ("CUSTOM", "patchbay::test", uuid)
        assert event.body == "body <&> \n\nx: y"
        assert event.get_list("Arr") == ["a", "b"]
        assert {name: event[name] for name in ("Amp", "Uni")} == {
            name: headers[name] for name in ("Amp", "Uni")
        }
        assert event.as_dict()["Amp"] == headers["Amp"]


def test_the_commands_that_a_console_completes(watcher: Watcher) -> None:
    from eslbridge.management.commands.esl import api_names

    names = api_names(watcher.client)
    assert {"status", "originate", "uuid_kill", "sofia", "reloadxml"} <= set(names)
    assert names == sorted(names)
