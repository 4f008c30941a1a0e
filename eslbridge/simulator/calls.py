"""The life of a leg: its state machine, dialling, bridging, and its end."""

from __future__ import annotations

import asyncio
import copy
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import cdr, sip
from .apps import Message, run_application
from .channel import Channel, Profile, State, Times
from .configuration import User
from .dialplan import Extension, hunt
from .dialstring import Leg, UnclosedBrace, split_legs, take_variables

if TYPE_CHECKING:
    from .core import Switch

# A session's thread is cleaned up by a later tick than the one that ended it.
DESTROY_DELAY = 0.01
FLIP = ("switch_channel.c", "switch_channel_flip_cid", "3279")
DISPLAY = ("mod_sofia.c", "sofia_receive_message", "2133")


# The state machine


async def run(channel: Channel) -> None:
    """The task of a channel, from its first state to the last event."""
    try:
        while channel.up:
            await _STEPS[channel.state](channel)
        await _end(channel)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        channel.switch.note_error(error)
        channel.hangup("DESTINATION_OUT_OF_ORDER")
        await _end(channel)
    finally:
        channel.switch.forget(channel)
        channel.reported.set()
        channel.destroyed.set()
        channel.wake()


def start(channel: Channel) -> None:
    channel.task = asyncio.get_running_loop().create_task(run(channel))


async def _init(channel: Channel) -> None:
    """INIT: the channel exists."""
    channel.state = State.INIT
    channel.enter(State.INIT)
    if not channel.up:
        return
    channel.state = State.ROUTING
    channel.fire("CHANNEL_CREATE")
    if channel.direction == "outbound":
        channel.fire("CHANNEL_ORIGINATE")
        channel.enter(State.ROUTING)
        channel.state = State.CONSUME_MEDIA
        channel.ready.set()


async def _route(channel: Channel) -> None:
    if channel.preset is not None:
        channel.extension, channel.preset = channel.preset, None
        channel.running = State.ROUTING
        channel.set_call_state("RINGING")
        channel.enter(State.ROUTING)
        channel.state = State.EXECUTE
        return
    if channel.direction == "inbound" and channel.call_state == "DOWN":
        channel.running = State.ROUTING
        channel.set_call_state("RINGING")
    channel.enter(State.ROUTING)
    profile = channel.profile
    assert profile is not None
    if profile.dialplan.lower() == "inline":
        channel.extension = _inline(profile.destination_number)
    else:
        context = channel.switch.configuration.context(profile.context)
        found = None if context is None else hunt(context, channel, profile.destination_number)
        channel.extension = found
    if channel.direction == "outbound":
        flip_caller_id(channel)
    if channel.extension is None:
        channel.hangup("NO_ROUTE_DESTINATION")
    elif channel.state == State.ROUTING:
        channel.state = State.EXECUTE


def _inline(text: str) -> Extension:
    extension = Extension("inline", "inline")
    for item in text.split(","):
        name, _, data = item.partition(":")
        extension.applications.append((name.strip(), data))
    return extension


async def _execute(channel: Channel) -> None:
    channel.enter(State.EXECUTE)
    extension = channel.extension
    while (
        extension is not None
        and extension is channel.extension
        and extension.position < len(extension.applications)
    ):
        name, data = extension.applications[extension.position]
        extension.position += 1
        await run_application(channel, name, data)
        if channel.state != State.EXECUTE:
            return
    if extension is channel.extension:
        channel.hangup("NORMAL_CLEARING")


async def _consume(channel: Channel) -> None:
    """An outbound leg that rings, or waits to be bridged."""
    channel.enter(State.CONSUME_MEDIA)
    if channel.party is not None:
        channel.party.invited(channel)
    while channel.state == State.CONSUME_MEDIA:
        await channel.wait()


async def _exchange(channel: Channel) -> None:
    """The second leg of a bridge; the first runs the bridge."""
    channel.enter(State.EXCHANGE_MEDIA)
    partner = channel.partner
    update_display(channel, partner)
    if partner is not None:
        update_display(partner, channel)
    while channel.state == State.EXCHANGE_MEDIA:
        await channel.wait()


async def _park(channel: Channel) -> None:
    channel.enter(State.PARK)
    channel.fire("CHANNEL_PARK")
    while channel.state == State.PARK:
        await channel.work_queue()
    channel.fire("CHANNEL_UNPARK")


_STEPS = {
    State.NEW: _init,
    State.INIT: _init,
    State.ROUTING: _route,
    State.EXECUTE: _execute,
    State.CONSUME_MEDIA: _consume,
    State.EXCHANGE_MEDIA: _exchange,
    State.PARK: _park,
}


