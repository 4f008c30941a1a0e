"""Each control button on a live call, to the simulated switch and back: done when it says so."""

import subprocess
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from agents import presence
from agents.models import Agent
from agents.switchxml import leg_variables
from calls import control, dialling, legs, live
from calls.grouping import Call
from calls.models import Command, Dial
from calls.verbs import sides
from cdr.models import Call as Record
from eslbridge.models import PendingChange
from eslbridge.simulator import Simulator
from eslbridge.simulator.phones import Phone
from tests.conftest import wait_until
from tests.factories import make_route

from .making import SWITCH
from .test_worker import until

ANNOUNCEMENT = "tone_stream://%(200,0,800)"
Worker = subprocess.Popen[bytes]


def a_call(user: Any, number: str = "1021") -> Call:
    """The user's phone talks to that number."""
    asked = dialling.dial(user.agent, number, user)
    wait_until(lambda: Dial.objects.get(pk=asked.pk).state == Dial.State.ANSWERED, "the answer")
    return the_call()


def the_call(count: int = 2, *, of: str = "") -> Call:
    def found() -> Call | None:
        calls = [call for call in live.active_calls() if not of or of in call.users]
        return calls[0] if len(calls) == 1 and len(calls[0].legs) == count else None

    return wait_until(found, f"one call of {count} legs")


def press(user: Any, verb: str, value: str = "", *, of: str = "", count: int = 0) -> Command:
    """Press a button on the one call; it must be done."""
    call = the_call(count, of=of) if count else own_call(user)
    return until_over(control.press(user, verb, call, value))


def own_call(user: Any) -> Call:
    return wait_until(lambda: [call for call in live.active_calls() if control.is_own(user, call)], "it")[0]


def until_over(command: Command) -> Command:
    def over() -> bool:
        command.refresh_from_db()
        return command.state not in {Command.State.QUEUED, Command.State.SENT}

    wait_until(over, f"the end of {command.verb}")
    return command


def done(command: Command) -> bool:
    assert (command.state, command.why) == (Command.State.DONE, ""), command.verb
    return True


def silence(simulator: Simulator) -> None:
    simulator.switch.in_loop(simulator.switch.hang_up_all, "NORMAL_CLEARING")
    wait_until(lambda: live.active_calls() == [] and not simulator.channels, "silence")


def consulting(user: Any, with_whom: str) -> bool:
    """Whether the user's phone talks to that one while another waits."""
    calls = live.active_calls()
    call = next(call for call in calls if user.agent.extension in call.users)
    third = control.seen_by(user, call, calls).third
    return third is not None and not third.rings and third.party == with_whom


def users(call: Call) -> set[str]:
    return {leg.party for leg in call.legs}


def hold_digits_and_recording(simulator: Simulator, alice: Any) -> None:
    call = a_call(alice)
    assert done(press(alice, "hold"))
    wait_until(lambda: live.active_calls()[0].state == legs.HELD, "held")
    assert done(press(alice, "resume"))
    wait_until(lambda: live.active_calls()[0].state == legs.ANSWERED, "no longer held")

    assert done(press(alice, "digits", "12#"))
    other = sides(call, "1020").other
    assert simulator.switch.channels[other.uuid].sent_digits == "12#"

    before = len(simulator.received)
    assert done(press(alice, "record"))
    sent = [text.partition(" ")[2].split() for _, text in list(simulator.received)[before:]]
    told = [words[0] for words in sent if words[:1] in (["uuid_broadcast"], ["uuid_record"])]
    assert told == ["uuid_broadcast", "uuid_record"]
    announcement = next(words for words in sent if words[0] == "uuid_broadcast")
    assert announcement[1:] == [call.a_leg.uuid, ANNOUNCEMENT, "both"]
    recorded = wait_until(lambda: live.active_calls()[0].a_leg.recording, "the recording")
    assert recorded.startswith(simulator.switch.variables["recordings_dir"] + "/patchbay/")
    seen = control.seen_by(alice, live.active_calls()[0])
    assert "record" not in [name for name, _ in control.possible(alice, seen)]
    assert done(press(alice, "stop-recording"))
    wait_until(lambda: not live.active_calls()[0].a_leg.recording, "its end")
    assert done(press(alice, "hang-up"))
    wait_until(lambda: live.active_calls() == [], "silence")


