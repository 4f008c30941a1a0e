"""For each recorded conversation: the switch's state, and what happened besides what the client sent."""

from __future__ import annotations

import datetime
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from tests.recordings import Recording

from .conversation import Conversation, Frame, cut, eventually

Action = Callable[[Simulator], object]

DID = """\
<include>
  <extension name="public_did">
    <condition field="destination_number" expression="^({number})$">
      <action application="set" data="domain_name=$${{domain}}"/>
      <action application="transfer" data="1000 XML default"/>
    </condition>
  </extension>
</include>
"""
EXAMPLE_GATEWAY = """\
<include>
  <gateway name="example.com">
    <param name="username" value="joeuser"/>
    <param name="password" value="password"/>
    <param name="extension" value="5000"/>
    <param name="expire-seconds" value="600"/>
    <param name="register" value="false"/>
  </gateway>
</include>
"""
TRUNK = """\
<include>
  <gateway name="trunk_a">
    <param name="username" value="1002"/>
    <param name="realm" value="127.0.0.1"/>
    <param name="proxy" value="127.0.0.1:{port}"/>
    <param name="password" value="rig-pass-1"/>
    <param name="expire-seconds" value="60"/>
    <param name="ping" value="5"/>
    <param name="register" value="true"/>
  </gateway>
</include>
"""
OFFLINE = [str(user) for user in range(1004, 1020)]


@dataclass
class Scenario:
    """``before`` prepares; ``actions[n]`` happens just before the client's n-th line, or at the end.

    ``caused[n]`` is how many of the frames recorded before that line come only because of the actions.
    """

    before: Action | None = None
    actions: dict[int, list[Action]] = field(default_factory=dict)
    caused: dict[int, int] = field(default_factory=dict)
    behaviours: dict[str, str] = field(default_factory=dict)
    trigger: str = ""
    answer_after: float = 0.05
    late: tuple[str, ...] = ("cleaning",)


def _write(name: str, text: str) -> Action:
    def action(simulator: Simulator) -> None:
        (simulator.conf_dir / name).write_text(text)

    return action


def _remove(name: str) -> Action:
    return lambda simulator: (simulator.conf_dir / name).unlink()


def _call(caller: str, number: str) -> Action:
    return lambda simulator: simulator.phones[caller].place_call(number)


def _bye(user: str) -> Action:
    return lambda simulator: simulator.phones[user].hangup()


def _bridged(simulator: Simulator) -> None:
    eventually(lambda: simulator.calls)


def _pause(seconds: float) -> Action:
    """Passes time where the recording did, so that a stamp or an interval differs."""
    return lambda simulator: time.sleep(seconds)


def _unreachable(simulator: Simulator) -> None:
    simulator.outside.unreachable.add("127.0.0.1:5999")


def _wrong_password(simulator: Simulator) -> None:
    phone = simulator.phones["1004"]
    phone.password = "wrong"
    phone.register()


def _break_directory(simulator: Simulator) -> None:
    (simulator.conf_dir / "directory/default/9998.xml").write_text(
        "<include>\n<user id='9998'>\n</include>\n"
    )


REGISTRATIONS = Scenario(
    actions={
        -1: [
            lambda simulator: simulator.phones["1000"].register(),
            lambda simulator: simulator.phones["1000"].unregister(),
            _wrong_password,
        ]
    }
)
EXTENSION_TO_EXTENSION = Scenario(actions={-1: [_call("1000", "1001"), _bridged, _bye("1000")]})
SCENARIOS: dict[str, Scenario] = {
    "api_queries": Scenario(),
    "blind_transfer_and_record": Scenario(late=("teardown", "cleaning", "display")),
    "call_extension_to_extension_json": replace(EXTENSION_TO_EXTENSION, late=("acknowledgement", "cleaning")),
    "call_extension_to_extension_plain": EXTENSION_TO_EXTENSION,
    "call_extension_to_extension_xml": replace(EXTENSION_TO_EXTENSION, late=()),
    "eavesdrop": Scenario(
        late=("teardown", "report"),
        behaviours={"1003": "answer"},
        actions={4: [lambda sim: sim.heartbeat()]},
        caused={4: 1},
    ),
    "gateway_lifecycle": Scenario(
        before=_unreachable,
        actions={
            2: [_write("sip_profiles/external/trunk_a.xml", TRUNK.format(port=5060))],
            6: [_write("sip_profiles/external/trunk_a.xml", TRUNK.format(port=5999))],
            13: [_remove("sip_profiles/external/trunk_a.xml")],
        },
    ),
    "heartbeat": Scenario(actions={-1: [lambda sim: sim.heartbeat()]}),
    "inbound_did_from_trunk": Scenario(
        late=("acknowledgement", "teardown", "report"),
        actions={
            2: [lambda sim: sim.call_from_outside("+19495431333", "+15557654321"), _bridged],
            -1: [lambda sim: sim.outside.hangup()],
        },
        caused={2: 14},
    ),
    "inbound_did_unknown": Scenario(
        actions={-1: [lambda sim: sim.call_from_outside("+19990000000", "+15557654321")]}
    ),
    "outbound_async_full": Scenario(trigger="aaaaaaaa-0000-4000-8000-000000000009 async full"),
    "outbound_json_caller_hangs_up": Scenario(trigger="aaaaaaaa-0000-4000-8000-000000000011 async full"),
    "outbound_not_full": Scenario(trigger="aaaaaaaa-0000-4000-8000-000000000012 async"),
    "outbound_sync_full": Scenario(trigger="aaaaaaaa-0000-4000-8000-000000000010 sync full"),
    "registration_events_json": REGISTRATIONS,
    "registration_events_plain": REGISTRATIONS,
    "registration_events_xml": REGISTRATIONS,
    "reloadxml_error": Scenario(actions={1: [_break_directory]}),
    "shutdown": Scenario(actions={2: [lambda sim: sim.heartbeat()]}, caused={2: 1}),
    "transfer_of_the_b_leg": Scenario(behaviours={"1003": "answer"}),
}


