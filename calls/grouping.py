"""Legs as people see them: a call is those that belong together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from .legs import ANSWERED, HELD, PARKED, VOICEMAIL, Leg


@dataclass(frozen=True)
class Call:
    """The legs that belong together; the first is the one that began it."""

    legs: list[Leg]

    @property
    def a_leg(self) -> Leg:
        return self.legs[0]

    @property
    def uuid(self) -> str:
        return self.a_leg.uuid

    @cached_property
    def others(self) -> list[Leg]:
        """The phones that were called, oldest first."""
        return [leg for leg in self.legs[1:] if not leg.is_loopback and not self._is_device(leg)]

    def _is_device(self, leg: Leg) -> bool:
        """Whether it rings beside the first one for the same dial, on another device of the same user."""
        return bool(leg.asked) and leg.asked == self.a_leg.asked

    @cached_property
    def b_leg(self) -> Leg | None:
        """The leg that the first one is connected with, or else the oldest one."""
        connected = [leg for leg in self.others if leg.uuid == self.a_leg.other]
        return next(iter(connected + self.others), None)

    @property
    def users(self) -> list[str]:
        """The directory users whose phones take part."""
        return list(dict.fromkeys(leg.user for leg in self.legs if leg.user))

    @property
    def is_click_to_dial(self) -> bool:
        return bool(self.a_leg.dialled)

    @property
    def caller(self) -> str:
        leg = self.a_leg
        return leg.user if leg.direction == "outbound" and leg.user else leg.caller

    @property
    def caller_name(self) -> str:
        return "" if self.a_leg.direction == "outbound" else self.a_leg.caller_name

    @property
    def callee(self) -> str:
        """Who is talked to or called; empty for a phone that the switch rang and that talks to nobody yet."""
        if self.is_click_to_dial:
            return self.a_leg.dialled
        if self.a_leg.is_called_by_switch:
            return self.b_leg.party if self.b_leg else ""
        return self.did or self.a_leg.destination

    @property
    def did(self) -> str:
        """The number that was called from outside, if it was."""
        return "" if self.a_leg.user else next((leg.did for leg in self.legs if leg.did), "")

    @property
    def reached(self) -> str:
        """Whose phone the other leg is, when that is somebody else than who was dialled."""
        user = self.b_leg.user if self.b_leg else ""
        return "" if user == self.callee else user

    @property
    def state(self) -> str:
        """The first leg's, but a call rings for as long as it is answered on that side only."""
        if any(leg.state == HELD for leg in self.legs):
            return HELD
        if self.a_leg.state != ANSWERED:
            return self.a_leg.state
        if self.a_leg.parked and len(self.legs) == 1:
            return PARKED
        if self.b_leg and all(leg.rings for leg in self.others):
            return self.b_leg.state
        is_machine = not self.others and any(leg.is_in_voicemail for leg in self.legs)
        return VOICEMAIL if is_machine else ANSWERED

    @property
    def direction(self) -> str:
        if self.did:
            return "in"
        if self.b_leg and not self.b_leg.user:
            return "out"
        return "internal" if self.a_leg.user or self.a_leg.direction == "outbound" else "in"

    @property
    def gateway(self) -> str:
        """The trunk, or the SIP profile of a leg that is no phone of ours and names none."""
        outside = [leg for leg in self.legs if not leg.user and not leg.is_loopback]
        named = [leg.gateway for leg in self.legs if leg.gateway]
        return next(iter(named + [leg.profile for leg in outside if leg.profile]), "")

    @property
    def is_recorded(self) -> bool:
        return any(leg.is_recorded for leg in self.legs)

    @property
    def since(self) -> float:
        return self.a_leg.created


def grouped(legs: Iterable[Leg]) -> list[Call]:
    """Legs as calls, oldest first. Who is connected with whom tells what belongs together, and for a leg that
    rings or talks to nobody, who made it; the call UUID does not."""
    alive = {leg.uuid: leg for leg in legs}
    first: dict[str, Leg] = {}  # of the devices that ring for the same dial
    for leg in alive.values():
        if leg.asked:
            first[leg.asked] = min(leg, first.get(leg.asked, leg), key=lambda each: (each.created, each.uuid))
    parents = {leg.uuid: _parent(leg, alive) or _beside(leg, first) for leg in alive.values()}
    members: dict[str, list[Leg]] = defaultdict(list)
    for leg in alive.values():
        members[_root(leg.uuid, parents)].append(leg)
    calls = []
    for root, found in members.items():
        calls.append(Call(sorted(found, key=lambda leg: (leg.uuid != root, leg.created, leg.uuid))))
    return sorted(calls, key=lambda call: (call.since, call.uuid))


def _beside(leg: Leg, first: Mapping[str, Leg]) -> str:
    """The first of the devices that ring for the same dial; empty for that one itself."""
    device = first.get(leg.asked)
    return device.uuid if device and device.uuid != leg.uuid else ""


def _parent(leg: Leg, alive: Mapping[str, Leg]) -> str:
    """The leg of the same call that was there before this one; empty for a call's first leg."""
    origin, other = alive.get(leg.origin), alive.get(leg.other)
    if origin and (leg.rings or _is_free_for(origin, leg, alive)):
        return origin.uuid
    if other and other.origin != leg.uuid and _is_free_for(other, leg, alive):
        is_older = (other.created, other.uuid) < (leg.created, leg.uuid)
        return other.uuid if is_older else ""
    return ""


def _is_free_for(other: Leg, leg: Leg, alive: Mapping[str, Leg]) -> bool:
    """Whether the other leg is connected with this one, or with nobody."""
    return other.other == leg.uuid or other.other not in alive


def _root(uuid: str, parents: Mapping[str, str]) -> str:
    seen = {uuid}
    while (parent := parents[uuid]) and parent not in seen:
        seen.add(parent)
        uuid = parent
    return uuid
