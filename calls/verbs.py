"""The verbs: what may be done with a live call, what each needs, and what the switch is asked for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from agents.models import Agent
from agents.switchxml import CONTEXT, leg_variables
from eslbridge import control
from eslbridge.control import Execute, Request
from eslbridge.originate import Ring

from .callees import callee, way
from .devices import ONE, Rings
from .grouping import Call
from .legs import ANSWERED, HELD, Leg
from .models import Command

Asked = Request | Execute | Ring

# Seconds after which a command that the switch did not confirm is called unknown; those that ring a phone
# wait for as long as it rings.
PATIENCE = 5
RING_SECONDS = 30


@dataclass(frozen=True)
class Place:
    """What of a switch its commands need: its SIP domain, some of its global variables, and other legs."""

    domain: str = "127.0.0.1"
    recordings: str = "/recordings"
    music: str = ""  # what waiting people hear
    rings: Rings = ONE  # the devices that ring for it
    beside: tuple[str, ...] = ()  # legs that ring on other devices of the user for the same thing


@dataclass(frozen=True)
class Sides:
    """A call as seen from one phone in it: `mine`, whom it talks to, and whom it consults meanwhile."""

    call: Call
    mine: Leg
    other: Leg | None
    third: Leg | None

    @property
    def is_talking(self) -> bool:
        return self.other is not None and not self.other.rings and not self.mine.rings


def sides(call: Call, extension: str = "", calls: Iterable[Call] = ()) -> Sides:
    """The call from the phone of that extension, or else from the first phone of an agent in it.

    Who waits while that phone consults somebody is connected with nobody, and so is a call of its own: it is
    looked for among all `calls`.
    """
    legs = [leg for leg in call.legs if not leg.is_loopback] or call.legs
    own = [leg for leg in legs if extension and leg.user == extension]
    mine = next(iter(own or [leg for leg in legs if leg.user]), legs[0])
    partners = [leg for leg in legs if leg is not mine and _belong(mine, leg)]
    partners.sort(key=lambda leg: (leg.uuid != mine.other, leg.rings, leg.created))
    waiting = _waiting(mine, partners, calls)
    if waiting:
        return Sides(call, mine, waiting, partners[0])
    is_calling = len(partners) > 1 and not partners[0].rings  # the one that it consults still rings
    return Sides(call, mine, partners[0] if partners else None, partners[-1] if is_calling else None)


def _belong(mine: Leg, leg: Leg) -> bool:
    return mine.uuid in {leg.other, leg.origin} or leg.uuid in {mine.other, mine.origin}


def _waiting(mine: Leg, partners: list[Leg], calls: Iterable[Call]) -> Leg | None:
    if not partners or partners[0].uuid != mine.other:
        return None
    found = [leg for call in calls for leg in call.legs if leg.other == mine.uuid and leg.uuid != mine.other]
    return next((leg for leg in found if not leg.rings and not leg.parked), None)


@dataclass(frozen=True)
class Verb:
    """One thing that may be done: what it needs, who may do it to anybody's call, and how it is said."""

    label: str
    doing: str  # while it is not confirmed
    done: str
    permission: str  # for anybody's call; one's own needs none, unless `own` says so
    request: Callable[[Command, Place], list[Asked]]
    fits: Callable[[Sides], bool]
    own: bool = True
    field: str = ""  # "number", "digits": what has to be given
    question: str = ""  # asked first, because it disturbs somebody
    rings: bool = False  # a phone rings for it
    icon: str = ""

    @property
    def patience(self) -> timedelta:
        return timedelta(seconds=PATIENCE + (RING_SECONDS if self.rings else 0))


# What the switch is asked. The last of the list is the one that matters; those before prepare it.


def _hang_up(command: Command, place: Place) -> list[Asked]:
    legs = (*place.beside, command.third, command.other if command.third else "", command.leg)
    return [control.hang_up(uuid) for uuid in legs if uuid]


def _transfer(command: Command, place: Place) -> list[Asked]:
    """The other side goes, with the rights of the phone that sends it and none of whoever sent it before; the
    phone is free then."""
    by = Agent.objects.filter(extension=command.extension).first()
    to = callee(command.target)
    way(to, by)
    rights = {
        "toll_allow": by.toll_allow if by else "",
        "callgroup": by.call_group if by else "",
        "outbound_caller_id_number": by.shown_outside if by else "",
        "outbound_caller_id_name": "",
        "patchbay_forward": "",
    }
    given = [control.set_variable(command.other, name, value) for name, value in rights.items()]
    return [*given, control.transfer(command.other, to.number, CONTEXT)]


def _consult(command: Command, place: Place) -> list[Asked]:
    by = Agent.objects.filter(extension=command.extension).first()
    to = callee(command.target)
    if to.agent:
        return [control.consult(command.leg, control.user(to.number, place.domain))]
    out = way(to, by)
    given = [control.set_variable(command.leg, "effective_caller_id_number", out.caller_id)]
    endpoint = control.gateways(out.gateways, out.digits)
    return [*(given if out.caller_id else []), control.consult(command.leg, endpoint)]


def _park(command: Command, place: Place) -> list[Asked]:
    music = [control.play(command.other, place.music)] if place.music else []
    return [control.park(command.other), *music]


def _retrieve(command: Command, place: Place) -> list[Asked]:
    return [_ring(command, place, "intercept", {})]


