"""What the far end of a leg does: answer, refuse, hang up; and everybody outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import sip
from .channel import Channel

if TYPE_CHECKING:
    from .core import Switch


class Outside:
    """Everything that the trunks reach, and whoever calls from there.

    ``behaviour`` as with phones; ``numbers`` holds exceptions: number to behaviour. ``unreachable`` holds
    hosts (or ``host:port``) of trunks that do not answer: gateways to them fail to register.
    """

    def __init__(self, switch: Switch):
        self.switch = switch
        self.behaviour = "answer"
        self.answer_after = switch.options.answer_after
        self.hangup_after: float | None = None
        self.numbers: dict[str, str] = {}
        self.unreachable: set[str] = set()
        self.channels: list[Channel] = []

    def invited(self, channel: Channel) -> None:
        self.channels.append(channel)
        behaviour = self._behaviour(channel)
        if behaviour == "offline":
            return
        sip.ringing(channel, channel.sip)
        channel.mark_ringing()
        if behaviour == "no_answer":
            return
        timer = asyncio.get_running_loop().call_later(self.answer_after, self._decide, channel)
        channel.timers.append(timer)

    def _behaviour(self, channel: Channel) -> str:
        return self.numbers.get(channel.sip.contact_user, self.behaviour)

    def _decide(self, channel: Channel) -> None:
        behaviour = self._behaviour(channel)
        if not channel.up or channel.answered:
            return
        if behaviour == "busy":
            refuse(channel, "USER_BUSY")
        elif behaviour == "reject":
            refuse(channel, "CALL_REJECTED")
        elif behaviour == "unallocated":
            refuse(channel, "UNALLOCATED_NUMBER")
        else:
            accept(channel)
            self._hangup_later(channel)

    def _hangup_later(self, channel: Channel) -> None:
        if self.hangup_after is not None:
            timer = asyncio.get_running_loop().call_later(self.hangup_after, say_bye, channel)
            channel.timers.append(timer)

    def hangup(self) -> None:
        """Everybody outside hangs up."""
        self.switch.in_loop(self._hangup)

    def _hangup(self) -> None:
        for channel in list(self.channels):
            say_bye(channel)

    def call_answered(self, channel: Channel) -> None:
        self._hangup_later(channel)

    def channel_ended(self, channel: Channel) -> None:
        if channel in self.channels:
            self.channels.remove(channel)


def accept(channel: Channel) -> None:
    """200 with an offer of PCMU; a leg that was offered something else ends."""
    if not channel.up or channel.answered:
        return
    if channel.text("originator_codec").startswith("L16"):
        sip.no_common_codec(channel, channel.sip)
        channel.disposition = "send_bye"
        channel.hung_up_here = True
        channel.hangup("INCOMPATIBLE_DESTINATION")
        return
    sip.peer_answered(channel, channel.sip)
    channel.mark_answered()


def refuse(channel: Channel, cause: str) -> None:
    """A final answer other than 200."""
    if channel.up:
        status, phrase = sip.REFUSALS[cause]
        sip.refused(channel, status, phrase, cause)
        channel.final_phrase = phrase
        channel.hangup(cause)


def say_bye(channel: Channel) -> None:
    """The far end hangs up: BYE when the call stood, CANCEL when it called and nobody had answered."""
    if not channel.up:
        return
    if channel.answered:
        sip.bye_received(channel)
        channel.disposition = "recv_bye"
        channel.final_phrase = "OK"
        channel.hangup("NORMAL_CLEARING")
    elif channel.direction == "inbound":
        channel.disposition = "recv_cancel"
        channel.hangup("ORIGINATOR_CANCEL")
    else:
        refuse(channel, "CALL_REJECTED")


class Nobody:
    """The far end of a contact where no phone listens."""

    def invited(self, channel: Channel) -> None:
        pass

    def call_answered(self, channel: Channel) -> None:
        pass

    def channel_ended(self, channel: Channel) -> None:
        pass