async def _end(channel: Channel) -> None:
    """HANGUP, REPORTING and DESTROY."""
    assert channel.profile is not None
    for timer in channel.timers:
        timer.cancel()
    channel.enter(State.HANGUP)
    channel.profile.times.hangup = channel.switch.clock.now()
    channel.set_call_state("HANGUP")
    channel.state = State.REPORTING
    channel.enter(State.REPORTING)
    if channel.disposition:
        channel.set_variable("sip_hangup_disposition", channel.disposition)
    cdr.set_report_variables(channel)
    channel.fire("CHANNEL_HANGUP_COMPLETE")
    cdr.write(channel)
    channel.reported.set()
    channel.wake()
    if channel.originator is not None or channel.direction == "outbound":
        await asyncio.sleep(DESTROY_DELAY)
    channel.state = State.DESTROY
    channel.running = State.REPORTING
    channel.fire("CHANNEL_DESTROY")
    channel.enter(State.DESTROY)


async def wait_any(channels: list[Channel], seconds: float | None = None) -> bool:
    """Waits until one of the channels changes. False when the time ran out first."""
    loop = asyncio.get_running_loop()
    sleeper: asyncio.Future[None] = loop.create_future()
    for channel in channels:
        channel.sleep_with(sleeper)
    handle = loop.call_later(max(seconds, 0), _resolve, sleeper, "late") if seconds is not None else None
    result = await sleeper
    if handle:
        handle.cancel()
    for channel in channels:
        channel.stop_sleeping(sleeper)
    return result != "late"


def _resolve(future: asyncio.Future[object], value: object) -> None:
    if not future.done():
        future.set_result(value)


# Caller ID on displays


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


def update_display(channel: Channel, partner: Channel | None) -> None:
    """Tells a phone who it is connected to, unless it was told the same before."""
    if partner is None or not channel.sip or channel.profile is None or not channel.up:
        return
    if channel.originator is not None and channel.originator.uuid == partner.uuid:
        name, number = channel.profile.caller_id_name, channel.profile.caller_id_number
    else:
        assert partner.profile is not None
        name, number = partner.profile.callee_id_name, partner.profile.callee_id_number
    if (name, number) == (
        channel.text("last_sent_callee_id_name"),
        channel.text("last_sent_callee_id_number"),
    ):
        return
    if channel.direction == "inbound" and "sip_to_tag" not in channel.variables:
        sip.acknowledged(channel)
    channel.set_variable("last_sent_callee_id_name", name)
    channel.set_variable("last_sent_callee_id_number", number)
    before = [("Direction", "SEND"), ("Sent-Callee-ID-Name", name), ("Sent-Callee-ID-Number", number)]
    channel.fire("CALL_UPDATE", [*before, ("Bridged-To", partner.uuid)], source=DISPLAY)


# Dialling


@dataclass
class Endpoint:
    """Something that can be rung: already resolved to one kind of leg."""

    kind: str
    target: str
    variables: dict[str, str] = field(default_factory=dict)
    user: User | None = None
    dialed: str = ""


@dataclass
class Dialling:
    """One ``originate``: what it was asked, and who it rings for."""

    switch: Switch
    caller: Channel | None
    variables: dict[str, str]
    timeout: float
    cid_name: str = ""
    cid_number: str = ""
    legs: list[Channel] = field(default_factory=list)

    @property
    def ignore_early_media(self) -> bool:
        own = self.variables.get("ignore_early_media")
        if own is None and self.caller is not None:
            own = self.caller.text("ignore_early_media")
        return own == "true"


async def dial(
    switch: Switch,
    text: str,
    caller: Channel | None,
    timeout: float,
    cid_name: str = "",
    cid_number: str = "",
) -> tuple[Channel | None, str]:
    """Rings what a dial string names. Returns the leg that answered (or gave early media) or None, and the cause."""
    try:
        variables, rest = take_variables(text, "{", "}")
        groups = split_legs(rest)
    except UnclosedBrace:
        return None, "DESTINATION_OUT_OF_ORDER"
    if not groups:
        return None, "DESTINATION_OUT_OF_ORDER"
    for name in ("originate_timeout", "call_timeout"):
        chosen = variables.get(name) or (caller.text(name) if caller else "")
        if chosen.isdigit() and int(chosen) > 0:
            timeout = float(chosen)
            break
    dialling = Dialling(switch, caller, variables, timeout, cid_name, cid_number)
    if caller is not None and caller.answered:
        caller.set_call_state("RING_WAIT")
    cause = "NORMAL_CLEARING"
    for group in groups:
        leg, cause = await _ring_group(dialling, group)
        if leg is not None or (caller is not None and not caller.up):
            return leg, cause
    return None, cause