def _ring(command: Command, place: Place, application: str, variables: dict[str, str]) -> Ring:
    """The presser's phone rings; the leg that is made for it has the command's own UUID."""
    shown = {
        "origination_caller_id_number": command.extension,
        "origination_caller_id_name": f"{VERBS[command.verb].label}: {command.about}"[:60],
        "patchbay_command": command.verb,
    }
    agent = Agent.objects.filter(extension=command.extension).first() if place.rings.contact else None
    device = leg_variables(agent, place.domain) if agent else {}
    return Ring(
        command.extension,
        place.domain,
        command.pk,
        application,
        command.leg,
        RING_SECONDS,
        {**device, **_carried(shown), **variables},
        place.rings.contact,
        place.rings.several,
    )


def _carried(variables: dict[str, str]) -> dict[str, str]:
    """Without the characters in which a caller's name would end the list of variables."""
    taken = str.maketrans("", "", "{}$\\\"'@:/")
    return {name: " ".join(value.translate(taken).split()) for name, value in variables.items()}


def _listening(**variables: str) -> Callable[[Command, Place], list[Asked]]:
    """Without the keys of the phone: who may only listen shall not join by pressing 3."""

    def request(command: Command, place: Place) -> list[Asked]:
        return [_ring(command, place, "eavesdrop", {"eavesdrop_enable_dtmf": "false", **variables})]

    return request


def _record(command: Command, place: Place) -> list[Asked]:
    told = settings.RECORDING_ANNOUNCEMENT
    announced = [control.play(command.leg, told, both=True)] if told else []
    return [*announced, control.record(command.leg, f"{place.recordings}/{command.target}")]


def _stop_recording(command: Command, place: Place) -> list[Asked]:
    return [control.stop_recording(command.leg, command.target)]


def _is_plain(seen: Sides) -> bool:
    return seen.is_talking and seen.third is None and bool(seen.mine.user)


VERBS: dict[str, Verb] = {
    "hang-up": Verb(
        "Hang up", "Hanging up…", "Hung up.", "calls.hang_up_calls", _hang_up, lambda seen: True,
        question="Hang up {call}?", icon="call_end",
    ),
    "hold": Verb(
        "Hold", "Holding…", "On hold.", "calls.control_calls",
        lambda command, place: [control.hold(command.leg)],
        lambda seen: _is_plain(seen) and seen.mine.state == ANSWERED, icon="pause",
    ),
    "resume": Verb(
        "Resume", "Resuming…", "Resumed.", "calls.control_calls",
        lambda command, place: [control.resume(command.leg)],
        lambda seen: seen.mine.state == HELD, icon="play_arrow",
    ),
    "transfer": Verb(
        "Transfer", "Transferring to {target}…", "Transferred to {target}.", "calls.control_calls",
        _transfer, _is_plain, field="number", icon="phone_forwarded",
    ),
    "consult": Verb(
        "Ask first", "Calling {target}…", "Talking to {target}; the call waits.", "calls.control_calls",
        _consult, _is_plain, field="number", rings=True, icon="contact_phone",
    ),
    "complete": Verb(
        "Transfer now", "Connecting…", "Transferred.", "calls.control_calls",
        lambda command, place: [control.hang_up(command.leg)],
        lambda seen: seen.third is not None and not seen.third.rings, icon="phone_forwarded",
    ),
    "back": Verb(
        "Back", "Going back…", "Back in the call.", "calls.control_calls",
        lambda command, place: [control.hang_up(command.third)],
        lambda seen: seen.third is not None, icon="undo",
    ),
    "three-way": Verb(
        "Three-way", "Joining all three…", "All three are together.", "calls.control_calls",
        lambda command, place: [control.three_way(command.leg)],
        lambda seen: seen.third is not None and seen.mine.other == seen.third.uuid, icon="groups",
    ),
    "park": Verb(
        "Park", "Parking…", "Parked: it waits under Active calls.", "calls.control_calls", _park, _is_plain,
        icon="local_parking",
    ),
    "retrieve": Verb(
        "Retrieve", "Calling your phone…", "Retrieved.", "", _retrieve,
        lambda seen: seen.mine.parked and seen.other is None, rings=True, icon="phone_callback",
    ),
    "record": Verb(
        "Record", "Starting to record…", "Recording.", "calls.control_calls", _record,
        lambda seen: seen.is_talking and not seen.mine.recording, icon="radio_button_checked",
    ),
    "stop-recording": Verb(
        "Stop recording", "Stopping…", "No longer recorded.", "calls.control_calls", _stop_recording,
        lambda seen: bool(seen.mine.recording), icon="stop_circle",
    ),
    "digits": Verb(
        "Send digits", "Sending…", "Sent.", "calls.control_calls",
        lambda command, place: [control.send_digits(command.other, command.target)],
        lambda seen: seen.is_talking, field="digits", icon="dialpad",
    ),
    "listen": Verb(
        "Listen", "Calling your phone…", "Listening.", "calls.listen_calls", _listening(),
        lambda seen: seen.is_talking, own=False, rings=True, icon="hearing",
    ),
    "whisper": Verb(
        "Whisper", "Calling your phone…", "{agent} hears you, the other side does not.",
        "calls.listen_calls", _listening(eavesdrop_whisper_bleg="true"),
        lambda seen: seen.is_talking and bool(seen.mine.user), own=False, rings=True,
        question="Talk to {agent} during the call? The other side will not hear it.",
        icon="record_voice_over",
    ),
    "barge": Verb(
        "Join", "Calling your phone…", "Both sides hear you.", "calls.listen_calls",
        _listening(eavesdrop_whisper_aleg="true", eavesdrop_whisper_bleg="true"),
        lambda seen: seen.is_talking, own=False, rings=True,
        question="Join {call}? Both sides will hear you.", icon="group_add",
    ),
}  # fmt: skip
