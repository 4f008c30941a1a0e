"""A third leg in a call: attended transfer, three-way, and taking over a leg that waits."""

from __future__ import annotations

from .answering import answer
from .bridging import bridge_existing, eavesdrop
from .channel import Channel, State, wait_any
from .dialling import adopt_user, dial
from .profile import Profile

CONSULT_SECONDS = 60.0
# The keys of att_xfer: all three together, and back to the first call.
THREE_WAY, CANCEL = "0", "#"


async def att_xfer(channel: Channel, target: str) -> None:
    """Rings somebody while the partner waits. Whoever of the two others is left when this leg ends is
    connected with the third; when the third ends, this leg talks to its partner again."""
    waiting = channel.partner
    leg, cause = await dial(channel.switch, target, channel, CONSULT_SECONDS)
    if leg is None or not channel.up:
        _give_up(channel, leg, cause)
        return
    assert channel.profile is not None and leg.profile is not None
    adopt_user(leg, channel)
    before = (channel.profile.originator, channel.profile.originatee)
    channel.partner, leg.partner, channel.consulted = leg, channel, leg
    _bridge_event(channel, leg.profile.seen_by_other_leg(with_times=True), leg)
    leg.set_state(State.EXCHANGE_MEDIA)
    channel.digits.clear()
    all_three = await _talk(channel, leg)
    if not channel.up:
        return
    channel.partner = waiting
    channel.fire("CHANNEL_UNBRIDGE", [("Bridge-A-Unique-ID", channel.uuid), ("Bridge-B-Unique-ID", leg.uuid)])
    if all_three and waiting is not None:
        waiting.consulted = leg
        three_way(leg, channel.uuid)
    else:
        channel.consulted = None
        leg.hangup("NORMAL_CLEARING")
    channel.profile.originator, channel.profile.originatee = before
    channel.set_call_state("ACTIVE")
    if waiting is not None and waiting.up and waiting.profile is not None:
        _bridge_event(channel, waiting.profile.seen_by_other_leg(with_times=True), waiting)


def _give_up(channel: Channel, leg: Channel | None, cause: str) -> None:
    if leg is not None:
        leg.hangup("ORIGINATOR_CANCEL")
    if channel.up:
        channel.last_dialled = []
        channel.set_variable("originate_failed_cause", cause)
        channel.set_call_state("ACTIVE")


def _bridge_event(channel: Channel, other: Profile, leg: Channel) -> None:
    assert channel.profile is not None
    channel.profile.originator, channel.profile.originatee = None, other
    channel.set_call_state("ACTIVE")
    channel.set_variable("bridge_uuid", leg.uuid)
    channel.fire("CHANNEL_BRIDGE", [("Bridge-A-Unique-ID", channel.uuid), ("Bridge-B-Unique-ID", leg.uuid)])


async def _talk(channel: Channel, leg: Channel) -> bool:
    """Until one of the two ends, or a key says what is to be; True for all three together."""
    while channel.up and leg.up:
        pressed = channel.digits.pop(0) if channel.digits else ""
        if pressed in {THREE_WAY, CANCEL} and pressed:
            return pressed == THREE_WAY
        if not pressed:
            await wait_any([channel, leg])
    return False


def three_way(channel: Channel, target: str) -> None:
    """Makes a leg talk in another one's call."""

    async def talk() -> None:
        await eavesdrop(channel, target)

    channel.soft_task = talk
    channel.set_state(State.SOFT_EXECUTE)


async def intercept(channel: Channel, target: str) -> None:
    """Takes a leg over; whoever it was connected with is hung up."""
    answer(channel)
    other = channel.switch.channels.get(target)
    if other is None or not other.up:
        return
    if other.partner is not None:
        other.partner.hangup("PICKED_OFF")
    bridge_existing(channel, other)
