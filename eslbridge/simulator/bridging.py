"""Two legs together: bridge, hold, transfer, eavesdrop, and how it ends."""

from __future__ import annotations

import copy
import uuid

from . import sip
from .answering import answer, pre_answer
from .causes import in_list
from .channel import Channel, State, wait_any
from .dialling import adopt_user, dial, leg_note
from .dialplan import Extension, hunt
from .display import show
from .messages import Message
from .races import Race

# Seconds that `bridge` rings when nothing else is said.
BRIDGE_TIMEOUT = 60.0
DIAL_STATUS = {
    "USER_BUSY": "BUSY",
    "NO_ANSWER": "NOANSWER",
    "CALL_REJECTED": "BUSY",
    "SUBSCRIBER_ABSENT": "CHANUNAVAIL",
}


async def bridge_to(channel: Channel, text: str) -> None:
    """The ``bridge`` application: dials, connects, and decides how the call goes on.

    With nothing to bridge to it does nothing, and the dialplan goes on.
    """
    if not text:
        return
    leg, cause = await dial(channel.switch, text, channel, BRIDGE_TIMEOUT)
    if leg is not None and channel.up:
        await bridge(channel, leg)
        return
    if leg is not None:
        leg.hangup("ORIGINATOR_CANCEL")
    if not channel.up:
        return
    _note_failure(channel, cause)
    if channel.answered:
        channel.set_call_state("ACTIVE")
    if not _goes_on(channel, cause):
        channel.hangup(cause)


def _note_failure(channel: Channel, cause: str) -> None:
    assert channel.profile is not None
    for leg in channel.last_dialled:
        assert leg.profile is not None
        _take_over_media(channel, leg)
        channel.push_variable("originate_causes", f"{leg.uuid};{leg.cause}")
        channel.profile.callee_id_name = leg.profile.callee_id_name
        channel.profile.callee_id_number = leg.profile.callee_id_number
    channel.last_dialled = []
    channel.set_variable("originate_disposition", cause)
    channel.set_variable("DIALSTATUS", DIAL_STATUS.get(cause, cause))
    channel.set_variable("originate_failed_cause", cause)


def _take_over_media(channel: Channel, leg: Channel) -> None:
    """A leg that answered in vain has told its codec all the same."""
    if leg.text("endpoint_disposition") == "NO CODECS":
        cause = channel.text("last_bridge_hangup_cause")
        channel.set_variables({"switch_m_sdp": leg.text("switch_r_sdp"), "last_bridge_hangup_cause": cause})
        channel.set_variables({"read_codec": channel.codec_name, "read_rate": "8000"})


def _goes_on(channel: Channel, cause: str) -> bool:
    """Whether the dialplan is done with a call after a bridge that failed (switch_channel_handle_cause)."""
    rule, failures = channel.text("continue_on_fail"), channel.text("failure_causes")
    if not rule and not failures:
        return cause in ("NO_ANSWER", "NO_USER_RESPONSE", "ORIGINATOR_CANCEL")
    if failures and not in_list(failures, cause):
        return True
    return rule.lower() in ("true", "yes", "on", "t", "1", "enabled") or in_list(rule, cause)


async def bridge(a: Channel, b: Channel) -> None:
    """Connects two legs until one goes. The first leg's task runs this; the second exchanges media."""
    assert a.profile is not None and b.profile is not None
    _answer_caller(a, b)
    if a.answered:
        a.set_call_state("ACTIVE")
    if b.originator and b.answered:
        b.profile.originator = a.profile.seen_by_other_leg(with_times=False)
    now = a.switch.clock.now()
    a.profile.times.bridged = now
    a.fire("CHANNEL_BRIDGE", [("Bridge-A-Unique-ID", a.uuid), ("Bridge-B-Unique-ID", b.uuid)])
    b.profile.times.bridged = now
    a.switch.bridged(a, b)
    _name_each_other(a, b)
    b.set_state(State.EXCHANGE_MEDIA)
    here, mark = a.state, _breaks(a)
    while a.up and b.up and a.state == here and _breaks(a) == mark and b.state == State.EXCHANGE_MEDIA:
        if not await a.run_queue():
            await wait_any([a, b])
    _hand_over(a, b)
    await _unbridge(a, b, moved=a.up and (a.state != here or _breaks(a) != mark))


def _breaks(channel: Channel) -> int:
    return channel.broken_off - channel.taken_back


