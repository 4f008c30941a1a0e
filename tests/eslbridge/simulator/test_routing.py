"""What a site's routes are made of: failover, counters, gateways, refusals. All as seen on a real switch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla

from .conversation import Conversation, eventually

D = "127.0.0.1"
GATEWAY = """\
<include>
<gateway name="{name}">
<params>
<param name="username" value="acct"/>
<param name="password" value="x"/>
<param name="proxy" value="{name}.example"/>
<param name="register" value="false"/>
{params}
</params>
<variables>
<variable name="patchbay_revision" value="7" direction="outbound"/>
{variables}
</variables>
</gateway>
</include>
"""
CONTEXT = """\
<include>
<context name="patchbay">
<X-PRE-PROCESS cmd="include" data="patchbay/*.xml"/>
<X-PRE-PROCESS cmd="include" data="nowhere/*.xml"/>
<extension name="last">
<condition>
<action application="set" data="patchbay_refused=unknown"/>
<action application="respond" data="404 No route for ${destination_number}"/>
<action application="hangup" data="USER_BUSY"/>
</condition>
</extension>
</context>
</include>
"""


def gateway(name: str, params: str = "", variables: str = "") -> str:
    return GATEWAY.format(name=name, params=params, variables=variables)


def param(name: str, value: str) -> str:
    return f'<param name="{name}" value="{value}"/>'


def variable(name: str, value: str) -> str:
    return f'<variable name="{name}" value="{value}"/>'


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Four phones, three gateways and a context of our own; 1009 is known and has no phone."""
    conf = tmp_path / "conf"
    write_vanilla(conf, users=[1000, 1001, 1002, 1003, 1009])
    (conf / "dialplan/00_patchbay.xml").write_text(CONTEXT)
    (conf / "dialplan/patchbay").mkdir()
    for name in ("one", "two", "three"):
        (conf / f"sip_profiles/external/{name}.xml").write_text(gateway(name))
    for path in (conf / "directory/default").glob("10*.xml"):
        text = path.read_text().replace('"user_context" value="default"', '"user_context" value="patchbay"')
        path.write_text(text)
    return conf


@pytest.fixture
def switch(conf: Path, tmp_path: Path) -> Iterator[Simulator]:
    simulator = Simulator(conf, cdr_dir=tmp_path / "cdr", answer_after=0.01, ring_second=0.05)
    simulator.keep_offline("1009")
    with simulator:
        eventually(lambda: sum(phone.registered for phone in simulator.phones.values()) == 4)
        yield simulator
        assert simulator.errors == []


@pytest.fixture
def esl(switch: Simulator) -> Iterator[Conversation]:
    with Conversation(switch.esl_port) as conversation:
        yield conversation


class Site:
    """Writes rules, places calls, and reads what came of them."""

    def __init__(self, switch: Simulator, esl: Conversation, tmp_path: Path):
        self.switch = switch
        self.esl = esl
        self.conf = tmp_path / "conf"
        self.cdr = tmp_path / "cdr"

    def rule(self, number: str, *actions: str) -> None:
        """``application data``; the rule is live when this returns."""
        lines = []
        for action in actions:
            name, _, data = action.partition(" ")
            data = data.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
            lines.append(f'<action application="{name}" data="{data}"/>')
        text = "\n".join(lines)
        (self.conf / f"dialplan/patchbay/{number}.xml").write_text(
            f'<include>\n<extension name="{number}">\n'
            f'<condition field="destination_number" expression="^{number}$">\n{text}\n</condition>\n'
            "</extension>\n</include>\n"
        )
        assert self.esl.api("reloadxml") == "+OK [Success]\n"

    def call(self, number: str, phone: str = "1003") -> dict[str, str]:
        """A phone dials; whoever answers is hung up on. The variables of the caller's record."""
        uuid = self.switch.phones[phone].place_call(number)
        eventually(lambda: uuid not in self.switch.channels or bool(self.switch.calls))
        self.switch.phones[phone].hangup()
        return self.record(uuid)

    def record(self, uuid: str) -> dict[str, str]:
        eventually(lambda: not self.switch.channels)
        found = next(iter(self.cdr.glob(f"*{uuid}*")))
        variables: dict[str, str] = json.loads(found.read_text())["variables"]
        return variables

    def bridge(self, data: str, *before: str) -> dict[str, str]:
        """The record of a call whose rule bridges to this and hangs up with what came of it."""
        after = "hangup ${originate_disposition}"
        self.rule("7000", "set continue_on_fail=true", *before, f"bridge {data}", after)
        return self.call("7000")

    def usage(self, key: str) -> str:
        return self.esl.api(f"limit_usage hash patchbay {key}")