# At office hours vanilla's rule tod_example sets a variable more: the recordings were made outside of them.
OFF_HOURS = datetime.datetime(2026, 11, 22, 3, 0, tzinfo=datetime.UTC)


def prepare(conf_dir: Path) -> None:
    """The configuration that the recordings were made with."""
    write_vanilla(conf_dir, default_password="rig-pass-1", users=range(1000, 1020))
    (conf_dir / "dialplan/public/00_did.xml").write_text(DID.format(number="5551212"))
    (conf_dir / "dialplan/public/10_did.xml").write_text(DID.format(number=r"\+?19495431333"))
    (conf_dir / "sip_profiles/external/example.xml").write_text(EXAMPLE_GATEWAY)


def start(conf_dir: Path, scenario: Scenario) -> Simulator:
    prepare(conf_dir)
    simulator = Simulator(
        conf_dir, answer_after=scenario.answer_after, register_delay=0.0, late=scenario.late
    )
    simulator.set_time(OFF_HOURS)
    simulator.keep_offline(*OFFLINE)
    simulator.start()
    registered = {"1000", "1001", "1002", "1003"}
    eventually(lambda: {user for user, phone in simulator.phones.items() if phone.registered} == registered)
    eventually(lambda: {one.user for one in simulator.switch.registrar.core_list.values()} == registered)
    for user, behaviour in {"1002": "busy", "1003": "no_answer", **scenario.behaviours}.items():
        simulator.phones[user].behaviour = behaviour
    if scenario.before:
        scenario.before(simulator)
    return simulator


def recorded_frames(recording: Recording) -> list[list[Frame]]:
    """Recorded frames, in groups: those before the client's first line, after the first, and so on."""
    groups: list[bytes] = [b""]
    for step in recording.steps:
        if step.by_switch:
            groups[-1] += step.data
        else:
            groups.append(b"")
    result, rest = [], b""
    for group in groups:
        frames, rest = cut(rest + group)
        result.append(frames)
    return result


def play(recording: Recording, simulator: Simulator) -> tuple[list[Frame], bool]:
    """Sends the client's lines; returns what the simulator sent, and whether it closed the connection."""
    scenario = SCENARIOS.get(recording.name, Scenario())
    groups = recorded_frames(recording)
    conversation = _connect(recording, simulator, scenario)
    with conversation:
        expected = len(groups[0])
        for index, line in enumerate(recording.sent):
            _await(conversation, expected - scenario.caused.get(index, 0))
            for action in scenario.actions.get(index, ()):
                action(simulator)
            _await(conversation, expected)
            conversation.send(line.decode("latin-1"))
            expected += len(groups[index + 1])
            last = index == len(recording.sent) - 1
            if last and -1 in scenario.actions:
                _await_replies(conversation, index + 1)
                for action in scenario.actions[-1]:
                    action(simulator)
        _await(conversation, expected)
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline and not conversation.ended:
            conversation.receive(0.1)
        return conversation.frames, conversation.ended


def _await_replies(conversation: Conversation, count: int) -> None:
    deadline = time.monotonic() + 4.0
    while time.monotonic() < deadline:
        if sum(frame.kind in ("command/reply", "api/response") for frame in conversation.frames) >= count:
            return
        conversation.receive(0.05)


def _await(conversation: Conversation, count: int, seconds: float = 4.0) -> None:
    deadline = time.monotonic() + seconds
    while len(conversation.frames) < count and not conversation.ended and time.monotonic() < deadline:
        conversation.receive(0.05)


def _connect(recording: Recording, simulator: Simulator, scenario: Scenario) -> Conversation:
    if not scenario.trigger:
        return Conversation(simulator.esl_port, password=None)
    uuid, _, mode = scenario.trigger.partition(" ")
    with socket.create_server(("127.0.0.1", 8084)) as server:
        server.settimeout(5)
        with Conversation(simulator.esl_port) as control:
            leg, application = (
                f"{{origination_uuid={uuid}}}user/1000@127.0.0.1",
                f"socket(127.0.0.1:8084 {mode})",
            )
            control.command(f"bgapi originate {leg} '&{application}'")
            connection, _ = server.accept()
        return Conversation(0, password=None, connection=connection)
