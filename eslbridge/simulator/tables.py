"""Lists as the switch prints them: ``show …``, ``sofia status``, ``sofia xmlstatus``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import orjson

from .channel import BIT_RATES, Channel

if TYPE_CHECKING:
    from .core import Switch
    from .gateways import Gateway

XML_HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
RULE = "=" * 97 + "\n"
Row = dict[str, str]

SHOW_USAGE = (
    "codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]|"
    "detailed_calls|bridged_calls|detailed_bridged_calls|aliases|complete|chat|management|modules|nat_map|say|"
    "interfaces|interface_types|tasks|limits|status\n"
)
CODECS = (
    ("ADPCM (IMA)", "mod_spandsp"),
    ("G.711 alaw", "CORE_PCM_MODULE"),
    ("G.711 ulaw", "CORE_PCM_MODULE"),
    ("G.722", "mod_spandsp"),
    ("G.723.1 6.3k", "mod_g723_1"),
    ("G.726 16k", "mod_spandsp"),
    ("G.726 16k (AAL2)", "mod_spandsp"),
    ("G.726 24k", "mod_spandsp"),
    ("G.726 24k (AAL2)", "mod_spandsp"),
    ("G.726 32k", "mod_spandsp"),
    ("G.726 32k (AAL2)", "mod_spandsp"),
    ("G.726 40k", "mod_spandsp"),
    ("G.726 40k (AAL2)", "mod_spandsp"),
    ("GSM", "mod_spandsp"),
    ("LPC-10", "mod_spandsp"),
    ("OPUS (STANDARD)", "mod_opus"),
    ("PROXY PASS-THROUGH", "CORE_PCM_MODULE"),
    ("PROXY VIDEO PASS-THROUGH", "CORE_PCM_MODULE"),
    ("RAW Signed Linear (16 bit)", "CORE_PCM_MODULE"),
    ("Speex", "CORE_SPEEX_MODULE"),
)


def render(rows: list[Row], as_json: bool) -> str:
    """Rows as ``show`` prints them."""
    if as_json:
        if not rows:
            return '{"row_count": 0}\n'
        return orjson.dumps({"row_count": len(rows), "rows": rows}).decode()
    if not rows:
        return "\n0 total.\n"
    head = ",".join(rows[0]) + "\n"
    lines = "".join(",".join(row.values()) + "\n" for row in rows)
    return f"{head}{lines}\n{len(rows)} total.\n"


def channel_rows(switch: Switch) -> list[Row]:
    return [
        _channel_row(switch, channel)
        for channel in switch.channels.values()
        if channel.profile and channel.up
    ]


def _channel_row(switch: Switch, channel: Channel) -> Row:
    profile = channel.profile
    assert profile is not None
    first = channel.profiles[-1][0] if channel.profiles else profile
    flipped = bool(channel.text("channel_cid_flipped"))
    read = (channel.read_codec or channel.codec_name) if channel.has_media else ""
    write = channel.codec_name if channel.has_media else ""
    rate = "8000" if channel.has_media else ""
    return {
        "uuid": channel.uuid,
        "direction": channel.direction,
        "created": switch.clock.stamp(profile.times.created),
        "created_epoch": str(profile.times.created // 1_000_000),
        "name": channel.name,
        "state": f"CS_{channel.running.name}",
        "cid_name": profile.caller_id_name,
        "cid_num": profile.caller_id_number,
        "ip_addr": profile.network_addr,
        "dest": profile.destination_number,
        "application": channel.application,
        "application_data": channel.application_data,
        "dialplan": profile.dialplan,
        "context": profile.context,
        "read_codec": read,
        "read_rate": rate,
        "read_bit_rate": BIT_RATES.get(read, ""),
        "write_codec": write,
        "write_rate": rate,
        "write_bit_rate": BIT_RATES.get(write, ""),
        "secure": "",
        "hostname": switch.hostname,
        "presence_id": channel.presence_id,
        "presence_data": "",
        "accountcode": channel.text("accountcode") if channel.originator is None else "",
        "callstate": channel.call_state,
        "callee_name": profile.callee_id_name,
        "callee_num": profile.callee_id_number,
        "callee_direction": "SEND" if channel.text("last_sent_callee_id_number") else "",
        "call_uuid": channel.call_uuid if channel.partner else "",
        "sent_callee_name": channel.text("last_sent_callee_id_name"),
        "sent_callee_num": channel.text("last_sent_callee_id_number"),
        "initial_cid_name": channel.text("pre_transfer_caller_id_name") if flipped else first.caller_id_name,
        "initial_cid_num": channel.text("pre_transfer_caller_id_number")
        if flipped
        else first.caller_id_number,
        "initial_ip_addr": ""
        if channel.originator is None and channel.direction == "outbound"
        else first.network_addr,
        "initial_dest": first.destination_number,
        "initial_dialplan": ""
        if channel.originator is None and channel.direction == "outbound"
        else first.dialplan,
        "initial_context": first.context,
    }


_CALL_FIELDS = [
    "uuid",
    "direction",
    "created",
    "created_epoch",
    "name",
    "state",
    "cid_name",
    "cid_num",
    "ip_addr",
    "dest",
    "presence_id",
    "presence_data",
    "accountcode",
    "callstate",
    "callee_name",
    "callee_num",
    "callee_direction",
    "call_uuid",
    "hostname",
    "sent_callee_name",
    "sent_callee_num",
]
_CALL_B_FIELDS = [name for name in _CALL_FIELDS if name not in ("call_uuid", "hostname")]


def call_rows(switch: Switch) -> list[Row]:
    rows = []
    for a, b, since in switch.bridges.values():
        if a.profile and b.profile:
            first, second = _channel_row(switch, a), _channel_row(switch, b)
            row = {name: first[name] for name in _CALL_FIELDS}
            row |= {f"b_{name}": second[name] for name in _CALL_B_FIELDS}
            row["call_created_epoch"] = str(since)
            rows.append(row)
    return rows


def registration_rows(switch: Switch) -> list[Row]:
    return [
        {
            "reg_user": held.user,
            "realm": held.domain,
            "token": held.call_id,
            "url": held.contact,
            "expires": str(int(held.expires_at)),
            "network_ip": held.host,
            "network_port": str(held.port),
            "network_proto": "udp",
            "hostname": switch.hostname,
            "metadata": "",
        }
        for held in switch.registrar.core_list.values()
    ]


def _codec_rows(switch: Switch) -> list[Row]:
    return [{"type": "codec", "name": name, "ikey": module} for name, module in CODECS]


def _api_rows(switch: Switch) -> list[Row]:
    from .api import COMMANDS

    return [
        {"name": name, "description": "", "syntax": "", "ikey": "mod_commands"} for name in sorted(COMMANDS)
    ]


def _application_rows(switch: Switch) -> list[Row]:
    from .apps import APPLICATIONS

    return [
        {"name": name, "description": "", "syntax": "", "ikey": "mod_dptools"}
        for name in sorted(APPLICATIONS)
    ]


def _module_rows(switch: Switch) -> list[Row]:
    from .api_switch import MODULES

    return [{"type": "generic", "name": name, "ikey": name, "filename": ""} for name in sorted(MODULES)]


SHOWN: dict[str, Callable[[Switch], list[Row]]] = {
    "channels": channel_rows,
    "calls": call_rows,
    "bridged_calls": call_rows,
    "registrations": registration_rows,
    "codec": _codec_rows,
    "codecs": _codec_rows,
    "api": _api_rows,
    "application": _application_rows,
    "modules": _module_rows,
}


# Sofia


def sofia_text(switch: Switch) -> str:
    lines = [f"{'Name':>25}\t{'Type':>7}\t{'Data':>42}\tState\n", RULE]
    address = "127.0.0.1"
    lines.append(f"{switch.domain:>25}\t{'alias':>7}\t{'internal':>42}\tALIASED\n")
    lines.append(f"{'external':>25}\t{'profile':>7}\t{f'sip:mod_sofia@{address}:5080':>42}\tRUNNING (0)\n")
    for name, gateway in reversed(switch.gateways.items()):
        data = f"sip:{gateway.param('username')}@{gateway.proxy}"
        lines.append(f"{f'external::{name}':>25}\t{'gateway':>7}\t{data:>42}\t{gateway.state}\n")
    lines.append(f"{'internal':>25}\t{'profile':>7}\t{f'sip:mod_sofia@{address}:5060':>42}\tRUNNING (0)\n")
    return "".join(lines) + RULE + "2 profiles 1 alias\n"


def registrations_text(switch: Switch) -> str:
    text = "\nRegistrations:\n" + RULE
    for held in switch.registrar.registrations.values():
        left = int(held.expires_at - time.time())
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(held.expires_at))
        fields = (
            ("Call-ID:    ", held.call_id),
            ("User:       ", f"{held.user}@{held.domain}"),
            ("Contact:    ", held.contact_header),
            ("Agent:      ", held.agent),
            ("Status:     ", f"Registered(UDP)(unknown) EXP({until}) EXPSECS({left})"),
            ("Ping-Status:", "Reachable"),
            ("Ping-Time:", "0.00"),
            ("Host:       ", switch.hostname),
            ("IP:         ", held.host),
            ("Port:       ", str(held.port)),
            ("Auth-User:  ", held.user),
            ("Auth-Realm: ", held.domain),
            ("MWI-Account:", f"{held.user}@{held.domain}"),
        )
        text += "".join(f"{name}\t{value}\n" for name, value in fields) + "\n"
    return text + f"Total items returned: {len(switch.registrar.registrations)}\n" + RULE


def registrations_xml(switch: Switch, profile: str) -> str:
    lines = [XML_HEAD, "<profile>\n  <registrations>\n"]
    held_here = switch.registrar.registrations.values() if profile == "internal" else ()
    for held in held_here:
        left = int(held.expires_at - time.time())
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(held.expires_at))
        fields = (
            ("call-id", held.call_id),
            ("user", f"{held.user}@{held.domain}"),
            ("contact", held.contact_header),
            ("agent", held.agent),
            ("status", f"Registered(UDP)(unknown) exp({until}) expsecs({left})"),
            ("ping-status", "Reachable"),
            ("ping-time", "0.00"),
            ("host", switch.hostname),
            ("network-ip", held.host),
            ("network-port", str(held.port)),
            ("sip-auth-user", held.user),
            ("sip-auth-realm", held.domain),
            ("mwi-account", f"{held.user}@{held.domain}"),
        )
        inside = "".join(f"        <{name}>{_xml(value)}</{name}>\n" for name, value in fields)
        lines.append(f"    <registration>\n{inside}    </registration>\n")
    return "".join(lines) + "  </registrations>\n</profile>\n"


def _xml(text: str) -> str:
    return escape(text, {'"': "&quot;"})


def profiles_xml(switch: Switch) -> str:
    rows = "".join(
        f"<profile>\n<name>{name}</name>\n<type>profile</type>\n<data>sip:mod_sofia@127.0.0.1:{port}</data>\n"
        f"<state>RUNNING (0)</state>\n</profile>\n"
        for name, port in (("external", "5080"), ("internal", "5060"))
    )
    return f"{XML_HEAD}<profiles>\n{rows}</profiles>\n"


def _gateway_fields(gateway: Gateway, switch: Switch) -> dict[str, str]:
    name, user, proxy = gateway.settings.name, gateway.param("username"), gateway.proxy
    expires = gateway.param("expire-seconds", "3600")
    ping = gateway.param("ping", "0")
    pinging = ping != "0"
    return {
        "name": name,
        "profile": gateway.settings.profile,
        "scheme": "Digest",
        "realm": gateway.param("realm", name),
        "username": user,
        "password": "yes" if gateway.param("password") else "no",
        "from": f"<sip:{gateway.param('from-user', user)}@{gateway.param('from-domain', proxy)}>",
        "contact": f"<sip:gw+{name}@127.0.0.1:5080;transport=udp;gw={name}>",
        "exten": gateway.param("extension", user),
        "to": f"sip:{user}@{proxy}",
        "proxy": f"sip:{proxy}",
        "context": gateway.param("context", "public"),
        "expires": expires,
        "freq": expires,
        "ping": str(int(time.time()) + 5) if pinging else "0",
        "pingfreq": ping,
        "pingmin": gateway.param("ping-min", "1") if pinging else "0",
        "pingcount": "0",
        "pingmax": gateway.param("ping-max", "1") if pinging else "0",
        "pingtime": "0.00",
        "pinging": "0",
        "state": gateway.state,
        "status": gateway.status,
        "uptime-usec": str(int((time.monotonic() - gateway.started) * 1e6))
        if gateway.status == "UP"
        else "0",
        "calls-in": str(gateway.calls_in),
        "calls-out": str(gateway.calls_out),
        "failed-calls-in": str(gateway.failed_calls_in),
        "failed-calls-out": str(gateway.failed_calls_out),
    }


def gateway_xml(gateway: Gateway, switch: Switch, indent: str) -> str:
    fields = _gateway_fields(gateway, switch)
    inside = "".join(f"{indent}  <{name}>{escape(value)}</{name}>\n" for name, value in fields.items())
    return f"{indent}<gateway>\n{inside}{indent}</gateway>\n"


def gateway_text(gateway: Gateway, switch: Switch) -> str:
    fields = _gateway_fields(gateway, switch)
    up = int(time.monotonic() - gateway.started) if gateway.status == "UP" else 0
    rows = (
        ("Name    ", "name"),
        ("Profile ", "profile"),
        ("Scheme  ", "scheme"),
        ("Realm   ", "realm"),
        ("Username", "username"),
        ("Password", "password"),
        ("From    ", "from"),
        ("Contact ", "contact"),
        ("Exten   ", "exten"),
        ("To      ", "to"),
        ("Proxy   ", "proxy"),
        ("Context ", "context"),
        ("Expires ", "expires"),
        ("Freq    ", "freq"),
        ("Ping    ", "ping"),
        ("PingFreq", "pingfreq"),
        ("PingTime", "pingtime"),
    )
    text = RULE + "".join(f"{shown}\t{fields[name]}\n" for shown, name in rows)
    text += f"PingState\t{fields['pingmin']}/{fields['pingcount']}/{fields['pingmax']}\n"
    text += f"State   \t{gateway.state}\nStatus  \t{gateway.status}\nUptime  \t{up}s\n"
    text += f"CallsIN \t{gateway.calls_in}\nCallsOUT\t{gateway.calls_out}\n"
    return (
        text
        + f"FailedCallsIN\t{gateway.failed_calls_in}\nFailedCallsOUT\t{gateway.failed_calls_out}\n"
        + RULE
    )