@pytest.fixture
def site(switch: Simulator, esl: Conversation, tmp_path: Path) -> Site:
    return Site(switch, esl, tmp_path)


# What a bridge that fails says


@pytest.mark.parametrize(
    ("data", "cause", "told"),
    [
        (f"user/1009@{D}", "USER_NOT_REGISTERED", "480 Temporarily Unavailable"),
        (f"user/7777@{D}", "SUBSCRIBER_ABSENT", "480 Temporarily Unavailable"),
        (f"user/1001@{D}", "USER_BUSY", "486 Busy Here"),
        (f"user/1002@{D}", "NO_ANSWER", "480 Temporarily Unavailable"),
        ("sofia/gateway/one/486", "USER_BUSY", "486 Busy Here"),
        ("sofia/gateway/one/503", "NORMAL_TEMPORARY_FAILURE", "503 Service Unavailable"),
        ("sofia/gateway/one/404", "UNALLOCATED_NUMBER", "404 Not Found"),
        ("sofia/gateway/one/603", "CALL_REJECTED", "603 Decline"),
        ("sofia/gateway/one/nobody", "NORMAL_TEMPORARY_FAILURE", "503 Service Unavailable"),
        ("sofia/gateway/one/rings", "NO_ANSWER", "480 Temporarily Unavailable"),
        ("sofia/gateway/nosuch/1", "INVALID_GATEWAY", "484 Address Incomplete"),
        ("error/USER_BUSY", "USER_BUSY", "486 Busy Here"),
        (f"error/USER_BUSY,user/1009@{D}", "USER_NOT_REGISTERED", "480 Temporarily Unavailable"),
        (f"user/1009@{D},error/USER_BUSY", "USER_BUSY", "486 Busy Here"),
        (f"user/1001@{D},user/1009@{D}", "USER_BUSY", "486 Busy Here"),
        (f"user/1001@{D},user/1002@{D}", "NO_ANSWER", "486 Busy Here"),
        ("sofia/gateway/one/486,sofia/gateway/one/603", "USER_BUSY", None),
        ("sofia/gateway/one/603,sofia/gateway/one/486", "CALL_REJECTED", None),
        (
            "sofia/gateway/one/486|sofia/gateway/one/503|error/NO_ANSWER",
            "NO_ANSWER",
            "503 Service Unavailable",
        ),
        ("[leg_timeout=1]sofia/gateway/one/rings", "ALLOTTED_TIMEOUT", "480 Temporarily Unavailable"),
        (f"[leg_timeout=1]user/1002@{D}|[leg_timeout=1]user/1009@{D}", "USER_NOT_REGISTERED", None),
        (f"[leg_timeout=1]user/1009@{D}|[leg_timeout=1]user/1002@{D}", "ALLOTTED_TIMEOUT", None),
    ],
)
def test_why_a_bridge_failed(site: Site, data: str, cause: str, told: str | None) -> None:
    site.switch.phones["1001"].behaviour = "busy"
    site.switch.phones["1002"].behaviour = "no_answer"
    site.switch.outside.numbers = {status: status for status in ("486", "503", "404", "603")}
    site.switch.outside.numbers |= {"nobody": "unreachable", "rings": "no_answer"}
    record = site.bridge(data, "set call_timeout=20")
    assert record["originate_disposition"] == record["originate_failed_cause"] == cause
    assert record["hangup_cause"] == cause
    assert told is None or site.switch.phones["1003"].told == [told]