async def _ring_group(dialling: Dialling, group: list[Leg]) -> tuple[Channel | None, str]:
    endpoints: list[Endpoint] = []
    cause = "NORMAL_CLEARING"
    for leg in group:
        resolved, refusal = resolve(dialling, leg)
        endpoints += resolved
        cause = refusal or cause
    rung: list[tuple[Channel, float]] = []
    now = asyncio.get_running_loop().time()
    for endpoint in endpoints:
        leg_timeout = endpoint.variables.get("leg_timeout", "")
        limit = float(leg_timeout) if leg_timeout.isdigit() else dialling.timeout
        channel = create_leg(dialling, endpoint)
        rung.append((channel, now + min(limit, dialling.timeout)))
    if not rung:
        return None, cause
    return await _await_answer(dialling, rung)


async def _await_answer(dialling: Dialling, rung: list[tuple[Channel, float]]) -> tuple[Channel | None, str]:
    caller = dialling.caller
    loop = asyncio.get_running_loop()
    cause = "NO_ANSWER"
    while True:
        for channel, _ in rung:
            if channel.up and (channel.answered or (channel.early and not dialling.ignore_early_media)):
                for other, _ in rung:
                    if other is not channel:
                        other.hangup("LOSE_RACE")
                return channel, "SUCCESS"
        if caller is not None and not caller.up:
            for channel, _ in rung:
                channel.hangup("ORIGINATOR_CANCEL")
            return None, "ORIGINATOR_CANCEL"
        if caller is not None:
            pass_progress(caller, [channel for channel, _ in rung])
        alive = [(channel, until) for channel, until in rung if channel.up]
        if not alive:
            cause = rung[-1][0].cause or cause
            if caller is None:
                await rung[-1][0].reported.wait()
            elif not rung[-1][0].hung_up_here:
                await rung[-1][0].destroyed.wait()
            return None, cause
        until = min(until for _, until in alive)
        watched = [channel for channel, _ in alive] + ([caller] if caller else [])
        await wait_any(watched, until - loop.time())
        for channel, until in alive:
            if channel.up and not channel.answered and until <= loop.time():
                channel.hung_up_here = True
                channel.hangup("NO_ANSWER")
                if all(not other.up for other, _ in rung):
                    return None, "NO_ANSWER"


def pass_progress(caller: Channel, legs: list[Channel]) -> None:
    """What the called leg does before the answer, the caller hears."""
    if caller.answered or caller.early or not caller.up or caller.profile is None:
        return
    if any(leg.up and leg.call_state in ("RINGING", "EARLY") for leg in legs):
        ringing = next(leg for leg in legs if leg.up and leg.call_state in ("RINGING", "EARLY"))
        _note_legs(caller, legs, ringing)
        if caller.text("ringback") or ringing.early:
            _take_progress_time(caller, ringing)
            pre_answer(caller)
        elif not caller.profile.times.progress:
            caller.mark_ringing()


def _take_progress_time(caller: Channel, ringing: Channel) -> None:
    assert caller.profile is not None and ringing.profile is not None
    if not caller.profile.times.progress:
        caller.profile.times.progress = ringing.profile.times.progress


def _note_legs(caller: Channel, legs: list[Channel], ringing: Channel) -> None:
    if "originated_legs" in caller.variables:
        return
    caller.set_variables({"originate_disposition": "failure", "DIALSTATUS": "INVALIDARGS"})
    caller.set_variable("originate_signal_bond", ringing.uuid)
    notes = [
        f"{leg.uuid};{leg.profile.callee_id_name};{leg.profile.callee_id_number}"
        for leg in legs
        if leg.profile
    ]
    caller.set_variable("originated_legs", notes[0] if len(notes) == 1 else notes)


def resolve(dialling: Dialling, leg: Leg) -> tuple[list[Endpoint], str]:
    """What an endpoint of a dial string stands for; the cause when it stands for nothing."""
    kind, _, target = leg.endpoint.partition("/")
    kind = kind.lower()
    if kind == "user":
        return _resolve_user(dialling, target, leg.variables)
    if kind == "sofia":
        return _resolve_sofia(dialling, target, leg.variables)
    if kind == "loopback":
        return [Endpoint("loopback", target, dict(leg.variables), dialed=target.split("/")[0])], ""
    if kind == "error":
        return [], target.upper().replace(".", "_")
    if kind == "group":
        return _resolve_group(dialling, target, leg.variables)
    return [], "CHAN_NOT_IMPLEMENTED"


