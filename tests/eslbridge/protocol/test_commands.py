"""Commands are written as the recordings have them, and a value that could end one early is never built."""

import os
import random
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eslbridge.protocol import commands as c
from tests import recordings

UUID = "aaaaaaaa-0000-4000-8000-000000000007"
NONE = "00000000-0000-0000-0000-000000000000"

RECORDED = [
    ("auth_ok", c.Auth("ClueCon")),
    ("auth_ok", c.Exit()),
    ("api_errors", c.Api("uuid_kill", NONE)),
    ("api_errors", c.Api("originate user/1009@127.0.0.1 &park")),
    ("bgapi", c.BgApi("status", job_uuid="11111111-2222-3333-4444-555555555555")),
    ("bgapi", c.Events(("BACKGROUND_JOB",), "plain")),
    (
        "registration_events_json",
        c.Events(
            (
                "sofia::register",
                "sofia::unregister",
                "sofia::expire",
                "sofia::register_failure",
                "sofia::register_attempt",
            )
        ),
    ),
    ("subscriptions", c.Events(("ALL",), "plain")),
    ("subscriptions", c.Filter("Event-Name", "HEARTBEAT")),
    ("subscriptions", c.FilterDelete("Event-Name", "HEARTBEAT")),
    ("subscriptions", c.FilterDelete()),
    ("subscriptions", c.NixEvent(("RE_SCHEDULE",))),
    ("subscriptions", c.NoEvents()),
    ("subscriptions", c.Linger()),
    ("subscriptions", c.NoLinger()),
    ("subscriptions", c.Log(7)),
    ("subscriptions", c.NoLog()),
    ("subscriptions", c.DivertEvents(True)),
    ("subscriptions", c.DivertEvents(False)),
    ("subscriptions", c.MyEvents(NONE)),
    (
        "subscriptions",
        c.SendEvent(
            "NOTIFY",
            c.header_pairs(
                {
                    "profile": "internal",
                    "event-string": "check-sync",
                    "user": "1000",
                    "host": "127.0.0.1",
                    "content-type": "application/simple-message-summary",
                }
            ),
        ),
    ),
    (
        "sendmsg_execute",
        c.Execute(
            "set",
            "patchbay_note=hello world",
            UUID,
            "22075ce5-b67b-4f04-a6dd-1726ec14c8bf",
        ),
    ),
    ("outbound_async_full", c.Connect()),
    ("outbound_async_full", c.MyEvents()),
    ("outbound_async_full", c.Execute("answer")),
    ("outbound_async_full", c.Execute("sleep", "300", event_lock=True)),
    ("outbound_async_full", c.GetVar("uuid")),
    ("outbound_async_full", c.Hangup(cause="USER_BUSY")),
    ("outbound_json_caller_hangs_up", c.Linger(2)),
]