def _answer_caller(a: Channel, b: Channel) -> None:
    assert a.profile is not None and b.profile is not None
    just_answered = not a.answered and b.answered
    a.profile.callee_id_name = b.profile.callee_id_name
    a.profile.callee_id_number = b.profile.callee_id_number
    if just_answered:
        if a.sip and b.sip:
            a.set_variable("switch_m_sdp", b.text("switch_r_sdp"))
            sip.flows(a)
        answer(a, await_ack=False)
    elif not a.answered and b.early:
        pre_answer(a)
    adopt_user(b, a)
    a.profile.originatee = b.profile.seen_by_other_leg(with_times=True)
    a.profile.originatees += [a.profile.originatee] * (2 if b.dialled_user is not None else 1)
    a.partner, b.partner = b, a
    _note_success(a, b, just_answered)


def _note_success(a: Channel, b: Channel, just_answered: bool) -> None:
    a.variables.pop("originate_signal_bond", None)
    # A user is dialled by an originate within the originate; both leave a note.
    notes = 2 if b.dialled_user is not None else 1
    for _ in range(notes - (b.uuid in a.noted_legs)):
        a.push_variable("originated_legs", leg_note(b))
    a.last_dialled = []
    if just_answered:
        if a.sip and not a.switch.races.is_late(Race.ACKNOWLEDGEMENT):
            sip.acknowledged(a)
    elif a.sip and b.sip:
        sip.media_passed_on(a, b)
    for _ in range(notes):
        a.push_variable("originate_causes", f"{b.uuid};NONE")
    a.set_variables({"originate_disposition": "SUCCESS", "DIALSTATUS": "SUCCESS", "signal_bond": b.uuid})


def _name_each_other(a: Channel, b: Channel) -> None:
    for one, other in ((a, b), (b, a)):
        one.set_variables({"bridge_to": other.uuid, "last_bridge_to": other.uuid})
        one.set_variables(
            {"bridge_channel": other.name, "bridge_uuid": other.uuid, "signal_bond": other.uuid}
        )


async def _unbridge(a: Channel, b: Channel, moved: bool) -> None:
    """Takes a bridge apart: whoever is left hears of it."""
    a.partner = b.partner = None
    taken = b.up and b.state != State.EXCHANGE_MEDIA
    for leg in (a, b):
        leg.variables.pop("bridge_to", None)
        if taken:
            leg.variables.pop("signal_bond", None)
    # Who was first has the start; only when the first leg ends the call do two threads race.
    races = a.switch.races
    b.reports_late = b.up and (moved or races.is_late(Race.TEARDOWN))
    b.cleaned_late = races.is_late(Race.CLEANING)
    if not a.up and b.reports_late and races.is_late(Race.REPORT):
        a.reports_after = b
    if not taken:
        b.hangup(a.cause if not a.up else "NORMAL_CLEARING")
        await (b.reporting if b.reports_late else b.reported).wait()
        if a.disposition:
            a.set_variable("sip_hangup_disposition", a.disposition)
        a.set_variable("bridge_hangup_cause", b.cause)
    b.call_uuid = b.uuid
    if not taken and not a.up:
        b.set_variable("bridge_hangup_cause", b.cause)
    if not taken:
        b.set_variable("call_uuid", b.uuid)
    a.switch.unbridged(a)
    a.fire("CHANNEL_UNBRIDGE", [("Bridge-A-Unique-ID", a.uuid), ("Bridge-B-Unique-ID", b.uuid)])
    if a.up and not moved and b.answered and a.text("hangup_after_bridge") == "true":
        a.hangup("NORMAL_CLEARING" if taken else b.cause)


def _hand_over(a: Channel, b: Channel) -> None:
    """Who leaves while somebody else was called for the two connects the others: an attended transfer."""
    for gone, left in ((a, b), (b, a)):
        third = gone.consulted
        if not gone.up and left.up and third is not None and third.up:
            left.consulted = None
            left.set_state(State.PARK)
            bridge_existing(third, left)


def bridge_existing(first: Channel, second: Channel) -> None:
    """``uuid_bridge``: connects two channels that do something else now."""

    async def connect() -> None:
        if second.up and first.profile is not None and second.profile is not None:
            first.profile.originator = None  # whoever it was called for has nothing to do with it any more
            second.profile.originator = first.profile.seen_by_other_leg(with_times=False)
            await bridge(first, second)

    first.soft_task = connect
    first.set_state(State.SOFT_EXECUTE)


