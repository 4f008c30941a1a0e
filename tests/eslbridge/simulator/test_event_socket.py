"""The event socket: logging in, asking, subscribing."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from eslbridge.simulator import Simulator, listener
from eslbridge.simulator.conf import write_vanilla

from .conversation import Conversation, Frame, eventually

USER = "user/1000@127.0.0.1"


def replies(client: Conversation, since: int) -> list[str]:
    return [frame["Reply-Text"] for frame in client.frames[since:] if frame.kind == "command/reply"]


@pytest.fixture
def stranger(simulator: Simulator) -> Conversation:
    """A connection that has not logged in."""
    return Conversation(simulator.esl_port, password=None)


def test_a_wrong_password_ends_the_conversation(stranger: Conversation) -> None:
    with stranger:
        assert stranger.command("auth wrong")["Reply-Text"] == "-ERR invalid"
        notice = stranger.read_until(lambda frame: frame.kind == "text/disconnect-notice")
        assert notice.text.startswith("Disconnected, goodbye.")
        eventually(lambda: stranger.receive(0.1) or stranger.ended)


def test_nothing_works_before_the_password(simulator: Simulator, stranger: Conversation) -> None:
    with stranger:
        assert stranger.command("api status")["Reply-Text"] == "-ERR command not found"
        assert stranger.command("auth ClueCon")["Reply-Text"] == "+OK accepted"
        assert stranger.api("status").startswith("UP 0 years")


def test_passwords_are_not_remembered(simulator: Simulator, client: Conversation) -> None:
    client.api("status")
    assert [text for _, text in simulator.received] == ["auth ***", "api status"]


def test_who_does_not_log_in_is_sent_away(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "AUTH_SECONDS", 0.05)
    with Conversation(simulator.esl_port, password=None) as stranger:
        stranger.read_until(lambda frame: frame.kind == "text/disconnect-notice")


def users(conf_dir: Path, client: Conversation, **params: str) -> None:
    """Gives user 1000 the password `1000` and limits for the event socket."""
    path = conf_dir / "directory/default/1000.xml"
    lines = [
        f'<param name="esl-{name.replace("_", "-")}" value="{value}"/>' for name, value in params.items()
    ]
    text = path.read_text().replace("vm-password", "esl-password")
    path.write_text(text.replace("<params>", "<params>\n" + "\n".join(lines)))
    assert client.api("reloadxml") == "+OK [Success]\n"


def test_users_of_the_directory_log_in_with_their_own_password(
    simulator: Simulator, client: Conversation, stranger: Conversation, conf_dir: Path
) -> None:
    users(conf_dir, client)
    with stranger:
        reply = stranger.command("userauth 1000@127.0.0.1:1000")
        assert reply["Reply-Text"] == "+OK accepted"
        assert (reply["Allowed-Events"], reply["Allowed-API"], reply["Allowed-LOG"]) == ("all", "all", "true")
        assert stranger.api("hostname") == simulator.switch.hostname


def test_users_of_the_directory_may_do_what_they_were_allowed(
    client: Conversation, stranger: Conversation, conf_dir: Path
) -> None:
    users(
        conf_dir,
        client,
        allowed_api="echo eval",
        allowed_events="HEARTBEAT CUSTOM sofia::register",
        allowed_log="false",
    )
    denied = "-ERR permission denied"
    with stranger:
        reply = stranger.command("userauth 1000@127.0.0.1:1000")
        assert (reply["Allowed-API"], reply["Allowed-LOG"]) == ("echo eval", "false")
        assert stranger.api("echo x") == "x"
        for command in ("api status", "api eval status", "bgapi status", "log 7", "event json ALL"):
            assert stranger.command(command)["Reply-Text"] == denied
        assert stranger.command("event json CUSTOM a::b")["Reply-Text"] == denied
        assert stranger.command("event json HEARTBEAT CUSTOM sofia::register")["Reply-Text"].startswith("+OK")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("nosuch x", "-ERR nosuch Command not found!\n"),
        ("originate x", "-USAGE: <call url> <exten>"),
        ("user_data 1000@127.0.0.1 param password", "1234"),
        ("user_data 1000@127.0.0.1 var callgroup", "techsupport"),
        ("user_data 9@127.0.0.1 var callgroup", "-ERR no reply\n"),
        ("global_getvar domain", "127.0.0.1"),
        ("global_getvar none", "-ERR no reply\n"),
        ("module_exists mod_sofia", "true"),
        ("module_exists mod_none", "false"),
        ("eval ${domain}", "127.0.0.1"),
        ("sofia status gateway none", "Invalid Gateway!\n"),
        ("sofia xmlstatus gateway none", "Invalid Gateway!\n"),
        ("sofia profile none rescan", "Invalid Profile [none]"),
        ("sofia profile external killgw none", "-ERR no such gateway.\n"),
        ("sofia profile external killgw", "-ERR missing gw name\n"),
        ("show nonsense", "-USAGE: "),
        ("xml_locate directory", "<section "),
        ("xml_locate directory domain name none", "can't find anything\n"),
        ("xml_locate directory domain", "-ERR bad args\n"),
        ("uuid_exists none", "false"),
    ],
)
def test_answers(client: Conversation, command: str, answer: str) -> None:
    assert client.api(command).startswith(answer)


def test_commands_are_told_by_their_beginning_and_in_any_case(client: Conversation) -> None:
    assert client.command("API hostname").kind == "api/response"
    assert client.command("nonsense")["Reply-Text"] == "-ERR command not found"
    assert client.command("event")["Reply-Text"] == "-ERR no keywords supplied"


def test_a_line_ends_a_command_and_a_blank_line_what_belongs_to_it(client: Conversation) -> None:
    since = len(client.frames)
    client.send("api hostname\nuuid_kill: all\n\n\n\r\napi version\r\n\r\n")
    client.read_until(lambda frame: frame.text.startswith("FreeSWITCH Version"), since)
    assert len(client.frames) == since + 2


def test_exit_is_polite(client: Conversation) -> None:
    assert client.command("exit")["Reply-Text"] == "+OK bye"
    client.read_until(lambda frame: frame.kind == "text/disconnect-notice")


# Subscribing


def test_only_what_was_asked_for_arrives(client: Conversation) -> None:
    client.command("event plain CHANNEL_ANSWER CUSTOM sofia::register")
    client.api(f"originate {USER} &park()")
    client.api("uuid_kill none")
    assert [event["Event-Name"] for event in client.events()] == ["CHANNEL_ANSWER"]


def test_each_connection_has_its_own_format(simulator: Simulator, client: Conversation) -> None:
    client.command("event json HEARTBEAT")
    with Conversation(simulator.esl_port) as other:
        other.command("event xml HEARTBEAT")
        simulator.heartbeat()
        assert client.wait_for("HEARTBEAT")["Event-Info"] == "System Ready"
        assert "<Event-Name>HEARTBEAT" in other.read_until(lambda frame: frame.kind == "text/event-xml").text


def test_nixed_events_are_gone_and_no_events_ends_them_all(
    simulator: Simulator, client: Conversation
) -> None:
    client.command("event json ALL")
    assert client.command("nixevent HEARTBEAT")["Reply-Text"] == "+OK events nixed"
    simulator.heartbeat()
    client.api("reloadxml")
    client.wait_for("RELOADXML")
    assert "HEARTBEAT" not in {event["Event-Name"] for event in client.events()}
    assert client.command("noevents")["Reply-Text"] == "+OK no longer listening for events"
    assert client.command("noevents")["Reply-Text"] == "-ERR not listening for events"
    since = len(client.frames)
    client.api("reloadxml")
    client.api("hostname")
    assert client.events(since) == []


@pytest.mark.parametrize(
    ("filters", "seen"),
    [
        (["Unique-ID one"], {"one"}),
        (["Unique-ID one", "Unique-ID two"], {"one", "two"}),
        (["add Unique-ID two"], {"two"}),
        (["Unique-ID /^t/"], {"two"}),
        (["Event-Name CHANNEL_ANSWER", "Unique-ID -one"], {"two"}),
        (["Unique-ID one", "delete Unique-ID one"], {"one", "two"}),
        (["Unique-ID none", "delete all"], {"one", "two"}),
        (["No-Such-Header x"], set()),
    ],
)
def test_filters_let_in(client: Conversation, filters: list[str], seen: set[str]) -> None:
    client.command("event json CHANNEL_ANSWER")
    for one in filters:
        assert client.command(f"filter {one}")["Reply-Text"].startswith("+OK filter ")
    for uuid in ("one", "two"):
        client.api(f"originate {{origination_uuid={uuid}}}{USER} &park()")
    client.api("hostname")
    assert {event["Unique-ID"] for event in client.events()} == seen


def test_my_events_of_one_call(simulator: Simulator, client: Conversation) -> None:
    """The connection then has the channel, as an outbound one has; the format is not taken here."""
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    with Conversation(simulator.esl_port) as other:
        client.command("event json HEARTBEAT")
        assert client.command("myevents one plain")["Reply-Text"] == "+OK Events Enabled"
        assert client.command("myevents one")["Reply-Text"] == "-ERR aready enabled."
        assert client.command("getvar uuid")["Reply-Text"] == "one"
        assert client.command("linger 1")["Reply-Text"] == "+OK will linger 1 seconds"
        other.api(f"originate {{origination_uuid=two}}{USER} &park()")
        client.command("sendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY")
        assert client.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID="one")["Hangup-Cause"] == "USER_BUSY"
    assert {event["Unique-ID"] for event in client.events()} == {"one"}
    client.read_until(lambda frame: b"Content-Disposition: linger" in frame.raw)
    client.read_until(lambda frame: b"Content-Disposition: disconnect" in frame.raw)


def test_my_events_of_a_call_that_is_not_there(client: Conversation) -> None:
    assert client.command("myevents one json")["Reply-Text"] == "-ERR invalid uuid"
    assert client.command("myevents one")["Reply-Text"] == "+OK Events Enabled"
    assert client.command("getvar uuid")["Reply-Text"] == "-ERR command not found"


def test_an_extension_in_a_message(client: Conversation) -> None:
    client.command("event json CHANNEL_EXECUTE")
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    applications = "application: set x=1\napplication: set y=2 3\napplication: park"
    assert client.command(f"sendmsg one\ncall-command: xferext\n{applications}")["Reply-Text"] == "+OK"
    client.wait_for("CHANNEL_EXECUTE", Application_Data="y=2 3")
    eventually(lambda: client.api("uuid_getvar one y") == "2 3")
    assert client.api("uuid_getvar one x") == "1"


def test_an_application_that_takes_no_time_does_not_loop(client: Conversation) -> None:
    client.command("event json CHANNEL_EXECUTE_COMPLETE")
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    client.command(
        "sendmsg one\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: a=1\nloops: 3"
    )
    client.command("sendmsg one\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: b=1")
    client.wait_for("CHANNEL_EXECUTE_COMPLETE", Application_Data="b=1")
    assert [event["Application-Data"] for event in client.events()] == ["a=1", "b=1"]


def test_a_reply_has_511_bytes(client: Conversation) -> None:
    assert len(client.command(f"filter A {'v' * 600}")["Reply-Text"]) == 511


def test_a_value_that_begins_with_a_tilde_breaks_the_conversation(client: Conversation) -> None:
    """As it does on the switch, which takes it for a reply that brings its own lines."""
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    client.api("uuid_setvar one tilde ~x: y")
    client.command("myevents one")
    client.send("getvar tilde\n\napi hostname\n\n")
    frame = client.read_until(lambda frame: b"x: y" in frame.raw)
    assert frame.raw.startswith(b"Content-Type: command/reply\nx: yContent-Type: api/response\n")


def test_events_of_our_own(client: Conversation) -> None:
    client.command("event json CUSTOM ours::note")
    reply = client.command(
        "sendevent CUSTOM\nEvent-Subclass: ours::note\nColour: red\nContent-Length: 5\n\nhello"
    )
    assert reply["Reply-Text"].startswith("+OK ")
    event = client.wait_for("CUSTOM")
    assert (event["Event-Subclass"], event["Colour"], event["_body"]) == ("ours::note", "red", "hello")
    assert event["Event-UUID"] == reply["Reply-Text"].removeprefix("+OK ")


@pytest.mark.parametrize("value", ["a b&c", "100%", "Jürgen 東京", "a\tb", "x=1;y=2", "~!$'()*-._/,"])
def test_plain_values_are_url_encoded(client: Conversation, value: str) -> None:
    client.command("event plain CUSTOM ours::note")
    client.command(f"sendevent CUSTOM\nEvent-Subclass: ours::note\nValue: {value}")
    event = client.wait_for("CUSTOM")
    assert event["Value"] == value
    line = next(line for line in client.frames[-1].text.split("\n") if line.startswith("Value: "))
    assert line == "Value: " + quote(value, safe="/~!$'()*-._,")


def test_a_percent_that_looks_like_an_escape_arrives_decoded(client: Conversation) -> None:
    client.command("event plain CUSTOM ours::note")
    client.command("sendevent CUSTOM\nEvent-Subclass: ours::note\nValue: 100%41")
    assert client.wait_for("CUSTOM")["Value"] == "100A"


def test_a_repeated_name_stays_in_json(client: Conversation) -> None:
    client.command("event json CHANNEL_HANGUP_COMPLETE")
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    client.api("uuid_kill one")
    client.wait_for("CHANNEL_HANGUP_COMPLETE")
    pairs = json.loads(client.frames[-1].body, object_pairs_hook=list)
    assert [value for name, value in pairs if name == "Hangup-Cause"] == ["NORMAL_CLEARING"] * 2


def test_the_log(client: Conversation) -> None:
    assert client.command("log nonsense")["Reply-Text"] == "-ERR invalid log level"
    assert client.command("log info")["Reply-Text"] == "+OK log level info [6]"
    client.api(f"originate {{origination_uuid=one}}{USER} '&log(WARNING mind the gap)'")
    frame = client.read_until(lambda frame: "mind the gap" in frame.text and frame["Log-Level"] == "4")
    assert (frame.kind, frame["User-Data"]) == ("log/data", "one")
    assert client.command("nolog")["Reply-Text"] == "+OK no longer logging"
    assert client.command("nolog")["Reply-Text"] == "-ERR not loging"


def test_linger_is_for_controlled_calls(client: Conversation) -> None:
    assert client.command("linger")["Reply-Text"] == "-ERR not controlling a session"


def test_a_message_to_a_call(client: Conversation) -> None:
    client.command("event json CHANNEL_EXECUTE_COMPLETE")
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    lines = ["sendmsg one", "call-command: execute", "execute-app-name: set", "execute-app-arg: colour=red"]
    assert client.command("\n".join([*lines, "Event-UUID: mine"]))["Reply-Text"] == "+OK"
    event = client.wait_for("CHANNEL_EXECUTE_COMPLETE", Application_UUID="mine")
    assert event["variable_colour"] == "red"
    assert (
        client.command("sendmsg none\ncall-command: hangup")["Reply-Text"] == "-ERR invalid session id [none]"
    )
    assert client.command("sendmsg one\ncall-command: hangup\nhangup-cause: USER_BUSY")["Reply-Text"] == "+OK"
    eventually(lambda: client.api("uuid_exists one") == "false")


def test_the_switch_looks_for_events_now_and_then_and_after_each_command(
    simulator: Simulator, client: Conversation
) -> None:
    client.command("event json HEARTBEAT")
    simulator.switch.options.event_tick = 3600.0
    simulator.switch.in_loop(simulator.switch.heartbeat)
    client.receive(0.1)
    assert client.events() == []

    client.api("status")
    eventually(lambda: client.receive(0.1) or client.events())

    simulator.switch.options.event_tick = 0.02
    simulator.switch.in_loop(simulator.switch.heartbeat)
    eventually(lambda: client.receive(0.1) or len(client.events()) == 2)


# What goes wrong


def test_a_slow_reader_is_cut_off(tmp_path: Path) -> None:
    write_vanilla(tmp_path)
    with Simulator(tmp_path, event_queue_length=1000) as simulator:
        with Conversation(simulator.esl_port) as client:
            client.command("event json HEARTBEAT")

            def beat_until_cut() -> bool:
                simulator.switch.in_loop(lambda: [simulator.switch.heartbeat() for _ in range(500)])
                return simulator.connections == 0

            eventually(beat_until_cut, seconds=30)
            eventually(lambda: client.receive(0.1) or client.ended)
        sequence = [int(event["Event-Sequence"]) for event in client.events()]
        assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))
        assert simulator.errors == []


def faulty(simulator: Simulator) -> Conversation:
    client = Conversation(simulator.esl_port)
    client.command("event json HEARTBEAT")
    return client


def test_dropped_connections(simulator: Simulator) -> None:
    with faulty(simulator) as client:
        assert simulator.faults.drop_connections() == 1
        eventually(lambda: client.receive(0.1) or client.ended)
    with faulty(simulator) as client:
        assert client.api("hostname") == simulator.switch.hostname


def test_refused_passwords(simulator: Simulator, stranger: Conversation) -> None:
    simulator.faults.refuse_auth()
    with stranger:
        assert stranger.command("auth ClueCon")["Reply-Text"] == "-ERR invalid"
    simulator.faults.clear()
    faulty(simulator).__exit__()


def test_an_acl_that_refuses(simulator: Simulator) -> None:
    simulator.faults.reject_acl()
    with Conversation(simulator.esl_port, password=None) as client:
        frame = client.read_until(lambda frame: frame.kind == "text/rude-rejection")
        assert frame.text == "Access Denied, go away.\n"
        eventually(lambda: client.receive(0.1) or client.ended)


def test_a_half_open_connection_says_nothing_until_it_is_dropped(simulator: Simulator) -> None:
    with faulty(simulator) as client:
        since = len(client.frames)
        simulator.faults.half_open()
        client.send("api hostname\n\n")
        simulator.heartbeat()
        client.receive(0.1)
        assert (client.frames[since:], client.ended) == ([], False)
        simulator.faults.clear()
        eventually(lambda: client.receive(0.1) or client.ended)


def test_a_slow_switch(simulator: Simulator) -> None:
    with faulty(simulator) as client:
        simulator.faults.slow(0.3)
        since = len(client.frames)
        client.send("api hostname\n\n")
        client.receive(0.05)
        assert client.frames[since:] == []
        client.read_until(lambda frame: frame.kind == "api/response", since)


def test_every_byte_by_itself(simulator: Simulator) -> None:
    simulator.faults.split_every_byte()
    with faulty(simulator) as client:
        simulator.heartbeat()
        client.wait_for("HEARTBEAT")


def test_garbage(simulator: Simulator) -> None:
    with faulty(simulator) as client:
        simulator.faults.garbage(b"no: protocol\n\n")
        frame = client.read_until(lambda frame: frame["no"] == "protocol")
        assert isinstance(frame, Frame)


def test_a_frame_that_is_cut_off(simulator: Simulator) -> None:
    with faulty(simulator) as client:
        since = len(client.frames)
        simulator.faults.cut_in_frame()
        eventually(lambda: client.receive(0.1) or client.ended)
        assert client.frames[since:] == []


def test_a_reload_that_fails(simulator: Simulator, client: Conversation) -> None:
    simulator.faults.reload_error("[error near line 7]: no")
    assert client.api("reloadxml") == "+OK [[error near line 7]: no]\n"
    simulator.faults.reload_error("")
    assert client.api("reloadxml") == "+OK [Success]\n"


def test_events_that_are_late(simulator: Simulator) -> None:
    with faulty(simulator) as client:
        simulator.faults.hold_events()
        simulator.heartbeat()
        assert client.api("hostname") == simulator.switch.hostname
        assert client.events() == []
        simulator.faults.clear()
        client.wait_for("HEARTBEAT")


def test_a_stopped_switch_refuses_and_a_started_one_has_its_port_again(simulator: Simulator) -> None:
    with faulty(simulator) as client:
        port = simulator.esl_port
        simulator.stop()
        eventually(lambda: client.receive(0.1) or client.ended)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
    simulator.start()
    assert simulator.esl_port == port
    faulty(simulator).__exit__()


def test_a_port_that_is_taken(simulator: Simulator, conf_dir: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        Simulator(conf_dir, esl_port=simulator.esl_port).start()


def test_shutdown_says_so(simulator: Simulator, client: Conversation) -> None:
    client.command("event json SHUTDOWN")
    client.api("fsctl shutdown")
    client.wait_for("SHUTDOWN")
    notice = client.read_until(lambda frame: frame.kind == "text/disconnect-notice")
    assert notice.text == "The system is being shut down.\n"