@pytest.mark.parametrize(
    "data",
    [
        f"error/USER_BUSY,user/1000@{D}",
        f"user/1009@{D},user/1000@{D}",
        f"user/7777@{D},user/1000@{D}",
        f"sofia/gateway/nosuch/1,user/1000@{D}",
        f"error/USER_BUSY|user/1000@{D}",
        f",user/1000@{D}",
    ],
)
def test_one_leg_that_can_be_rung_is_enough(site: Site, data: str) -> None:
    assert site.bridge(data)["originate_disposition"] == "SUCCESS"
    assert len(site.switch.phones["1000"].received) == 1


def test_the_status_can_follow_the_cause_instead_of_the_far_end(site: Site) -> None:
    site.switch.outside.numbers = {"1": "busy", "2": "no_answer"}
    before = ("set call_timeout=15", "set sip_ignore_remote_cause=true")
    site.bridge("sofia/gateway/one/1,sofia/gateway/one/2", *before)
    assert site.switch.phones["1003"].told == ["480 Temporarily Unavailable"]


@pytest.mark.parametrize(
    ("rule", "cause", "goes_on"),
    [
        ("NO_ANSWER,17", "USER_BUSY", True),
        ("user_busy", "USER_BUSY", True),
        ("NO_ANSWER", "USER_BUSY", False),
        ("false", "NO_ANSWER", False),
        ("", "NO_ANSWER", True),
        ("", "USER_BUSY", False),
        ("", "ALLOTTED_TIMEOUT", False),
        ("true", "GATEWAY_DOWN", True),
        ("606", "USER_NOT_REGISTERED", False),
        ("806", "USER_NOT_REGISTERED", True),
    ],
)
def test_which_failures_go_on(site: Site, rule: str, cause: str, goes_on: bool) -> None:
    site.rule("7000", f"set continue_on_fail={rule}", f"bridge error/{cause}", "hangup OUTGOING_CALL_BARRED")
    assert site.call("7000")["hangup_cause"] == ("OUTGOING_CALL_BARRED" if goes_on else cause)


# Time


def test_a_time_limit_of_the_call_is_that_of_all_alternatives(site: Site) -> None:
    for phone in ("1000", "1001"):
        site.switch.phones[phone].behaviour = "no_answer"
    legs = f"[leg_timeout=2]user/1000@{D}|[leg_timeout=2]user/1001@{D}"
    assert site.bridge(legs, "set call_timeout=1")["originate_disposition"] == "NO_ANSWER"
    assert site.switch.phones["1001"].received == []
    assert site.bridge(legs)["originate_disposition"] == "ALLOTTED_TIMEOUT"
    assert len(site.switch.phones["1001"].received) == 1


def test_the_longest_idle_first_is_a_global_variable(site: Site) -> None:
    site.switch.phones["1001"].behaviour = "no_answer"
    assert site.esl.api(f"global_setvar idle=[leg_timeout=2]user/1001@{D}|user/1000@{D}") == "+OK"
    assert site.esl.api("global_getvar idle") == "-ERR no reply\n"
    site.esl.api(f"global_setvar idle=user/1001@{D}|user/1000@{D}")
    record = site.bridge("{leg_timeout=10}${idle}", "set call_timeout=60")
    assert record["originate_disposition"] == "SUCCESS"
    assert [len(site.switch.phones[phone].received) for phone in ("1001", "1000")] == [1, 1]


def test_nothing_to_bridge_to_is_no_failure(site: Site) -> None:
    record = site.bridge("${unset}")
    assert "originate_disposition" not in record
    assert record["hangup_cause"] == "NORMAL_CLEARING"