def _resolve_user(dialling: Dialling, target: str, variables: dict[str, str]) -> tuple[list[Endpoint], str]:
    switch = dialling.switch
    name, _, domain = target.partition("@")
    domain = domain or switch.domain
    user = switch.configuration.user(name, domain)
    if user is None:
        return [], "SUBSCRIBER_ABSENT"
    dialled = {**variables, "dialed_user": name, "dialed_domain": domain}
    if dialling.caller is not None:
        dialling.caller.set_variables({"dialed_user": name, "dialed_domain": domain})
        dialled |= exported(dialling.caller)
    text = user.params.get("dial-string", "${sofia_contact(*/${dialed_user}@${dialed_domain})}")
    text = switch.expand_with(text, {"dialed_user": name, "dialed_domain": domain}, dialling.caller)
    more, rest = take_variables(text, "{", "}")
    endpoints: list[Endpoint] = []
    cause = "USER_NOT_REGISTERED"
    for group in split_legs(rest)[:1]:
        for inner in group:
            found, refusal = resolve(dialling, Leg(inner.endpoint, {**dialled, **more, **inner.variables}))
            cause = refusal or cause
            for endpoint in found:
                endpoint.user, endpoint.dialed = user, name
            endpoints += found
    return endpoints, "" if endpoints else cause


def exported(caller: Channel) -> dict[str, str]:
    """Variables that ``export`` hands on to every leg that is dialled."""
    names = caller.text("export_vars")
    if not names:
        return {}
    values = {"export_vars": names}
    for name in names.split(","):
        bare = name.removeprefix("nolocal:")
        value = caller.get_variable(bare if bare == name else name)
        if value:
            values[bare] = value
    return values


def _resolve_sofia(dialling: Dialling, target: str, variables: dict[str, str]) -> tuple[list[Endpoint], str]:
    switch = dialling.switch
    profile, _, rest = target.partition("/")
    if profile == "gateway":
        name, _, number = rest.partition("/")
        gateway = switch.gateways.get(name)
        if gateway is None:
            return [], "INVALID_GATEWAY"
        if not gateway.usable:
            return [], "NETWORK_OUT_OF_ORDER"
        return [Endpoint("gateway", rest, dict(variables), dialed=number)], ""
    if profile not in switch.profiles:
        return [], "INVALID_PROFILE"
    address = rest.removeprefix("sip:")
    if profile == "internal":
        return [Endpoint("contact", address, dict(variables), dialed=address.split("@")[0])], ""
    return [Endpoint("address", rest, dict(variables), dialed=address.split("@")[0])], ""


def _resolve_group(dialling: Dialling, target: str, variables: dict[str, str]) -> tuple[list[Endpoint], str]:
    name, _, domain = target.partition("@")
    endpoints: list[Endpoint] = []
    cause = "NO_ROUTE_DESTINATION"
    for member in dialling.switch.group_members(name, domain or dialling.switch.domain):
        found, refusal = _resolve_user(dialling, f"{member}@{domain or dialling.switch.domain}", variables)
        endpoints += found
        cause = refusal or cause
    return endpoints, "" if endpoints else cause


def create_leg(dialling: Dialling, endpoint: Endpoint) -> Channel:
    """Makes the outbound channel of an endpoint and starts it."""
    if endpoint.kind == "loopback":
        return _create_loopback(dialling, endpoint)
    switch, caller = dialling.switch, dialling.caller
    dial_variables = {**dialling.variables, **endpoint.variables}
    if (
        caller is not None
        and caller.text("ignore_early_media")
        and "ignore_early_media" not in dial_variables
    ):
        dial_variables = {"ignore_early_media": caller.text("ignore_early_media"), **dial_variables}
    profile_name, host, port, contact_user, party = _peer(switch, endpoint)
    address = f"{contact_user}@{host}:{port}" if endpoint.kind == "contact" else contact_user
    name = f"sofia/{profile_name}/{address}"
    wanted_uuid = dial_variables.get("origination_uuid", "") if not dialling.legs else ""
    channel = Channel(switch, name, "outbound", "" if switch.channels.get(wanted_uuid) else wanted_uuid)
    dialling.legs.append(channel)
    channel.party = party
    channel.sip = sip.SipLeg(profile_name, host, port, contact_user, switch.domain)
    channel.presence_id = dial_variables.get("presence_id", "")
    channel.dialled_user = endpoint.user
    channel.profile = _called_profile(dialling, channel, endpoint)
    if caller is not None and caller.profile is not None:
        channel.originator = caller.profile.seen_by_other_leg(with_times=False)
        channel.call_uuid = caller.call_uuid
    sip.sent_invite(channel, channel.sip, caller, dial_variables, not dialling.ignore_early_media)
    channel.dial_variables = dial_variables
    switch.register_channel(channel)
    start(channel)
    return channel


