"""What a far end does with a REFER: it sends the other leg to another number, and is out of the call."""

from __future__ import annotations

from .bridging import transfer
from .channel import Channel
from .hooks import run_hooks_in_turn


def refer(channel: Channel, number: str) -> None:
    """The far end of this leg transfers the leg that it talks to (a blind transfer).

    What `execute_on_blind_transfer` of the other leg asks for runs while this leg is still there, and the
    other one's `force_transfer_context` decides by which rules the number is understood (sofia.c,
    switch_ivr_session_transfer).
    """
    if channel.partner is not None:
        channel.set_variable("endpoint_disposition", "BLIND_TRANSFER")
        channel.switch.spawn(_sent_on(channel.partner, number))


async def _sent_on(other: Channel, number: str) -> None:
    await run_hooks_in_turn(other, "blind_transfer")
    transfer(other, number, other.text("force_transfer_dialplan"), other.text("force_transfer_context"))