@pytest.mark.parametrize(
    ("limit", "cause"),
    [
        ("", "RECOVERY_ON_TIMER_EXPIRE"),
        ("{leg_progress_timeout=10}", "PROGRESS_TIMEOUT"),
        ("{progress_timeout=10}", "NO_ANSWER"),
    ],
)
def test_a_gateway_that_says_nothing(site: Site, limit: str, cause: str) -> None:
    site.switch.outside.gateways["one"] = "offline"
    assert site.bridge(f"{limit}sofia/gateway/one/1")["originate_disposition"] == cause
    assert (
        site.bridge(f"{limit}sofia/gateway/one/1|sofia/gateway/two/1")["originate_disposition"] == "SUCCESS"
    )


# Refusals


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("403 Not allowed: international", "CALL_REJECTED"),
        ("404 No route for +15551112222", "UNALLOCATED_NUMBER"),
        ("603 Declined by rule", "CALL_REJECTED"),
    ],
)
@pytest.mark.parametrize("before", ["set a=b", "pre_answer"])
def test_a_caller_is_told_why(site: Site, before: str, words: str, cause: str) -> None:
    site.rule(
        "7000", before, "set patchbay_refused=x", f"respond {words}", "set after=yes", "hangup USER_BUSY"
    )
    record = site.call("7000")
    assert site.switch.phones["1003"].told == [words]
    assert (record["hangup_cause"], record["patchbay_refused"]) == (cause, "x")
    assert record["sip_hangup_disposition"] == "send_refuse"
    assert "after" not in record


def test_who_was_answered_cannot_be_refused(site: Site) -> None:
    site.rule("7000", "answer", "respond 403 Not allowed", "hangup OUTGOING_CALL_BARRED")
    assert site.call("7000")["hangup_cause"] == "OUTGOING_CALL_BARRED"
    assert site.switch.phones["1003"].told == []


def test_a_number_that_no_rule_of_the_included_files_takes(site: Site) -> None:
    site.call("+4930123")
    assert site.switch.phones["1003"].told == ["404 No route for +4930123"]


@pytest.mark.parametrize(
    ("cause", "recorded", "told"),
    [
        ("OUTGOING_CALL_BARRED", "OUTGOING_CALL_BARRED", "403 Forbidden"),
        ("NO_ROUTE_DESTINATION", "NO_ROUTE_DESTINATION", "404 Not Found"),
        ("GATEWAY_DOWN", "GATEWAY_DOWN", "503 Service Unavailable"),
        ("NORMAL_CIRCUIT_CONGESTION", "NORMAL_CIRCUIT_CONGESTION", "503 Service Unavailable"),
        ("NONSENSE", "NORMAL_CLEARING", "480 Temporarily Unavailable"),
        ("${originate_disposition}", "NORMAL_CLEARING", "480 Temporarily Unavailable"),
    ],
)
def test_what_a_hangup_says(site: Site, cause: str, recorded: str, told: str) -> None:
    site.rule("7000", f"hangup {cause}")
    assert site.call("7000")["hangup_cause"] == recorded
    assert site.switch.phones["1003"].told == [told]


def test_a_caller_from_outside_is_told_too(site: Site) -> None:
    (site.conf / "dialplan/public/did.xml").write_text(
        '<include>\n<extension name="d"><condition field="destination_number" expression="^\\+1555$">\n'
        '<action application="respond" data="486 Away"/></condition></extension>\n</include>\n'
    )
    site.esl.api("reloadxml")
    assert site.record(site.switch.call_from_outside("+1555"))["hangup_cause"] == "USER_BUSY"
    assert site.switch.outside.told == ["486 Away"]


# Counters


def agent(conf: Path, user: str, params: str = "", variables: str = "") -> None:
    path = conf / f"directory/default/{user}.xml"
    text = path.read_text().replace("</params>", f"{params}\n</params>")
    path.write_text(text.replace("</variables>", f"{variables}\n</variables>"))


