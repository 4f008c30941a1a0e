"""What goes wrong while a dial or a command is under way, and that it is told as it is."""

import subprocess
import threading
from typing import Any

import pytest
from django.db import connection

from calls import control, dialling, live
from calls.models import Command, Dial
from eslbridge.models import Switch
from eslbridge.simulator import Simulator
from routes.models import Gateway
from tests.conftest import wait_until

from .making import an_outbound_route
from .test_control_worker import a_call, own_call, silence
from .test_worker import state_of, until

Worker = subprocess.Popen[bytes]


def the_link_is_cut_after_the_originate_was_sent_and_before_its_answer(
    simulator: Simulator,
    alice: Any,
) -> None:
    simulator.phones["1020"].answer_after = 0.3
    simulator.faults.silent = True
    asked = dialling.dial(alice.agent, "1021", alice)
    wait_until(lambda: str(asked.pk) in simulator.channels, "the call at the switch")
    assert state_of(asked) == Dial.State.SENT
    simulator.faults.drop_connections()
    simulator.faults.silent = False
    until(asked, Dial.State.ANSWERED)
    assert Dial.objects.count() == 1
    assert len(live.active_calls()) == 1


def the_link_is_cut_before_a_command_is_answered(
    simulator: Simulator,
    alice: Any,
) -> None:
    a_call(alice)
    simulator.faults.silent = True
    command = control.press(alice, "hold", own_call(alice))
    uuid = command.leg
    wait_until(lambda: simulator.channels[uuid].held, "the hold at the switch")
    simulator.faults.drop_connections()
    simulator.faults.silent = False
    wait_until(lambda: Switch.objects.get().is_connected, "the connection")
    wait_until(lambda: Command.objects.get().state == Command.State.DONE, "the truth")


def no_button_waits_for_a_switch_that_says_nothing(
    simulator: Simulator,
    alice: Any,
) -> None:
    call = a_call(alice)
    simulator.faults.half_open()
    began = threading.Event()
    command = control.press(alice, "digits", call, "1")
    began.set()
    wait_until(lambda: state(command) == Command.State.SENT, "the command to be sent")
    Command.objects.update(sent_at=command.created_at - control.VERBS["digits"].patience)
    command.refresh_from_db()
    control.give_up(command)
    command.refresh_from_db()
    assert (command.state, command.why) == (Command.State.UNKNOWN, control.NOT_CONFIRMED)


def state(command: Command) -> str:
    command.refresh_from_db()
    return command.state


def a_gateway_is_down_with_a_second_one_and_without(
    simulator: Simulator,
    alice: Any,
) -> None:
    simulator.outside.gateways["down"] = "unreachable"
    down = Gateway.objects.create(name="down", proxy="127.0.0.1:5099", registers=False)
    route = an_outbound_route(gateway=down)
    settled(simulator, "down")
    asked = dialling.dial(alice.agent, "+19495431333", alice)
    until(asked, Dial.State.FAILED)
    assert asked.cause == "The other side has a temporary failure."

    route.second_gateway = Gateway.objects.create(name="up", proxy="127.0.0.1:5098", registers=False)
    route.save()
    settled(simulator, "up")
    asked = until(dialling.dial(alice.agent, "+19495431334", alice), Dial.State.ANSWERED)
    dialling.cancel(asked)
    until(asked, Dial.State.ENDED)


def settled(simulator: Simulator, gateway: str) -> None:
    wait_until(lambda: gateway in simulator.switch.gateways, f"the gateway {gateway}")
    wait_until(lambda: not Switch.objects.get().pending.exists(), "the published files")


def the_callees_phone_is_not_registered(simulator: Simulator, alice: Any) -> None:
    simulator.phones["1021"].behaviour = "offline"
    wait_until(lambda: not simulator.phones["1021"].registered, "the phone to be gone")
    asked = dialling.dial(alice.agent, "1021", alice, "again")
    wait_until(lambda: state_of(asked) != Dial.State.QUEUED and str(asked.pk) in simulator.channels, "it")
    wait_until(lambda: asked.cause or state_of(asked) == Dial.State.AGENT_ANSWERED, "voicemail or the reason")
    dialling.cancel(asked)
    until(asked, Dial.State.FAILED, Dial.State.ENDED)


def test_what_goes_wrong_at_the_switch(simulator: Simulator, alice: Any) -> None:
    for story in (
        the_link_is_cut_after_the_originate_was_sent_and_before_its_answer,
        the_link_is_cut_before_a_command_is_answered,
        a_gateway_is_down_with_a_second_one_and_without,
    ):
        story(simulator, alice)
        silence(simulator)
    the_callees_phone_is_not_registered(simulator, alice)
    silence(simulator)
    simulator.phones["1021"].behaviour = "answer"
    wait_until(lambda: simulator.phones["1021"].registered, "the phone to be back")
    no_button_waits_for_a_switch_that_says_nothing(simulator, alice)


@pytest.mark.django_db(transaction=True)
def test_the_same_key_from_two_browsers_at_once_is_one_call(
    redis_client: Any, django_user_model: Any
) -> None:
    from .making import a_switch, an_agent

    a_switch()
    agent, user = an_agent("1020"), django_user_model.objects.create_user("alice")
    start, asked = threading.Barrier(2), []

    def click() -> None:
        connection.ensure_connection()
        start.wait(10)
        asked.append(dialling.dial(agent, "1021", user, "same").pk)
        connection.close()

    browsers = [threading.Thread(target=click) for _ in range(2)]
    for browser in browsers:
        browser.start()
    for browser in browsers:
        browser.join(10)
    assert len(asked) == 2
    assert len(set(asked)) == Dial.objects.count() == 1
