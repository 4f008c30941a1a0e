"""A leg: one channel of a switch, and what each of its events tells about it.

Events are not trusted to come in order, once, or at all: each has the switch's own sequence number, so an
older one only fills in what a newer one does not tell.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from eslbridge.originate import ASKED
from eslbridge.protocol.events import Event
from eslbridge.text import printable

RINGING, EARLY, ANSWERED, HELD = "ringing", "early media", "answered", "held"
# A call's only: its one party waits to be retrieved; its leg is answered.
PARKED = "parked"
# A call's only, not a leg's: a machine answered it. Also the name of the switch's application.
VOICEMAIL = "voicemail"

# What the switch calls a channel's call state, and what a leg is then.
STATES = {
    "DOWN": RINGING,
    "DIALING": RINGING,
    "RINGING": RINGING,
    "RING_WAIT": RINGING,
    "EARLY": EARLY,
    "ACTIVE": ANSWERED,
    "UNHELD": ANSWERED,
    "HELD": HELD,
}
GONE = frozenset({"CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"})
# Between its hang-up and its end a leg says nothing that matters.
ENDING = frozenset({"CS_HANGUP", "CS_REPORTING", "CS_DESTROY"})
# Characters of a name or number that are kept; a caller may send any number of them.
LONGEST = 120
LONGEST_PATH = 255


@dataclass(frozen=True)
class Leg:
    """One channel. Times are seconds since 1970, UTC; 0 is never."""

    uuid: str
    switch: str
    direction: str  # "inbound": the phone called the switch; "outbound": the switch called the phone
    state: str
    caller: str
    caller_name: str
    destination: str
    user: str = ""  # the directory user whose phone this is, if it is one's
    other: str = ""  # the leg it is connected with, or is to be
    origin: str = ""  # the A-leg that made this one
    did: str = ""
    asked: str = ""  # the dial or command for which it rings beside other devices of the same user
    dialled: str = ""  # what a click-to-dial is to reach once the agent's phone has answered
    channel: str = ""  # the switch's name for it, “sofia/internal/1000@…”
    gateway: str = ""  # the trunk to or from which it goes, where the switch names one
    application: str = ""  # what the switch did with it when it last told all about it
    # File -> the event that told last of it; negative when that was the recording's end.
    recordings: Mapping[str, int] = field(default_factory=dict)
    parked: bool = False  # it waits to be retrieved
    created: float = 0
    answered: float = 0
    sequence: int = 0  # the switch's number of the event that told this

    @property
    def rings(self) -> bool:
        return self.state in {RINGING, EARLY}

    @property
    def party(self) -> str:
        """Who is at the other end of this channel: a user, or a number."""
        return self.user or (self.destination if self.direction == "outbound" else self.caller)

    @property
    def is_called_by_switch(self) -> bool:
        """The switch rang this phone first: the number on this channel is its own, not whom it talks to."""
        return self.direction == "outbound" and bool(self.user) and self.destination == self.user

    @property
    def is_loopback(self) -> bool:
        """Half of a pair that the switch connects with itself (vanilla reaches voicemail so): no phone."""
        return self.channel.startswith("loopback/")

    @property
    def is_in_voicemail(self) -> bool:
        return VOICEMAIL in {self.application, self.destination if self.is_loopback else ""}

    @property
    def is_recorded(self) -> bool:
        """Not while it leaves a message: that is what the caller wants recorded."""
        return not self.is_in_voicemail and any(told > 0 for told in self.recordings.values())

    @property
    def recording(self) -> str:
        """The file on the switch into which it is recorded now, the last of several; empty for none."""
        files = [file for file, told in self.recordings.items() if told > 0] if self.is_recorded else []
        return max(files, key=self.recordings.__getitem__, default="")

    @property
    def profile(self) -> str:
        """The switch's SIP profile through which it goes."""
        kind, _, rest = self.channel.partition("/")
        return rest.partition("/")[0] if kind == "sofia" else ""


def moved(leg: Leg | None, event: Event, switch: str) -> Leg:
    """The leg after this event; a leg that is not known yet begins with it.

    An event that is older than what is known only fills in what is missing.
    """
    told = _told(event, switch)
    if leg is None:
        return told
    newer, older = (told, leg) if told.sequence >= leg.sequence else (leg, told)
    return replace(
        newer,
        user=newer.user or older.user,
        origin=newer.origin or older.origin,
        did=_text(event, "variable_patchbay_did") or leg.did or told.did,
        asked=newer.asked or older.asked,
        dialled=newer.dialled or older.dialled,
        channel=newer.channel or older.channel,
        gateway=newer.gateway or older.gateway,
        application=newer.application or older.application,
        recordings=_latest(leg.recordings, told.recordings),
        parked=_PARKS.get(event.name, leg.parked),
        created=min(filter(None, (newer.created, older.created)), default=0),
        answered=newer.answered or older.answered,
    )


