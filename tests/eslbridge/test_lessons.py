"""What other Event Socket libraries get wrong, each shown on the whole client, over a real socket."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from eslbridge.client import Client, Connected, Disconnected
from eslbridge.protocol.errors import AuthenticationFailed, ConnectionLost, InvalidJSON, Timeout
from eslbridge.protocol.events import Event, JsonEvent, PlainEvent

from .scripted_switch import Line, ScriptedSwitch, goodbye, json_event, reply, response, until

SHORT = (0.005, 0.01)


@pytest.fixture
def switch() -> Iterator[ScriptedSwitch]:
    with ScriptedSwitch() as switch:
        yield switch


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.states: list[Connected | Disconnected] = []


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def client(switch: ScriptedSwitch, heard: Heard) -> Iterator[Client]:
    client = Client(
        "127.0.0.1",
        switch.port,
        on_events=heard.events.extend,
        on_state=heard.states.append,
        subscriptions=["TALK"],
        retry=SHORT,
        timeout=5,
    )
    with client:
        client.connect()
        yield client


def raw_frame(kind: bytes, body: bytes) -> bytes:
    return b"Content-Length: %d\nContent-Type: %b\n\n%b" % (len(body), kind, body)


def test_a_body_that_is_not_utf8_does_not_kill_the_reader(
    switch: ScriptedSwitch, client: Client, heard: Heard
) -> None:
    switch.line.send(raw_frame(b"text/event-json", b'{"Event-Name":"TALK","Name":"caf\xe9"}'))
    assert client.api("status") == "UP"
    assert heard.events[0]["Name"].encode("utf-8", "surrogateescape") == b"caf\xe9"


@pytest.mark.parametrize(
    "name", ["%0AForged: yes", "%0A%0AForged: yes", "\x85Forged: yes", "\u2028Forged: yes"]
)
def test_a_callers_name_forges_no_header(name: str) -> None:
    """Lines are split at newlines only, and before values are decoded."""
    raw = f"Event-Name: TALK\nCaller-Caller-ID-Name: {name}\nUnique-ID: 1\n\n".encode()
    for event in (PlainEvent(raw), PlainEvent(raw)):
        assert event.get("Forged") is None
        assert list(event) == ["Event-Name", "Caller-Caller-ID-Name", "Unique-ID"]


def test_content_length_counts_bytes(switch: ScriptedSwitch, client: Client, heard: Heard) -> None:
    switch.api["names"] = "Zoë 🦊\n" * 100
    assert client.api("names") == ("Zoë 🦊\n" * 100)[:-1]
    switch.line.send(json_event("TALK", Name="🦊" * 1000) + json_event("TALK", Name="2"))
    until(lambda: len(heard.events) == 2)
    assert [event["Name"] for event in heard.events] == ["🦊" * 1000, "2"]


def test_a_late_reply_is_not_given_to_the_next_command(switch: ScriptedSwitch, client: Client) -> None:
    late = threading.Event()

    def answer(line: Line, command: str) -> bytes | None:
        if command == "api slow":
            late.wait(5)
            return response("late")
        return switch.usual_answer(line, command)

    switch.answer = answer
    with pytest.raises(Timeout):
        client.api("slow", timeout=0.01)
    threading.Timer(0.05, late.set).start()
    assert client.api("status") == "UP"
    assert client.api("echo", "next") == "next"


def test_every_command_has_its_place_among_the_replies(switch: ScriptedSwitch, client: Client) -> None:
    for _ in range(3):
        client.execute("uuid-1", "playback", "x")
        client.bgapi("status")
        assert client.api("echo", "mine") == "mine"


@pytest.mark.parametrize(
    "ending", [b"", b"Content-Type: api/response\nContent-Length: 500\n\nhalf", goodbye()]
)
def test_everybody_who_waits_is_told_when_the_connection_ends(
    switch: ScriptedSwitch, client: Client, ending: bytes
) -> None:
    """While a command waits, in the middle of a body, after a notice: with one error, and at once."""
    errors: list[BaseException] = []
    switch.answer = lambda _line, _command: None

    def ask() -> None:
        try:
            client.api("status")
        except ConnectionLost as error:
            errors.append(error)

    client._wish(client._wishes.needing(("BACKGROUND_JOB",)))
    job = client.bgapi("status")
    askers = [threading.Thread(target=ask) for _ in range(5)]
    for asker in askers:
        asker.start()
    until(lambda: len(switch.commands) == 7)
    began, line = time.monotonic(), switch.line
    line.send(ending)
    line.drop()
    for asker in askers:
        asker.join(5)
    with pytest.raises(ConnectionLost):
        job.result()
    assert len(errors) == 5
    assert len({str(error) for error in errors}) == 1
    assert time.monotonic() - began < 4  # a wait would have been 5 s


def test_the_end_before_the_login_is_told_and_nothing_spins(switch: ScriptedSwitch) -> None:
    switch.greet = lambda _line: False
    with Client("127.0.0.1", switch.port, timeout=5) as client, pytest.raises(ConnectionLost):
        client.connect()
    before = time.process_time()
    switch.greet = lambda line: bool(line.read_command())  # says nothing at all
    with Client("127.0.0.1", switch.port, timeout=0.3) as client, pytest.raises(Timeout):
        client.connect()
    assert time.process_time() - before < 0.25


def test_connected_is_not_said_before_the_login(switch: ScriptedSwitch, heard: Heard) -> None:
    switch.password = "another"
    with (
        Client("127.0.0.1", switch.port, on_state=heard.states.append) as client,
        pytest.raises(AuthenticationFailed),
    ):
        client.connect()
    assert not any(isinstance(state, Connected) for state in heard.states)


def test_after_a_reconnect_subscriptions_are_back_and_the_gap_is_announced_first(
    switch: ScriptedSwitch, client: Client, heard: Heard
) -> None:
    client.filter("Unique-ID", "1")
    client.log("info")
    switch.line.drop()
    until(lambda: len(heard.states) == 3)
    assert isinstance(heard.states[1], Disconnected)
    assert heard.states[2] == Connected(gap=True, reply="+OK accepted")
    assert switch.line.commands[1:] == [
        "filter Event-Name HEARTBEAT",
        "filter Unique-ID 1",
        "event json TALK",
        "log info",
    ]


def test_results_of_jobs_that_nobody_here_started_are_not_kept(
    switch: ScriptedSwitch, client: Client
) -> None:
    assert client.bgapi("status").result() == "UP"
    for number in range(100):
        switch.line.send(json_event("BACKGROUND_JOB", "foreign", Job_UUID=f"foreign-{number}"))
    assert client.bgapi("status").result() == "UP"
    assert client._session is not None
    assert client._session.connection.under_way == 0


def test_events_come_in_order_through_one_thread(
    switch: ScriptedSwitch, client: Client, heard: Heard
) -> None:
    threads = threading.active_count()
    switch.line.send(b"".join(json_event("TALK", Number=str(number)) for number in range(8000)))
    until(lambda: len(heard.events) == 8000, 20)
    assert [event["Number"] for event in heard.events] == [str(number) for number in range(8000)]
    assert threading.active_count() <= threads


def test_the_password_is_in_no_log(switch: ScriptedSwitch, caplog: pytest.LogCaptureFixture) -> None:
    switch.password = "s3cr3t-word"
    caplog.set_level(logging.DEBUG, logger="eslbridge.trace")
    with Client("127.0.0.1", switch.port, "s3cr3t-word") as client:
        client.connect()
        client.api("status")
        assert "s3cr3t-word" not in repr(client.__dict__)
    assert "api status" in caplog.text
    assert "s3cr3t-word" not in caplog.text


@pytest.mark.parametrize("value", ["%zz", "%", "%4", "%00", "100%", "%ed%a0%80", "%ff%fe"])
def test_nothing_that_is_hard_to_decode_ends_the_process(
    switch: ScriptedSwitch, client: Client, heard: Heard, value: str
) -> None:
    switch.line.send(raw_frame(b"text/event-plain", f"Event-Name: TALK\nName: {value}\n\n".encode()))
    switch.line.send(raw_frame(b"text/event-json", b'{"Event-Name":"TALK","Name":"\\ud800"}'))
    switch.line.send(raw_frame(b"text/event-json", b'{"Event-Name":"TALK","Name":'))
    until(lambda: len(heard.events) == 3)
    plain, surrogate, broken = heard.events
    assert isinstance(plain["Name"], str)
    assert surrogate["Name"] == "\ufffd"
    with pytest.raises(InvalidJSON):
        broken["Name"]
    assert client.api("status") == "UP"


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\r\nb", "a\n\nexit", "a\0b"])
def test_a_newline_in_a_value_is_never_sent(switch: ScriptedSwitch, client: Client, bad: str) -> None:
    before = list(switch.commands)
    for say in (
        lambda: client.api("echo", bad),
        lambda: client.bgapi("originate", bad),
        lambda: client.execute("uuid", "playback", bad),
        lambda: client.hangup("uuid", bad),
        lambda: client.sendevent("CUSTOM", {"a": bad}),
        lambda: client.filter("Unique-ID", bad),
        lambda: client.subscribe(bad),
    ):
        with pytest.raises(ValueError, match=r"^\S+: (contains|must be)"):
            say()
    assert switch.commands == before


def test_an_inner_content_length_is_no_header_of_the_frame(
    switch: ScriptedSwitch, client: Client, heard: Heard
) -> None:
    """And a look-up does not read on into the body."""
    body = b"Event-Name: TALK\nContent-Length: 24\n\nName: forged\nvariable_x: 1"
    switch.line.send(raw_frame(b"text/event-plain", body) + json_event("TALK", Name="next"))
    until(lambda: len(heard.events) == 2)
    assert heard.events[0].get("Name") is None
    assert heard.events[0].get("variable_x") is None
    assert heard.events[0].body.startswith("Name: forged")
    assert heard.events[1]["Name"] == "next"


def test_what_the_plain_format_loses() -> None:
    plain = PlainEvent(b"Event-Name: TALK\nEmpty: _undef_\nPercent: %41\nArray: ARRAY::a|:b\n\n")
    json = JsonEvent(b'{"Event-Name":"TALK","Empty":"","Percent":"%41","Array":["a","b"]}')
    assert (plain["Empty"], json["Empty"]) == ("", "")
    assert (plain["Percent"], json["Percent"]) == ("A", "%41")
    assert plain.get_list("Array") == json.get_list("Array") == ["a", "b"]


def test_invalid_utf8_in_json_is_read_all_the_same() -> None:
    """orjson refuses it."""
    event = JsonEvent(b'{"Event-Name":"TALK","A":"\xff","B":"2"}')
    assert (event["B"], event["A"]) == ("2", "\udcff")
    assert event.as_dict() == {"Event-Name": "TALK", "A": "\udcff", "B": "2"}


def test_a_command_is_one_write_without_delay(switch: ScriptedSwitch, client: Client) -> None:
    """Several small writes without TCP_NODELAY cost 44 ms a command: a hundred would take 4 s."""
    began = time.monotonic()
    for _ in range(100):
        client.hangup("uuid")
    assert time.monotonic() - began < 2


def test_a_slot_is_kept_for_a_command_whose_waiter_was_killed(switch: ScriptedSwitch, client: Client) -> None:
    """A tombstone also after many time-outs: none of their answers reaches anybody."""
    held: list[tuple[Line, bytes]] = []

    def hold(line: Line, command: str) -> bytes | None:
        answered = switch.usual_answer(line, command)
        if command.startswith("api echo old"):
            held.append((line, answered or b""))
            return None
        for late_line, late in held:
            late_line.send(late)
        held.clear()
        return answered

    switch.answer = hold
    for number in range(5):
        with suppress(Timeout):
            client.api("echo", f"old {number}", timeout=0.01)
    until(lambda: len(held) == 5)
    assert client.api("echo", "new") == "new"


def test_a_reply_of_the_wrong_kind_is_not_taken(switch: ScriptedSwitch, client: Client, heard: Heard) -> None:
    switch.answer = lambda _line, _command: reply("+OK")
    with pytest.raises(ConnectionLost.__base__):  # type: ignore[arg-type]
        client.api("status")
    until(lambda: len(heard.states) >= 3)