def _peer(switch: Switch, endpoint: Endpoint) -> tuple[str, str, int, str, object]:
    if endpoint.kind == "contact":
        user, _, address = endpoint.target.partition("@")
        host, _, port = address.partition(":")
        phone = switch.phone_at(user, int(port or 0))
        return "internal", host, int(port or 5060), user, phone or switch.nobody
    if endpoint.kind == "gateway":
        gateway, _, number = endpoint.target.partition("/")
        switch.gateways[gateway].calls_out += 1
        return "external", "127.0.0.1", 5060, number, switch.outside
    user, _, host = endpoint.target.removeprefix("sip:").partition("@")
    return "external", host or "127.0.0.1", 5060, user, switch.outside


def _called_profile(dialling: Dialling, channel: Channel, endpoint: Endpoint) -> Profile:
    now = dialling.switch.clock.now()
    caller = dialling.caller
    given = {**dialling.variables, **endpoint.variables}
    number = endpoint.dialed
    profile = Profile(channel.uuid, channel.name, "outbound", "outbound")
    if caller is not None and caller.profile is not None:
        base = caller.profile
        profile.username, profile.dialplan, profile.ani = base.username, base.dialplan, base.ani
        profile.network_addr, profile.source, profile.context = base.network_addr, base.source, base.context
        profile.rdnis = base.rdnis
        profile.caller_id_name = caller.text("effective_caller_id_name") or base.caller_id_name
        profile.caller_id_number = caller.text("effective_caller_id_number") or base.caller_id_number
        profile.orig_caller_id_name = base.orig_caller_id_name
        profile.orig_caller_id_number = base.orig_caller_id_number
    else:
        profile.source = "src/switch_ivr_originate.c"
        profile.caller_id_name = dialling.cid_name
        profile.caller_id_number = dialling.cid_number or "0000000000"
    profile.caller_id_name = given.get("origination_caller_id_name", profile.caller_id_name)
    profile.caller_id_number = given.get("origination_caller_id_number", profile.caller_id_number)
    if caller is None:
        profile.orig_caller_id_name, profile.orig_caller_id_number = (
            profile.caller_id_name,
            profile.caller_id_number,
        )
        profile.ani = profile.caller_id_number
    profile.callee_id_name = given.get("origination_callee_id_name", "Outbound Call")
    profile.callee_id_number = given.get("origination_callee_id_number", number)
    profile.destination_number = number
    profile.times = Times(created=now, profile_created=now)
    return profile


def _create_loopback(dialling: Dialling, endpoint: Endpoint) -> Channel:
    switch, caller = dialling.switch, dialling.caller
    parts = endpoint.target.split("/")
    number = parts[0]
    context = parts[1] if len(parts) > 1 else "default"
    plan = parts[2] if len(parts) > 2 else "xml"
    application = number.removeprefix("app=") if number.startswith("app=") else ""
    short = application.partition(":")[0] if application else number
    given = {**dialling.variables, **endpoint.variables}
    wanted_uuid = given.get("origination_uuid", "") if not dialling.legs else ""
    first = Channel(switch, f"loopback/{short}-a", "outbound")
    second = Channel(switch, f"loopback/{short}-b", "inbound")
    dialling.legs.append(first)
    old_uuid, first.uuid = first.uuid, wanted_uuid or first.uuid
    if not caller:
        first.call_uuid = first.uuid
    first.party = Loop(first, second)
    second.party = Loop(second, first)
    now = switch.clock.now()
    base = _called_profile(
        dialling, first, Endpoint("loopback", endpoint.target, endpoint.variables, dialed=number)
    )
    base.source, base.context, base.dialplan = "mod_loopback", context, plan
    base.destination_number = short if application else number
    base.callee_id_number = parts[-1] if caller is None else base.callee_id_number
    base.times = Times(created=now, profile_created=now)
    first.profile = base
    if caller is not None and caller.profile is not None:
        first.originator = caller.profile.seen_by_other_leg(with_times=False)
        first.call_uuid = caller.call_uuid
    inner = copy.copy(base)
    inner.times = Times(created=now, profile_created=now)
    inner.uuid, inner.channel_name = second.uuid, second.name
    inner.direction = inner.logical_direction = "inbound"
    second.profile = inner
    second.loopback_application = application
    for leg in (first, second):
        leg.has_media = True
    _loopback_variables(dialling, first, second, given)
    if wanted_uuid:
        first.fire_uuid_change(old_uuid)
    switch.register_channel(first)
    start(first)
    return first


