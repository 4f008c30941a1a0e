"""Traces show the conversation and no password."""

import pytest

from eslbridge.protocol.events import PlainEvent
from eslbridge.protocol.frames import ApiResponse, Reply
from eslbridge.protocol.trace import MAX_TRACED, described, masked


@pytest.mark.parametrize(
    "text",
    [
        "auth SECRET\n\n",
        "userauth esl@example.com:SECRET\n\n",
        "api status\n\nauth SECRET\n\n",
        "api originate {sip_auth_username=u,sip_auth_password=SECRET}user/1000 &park\n\n",
        "api originate {sip_auth_password='SECRET'}user/1000 &park\n\n",
        "variable_sip_auth_password: SECRET\n",
        'x: {"variable_sip_auth_password":"SECRET"}',
        '"_body":"{\\"password\\":\\"SECRET\\"}"',
        '<param name="password" value="SECRET"/>',
        "<param name='vm-password' value='SECRET'/>",
        '<param name="a1-hash" value="SECRET"/>',
        "<variable_sip_password>SECRET</variable_sip_password>",
        "password%3DSECRET",
        "passwd = SECRET",
        "user_secret: SECRET",
        "Password:SECRET",
    ],
)
def test_passwords_are_masked(text: str) -> None:
    shown = masked(text.encode())
    assert "SECRET" not in shown
    assert "********" in shown


@pytest.mark.parametrize(
    "text",
    [
        "api status\n\n",
        "Content-Type: auth/request\n\n",
        "filter Unique-ID 1\n\n",
        "Reply-Text: +OK accepted\n\n",
    ],
)
def test_everything_else_is_shown(text: str) -> None:
    assert masked(text.encode()) == text


def test_a_trace_is_short_and_survives_any_bytes() -> None:
    shown = masked(b"\xff" + b"x" * 10_000)
    assert shown.startswith("\\xffxxx")
    assert shown.endswith(f"… {10_001 - MAX_TRACED} more bytes")


def test_messages_are_described() -> None:
    assert described(PlainEvent(b"Event-Name: X\npassword: y\n\n")) == "Event-Name: X\npassword: ********\n\n"
    assert described(ApiResponse(b"password=x")) == "password=********"
    assert described(Reply(b"Reply-Text: +OK")) == "Reply(block=b'Reply-Text: +OK')"
