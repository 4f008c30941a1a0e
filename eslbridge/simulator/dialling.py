"""``originate``: rings what a dial string names, until somebody answers or nobody is left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import loopback, sip
from .answering import pre_answer
from .channel import Channel, wait_any
from .dialstring import Leg, UnclosedBrace, split_legs, take_variables
from .endpoints import Endpoint, Resolver, exported
from .profile import Profile, Times

if TYPE_CHECKING:
    from .core import Switch


@dataclass
class Ringing:
    """A leg on its way, and until when (the loop's time) it may ring, or be silent."""

    channel: Channel
    until: float | None = None
    own_limit: bool = False
    silent_until: float | None = None

    @property
    def silent(self) -> bool:
        return self.channel.up and self.channel.call_state in ("DOWN", "DIALING")

    @property
    def next_limit(self) -> float:
        limits = [self.until, self.silent_until if self.silent else None]
        return min((limit for limit in limits if limit is not None), default=float("inf"))


@dataclass
class Dialling:
    """One attempt: what was asked, who for, and which legs it made.

    ``timeout`` is how long each alternative may ring (of the loop's time), ``deadline`` when that is over for
    the present one. ``forked``: there are several legs.
    """

    switch: Switch
    caller: Channel | None
    variables: dict[str, str]
    timeout: float
    cid_name: str = ""
    cid_number: str = ""
    forked: bool = False
    deadline: float = float("inf")
    timed_out: bool = False
    legs: list[Channel] = field(default_factory=list)

    @property
    def ignore_early_media(self) -> bool:
        own = self.variables.get("ignore_early_media")
        if own is None and self.caller is not None:
            own = self.caller.text("ignore_early_media")
        return own == "true"

    @property
    def over(self) -> bool:
        """Whether no further alternative is to be tried."""
        gone = self.caller is not None and not self.caller.up
        return gone or (self.timed_out and self.variables.get("originate_continue_on_timeout") != "true")

    def is_own_limit(self, endpoint: Endpoint) -> bool:
        """Whether a user that rings alone is dialled for its own time as that of the whole."""
        limited = self.caller is not None and bool(self.caller.text("call_timeout"))
        return endpoint.user is not None and not self.forked and not limited

    def seconds(self, endpoint: Endpoint, name: str) -> float | None:
        """A time limit of one leg."""
        chosen = endpoint.variables.get(name) or self.variables.get(name, "")
        return float(chosen) * self.switch.options.ring_second if chosen.isdigit() else None

    def wanted_uuid(self, given: dict[str, str]) -> str:
        """The UUID that the first leg shall have; a taken one is not given twice."""
        wanted = given.get("origination_uuid", "") if not self.legs else ""
        return "" if wanted in self.switch.channels else wanted


async def dial(
    switch: Switch, text: str, caller: Channel | None, timeout: float, cid: tuple[str, str] = ("", "")
) -> tuple[Channel | None, str]:
    """Rings. Returns the leg that answered or gave early media, else None, and the cause.

    ``timeout`` is in seconds; ``cid`` is name and number when there is no caller.
    """
    try:
        variables, rest = take_variables(text, "{", "}")
        groups = split_legs(rest)
    except UnclosedBrace:
        return None, "DESTINATION_OUT_OF_ORDER"
    if not groups:
        return None, "DESTINATION_OUT_OF_ORDER"
    seconds = _timeout(variables, caller, timeout) * switch.options.ring_second
    dialling = Dialling(switch, caller, variables, seconds, *cid)
    dialling.forked = len(groups) > 1 or len(groups[0]) > 1
    if caller is not None and caller.answered:
        caller.set_call_state("RING_WAIT")
    cause = "NORMAL_CLEARING"
    for group in groups:
        leg, cause = await _ring_group(dialling, group)
        if leg is not None or dialling.over:
            return leg, cause
    return None, cause


def _timeout(variables: dict[str, str], caller: Channel | None, default: float) -> float:
    for name in ("originate_timeout", "call_timeout"):
        chosen = variables.get(name) or (caller.text(name) if caller else "")
        if chosen.isdigit() and int(chosen) > 0:
            return float(chosen)
    return default


async def _ring_group(dialling: Dialling, group: list[Leg]) -> tuple[Channel | None, str]:
    resolver = Resolver(dialling.switch, dialling.caller)
    endpoints: list[Endpoint] = []
    cause = "NORMAL_CLEARING"
    for leg in group:
        resolved, refusal = resolver.resolve(leg)
        endpoints += resolved
        cause = refusal or cause
    if not endpoints:
        return None, cause
    dialling.deadline = asyncio.get_running_loop().time() + dialling.timeout
    dialling.timed_out = False
    rung = [_ring(dialling, endpoint) for endpoint in _with_a_uuid_each(dialling, endpoints)]
    caller = dialling.caller
    if caller is not None:
        caller.last_dialled = [one.channel for one in rung]
        if caller.answered:
            _note_legs(caller, caller.last_dialled)
    return await _await_answer(dialling, rung)


def _with_a_uuid_each(dialling: Dialling, endpoints: list[Endpoint]) -> list[Endpoint]:
    """Of several legs that shall have the same UUID only the first can be made (“Duplicate UUID!”)."""
    wanted = [{**dialling.variables, **each.variables}.get("origination_uuid", "") for each in endpoints]
    return [each for at, each in enumerate(endpoints) if not wanted[at] or wanted[at] not in wanted[:at]]


def _ring(dialling: Dialling, endpoint: Endpoint) -> Ringing:
    now = asyncio.get_running_loop().time()
    one = Ringing(_create_leg(dialling, endpoint))
    own = dialling.seconds(endpoint, "leg_timeout")
    # The switch counts whole seconds, and a leg's own time is over a second after it: the other comes first.
    if own is not None and own + dialling.switch.options.ring_second < dialling.timeout:
        one.until = now + own
        one.own_limit = dialling.is_own_limit(endpoint)
    silence = dialling.seconds(endpoint, "leg_progress_timeout")
    if silence is not None:
        one.silent_until = now + silence
    return one


async def _await_answer(dialling: Dialling, rung: list[Ringing]) -> tuple[Channel | None, str]:
    caller = dialling.caller
    legs = [one.channel for one in rung]
    silence = _common_silence(dialling)
    while True:
        answered = next((leg for leg in legs if _is_reached(leg, dialling)), None)
        if answered is not None:
            _cancel([leg for leg in legs if leg is not answered], "LOSE_RACE")
            return answered, "SUCCESS"
        if caller is not None and not caller.up:
            _cancel(legs, "ORIGINATOR_CANCEL")
            return None, "ORIGINATOR_CANCEL"
        alive = [one for one in rung if one.channel.up]
        if not alive:
            await _after_refusal(legs[-1], caller)
            return None, legs[0].cause or "NO_ANSWER"
        if caller is not None:
            _pass_progress(caller, legs)
        await _wait_for_news(dialling, alive, silence)
        cause = _end_late(dialling, alive, silence)
        if cause and not any(leg.up for leg in legs):
            return None, legs[0].cause if cause == "ALLOTTED_TIMEOUT" else cause


async def _wait_for_news(dialling: Dialling, alive: list[Ringing], silence: float) -> None:
    limits = [dialling.deadline, *(one.next_limit for one in alive)]
    if all(one.silent for one in alive):
        limits.append(silence)
    watched = [one.channel for one in alive]
    if dialling.caller is not None:
        watched.append(dialling.caller)
    await wait_any(watched, min(limits) - asyncio.get_running_loop().time())


def _end_late(dialling: Dialling, alive: list[Ringing], silence: float) -> str:
    """Ends what has rung too long. Returns the cause, empty when nothing has."""
    if any(_is_reached(one.channel, dialling) for one in alive):
        return ""
    now = asyncio.get_running_loop().time()
    cause = _drop_late(dialling, alive, now)
    quiet_too_long = now >= silence and all(one.silent for one in alive if one.channel.up)
    if now >= dialling.deadline or quiet_too_long:
        dialling.timed_out = now >= dialling.deadline
        cause = "NO_ANSWER"
        _cancel([one.channel for one in alive if one.channel.up], cause)
    return cause


def _common_silence(dialling: Dialling) -> float:
    """Until when somebody must at least ring: ``progress_timeout``."""
    chosen = dialling.variables.get("progress_timeout", "")
    if not chosen and dialling.caller is not None:
        chosen = dialling.caller.text("progress_timeout")
    if not chosen.isdigit() or not int(chosen):
        return float("inf")
    return asyncio.get_running_loop().time() + int(chosen) * dialling.switch.options.ring_second


def _drop_late(dialling: Dialling, alive: list[Ringing], now: float) -> str:
    """Ends the legs whose own time is up. Returns the cause of the last one, empty when there is none."""
    cause = ""
    for one in alive:
        if not one.channel.up or one.channel.answered:
            continue
        if one.silent and one.silent_until is not None and one.silent_until <= now:
            cause = "PROGRESS_TIMEOUT"
        elif one.until is not None and one.until <= now:
            cause = "NO_ANSWER" if one.own_limit else "ALLOTTED_TIMEOUT"
        else:
            continue
        _cancel([one.channel], cause)
    return cause


def _is_reached(leg: Channel, dialling: Dialling) -> bool:
    return leg.up and (leg.answered or (leg.early and not dialling.ignore_early_media))


def _cancel(legs: list[Channel], cause: str) -> None:
    for leg in legs:
        leg.hung_up_here = True
        leg.hangup(cause)


async def _after_refusal(leg: Channel, caller: Channel | None) -> None:
    """The switch looks at its legs at every tick: by then the leg has gone further."""
    if caller is None:
        await leg.reported.wait()
    elif not leg.hung_up_here:
        await leg.destroyed.wait()


# What the caller notices


def _pass_progress(caller: Channel, legs: list[Channel]) -> None:
    if caller.answered or caller.early or caller.profile is None:
        return
    ringing = next((leg for leg in legs if leg.up and leg.call_state in ("RINGING", "EARLY")), None)
    if ringing is None or ringing.profile is None:
        return
    fresh = [leg for leg in legs if leg.uuid not in caller.noted_legs]
    if fresh:
        caller.set_variables({"originate_disposition": "failure", "DIALSTATUS": "INVALIDARGS"})
        _note_legs(caller, fresh)
    if caller.text("ringback") or ringing.early:
        caller.profile.times.progress = caller.profile.times.progress or ringing.profile.times.progress
        pre_answer(caller)
    elif not caller.profile.times.progress:
        caller.mark_ringing()


def _note_legs(caller: Channel, legs: list[Channel]) -> None:
    for leg in legs:
        caller.set_variable("originate_signal_bond", leg.uuid)
        caller.noted_legs.append(leg.uuid)
        caller.push_variable("originated_legs", leg_note(leg))


def leg_note(leg: Channel) -> str:
    """How ``originated_legs`` names a leg."""
    assert leg.profile is not None
    return f"{leg.uuid};{leg.profile.callee_id_name};{leg.profile.callee_id_number}"


# Making legs


def _create_leg(dialling: Dialling, endpoint: Endpoint) -> Channel:
    profile = _profile(dialling, endpoint)
    if endpoint.kind == "loopback":
        channel = loopback.create(dialling, endpoint, profile)
    else:
        channel = _create_sip_leg(dialling, endpoint, profile)
    dialling.legs.append(channel)
    return channel


def _create_sip_leg(dialling: Dialling, endpoint: Endpoint, profile: Profile) -> Channel:
    switch, caller = dialling.switch, dialling.caller
    given = {**dialling.variables, **endpoint.variables}
    inherited = caller.text("ignore_early_media") if caller is not None else ""
    if inherited and "ignore_early_media" not in given:
        given = {"ignore_early_media": inherited, **given}
    sip_profile, host, port, user, party = _peer(switch, endpoint)
    address = f"{user}@{host}:{port}" if endpoint.kind == "contact" else user
    channel = Channel(switch, f"sofia/{sip_profile}/{address}", "outbound", dialling.wanted_uuid(given))
    channel.party = party
    channel.sip = sip.SipLeg(sip_profile, host, port, user, switch.domain)
    channel.presence_id = given.get("presence_id", "")
    channel.dialled_user = endpoint.user
    channel.outer_variables = dialling.variables
    profile.uuid, profile.channel_name = channel.uuid, channel.name
    channel.profile = profile
    if caller is not None and caller.profile is not None:
        profile.originator = caller.profile.seen_by_other_leg(with_times=False)
        channel.call_uuid = caller.call_uuid
    profile.caller_id_name = sip.sanitized(profile.caller_id_name)
    profile.caller_id_number = sip.sanitized(profile.caller_id_number)
    sip.sent_invite(channel, channel.sip, caller, given, not dialling.ignore_early_media)
    if dialling.forked and endpoint.user is not None:
        channel.set_variables(endpoint.user.variables)
    channel.knows_user = dialling.forked
    switch.register_channel(channel)
    channel.start()
    return channel


def _peer(switch: Switch, endpoint: Endpoint) -> tuple[str, str, int, str, object]:
    """SIP profile, address, user and far end."""
    user, _, address = endpoint.target.removeprefix("sip:").partition("@")
    if endpoint.kind == "contact":
        host, _, port = address.partition(":")
        number = int(port) if port.isdigit() else 5060
        return "internal", host, number, user, switch.phone_at(user, number) or switch.nobody
    if endpoint.kind == "gateway":
        gateway, _, number_dialled = endpoint.target.partition("/")
        running = switch.gateways[gateway]
        running.calls_out += 1
        return running.settings.profile, "127.0.0.1", 5060, number_dialled, switch.outside
    return "external", address or "127.0.0.1", 5060, user, switch.outside


def _profile(dialling: Dialling, endpoint: Endpoint) -> Profile:
    caller = dialling.caller
    profile = Profile("", "", "outbound", "outbound", source="src/switch_ivr_originate.c")
    if caller is not None and caller.profile is not None:
        _inherit(profile, caller, caller.profile)
    else:
        profile.caller_id_name = dialling.cid_name
        profile.caller_id_number = dialling.cid_number or "0000000000"
    given = {**dialling.variables, **endpoint.variables}
    profile.caller_id_name = given.get("origination_caller_id_name", profile.caller_id_name)
    profile.caller_id_number = given.get("origination_caller_id_number", profile.caller_id_number)
    if caller is None:
        profile.orig_caller_id_name = profile.caller_id_name
        profile.orig_caller_id_number = profile.ani = profile.caller_id_number
    profile.callee_id_name = given.get("origination_callee_id_name", "Outbound Call")
    profile.callee_id_number = given.get("origination_callee_id_number", endpoint.dialed)
    profile.destination_number = endpoint.dialed
    now = dialling.switch.clock.now()
    profile.times = Times(created=now, profile_created=now)
    return profile


def _inherit(profile: Profile, caller: Channel, base: Profile) -> None:
    profile.username, profile.dialplan, profile.ani = base.username, base.dialplan, base.ani
    profile.network_addr, profile.source, profile.context = base.network_addr, base.source, base.context
    profile.rdnis = base.rdnis
    profile.caller_id_name = caller.text("effective_caller_id_name") or base.caller_id_name
    profile.caller_id_number = caller.text("effective_caller_id_number") or base.caller_id_number
    profile.orig_caller_id_name = base.orig_caller_id_name
    profile.orig_caller_id_number = base.orig_caller_id_number


def adopt_user(channel: Channel, caller: Channel | None = None) -> None:
    """A leg that was dialled as a user takes that user's variables once it is reached.

    One that rang beside others, or as one of several alternatives, had them from the start.
    """
    channel.set_variable("endpoint_disposition", "ANSWER" if channel.answered else "EARLY MEDIA")
    if channel.dialled_user is not None and not channel.knows_user:
        channel.set_variables(channel.dialled_user.variables)
    if caller is not None:
        channel.set_variable("max_forwards", channel.text("max_forwards"))
        channel.set_variable("originator_codec", sip.short_codec(caller))
        channel.set_variable("originator", channel.text("originator"))
        channel.set_variables(exported(caller))
        channel.set_variable("ignore_early_media", channel.text("ignore_early_media"))
    channel.set_variables(channel.outer_variables)
    for name in ("originate_early_media", "originating_leg_uuid"):
        channel.set_variable(name, channel.text(name))
    kind = "user" if channel.dialled_user is not None else channel.text("originate_endpoint")
    channel.set_variable("originate_endpoint", kind)
    if caller is not None:
        channel.set_variable("call_uuid", channel.text("call_uuid"))
