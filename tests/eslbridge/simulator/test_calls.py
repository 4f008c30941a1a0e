"""Calls through the simulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eslbridge.simulator import Simulator

from .conversation import Conversation, eventually

USER = "user/{}@127.0.0.1"
TRUNK = """\
<include>
<gateway name="trunk">
<param name="proxy" value="127.0.0.1:5080"/>
<param name="register" value="false"/>
</gateway>
</include>
"""
RULES = """\
<include>
<extension name="{name}">
<condition field="destination_number" expression="^{number}$">
{actions}
</condition>
</extension>
</include>
"""


def write_rule(conf_dir: Path, number: str, *actions: tuple[str, str], context: str = "default") -> None:
    """An extension of the site's own."""
    lines = [f'<action application="{name}" data="{data}"/>' for name, data in actions]
    text = RULES.format(name="rule" + number, number=number, actions="\n".join(lines))
    (conf_dir / f"dialplan/{context}/{number}.xml").write_text(text)


def causes(client: Conversation) -> dict[str, str]:
    """Hangup causes by UUID, of all legs that ended."""
    ended = [one for one in client.events() if one["Event-Name"] == "CHANNEL_HANGUP_COMPLETE"]
    return {one["Unique-ID"]: one["Hangup-Cause"] for one in ended}


@pytest.fixture
def calls(client: Conversation) -> Iterator[Conversation]:
    """A client that hears everything about calls."""
    client.command("event json ALL")
    yield client


def test_click_to_dial_connects_two_phones(simulator: Simulator, calls: Conversation, tmp_path: Path) -> None:
    calls.command(f"bgapi originate {{origination_uuid=one}}{USER.format(1000)} 1001 XML default")
    bridge = calls.wait_for("CHANNEL_BRIDGE")
    other = bridge["Bridge-B-Unique-ID"]
    assert (bridge["Bridge-A-Unique-ID"], simulator.calls) == ("one", [("one", other)])
    assert json.loads(calls.api("show channels as json"))["row_count"] == 2
    assert json.loads(calls.api("show calls as json"))["row_count"] == 1
    assert calls.api("uuid_kill one") == "+OK\n"
    calls.wait_for("CHANNEL_DESTROY", Unique_ID=other)
    eventually(lambda: not simulator.channels)
    records = {path.name for path in (tmp_path / "cdr").iterdir()}
    assert records == {"a_one.cdr.json", f"{other}.cdr.json"}


def test_a_did_rings_the_agent_it_is_routed_to(simulator: Simulator, calls: Conversation) -> None:
    inbound = simulator.call_from_outside("+19495431333", "+15551230000", "Ada")
    created = calls.wait_for("CHANNEL_CREATE", Unique_ID=inbound)
    assert created["Caller-Destination-Number"] == "+19495431333"
    assert created["Caller-Caller-ID-Name"] == "Ada"
    bridge = calls.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)
    assert bridge["Caller-Destination-Number"] == "1000"
    assert bridge["Caller-RDNIS"] == "+19495431333"
    simulator.phones["1000"].hangup()
    done = calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert done["variable_sip_req_user"] == "+19495431333"
    assert done["variable_sip_hangup_disposition"] == "send_bye"


def test_a_did_that_nobody_routes_ends_with_480(simulator: Simulator, calls: Conversation) -> None:
    inbound = simulator.call_from_outside("+15550000000")
    done = calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert done["Hangup-Cause"] == "NORMAL_CLEARING"
    assert done["variable_sip_hangup_disposition"] == "send_refuse"


def test_vanilla_does_not_know_extension_1020(
    simulator: Simulator, calls: Conversation, conf_dir: Path
) -> None:
    path = conf_dir / "directory/default/1020.xml"
    path.write_text((conf_dir / "directory/default/1000.xml").read_text().replace("1000", "1020"))
    calls.api("reloadxml")
    eventually(lambda: "1020" in simulator.phones and simulator.phones["1020"].registered)
    inbound = simulator.phones["1000"].place_call("1020")
    calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    bridged = (("bridge", "user/1020@$${domain}"),)
    write_rule(conf_dir, "1020", *bridged)
    calls.api("reloadxml")
    inbound = simulator.phones["1000"].place_call("1020")
    calls.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)