def a_blind_transfer_moves_the_other_side_whichever_leg_it_is(simulator: Simulator, alice: Any) -> None:
    a_call(alice)
    assert done(press(alice, "transfer", "Carol"))  # Bob is the B-leg
    wait_until(lambda: users(the_call()) == {"1021", "1022"}, "Bob and Carol")
    simulator.phones["1021"].hangup()
    wait_until(lambda: live.active_calls() == [], "silence")

    simulator.phones["1021"].place_call("1020")
    wait_until(lambda: the_call().state == legs.ANSWERED, "Bob called Alice")
    assert done(press(alice, "transfer", "1022"))  # Bob is the A-leg
    wait_until(lambda: users(the_call()) == {"1021", "1022"}, "Bob and Carol")


def whoever_sends_on_lends_only_his_own_rights(simulator: Simulator, alice: Any) -> None:
    """Somebody outside is sent on by Alice, who may do much, and then by Carol, who may do nothing."""
    carol = get_user_model().objects.create_user("sender")
    rich = {"may_call_international": True, "call_group": "sales", "outbound_caller_id": "+19495432020"}
    poor = {"may_call_local": False, "may_call_domestic": False, "user": carol}
    Agent.objects.filter(extension="1020").update(**rich)
    Agent.objects.filter(extension="1022").update(**poor)
    make_route(alice.agent, did="+19495432020")
    wait_until(lambda: not PendingChange.objects.exists(), "the files")
    uuid = simulator.call_from_outside("+19495432020")

    def talks_to(extension: str) -> bool:
        return {extension, "+15551230000"} in [users(call) for call in live.active_calls()]

    def rights() -> list[str | None]:
        names = ("toll_allow", "callgroup", "outbound_caller_id_number", "outbound_caller_id_name")
        return [simulator.channels[uuid].get_variable(name) or None for name in names]

    wait_until(lambda: talks_to("1020") and the_call().state == legs.ANSWERED, "Alice")
    assert done(press(alice, "transfer", "1022"))
    assert rights() == ["local,domestic,international", "sales", "+19495432020", None]
    wait_until(lambda: talks_to("1022") and the_call().state == legs.ANSWERED, "Carol")
    assert done(press(carol, "transfer", "1021"))
    assert rights() == [None] * 4
    Agent.objects.filter(extension="1022").update(user=None)


def an_attended_transfer(simulator: Simulator, alice: Any, who_called: str) -> None:
    if who_called == "alice":
        a_call(alice)
    else:
        simulator.phones["1021"].place_call("1020")
        wait_until(lambda: the_call().state == legs.ANSWERED, "Bob called Alice")

    # Carol refuses, then does not come to the phone, then is not there: the call goes on.
    simulator.phones["1022"].behaviour = "busy"
    refused = press(alice, "consult", "1022")
    assert (refused.state, refused.why) == (Command.State.FAILED, "Busy.")
    wait_until(lambda: users(the_call()) == {"1020", "1021"}, "Alice and Bob")
    simulator.phones["1022"].behaviour = "no_answer"
    asked = control.press(alice, "consult", the_call(), "1022")
    the_call(3)
    assert done(press(alice, "back"))
    assert until_over(asked).state == Command.State.FAILED
    the_call()

    # Carol answers; Alice comes back to Bob, asks again, and leaves the two together.
    simulator.phones["1022"].behaviour = "answer"
    assert done(press(alice, "consult", "1022 Carol"))
    wait_until(lambda: consulting(alice, "1022"), "Carol")
    assert done(press(alice, "back"))
    wait_until(lambda: users(the_call()) == {"1020", "1021"}, "Alice and Bob")
    assert done(press(alice, "consult", "1022"))
    wait_until(lambda: consulting(alice, "1022"), "Carol")
    assert done(press(alice, "complete"))
    wait_until(lambda: users(the_call()) == {"1021", "1022"}, "Bob and Carol")


def three_way_until_the_first_one_leaves(simulator: Simulator, alice: Any) -> None:
    a_call(alice)
    assert done(press(alice, "consult", "1022"))
    wait_until(lambda: consulting(alice, "1022"), "Carol")
    assert done(press(alice, "three-way"))
    wait_until(lambda: {"1020", "1021"} in [users(call) for call in live.active_calls()], "Bob again")
    assert len(simulator.channels) == 3
    simulator.phones["1020"].hangup()
    wait_until(lambda: users(the_call()) == {"1021", "1022"}, "Bob and Carol")