def _loopback_variables(dialling: Dialling, first: Channel, second: Channel, given: dict[str, str]) -> None:
    codec = {"read_codec": "L16", "read_rate": "8000", "write_codec": "L16", "write_rate": "8000"}
    first.set_variables({"direction": "outbound", "is_outbound": "true", "session_id": str(first.session_id)})
    first.set_variables(
        {**codec, "channel_name": first.name, "uuid": first.uuid, "call_uuid": first.call_uuid}
    )
    caller = dialling.caller
    if caller is not None:
        first.set_variables({"originator": caller.uuid, "signal_bond": caller.uuid})
    first.set_variables(given)
    first.set_variable("originate_early_media", "false" if dialling.ignore_early_media else "true")
    if caller is not None:
        first.set_variable("originating_leg_uuid", caller.uuid)
    first.set_variables(
        {"originate_endpoint": "loopback", "other_loopback_leg_uuid": second.uuid, "loopback_leg": "A"}
    )
    second.set_variables({"direction": "inbound", "uuid": second.uuid, "call_uuid": second.uuid})
    second.set_variables(
        {"session_id": str(second.session_id), "channel_name": second.name, **codec, **given}
    )
    second.set_variables({"other_loopback_leg_uuid": first.uuid, "loopback_leg": "B"})


class Loop:
    """Ties the two ends of a loopback: what one end does, the other sees."""

    def __init__(self, own: Channel, other: Channel):
        self.own = own
        self.other = other

    def invited(self, channel: Channel) -> None:
        self.own.switch.register_channel(self.other)
        if self.other.loopback_application:
            name, _, data = self.other.loopback_application.partition(":")
            extension = Extension(name, data)
            extension.applications = [("pre_answer", ""), (name, data)]
            self.other.preset = extension
        start(self.other)

    def call_answered(self, channel: Channel) -> None:
        """The inner end was answered; the outer end was told before."""

    def channel_ended(self, channel: Channel) -> None:
        self.own.switch.call_soon(self.other.hangup, channel.cause)


def pre_answer(channel: Channel) -> None:
    """Early media towards a caller."""
    if channel.early or channel.answered or not channel.up:
        return
    if isinstance(channel.party, Loop):
        outer = channel.party.other
        outer.set_variable("endpoint_disposition", "EARLY MEDIA")
        outer.mark_early()
    elif channel.sip:
        sip.media(channel, channel.sip)
    channel.set_variable("endpoint_disposition", "EARLY MEDIA")
    channel.mark_early()


def answer(channel: Channel) -> None:
    """Answers a caller."""
    if channel.answered or not channel.up:
        return
    if isinstance(channel.party, Loop) and channel.direction == "inbound":
        outer = channel.party.other
        outer.set_variable("endpoint_disposition", "ANSWER")
        outer.mark_answered()
    elif channel.sip:
        sip.answered(channel, channel.sip)
    channel.mark_answered()


# Bridging


async def bridge_to(channel: Channel, text: str) -> None:
    """The ``bridge`` application: dials, connects, and decides how the call goes on."""
    limit = channel.text("call_timeout")
    leg, cause = await dial(channel.switch, text, channel, float(limit) if limit.isdigit() else 60.0)
    if leg is not None and channel.up:
        await bridge(channel, leg)
        return
    if leg is not None:
        leg.hangup("ORIGINATOR_CANCEL")
    if not channel.up:
        return
    note_failure(channel, cause)
    if channel.answered:
        channel.set_call_state("ACTIVE")
    if not goes_on(channel.text("continue_on_fail"), cause):
        channel.hangup(cause)


def note_failure(channel: Channel, cause: str) -> None:
    """Variables of the caller that say why nobody was reached."""
    channel.variables.pop("originate_signal_bond", None)
    statuses = {
        "USER_BUSY": "BUSY",
        "NO_ANSWER": "NOANSWER",
        "CALL_REJECTED": "BUSY",
        "SUBSCRIBER_ABSENT": "CHANUNAVAIL",
    }
    channel.set_variable("originate_disposition", cause)
    channel.set_variable("DIALSTATUS", statuses.get(cause, cause))
    channel.set_variable("originate_failed_cause", cause)


