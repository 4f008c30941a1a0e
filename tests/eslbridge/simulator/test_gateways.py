"""Gateways: when the switch takes notice of their files, and when it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eslbridge.simulator import Simulator

from .conversation import Conversation, eventually

TRUNK = """\
<include>
<gateway name="trunk">
<param name="username" value="us"/>
<param name="password" value="secret"/>
<param name="proxy" value="{proxy}"/>
<param name="register" value="{register}"/>
</gateway>
</include>
"""


@pytest.fixture
def trunk(conf_dir: Path) -> Path:
    path = conf_dir / "sip_profiles/external/trunk.xml"
    path.write_text(TRUNK.format(proxy="a.example", register="false"))
    return path


def states(client: Conversation, since: int) -> list[str]:
    return [
        one["State"] for one in client.events(since) if one.get("Event-Subclass") == "sofia::gateway_state"
    ]


def test_a_gateway_is_there_from_the_start(trunk: Path, client: Conversation) -> None:
    assert "a.example" in client.api("sofia status gateway trunk")
    assert "<proxy>sip:a.example</proxy>" in client.api("sofia xmlstatus gateway trunk")


def test_an_edited_gateway_needs_to_be_killed_first(trunk: Path, client: Conversation) -> None:
    client.command("event json CUSTOM sofia::gateway_add sofia::gateway_delete")
    trunk.write_text(TRUNK.format(proxy="b.example", register="false"))
    assert client.api("sofia profile external rescan").endswith("+OK scan complete\n")
    assert "a.example" in client.api("sofia status gateway trunk")
    assert client.api("sofia profile external killgw trunk") == "+OK gateway marked for deletion.\n"
    assert client.api("sofia status gateway trunk") == "Invalid Gateway!\n"
    client.api("sofia profile external rescan")
    assert "b.example" in client.api("sofia status gateway trunk")
    client.wait_for("CUSTOM", Event_Subclass="sofia::gateway_delete")


def test_a_new_gateway_registers(simulator: Simulator, client: Conversation, conf_dir: Path) -> None:
    client.command("event json CUSTOM sofia::gateway_add sofia::gateway_state")
    (conf_dir / "sip_profiles/external/trunk.xml").write_text(
        TRUNK.format(proxy="127.0.0.1:5060", register="true")
        .replace('"us"', '"1000"')
        .replace("secret", "1234")
    )
    client.api("reloadxml")
    assert client.api("sofia status gateway trunk") == "Invalid Gateway!\n"
    client.api("sofia profile external rescan")
    client.wait_for("CUSTOM", Event_Subclass="sofia::gateway_state", State="REGED")


def test_a_gateway_that_nobody_answers_is_down(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    simulator.outside.unreachable.add("nowhere.example")
    client.command("event json CUSTOM sofia::gateway_state")
    path = conf_dir / "sip_profiles/external/trunk.xml"
    path.write_text(TRUNK.format(proxy="nowhere.example", register="true"))
    client.api("sofia profile external rescan")

    def failed(event: dict[str, Any]) -> bool:
        return event["State"] in ("FAILED", "FAIL_WAIT")

    eventually(lambda: client.receive(0.1) or [one for one in client.events() if failed(one)])
    assert client.api("originate sofia/gateway/trunk/1 &park()") == "-ERR GATEWAY_DOWN\n"


def test_a_gateway_with_a_wrong_password_is_forbidden(client: Conversation, conf_dir: Path) -> None:
    client.command("event json CUSTOM sofia::gateway_state")
    path = conf_dir / "sip_profiles/external/trunk.xml"
    path.write_text(TRUNK.format(proxy="127.0.0.1:5060", register="true"))
    client.api("sofia profile external rescan")
    event = client.wait_for("CUSTOM", State="FAILED")
    assert (event["Status"], event["Phrase"]) == ("403", "Forbidden")
