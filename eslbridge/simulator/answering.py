"""Answering a caller, and early media towards it."""

from __future__ import annotations

from . import sip
from .channel import Channel
from .loopback import Loop

# A caller whose phone does not encrypt, though its user must.
_SECURE = ("true", "mandatory")


def _refuses_plain_media(channel: Channel) -> bool:
    if channel.sip and channel.direction == "inbound" and channel.text("rtp_secure_media") in _SECURE:
        channel.hangup("INCOMPATIBLE_DESTINATION")
        return True
    return False


def pre_answer(channel: Channel) -> None:
    """Early media towards a caller."""
    if channel.early or channel.answered or not channel.up or _refuses_plain_media(channel):
        return
    if isinstance(channel.party, Loop):
        outer = channel.party.other
        outer.set_variable("endpoint_disposition", "EARLY MEDIA")
        outer.mark_early()
    elif channel.sip:
        sip.media(channel, channel.sip)
    channel.set_variable("endpoint_disposition", "EARLY MEDIA")
    channel.mark_early()


def answer(channel: Channel, await_ack: bool = True) -> None:
    """Answers a caller. Its ACK comes a little later, unless the bridge that answers sees to that."""
    if channel.answered or not channel.up or _refuses_plain_media(channel):
        return
    if isinstance(channel.party, Loop) and channel.direction == "inbound":
        outer = channel.party.other
        outer.mark_answered()
        outer.set_variable("endpoint_disposition", "ANSWER")
    elif channel.sip:
        sip.answered(channel, channel.sip)
    channel.mark_answered()
    channel.set_variable("endpoint_disposition", "ANSWER")
    if channel.sip and channel.direction == "inbound" and await_ack:
        channel.switch.call_soon(sip.acknowledged, channel)