def _told(event: Event, switch: str) -> Leg:
    """What one event tells about its leg."""
    state = STATES.get(event.get("Channel-Call-State", ""), RINGING)
    if event.get("Answer-State") == "answered" and state in {RINGING, EARLY}:
        state = ANSWERED
    return Leg(
        uuid=printable(event["Unique-ID"]),
        switch=switch,
        direction=_text(event, "Call-Direction"),
        state=state,
        # Not the caller ID: the switch turns that of a leg that it began round when it answers.
        caller=_text(event, "Caller-ANI") or _text(event, "Caller-Caller-ID-Number"),
        caller_name=_text(event, "Caller-Caller-ID-Name"),
        destination=_number(_text(event, "Caller-Destination-Number")),
        user=_text(event, "Channel-Presence-ID").partition("@")[0],
        other="" if event.name == "CHANNEL_UNBRIDGE" else _text(event, "Other-Leg-Unique-ID"),
        origin=_text(event, "variable_originator") or _loopback_twin(event),
        did=_did(event),
        asked="" if event.get("variable_originator") else _text(event, f"variable_{ASKED}"),
        dialled="" if event.get("variable_originator") else _text(event, "variable_patchbay_dial"),
        channel=_text(event, "Channel-Name"),
        gateway=_text(event, "variable_sip_gateway_name") or _text(event, "variable_sip_gateway"),
        # Our dialplan says before it answers that a machine will talk; else it is told with a later event.
        application=_text(event, "variable_patchbay_application")
        or _text(event, "variable_current_application"),
        recordings=_recordings(event),
        parked=_PARKS.get(event.name, event.get("Channel-State") == "CS_PARK"),
        created=_seconds(event, "Caller-Channel-Created-Time") or time.time(),
        answered=_seconds(event, "Caller-Channel-Answered-Time"),
        sequence=sequence_of(event),
    )


# What begins a leg's waiting, and what ends it.
_PARKS = {"CHANNEL_PARK": True, "CHANNEL_UNPARK": False, "CHANNEL_BRIDGE": False}


def _recordings(event: Event) -> dict[str, int]:
    """The file that this event says is being written from now on, or not any more."""
    if not event.name.startswith("RECORD_"):
        return {}
    at = sequence_of(event) or 1
    file = printable(event.get("Record-File-Path", ""), LONGEST_PATH)
    return {file: at if event.name == "RECORD_START" else -at}


def _latest(known: Mapping[str, int], told: Mapping[str, int]) -> Mapping[str, int]:
    """Both, and of a file of which both tell what was told last."""
    if not told:
        return known
    return {file: max(known.get(file, 0), told.get(file, 0), key=abs) for file in {**known, **told}}


def _text(event: Event, name: str) -> str:
    return printable(event.get(name, ""), LONGEST)


def _number(text: str) -> str:
    """A destination that the switch dialled at a SIP address comes as it was escaped there: “%2B1555…”."""
    return unquote(text) if text.startswith("%2B") else text


def _seconds(event: Event, name: str) -> float:
    return int(event.get(name) or 0) / 1e6


def has_hung_up(event: Event) -> bool:
    return event.get("Channel-State") in ENDING or event.get("Answer-State") == "hangup"


def sequence_of(event: Event) -> int:
    return int(event.get("Event-Sequence") or 0)


def _loopback_twin(event: Event) -> str:
    """The half through which a loopback pair was called is what made the other half."""
    is_inner_half = event.get("variable_loopback_leg") == "B"
    return _text(event, "variable_other_loopback_leg_uuid") if is_inner_half else ""


def _did(event: Event) -> str:
    """The number that a caller from outside dialled: after the transfer the destination is an extension.

    A call from outside is an inbound leg that is no directory user's. It begins in the context `public`.
    """
    if event.get("Call-Direction") != "inbound" or event.get("Channel-Presence-ID"):
        return ""
    told = _text(event, "variable_patchbay_did")
    if told or event.get("variable_loopback_app"):
        return told
    if event.get("Caller-Context") == "public":
        return _text(event, "Caller-Destination-Number")
    return _text(event, "variable_sip_req_user") or _text(event, "Caller-RDNIS")
