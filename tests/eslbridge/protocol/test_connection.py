"""Answers reach who asked, in order, whatever comes between; at the end everyone is told."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eslbridge.protocol import commands as c
from eslbridge.protocol import connection as module
from eslbridge.protocol.batches import Batch
from eslbridge.protocol.connection import Connection, Role, State
from eslbridge.protocol.errors import (
    AuthenticationFailed,
    CallEnded,
    CommandFailed,
    ConnectionLost,
    ESLError,
    FrameTooLarge,
    InvalidJSON,
    MissingContentType,
    NeedsFull,
    ProtocolError,
    Rejected,
)
from eslbridge.protocol.events import Event, JsonEvent
from eslbridge.protocol.frames import ApiResponse, AuthRequest, ChannelData, DisconnectNotice, Message, Reply
from tests import recordings
from tests.eslbridge.scripted_switch import json_event, reply, response

GREETING = b"Content-Type: auth/request\n\n"
ACCEPTED = reply("+OK accepted")
UUID = "aaaaaaaa-0000-4000-8000-000000000007"


@dataclass
class Waiting:
    """A waiter that remembers what it was told, and that it was told once."""

    told: list[Any] = field(default_factory=list)

    def set_result(self, result: Any) -> None:
        self.told.append(result)

    def set_exception(self, exception: ESLError) -> None:
        self.told.append(exception)

    @property
    def outcome(self) -> Any:
        assert len(self.told) == 1
        return self.told[0]


def logged_in() -> Connection:
    connection = Connection(Role.INBOUND)
    connection.receive(GREETING)
    connection.send(c.Auth("ClueCon"), Waiting())
    connection.receive(ACCEPTED)
    assert connection.state is State.READY
    return connection


def in_a_call() -> Connection:
    connection = Connection(Role.OUTBOUND)
    connection.send(c.Connect(), Waiting())
    connection.receive(recordings.load("outbound_async_full").chunks[0])
    assert connection.state is State.READY
    return connection


# Replaying what really happened


def command_of(sent: bytes) -> c.Command:
    """The recorded bytes as a command object; unknown ones as they are."""
    first, _, _ = sent.decode("latin-1").partition("\n")
    verb, _, arguments = first.partition(" ")
    if verb == "auth":
        return c.Auth(arguments)
    if verb == "api" and arguments:
        return c.Api(arguments)
    if verb == "connect":
        return c.Connect()
    if verb == "exit":
        return c.Exit()
    return c.NoEvents()


def kind_of_answer(sent: bytes) -> type | tuple[type, ...]:
    if sent.startswith(b"auth wrong"):
        return AuthenticationFailed
    if sent.startswith(b"connect"):
        return ChannelData
    return (ApiResponse, Reply) if sent.startswith(b"api ") else Reply


@pytest.mark.parametrize("name", recordings.names())
def test_in_a_recording_every_command_gets_the_answer_that_followed_it(name: str) -> None:
    recording = recordings.load(name)
    connection = Connection(Role.OUTBOUND if recording.is_outbound else Role.INBOUND)
    waiting: list[tuple[bytes, Waiting]] = []
    for step in recording.steps:
        if not step.by_switch:
            waiter = Waiting()
            command = command_of(step.data)
            if name == "command_before_auth":
                with pytest.raises(ProtocolError, match="no place for 'command sent'"):
                    connection.send(command)
                return
            connection.send(command, waiter)
            waiting.append((step.data, waiter))
        elif step.data:
            connection.receive(step.data)
        else:
            connection.receive_end()
    for sent, waiter in waiting:
        assert isinstance(waiter.outcome, kind_of_answer(sent))
    ended = recording.steps[-1].by_switch and not recording.steps[-1].data
    assert (connection.error is not None) is ended
    assert connection.unanswered == 0


def test_the_recorded_answers_are_the_right_ones() -> None:
    recording = recordings.load("subscriptions")
    connection = Connection(Role.INBOUND)
    answers = []
    for step in recording.steps:
        if step.by_switch:
            connection.receive(step.data)
        else:
            waiter = Waiting()
            answers.append((step.data, waiter))
            connection.send(command_of(step.data), waiter)
    by_command = {sent: waiter.outcome for sent, waiter in answers}
    assert by_command[b"log 7\n\n"].text == "+OK log level 7 [7]"
    assert by_command[b"linger\n\n"].text == "-ERR not controlling a session"
    assert by_command[b"linger\n\n"].is_error
    assert by_command[b"api status\n\n"].text.startswith("UP 0 years")
    assert by_command[b"exit\n\n"].text == "+OK bye"
    assert connection.state is State.ENDED
    assert "See you at ClueCon" in str(connection.error)


@pytest.mark.parametrize("name", ["bgapi", "bgapi_json"])
def test_recorded_jobs_complete_their_waiters(name: str) -> None:
    recording = recordings.load(name)
    connection = Connection(Role.INBOUND)
    jobs: list[tuple[bytes, Waiting]] = []
    steps = list(recording.steps)
    for position, step in enumerate(steps):
        if step.by_switch:
            connection.receive(step.data)
        elif step.data.startswith(b"bgapi"):
            answer = next(later.data for later in steps[position:] if later.by_switch)
            uuid = answer.split(b"\nJob-UUID: ")[1][:36].decode()
            waiter = Waiting()
            connection.send_job(c.BgApi("status", job_uuid=uuid), waiter)
            jobs.append((step.data, waiter))
        else:
            connection.send(command_of(step.data))
    assert jobs
    for sent, waiter in jobs:
        assert isinstance(waiter.outcome, Event)
        assert waiter.outcome.body.startswith("UP " if b"status" in sent else ("-ERR", "{"))
    assert connection.under_way == 0


def test_a_recorded_execution_is_completed_by_its_event() -> None:
    recording = recordings.load("sendmsg_execute")
    connection = Connection(Role.INBOUND)
    waiters = {}
    for step in recording.steps:
        if step.by_switch:
            connection.receive(step.data)
        elif b"Event-UUID: " in step.data:
            uuid = step.data.split(b"Event-UUID: ")[1][:36].decode()
            waiters[uuid] = Waiting()
            connection.send_execution(c.Execute("set", "x", UUID, uuid), waiters[uuid])
        else:
            connection.send(command_of(step.data))
    applications = [waiter.outcome["Application"] for waiter in waiters.values()]
    assert applications == ["set", "playback"]
    assert {waiter.outcome["Application-UUID"] for waiter in waiters.values()} == waiters.keys()


# Order


def test_answers_come_in_order_also_with_events_between() -> None:
    connection = logged_in()
    waiters = [Waiting() for _ in range(6)]
    for number, waiter in enumerate(waiters):
        connection.send(c.Api("echo", str(number)) if number % 2 else c.NoLog(), waiter)
    event = json_event("TALK")
    stream = b"".join(
        event + (response(str(number)) if number % 2 else reply(f"+OK {number}")) for number in range(6)
    )
    assert [message.name for message in connection.receive(stream)] == ["TALK"] * 6
    assert [waiter.outcome.text for waiter in waiters] == ["+OK 0", "1", "+OK 2", "3", "+OK 4", "5"]


def test_a_command_that_nobody_waits_for_takes_its_place() -> None:
    connection = logged_in()
    waiter = Waiting()
    connection.send(c.Execute("answer", uuid=UUID))
    connection.send(c.Hangup(UUID))
    connection.send(c.Api("status"), waiter)
    connection.receive(reply("+OK") + reply("+OK") + response("UP\n"))
    assert waiter.outcome.text == "UP"


def test_an_answer_of_the_wrong_kind_ends_the_conversation() -> None:
    for command, answer in (
        (c.Api("status"), reply("+OK")),
        (c.NoLog(), response("UP")),
        (c.NoLog(), recordings.load("outbound_async_full").chunks[0]),
    ):
        connection = logged_in()
        waiter = Waiting()
        connection.send(command, waiter)
        connection.receive(answer)
        assert isinstance(waiter.outcome, ProtocolError)
        assert "does not answer" in str(connection.error)
    connection = Connection(Role.OUTBOUND)
    connection.send(c.Connect(), Waiting())
    connection.receive(reply("+OK"))
    assert isinstance(connection.error, ProtocolError)


def test_an_answer_that_nobody_asked_for_ends_the_conversation() -> None:
    connection = logged_in()
    messages = connection.receive(json_event("TALK") + reply("+OK") + json_event("DTMF"))
    assert [message.name for message in messages] == ["TALK"]
    assert "an answer without a command" in str(connection.error)


def test_an_api_command_may_be_refused_by_a_reply() -> None:
    connection = in_a_call()
    waiter = Waiting()
    connection.send(c.Api("status"), waiter)
    connection.receive(reply("-ERR command not found"))
    assert waiter.outcome.is_error


# Jobs and executions


def test_a_job_is_registered_before_it_is_sent_and_foreign_ones_are_dropped() -> None:
    connection = logged_in()
    waiter = Waiting()
    connection.send_job(c.BgApi("status", job_uuid="mine"), waiter)
    foreign = b"".join(json_event("BACKGROUND_JOB", "x", Job_UUID=str(i)) for i in range(1000))
    connection.receive(
        foreign + json_event("BACKGROUND_JOB", "UP", Job_UUID="mine") + reply("+OK Job-UUID: mine")
    )
    assert waiter.outcome.body == "UP"
    assert connection.under_way == 0
    assert connection.unanswered == 0


def test_a_job_uuid_can_be_under_way_once() -> None:
    connection = logged_in()
    connection.send_job(c.BgApi("status", job_uuid="one"), Waiting())
    with pytest.raises(ProtocolError, match="already"):
        connection.send_job(c.BgApi("status", job_uuid="one"), Waiting())
    connection.send(c.BgApi("status", job_uuid="plain"), waiter := Waiting())
    connection.receive(reply("+OK") + reply("+OK Job-UUID: plain"))
    assert waiter.outcome.text == "+OK Job-UUID: plain"


def test_a_refused_job_or_execution_fails_with_the_words() -> None:
    connection = logged_in()
    job, execution, plain = Waiting(), Waiting(), Waiting()
    connection.send_job(c.BgApi("status"), job)
    connection.send_execution(c.Execute("set", "x", "dead", "e-1"), execution)
    connection.send(c.Execute("set", "x", "dead", "e-2"), plain)
    connection.send(c.BgApi("status"))
    connection.send(c.NoLog())
    connection.receive(
        reply("-ERR permission denied") + reply("-ERR invalid session id [dead]") + reply("-ERR") * 3
    )
    assert isinstance(job.outcome, CommandFailed)
    assert job.outcome.reply == "-ERR permission denied"
    assert job.outcome.command == "bgapi status"
    assert execution.outcome.reply == "-ERR invalid session id [dead]"
    assert plain.outcome.is_error
    assert connection.under_way == 0


def complete(uuid: str, **headers: str) -> bytes:
    return json_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=uuid, Unique_ID=UUID, **headers)


def test_an_execution_with_loops_is_complete_after_the_last() -> None:
    connection = logged_in()
    waiter = Waiting()
    connection.send_execution(c.Execute("playback", "x", UUID, "e", loops=3), waiter)
    connection.receive(reply("+OK"))
    start = 1_000_000
    for run in range(3):
        assert not waiter.told
        begun, ended = start + run * 2_000_000, start + run * 2_000_000 + 1_000_000
        connection.receive(
            json_event("CHANNEL_EXECUTE", Application_UUID="e", Event_Date_Timestamp=str(begun))
        )
        connection.receive(complete("e", Event_Date_Timestamp=str(ended), Run=str(run)))
    assert waiter.outcome["Run"] == "2"


def test_loops_end_early_when_a_run_is_short_or_the_call_is_over() -> None:
    connection = logged_in()
    short, over = Waiting(), Waiting()
    connection.send_execution(c.Execute("playback", "x", UUID, "short", loops=-1), short)
    connection.send_execution(c.Execute("playback", "x", UUID, "over", loops=5), over)
    connection.receive(reply("+OK") * 2)
    connection.receive(
        json_event("CHANNEL_EXECUTE", Application_UUID="short", Event_Date_Timestamp="1000000")
    )
    connection.receive(json_event("CHANNEL_EXECUTE", Application_UUID="unknown", Event_Date_Timestamp="1"))
    connection.receive(complete("short", Event_Date_Timestamp="1100000"))
    assert short.told
    connection.receive(complete("over"))
    assert not over.told
    connection.receive(complete("over", Answer_State="hangup"))
    assert over.told
    connection.receive(complete("unknown"))


def test_an_execution_on_a_channel_that_ends_fails_with_the_cause() -> None:
    connection = logged_in()
    mine, other = Waiting(), Waiting()
    connection.send_execution(c.Execute("park", "", UUID, "e-1"), mine)
    connection.send_execution(c.Execute("park", "", "other", "e-2"), other)
    connection.receive(json_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=UUID, Hangup_Cause="USER_BUSY"))
    assert isinstance(mine.outcome, CallEnded)
    assert mine.outcome.cause == "USER_BUSY"
    assert str(mine.outcome) == "park: -ERR the call has ended: USER_BUSY"
    assert other.told == []


def test_an_execution_needs_a_uuid_of_its_own() -> None:
    connection = logged_in()
    with pytest.raises(ProtocolError, match="event_uuid"):
        connection.send_execution(c.Execute("park"), Waiting())
    connection.send_execution(c.Execute("park", event_uuid="e"), Waiting())
    with pytest.raises(ProtocolError, match="event_uuid"):
        connection.send_execution(c.Execute("park", event_uuid="e"), Waiting())


def test_hidden_events_complete_and_are_not_returned() -> None:
    connection = logged_in()
    connection.hidden = frozenset(["BACKGROUND_JOB"])
    connection.send_job(c.BgApi("status", job_uuid="mine"), waiter := Waiting())
    job = json_event("BACKGROUND_JOB", "UP", Job_UUID="mine")
    malformed = b'Content-Length: 14\nContent-Type: text/event-json\n\n{"Event-Name":'
    messages = connection.receive(reply("+OK") + job + json_event("TALK") + job + malformed)
    assert [len(message.raw) for message in messages] == [21, 14]
    assert waiter.outcome.body == "UP"


def test_other_messages_pass_while_somebody_waits() -> None:
    connection = logged_in()
    connection.send_execution(c.Execute("park", "", UUID, "mine"), Waiting())
    log = b"Content-Type: log/data\nContent-Length: 0\n\n"
    foreign = (
        complete("foreign") + json_event("CHANNEL_EXECUTE", Application_UUID="foreign") + json_event("TALK")
    )
    assert len(connection.receive(log + foreign)) == 4
    assert connection.under_way == 1
    assert connection.error is None


def test_a_malformed_event_completes_nobody_and_is_handed_on() -> None:
    connection = logged_in()
    waiter = Waiting()
    connection.send_job(c.BgApi("status"), waiter)
    (event,) = connection.receive(b'Content-Length: 14\nContent-Type: text/event-json\n\n{"Event-Name":')
    with pytest.raises(InvalidJSON):
        event.as_dict()
    assert connection.error is None
    assert waiter.told == []


# How it begins and ends


def test_what_is_said_too_early_is_refused_here() -> None:
    connection = Connection(Role.INBOUND)
    for command in (c.Api("status"), c.Auth("x"), c.Connect(), c.Exit()):
        with pytest.raises(ProtocolError, match="inbound connection, new: no place for"):
            connection.send(command)
    connection = Connection(Role.OUTBOUND)
    with pytest.raises(ProtocolError, match="outbound connection, new: no place for 'command sent'"):
        connection.send(c.GetVar("uuid"))
    with pytest.raises(ProtocolError):
        connection.send_job(c.BgApi("status"), Waiting())
    with pytest.raises(ProtocolError):
        connection.send_execution(c.Execute("park", event_uuid="e"), Waiting())


def test_a_second_greeting_ends_the_conversation() -> None:
    connection = logged_in()
    connection.receive(GREETING)
    assert "no place for 'auth/request received'" in str(connection.error)


def test_a_refused_login_fails_everyone_with_it() -> None:
    for waiter in (Waiting(), None):
        connection = Connection(Role.INBOUND)
        assert connection.receive(GREETING) == [AuthRequest()]
        connection.send(c.UserAuth("u@d", "p"), waiter)
        assert connection.receive(recordings.load("auth_wrong_password").received[len(GREETING) :]) == []
        if waiter is not None:
            assert isinstance(waiter.outcome, AuthenticationFailed)
        assert isinstance(connection.error, AuthenticationFailed)
        with pytest.raises(AuthenticationFailed):
            connection.send(c.Api("status"))
    connection = Connection(Role.INBOUND)
    connection.receive(GREETING)
    connection.send(c.Auth("x"))
    connection.receive(ACCEPTED)
    assert connection.state is State.READY


def test_a_rejection_says_so() -> None:
    connection = Connection(Role.INBOUND)
    connection.receive(b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n")
    assert isinstance(connection.error, Rejected)
    assert connection.receive(GREETING) == []


@pytest.mark.parametrize(
    ("begun", "message"),
    [(b"", "the switch closed the connection$"), (b"Content-Type: api", "in the middle of a frame$")],
)
def test_the_end_of_the_stream_tells_every_waiter(begun: bytes, message: str) -> None:
    connection = logged_in()
    waiters = [Waiting() for _ in range(4)]
    connection.send(c.Api("status"), waiters[0])
    connection.send(c.NoLog())
    connection.send(c.NoLog(), waiters[1])
    connection.send_job(c.BgApi("status"), waiters[2])
    connection.send_execution(c.Execute("park", event_uuid="e"), waiters[3])
    connection.receive(begun)
    connection.receive_end()
    for waiter in waiters:
        assert isinstance(waiter.outcome, ConnectionLost)
        with pytest.raises(ConnectionLost, match=message):
            raise waiter.outcome
    connection.fail(ESLError("later"))
    assert isinstance(connection.error, ConnectionLost)
    with pytest.raises(ConnectionLost):
        connection.send(c.Api("status"))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"Reply-Text: x\n\n", MissingContentType),
        (b"Content-Type: api/response\nContent-Length: 2000\n\n", FrameTooLarge),
        (b"X: " + b"y" * 3000, FrameTooLarge),
    ],
)
def test_a_bad_stream_fails_everyone(data: bytes, error: type[ESLError]) -> None:
    connection = Connection(Role.INBOUND, max_header=1000, max_body=1000)
    connection.receive(GREETING)
    connection.send(c.Auth("x"), waiter := Waiting())
    connection.receive(ACCEPTED)
    assert not waiter.outcome.is_error
    connection.send(c.Api("status"), waiter := Waiting())
    assert len(connection.receive(json_event("TALK") + data)) == 1
    assert type(waiter.outcome) is error


def test_lingering_ends_with_the_second_notice() -> None:
    connection = in_a_call()
    linger = (
        b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u\nContent-Disposition: linger\n"
        b"Channel-Name: c\nLinger-Time: -1\nContent-Length: 0\n\n"
    )
    (notice,) = connection.receive(linger)
    assert notice == DisconnectNotice("", linger=True, linger_seconds=-1, call="u")
    assert connection.state is State.LINGERING
    connection.send(c.GetVar("uuid"), Waiting())
    connection.receive(reply("x") + linger)
    assert "no place for 'linger notice received'" in str(connection.error)
    connection = in_a_call()
    connection.send(c.Exit(), Waiting())
    connection.receive(linger)
    assert connection.state is State.LEAVING
    for again in (c.GetVar("uuid"), c.Execute("answer", event_uuid="1")):
        with pytest.raises(ConnectionLost, match="exit was sent: the conversation is over"):
            connection.send(again, Waiting())


NOTICE = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u\nContent-Disposition: disconnect\n"
    b"Content-Length: 5\n\nBye.\n"
)


@pytest.mark.parametrize("by_notice", [True, False])
def test_outbound_the_end_after_a_hangup_is_the_end_of_the_call(by_notice: bool) -> None:
    connection = in_a_call()
    assert connection.channel == "aaaaaaaa-0000-4000-8000-000000000009"
    connection.send_execution(c.Execute("park", "", connection.channel, "e"), waiter := Waiting())
    other = json_event("CHANNEL_HANGUP", Unique_ID="other", Hangup_Cause="OTHER")
    mine = json_event("CHANNEL_HANGUP", Unique_ID=connection.channel, Hangup_Cause="USER_BUSY")
    connection.receive(reply("+OK") + other)
    assert connection.hangup_cause == ""
    connection.receive(mine)
    assert (connection.hangup_cause, connection.hangup_complete) == ("USER_BUSY", False)
    if by_notice:
        connection.receive(NOTICE)
    else:
        connection.receive_end()
    assert isinstance(waiter.outcome, CallEnded)
    assert waiter.outcome.cause == "USER_BUSY"


def test_outbound_a_notice_without_a_hangup_has_no_cause() -> None:
    connection = in_a_call()
    connection.receive(NOTICE)
    assert isinstance(connection.error, CallEnded)
    assert str(connection.error) == "-ERR the call has ended: cause unknown"


@pytest.mark.parametrize("name", [name for name in recordings.names() if name.startswith("outbound_")])
def test_a_recorded_outbound_conversation_ends_with_the_call(name: str) -> None:
    recording = recordings.load(name)
    connection = Connection(Role.OUTBOUND)
    for step in recording.steps:
        if step.by_switch:
            connection.receive(step.data) if step.data else connection.receive_end()
        else:
            connection.send(command_of(step.data))
    assert isinstance(connection.error, CallEnded)
    cause = {"outbound_async_full": "USER_BUSY", "outbound_not_full": ""}.get(name, "NORMAL_CLEARING")
    assert connection.hangup_cause == connection.error.cause == cause
    assert connection.hangup_complete is (name in ("outbound_async_full", "outbound_json_caller_hangs_up"))


def test_errors_are_copied_with_all_they_know() -> None:
    for error in (
        CallEnded("X", "park"),
        NeedsFull("api y"),
        CommandFailed("-ERR x", "api y"),
        ConnectionLost("lost"),
    ):
        error.__cause__ = OSError("below")
        copy = error.fresh()
        assert type(copy) is type(error)
        assert (copy.args, vars(copy), copy.__cause__) == (error.args, vars(error), error.__cause__)
        assert copy is not error


def test_the_number_of_waiting_commands_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNANSWERED", 3)
    connection = logged_in()
    for number in range(3):
        connection.send(c.Api("status", str(number)))
    for attempt in (
        lambda: connection.send(c.Api("status")),
        lambda: connection.send_job(c.BgApi("status"), Waiting()),
        lambda: connection.send_execution(c.Execute("park", event_uuid="e"), Waiting()),
    ):
        with pytest.raises(ESLError, match="3 commands already wait"):
            attempt()
    assert connection.unanswered == 3
    assert connection.under_way == 0


# Properties


def cut_and_mutated(draw: st.DrawFn) -> list[bytes]:
    data = bytearray(recordings.load(draw(st.sampled_from(SHORT))).received[:20_000])
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "repeat"]))
        if kind == "flip" and place < len(data):
            data[place] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 200))]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=50))
        else:
            data[place:place] = data[place : place + draw(st.integers(1, 500))]
    seed = draw(st.integers(0, 1000))
    choose, chunks = random.Random(seed), []
    rest = bytes(data)
    while rest:
        size = choose.choice((1, 5, 100, 1000, 30_000))
        chunks.append(rest[:size])
        rest = rest[size:]
    return chunks


SHORT = [name for name in recordings.names() if len(recordings.load(name).received) < 60_000]


@settings(max_examples=300, deadline=2000)
@given(st.data())
def test_any_mutated_stream_ends_in_messages_a_wait_or_one_of_our_errors(data: st.DataObject) -> None:
    chunks = data.draw(st.composite(cut_and_mutated)())
    connection = Connection(Role.INBOUND, max_header=50_000, max_body=100_000)
    waiters = [Waiting() for _ in range(8)]
    received: list[Message] = []
    try:
        for position, chunk in enumerate(chunks):
            received += connection.receive(chunk)
            if connection.state is State.GREETED:
                connection.send(c.Auth("x"), waiters[0])
            elif connection.state is State.READY and position < 5:
                connection.send(c.Api("status"), waiters[position + 1])
                connection.send_job(c.BgApi("status", job_uuid=str(position)), Waiting())
    except ESLError:
        assert connection.error is not None
    for message in received:
        if isinstance(message, Event):
            try:
                message.as_dict()
            except InvalidJSON:
                continue
    assert connection._parser.buffered <= 150_100
    connection.receive_end()
    assert connection.unanswered == connection.under_way == 0
    assert isinstance(connection.error, ESLError)


def test_events_that_are_for_others_are_not_even_made() -> None:
    connection = logged_in()
    connection.hidden = frozenset(("BACKGROUND_JOB",))
    stream = json_event("TALK") + json_event("DTMF")
    messages = connection.receive(stream)
    assert isinstance(messages, Batch)
    assert [event.name for event in messages] == ["TALK", "DTMF"]
    assert [event.raw for event in messages] == [b'{"Event-Name":"TALK"}', b'{"Event-Name":"DTMF"}']
    messages = connection.receive(stream + json_event("BACKGROUND_JOB"))
    assert messages == [JsonEvent(b'{"Event-Name":"TALK"}'), JsonEvent(b'{"Event-Name":"DTMF"}')]
