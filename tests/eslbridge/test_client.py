"""The client against a loopback switch: logging in, asking, jobs, events, and coming back after a loss."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from eslbridge import waiting
from eslbridge.client import Client, Connected, Disconnected
from eslbridge.protocol import commands
from eslbridge.protocol.commands import Api, Command
from eslbridge.protocol.connection import Connection
from eslbridge.protocol.errors import (
    AuthenticationFailed,
    CallEnded,
    CommandFailed,
    ConnectionLost,
    ESLError,
    MissingContentType,
    Rejected,
    Timeout,
)
from eslbridge.protocol.events import Event
from eslbridge.protocol.frames import LogLine
from eslbridge.session import Session

from .scripted_switch import Line, ScriptedSwitch, goodbye, json_event, reply, response, until

QUICK = (0.01, 0.05)


@pytest.fixture
def switch() -> Iterator[ScriptedSwitch]:
    with ScriptedSwitch() as running:
        yield running


class Listener:
    """Collects what the client reports, in order."""

    def __init__(self) -> None:
        self.seen: list[Event | Connected | Disconnected | LogLine] = []
        self.batches: list[int] = []

    def on_events(self, events: list[Event]) -> None:
        self.batches.append(len(events))
        self.seen += events

    @property
    def states(self) -> list[Connected | Disconnected]:
        return [item for item in self.seen if isinstance(item, Connected | Disconnected)]

    @property
    def events(self) -> list[Event]:
        return [item for item in self.seen if isinstance(item, Event)]

    def client(self, switch: ScriptedSwitch, **settings: object) -> Client:
        return Client(
            "127.0.0.1",
            switch.port,
            **{
                "on_events": self.on_events,
                "on_state": self.seen.append,
                "on_log": self.seen.append,
                "retry": QUICK,
                "timeout": 5.0,
                **settings,
            },
        )


@pytest.fixture
def listener() -> Listener:
    return Listener()


# Logging in


def test_it_logs_in_and_asks(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        assert not client.is_connected
        client.connect()
        assert client.is_connected
        assert client.api("status") == "UP"
        until(lambda: listener.states)
    assert not client.is_connected
    assert listener.states == [Connected(gap=False, reply="+OK accepted")]


def test_a_wrong_password_is_told_and_no_other_attempt_is_made(
    switch: ScriptedSwitch, listener: Listener
) -> None:
    with listener.client(switch, password="wrong") as client, pytest.raises(AuthenticationFailed) as caught:
        client.connect()
    assert caught.value.reply == "-ERR invalid"
    assert "wrong" not in str(caught.value)
    assert len(switch.lines) == 1
    assert listener.states == []


def test_started_with_a_wrong_password_it_keeps_trying_and_says_so(
    switch: ScriptedSwitch, listener: Listener
) -> None:
    with listener.client(switch, password="wrong") as client:
        client.start()
        until(lambda: len(listener.states) >= 3)
        switch.password = "wrong"
        until(lambda: isinstance(listener.states[-1], Connected))
    first, second = listener.states[:2]
    assert isinstance(first, Disconnected)
    assert isinstance(first.error, AuthenticationFailed)
    assert 0.008 <= first.retry_in <= 0.012
    assert 0.016 <= second.retry_in <= 0.024
    assert listener.states[-1] == Connected(gap=False, reply="+OK accepted")


def test_a_directory_user_logs_in_with_userauth(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch, user="esl@test", password="secret") as client:
        client.connect()
        assert client.api("status") == "UP"
    assert switch.line.commands[0] == "userauth esl@test:secret"


def test_an_acl_that_refuses_us_is_told(switch: ScriptedSwitch, listener: Listener) -> None:
    def refuse(line: Line) -> bool:
        line.send(b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n")
        return False

    switch.greet = refuse
    with listener.client(switch) as client, pytest.raises(Rejected, match="go away"):
        client.connect()


def test_nobody_there(listener: Listener) -> None:
    with ScriptedSwitch() as switch:
        pass
    with listener.client(switch) as client, pytest.raises(ConnectionLost, match="cannot connect"):
        client.connect()


@pytest.mark.parametrize("after", [b"", b"Content-Type: auth/", b"Content-Type: auth/request\n\n"])
@pytest.mark.parametrize("takes_the_password", [False, True])
def test_a_switch_that_goes_away_before_the_login_is_done(
    switch: ScriptedSwitch, listener: Listener, after: bytes, takes_the_password: bool
) -> None:
    def leave(line: Line) -> bool:
        line.send(after)
        if takes_the_password and after.endswith(b"\n\n"):
            line.read_command()
        return False

    switch.greet = leave
    with listener.client(switch, timeout=30) as client, pytest.raises(ConnectionLost):
        client.connect()
    assert listener.states == []


def test_a_server_that_is_no_switch(switch: ScriptedSwitch, listener: Listener) -> None:
    def say_hello(line: Line) -> bool:
        line.send(b"220 mail.example.com ESMTP\r\n\n\n")
        return line.read_command() is None

    switch.greet = say_hello
    with listener.client(switch) as client, pytest.raises(MissingContentType, match="220 mail"):
        client.connect()


def test_one_deadline_spans_greeting_and_login(switch: ScriptedSwitch, listener: Listener) -> None:
    def mute(line: Line) -> bool:
        line.send(b"Content-Type: auth/request\n\n")
        line.read_command()
        return line.read_command() is None  # waits until the client gives up

    switch.greet = mute
    with listener.client(switch, timeout=0.2) as client, pytest.raises(Timeout):
        client.connect(timeout=5)
    assert listener.states == []


def test_a_subscription_that_is_refused_fails_the_connect(switch: ScriptedSwitch, listener: Listener) -> None:
    with (
        listener.client(switch, subscriptions=["NOSUCH"]) as client,
        pytest.raises(CommandFailed, match="no keywords"),
    ):
        client.connect()


def test_names_that_cannot_be_sent_are_refused_before_connecting(switch: ScriptedSwitch) -> None:
    with pytest.raises(ValueError, match="names"):
        Client("127.0.0.1", switch.port, subscriptions=["TALK\nexit"])


# Asking


@pytest.mark.parametrize("output", ["-ERR No such channel!", "-USAGE: <uuid> [cause]"])
def test_err_and_usage_raise_with_the_switchs_words(
    switch: ScriptedSwitch, listener: Listener, output: str
) -> None:
    switch.api["uuid_kill 1"] = output + "\n"
    with listener.client(switch) as client:
        client.connect()
        with pytest.raises(CommandFailed) as caught:
            client.api("uuid_kill", "1")
        assert caught.value.reply == output
        assert client.api_many(["uuid_kill 1", "status"]) == [output, "UP"]


def test_an_output_keeps_all_but_its_last_newline(switch: ScriptedSwitch, listener: Listener) -> None:
    switch.api |= {"two": "a\nb\n\n", "none": "true", "nothing": ""}
    with listener.client(switch) as client:
        client.connect()
        assert client.api("two") == "a\nb\n"
        assert client.api("none") == "true"
        assert client.api("nothing") == ""


def test_an_output_that_is_not_utf8_harms_nothing(switch: ScriptedSwitch, listener: Listener) -> None:
    switch.api["latin"] = "caf\udce9\n"
    with listener.client(switch, subscriptions=["TALK"]) as client:
        client.connect()
        assert client.api("latin").encode("utf-8", "surrogateescape") == b"caf\xe9"
        body = b'{"Event-Name":"TALK","Caller-Caller-ID-Name":"caf\xe9 %zz","Unique-ID":"u"}'
        head = b"Content-Length: %d\nContent-Type: text/event-json\n\n" % len(body)
        switch.line.send(head + body)
        until(lambda: listener.events)
        assert listener.events[0].as_dict()["Caller-Caller-ID-Name"] == "caf\udce9 %zz"
        assert client.api("status") == "UP"


def test_many_threads_share_the_connection(switch: ScriptedSwitch, listener: Listener) -> None:
    wrong: list[str] = []

    def ask(thread: int) -> None:
        for i in range(100):
            if client.api("echo", f"{thread}-{i}") != f"{thread}-{i}":
                wrong.append(f"{thread}-{i}")

    with listener.client(switch) as client:
        client.connect()
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert wrong == []
    assert len(switch.commands) == 800


def test_ten_thousand_questions_are_answered_in_order(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.connect()
        answers = client.api_many([f"echo {i}" for i in range(10_000)])
    assert answers == [str(i) for i in range(10_000)]


def test_a_late_answer_goes_to_nobody_else(switch: ScriptedSwitch, listener: Listener) -> None:
    late = threading.Event()

    def answer(line: Line, command: str) -> bytes | None:
        if command == "api slow":
            late.wait(5)
            return response("slow answer")
        return switch.usual_answer(line, command)

    switch.answer = answer
    with listener.client(switch) as client:
        client.connect()
        with pytest.raises(Timeout, match="api slow"):
            client.api("slow", timeout=0.05)
        late.set()
        assert client.api("status") == "UP"
        assert client.api("echo", "mine") == "mine"


def test_a_value_with_a_newline_is_never_sent(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.connect()
        for value in ("a\nb", "a\rb", "a\0b"):
            for attempt in (
                lambda v=value: client.api("echo", v),
                lambda v=value: client.api_many([v]),
                lambda v=value: client.bgapi("echo", v),
                lambda v=value: client.execute("uuid", "set", v),
                lambda v=value: client.hangup("uuid", v),
                lambda v=value: client.sendevent("CUSTOM", {"X": v}),
                lambda v=value: client.filter("Unique-ID", v),
                lambda v=value: client.filter_delete("Unique-ID", v),
                lambda v=value: client.subscribe(v),
                lambda v=value: client.unsubscribe(v),
                lambda v=value: client.log(v),
            ):
                with pytest.raises(ValueError):
                    attempt()
        assert client.api("status") == "UP"
    assert switch.commands == ["api status"]


def test_one_command_is_one_write(switch: ScriptedSwitch, listener: Listener) -> None:
    """Several small writes cost 40 ms each time, because of delayed acknowledgements."""
    reads: list[bytes] = []

    def answer(line: Line, command: str) -> bytes | None:
        return switch.usual_answer(line, command)

    switch.answer = answer
    with listener.client(switch) as client:
        client.connect()
        sock = client._session._sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        original = sock.sendall

        class Counting:
            def sendall(self, data: bytes) -> None:
                reads.append(data)
                original(data)

            def __getattr__(self, name: str) -> object:
                return getattr(sock, name)

        client._session._sock = Counting()
        client.api("status")
        client.hangup("some-uuid")
        client.bgapi("status").result()
    assert [data.count(b"\n\n") for data in reads] == [1, 1, 2]


# Jobs, executions and the other verbs


def test_a_job_is_completed_by_its_event(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.connect()
        job = client.bgapi("status")
        assert job.result() == "UP"
        assert job.done
        named = client.bgapi("echo", "hello", job_uuid="11111111-2222-3333-4444-555555555555")
        assert named.uuid == "11111111-2222-3333-4444-555555555555"
        assert named.result() == "hello"
    assert switch.commands[0] == "event json BACKGROUND_JOB"
    assert switch.commands[1].startswith("bgapi status\nJob-UUID: ")
    assert len(switch.commands) == 3
    assert listener.events == []  # nobody subscribed it


def test_a_failed_job_keeps_the_switchs_words(switch: ScriptedSwitch, listener: Listener) -> None:
    switch.api["originate user/1009 &park"] = "-ERR USER_NOT_REGISTERED\n"
    with listener.client(switch, subscriptions=["BACKGROUND_JOB"]) as client:
        client.connect()
        job = client.bgapi("originate", "user/1009 &park")
        with pytest.raises(CommandFailed) as caught:
            job.result()
        assert caught.value.reply == "-ERR USER_NOT_REGISTERED"
        until(lambda: listener.events)
    assert listener.events[0].name == "BACKGROUND_JOB"  # here somebody did


def test_a_job_that_the_switch_refuses_fails(switch: ScriptedSwitch, listener: Listener) -> None:
    switch.answer = lambda _line, _command: reply("-ERR permission denied")
    with listener.client(switch) as client:
        client.connect()
        with pytest.raises(CommandFailed, match="permission denied"):
            client.bgapi("status").result()


def test_a_job_may_be_asked_again_after_a_timeout(switch: ScriptedSwitch, listener: Listener) -> None:
    def answer(line: Line, command: str) -> bytes | None:
        if command.startswith("bgapi"):
            return reply("+OK Job-UUID: x", Job_UUID="x")
        return switch.usual_answer(line, command)

    switch.answer = answer
    seen: list[object] = []
    with listener.client(switch) as client:
        client.connect()
        job = client.bgapi("status", job_uuid="x")
        job.add_done_callback(seen.append)
        with pytest.raises(Timeout):
            job.result(timeout=0.02)
        switch.line.send(json_event("BACKGROUND_JOB", "foreign", Job_UUID="y"))
        switch.line.send(json_event("BACKGROUND_JOB", "late", Job_UUID="x"))
        assert job.result() == "late"
        assert seen == [job]
        job.add_done_callback(seen.append)
        assert seen == [job, job]
        assert client._session.connection.under_way == 0


def test_a_callback_that_raises_is_logged_and_harms_nobody(
    switch: ScriptedSwitch, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("in a callback")

    with listener.client(switch, on_events=fail, subscriptions=["TALK"]) as client:
        client.connect()
        switch.line.send(json_event("TALK"))
        job = client.bgapi("status")
        job.add_done_callback(fail)
        assert job.result() == "UP"
        until(lambda: caplog.text.count("in a callback") >= 2)
        assert client.api("status") == "UP"


@pytest.mark.parametrize("ask", ["result", "api", "close"])
def test_answers_gather_only_while_nobody_waits(
    switch: ScriptedSwitch, listener: Listener, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    """With a pause that would outlast every limit of this test."""
    monkeypatch.setattr(waiting, "GATHERING", 30.0)
    held: list[bytes] = []
    with listener.client(switch, timeout=3.0) as client:
        client.connect()
        client.bgapi("status").result()

        def hold(line: Line, command: str) -> bytes | None:
            held.append(switch.usual_answer(line, command) or b"")
            return None

        switch.answer = hold
        jobs = [client.bgapi("echo", str(number)) for number in range(6)]
        until(lambda: len(held) == 6)
        switch.line.send(b"".join(held[:3]))
        until(lambda: client._gathering._is_on)  # nobody waits: the reader lets the next answers gather
        assert [job.done for job in jobs] == [True] * 3 + [False] * 3
        switch.answer = switch.usual_answer
        switch.line.send(b"".join(held[3:]))
        if ask == "result":
            assert [job.result() for job in jobs] == [str(number) for number in range(6)]
        elif ask == "api":
            assert client.api("status") == "UP"
            assert all(job.done for job in jobs)
        else:
            client.close()
        assert not client._gathering._is_on


def test_answers_do_not_gather_while_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "GATHERING", 30.0)
    gathering = waiting.Gathering()
    with gathering, gathering:
        gathering.pause()
    for _ in range(2):  # each end ends one pause, and no later one
        paused = threading.Thread(target=gathering.pause)
        paused.start()
        until(lambda: gathering._is_on)
        with gathering:
            paused.join(5)
        assert not paused.is_alive()
    monkeypatch.setattr(waiting, "GATHERING", 0.001)
    gathering.pause()
    assert not gathering._is_on


def test_an_execution_is_completed_by_its_event(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.connect()
        event = client.execute("uuid-1", "playback", "x.wav").result()
        assert event["Application-Response"] == "_none_"
        with pytest.raises(CommandFailed, match="invalid session"):
            client.execute("dead-1", "playback", "x.wav").result()
        with pytest.raises(ValueError, match="uuid"):
            client.execute("", "playback")
    assert switch.commands[0] == "event json CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP_COMPLETE"
    assert "execute-app-name: playback\nexecute-app-arg: x.wav\nEvent-UUID: " in switch.commands[1]


def test_an_execution_whose_call_ends_fails(switch: ScriptedSwitch, listener: Listener) -> None:
    def answer(line: Line, command: str) -> bytes | None:
        return reply("+OK") if command.startswith("sendmsg") else switch.usual_answer(line, command)

    switch.answer = answer
    with listener.client(switch) as client:
        client.connect()
        execution = client.execute("uuid-1", "park")
        switch.line.send(json_event("CHANNEL_HANGUP_COMPLETE", Unique_ID="uuid-2", Hangup_Cause="X"))
        switch.line.send(json_event("CHANNEL_HANGUP_COMPLETE", Unique_ID="uuid-1", Hangup_Cause="USER_BUSY"))
        with pytest.raises(CallEnded) as caught:
            execution.result()
        assert caught.value.cause == "USER_BUSY"


def test_the_other_verbs(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.connect()
        client.hangup("uuid-1", "USER_BUSY")
        with pytest.raises(CommandFailed, match="invalid session"):
            client.hangup("dead-1")
        with pytest.raises(ValueError, match="uuid"):
            client.hangup("")
        assert client.sendevent("CUSTOM", {"Event-Subclass": "a::b"}, "hello") == "sendevent CUSTOM"
        assert client.send(commands.MyEvents("uuid-1")).text == "+OK myevents uuid-1"
        with pytest.raises(CommandFailed, match="not found"):
            client.send(commands.Linger())
        client.log(7)
        client.nolog()
    assert switch.commands == [
        "sendmsg uuid-1\ncall-command: hangup\nhangup-cause: USER_BUSY",
        "sendmsg dead-1\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING",
        "sendevent CUSTOM\nEvent-Subclass: a::b\ncontent-length: 5\n\nhello",
        "myevents uuid-1",
        "linger",
        "log 7",
        "nolog",
    ]


# Events


def test_events_come_in_order_and_in_batches(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch, subscriptions=["TALK", "sofia::register"]) as client:
        client.connect()
        switch.line.send(b"".join(json_event("TALK", Number=str(i)) for i in range(3000)))
        until(lambda: len(listener.events) == 3000)
    assert [event["Number"] for event in listener.events] == [str(i) for i in range(3000)]
    assert max(listener.batches) <= 500
    assert len(listener.batches) < 1000
    assert switch.commands == ["event json TALK CUSTOM sofia::register"]


def test_connected_comes_before_the_first_event(switch: ScriptedSwitch, listener: Listener) -> None:
    def answer(line: Line, command: str) -> bytes | None:
        return json_event("TALK") + reply("+OK event listener enabled json") + json_event("TALK")

    switch.answer = answer
    with listener.client(switch, subscriptions=["TALK"]) as client:
        client.start()
        until(lambda: len(listener.events) == 2)
    assert isinstance(listener.seen[0], Connected)


def test_the_callback_of_connected_may_ask(switch: ScriptedSwitch) -> None:
    """Subscribe, take a snapshot, follow."""
    seen: list[object] = []

    def on_state(state: Connected | Disconnected) -> None:
        seen.append(client.api("status"))

    client = Client(
        "127.0.0.1", switch.port, subscriptions=["TALK"], on_state=on_state, on_events=seen.extend
    )
    with client:
        client.connect()
        switch.line.send(json_event("TALK"))
        until(lambda: len(seen) == 2)
    assert seen[0] == "UP"


def test_log_lines_are_delivered(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.connect()
        client.log("debug")
        switch.line.send(
            b"Content-Type: log/data\nContent-Length: 3\nLog-Level: 7\nText-Channel: 0\nLog-File: a.c\n"
            b"Log-Func: f\nLog-Line: 1\nUser-Data: \n\nhi\n"
        )
        until(lambda: len(listener.seen) == 2)
    assert listener.seen[1] == LogLine(7, "a.c", "f", 1, "", "hi")


# Losing and finding the connection


def test_after_a_loss_it_comes_back_with_everything_and_announces_the_gap(
    switch: ScriptedSwitch, listener: Listener
) -> None:
    with listener.client(switch, subscriptions=["TALK", "sofia::register"]) as client:
        client.connect()
        client.subscribe("DTMF")
        client.filter("Unique-ID", "1")
        client.filter("Unique-ID", "2")
        client.filter_delete("Unique-ID", "1")
        client.log(5)
        assert client.bgapi("status").result() == "UP"
        switch.line.drop()
        until(lambda: len(switch.lines) == 2 and client.is_connected)
        assert client.api("status") == "UP"
        switch.line.send(json_event("TALK"))
        until(lambda: listener.events)
    assert switch.lines[1].commands == [
        "auth ClueCon",
        "filter Event-Name HEARTBEAT",
        "filter Event-Name BACKGROUND_JOB",
        "filter Unique-ID 2",
        "event json TALK DTMF BACKGROUND_JOB CUSTOM sofia::register",
        "log 5",
        "api status",
    ]
    first, lost, again = listener.states
    assert first == Connected(gap=False, reply="+OK accepted")
    assert isinstance(lost, Disconnected)
    assert isinstance(lost.error, ConnectionLost)
    assert again == Connected(gap=True, reply="+OK accepted")


def test_on_a_loss_every_waiter_is_told_at_once(switch: ScriptedSwitch, listener: Listener) -> None:
    switch.answer = lambda _line, _command: None
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            client.api("status", timeout=30)
        except ESLError as error:
            errors.append(error)

    with listener.client(switch) as client:
        client.connect()
        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        job = client.bgapi("status")
        execution = client.execute("uuid-1", "park")
        until(lambda: len(switch.commands) == 9)
        switch.line.send(b"Content-Type: api/response\nContent-Length: 100\n\nhalf a body")
        switch.line.drop()
        for thread in threads:
            thread.join(5)
        with pytest.raises(ConnectionLost):
            job.result(timeout=5)
        with pytest.raises(ConnectionLost, match="middle of a frame"):
            execution.result(timeout=5)
    assert [type(error) for error in errors] == [ConnectionLost] * 5
    assert len({id(error) for error in errors}) == 5


def test_without_a_connection_it_says_so_at_once(switch: ScriptedSwitch, listener: Listener) -> None:
    client = listener.client(switch)
    for attempt in (
        lambda: client.api("status"),
        lambda: client.api_many(["status"]),
        lambda: client.bgapi("status"),
        lambda: client.execute("uuid", "park"),
        lambda: client.hangup("uuid"),
    ):
        with pytest.raises(ConnectionLost, match="not connected"):
            attempt()
    client.close()


def test_wishes_without_a_connection_are_kept(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.subscribe("TALK", "a::b")
        client.unsubscribe("a::b")
        client.filter("Unique-ID", "1")
        client.filter_delete()
        client.connect()
    assert switch.commands == ["event json TALK"]


def test_a_refused_subscription_is_forgotten(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch, subscriptions=["TALK"]) as client:
        client.connect()
        with pytest.raises(CommandFailed, match="no keywords"):
            client.subscribe("NOSUCH")
        switch.line.drop()
        until(lambda: len(switch.lines) == 2 and client.is_connected)
    assert switch.lines[1].commands == ["auth ClueCon", "event json TALK"]


def test_a_notice_ends_the_connection_with_the_switchs_words(
    switch: ScriptedSwitch, listener: Listener
) -> None:
    with listener.client(switch) as client:
        client.connect()
        switch.line.send(goodbye())
        until(lambda: len(listener.states) >= 2)
    lost = listener.states[1]
    assert isinstance(lost, Disconnected)
    assert "See you at ClueCon" in str(lost.error)


def test_garbage_ends_the_connection_and_it_comes_back(switch: ScriptedSwitch, listener: Listener) -> None:
    with listener.client(switch) as client:
        client.connect()
        switch.line.send(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\n\n")
        until(lambda: len(switch.lines) == 2 and client.is_connected)
        assert client.api("status") == "UP"


def test_a_silent_switch_is_dropped_when_heartbeats_are_due(
    switch: ScriptedSwitch, listener: Listener
) -> None:
    with listener.client(switch, subscriptions=["HEARTBEAT"], silence=0.1) as client:
        client.connect()
        until(lambda: len(listener.states) >= 2)
    lost = listener.states[1]
    assert isinstance(lost, Disconnected)
    assert "nothing from the switch for 0.1 s" in str(lost.error)


def test_silence_means_nothing_while_an_answer_is_awaited(switch: ScriptedSwitch, listener: Listener) -> None:
    asked = threading.Event()

    def answer(line: Line, command: str) -> bytes | None:
        if command == "api slow":
            asked.wait(0.8)
            return response("done")
        return switch.usual_answer(line, command)

    switch.answer = answer
    with listener.client(switch, subscriptions=["HEARTBEAT"], silence=0.1) as client:
        client.connect()
        assert client.api("slow") == "done"
    assert len(switch.lines) == 1


def test_a_switch_that_does_not_read_is_lost(switch: ScriptedSwitch, listener: Listener) -> None:
    stuck = threading.Event()

    def answer(_line: Line, command: str) -> bytes | None:
        stuck.wait(5)
        return None

    switch.answer = answer
    with listener.client(switch, timeout=0.2) as client:
        client.connect()
        with pytest.raises(ConnectionLost, match="cannot write"):
            client.api_many(["echo " + "x" * 500_000 for _ in range(60)], timeout=10)
        until(lambda: len(listener.states) >= 2)
        stuck.set()


EIGHT_KILOBYTES = json_event("TALK", Filler="x" * 8000)


class Flood(threading.Thread):
    """Sends so many events as fast as the client takes them."""

    def __init__(self, switch: ScriptedSwitch, count: int) -> None:
        super().__init__(daemon=True)
        self.switch = switch
        self.count = count

    def run(self) -> None:
        for _ in range(self.count):
            self.switch.line.send(EIGHT_KILOBYTES)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_slow_consumer_makes_the_client_stop_reading(switch: ScriptedSwitch, awaited: bool) -> None:
    """The bound: nothing is read ahead, or `queue_bytes` while an answer is awaited, whatever is sent."""
    going_on = threading.Event()
    seen: list[Event] = []

    def slow(events: list[Event]) -> None:
        going_on.wait(20)
        seen.extend(events)

    def answer(line: Line, command: str) -> bytes | None:
        return None if command == "api never" else switch.usual_answer(line, command)

    switch.answer = answer
    with Client(
        "127.0.0.1", switch.port, subscriptions=["TALK"], on_events=slow, queue_bytes=1_000_000
    ) as client:
        client.connect()
        if awaited:
            with pytest.raises(Timeout):
                client.api("never", timeout=0.01)
        flooding = Flood(switch, 4000)
        flooding.start()
        if awaited:
            until(lambda: client._ahead.size >= 1_000_000)
        flooding.join(0.5)
        assert flooding.is_alive()  # the switch cannot go on: we do not read
        assert client._ahead.size < (1_000_000 + 256 * 1024 if awaited else 1)
        going_on.set()
        until(lambda: len(seen) == 4000, 20)
        flooding.join(5)


def test_a_callback_that_asks_while_events_pile_up_gets_its_answer(switch: ScriptedSwitch) -> None:
    answers: list[str] = []
    seen: list[str] = []

    def ask(events: list[Event]) -> None:
        if not answers:
            switch.line.send(
                b"".join(json_event("TALK", Number=str(i), Filler="x" * 8000) for i in range(200))
            )
            answers.append(client.api("status"))
            answers.append(client.bgapi("status").result())
        seen.extend(event.get("Number", "") for event in events)

    client = Client("127.0.0.1", switch.port, subscriptions=["TALK"], on_events=ask, timeout=5)
    with client:
        client.connect()
        switch.line.send(json_event("TALK"))
        until(lambda: len(seen) == 201, 10)
    assert answers == ["UP", "UP"]
    assert seen == ["", *map(str, range(200))]


def test_others_get_answers_while_a_callback_runs(switch: ScriptedSwitch, listener: Listener) -> None:
    going_on, running = threading.Event(), threading.Event()

    def slow(events: list[Event]) -> None:
        running.set()
        going_on.wait(10)
        listener.on_events(events)

    with listener.client(switch, subscriptions=["TALK"], on_events=slow) as client:
        client.connect()
        switch.line.send(json_event("TALK", Number="1"))
        assert running.wait(5)
        assert client.api("status") == "UP"
        switch.line.send(json_event("TALK", Number="2"))
        assert client.bgapi("status").result() == "UP"
        assert client.api("status") == "UP"
        assert listener.events == []
        going_on.set()
        until(lambda: len(listener.events) == 2)
        assert client.api("status") == "UP"
    assert [event["Number"] for event in listener.events] == ["1", "2"]


def test_many_threads_ask_while_callbacks_ask_and_events_flood(switch: ScriptedSwitch) -> None:
    """Whoever reads, and however the two threads take turns: every answer arrives, every event in order."""
    numbers: list[int] = []
    wrong: list[str] = []

    def on_events(events: list[Event]) -> None:
        numbers.extend(int(event["Number"]) for event in events)
        if client.api("echo", "callback") != "callback":
            wrong.append("callback")

    def ask(thread: int) -> None:
        for i in range(50):
            if client.api("echo", f"{thread}-{i}") != f"{thread}-{i}":
                wrong.append(f"{thread}-{i}")
            if client.bgapi("echo", f"job-{thread}-{i}").result() != f"job-{thread}-{i}":
                wrong.append(f"job-{thread}-{i}")

    def flood() -> None:
        for i in range(0, 2000, 20):
            switch.line.send(b"".join(json_event("TALK", Number=str(i + j)) for j in range(20)))

    client = Client("127.0.0.1", switch.port, subscriptions=["TALK"], on_events=on_events)
    with client:
        client.connect()
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        threads.append(threading.Thread(target=flood))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        until(lambda: len(numbers) == 2000, 20)
    assert numbers == list(range(2000))
    assert wrong == []


def test_a_loss_while_a_callback_runs_is_told_to_waiters_at_once(
    switch: ScriptedSwitch, listener: Listener
) -> None:
    going_on, running = threading.Event(), threading.Event()

    def slow(events: list[Event]) -> None:
        running.set()
        going_on.wait(10)
        listener.on_events(events)

    switch.answer = lambda line, command: None if "api" in command else switch.usual_answer(line, command)
    with listener.client(switch, subscriptions=["TALK"], on_events=slow) as client:
        client.connect()
        switch.line.send(json_event("TALK"))
        assert running.wait(5)
        job = client.bgapi("status")
        switch.line.send(json_event("TALK"))
        switch.line.drop()
        with pytest.raises(ConnectionLost):
            job.result()
        assert len(switch.lines) == 1
        going_on.set()
        until(lambda: len(listener.states) == 3)
    assert [type(item).__name__ for item in listener.seen] == [
        "Connected",
        "JsonEvent",
        "JsonEvent",
        "Disconnected",
        "Connected",
    ]


def test_closing_twice_and_from_a_callback_is_fine(switch: ScriptedSwitch) -> None:
    client = Client("127.0.0.1", switch.port, subscriptions=["TALK"], on_events=lambda _: client.close())
    client.connect()
    switch.line.send(json_event("TALK"))
    until(lambda: not client.is_connected)
    client.close()
    client.close()
    with pytest.raises(ConnectionLost, match="closed"):
        client.start()


def test_closing_just_when_it_begins_to_connect_is_told_at_once(switch: ScriptedSwitch) -> None:
    client = Client("127.0.0.1", switch.port)
    begin = client._first.start

    def too_late() -> None:
        client.close()  # by another thread, which is quicker
        begin()

    client._first.start = too_late  # type: ignore[method-assign]
    with pytest.raises(ConnectionLost, match="closed"):
        client.connect(timeout=5)


def test_closing_tells_the_waiters(switch: ScriptedSwitch, listener: Listener) -> None:
    switch.answer = lambda _line, _command: None
    client = listener.client(switch)
    client.connect()
    until(lambda: listener.states)
    job = client.bgapi("status")
    client.close()
    with pytest.raises(ConnectionLost, match="closed"):
        job.result(1)
    assert len(listener.states) == 1


@pytest.mark.parametrize("early", [True, False])
def test_closing_tells_a_callback_that_waits_for_an_answer(
    switch: ScriptedSwitch, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """Whether it asks before the client begins to close or only then: nobody else reads meanwhile."""
    errors: list[Exception] = []
    begun, closing = threading.Event(), threading.Event()
    abort = Session.abort

    def ask(_: Sequence[Event]) -> None:
        begun.set()
        if not early:
            closing.wait(5)
        with pytest.raises(ConnectionLost, match="closed") as caught:
            client.api("status")
        errors.append(caught.value)

    def abort_later(session: Session, reason: ESLError) -> None:
        closing.set()
        time.sleep(0.1)  # for the second thread to see that the client closes
        until(lambda: "api status" in switch.commands)
        abort(session, reason)

    client = Client("127.0.0.1", switch.port, subscriptions=["TALK"], on_events=ask, timeout=5)
    client.connect()
    switch.answer = lambda _line, _command: None
    switch.line.send(json_event("TALK"))
    assert begun.wait(5)
    if early:
        until(lambda: "api status" in switch.commands)
    monkeypatch.setattr(Session, "abort", abort_later)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 3
    assert errors


def test_a_command_just_when_the_connection_is_lost_ends_with_it(
    switch: ScriptedSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A callback asks: its command is taken while all who wait are being told."""
    errors: list[Exception] = []
    asking, told = threading.Event(), threading.Event()
    enqueue = Connection._enqueue

    def enqueue_late(connection: Connection, command: Command, waiter: Any) -> bytes:
        if command == Api("echo"):
            asking.set()
            told.wait(5)
        return enqueue(connection, command, waiter)

    def ask(_: Sequence[Event]) -> None:
        job = client.bgapi("status")  # so that somebody reads while this runs
        with pytest.raises(ConnectionLost) as caught:
            client.api("echo")
        errors.append(caught.value)
        assert job.done

    monkeypatch.setattr(Connection, "_enqueue", enqueue_late)
    with Client("127.0.0.1", switch.port, subscriptions=["TALK"], on_events=ask, timeout=5) as client:
        client.connect()
        switch.answer = lambda _line, _command: None
        switch.line.send(json_event("TALK"))
        assert asking.wait(5)
        session = client._session
        assert session is not None
        switch.line.drop()
        until(lambda: session.connection.error)
        started = time.monotonic()
        told.set()
        until(lambda: errors)
        assert time.monotonic() - started < 3


def test_closing_while_waiting_for_the_next_attempt_is_quick(listener: Listener) -> None:
    with ScriptedSwitch() as switch:
        pass
    client = listener.client(switch, retry=(60, 60))
    client.start()
    until(lambda: listener.states)
    client.close()
    assert not client._first.is_alive()


# Tracing


def test_the_trace_has_everything_but_passwords(
    switch: ScriptedSwitch, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    switch.password = "tops3cret"
    switch.api["user_data 1000@d param password"] = "password=hush1234\n"
    caplog.set_level("DEBUG", "eslbridge.trace")
    with listener.client(switch, password="tops3cret", subscriptions=["TALK"]) as client:
        client.connect()
        client.api("user_data", "1000@d param password")
        client.api("echo", "[sip_auth_password=hush5678]sofia/x")
        switch.line.send(json_event("TALK", variable_sip_password="hush9999", Other="shown"))
        until(lambda: listener.events)
    assert "> auth ********" in caplog.text
    assert "< AuthRequest()" in caplog.text
    assert "user_data 1000@d param password" in caplog.text
    assert '"Other":"shown"' in caplog.text
    for secret in ("tops3cret", "hush1234", "hush5678", "hush9999"):
        assert secret not in caplog.text
