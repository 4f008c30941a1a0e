"""Loopback endpoints: a call of the switch to itself, with two ends that are legs of their own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from .channel import Channel
from .dialplan import Extension
from .endpoints import Endpoint, exported
from .profile import Profile, Times
from .sip import short_codec

if TYPE_CHECKING:
    from .dialling import Dialling


class Loop:
    """The far end of one end: the other end."""

    def __init__(self, other: Channel, application: str):
        self.other = other
        self.application = application

    def invited(self, channel: Channel) -> None:
        """The outer end rings: the inner end comes in, through the dialplan or straight to an application."""
        channel.switch.register_channel(self.other)
        if self.application:
            name, _, data = self.application.partition(":")
            self.other.preset = Extension(name, name, [("pre_answer", ""), (name, data)])
        self.other.start()

    def call_answered(self, channel: Channel) -> None:
        """The outer end was told before."""

    def channel_ended(self, channel: Channel) -> None:
        channel.switch.call_soon(self.other.hangup, channel.cause)


def create(dialling: Dialling, endpoint: Endpoint, profile: Profile) -> Channel:
    """Makes both ends, registers and starts the outer one, and returns it."""
    switch, caller = dialling.switch, dialling.caller
    number, _, rest = endpoint.target.partition("/")
    context, _, plan = rest.partition("/")
    application = number.removeprefix("app=") if number.startswith("app=") else ""
    short, _, argument = application.partition(":") if application else (number, "", "")
    given = {**dialling.variables, **endpoint.variables}
    outer = Channel(switch, f"loopback/{short}-a", "outbound")
    inner = Channel(switch, f"loopback/{short}-b", "inbound")
    made_as = outer.uuid
    outer.uuid = outer.call_uuid = dialling.wanted_uuid(given) or made_as
    outer.party, inner.party = Loop(inner, application), Loop(outer, "")
    profile.uuid, profile.channel_name = outer.uuid, outer.name
    profile.source, profile.destination_number = "mod_loopback", short
    if application:
        profile.callee_id_number = argument
    else:
        profile.context, profile.dialplan = context or "default", plan or "xml"
        if caller is None:
            profile.callee_id_number = endpoint.target.rpartition("/")[2]
    outer.profile = profile
    outer.outer_variables = dialling.variables
    if caller is not None and caller.profile is not None:
        profile.originator = caller.profile.seen_by_other_leg(with_times=False)
        outer.call_uuid = caller.call_uuid
    inner.profile = _inner_profile(profile, inner)
    outer.has_media = inner.has_media = True
    outer.codec_name = inner.codec_name = "PCMU" if caller is not None and caller.sip else "L16"
    special = {"loopback_app": short, "loopback_app_arg": argument} if application else {}
    _set_variables(dialling, outer, inner, {**given, **special})
    if outer.uuid != made_as:
        outer.fire_uuid_change(made_as)
    _set_late_variables(dialling, outer, inner, given, special)
    switch.register_channel(outer)
    outer.start()
    return outer


def _inner_profile(outer: Profile, inner: Channel) -> Profile:
    profile = copy.copy(outer)
    created = outer.times.created
    profile.times = Times(created=created, profile_created=created)
    profile.uuid, profile.channel_name = inner.uuid, inner.name
    profile.direction = profile.logical_direction = "inbound"
    profile.originator = None
    profile.originatees = []
    return profile


def _codec(channel: Channel) -> dict[str, str]:
    name = channel.codec_name
    return {"read_codec": name, "read_rate": "8000", "write_codec": name, "write_rate": "8000"}


def _set_variables(dialling: Dialling, outer: Channel, inner: Channel, given: dict[str, str]) -> None:
    outer.set_variables({"direction": "outbound", "is_outbound": "true"})
    outer.set_variables({"session_id": str(outer.session_id), **_codec(outer), "channel_name": outer.name})
    outer.set_variables({"uuid": outer.uuid, "call_uuid": outer.call_uuid})
    inner.set_variables({"direction": "inbound", "uuid": inner.uuid, "call_uuid": inner.uuid})
    inner.set_variables({"session_id": str(inner.session_id), "channel_name": inner.name, **_codec(inner)})
    caller = dialling.caller
    if caller is not None:
        inner.set_variables(exported(caller))
    inner.set_variables({**given, "other_loopback_leg_uuid": outer.uuid})
    if caller is not None:
        inner.set_variable("other_loopback_from_uuid", caller.uuid)
    inner.set_variable("loopback_leg", "B")


def _set_late_variables(
    dialling: Dialling, outer: Channel, inner: Channel, given: dict[str, str], special: dict[str, str]
) -> None:
    caller = dialling.caller
    if caller is not None:
        outer.set_variables({"loopback_from_uuid": caller.uuid, **special})
        forwards = caller.text("max_forwards")
        outer.set_variable("max_forwards", str(int(forwards) - 1) if forwards else "70")
        outer.set_variable("originator_codec", short_codec(caller))
        outer.set_variables({"originator": caller.uuid, "signal_bond": caller.uuid})
        outer.set_variable("call_uuid", outer.call_uuid)
        outer.set_variables(exported(caller))
    outer.set_variables(given)
    outer.set_variable("originate_early_media", "false" if dialling.ignore_early_media else "true")
    if caller is not None:
        outer.set_variable("originating_leg_uuid", caller.uuid)
    outer.set_variables({"originate_endpoint": "loopback", "other_loopback_leg_uuid": inner.uuid})
    outer.set_variable("loopback_leg", "A")
