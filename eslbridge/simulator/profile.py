"""Caller profiles: who calls whom, as the switch keeps it on each leg."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from .events import Header


@dataclass
class Times:
    """Microseconds since 1970; 0 is never."""

    created: int = 0
    profile_created: int = 0
    answered: int = 0
    progress: int = 0
    progress_media: int = 0
    hangup: int = 0
    transfer: int = 0
    resurrect: int = 0
    bridged: int = 0
    last_hold: int = 0
    hold_accum: int = 0


@dataclass
class Profile:
    """A caller profile; a transfer gives the channel a new one. An empty text is left out of events."""

    uuid: str
    channel_name: str
    direction: str
    logical_direction: str
    username: str = ""
    dialplan: str = ""
    caller_id_name: str = ""
    caller_id_number: str = ""
    orig_caller_id_name: str = ""
    orig_caller_id_number: str = ""
    callee_id_name: str = ""
    callee_id_number: str = ""
    network_addr: str = ""
    ani: str = ""
    destination_number: str = ""
    source: str = "mod_sofia"
    transfer_source: str = ""
    context: str = "default"
    rdnis: str = ""
    index: int = 1
    times: Times = field(default_factory=Times)
    originator: Profile | None = None
    originatee: Profile | None = None
    originatees: list[Profile] = field(default_factory=list)

    def headers(self, prefix: str, index: bool = True) -> Iterator[Header]:
        texts = (
            ("Direction", self.direction),
            ("Logical-Direction", self.logical_direction),
            ("Username", self.username),
            ("Dialplan", self.dialplan),
            ("Caller-ID-Name", self.caller_id_name),
            ("Caller-ID-Number", self.caller_id_number),
            ("Orig-Caller-ID-Name", self.orig_caller_id_name),
            ("Orig-Caller-ID-Number", self.orig_caller_id_number),
            ("Callee-ID-Name", self.callee_id_name),
            ("Callee-ID-Number", self.callee_id_number),
            ("Network-Addr", self.network_addr),
            ("ANI", self.ani),
            ("Destination-Number", self.destination_number),
            ("Unique-ID", self.uuid),
            ("Source", self.source),
            ("Transfer-Source", self.transfer_source),
            ("Context", self.context),
            ("RDNIS", self.rdnis),
            ("Channel-Name", self.channel_name),
        )
        for name, text in texts:
            if text:
                yield f"{prefix}-{name}", text
        if index:
            yield f"{prefix}-Profile-Index", str(self.index)
        times = self.times
        for name, stamp in (
            ("Profile-Created-Time", times.profile_created),
            ("Channel-Created-Time", times.created),
            ("Channel-Answered-Time", times.answered),
            ("Channel-Progress-Time", times.progress),
            ("Channel-Progress-Media-Time", times.progress_media),
            ("Channel-Hangup-Time", times.hangup),
            ("Channel-Transfer-Time", times.transfer),
            ("Channel-Resurrect-Time", times.resurrect),
            ("Channel-Bridged-Time", times.bridged),
            ("Channel-Last-Hold", times.last_hold),
            ("Channel-Hold-Accum", times.hold_accum),
        ):
            yield f"{prefix}-{name}", str(stamp)
        yield f"{prefix}-Screen-Bit", "true"
        yield f"{prefix}-Privacy-Hide-Name", "false"
        yield f"{prefix}-Privacy-Hide-Number", "false"

    def seen_by_other_leg(self, with_times: bool) -> Profile:
        """A copy as the other leg keeps it."""
        seen = copy.copy(self)
        seen.logical_direction = "inbound"
        seen.transfer_source = ""
        seen.originator = seen.originatee = None
        seen.originatees = []
        seen.times = copy.copy(self.times) if with_times else Times()
        return seen


# Names by which dialplan and expansion ask for parts of a profile.
FIELDS = {
    "dialplan": "dialplan",
    "username": "username",
    "caller_id_name": "caller_id_name",
    "caller_id_number": "caller_id_number",
    "orig_caller_id_name": "orig_caller_id_name",
    "orig_caller_id_number": "orig_caller_id_number",
    "callee_id_name": "callee_id_name",
    "callee_id_number": "callee_id_number",
    "ani": "ani",
    "network_addr": "network_addr",
    "rdnis": "rdnis",
    "destination_number": "destination_number",
    "uuid": "uuid",
    "source": "source",
    "transfer_source": "transfer_source",
    "context": "context",
    "chan_name": "channel_name",
}
