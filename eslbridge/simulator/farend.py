"""What the far end of a leg does: answer, refuse, hang up; and everybody outside."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import sip
from .causes import cause_of, phrase_of
from .channel import Channel

if TYPE_CHECKING:
    from .core import Switch

# How the far end refuses, by behaviour. A behaviour of three digits is a SIP status of its own.
STATUSES = {"busy": 486, "reject": 603, "unallocated": 404, "congested": 503}
# Seconds after which the switch gives up an INVITE that nobody answered with anything.
INVITE_SECONDS = 32.0


# How many calls a party remembers: more than a test makes, and the demo runs for days.
REMEMBERED = 1000


@dataclass(frozen=True)
class Invite:
    """What a phone, or a trunk, was shown when the switch called it.

    ``number`` is what was dialled, digit for digit; ``caller_name`` and ``caller_number`` what a display
    shows. Of a trunk: ``gateway``, the user in its From header, and the header that vouches for the
    caller's number (Remote-Party-ID, P-Asserted-Identity, or empty).
    """

    uuid: str
    number: str
    caller_name: str
    caller_number: str
    gateway: str = ""
    from_user: str = ""
    identity: str = ""


class Memory:
    """What one party remembers of its calls, the latest only: those that reached it, and what it was told."""

    def __init__(self) -> None:
        self.received: deque[Invite] = deque(maxlen=REMEMBERED)
        self.told: deque[str] = deque(maxlen=REMEMBERED)


class Outside:
    """Everything that the trunks reach, and whoever calls from there.

    ``behaviour`` is answer, busy, no_answer, reject, unallocated, congested (503), offline (says nothing at
    all), unreachable (nobody listens there, which the switch learns at once), or a SIP status of three
    digits. Exceptions from it: ``numbers`` by number, ``gateways`` by gateway, ``at`` by both; the most
    particular counts. ``received`` lists every call that arrived, ``told`` the final answers that callers
    from outside got. ``unreachable`` holds hosts (or ``host:port``) of trunks that do not answer: gateways
    to them fail to register.
    """

    def __init__(self, switch: Switch):
        self.switch = switch
        self.behaviour = "answer"
        self.answer_after = switch.options.answer_after
        self.hangup_after: float | None = None
        self.numbers: dict[str, str] = {}
        self.gateways: dict[str, str] = {}
        self.at: dict[tuple[str, str], str] = {}
        self.unreachable: set[str] = set()
        self.memory = Memory()
        self.channels: list[Channel] = []

    @property
    def received(self) -> list[Invite]:
        return list(self.memory.received)

    @property
    def told(self) -> list[str]:
        return list(self.memory.told)

    def invited(self, channel: Channel) -> None:
        self.channels.append(channel)
        self.memory.received.append(invite_of(channel))
        behaviour = self._behaviour(channel)
        if behaviour == "unreachable":
            self.switch.call_soon(refuse, channel, 503)
        elif behaviour == "offline":
            give_up_later(channel)
        else:
            ring(channel)
            if behaviour != "no_answer":
                decide_later(channel, self.answer_after, self._decide)

    def _behaviour(self, channel: Channel) -> str:
        gateway, number = channel.text("sip_gateway_name"), channel.sip.contact_user
        exceptions = (self.at.get((gateway, number)), self.gateways.get(gateway), self.numbers.get(number))
        return next((one for one in exceptions if one), self.behaviour)

    def answers_pings(self, gateway: str) -> bool:
        """Whether a gateway's far end answers OPTIONS."""
        return self.gateways.get(gateway, self.behaviour) not in ("offline", "unreachable")

    def _decide(self, channel: Channel) -> None:
        if not channel.up or channel.answered:
            return
        status = status_of(self._behaviour(channel))
        if status:
            refuse(channel, status)
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
            self.memory.told += final_answers(channel)


def invite_of(channel: Channel) -> Invite:
    """What the far end reads in the INVITE of a leg."""
    assert channel.profile is not None
    gateway = channel.switch.gateways.get(channel.text("sip_gateway_name"))
    name, number = channel.profile.caller_id_name, channel.profile.caller_id_number
    if gateway is None:
        return Invite(channel.uuid, channel.sip.contact_user, name, number)
    return Invite(
        channel.uuid,
        channel.sip.contact_user,
        name,
        number,
        gateway.settings.name,
        gateway.from_user(number),
        IDENTITY_HEADERS.get(channel.text("sip_cid_type") or "rpid", ""),
    )


IDENTITY_HEADERS = {"rpid": "Remote-Party-ID", "pid": "P-Asserted-Identity"}


def status_of(behaviour: str) -> int:
    """The status with which a far end refuses; 0 when it does not."""
    return int(behaviour) if behaviour.isdigit() else STATUSES.get(behaviour, 0)


def final_answers(channel: Channel) -> list[str]:
    """What a caller was told whose call the switch did not answer; empty when it did, or when it rang off."""
    if channel.direction != "inbound" or channel.answered or channel.disposition == "recv_cancel":
        return []
    return [sip.final_answer(channel)]


def ring(channel: Channel) -> None:
    """The far end says that it rings."""
    sip.ringing(channel, channel.sip)
    channel.mark_ringing()


def decide_later(channel: Channel, seconds: float, decide: Callable[[Channel], None]) -> None:
    channel.timers.append(asyncio.get_running_loop().call_later(seconds, decide, channel))


def give_up_later(channel: Channel) -> None:
    """Nobody says anything to an INVITE."""
    decide_later(channel, INVITE_SECONDS * channel.switch.options.ring_second, _give_up)


def _give_up(channel: Channel) -> None:
    if channel.up and not channel.answered:
        refuse(channel, 408)


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


def refuse(channel: Channel, status: int) -> None:
    """A final answer other than 200."""
    if channel.up:
        cause, phrase = cause_of(status), phrase_of(status)
        sip.refused(channel, str(status), phrase, cause)
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
        refuse(channel, STATUSES["reject"])


class Nobody:
    """The far end of a contact where no phone listens."""

    def invited(self, channel: Channel) -> None:
        give_up_later(channel)

    def call_answered(self, channel: Channel) -> None:
        pass

    def channel_ended(self, channel: Channel) -> None:
        pass