@pytest.mark.parametrize(("name", "command"), RECORDED, ids=lambda value: getattr(value, "summary", None))
def test_a_command_is_what_was_sent_to_the_real_switch(name: str, command: c.Command) -> None:
    assert command.to_bytes() in recordings.load(name).sent


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (c.UserAuth("esl@example.com", "secret"), b"userauth esl@example.com:secret\n\n"),
        (c.Resume(), b"resume\n\n"),
        (c.Log("DEBUG"), b"log DEBUG\n\n"),
        (c.MyEvents(format="json"), b"myevents json\n\n"),
        (c.MyEvents(UUID, "xml"), f"myevents {UUID} xml\n\n".encode()),
        (c.FilterDelete("Unique-ID"), b"filter delete Unique-ID\n\n"),
        (c.Filter("Caller-Caller-ID-Name", "Smith, John"), b"filter Caller-Caller-ID-Name Smith, John\n\n"),
        (c.Events(("CUSTOM",)), b"event json CUSTOM\n\n"),
        (c.Events(("CUSTOM odd", "TALK", "a::b", "TALK")), b"event json TALK CUSTOM odd a::b\n\n"),
        (c.NixEvent(("a::b",)), b"nixevent CUSTOM a::b\n\n"),
        (
            c.Unicast(UUID, "10.0.0.1", 9000, "10.0.0.2", 9001, "tcp", native=True),
            f"sendmsg {UUID}\ncall-command: unicast\nlocal-ip: 10.0.0.1\nlocal-port: 9000\n"
            "remote-ip: 10.0.0.2\nremote-port: 9001\ntransport: tcp\nflags: native\n\n".encode(),
        ),
        (
            c.Unicast(),
            b"sendmsg\ncall-command: unicast\nlocal-ip: 127.0.0.1\nlocal-port: 8025\n"
            b"remote-ip: 127.0.0.1\nremote-port: 8026\ntransport: udp\n\n",
        ),
        (
            c.NoMedia("b-leg", UUID),
            f"sendmsg {UUID}\ncall-command: nomedia\nnomedia-uuid: b-leg\n\n".encode(),
        ),
        (
            c.XferExt(("answer", "playback /tmp/a b.wav"), UUID),
            f"sendmsg {UUID}\ncall-command: xferext\napplication: answer\n"
            "application: playback /tmp/a b.wav\n\n".encode(),
        ),
        (
            c.Execute("playback", "x.wav", UUID, "e-1", loops=-1, hold_bleg=True),
            f"sendmsg {UUID}\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: x.wav\n"
            "Event-UUID: e-1\nloops: -1\nhold-bleg: true\n\n".encode(),
        ),
        (
            c.Execute("set", "x=" + "é" * 600, UUID),
            f"sendmsg {UUID}\ncall-command: execute\nexecute-app-name: set\ncontent-type: text/plain\n"
            "content-length: 1202\n\nx=".encode()
            + "é".encode() * 600,
        ),
        (
            c.SendEvent("CUSTOM", (("Event-Subclass", "patchbay::probe"), ("X-One", "1")), "hello"),
            b"sendevent CUSTOM\nEvent-Subclass: patchbay::probe\nX-One: 1\ncontent-length: 5\n\nhello",
        ),
        (
            c.SendEvent("MESSAGE", (), "two\n\nparts é"),
            b"sendevent MESSAGE\ncontent-length: 13\n\ntwo\n\nparts \xc3\xa9",
        ),
        (c.SendMsg("", (("call-command", "x"),)), b"sendmsg\ncall-command: x\n\n"),
        (c.SendMsg(UUID, (), "b"), f"sendmsg {UUID}\ncontent-length: 1\n\nb".encode()),
        (c.Api("echo", "caf\udce9"), b"api echo caf\xe9\n\n"),
        (c.Linger(0), b"linger 0\n\n"),
    ],
    ids=lambda value: getattr(value, "summary", None),
)
def test_the_bytes_of_a_command(command: c.Command, expected: bytes) -> None:
    assert command.to_bytes() == expected


def test_a_job_has_a_uuid_of_its_own() -> None:
    first, second = c.BgApi("status"), c.BgApi("status")
    assert len(first.job_uuid) == 36
    assert first.job_uuid != second.job_uuid


def test_passwords_are_not_shown() -> None:
    for command in (c.Auth("tops3cret"), c.UserAuth("u@d", "tops3cret")):
        assert "tops3cret" not in repr(command)
        assert "tops3cret" not in command.summary
        assert b"tops3cret" in command.to_bytes()