def test_a_busy_callee_sends_the_caller_to_voicemail(simulator: Simulator, calls: Conversation) -> None:
    simulator.phones["1001"].behaviour = "busy"
    inbound = simulator.phones["1000"].place_call("1001")
    done = calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert done["Hangup-Cause"] == "NORMAL_CLEARING"
    eventually(lambda: calls.api("show channels count").startswith("\n0 total"))
    assert sorted(causes(calls).values()) == ["NORMAL_CLEARING"] * 3 + ["USER_BUSY"]
    names = [one["Channel-Name"] for one in calls.events() if one["Event-Name"] == "CHANNEL_CREATE"]
    assert sorted(name for name in names if "loopback" in name) == [
        "loopback/voicemail-a",
        "loopback/voicemail-b",
    ]


@pytest.mark.parametrize(
    ("behaviour", "variables", "cause"),
    [
        ("busy", "", "USER_BUSY"),
        ("reject", "", "CALL_REJECTED"),
        ("offline", "", "USER_NOT_REGISTERED"),
        ("no_answer", "{originate_timeout=1}", "NO_ANSWER"),
    ],
)
def test_how_originate_fails(
    simulator: Simulator, client: Conversation, behaviour: str, variables: str, cause: str
) -> None:
    phone = simulator.phones["1001"]
    phone.behaviour = behaviour
    eventually(lambda: phone.registered == (behaviour != "offline"))
    assert client.api(f"originate {variables}{USER.format(1001)} &park()") == f"-ERR {cause}\n"


@pytest.mark.parametrize(
    ("dial_string", "answer"),
    [
        ("user/9999@127.0.0.1", "-ERR SUBSCRIBER_ABSENT\n"),
        ("user/1000@$${domain}", "-ERR SUBSCRIBER_ABSENT\n"),
        ("sofia/gateway/nowhere/1", "-ERR INVALID_GATEWAY\n"),
        ("sofia/nowhere/1@x", "-ERR INVALID_PROFILE\n"),
        ("error/user_busy", "-ERR USER_BUSY\n"),
        ("nonsense/1", "-ERR CHAN_NOT_IMPLEMENTED\n"),
        ("{name=Ada Byron}user/1000@127.0.0.1", "-ERR DESTINATION_OUT_OF_ORDER\n"),
        ("{name='Ada Byron'}error/user_busy", "-ERR USER_BUSY\n"),
    ],
)
def test_what_originate_cannot_dial(client: Conversation, dial_string: str, answer: str) -> None:
    assert client.api(f"originate {dial_string} &park()") == answer


def test_variables_of_an_originate(calls: Conversation) -> None:
    given = (
        r"{origination_uuid=one,origination_caller_id_name='Smith\, John',origination_caller_id_number=55}"
    )
    calls.api(f"originate {given}{USER.format(1000)} &park()")
    created = calls.wait_for("CHANNEL_CREATE", Unique_ID="one")
    assert created["Caller-Caller-ID-Name"] == "Smith, John"
    assert created["Caller-Caller-ID-Number"] == "55"


def test_api_originate_holds_up_its_own_connection(simulator: Simulator, client: Conversation) -> None:
    simulator.phones["1000"].answer_after = 0.4
    client.command("event json CHANNEL_PROGRESS")
    since = len(client.frames)
    client.send(f"api originate {{origination_uuid=one}}{USER.format(1000)} &park()\n\napi hostname\n\n")
    with Conversation(simulator.esl_port) as other:
        eventually(lambda: other.api("uuid_exists one") == "true")
        client.receive(0.05)
        assert client.frames[since:] == []
    client.read_until(lambda frame: frame.text == simulator.switch.hostname, since)
    kinds = [frame.kind for frame in client.frames[since:]]
    assert kinds == ["api/response", "text/event-json", "api/response"]


def test_bgapi_originate_does_not(simulator: Simulator, client: Conversation) -> None:
    simulator.phones["1000"].behaviour = "no_answer"
    reply = client.command(f"bgapi originate {USER.format(1000)} &park()\nJob-UUID: mine")
    assert (reply["Reply-Text"], reply["Job-UUID"]) == ("+OK Job-UUID: mine", "mine")
    assert client.api("hostname") == simulator.switch.hostname


def test_bridge_rings_one_after_another_and_all_at_once(
    simulator: Simulator, calls: Conversation, conf_dir: Path
) -> None:
    one, two, three = (USER.format(user) for user in (1001, 1002, 1003))
    write_rule(conf_dir, "7001", ("bridge", f"{one}|{two}"))
    write_rule(conf_dir, "7002", ("bridge", f"{two},{three}"))
    calls.api("reloadxml")
    simulator.phones["1001"].behaviour = "busy"
    simulator.phones["1002"].answer_after = 0.2
    inbound = simulator.phones["1000"].place_call("7001")
    bridge = calls.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)
    assert bridge["Other-Leg-Destination-Number"] == "1002"
    calls.api(f"uuid_kill {inbound}")
    inbound = simulator.phones["1000"].place_call("7002")
    bridge = calls.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)
    assert bridge["Other-Leg-Destination-Number"] == "1003"
    eventually(lambda: calls.api("show channels count").startswith("\n2 total"))
    assert "LOSE_RACE" in causes(calls).values()


