"""API commands beyond those of the recordings, and applications."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from eslbridge.simulator import Simulator

from .conversation import Conversation, eventually

USER = "user/1000@127.0.0.1"


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        ("global_getvar", "^default_password=1234$"),
        ("uptime", r"^\d+$"),
        ("strepoch", r"^1\d{9}$"),
        ("strepoch nonsense", "^0$"),
        ("strftime 0|%Y", "^19(69|70)$"),
        ("strftime %Y", r"^20\d\d$"),
        ("fsctl", "^-USAGE: "),
        ("fsctl sps", "^.OK"),
        ("echo some text", "^some text$"),
        ("regex 1234|^1(2)", "^true$"),
        ("regex 1234|^9", "^false$"),
        ("regex 1234|^1(2)|x%1", "^x2$"),
        ("regex 1234|^9|x", "^1234$"),
        ("cond 2 > 10 ? a : b", "^b$"),
        ("cond 'x' == 'x' ? a : b", "^a$"),
        ("cond nonsense", "^-ERR$"),
        ('json {"command":"status","data":""}', '"systemStatus":"ready"'),
        ('json {"command":"none","data":""}', '"status":"error"'),
        ("json {", "^-ERR Parse error.$"),
        ("json", "^-ERR No JSON supplied.$"),
        ("xml_locate root", "^<document "),
        ("xml_locate directory domain name 127.0.0.1", '^<domain name="127.0.0.1">'),
        ("hash select/a/b", "^-ERR no reply$"),
        ("hash delete/a/b", "^-ERR Not found$"),
        ("hash nonsense", "^-USAGE: "),
        ("show modules", "^generic,mod_sofia,mod_sofia,$"),
        ("show api", "^uuid_kill,"),
        ("show application", "^bridge,"),
        ("show codec", "^type,name,ikey"),
        ("show channels count as json", '^{"row_count":0}$'),
        ("create_uuid", "^[0-9a-f-]{36}$"),
        ("url_decode a%20b", "^a b$"),
        ("reloadacl", r"^\+OK"),
        ("list_users", r"^1000\|default\|127.0.0.1\|default\|sofia/internal/sip:1000@"),
        ("user_exists id", "^-USAGE"),
        ("user_data 1000", "^-USAGE"),
        ("domain_exists 127.0.0.1", "^true$"),
        ("group_call sales@127.0.0.1", "^sofia/internal/sip:1000@.*,sofia/internal/sip:1001@"),
        ("group_call none@127.0.0.1", "^error/NO_ROUTE_DESTINATION$"),
        ("sofia", "^-USAGE: sofia help"),
        ("sofia nonsense", "^Unknown command!$"),
        ("sofia loglevel all 0", r"^\+OK$"),
        ("sofia profile internal nonsense", "^-ERR Unknown command!$"),
        ("sofia profile external register none", "^Invalid gateway!$"),
        ("sofia profile external register", "^No gateway name provided!$"),
        ("sofia profile internal siptrace on", "^Enabled sip debugging on internal$"),
        ("sofia profile internal restart", r"^Reload XML \[Success\]$"),
        ("sofia status profile none", r"^Invalid Profile \[none\]$"),
        ("sofia xmlstatus profile none", r"^Invalid Profile \[none\]$"),
        ("sofia xmlstatus", "<name>internal</name>"),
        ("sofia xmlstatus gateway", "<gateways>"),
        ("uuid_kill", "^-USAGE"),
        ("uuid_hold none", "^\\+OK Success$"),
        ("uuid_bridge one none", "^-ERR Invalid uuid$"),
        ("uuid_send_dtmf none 1", "^-ERR Cannot locate session!$"),
        ("uuid_record none start x", "^-ERR No such channel!$"),
        ("uuid_broadcast none x", "^-ERR No such channel!$"),
        ("uuid_break none", "^-ERR No such channel!$"),
        ("uuid_answer none", "^-ERR No such channel!$"),
    ],
)
def test_what_it_answers(client: Conversation, command: str, pattern: str) -> None:
    assert re.search(pattern, client.api(command), re.MULTILINE)


def test_globals_and_the_hash_can_be_set(client: Conversation) -> None:
    assert client.api("global_setvar colour=red") == "+OK"
    assert client.api("global_getvar colour") == "red"
    assert client.api("hash insert/realm/key/value") == "+OK\n"
    assert client.api("eval ${hash(select/realm/key)}") == "value"
    assert client.api("hash delete/realm/key") == "+OK\n"


def test_hupall_ends_every_call(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CHANNEL_HANGUP_COMPLETE")
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    assert client.api("hupall") == "+OK hangup all channels with cause MANAGER_REQUEST\n"
    assert client.wait_for("CHANNEL_HANGUP_COMPLETE")["Hangup-Cause"] == "MANAGER_REQUEST"
    assert client.api("fsctl hupall") == "+OK\n"


def test_show_like_finds_some_rows(client: Conversation) -> None:
    for uuid in ("one", "two"):
        client.api(f"originate {{origination_uuid={uuid}}}{USER} &park()")
    found = json.loads(client.api("show channels like one as json"))
    assert [row["uuid"] for row in found["rows"]] == ["one"]
    assert client.api("eval uuid:one ${uuid}") == "one"


def test_things_that_happen_to_a_call(client: Conversation) -> None:
    client.command(
        "event json CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE RECORD_START RECORD_STOP CHANNEL_ANSWER"
    )
    client.api(f"originate {{origination_uuid=one}}{USER} &park()")
    assert client.api("uuid_broadcast one silence_stream://10") == "+OK Message sent\n"
    done = client.wait_for("CHANNEL_EXECUTE_COMPLETE", Application="playback")
    assert done["Application-Response"] == "FILE PLAYED"
    client.api("uuid_broadcast one set::colour=red both")
    client.wait_for("CHANNEL_EXECUTE", Application="set", Application_Data="colour=red")
    assert client.api("uuid_record one start /tmp/x.wav") == "+OK Success\n"
    client.wait_for("RECORD_START", Record_File_Path="/tmp/x.wav")
    assert "<target>/tmp/x.wav</target>" in client.api("uuid_buglist one")
    assert client.api("uuid_record one stop all") == "+OK Success\n"
    client.wait_for("RECORD_STOP", Record_File_Path="/tmp/x.wav")
    assert client.api("uuid_send_dtmf one 12#") == "+OK one sent DTMF 12#.\n"
    client.api("uuid_broadcast one silence_stream://-1")
    client.wait_for("CHANNEL_EXECUTE", Application_Data="silence_stream://-1")
    assert client.api("uuid_break one all") == "+OK\n"
    done = client.wait_for("CHANNEL_EXECUTE_COMPLETE", Application_Data="silence_stream://-1")
    assert done["Application-Response"] == "PLAYBACK INTERRUPTED"


@pytest.mark.parametrize(
    ("applications", "variables"),
    [
        ("multiset:^^;a=1;b=2", {"a": "1", "b": "2"}),
        ("set:a=1,unset:a", {"a": None}),
        ("export:a=1", {"a": "1", "export_vars": "a"}),
        ("export:nolocal:a=1", {"nolocal:a": "1", "export_vars": "nolocal:a"}),
        ("set:a=_undef_", {"a": None}),
        ("hash:insert/r/k/v,set:a=${hash(select/r/k)}", {"a": "v"}),
        ("set:a=${cond(1 == 1 ? yes : no)}", {"a": "yes"}),
        ("set:a=${expr(1)}", {"a": None}),
        ("read:1 1 none digits 50", {"read_result": "timeout"}),
        ("respond:486 Busy", {"hangup_cause": "NORMAL_CLEARING"}),
        ("hangup:call_rejected", {"hangup_cause": "CALL_REJECTED"}),
        ("nonsense:1", {"hangup_cause": "DESTINATION_OUT_OF_ORDER"}),
        ("SET:a=1", {"a": "1"}),
        ("m:^:playback:tone_stream://%(10,10,440);loops=2", {"playback_ms": "40"}),
        ("playback:none.wav", {"current_application_response": "FILE NOT FOUND"}),
    ],
)
def test_applications(client: Conversation, applications: str, variables: dict[str, str | None]) -> None:
    client.command("event json CHANNEL_HANGUP_COMPLETE")
    client.api(f"originate {USER} '{applications}' inline")
    event = client.wait_for("CHANNEL_HANGUP_COMPLETE")
    assert {name: event.get(f"variable_{name}") for name in variables} == variables


def test_an_event_of_the_dialplan(client: Conversation) -> None:
    client.command("event json CUSTOM ours::rang")
    data = "Event-Name=CUSTOM,Event-Subclass=ours::rang,Colour=red"
    client.api(f"originate {{origination_uuid=one}}{USER} 'm:^:event:{data}' inline")
    event = client.wait_for("CUSTOM", Event_Subclass="ours::rang")
    assert (event["Unique-ID"], event["Colour"]) == ("one", "red")


def test_a_transfer_of_the_other_leg(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CHANNEL_BRIDGE CHANNEL_EXECUTE")
    client.command(f"bgapi originate {{origination_uuid=one}}{USER} 1001 XML default")
    other = client.wait_for("CHANNEL_BRIDGE")["Bridge-B-Unique-ID"]
    lines = ["sendmsg one", "call-command: execute", "execute-app-name: transfer"]
    client.command("\n".join([*lines, "execute-app-arg: -bleg 9196 XML default"]))
    client.wait_for("CHANNEL_EXECUTE", Unique_ID=other, Application="echo")
    client.api(f"originate {{origination_uuid=two}}{USER} &park()")
    assert client.api("uuid_transfer two -bleg 9196") == "-ERR No bridge partner\n"


def test_a_group_rings_all_its_members(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CHANNEL_BRIDGE CHANNEL_PROGRESS")
    simulator.phones["1000"].behaviour = "no_answer"
    inbound = simulator.phones["1002"].place_call("2000")
    assert client.wait_for("CHANNEL_BRIDGE", Unique_ID=inbound)["Other-Leg-Destination-Number"] == "1001"
    assert client.api("originate group/support@127.0.0.1 &park()") == "-ERR SUBSCRIBER_ABSENT\n"


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [("reject", "CALL_REJECTED"), ("busy", "USER_BUSY"), ("unallocated", "UNALLOCATED_NUMBER")],
)
def test_how_the_outside_refuses(
    simulator: Simulator, client: Conversation, conf_dir: Path, behaviour: str, cause: str
) -> None:
    gateway = [
        "<include>",
        '<gateway name="gw">',
        '<param name="register" value="false"/>',
        "</gateway>",
        "</include>",
    ]
    (conf_dir / "sip_profiles/external/gw.xml").write_text("\n".join([*gateway, ""]))
    client.api("sofia profile external rescan")
    simulator.outside.behaviour = behaviour
    assert client.api("originate sofia/gateway/gw/1 &park()") == f"-ERR {cause}\n"


def test_the_outside_hangs_up_after_a_while(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CHANNEL_HANGUP_COMPLETE")
    simulator.outside.hangup_after = 0.01
    inbound = simulator.call_from_outside("+19495431333")
    done = client.wait_for("CHANNEL_HANGUP_COMPLETE", Unique_ID=inbound)
    assert done["variable_sip_hangup_disposition"] == "recv_bye"
    eventually(lambda: not simulator.channels)


def test_an_address_outside(simulator: Simulator, client: Conversation) -> None:
    simulator.outside.behaviour = "no_answer"
    command = "originate {originate_timeout=1}sofia/external/x@a.example &park()"
    assert client.api(command) == "-ERR NO_ANSWER\n"