def goes_on(rule: str, cause: str) -> bool:
    """Whether the dialplan continues after a failed bridge."""
    if rule.lower() in ("true", "yes", "1"):
        return True
    return cause in [item.strip().upper() for item in rule.split(",")]


async def eavesdrop(channel: Channel, target: str) -> None:
    """Listens in on another channel until either ends."""
    other = channel.switch.channels.get(target)
    if other is None or not other.up:
        return
    state, mark = channel.state, channel.broken_off
    while channel.up and other.up and channel.state == state and channel.broken_off == mark:
        await wait_any([channel, other])


def find_extension(channel: Channel, number: str, context: str) -> Extension | None:
    """What a number would run in a context, without going there."""
    node = channel.switch.configuration.context(context)
    if node is None or channel.profile is None:
        return None
    before = channel.profile.destination_number
    channel.profile.destination_number = number
    found = hunt(node, channel, number)
    channel.profile.destination_number = before
    return found


async def bridge(a: Channel, b: Channel) -> None:
    """Connects two legs until one goes. The first leg's task runs this; the second exchanges media."""
    assert a.profile is not None and b.profile is not None
    if not a.answered:
        if b.answered:
            prepare_answer(a, b)
            answer(a)
        elif b.early:
            pre_answer(a)
    adopt_user(b)
    a.originatee = b.profile.seen_by_other_leg(with_times=True)
    a.originatees.append(a.originatee)
    a.partner, b.partner = b, a
    note_success(a, b)
    if a.answered:
        a.set_call_state("ACTIVE")
    now = a.switch.clock.now()
    a.profile.times.bridged = now
    a.fire("CHANNEL_BRIDGE", [("Bridge-A-Unique-ID", a.uuid), ("Bridge-B-Unique-ID", b.uuid)])
    b.profile.times.bridged = now
    a.switch.bridged(a, b)
    connect_variables(a, b)
    here = a.state
    b.set_state(State.EXCHANGE_MEDIA)
    mark = a.broken_off
    while a.up and b.up and a.state == here and a.broken_off == mark and b.state == State.EXCHANGE_MEDIA:
        await wait_any([a, b])
        if a.digits or b.digits:
            b.digits.clear()
            a.digits.clear()
    await unbridge(a, b, moved=a.up and (a.state != here or a.broken_off != mark))


def prepare_answer(a: Channel, b: Channel) -> None:
    """What the caller learns of who answered."""
    assert a.profile is not None and b.profile is not None
    a.profile.callee_id_name, a.profile.callee_id_number = (
        b.profile.callee_id_name,
        b.profile.callee_id_number,
    )
    if b.sip and a.sip:
        a.set_variable("switch_m_sdp", b.text("switch_r_sdp"))


def note_success(a: Channel, b: Channel) -> None:
    """Variables of the caller that say whom it reached."""
    assert a.profile is not None and b.profile is not None
    a.profile.callee_id_name, a.profile.callee_id_number = (
        b.profile.callee_id_name,
        b.profile.callee_id_number,
    )
    note = f"{b.uuid};{b.profile.callee_id_name};{b.profile.callee_id_number}"
    a.variables.pop("originate_signal_bond", None)
    if "originated_legs" in a.variables and a.text("originated_legs").startswith(b.uuid):
        a.change_variable("originated_legs", [note, note])
    else:
        a.set_variable("originated_legs", [note, note])
        if b.sip and a.sip:
            a.set_variable("switch_m_sdp", b.text("switch_r_sdp"))
    a.set_variable("endpoint_disposition", "ANSWER" if a.answered else a.text("endpoint_disposition"))
    a.set_variable("originate_causes", [f"{b.uuid};NONE", f"{b.uuid};NONE"])
    a.set_variables({"originate_disposition": "SUCCESS", "DIALSTATUS": "SUCCESS", "signal_bond": b.uuid})


def connect_variables(a: Channel, b: Channel) -> None:
    """Both legs of a bridge name each other."""
    for one, other in ((a, b), (b, a)):
        one.set_variables({"bridge_to": other.uuid, "last_bridge_to": other.uuid})
        one.set_variables(
            {"bridge_channel": other.name, "bridge_uuid": other.uuid, "signal_bond": other.uuid}
        )


