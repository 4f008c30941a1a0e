"""The end of a leg in figures: report variables, and the file that mod_json_cdr writes."""

from __future__ import annotations

from typing import Any

import orjson

from . import sip
from .causes import q850
from .channel import Channel
from .events import flat
from .profile import Profile


def set_report_variables(channel: Channel) -> None:
    """Variables that exist only when the leg is over, in the switch's order."""
    profile = channel.profile
    assert profile is not None
    times = profile.times
    set_ = channel.set_variable
    set_("hangup_cause", channel.cause)
    set_("hangup_cause_q850", q850(channel.cause))
    set_("digits_dialed", "none")
    for name, stamp in (
        ("start", times.created),
        ("profile_start", times.profile_created),
        ("answer", times.answered),
        ("bridge", times.bridged),
        ("hold", times.last_hold),
        ("progress", times.progress),
        ("progress_media", times.progress_media),
        ("hold_events", 0),
        ("end", times.hangup),
    ):
        if name == "hold_events":
            set_(name, _hold_events(channel))
        elif stamp:
            set_(f"{name}_stamp", channel.switch.clock.stamp(stamp))
    _epochs(
        channel,
        ("start", times.created),
        ("profile_start", times.profile_created),
        ("answer", times.answered),
        ("bridge", times.bridged),
        ("last_hold", times.last_hold),
    )
    set_("hold_accum_seconds", str(times.hold_accum // 1_000_000))
    set_("hold_accum_usec", str(times.hold_accum))
    set_("hold_accum_ms", str(times.hold_accum // 1000))
    _epochs(
        channel,
        ("resurrect", times.resurrect),
        ("progress", times.progress),
        ("progress_media", times.progress_media),
        ("end", times.hangup),
    )
    if channel.app_log:
        set_("last_app", channel.app_log[-1][0])
        set_("last_arg", channel.app_log[-1][1])
    name, number = profile.caller_id_name, profile.caller_id_number
    set_("caller_id", f'"{name}" <{number}>' if name else number)
    _durations(channel)
    channel.set_variables(sip.closing_disposition(channel))
    if channel.sip and channel.has_media:
        channel.set_variables(_media_statistics())
    if not channel.sip:
        channel.set_variable("is_loopback", "1")


def _hold_events(channel: Channel) -> str:
    """Pairs of stamps, in the notation of the switch."""
    if not channel.hold_log:
        return ""
    pairs = [f"{{{begin},{end}}}" for begin, end in channel.hold_log]
    return "{" + ",".join(pairs) + "}"


def _epochs(channel: Channel, *stamps: tuple[str, int]) -> None:
    for name, stamp in stamps:
        channel.set_variable(f"{name}_epoch", str(stamp // 1_000_000))
        channel.set_variable(f"{name}_uepoch", str(stamp))


def _durations(channel: Channel) -> None:
    assert channel.profile is not None
    times = channel.profile.times

    def between(start: int, end: int, unit: int) -> int:
        return max(end // unit - start // unit, 0) if start and end else 0

    for suffix, prefix, unit in (("sec", "", 1_000_000), ("msec", "m", 1000), ("usec", "u", 1)):
        answered, created, end = times.answered, times.created, times.hangup
        channel.set_variable(f"{prefix}duration", str(between(created, end, unit)))
        channel.set_variable(f"bill{suffix}", str(between(answered, end, unit)))
        channel.set_variable(f"progress{suffix}", str(between(created, times.progress, unit)))
        channel.set_variable(f"answer{suffix}", str(between(created, answered, unit)))
        channel.set_variable(f"wait{suffix}", str(between(created, times.bridged, unit)))
        channel.set_variable(f"progress_media{suffix}", str(between(created, times.progress_media, unit)))
        channel.set_variable(f"flow_bill{suffix}", str(between(created, end, unit) if answered else 0))


_INBOUND_COUNTS = [
    "raw_bytes",
    "media_bytes",
    "packet_count",
    "media_packet_count",
    "skip_packet_count",
    "jitter_packet_count",
    "dtmf_packet_count",
    "cng_packet_count",
    "flush_packet_count",
    "largest_jb_size",
]
_INBOUND_FLOATS = [
    "jitter_min_variance",
    "jitter_max_variance",
    "jitter_loss_rate",
    "jitter_burst_rate",
    "mean_interval",
]
_OUTBOUND_COUNTS = [
    "raw_bytes",
    "media_bytes",
    "packet_count",
    "media_packet_count",
    "skip_packet_count",
    "dtmf_packet_count",
    "cng_packet_count",
]


def _media_statistics() -> dict[str, str]:
    values = {f"rtp_audio_in_{name}": "0" for name in _INBOUND_COUNTS}
    values |= {f"rtp_audio_in_{name}": "0.00" for name in _INBOUND_FLOATS}
    values |= {
        "rtp_audio_in_flaw_total": "0",
        "rtp_audio_in_quality_percentage": "100.00",
        "rtp_audio_in_mos": "4.50",
    }
    values |= {f"rtp_audio_out_{name}": "0" for name in _OUTBOUND_COUNTS}
    return values | {"rtp_audio_rtcp_packet_count": "0", "rtp_audio_rtcp_octet_count": "0"}


def document(channel: Channel) -> dict[str, Any]:
    """The record of a leg as mod_json_cdr writes it."""
    record: dict[str, Any] = {
        "core-uuid": channel.switch.core_uuid,
        "switchname": channel.switch.hostname,
        "channel_data": {
            "state": "CS_REPORTING",
            "direction": channel.direction,
            "state_number": "11",
            "flags": _flags(channel),
            "caps": "1=1;2=1;3=1;4=1;5=1;6=1;8=1;9=1;10=1" if channel.sip else "",
        },
        "callStats": _statistics(channel),
        "variables": {name: flat(value) for name, value in channel.variables.items()},
    }
    if channel.app_log:
        record["app_log"] = {
            "applications": [
                {"app_name": name, **({"app_data": data} if data else {}), "app_stamp": str(stamp)}
                for name, data, stamp in channel.app_log
            ]
        }
    assert channel.profile is not None
    flows = [(channel.profile, channel.extension), *channel.profiles]
    record["callflow"] = [_flow(channel, profile, extension) for profile, extension in flows]
    return record


def _flags(channel: Channel) -> str:
    """The flags of the recordings, by kind of leg; only their presence matters to readers."""
    numbers = {0, 40, 42}
    if channel.sip:
        numbers |= {45, 113, 114} | ({2, 22} if channel.direction == "outbound" else {3, 55})
        numbers |= {1, 39, 50, 55, 95, 107, 123, 160, 165, 166} if channel.answered else set()
    else:
        numbers |= {3, 55, 123, 160} | ({2, 7, 50, 165} if channel.direction == "outbound" else set())
        numbers |= {1} if channel.answered else set()
    numbers |= {62} if channel.text("channel_cid_flipped") else set()
    return ";".join(f"{number}=1" for number in sorted(numbers))


def _statistics(channel: Channel) -> dict[str, Any]:
    if not (channel.sip and channel.has_media):
        return {}
    inbound: dict[str, Any] = dict.fromkeys([*_INBOUND_COUNTS, *_INBOUND_FLOATS, "flaw_total"], 0)
    inbound |= {"quality_percentage": 100, "mos": 4.5}
    outbound = dict.fromkeys([*_OUTBOUND_COUNTS, "rtcp_packet_count", "rtcp_octet_count"], 0)
    return {"audio": {"inbound": inbound, "outbound": outbound}}


def _flow(channel: Channel, profile: Profile, extension: Any) -> dict[str, Any]:
    flow: dict[str, Any] = {"dialplan": profile.dialplan} if profile.dialplan else {}
    flow["profile_index"] = str(profile.index)
    if extension is not None:
        applications: list[dict[str, str]] = []
        for index, (name, data) in enumerate(extension.applications):
            item = {"app_name": name, "app_data": data}
            if index == extension.position:
                item = {"last_executed": "true", **item}
            applications.append(item)
        flow["extension"] = {"name": extension.name, "number": extension.number, "applications": applications}
        if extension.position < len(extension.applications):
            flow["extension"]["current_app"] = extension.applications[extension.position][0]
    caller = _profile(profile)
    if profile.originator is not None:
        # A user is dialled by an originate within the originate; both leave their mark.
        marks = 2 if channel.dialled_user is not None and channel.answered else 1
        caller["originator"] = {"originator_caller_profiles": [_profile(profile.originator)] * marks}
    if profile.originatees:
        caller["originatee"] = {"originatee_caller_profiles": [_profile(one) for one in profile.originatees]}
    times = profile.times
    flow["caller_profile"] = caller
    flow["times"] = {
        "created_time": str(times.created),
        "profile_created_time": str(times.profile_created),
        "progress_time": str(times.progress),
        "progress_media_time": str(times.progress_media),
        "answered_time": str(times.answered),
        "bridged_time": str(times.bridged),
        "last_hold_time": str(times.last_hold),
        "hold_accum_time": str(times.hold_accum),
        "hangup_time": str(times.hangup),
        "resurrect_time": str(times.resurrect),
        "transfer_time": str(times.transfer),
    }
    return flow


def _profile(profile: Profile) -> dict[str, Any]:
    return {
        "username": profile.username,
        "dialplan": profile.dialplan,
        "caller_id_name": profile.caller_id_name,
        "ani": profile.ani,
        "aniii": "",
        "caller_id_number": profile.caller_id_number,
        "network_addr": profile.network_addr,
        "rdnis": profile.rdnis,
        "destination_number": profile.destination_number,
        "uuid": profile.uuid,
        "source": profile.source,
        "context": profile.context,
        "chan_name": profile.channel_name,
    }


def write(channel: Channel) -> None:
    """Writes the leg's file in place, as the module does; A-legs carry the prefix ``a_``."""
    directory = channel.switch.options.cdr_dir
    if directory is None:
        return
    prefix = "" if channel.originator is not None else "a_"
    path = directory / f"{prefix}{channel.uuid}.cdr.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(document(channel)))
    except (OSError, TypeError, ValueError) as error:
        channel.switch.note_error(error)
