"""What an agent's file makes the switch do."""

import re
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent
from agents.switchxml import agent_file
from eslbridge.client import Client
from eslbridge.models import PendingChange
from eslbridge.protocol.events import Event
from eslbridge.publishing import Target
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.publisher import Publisher
from eslbridge.simulator import Simulator
from eslbridge.switchxml import UnsafeValue
from tests.conftest import wait_until
from tests.factories import make_agent, make_route

TARGET = Target("switch-1", "127.0.0.1")


def values(agent: Agent) -> dict[str, str]:
    return dict(re.findall(r'name="([^"]*)" value="([^"]*)"', agent_file(agent, TARGET).content))


def everything_on(publisher: Publisher) -> None:
    queue_differences(publisher.switch, differences(publisher.switch, publisher.disk.root))
    assert publisher.publish().failed == {}
    assert not PendingChange.objects.exists()


def registered(simulator: Simulator, *agents: Agent) -> None:
    for agent in agents:
        wait_until(
            lambda number=agent.extension: number in simulator.phones and simulator.phones[number].registered,
            f"{agent} to register",
        )


def talking(simulator: Simulator) -> list[set[str]]:
    """Who talks to whom, by the user or number of each leg."""
    channels = simulator.channels
    return [{channels[uuid].name for uuid in pair if uuid in channels} for pair in simulator.calls]


@pytest.mark.parametrize("callee", [1021, 3001, 5000, 123456])
def test_agents_can_call_one_another_whatever_their_extension(
    publisher: Publisher, simulator: Simulator, callee: int
) -> None:
    """In vanilla's own dialplan 3001 is a conference, 5000 a menu, and 1021 nobody."""
    caller, called = make_agent(1020), make_agent(callee)
    everything_on(publisher)
    registered(simulator, caller, called)

    simulator.phones["1020"].place_call(str(callee))

    wait_until(lambda: simulator.calls, "the two to talk")
    assert any(str(callee) in name for name in talking(simulator)[0])


def test_a_did_rings_its_agent(publisher: Publisher, simulator: Simulator) -> None:
    agent = make_agent(1020)
    make_route(agent, did="+19495431333")
    everything_on(publisher)
    registered(simulator, agent)

    simulator.call_from_outside("+19495431333")

    wait_until(lambda: simulator.calls, "the two to talk")
    assert any("1020" in name for name in talking(simulator)[0])


def test_what_is_no_agents_number_is_the_switchs_own_business(
    publisher: Publisher, simulator: Simulator
) -> None:
    caller = make_agent(1020)
    everything_on(publisher)
    registered(simulator, caller)

    uuid = simulator.phones["1020"].place_call("9196")  # vanilla's echo

    wait_until(lambda: (echo := simulator.channels.get(uuid)) and echo.answered, "the echo")


def test_the_file_holds_what_the_form_says(settings: Any, db: None) -> None:
    settings.DEFAULT_CALLER_ID, settings.DEFAULT_CALLER_NAME = "+15550001111", "Our company"
    agent = make_agent(1020, name="Grace", email="g@navy.example", call_group="sales")

    found = values(agent)

    assert found["password"] == agent.password
    assert found["vm-password"] == agent.voicemail_pin
    assert found["vm-mailto"] == "g@navy.example"
    assert found["user_context"] == "patchbay"
    assert (found["effective_caller_id_name"], found["effective_caller_id_number"]) == ("Grace", "1020")
    assert found["outbound_caller_id_number"] == "+15550001111"
    assert found["outbound_caller_id_name"] == "Our company"
    assert found["toll_allow"] == "local,domestic"
    assert found["callgroup"] == "sales"
    assert "rtp_secure_media" not in found


def test_a_browser_phone_demands_encrypted_media(db: None) -> None:
    assert values(make_agent(media=Agent.Media.WEBRTC))["rtp_secure_media"] == "true"


def test_an_agents_own_caller_ids_win(settings: Any, db: None) -> None:
    settings.DEFAULT_CALLER_ID = "+15550001111"
    own = {"caller_id_name": "Sales", "caller_id_number": "2000", "outbound_caller_id": "+15552223333"}
    found = values(make_agent(**own))
    assert (found["effective_caller_id_name"], found["effective_caller_id_number"]) == ("Sales", "2000")
    assert found["outbound_caller_id_number"] == "+15552223333"


def test_the_revision_changes_with_the_content_and_only_then(db: None) -> None:
    agent = make_agent()
    first, second = values(agent), values(agent)
    assert first["patchbay_revision"] == second["patchbay_revision"]
    agent.name = "Another"
    assert values(agent)["patchbay_revision"] != first["patchbay_revision"]


def test_an_inactive_agent_has_no_file(db: None) -> None:
    assert agent_file(make_agent(is_active=False), TARGET) is None


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("name", "${system(id)}", "Caller ID name"),
        ("outbound_caller_id", "${x}", "Outbound caller ID"),
        ("email", "`id`@navy.example", "E-mail"),
        ("call_group", "a\nb", "Call group"),
    ],
)
def test_what_no_form_let_in_is_not_written_either(db: None, field: str, value: str, named: str) -> None:
    with pytest.raises(UnsafeValue, match=named):
        agent_file(make_agent(**{field: value}), TARGET)


def test_a_file_of_ours_outside_of_the_switchs_reach_is_found_out(
    publisher: Publisher, switch_folders: Path, esl: Client
) -> None:
    main = switch_folders / "freeswitch.xml"
    main.write_text(main.read_text().replace("dialplan/*.xml", "dialplan/default.xml"))
    queue_differences(publisher.switch, differences(publisher.switch, publisher.disk.root))

    failed = publisher.publish().failed

    assert list(failed) == ["dialplan/00_patchbay.xml", "dialplan/patchbay/00_emergency.xml"]
    assert "does not read dialplan/00_patchbay.xml" in failed["dialplan/00_patchbay.xml"]


def test_a_deactivated_agent_whom_vanillas_groups_name_is_not_answered(
    publisher: Publisher, simulator: Simulator
) -> None:
    """They point to 1000 to 1014, and of those the switch says that they exist, with a file or without."""
    caller, gone = make_agent(1020), make_agent(1001)
    everything_on(publisher)
    registered(simulator, caller, gone)
    gone.deactivate()
    publisher.publish()
    ended: list[Event] = []
    options = {"subscriptions": ["CHANNEL_HANGUP_COMPLETE"], "on_events": ended.extend}
    with Client("127.0.0.1", simulator.esl_port, "ClueCon", **options) as esl:
        esl.connect()
        assert esl.api("user_exists", "id 1001 127.0.0.1") == "true"
        assert esl.api("user_data", "1001@127.0.0.1 attr type") == "pointer"

        uuid = simulator.phones["1020"].place_call("1001")

        event = wait_until(lambda: next((one for one in ended if one["Unique-ID"] == uuid), None), "the end")
    assert event["Caller-Channel-Answered-Time"] == "0", "voicemail answered for somebody who is not there"
