"""What SIP leaves on a channel: the variables of an INVITE, of its answers, and of its end.

The order of the variables is that of the recordings: the switch shows them in the order in which it set
them.
"""

from __future__ import annotations

import random
import re
import secrets
import time
import uuid
from dataclasses import dataclass, field

from .causes import NUMBERS, phrase_of, status_of
from .channel import Channel

CODECS = "OPUS,G722,PCMU,PCMA,H264,VP8"
PHONE_CODEC = "CORE_PCM_MODULE.PCMU@8000h@20i@64000b"
PORTS = {"internal": "5060", "external": "5080"}


def _tag() -> str:
    return secrets.token_urlsafe(10)[:13].replace("-", "a").replace("_", "b")


def phone_sdp(port: int) -> str:
    """The offer of a phone that speaks PCMU."""
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    )


def switch_sdp(port: int, session: int, version: int, codec: str) -> str:
    """The offer of the switch; ``codec`` is PCMU, L16 or empty for everything that the profile knows."""
    head = (
        f"v=0\r\no=FreeSWITCH {session} {session + version} IN IP4 127.0.0.1\r\ns=FreeSWITCH\r\n"
        "c=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    )
    tail = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    if codec == "PCMU":
        return f"{head}m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n{tail}"
    if codec == "L16":
        return f"{head}m=audio {port} RTP/AVP 102 101\r\na=rtpmap:102 L16/8000\r\n{tail}"
    opus = (
        "useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000; ptime=20; minptime=10; maxptime=40"
    )
    return (
        f"{head}m=audio {port} RTP/AVP 102 9 0 8 103 101\r\n"
        f"a=rtpmap:102 opus/48000/2\r\na=fmtp:102 {opus}\r\n"
        "a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
        f"a=rtpmap:103 telephone-event/48000\r\na=fmtp:103 0-15\r\n{tail}"
    )


@dataclass
class SipLeg:
    """The SIP side of a channel: which profile, and where the other end is."""

    profile: str
    host: str
    port: int
    contact_user: str
    domain: str = "127.0.0.1"
    media_port: int = field(default_factory=lambda: random.randrange(16384, 32768, 2))
    remote_media_port: int = field(default_factory=lambda: random.randrange(30000, 39000, 2))
    sdp_session: int = field(default_factory=lambda: int(time.time()) - 20000)
    sdp_version: int = 1
    cseq: int = field(default_factory=lambda: random.randrange(100_000_000, 130_000_000))

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def profile_url(self) -> str:
        return f"sip:mod_sofia@{self.host}:{PORTS.get(self.profile, '5060')}"


def branch() -> str:
    return f"SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{_tag()}"


def received_invite(
    channel: Channel,
    leg: SipLeg,
    caller: str,
    display: str,
    number: str,
    user_variables: dict[str, str] | None,
) -> None:
    """Variables of an inbound leg when it is created; ``user_variables`` when a user authenticated."""
    tag, now = secrets.token_hex(4), str(channel.switch.clock.now())
    ip, port, domain = leg.host, str(leg.port), leg.domain
    set_ = channel.set_variables
    set_({"direction": "inbound", "uuid": channel.uuid, "call_uuid": channel.uuid})
    set_(
        {"session_id": str(channel.session_id), "sip_from_user": caller, "sip_from_uri": f"{caller}@{domain}"}
    )
    set_({"sip_from_host": domain, "video_media_flow": "disabled", "audio_media_flow": "disabled"})
    set_({"text_media_flow": "disabled", "channel_name": channel.name, "sip_call_id": uuid.uuid4().hex})
    set_(
        {
            "sip_local_network_addr": ip,
            "sip_network_ip": ip,
            "sip_network_port": port,
            "sip_invite_stamp": now,
        }
    )
    set_({"sip_received_ip": ip, "sip_received_port": port, "sip_via_protocol": "udp"})
    if user_variables is not None:
        set_({"sip_authorized": "true"})
        head = channel.switch.event_head("REQUEST_PARAMS", ("sofia.c", "sofia_handle_sip_i_invite", "10735"))
        set_({name: str(value) for name, value in head})
        set_({"sip_number_alias": caller, "sip_auth_username": caller, "sip_auth_realm": domain})
        set_({"number_alias": caller, "requested_user_name": caller, "requested_domain_name": domain})
        set_(user_variables)
        set_({"user_name": caller, "domain_name": domain})
    set_(
        {"sip_from_user_stripped": caller.lstrip("+"), "sip_from_tag": tag, "sofia_profile_name": leg.profile}
    )
    set_({"sofia_profile_url": leg.profile_url, "recovery_profile_name": leg.profile})
    via = f"SIP/2.0/UDP {leg.address};rport={port};branch=z9hG4bK{secrets.token_hex(5)}"
    set_({"sip_full_via": via, "sip_from_display": display})
    set_({"sip_full_from": f'"{display}" <sip:{caller}@{domain}>;tag={tag}'})
    set_(
        {
            "sip_full_to": f"<sip:{number}@{domain}>",
            "sip_req_user": number,
            "sip_req_uri": f"{number}@{domain}",
        }
    )
    set_(
        {
            "sip_req_host": domain,
            "sip_to_user": number,
            "sip_to_uri": f"{number}@{domain}",
            "sip_to_host": domain,
        }
    )
    set_({"sip_contact_user": caller, "sip_contact_port": port, "sip_contact_uri": f"{caller}@{leg.address}"})
    set_({"sip_contact_host": ip, "rtp_use_codec_string": CODECS, "sip_via_host": ip, "sip_via_port": port})
    set_({"sip_via_rport": port, "max_forwards": "70"})
    if user_variables is not None:
        set_({"presence_id": f"{caller}@{domain}"})
    set_({"switch_r_sdp": phone_sdp(leg.remote_media_port), "ep_codec_string": PHONE_CODEC})
    set_({"endpoint_disposition": "DELAYED NEGOTIATION"})


def sent_invite(
    channel: Channel,
    leg: SipLeg,
    originator: Channel | None,
    dial_variables: dict[str, str],
    originate_early_media: bool,
) -> None:
    """Variables of an outbound leg when it is created."""
    set_ = channel.set_variables
    set_({"direction": "outbound", "is_outbound": "true", "uuid": channel.uuid})
    if originator is None:
        set_({"call_uuid": channel.uuid})
    set_(
        {
            "session_id": str(channel.session_id),
            "sip_local_network_addr": leg.host,
            "sip_profile_name": leg.profile,
        }
    )
    if originator is None:
        set_({"video_media_flow": "disabled"})
    set_({"text_media_flow": "disabled", "channel_name": channel.name})
    set_({"sip_destination_url": f"sip:{leg.contact_user}@{leg.address}"})
    codec = ""
    if originator is not None:
        codec = _bond(channel, originator)
    set_(dial_variables)
    set_({"originate_early_media": "true" if originate_early_media else "false"})
    if originator is not None:
        set_({"originating_leg_uuid": originator.uuid})
    set_({"originate_endpoint": "sofia", "rtp_use_codec_string": codec or CODECS, "local_media_ip": leg.host})
    set_(
        {
            "local_media_port": str(leg.media_port),
            "advertised_media_ip": leg.host,
            "audio_media_flow": "sendrecv",
        }
    )
    if originator is not None:
        set_({"video_media_flow": "inactive" if originator.answered and originator.sip else "sendrecv"})
    offered = "L16" if codec.startswith("L16") else "PCMU" if codec else ""
    set_({"rtp_local_sdp_str": switch_sdp(leg.media_port, leg.sdp_session, leg.sdp_version, offered)})
    set_(
        {
            "sip_outgoing_contact_uri": f"<{leg.profile_url}>",
            "sip_req_uri": f"{leg.contact_user}@{leg.address}",
        }
    )
    set_({"sip_to_host": leg.address, "sip_from_host": leg.domain, "sofia_profile_name": leg.profile})
    set_({"recovery_profile_name": leg.profile, "sofia_profile_url": leg.profile_url})


def _bond(channel: Channel, originator: Channel) -> str:
    forwards = originator.text("max_forwards")
    codec = short_codec(originator)
    if originator.sip and not originator.has_media:
        codec = originator.text("ep_codec_string")
    channel.set_variables(
        {
            "max_forwards": str(int(forwards) - 1) if forwards else "70",
            "originator_codec": codec,
            "originator": originator.uuid,
            "signal_bond": originator.uuid,
            "switch_m_sdp": originator.text("switch_r_sdp"),
            "call_uuid": originator.call_uuid,
        }
    )
    return codec


def ringing(channel: Channel, leg: SipLeg) -> None:
    """Variables that the first provisional answer brings."""
    profile = channel.profile
    if profile is None:
        return
    local, remote, via = _tag(), secrets.token_hex(4), branch()
    user, port, ip = leg.contact_user, str(leg.port), leg.host
    number = profile.caller_id_number or "0000000000"
    channel.variables.pop("sip_to_host", None)
    display = profile.caller_id_name
    channel.set_variable("sip_local_network_addr", ip)
    channel.set_variables(
        {"sip_reply_host": ip, "sip_reply_port": port, "sip_network_ip": ip, "sip_network_port": port}
    )
    channel.set_variables({"sip_recover_contact": f"<sip:{user}@{leg.address}>", "sip_full_via": via})
    channel.set_variables({"sip_recover_via": via, "sip_from_display": display})
    quoted = f'"{display}" ' if display else ""
    channel.set_variables({"sip_full_from": f"{quoted}<sip:{number}@{leg.domain}>;tag={local}"})
    channel.set_variables(
        {"sip_full_to": f"<sip:{user}@{leg.address}>;tag={remote}", "sip_from_user": number}
    )
    channel.set_variables(
        {"sip_from_uri": f"{number}@{leg.domain}", "sip_from_host": leg.domain, "sip_to_user": user}
    )
    channel.set_variables({"sip_to_port": port, "sip_to_uri": f"{user}@{leg.address}", "sip_to_host": ip})
    channel.set_variables({"sip_contact_user": user, "sip_contact_port": port})
    channel.set_variables({"sip_contact_uri": f"{user}@{leg.address}", "sip_contact_host": ip})
    channel.set_variables({"sip_to_tag": remote, "sip_from_tag": local, "sip_cseq": str(leg.cseq)})
    channel.set_variables({"sip_call_id": str(uuid.uuid4())})
    if profile.network_addr == "":
        profile.network_addr = ip


def media(channel: Channel, leg: SipLeg) -> None:
    """Variables that a negotiated codec brings."""
    channel.set_variables(
        {
            "rtp_use_codec_string": channel.text("rtp_use_codec_string"),
            "remote_video_media_flow": "inactive",
            "remote_text_media_flow": "inactive",
            "remote_audio_media_flow": "sendrecv",
        }
    )
    if channel.direction == "inbound":
        channel.set_variable("audio_media_flow", "sendrecv")
    channel.set_variables(
        {
            "rtp_audio_recv_pt": "0",
            "rtp_use_codec_name": "PCMU",
            "rtp_use_codec_rate": "8000",
            "rtp_use_codec_ptime": "20",
            "rtp_use_codec_channels": "1",
            "rtp_last_audio_codec_string": "PCMU@8000h@20i@1c",
            "read_codec": "PCMU",
            "original_read_codec": "PCMU",
            "read_rate": "8000",
            "original_read_rate": "8000",
            "write_codec": "PCMU",
            "write_rate": "8000",
            "dtmf_type": "rfc2833",
            "local_media_ip": leg.host,
            "local_media_port": str(leg.media_port),
            "advertised_media_ip": leg.host,
            "rtp_use_timer_name": "soft",
            "rtp_use_pt": "0",
            "rtp_use_ssrc": str(random.randrange(2**31, 2**32)),
            "rtp_2833_send_payload": "101",
            "rtp_2833_recv_payload": "101",
            "remote_media_ip": leg.host,
            "remote_media_port": str(leg.remote_media_port),
        }
    )


def peer_answered(channel: Channel, leg: SipLeg) -> None:
    """Variables that the 200 of an outbound leg brings."""
    channel.set_variables({"switch_r_sdp": phone_sdp(leg.remote_media_port), "ep_codec_string": PHONE_CODEC})
    media(channel, leg)


def no_common_codec(channel: Channel, leg: SipLeg) -> None:
    """A 200 without a codec that was offered: the switch takes the leg down again."""
    channel.set_variables({"switch_r_sdp": phone_sdp(leg.remote_media_port), "ep_codec_string": PHONE_CODEC})
    channel.set_variable("rtp_use_codec_string", channel.text("rtp_use_codec_string"))
    channel.set_variables({"remote_video_media_flow": "inactive", "remote_text_media_flow": "inactive"})
    channel.set_variables({"remote_audio_media_flow": "sendrecv", "dtmf_type": "rfc2833"})
    channel.set_variable("endpoint_disposition", "NO CODECS")


def bye_received(channel: Channel) -> None:
    """A BYE ends the channel: known before the hang-up event goes out."""
    channel.set_variables(
        {"sip_term_status": "200", "proto_specific_hangup_cause": "sip:200", "sip_term_cause": "16"}
    )


def refused(channel: Channel, status: str, phrase: str, cause: str) -> None:
    """The far end refused with a final answer."""
    for name in ("local_network_addr", "reply_host", "reply_port", "network_ip", "network_port"):
        channel.set_variable(f"sip_{name}", channel.text(f"sip_{name}"))
    channel.set_variables(
        {
            "sip_hangup_disposition": "recv_refuse",
            "sip_invite_failure_status": status,
            "sip_invite_failure_phrase": phrase,
            "sip_term_status": status,
            "proto_specific_hangup_cause": f"sip:{status}",
            "sip_term_cause": str(NUMBERS.get(cause, 0)),
        }
    )


def sanitized(text: str) -> str:
    """What is left of a caller's name or number when the switch calls out.

    Everything up to a ``:`` or ``/`` is gone, and everything from ``@`` on.
    """
    return re.split("[:/]", text.partition("@")[0])[-1]


def final_answer(channel: Channel) -> str:
    """What a caller whose call was not answered is told: ``486 Busy Here``.

    What the last leg's far end said goes before the cause, as long as it said anything.
    """
    if channel.final_answer:
        return channel.final_answer
    said = channel.text("last_bridge_proto_specific_hangup_cause").removeprefix("sip:")
    ignored = channel.text("sip_ignore_remote_cause").lower() in ("true", "yes", "on", "1")
    status = int(said) if said.isdigit() and not ignored else status_of(channel.cause)
    return f"{status} {phrase_of(status)}"


def closing_disposition(channel: Channel) -> dict[str, str]:
    """How the switch itself takes the leg down, seen when the leg is reported."""
    if not channel.sip or "sip_hangup_disposition" in channel.variables:
        return {}
    if channel.answered:
        return {"sip_hangup_disposition": "send_bye"}
    if channel.direction == "inbound":
        return {"sip_hangup_disposition": "send_refuse"}
    if channel.text("sip_call_id"):
        return {
            "sip_hangup_disposition": "send_cancel",
            "sip_invite_failure_status": "487",
            "sip_invite_failure_phrase": "CANCEL",
        }
    return {"sip_hangup_disposition": "send_cancel"}


def answered(channel: Channel, leg: SipLeg) -> None:
    """The switch answers an inbound leg."""
    if not channel.has_media:
        media(channel, leg)
    leg.sdp_version = 2
    channel.set_variables({name: channel.text(name) for name in ("read_codec", "read_rate")})
    channel.set_variable(
        "rtp_local_sdp_str", switch_sdp(leg.media_port, leg.sdp_session, leg.sdp_version, "PCMU")
    )


def media_passed_on(channel: Channel, other: Channel, codec: bool = True) -> None:
    """What the other leg negotiated reaches this one."""
    channel.set_variable("switch_m_sdp", other.text("switch_r_sdp"))
    flows(channel)
    if codec:
        channel.set_variables(
            {"read_codec": channel.text("read_codec"), "read_rate": channel.text("read_rate")}
        )


def flows(channel: Channel) -> None:
    """Which media a renegotiated leg has."""
    channel.set_variables({"video_media_flow": "inactive", "text_media_flow": "inactive"})
    channel.set_variable("audio_media_flow", "sendrecv")


def short_codec(originator: Channel) -> str:
    """The codec of a caller that has media, as its legs are told."""
    return "PCMU@8000h@20i" if originator.sip else "L16@8000h@20i"


def held(channel: Channel, leg: SipLeg) -> None:
    """The re-INVITE that puts a phone on hold, and its answer."""
    leg.sdp_version += 1
    channel.set_variable(
        "rtp_local_sdp_str", switch_sdp(leg.media_port, leg.sdp_session, leg.sdp_version, "PCMU")
    )
    leg.remote_media_port = 40000


_DIALOG = """sip_local_network_addr sip_reply_host sip_reply_port sip_network_ip sip_network_port {codec}
sip_recover_contact sip_full_via sip_recover_via sip_from_display sip_full_from sip_full_to sip_from_user
sip_from_uri sip_from_host sip_to_user sip_to_port sip_to_uri sip_to_host sip_contact_user sip_contact_port
sip_contact_uri sip_contact_host sip_to_tag sip_from_tag sip_cseq sip_call_id switch_r_sdp"""
_RENEWED = (
    _DIALOG.format(codec="")
    + """ ep_codec_string rtp_use_codec_string remote_video_media_flow
remote_text_media_flow remote_audio_media_flow rtp_audio_recv_pt dtmf_type rtp_2833_send_payload
rtp_2833_recv_payload remote_media_ip remote_media_port local_media_ip local_media_port advertised_media_ip
rtp_local_sdp_str"""
)
_RENEWED_AGAIN = (
    "local_media_ip local_media_port advertised_media_ip rtp_local_sdp_str "
    + _DIALOG.format(codec="ep_codec_string")
    + """ rtp_use_codec_string remote_video_media_flow remote_text_media_flow remote_audio_media_flow
remote_media_ip remote_media_port rtp_audio_recv_pt dtmf_type rtp_2833_send_payload rtp_2833_recv_payload"""
)


def reinvited(channel: Channel, leg: SipLeg, again: bool = False) -> None:
    """The answer to a re-INVITE repeats everything that the first answer said."""
    via = branch()
    leg.cseq += 1
    if not again:
        leg.sdp_version += 1
    offer = switch_sdp(leg.media_port, leg.sdp_session, leg.sdp_version, "PCMU")
    news = {
        "sip_full_via": via,
        "sip_recover_via": via,
        "sip_cseq": str(leg.cseq),
        "rtp_local_sdp_str": offer,
    }
    news |= {
        "switch_r_sdp": phone_sdp(leg.remote_media_port),
        "remote_media_port": str(leg.remote_media_port),
    }
    for name in (_RENEWED_AGAIN if again else _RENEWED).split():
        channel.set_variable(name, news.get(name) or channel.text(name))


def acknowledged(channel: Channel) -> None:
    """The ACK of an inbound call brings the tag that the switch gave it."""
    tag = _tag()
    number, domain = channel.text("sip_to_user"), channel.text("sip_to_host")
    news = {"sip_to_tag": tag, "sip_full_to": f"<sip:{number}@{domain}>;tag={tag}"}
    news["sip_cseq"] = str(random.randrange(1, 1000))
    for name in (
        "sip_to_tag",
        "sip_from_tag",
        "sip_cseq",
        "sip_call_id",
        "sip_full_via",
        "sip_from_display",
        "sip_full_from",
        "sip_full_to",
    ):
        channel.set_variable(name, news.get(name) or channel.text(name))
