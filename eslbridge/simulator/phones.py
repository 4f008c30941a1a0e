"""Simulated phones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .bridging import hold, unhold
from .channel import Channel
from .farend import (
    Invite,
    Memory,
    accept,
    decide_later,
    final_answers,
    give_up_later,
    invite_of,
    refuse,
    ring,
    say_bye,
    status_of,
)
from .referring import refer
from .userfiles import digest_secret

if TYPE_CHECKING:
    from .core import Switch

AGENT = "patchbay-softphone/1.0"
BEHAVIOURS = ("answer", "busy", "no_answer", "reject", "offline")


class Phone:
    """One user's phone: registers with what its file says, answers, refuses, calls and hangs up.

    ``behaviour`` is one of ``BEHAVIOURS``; ``answer_after`` is how many seconds it rings. ``password``
    (or ``a1_hash``) is what it found in its user's file; whoever changes it here has a phone with a wrong
    password.
    ``notified`` lists what the switch asked of it ("check-sync", "reboot"), ``received`` the calls that
    reached it and whom they showed, ``told`` the final answers to calls it placed in vain
    ("403 Not allowed: international").
    """

    def __init__(self, switch: Switch, user: str, domain: str, port: int, behaviour: str = "answer"):
        self.switch = switch
        self.user = user
        self.domain = domain
        self.host = "127.0.0.1"
        self.port = port
        self.password = ""
        self.a1_hash = ""
        self.call_id = ""
        # Whether the switch said no the last time; an older registration may stand all the same.
        self.refused = False
        self.answer_after = switch.options.answer_after
        self.channels: list[Channel] = []
        self.notified: list[str] = []
        self.memory = Memory()
        self.renewal: asyncio.TimerHandle | None = None
        self._behaviour = behaviour

    @property
    def received(self) -> list[Invite]:
        return list(self.memory.received)

    @property
    def told(self) -> list[str]:
        return list(self.memory.told)

    @property
    def registered(self) -> bool:
        """Whether the profile holds this phone's registration."""
        return self.switch.registrar.held_by(self) is not None

    @property
    def secret(self) -> str:
        """The digest secret that this phone uses."""
        return self.a1_hash or digest_secret(self.user, self.domain, self.password)

    @property
    def behaviour(self) -> str:
        return self._behaviour

    @behaviour.setter
    def behaviour(self, value: str) -> None:
        if value not in BEHAVIOURS:
            raise ValueError(f"a phone cannot {value!r}")
        before, self._behaviour = self._behaviour, value
        if value == "offline" and before != "offline":
            self.switch.call_soon(self.switch.registrar.unregister, self)
        elif before == "offline" and value != "offline":
            self.switch.call_soon(self.switch.registrar.register, self)

    def register(self) -> None:
        """Sends a REGISTER now, with the password that the phone has."""
        self.switch.in_loop(self.switch.registrar.register, self)

    def unregister(self) -> None:
        """Takes the registration back; the phone keeps quiet until it registers again."""
        self.switch.in_loop(self.switch.registrar.unregister, self)

    def place_call(self, number: str) -> str:
        """Dials a number. Returns the UUID of the channel; the call goes on by itself.

        Raises PermissionError when the switch does not know the user or expects another password.
        """
        return self.switch.in_loop(self.switch.call_from_phone, self, number)

    def hangup(self) -> None:
        """Puts the receiver down: every call of this phone gets a BYE."""
        self.switch.in_loop(self._hangup)

    def _hangup(self) -> None:
        for channel in list(self.channels):
            say_bye(channel)

    def accept(self) -> None:
        """Lifts the receiver of every call that rings."""
        self.switch.in_loop(self._accept)

    def _accept(self) -> None:
        for channel in self.channels:
            if not channel.answered:
                accept(channel)

    def press(self, digits: str) -> None:
        """Presses keys in every call of this phone."""
        self.switch.in_loop(self._press, digits)

    def _press(self, digits: str) -> None:
        for channel in self.channels:
            channel.receive_digits(digits)

    def hold(self) -> None:
        """Puts every call of this phone on hold: a re-INVITE that sends only."""
        self.switch.in_loop(self._each_call, hold)

    def resume(self) -> None:
        self.switch.in_loop(self._each_call, unhold)

    def transfer(self, number: str) -> None:
        """Sends those it talks to to another number, and is out of the call: a REFER."""
        self.switch.in_loop(self._refer, number)

    def _each_call(self, act: Callable[[Channel], None]) -> None:
        for channel in self.channels:
            act(channel)

    def _refer(self, number: str) -> None:
        for channel in list(self.channels):
            refer(channel, number)

    # What the switch asks of the far end of a channel

    def invited(self, channel: Channel) -> None:
        if self.behaviour == "offline":
            give_up_later(channel)
            return
        self.channels.append(channel)
        self.memory.received.append(invite_of(channel))
        ring(channel)
        if self.behaviour != "no_answer":
            decide_later(channel, self.answer_after, self._decide)

    def _decide(self, channel: Channel) -> None:
        if not channel.up or channel.answered:
            return
        status = status_of(self.behaviour)
        if status:
            refuse(channel, status)
        elif self.behaviour == "answer":
            accept(channel)

    def call_answered(self, channel: Channel) -> None:
        """The call that this phone placed was answered: it talks."""

    def channel_ended(self, channel: Channel) -> None:
        if channel in self.channels:
            self.channels.remove(channel)
            self.memory.told += final_answers(channel)
