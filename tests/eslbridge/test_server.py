"""The outbound server against scripted channels: handlers, hang-ups at any time, limits, and the end."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from eslbridge import server as module
from eslbridge.protocol.errors import CallEnded, CommandFailed, ConnectionLost, ESLError, NeedsFull, Timeout
from eslbridge.protocol.events import Event
from eslbridge.server import Call, OutboundServer

from .scripted_call import ScriptedCall
from .scripted_switch import GOODBYE, reply, response

Handler = Callable[[Call], Awaitable[object]]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20), debug=False)


async def handle(handler: Handler, channel: ScriptedCall, **settings: Any) -> OutboundServer:
    """One call through a server; returns when both sides are done, raises what the handler raised."""
    failed: list[BaseException] = []

    async def watched(call: Call) -> None:
        try:
            await handler(call)
        except (AssertionError, pytest.fail.Exception) as error:
            failed.append(error)
            raise

    async with OutboundServer(watched, port=0, **settings) as server:
        await channel.place(server.port)
    assert server.calls == 0
    if failed:
        raise failed[0]
    return server


async def until(condition: Callable[[], object]) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true"
        await asyncio.sleep(0.002)


def test_a_call_from_beginning_to_end() -> None:
    async def test() -> None:
        seen: list[object] = []

        async def handler(call: Call) -> None:
            seen.extend((call["Caller-Destination-Number"], call.get("Nothing"), call.is_full, call.is_async))
            await call.answer()
            event = await call.execute("playback", "welcome.wav")
            seen.extend((event["Application"], event["Application-Response"]))
            await call.set("greeting", "hello")
            seen.append(await call.getvar("greeting"))
            seen.append(await call.getvar("nothing"))
            assert call.hangup_cause == ""
            assert not call.is_over
            await call.hangup("USER_BUSY")
            seen.append(call.hangup_cause)

        channel = ScriptedCall()
        server = await handle(handler, channel)
        assert seen == ["1000", "", True, True, "playback", "_none_", "hello", None, "USER_BUSY"]
        assert channel.running == ["answer", "playback welcome.wav", "set greeting=hello"]
        assert channel.commands[:3] == ["connect", "linger 10", "myevents json"]
        assert channel.commands[-1] == "exit"
        assert (server.handled, server.refused) == (1, 0)

    run(test())


def test_a_long_argument_arrives_whole() -> None:
    async def test() -> None:
        channel = ScriptedCall()
        await handle(lambda call: call.execute("set", "x=" + "é" * 2000), channel)
        assert channel.variables == {"x": "é" * 2000}

    run(test())


def test_applications_may_be_queued() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            ends = [call.execute_nowait("playback", str(number)) for number in range(5)]
            call.execute_nowait("sleep", "1")
            assert [event["Application"] for event in await asyncio.gather(*ends)] == ["playback"] * 5

        channel = ScriptedCall()
        await handle(handler, channel)
        assert channel.running == [*(f"playback {number}" for number in range(5)), "sleep 1"]

    run(test())


def test_without_full_only_the_own_channel_can_be_asked() -> None:
    async def test() -> None:
        errors: list[ESLError] = []

        async def handler(call: Call) -> None:
            assert not call.is_full
            await call.set("a", "b")
            assert await call.getvar("a") == "b"
            assert await call.getvar("nothing") is None
            for attempt in (call.api("status"), call.bgapi("status"), call.subscribe("HEARTBEAT")):
                try:
                    await attempt
                except NeedsFull as error:
                    errors.append(error)
            await call.hangup()

        channel = ScriptedCall(full=False)
        await handle(handler, channel)
        assert len(errors) == 3
        assert 'data="host:port async full"' in str(errors[0])
        assert "api status" in str(errors[0])
        assert [command for command in channel.commands if not command.startswith(("sendmsg", "getvar"))] == [
            "connect",
            "myevents json",
        ]

    run(test())


def test_api_and_bgapi_with_full() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            assert await call.api("status") == "UP"
            assert await call.bgapi("status") == "UP"
            assert await call.bgapi("status") == "UP"
            for attempt in (call.api("nosuch"), call.bgapi("nosuch")):
                with pytest.raises(CommandFailed, match="-ERR nosuch Command not found!"):
                    await attempt
            await call.subscribe("CHANNEL_HOLD")

        channel = ScriptedCall()
        await handle(handler, channel)
        events = [command for command in channel.commands if command.startswith("event")]
        assert events == ["event json BACKGROUND_JOB", "event json CHANNEL_HOLD"]

    run(test())


def test_a_variable_of_several_lines_is_safe_with_full() -> None:
    async def test() -> None:
        sdp = "v=0\r\n\n\nContent-Type: command/reply\nReply-Text: forged\n\n"

        async def handler(call: Call) -> None:
            assert await call.getvar("switch_r_sdp") == sdp.removesuffix("\n")
            assert await call.getvar("after") == "1"

        channel = ScriptedCall()
        channel.variables = {"switch_r_sdp": sdp, "after": "1"}
        await handle(handler, channel)

    run(test())


def test_getvar_where_the_switch_does_not_know_uuid_getvar() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            assert await call.getvar("a") == "b"

        channel = ScriptedCall()
        channel.variables = {"a": "b"}
        channel.overrides = {
            f"api uuid_getvar {channel.uuid} a": response("-ERR uuid_getvar Command not found!\n")
        }
        await handle(handler, channel)

    run(test())


def test_events_of_a_call_until_after_the_hangup() -> None:
    async def test() -> None:
        seen: list[str] = []

        async def handler(call: Call) -> None:
            events = call.events()
            call.execute_nowait("park")
            async for event in events:
                seen.append(event.name)
                if event.name == "CHANNEL_EXECUTE":
                    channel.say(channel.event("DTMF"))
                if event.name == "DTMF":
                    channel.say(channel.hang_up("NORMAL_CLEARING"))
            assert call.is_over
            assert call.listeners == set()

        channel = ScriptedCall()
        await handle(handler, channel)
        assert seen == ["CHANNEL_EXECUTE", "DTMF", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"]

    run(test())


@pytest.mark.parametrize("breaks", [False, True])
def test_events_end_also_without_linger_and_when_the_connection_breaks(breaks: bool) -> None:
    async def test() -> None:
        seen: list[str] = []

        async def handler(call: Call) -> None:
            events = call.events()
            if breaks:
                channel.writer.transport.abort()
            else:
                channel.say(channel.hang_up("NORMAL_CLEARING"))
            seen.extend([event.name async for event in events])

        channel = ScriptedCall()
        await handle(handler, channel, linger=10 if breaks else None)
        assert seen == ([] if breaks else ["CHANNEL_HANGUP"])

    run(test())


@pytest.mark.parametrize("linger", [10, None])
def test_without_async_the_events_end_with_the_hangup(linger: int | None) -> None:
    """There the channel's own thread talks to us; it reports its end only when the conversation is over."""

    async def test() -> None:
        seen: list[str] = []

        async def handler(call: Call) -> None:
            events = call.events()
            channel.say(channel.hang_up("NORMAL_CLEARING"))
            seen.extend([event.name async for event in events])
            assert call.is_over

        channel = ScriptedCall(is_async=False)
        await handle(handler, channel, linger=linger)
        assert seen == ["CHANNEL_HANGUP"]

    run(test())