COUNT = "limit hash patchbay busy_1000 -"


@pytest.mark.parametrize(
    ("where", "dialled", "counts"),
    [
        ("variables", f"user/1000@{D}", False),
        ("variables", f"user/1000@{D},user/1001@{D}", True),
        ("variables", f"[leg_timeout=1]user/1001@{D}|[leg_timeout=60]user/1000@{D}", True),
        ("params", f"user/1000@{D}", True),
        ("params", f"user/1000@{D},user/1001@{D}", True),
    ],
)
def test_an_agent_counts_from_the_answer_to_the_end(
    site: Site, where: str, dialled: str, counts: bool
) -> None:
    """A user's variables come too late for a leg that rings alone; ``dial-var-`` params are there at once."""
    if where == "params":
        agent(site.conf, "1000", params=param("dial-var-execute_on_answer", COUNT))
    else:
        agent(site.conf, "1000", variables=variable("execute_on_answer", COUNT))
    site.switch.phones["1001"].behaviour = "no_answer"
    site.rule("7000", f"bridge {dialled}")
    site.switch.phones["1003"].place_call("7000")
    eventually(lambda: len(site.switch.calls) == 1)
    if counts:
        eventually(lambda: site.usage("busy_1000") == "1")
    assert site.usage("busy_1000") == ("1" if counts else "0")
    site.switch.phones["1003"].hangup()
    eventually(lambda: not site.switch.channels)
    assert site.usage("busy_1000") == "0"


@pytest.mark.parametrize(("ignore", "left"), [("", "0"), ("limit_ignore_transfer=true", "1")])
def test_a_transfer_gives_back_what_the_call_counted_for(site: Site, ignore: str, left: str) -> None:
    before = [f"set {ignore}"] if ignore else []
    site.rule("7001", "set seen=${limit_usage(hash patchbay c)}", "hangup")
    site.rule(
        "7000", *before, "limit hash patchbay c -", "limit hash patchbay c -", "transfer 7001 XML patchbay"
    )
    record = site.call("7000")
    assert (record["limit_usage"], record["seen"]) == ("1", left)
    assert site.usage("c") == "0"


def test_an_agent_that_clicks_to_dial_needs_to_say_that_it_goes_on_counting(site: Site) -> None:
    agent(site.conf, "1000", params=param("dial-var-execute_on_answer", COUNT))
    site.rule("7000", f"bridge user/1001@{D}")
    for more, count in (("a=b", "0"), ("limit_ignore_transfer=true", "1")):
        site.esl.api(f"originate {{{more}}}user/1000@{D} 7000 XML patchbay")
        eventually(lambda: len(site.switch.calls) == 1)
        assert site.usage("busy_1000") == count
        site.esl.api("fsctl hupall")
        eventually(lambda: not site.switch.channels)


def test_a_busy_agent_is_not_rung(site: Site) -> None:
    agent(site.conf, "1000", params=param("dial-var-execute_on_answer", COUNT))
    free = "${limit_usage(hash patchbay busy_1000)} == 0"
    legs = f"${{cond({free} ? [leg_timeout=60]user/1000@{D} : error/USER_BUSY)}},user/1009@{D}"
    site.rule("7000", "set continue_on_fail=true", f"bridge {legs}", "hangup ${originate_disposition}")
    site.switch.phones["1002"].place_call("7000")
    eventually(lambda: site.usage("busy_1000") == "1")
    uuid = site.switch.phones["1003"].place_call("7000")
    eventually(lambda: uuid not in site.switch.channels)
    assert len(site.switch.phones["1000"].received) == 1
    site.switch.phones["1002"].hangup()
    assert site.record(uuid)["hangup_cause"] == "USER_NOT_REGISTERED"


