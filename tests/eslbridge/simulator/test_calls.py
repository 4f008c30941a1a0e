"""Calls through the simulator."""

from __future__ import annotations

import json
from pathlib import Path

from eslbridge.simulator import Simulator

from .conversation import Conversation, eventually


def test_click_to_dial_connects_two_phones(
    simulator: Simulator, client: Conversation, tmp_path: Path
) -> None:
    client.command("event json ALL")
    client.command("bgapi originate {origination_uuid=one}user/1000@127.0.0.1 1001 XML default")
    bridge = client.wait_for("CHANNEL_BRIDGE")
    other = bridge["Bridge-B-Unique-ID"]
    assert (bridge["Bridge-A-Unique-ID"], simulator.calls) == ("one", [("one", other)])
    assert json.loads(client.api("show channels as json"))["row_count"] == 2
    assert client.api("uuid_kill one") == "+OK\n"
    client.wait_for("CHANNEL_DESTROY", Unique_ID=other)
    eventually(lambda: not simulator.channels)
    records = {path.name for path in (tmp_path / "cdr").iterdir()}
    assert records == {"a_one.cdr.json", f"{other}.cdr.json"}


def test_a_did_rings_the_agent_it_is_routed_to(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CHANNEL_BRIDGE CHANNEL_HANGUP_COMPLETE")
    inbound = simulator.call_from_outside("+19495431333", "+15551230000")
    bridge = client.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)
    assert bridge["Other-Leg-Destination-Number"] == "1000"
    simulator.phones["1000"].hangup()
    done = client.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert done["variable_sip_req_user"] == "+19495431333"