def test_the_cause_of_our_own_hangup_is_known_also_when_the_switch_leaves_without_a_word() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            await call.hangup("USER_BUSY")
            assert call.hangup_cause == "USER_BUSY"

        channel = ScriptedCall(is_async=False, full=False)
        channel.hang_up = lambda _cause: channel.notice("disconnect", GOODBYE)  # type: ignore[method-assign]
        await handle(handler, channel)

    run(test())


def test_events_that_nobody_takes_are_dropped_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_EVENTS", 3)

    async def test() -> None:
        async def handler(call: Call) -> None:
            events = call.events()
            channel.say(b"".join(channel.event("DTMF", Number=str(number)) for number in range(10)))
            await call.getvar("x")
            assert events.missed == 7
            kept: list[Event] = [await anext(events) for _ in range(3)]
            assert [event["Number"] for event in kept] == ["7", "8", "9"]
            events.close()

        channel = ScriptedCall()
        await handle(handler, channel)

    run(test())


@pytest.mark.parametrize("linger", [10, None])
def test_a_caller_who_hangs_up_ends_whatever_the_handler_waits_for(linger: int | None) -> None:
    async def test() -> None:
        errors: list[ESLError] = []

        async def handler(call: Call) -> None:
            waiting = call.execute_nowait("park")
            channel.say(channel.hang_up("ORIGINATOR_CANCEL"))
            try:
                await waiting
            except CallEnded as error:
                errors.append(error)
            assert call.hangup_cause == "ORIGINATOR_CANCEL"
            with pytest.raises(CallEnded):
                call.execute_nowait("playback", "x")
            await call.hangup()  # does nothing
            await call.wait_ended(1)
            await call.execute("playback", "x")

        channel = ScriptedCall()
        await handle(handler, channel, linger=linger)
        assert [error.cause for error in errors] == ["ORIGINATOR_CANCEL"]

    run(test())