def test_a_leg_has_a_time_of_its_own(simulator: Simulator, calls: Conversation, conf_dir: Path) -> None:
    legs = f"[leg_timeout=1]{USER.format(1001)}|{USER.format(1002)}"
    write_rule(conf_dir, "7001", ("bridge", legs))
    calls.api("reloadxml")
    simulator.phones["1001"].behaviour = "no_answer"
    inbound = simulator.phones["1000"].place_call("7001")
    bridge = calls.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)
    assert bridge["Other-Leg-Destination-Number"] == "1002"
    assert "ALLOTTED_TIMEOUT" in causes(calls).values()


@pytest.mark.parametrize(
    ("rule", "ends_with"),
    [
        ("", "USER_BUSY"),
        ("true", "NORMAL_CLEARING"),
        ("USER_BUSY", "NORMAL_CLEARING"),
        ("1", "NORMAL_CLEARING"),
    ],
)
def test_whether_the_dialplan_goes_on_after_a_failure(
    simulator: Simulator, calls: Conversation, conf_dir: Path, rule: str, ends_with: str
) -> None:
    write_rule(conf_dir, "7001", ("set", f"continue_on_fail={rule}"), ("bridge", "error/USER_BUSY"))
    calls.api("reloadxml")
    inbound = simulator.phones["1000"].place_call("7001")
    done = calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert done["Hangup-Cause"] == ends_with
    assert done["variable_originate_disposition"] == "USER_BUSY"


def test_calls_through_a_gateway(simulator: Simulator, calls: Conversation, conf_dir: Path) -> None:
    (conf_dir / "sip_profiles/external/trunk.xml").write_text(TRUNK)
    write_rule(conf_dir, r"0(\d+)", ("bridge", "sofia/gateway/trunk/$1"))
    calls.api("reloadxml")
    assert "INVALID_GATEWAY" in calls.api("originate sofia/gateway/trunk/1 &park()")
    assert calls.api("sofia profile external rescan") == "Reload XML [Success]\n+OK scan complete\n"
    calls.wait_for("CUSTOM", Event_Subclass="sofia::gateway_add")
    inbound = simulator.phones["1000"].place_call("015551230000")
    bridge = calls.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)
    assert bridge["Other-Leg-Channel-Name"] == "sofia/external/15551230000"
    simulator.outside.hangup()
    calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    simulator.outside.numbers["2"] = "busy"
    inbound = simulator.phones["1000"].place_call("02")
    assert calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)["Hangup-Cause"] == "USER_BUSY"


def test_a_caller_who_gives_up(simulator: Simulator, calls: Conversation) -> None:
    simulator.phones["1001"].behaviour = "no_answer"
    inbound = simulator.phones["1000"].place_call("1001")
    leg = calls.wait_for("CHANNEL_PROGRESS", Call_Direction="outbound")["Unique-ID"]
    simulator.phones["1000"].hangup()
    calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=leg)
    calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert causes(calls) == {inbound: "ORIGINATOR_CANCEL", leg: "ORIGINATOR_CANCEL"}


def test_the_called_phone_holds_takes_back_and_transfers_its_caller(
    simulator: Simulator, calls: Conversation
) -> None:
    caller = simulator.phones["1000"].place_call("1001")
    called = calls.wait_for("CHANNEL_BRIDGE", Unique_ID=caller)["Bridge-B-Unique-ID"]
    simulator.phones["1001"].hold()
    calls.wait_for("CHANNEL_HOLD", Unique_ID=called)
    simulator.phones["1001"].resume()
    calls.wait_for("CHANNEL_UNHOLD", Unique_ID=called)
    calls.wait_for("CHANNEL_EXECUTE_COMPLETE", Unique_ID=caller, Application="playback")
    simulator.phones["1001"].transfer("1002")
    calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=called)
    calls.wait_for("CHANNEL_CREATE", Channel_Presence_ID="1002@127.0.0.1")
    assert caller in simulator.channels