def test_a_gateway_with_all_its_lines_in_use_is_passed_over(site: Site) -> None:
    site.switch.outside.gateways["two"] = "congested"
    site.rule(
        "7000",
        "set continue_on_fail=true",
        "set hangup_after_bridge=true",
        *(
            f"limit_execute hash patchbay {name} 1 bridge sofia/gateway/{name}/+1555"
            for name in ("one", "two")
        ),
        "set left=${limit_usage(hash patchbay two)}",
        "hangup ${originate_disposition}",
    )
    first = site.switch.phones["1002"].place_call("7000")
    eventually(lambda: len(site.switch.calls) == 1)
    second = site.switch.phones["1003"].place_call("7000")
    eventually(lambda: second not in site.switch.channels)
    assert [one.gateway for one in site.switch.outside.received] == ["one", "two"]
    site.switch.phones["1002"].hangup()
    assert site.record(first)["hangup_cause"] == "NORMAL_CLEARING"
    record = site.record(second)
    assert (record["hangup_cause"], record["left"]) == ("NORMAL_TEMPORARY_FAILURE", "0")
    assert site.usage("one") == "0"


def test_too_many_are_sent_elsewhere(site: Site) -> None:
    site.rule("7001", "hangup CALL_REJECTED")
    site.rule("7000", "limit hash patchbay full 0 7001 XML patchbay", "hangup USER_BUSY")
    assert site.call("7000")["hangup_cause"] == "CALL_REJECTED"
    site.rule("7000", "limit hash patchbay full 0 !NORMAL_CIRCUIT_CONGESTION", "hangup USER_BUSY")
    assert site.call("7000")["hangup_cause"] == "NORMAL_CIRCUIT_CONGESTION"


# Whom the far end sees


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Sales - ${caller_id_name}", "Sales - Extension 1003"),
        ("Sales: ${caller_id_name}", " Extension 1003"),
        ("a/b", "b"),
        ("Ada@example.com", "Ada"),
    ],
)
def test_a_name_loses_what_is_before_a_colon(site: Site, name: str, shown: str) -> None:
    caller_name = name.replace("${caller_id_name}", "${effective_caller_id_name}")
    site.bridge(f"user/1000@{D}", f"set effective_caller_id_name={caller_name}")
    assert [one.caller_name for one in site.switch.phones["1000"].received] == [shown]


@pytest.mark.parametrize(
    ("params", "variables", "from_user", "identity"),
    [
        ("", "", "acct", "Remote-Party-ID"),
        (param("from-user", "+1949"), "", "+1949", "Remote-Party-ID"),
        (param("caller-id-in-from", "true"), "", "+19495431333", "Remote-Party-ID"),
        ("", variable("sip_cid_type", "pid"), "acct", "P-Asserted-Identity"),
        ("", variable("sip_cid_type", "none"), "acct", ""),
        (param("cid-type", "pid"), "", "acct", "Remote-Party-ID"),
    ],
)
def test_what_a_carrier_is_told(
    site: Site, params: str, variables: str, from_user: str, identity: str
) -> None:
    (site.conf / "sip_profiles/external/four.xml").write_text(gateway("four", params, variables))
    site.esl.api("sofia profile external rescan")
    caller = ("set effective_caller_id_name=Acme", "set effective_caller_id_number=+19495431333")
    site.bridge("sofia/gateway/four/+15551112222", *caller)
    (invite,) = site.switch.outside.received
    assert (invite.gateway, invite.number) == ("four", "+15551112222")
    assert (invite.caller_name, invite.caller_number) == ("Acme", "+19495431333")
    assert (invite.from_user, invite.identity) == (from_user, identity)


def test_the_most_particular_behaviour_counts(site: Site) -> None:
    outside = site.switch.outside
    outside.numbers["1"], outside.gateways["two"], outside.at["two", "1"] = "busy", "congested", "reject"
    expected = {"one/1": "USER_BUSY", "two/2": "NORMAL_TEMPORARY_FAILURE", "two/1": "CALL_REJECTED"}
    found = {target: site.bridge(f"sofia/gateway/{target}")["hangup_cause"] for target in expected}
    assert found == expected