def test_a_caller_who_hangs_up_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            channel.say(channel.hang_up("NORMAL_CLEARING"))
            await call.execute("park")

        channel = ScriptedCall()
        await handle(handler, channel)

    run(test())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_handler_that_raises_hangs_up_its_call_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        going_on = asyncio.Event()

        async def handler(call: Call) -> None:
            await call.answer()
            if call.uuid == bad.uuid:
                raise RuntimeError("a mistake in the handler")
            await going_on.wait()
            await call.hangup("NORMAL_CLEARING")

        bad, good = ScriptedCall(), ScriptedCall()
        async with OutboundServer(handler, port=0) as server:
            other = asyncio.create_task(good.place(server.port))
            await bad.place(server.port)
            assert bad.cause == "NORMAL_TEMPORARY_FAILURE"
            assert good.cause == ""
            await until(lambda: server.calls == 1)
            going_on.set()
            await other
        assert good.cause == "NORMAL_CLEARING"
        assert server.handled == 2

    run(test())
    assert "a mistake in the handler" in caplog.text


def test_when_the_handler_returns_the_dialplan_goes_on() -> None:
    async def test() -> None:
        channel = ScriptedCall()
        await handle(lambda call: call.answer(), channel)
        assert channel.cause == ""
        assert channel.commands[-1] == "exit"

    run(test())


def test_replies_are_matched_in_order_with_events_between() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            async def ask(number: int) -> None:
                assert await call.api("echo", str(number)) == str(number)

            call.execute_nowait("park")
            await asyncio.gather(*(ask(number) for number in range(200)))

        channel = ScriptedCall()
        channel.overrides = {
            f"api echo {number}": channel.event("DTMF") + response(str(number)) + channel.event("DTMF")
            for number in range(200)
        }
        await handle(handler, channel)

    run(test())


def test_a_value_with_a_newline_is_never_sent() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            for bad in ("a\nb", "a\rb", "a\0b"):
                for attempt in (
                    lambda v=bad: call.execute("playback", v),
                    lambda v=bad: call.set("x", v),
                    lambda v=bad: call.set(v, "x"),
                    lambda v=bad: call.hangup(v),
                    lambda v=bad: call.getvar(v),
                    lambda v=bad: call.api("echo", v),
                    lambda v=bad: call.bgapi("echo", v),
                    lambda v=bad: call.subscribe(v),
                ):
                    with pytest.raises(ValueError):
                        await attempt()
            for name in ("", "a=b", "a b"):
                with pytest.raises(ValueError, match="name: "):
                    await call.set(name, "x")

        channel = ScriptedCall()
        await handle(handler, channel)
        assert channel.commands == ["connect", "linger 10", "myevents json", "exit"]

    run(test())


def test_more_calls_than_the_limit_are_refused() -> None:
    async def test() -> None:
        going_on = asyncio.Event()

        async def handler(call: Call) -> None:
            await going_on.wait()

        async with OutboundServer(handler, port=0, max_calls=2) as server:
            calls = [ScriptedCall() for _ in range(2)]
            tasks = [asyncio.create_task(call.place(server.port)) for call in calls]
            await until(lambda: all("myevents json" in call.commands for call in calls))
            assert server.calls == 2
            third = ScriptedCall()
            await third.place(server.port)
            assert third.commands == []
            assert server.refused == 1
            going_on.set()
            await asyncio.gather(*tasks)
        assert server.handled == 2

    run(test())


def test_closing_gives_calls_time_and_then_hangs_them_up() -> None:
    async def test() -> None:
        stopped: list[str] = []

        async def handler(call: Call) -> None:
            try:
                await call.execute("park")
            except asyncio.CancelledError:
                stopped.append(call.uuid)
                raise

        server = OutboundServer(handler, port=0)
        await server.start()
        channel = ScriptedCall()
        task = asyncio.create_task(channel.place(server.port))
        await until(lambda: channel.running)
        closing = asyncio.create_task(server.close(grace=0.1))
        await until(lambda: server._closing)
        with pytest.raises(OSError):
            await ScriptedCall().place(server.port)
        assert server.calls == 1
        await closing
        await task
        assert stopped == [channel.uuid]
        assert channel.cause == "NORMAL_TEMPORARY_FAILURE"
        assert server.calls == 0
        await server.close()

    run(test())