async def unbridge(a: Channel, b: Channel, moved: bool) -> None:
    """Takes a bridge apart: whoever is left hears of it."""
    a.partner = b.partner = None
    taken = b.up and b.state != State.EXCHANGE_MEDIA
    a.variables.pop("bridge_to", None)
    b.variables.pop("bridge_to", None)
    if not taken:
        if b.up:
            cause = a.cause if not a.up else "NORMAL_CLEARING"
            b.set_variable("last_bridge_hangup_cause", cause)
            b.hangup(cause)
        await b.reported.wait()
    if a.disposition:
        a.set_variable("sip_hangup_disposition", a.disposition)
    a.set_variable("bridge_hangup_cause", b.cause or "NORMAL_CLEARING")
    a.set_variable("last_bridge_role", "originator")
    a.switch.unbridged(a, b)
    a.fire("CHANNEL_UNBRIDGE", [("Bridge-A-Unique-ID", a.uuid), ("Bridge-B-Unique-ID", b.uuid)])
    if a.up and not moved and (a.text("hangup_after_bridge") == "true" or not a.answered):
        a.hangup("NORMAL_CLEARING" if taken or not b.cause else b.cause)


# Transfers


def transfer(channel: Channel, number: str, dialplan: str = "", context: str = "") -> None:
    """Sends a channel through the dialplan again, under a new caller profile."""
    if not channel.up or channel.profile is None:
        return
    old = channel.profile
    now = channel.switch.clock.now()
    profile = copy.copy(old)
    profile.times = copy.copy(old.times)
    profile.times.profile_created = now
    profile.dialplan = dialplan or old.dialplan or "XML"
    profile.context = context or old.context
    profile.rdnis = old.destination_number
    profile.destination_number = number
    note = f"{now // 1_000_000}:{uuid.uuid4()}:bl_xfer:{number}/{profile.context}/{profile.dialplan}"
    profile.transfer_source = note
    channel.replace_profile(profile)
    if "max_forwards" not in channel.variables:
        channel.set_variable("max_forwards", "70")
    history = channel.variables.get("transfer_history")
    if history is None:
        channel.set_variable("transfer_history", note)
    else:
        notes = [history] if isinstance(history, str) else list(history)
        channel.set_variable("transfer_history", [*notes, note])
    channel.set_variable("transfer_source", note)
    channel.set_state(State.ROUTING)


def bridge_existing(first: Channel, second: Channel) -> None:
    """``uuid_bridge``: connects two channels that are elsewhere now."""

    async def application(channel: Channel) -> None:
        await bridge(channel, second)

    first.preset_bridge = application
    first.extension = None
    second.extension = None
    first.set_state(State.SOFT_EXECUTE)


async def _soft_execute(channel: Channel) -> None:
    channel.enter(State.SOFT_EXECUTE)
    application, channel.preset_bridge = channel.preset_bridge, None
    if application is not None:
        await application(channel)
    if channel.state == State.SOFT_EXECUTE:
        channel.hangup("NORMAL_CLEARING")


_STEPS[State.SOFT_EXECUTE] = _soft_execute


def hold(channel: Channel) -> None:
    """Puts a phone on hold; the other side gets music, of which a bare switch has none."""
    if channel.held or not channel.up or channel.profile is None:
        return
    channel.held = True
    channel.set_call_state("HELD")
    channel.profile.times.last_hold = channel.switch.clock.now()
    channel.fire("CHANNEL_HOLD")
    if channel.partner is not None:
        headers = {"call-command": "execute", "execute-app-name": "playback", "loops": "-1"}
        channel.partner.post(
            Message({**headers, "execute-app-arg": channel.switch.variables.get("hold_music", "")})
        )


def unhold(channel: Channel) -> None:
    """Takes a phone back from hold."""
    if not channel.held or channel.profile is None:
        return
    channel.held = False
    times = channel.profile.times
    times.hold_accum += channel.switch.clock.now() - times.last_hold
    channel.set_call_state("UNHELD")
    channel.fire("CHANNEL_UNHOLD")
    channel.set_call_state("ACTIVE")
    if channel.partner is not None:
        channel.partner.broken_off += 1
        channel.partner.wake()


def adopt_user(channel: Channel) -> None:
    """A leg that was dialled as a user takes that user's variables once it is answered."""
    channel.set_variable("endpoint_disposition", "ANSWER" if channel.answered else "EARLY MEDIA")
    user = channel.dialled_user
    if user is None:
        return
    channel.set_variables(user.variables)
    channel.set_variable("originate_endpoint", "user")