# Gateways and their lives


def test_a_gateways_variables_are_on_its_calls_and_can_be_asked_for(site: Site) -> None:
    assert site.esl.api("sofia_gateway_data one ovar patchbay_revision") == "7"
    assert site.esl.api("sofia_gateway_data one var patchbay_revision") == "7"
    for unknown in ("one ivar patchbay_revision", "nosuch var patchbay_revision", "one var nothing"):
        assert site.esl.api(f"sofia_gateway_data {unknown}") == "-ERR no reply\n"
    site.esl.command("event json CHANNEL_ANSWER")
    site.bridge("sofia/gateway/one/1")
    leg = site.esl.wait_for("CHANNEL_ANSWER", Channel_Name="sofia/external/1")
    assert leg["variable_patchbay_revision"] == "7"


def test_calls_under_way_outlive_their_gateway(site: Site) -> None:
    path = site.conf / "sip_profiles/external/one.xml"
    site.rule("7000", "set hangup_after_bridge=true", "bridge sofia/gateway/one/1")
    uuid = site.switch.phones["1003"].place_call("7000")
    eventually(lambda: len(site.switch.calls) == 1)
    path.write_text(path.read_text().replace('value="7"', 'value="8"'))
    site.esl.api("sofia profile external rescan")
    assert site.esl.api("sofia_gateway_data one var patchbay_revision") == "7"
    site.esl.command("event json CUSTOM sofia::gateway_delete")
    site.esl.api("sofia profile external killgw one")
    assert site.esl.api("sofia status gateway one") == "Invalid Gateway!\n"
    site.esl.wait_for("CUSTOM", Gateway="one")
    site.esl.api("sofia profile external rescan")
    assert site.esl.api("sofia_gateway_data one var patchbay_revision") == "8"
    assert len(site.switch.calls) == 1
    site.switch.phones["1003"].hangup()
    assert site.record(uuid)["hangup_cause"] == "NORMAL_CLEARING"


def test_a_removed_file_leaves_its_gateway_running(site: Site) -> None:
    (site.conf / "sip_profiles/external/one.xml").unlink()
    site.esl.api("sofia profile external rescan")
    assert site.bridge("sofia/gateway/one/1")["originate_disposition"] == "SUCCESS"


def test_a_gateway_that_answers_no_pings_is_down_until_it_does(site: Site) -> None:
    (site.conf / "sip_profiles/external/four.xml").write_text(gateway("four", param("ping", "5")))
    site.esl.api("sofia profile external rescan")
    site.esl.command("event json CUSTOM sofia::gateway_state")
    site.switch.outside.gateways["four"] = "offline"
    site.switch.ping_gateways()
    event = site.esl.wait_for("CUSTOM", Gateway="four")
    assert (event["State"], event["Ping-Status"], event["Status"]) == ("NOREG", "DOWN", "408")
    assert site.bridge("sofia/gateway/four/1")["hangup_cause"] == "GATEWAY_DOWN"
    assert site.switch.phones["1003"].told == ["503 Service Unavailable"]
    site.switch.outside.gateways["four"] = "answer"
    site.switch.ping_gateways()
    assert site.bridge("sofia/gateway/four/1")["originate_disposition"] == "SUCCESS"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("a b", ""),
        ("four", param("register", "true") + param("password", "")),
        ("four", param("register-transport", "tls")),
    ],
)
def test_a_gateway_that_the_switch_skips(site: Site, name: str, params: str) -> None:
    text = gateway(name, params)
    (site.conf / "sip_profiles/external/four.xml").write_text(text)
    assert site.esl.api("sofia profile external rescan").endswith("+OK scan complete\n")
    assert site.esl.api(f"sofia status gateway {name.split(maxsplit=1)[0]}") == "Invalid Gateway!\n"