TEXTS: list[tuple[str, Callable[[str], c.Command]]] = [
    ("password", c.Auth),
    ("user", lambda v: c.UserAuth(f"a@{v}", "p")),
    ("password", lambda v: c.UserAuth("a@b", v)),
    ("command", c.Api),
    ("arguments", lambda v: c.Api("status", v)),
    ("command", c.BgApi),
    ("arguments", lambda v: c.BgApi("status", v)),
    ("job_uuid", lambda v: c.BgApi("status", "", v)),
    ("names", lambda v: c.Events((v,))),
    ("names", lambda v: c.Events((f"a::{v}",))),
    ("names", lambda v: c.NixEvent((v,))),
    ("uuid", c.MyEvents),
    ("header", lambda v: c.Filter(v, "x")),
    ("value", lambda v: c.Filter("x", v)),
    ("header", c.FilterDelete),
    ("value", lambda v: c.FilterDelete("x", v)),
    ("name", c.SendEvent),
    ("headers", lambda v: c.SendEvent("X", ((v, "x"),))),
    (r"headers\[x\]", lambda v: c.SendEvent("X", (("x", v),))),
    ("uuid", c.SendMsg),
    ("headers", lambda v: c.SendMsg("u", ((v, "x"),))),
    (r"headers\[x\]", lambda v: c.SendMsg("u", (("x", v),))),
    ("app", c.Execute),
    ("arg", lambda v: c.Execute("set", v)),
    ("uuid", lambda v: c.Execute("set", "", v)),
    ("event_uuid", lambda v: c.Execute("set", "", "u", v)),
    ("uuid", c.Hangup),
    ("cause", lambda v: c.Hangup("u", v)),
    ("uuid", c.Unicast),
    ("local_ip", lambda v: c.Unicast("u", v)),
    ("remote_ip", lambda v: c.Unicast("u", remote_ip=v)),
    ("nomedia_uuid", c.NoMedia),
    ("uuid", lambda v: c.NoMedia("x", v)),
    ("applications", lambda v: c.XferExt((v,))),
    ("uuid", lambda v: c.XferExt(("x",), v)),
    ("name", c.GetVar),
]


@pytest.mark.parametrize(("argument", "build"), TEXTS)
@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\n", "a\n\nexit", "\ud800"])
def test_a_value_that_could_end_a_command_is_refused(
    argument: str, build: Callable[[str], c.Command], bad: str
) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        build(bad)


@given(st.sampled_from(TEXTS), st.text())
def test_whatever_is_built_is_one_command(case: tuple[str, Callable[[str], c.Command]], value: str) -> None:
    """The head ends at the first blank line, there is no other, and the lines are ours."""
    try:
        command = case[1](value)
    except ValueError:
        return
    head, _, body = command.to_bytes().partition(b"\n\n")
    assert b"\r" not in head
    assert b"\0" not in head
    assert body == command.content().encode()
    lines = head.split(b"\n")
    assert len(lines) == len(list(command.lines())) + bool(body)
    assert lines[0].split(b" ")[0] in (
        b"auth userauth api bgapi event nixevent myevents filter sendevent sendmsg getvar".split()
    )


