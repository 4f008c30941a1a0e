"""Caller ID: who is shown to whom."""

from __future__ import annotations

from . import sip
from .channel import Channel
from .events import Header

FLIP = ("switch_channel.c", "switch_channel_flip_cid", "3279")
DISPLAY = ("mod_sofia.c", "sofia_receive_message", "2133")


def flip_caller_id(channel: Channel) -> None:
    """A leg that was called goes into the dialplan: caller and callee change places, once."""
    profile = channel.profile
    if profile is None or channel.text("channel_cid_flipped"):
        return
    channel.hit_dialplan = True
    channel.set_variable("pre_transfer_caller_id_name", profile.caller_id_name)
    channel.set_variable("pre_transfer_caller_id_number", profile.caller_id_number)
    channel.set_variable("channel_cid_flipped", "yes")
    names = profile.caller_id_name, profile.caller_id_number
    profile.caller_id_name, profile.caller_id_number = profile.callee_id_name, profile.callee_id_number
    profile.callee_id_name, profile.callee_id_number = names
    channel.fire("CALL_UPDATE", [("Direction", "RECV")], source=FLIP)


def update_display(channel: Channel, partner: Channel) -> None:
    """Tells a phone who it is connected to."""
    if (
        not channel.sip
        or not partner.sip
        or channel.profile is None
        or partner.profile is None
        or not channel.up
    ):
        return
    if channel.originator is not None and channel.originator.uuid == partner.uuid:
        name, number = channel.profile.caller_id_name, channel.profile.caller_id_number
    else:
        name, number = partner.profile.callee_id_name, partner.profile.callee_id_number
    if channel.direction == "inbound" and channel.answered and "sip_to_tag" not in channel.variables:
        sip.acknowledged(channel)
    show(channel, name, number, partner.uuid)


def show(channel: Channel, name: str, number: str, partner: str = "") -> None:
    """Puts a name and number on a phone's display; an event only when they are news."""
    known = channel.text("last_sent_callee_id_name"), channel.text("last_sent_callee_id_number")
    channel.set_variable("last_sent_callee_id_name", name)
    channel.set_variable("last_sent_callee_id_number", number)
    if known == (name, number):
        return
    before: list[Header] = [("Direction", "SEND")]
    before += [("Sent-Callee-ID-Name", name), ("Sent-Callee-ID-Number", number)]
    if partner:
        before.append(("Bridged-To", partner))
    channel.fire("CALL_UPDATE", before, source=DISPLAY)