def park_and_retrieve_from_another_phone(simulator: Simulator, alice: Any) -> None:
    carol = get_user_model().objects.create_user("carol")
    Agent.objects.filter(extension="1022").update(user=carol)
    a_call(alice)
    assert done(press(alice, "park"))
    waiting = the_call(1)
    assert (waiting.state, users(waiting)) == (legs.PARKED, {"1021"})
    simulator.phones["1022"].behaviour = "reject"
    refused = press(carol, "retrieve", count=1)
    assert (refused.state, refused.why) == (Command.State.FAILED, "Phone 1022 rejected the call.")
    simulator.phones["1022"].behaviour = "answer"
    assert done(press(carol, "retrieve", count=1))
    wait_until(lambda: users(the_call()) == {"1021", "1022"}, "Bob and Carol")


def listen_whisper_and_join(simulator: Simulator, alice: Any) -> None:
    boss = get_user_model().objects.create_superuser("boss")
    Agent.objects.filter(extension="1022").update(user=boss)
    call = a_call(alice)
    for verb in ("listen", "whisper", "barge"):
        command = until_over(control.press(boss, verb, call))
        assert done(command)
        assert str(command.pk) in simulator.switch.channels
        simulator.phones["1022"].hangup()
        wait_until(lambda: len(live.active_calls()) == 1, "the listener to be gone")
    sent = [text for _, text in simulator.received if "eavesdrop" in text]
    assert ["whisper_aleg" in text for text in sent] == [False, False, True]
    assert ["whisper_bleg" in text for text in sent] == [False, True, True]
    assert all("eavesdrop_enable_dtmf=false" in text for text in sent)


def the_device_registered_last_rings_or_all(simulator: Simulator, alice: Any) -> None:
    """Alice has a phone on her desk and then one in her pocket."""
    desk, pocket = simulator.phones["1020"], simulator.add_phone("1020")
    desk.behaviour = pocket.behaviour = "no_answer"
    desk.register()
    pocket.register()
    two = "two devices, of which it is known which came last"
    wait_until(lambda: len({each.since for each in presence.devices_of(SWITCH, "1020")}) == 2, two)

    def rings(*phones: Phone) -> dict[str, str]:
        """What is set on the leg to the first of these phones, which alone ring."""
        before = [len(phone.received) for phone in phones]
        asked = dialling.dial(alice.agent, "1021", alice)
        expected = [count + 1 for count in before]
        wait_until(lambda: [len(phone.received) for phone in phones] == expected, "the phones")
        others = [phone for phone in (desk, pocket) if phone not in phones]
        assert not any(phone.channels for phone in others)
        assert until(asked, Dial.State.RINGING_AGENT)
        (call,) = wait_until(live.active_calls, "the call")
        assert (call.caller, call.callee, call.reached, call.state) == ("1020", "1021", "", legs.RINGING)
        assert len(call.legs) == len(phones)
        phones[-1].accept()
        until(asked, Dial.State.ANSWERED)
        (a_leg,) = [one for one in phones[-1].channels if one.answered]
        wait_until(lambda: users(the_call()) == {"1020", "1021"}, "the two alone")
        set_on_it = dict(a_leg.variables)
        dialling.cancel(asked)
        until(asked, Dial.State.ENDED)
        wait_until(lambda: live.active_calls() == [] and not simulator.channels, "silence")
        told = Record.objects.filter(uuid=asked.pk, reached="1021", answer__isnull=False)
        record = wait_until(told.first, "the record")
        assert (record.caller, record.callee) == ("1020", "1021")
        return set_on_it

    both = rings(desk, pocket)
    Agent.objects.filter(pk=alice.agent.pk).update(button_rings=Agent.Devices.LAST)
    alone = rings(pocket)
    for name in leg_variables(alice.agent, "127.0.0.1"):
        assert alone[name] == both[name], name
    desk.register()  # a renewal
    rings(pocket)

    # Whoever listens or fetches a parked call hears it there, too.
    a_call_of_others = simulator.phones["1021"].place_call("1022")
    call = wait_until(lambda: [each for each in live.active_calls() if each.state == legs.ANSWERED], "it")[0]
    alice.is_superuser = True
    command = control.press(alice, "listen", call)
    wait_until(lambda: pocket.channels, "the pocket to ring")
    assert (pocket.channels[0].uuid, desk.channels) == (str(command.pk), [])
    assert a_call_of_others in simulator.channels
    silence(simulator)

    asked = dialling.dial(alice.agent, "1021", alice)
    until(asked, Dial.State.RINGING_AGENT)
    dialling.cancel(asked)
    until(asked, Dial.State.FAILED)
    assert asked.cause == "Cancelled."
    Agent.objects.filter(pk=alice.agent.pk).update(button_rings=Agent.Devices.ALL)
    both_ring_until_cancelled_or_one_refuses(simulator, alice, desk, pocket)
    Agent.objects.filter(pk=alice.agent.pk).update(button_rings=Agent.Devices.LAST)

    pocket.unregister()
    wait_until(lambda: len(presence.devices_of(SWITCH, "1020")) == 1, "one device")
    rings(desk)