def test_hold_transfer_and_bridge_again(simulator: Simulator, calls: Conversation) -> None:
    calls.command(f"bgapi originate {{origination_uuid=one}}{USER.format(1000)} 1001 XML default")
    other = calls.wait_for("CHANNEL_BRIDGE")["Bridge-B-Unique-ID"]
    assert calls.api("uuid_hold one") == "+OK Success\n"
    calls.wait_for("CHANNEL_HOLD", Unique_ID="one")
    assert calls.api("uuid_hold off one") == "+OK Success\n"
    calls.wait_for("CHANNEL_UNHOLD", Unique_ID="one")
    calls.api(f"originate {{origination_uuid=two}}{USER.format(1002)} &park()")
    since = len(calls.frames)
    assert calls.api("uuid_bridge one two") == "+OK two\n"
    bridge = calls.wait_for("CHANNEL_BRIDGE", since)
    assert {bridge["Bridge-A-Unique-ID"], bridge["Bridge-B-Unique-ID"]} == {"one", "two"}
    calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=other)
    since = len(calls.frames)
    assert calls.api("uuid_transfer two 9196 XML default") == "+OK\n"
    calls.wait_for("CHANNEL_EXECUTE", since, Unique_ID="two", Application="echo")
    calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID="one")


@pytest.mark.parametrize("command", ["uuid_kill", "uuid_park", "uuid_transfer", "uuid_getvar", "uuid_dump"])
def test_commands_about_a_channel_that_is_not_there(client: Conversation, command: str) -> None:
    assert client.api(f"{command} none 1") == "-ERR No such channel!\n"


def test_variables_and_dump_of_a_channel(client: Conversation) -> None:
    client.api(f"originate {{origination_uuid=one,colour=red}}{USER.format(1000)} &park()")
    assert client.api("uuid_getvar one colour") == "red"
    assert client.api("uuid_setvar one colour blue") == "+OK\n"
    assert client.api("uuid_getvar one colour") == "blue"
    assert client.api("uuid_getvar one none") == "_undef_"
    assert json.loads(client.api("uuid_dump one json"))["variable_colour"] == "blue"
    assert "variable_colour: blue\n" in client.api("uuid_dump one")
    assert client.api("uuid_exists one") == "true"


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("originate {{name='${{system(touch 1)}}'}}{user} &set(x=${{name}})", "touch 1"),
        ("originate {user} '&bridge(loopback/${{system(touch 2)}}/default)'", "touch 2"),
        ("originate {user} 'system:touch 3' inline", "touch 3"),
        ("originate {{a=1,execute_on_answer='system touch 4'}}{user} &park()", "touch 4"),
        ("originate {{a=1}}{user} '&system(touch 5)'", "touch 5"),
        ("originate {{api_on_answer='system touch 6'}}{user} &park()", "touch 6"),
        ("originate {{api_hangup_hook='system touch 7'}}{user} &hangup()", "touch 7"),
        ("eval ${{system(touch 8)}}", "touch 8"),
        ("system touch 9", "touch 9"),
    ],
)
def test_commands_that_a_real_switch_would_run_are_only_noted(
    simulator: Simulator, client: Conversation, command: str, wanted: str
) -> None:
    client.api(command.format(user=USER.format(1000)))
    eventually(lambda: simulator.executed_commands)
    assert simulator.executed_commands == [wanted]


def test_a_caller_id_is_expanded_like_everything_else(simulator: Simulator, conf_dir: Path) -> None:
    write_rule(conf_dir, "7001", ("set", "x=${caller_id_name}"), context="public")
    simulator.restart()
    simulator.call_from_outside("7001", "+1555", "${system(touch caller)}")
    eventually(lambda: simulator.executed_commands)
    assert simulator.executed_commands == ["touch caller"]


def test_a_plain_phone_cannot_call_where_media_must_be_secure(
    simulator: Simulator, calls: Conversation, conf_dir: Path
) -> None:
    path = conf_dir / "directory/default/1000.xml"
    variable = '<variable name="rtp_secure_media" value="true"/>\n</variables>'
    path.write_text(path.read_text().replace("</variables>", variable))
    calls.api("reloadxml")
    inbound = simulator.phones["1000"].place_call("1001")
    done = calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert done["Hangup-Cause"] == "INCOMPATIBLE_DESTINATION"


def test_execute_extension_and_time(simulator: Simulator, calls: Conversation, conf_dir: Path) -> None:
    write_rule(conf_dir, "7001", ("execute_extension", "7002 XML default"), ("set", "after=yes"))
    write_rule(conf_dir, "7002", ("set", "inside=yes"), ("sleep", "10"))
    calls.api("reloadxml")
    inbound = simulator.phones["1000"].place_call("7001")
    done = calls.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert (done["variable_inside"], done["variable_after"]) == ("yes", "yes")
    applications = [one["Application"] for one in calls.events() if one["Event-Name"] == "CHANNEL_EXECUTE"]
    own = [name for name in applications if name not in ("hash", "export")]
    assert own == ["execute_extension", "set", "sleep", "set"]