@pytest.mark.parametrize(
    ("argument", "build"),
    [
        ("password", lambda: c.Auth(None)),
        ("arguments", lambda: c.Api("status", 5)),
        ("user", lambda: c.UserAuth("nodomain", "p")),
        ("user", lambda: c.UserAuth("@d", "p")),
        ("user", lambda: c.UserAuth("a:b@d", "p")),
        ("command", lambda: c.Api("")),
        ("command", lambda: c.BgApi(" ")),
        ("job_uuid", lambda: c.BgApi("status", "", "")),
        ("job_uuid", lambda: c.BgApi("status", "", "x" * 201)),
        ("job_uuid", lambda: c.BgApi("status", "", "é")),
        ("names", lambda: c.Events(())),
        ("names", lambda: c.Events("TALK")),
        ("names", lambda: c.Events(["TALK"])),
        ("names", lambda: c.Events((5,))),
        ("names", lambda: c.Events(("TALK DTMF",))),
        ("format", lambda: c.Events(("TALK",), "yaml")),
        ("format", lambda: c.MyEvents(format="yaml")),
        ("header", lambda: c.Filter("", "x")),
        ("header", lambda: c.Filter("a b", "x")),
        ("header", lambda: c.Filter("a:", "x")),
        ("header", lambda: c.Filter("delete", "all")),
        ("header", lambda: c.Filter("Add", "x")),
        ("header", lambda: c.FilterDelete("")),
        ("value", lambda: c.Filter("x", " ")),
        ("headers", lambda: c.SendEvent("X", (("Content-Length", "5"),))),
        ("headers", lambda: c.SendEvent("X", {"a": "b"})),
        ("body", lambda: c.SendEvent("X", (), "a\0b")),
        ("body", lambda: c.SendEvent("X", (), 5)),
        ("body", lambda: c.SendMsg("", (), "\ud800")),
        ("body", lambda: c.SendMsg("", (), "x" * (c.MAX_BODY_BYTES + 1))),
        ("app", lambda: c.Execute("")),
        ("app", lambda: c.Execute("play back")),
        ("loops", lambda: c.Execute("x", loops=-2)),
        ("loops", lambda: c.Execute("x", loops=True)),
        ("loops", lambda: c.Execute("x", loops="1")),
        ("cause", lambda: c.Hangup("u", "")),
        ("local_port", lambda: c.Unicast(local_port=0)),
        ("remote_port", lambda: c.Unicast(remote_port=70000)),
        ("transport", lambda: c.Unicast(transport="sctp")),
        ("nomedia_uuid", lambda: c.NoMedia("")),
        ("applications", lambda: c.XferExt(())),
        ("applications", lambda: c.XferExt("answer")),
        ("applications", lambda: c.XferExt(("",))),
        ("seconds", lambda: c.Linger(-1)),
        ("name", lambda: c.GetVar("")),
        ("level", lambda: c.Log(8)),
        ("level", lambda: c.Log("loud")),
        ("loops", lambda: c.Execute("answer", loops=0)),
    ],
)
def test_what_the_switch_would_misread_is_refused(argument: str, build: Callable[[], c.Command]) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        build()


def test_the_base_command_says_nothing() -> None:
    with pytest.raises(NotImplementedError):
        c.Command.lines(c.Connect())
    assert c.Connect().content() == ""


LONG = "x" * (c.MAX_LINE + 1)


@pytest.mark.parametrize(
    ("argument", "build"),
    [
        ("arguments", lambda: c.Api("echo", LONG)),
        ("value", lambda: c.Filter("A", LONG)),
        ("headers", lambda: c.SendEvent("CUSTOM", tuple((f"n{n}", LONG[:60_000]) for n in range(10)))),
        ("headers", lambda: c.SendMsg("u", tuple((f"n{n}", LONG[:60_000]) for n in range(10)))),
        ("names", lambda: c.Events(tuple(f"a::{n}{LONG[:60_000]}" for n in range(10)))),
        ("applications", lambda: c.XferExt(tuple(f"set a={LONG[:60_000]}" for _ in range(10)))),
    ],
)
def test_what_the_switch_would_cut_in_two_is_refused(argument: str, build: Callable[[], c.Command]) -> None:
    """It ends a command after 10 MiB; the rest would be its next command."""
    with pytest.raises(ValueError, match=f"^{argument}: "):
        build()


def test_no_command_is_near_what_the_switch_would_cut_in_two() -> None:
    longest = "🦊" * c.MAX_LINE
    built = (
        c.Api(longest, longest),
        c.Execute(longest, longest, "u", "e"),
        c.UserAuth(f"{longest[2:]}@d", longest),
    )
    for command in built:
        assert len(command.to_bytes().partition(b"\n\n")[0]) < 10 * 1024 * 1024


def test_uuids_are_made_anew_in_a_forked_process_and_after_seed() -> None:
    random.seed(1)
    first = c.new_uuid()
    random.seed(1)
    assert c.new_uuid() != first
    assert uuid.UUID(first).version == 4
    assert uuid.UUID(first).variant == uuid.RFC_4122
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, c.new_uuid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100).decode() != c.new_uuid()
    os.close(read)
    os.close(write)