def both_ring_until_cancelled_or_one_refuses(
    simulator: Simulator, alice: Any, desk: Phone, pocket: Phone
) -> None:
    dialling.dial(alice.agent, "1021", alice)
    wait_until(lambda: desk.channels and pocket.channels, "both to ring")
    assert done(press(alice, "hang-up", count=2))
    wait_until(lambda: live.active_calls() == [] and not simulator.channels, "neither to ring")

    asked = dialling.dial(alice.agent, "1021", alice)
    wait_until(lambda: desk.channels and pocket.channels, "both to ring")
    desk.hangup()  # one says no: the other rings on
    wait_until(lambda: not desk.channels, "the refusal")
    until(asked, Dial.State.RINGING_AGENT)
    dialling.cancel(asked)
    until(asked, Dial.State.FAILED)
    wait_until(lambda: not simulator.channels, "silence")
    assert asked.cause in {"Cancelled.", "Phone 1020 rejected the call."}
    record = wait_until(lambda: Record.objects.filter(uuid=asked.pk).first(), "the record")
    assert (record.caller, record.callee, record.answer) == ("1020", "1021", None)
    assert Record.objects.filter(kind="click_to_dial", start__gte=asked.created_at).count() == 1

    simulator.phones["1021"].place_call("1022")
    call = wait_until(lambda: [each for each in live.active_calls() if each.state == legs.ANSWERED], "it")[0]
    command = control.press(alice, "listen", call)
    wait_until(lambda: desk.channels and pocket.channels, "both to ring")
    desk.hangup()
    wait_until(lambda: not desk.channels, "the refusal")
    pocket.accept()
    assert done(until_over(command))
    silence(simulator)


def two_who_transfer_to_each_other_at_once(simulator: Simulator, alice: Any) -> None:
    """Each sends the other one away at the same moment: at most one call is left, both hear the truth."""
    bob = get_user_model().objects.create_user("bob")
    Agent.objects.filter(extension="1021").update(user=bob)
    call = a_call(alice)
    pressed = [control.press(alice, "transfer", call, "1022"), control.press(bob, "transfer", call, "*98")]
    states = {until_over(command).state for command in pressed}
    assert states <= {Command.State.DONE, Command.State.FAILED}
    assert Command.State.DONE in states
    wait_until(lambda: len(live.active_calls()) <= 2, "the rest")
    for each in live.active_calls():
        assert users(each) != {"1020", "1021"}


def what_is_over_is_said(simulator: Simulator, alice: Any) -> None:
    call = a_call(alice)
    simulator.phones["1021"].hangup()
    wait_until(lambda: live.active_calls() == [], "silence")
    late = until_over(control.press(alice, "park", call))
    assert (late.state, late.why) == (Command.State.FAILED, "That call is over already.")


@pytest.fixture
def announcing(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The setting, here and for the worker that is started after it."""
    settings.RECORDING_ANNOUNCEMENT = ANNOUNCEMENT
    monkeypatch.setenv("RECORDING_ANNOUNCEMENT", ANNOUNCEMENT)


def test_what_one_does_with_ones_own_call(announcing: None, simulator: Simulator, alice: Any) -> None:
    for story in (
        hold_digits_and_recording,
        a_blind_transfer_moves_the_other_side_whichever_leg_it_is,
        whoever_sends_on_lends_only_his_own_rights,
        two_who_transfer_to_each_other_at_once,
        what_is_over_is_said,
    ):
        story(simulator, alice)
        silence(simulator)


def test_what_needs_a_third_phone(simulator: Simulator, alice: Any) -> None:
    for who_called in ("alice", "bob"):
        an_attended_transfer(simulator, alice, who_called)
        silence(simulator)
    for story in (
        three_way_until_the_first_one_leaves,
        park_and_retrieve_from_another_phone,
        listen_whisper_and_join,
        the_device_registered_last_rings_or_all,
    ):
        story(simulator, alice)
        silence(simulator)