# Transfer


def transfer(channel: Channel, number: str, dialplan: str = "", context: str = "") -> None:
    """Sends a channel through the dialplan again, under a new caller profile."""
    old = channel.profile
    if not channel.up or old is None:
        return
    now = channel.switch.clock.now()
    old.times.transfer = now
    profile = copy.copy(old)
    profile.times = copy.copy(old.times)
    profile.times.profile_created = now
    profile.times.bridged = profile.times.transfer = 0
    profile.originator = profile.originatee = None
    profile.originatees = []
    profile.dialplan = dialplan or old.dialplan or "XML"
    profile.context = context or old.context
    profile.rdnis, profile.destination_number = old.destination_number, number
    note = f"{now // 1_000_000}:{uuid.uuid4()}:bl_xfer:{number}/{profile.context}/{profile.dialplan}"
    profile.transfer_source = note
    channel.replace_profile(profile)
    channel.variables.pop("signal_bond", None)
    forwards = channel.text("max_forwards")
    channel.set_variable("max_forwards", str(int(forwards) - 1) if forwards else "70")
    channel.push_variable("transfer_history", note)
    channel.set_variable("transfer_source", note)
    channel.set_state(State.ROUTING)


def find_extension(channel: Channel, number: str, context: str) -> Extension | None:
    """What a number would run in a context, without going there."""
    node = channel.switch.configuration.context(context)
    if node is None or channel.profile is None:
        return None
    before, channel.profile.destination_number = channel.profile.destination_number, number
    found = hunt(node, channel, number, channel.switch.clock.local())
    channel.profile.destination_number = before
    return found


# Hold and eavesdrop


def hold(channel: Channel) -> None:
    """Puts a phone on hold; the other side gets music, of which a bare switch has none."""
    if channel.held or not channel.up or channel.profile is None:
        return
    channel.held = True
    channel.set_call_state("HELD")
    if channel.sip:
        sip.held(channel, channel.sip)
    channel.profile.times.last_hold = channel.switch.clock.now()
    channel.fire("CHANNEL_HOLD")
    partner = channel.partner
    if partner is None:
        return
    if partner.sip and channel.sip:
        sip.media_passed_on(partner, channel, codec=False)
    music = channel.switch.variables.get("hold_music", "")
    headers = {"call-command": "execute", "execute-app-name": "playback", "loops": "-1"}
    partner.post(Message({**headers, "execute-app-arg": music}))


def unhold(channel: Channel) -> None:
    """Takes a phone back from hold."""
    if not channel.held or channel.profile is None:
        return
    channel.held = False
    times, now = channel.profile.times, channel.switch.clock.now()
    times.hold_accum += now - times.last_hold
    channel.hold_log.append((times.last_hold, now))
    channel.set_call_state("UNHELD")
    if channel.sip:
        sip.reinvited(channel, channel.sip)
    channel.fire("CHANNEL_UNHOLD")
    if channel.sip:
        sip.reinvited(channel, channel.sip, again=True)
    channel.set_call_state("ACTIVE")
    partner = channel.partner
    if partner is not None:
        if partner.sip and channel.sip:
            sip.flows(partner)
        partner.broken_off += 1
        partner.taken_back += 1
        partner.wake()


async def eavesdrop(channel: Channel, target: str) -> None:
    """Listens in on another channel until either ends."""
    other = channel.switch.channels.get(target)
    if other is None or not other.up or other.profile is None:
        return
    if channel.sip:
        channel.read_codec = "L16"
        channel.set_variables({"read_codec": "L16", "read_rate": channel.text("read_rate")})
        show(channel, other.profile.caller_id_name, other.profile.caller_id_number)
    bug = [("Media-Bug-Function", "eavesdrop"), ("Media-Bug-Target", other.uuid)]
    other.fire("MEDIA_BUG_START", bug)
    state, mark = channel.state, channel.broken_off
    while channel.up and other.up and channel.state == state and channel.broken_off == mark:
        await wait_any([channel, other])
    other.fire("MEDIA_BUG_STOP", bug)
    channel.read_codec = ""
    if channel.sip:
        channel.set_variables({"read_codec": channel.codec_name, "read_rate": channel.text("read_rate")})