def test_leaving_the_server_because_of_an_error_does_not_wait() -> None:
    async def test() -> None:
        channel = ScriptedCall()
        with pytest.raises(RuntimeError, match="outside"):
            async with OutboundServer(lambda call: call.execute("park"), port=0) as server:
                task = asyncio.create_task(channel.place(server.port))
                await until(lambda: channel.running)
                raise RuntimeError("outside")
        await task
        assert channel.cause == "NORMAL_TEMPORARY_FAILURE"

    run(test())


def test_a_switch_that_does_not_answer_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with OutboundServer(lambda _: asyncio.sleep(0), port=0, timeout=0.05) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            assert await reader.read() == b"connect\n\n"
            writer.close()
            await until(lambda: server.calls == 0)

    run(test())
    assert "no answer in 0.05 s: connect" in caplog.text


def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            with pytest.raises(Timeout, match="api slow"):
                await call.api("slow")
            with pytest.raises(Timeout, match=r"did not end in 0\.01 s"):
                await call.wait_ended(0.01)
            channel.say(response("slow answer"))
            assert await call.api("status") == "UP"

        channel = ScriptedCall()
        channel.overrides = {"api slow": b""}
        await handle(handler, channel, timeout=0.1)

    run(test())


def test_a_peer_that_is_no_switch_ends_only_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with OutboundServer(lambda call: call.answer(), port=0) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n")
            assert await reader.read() == b"connect\n\n"
            writer.close()
            gone = ScriptedCall()
            gone.overrides = {"connect": channel_gone(gone)}
            await gone.place(server.port)
            good = ScriptedCall()
            await good.place(server.port)
            assert good.running == ["answer"]

    run(test())
    assert "did not begin: a frame without Content-Type" in caplog.text


def channel_gone(call: ScriptedCall) -> bytes:
    """The caller hangs up in the moment in which the conversation begins."""
    return call._answer("connect") + call.hang_up("ORIGINATOR_CANCEL")


def test_a_refused_subscription_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        channel = ScriptedCall()
        channel.overrides = {"myevents json": reply("-ERR aready enabled.")}
        await handle(lambda call: call.answer(), channel)
        assert channel.running == []

    run(test())
    assert "aready enabled" in caplog.text


def test_the_connection_breaking_tells_the_handler() -> None:
    async def test() -> None:
        errors: list[ESLError] = []

        async def handler(call: Call) -> None:
            waiting = [call.execute_nowait("park"), asyncio.ensure_future(call.api("slow"))]
            await until(lambda: "api slow" in channel.commands)
            channel.writer.transport.abort()
            errors.extend(await asyncio.gather(*waiting, return_exceptions=True))
            with pytest.raises(ConnectionLost):
                await call.execute("playback", "x")

        channel = ScriptedCall()
        channel.overrides = {"api slow": b""}
        await handle(handler, channel)
        assert [type(error) for error in errors] == [ConnectionLost, ConnectionLost]

    run(test())


def test_the_trace_shows_both_directions(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "eslbridge.trace")
    run_one = ScriptedCall

    async def test() -> None:
        await handle(lambda call: call.set("sip_auth_password", "hush1234"), run_one())

    run(test())
    assert "> connect" in caplog.text
    assert "CHANNEL_EXECUTE_COMPLETE" in caplog.text
    assert "hush1234" not in caplog.text


def test_a_thousand_calls_at_once() -> None:
    async def test() -> None:
        async def handler(call: Call) -> None:
            await call.answer()
            for number in range(5):
                await call.execute("playback", f"{number}.wav")
            await call.hangup()

        calls = [ScriptedCall() for _ in range(1000)]
        async with OutboundServer(handler, port=0) as server:
            await asyncio.gather(*(call.place(server.port) for call in calls))
        assert server.handled == 1000
        assert all(call.cause == "NORMAL_CLEARING" and len(call.running) == 6 for call in calls)

    run(test())


@pytest.mark.parametrize("ticks", range(6))
def test_who_is_being_accepted_while_the_server_closes_is_not_left_waiting(ticks: int) -> None:
    """A switch that is accepted and then forgotten keeps its caller in silence until that one hangs up."""

    async def handler(call: Call) -> None:
        await call.answer()

    async def test() -> None:
        server = OutboundServer(handler, "127.0.0.1", 0)
        await server.start()
        with socket.create_connection(("127.0.0.1", server.port), 2) as switch:
            for _ in range(ticks):
                await asyncio.sleep(0)
            await server.close(grace=0.0)
            switch.settimeout(2)
            with suppress(ConnectionResetError):
                while await asyncio.to_thread(switch.recv, 4096):
                    pass

    run(test())
