"""API commands: what ``api`` and ``bgapi`` can ask for, and what ``${…()}`` can."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from . import tables
from .answering import answer
from .bridging import bridge_existing, hold, transfer, unhold
from .channel import Channel, State
from .dialling import adopt_user, dial
from .dialplan import Extension, search
from .dialstring import separate
from .display import flip_caller_id
from .events import json_object, plain_lines
from .messages import Message
from .version import FULL_VERSION, GIT, VERSION

if TYPE_CHECKING:
    from .core import Switch

Handler = Callable[["Switch", str], "str | Awaitable[str]"]

NO_CHANNEL = "-ERR No such channel!\n"
RULE = "=" * 97 + "\n"
ORIGINATE_USAGE = (
    "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] [<cid_num>]"
    " [<timeout_sec>]\n"
)
ORIGINATE_TIMEOUT = 60.0
MODULES = frozenset(
    [
        "mod_sofia",
        "mod_event_socket",
        "mod_commands",
        "mod_dptools",
        "mod_dialplan_xml",
        "mod_loopback",
        "mod_voicemail",
        "mod_hash",
        "mod_conference",
        "mod_json_cdr",
        "mod_spandsp",
        "mod_sndfile",
        "mod_tone_stream",
        "mod_local_stream",
        "mod_console",
        "mod_logfile",
        "mod_db",
        "mod_fifo",
        "mod_valet_parking",
        "mod_esf",
        "mod_expr",
        "mod_httapi",
        "mod_native_file",
        "mod_opus",
    ]
)


async def run(switch: Switch, name: str, arguments: str, background: bool = False) -> str:
    """The answer of an API command, with the line end that the switch gives it."""
    handler = COMMANDS.get(name.lower())
    if handler is None:
        return f"-ERR {name} Command not found!\n"
    answer = handler(switch, arguments)
    return answer if isinstance(answer, str) else await answer


def expansion(switch: Switch, name: str, arguments: str, channel: Channel | None) -> str:
    """A function inside ``${…}``: answered at once; shell commands are only noted."""
    handler = COMMANDS.get(name.lower())
    if name.lower() in _SHELL:
        switch.would_execute(arguments)
        return ""
    if handler is None or name.lower() in _SLOW:
        return ""
    answer = handler(switch, arguments)
    return answer if isinstance(answer, str) else ""


# The switch


def _status(switch: Switch, arguments: str) -> str:
    active = len(switch.channels)
    return (
        f"UP {switch.uptime_text()}\n"
        f"FreeSWITCH (Version {VERSION} {GIT}) is ready\n"
        f"{switch.session_count} session(s) since startup\n"
        f"{active} session(s) - peak {switch.peak_sessions}, last 5min {switch.peak_sessions} \n"
        f"{switch.sessions_last_second()} session(s) per Sec out of max 30, peak {switch.peak_per_second},"
        f" last 5min {switch.peak_per_second} \n"
        "1000 session(s) max\nmin idle cpu 0.00/98.57\nCurrent Stack Size/Max 240K/8192K\n"
    )


def _version(switch: Switch, arguments: str) -> str:
    return f"FreeSWITCH Version {FULL_VERSION} ({GIT})\n"


async def _reloadxml(switch: Switch, arguments: str) -> str:
    return f"+OK [{await switch.reload()}]\n"


def _global_getvar(switch: Switch, arguments: str) -> str:
    if arguments:
        return switch.variables.get(arguments.strip(), "")
    return "".join(f"{name}={value}\n" for name, value in switch.variables.items())


def _global_setvar(switch: Switch, arguments: str) -> str:
    name, equals, value = arguments.partition("=")
    if not equals:
        return "-USAGE: <var>=<value> [=<value2>]\n"
    switch.variables[name.strip()] = value.strip()
    return "+OK"


def _hostname(switch: Switch, arguments: str) -> str:
    return switch.hostname


def _uptime(switch: Switch, arguments: str) -> str:
    return f"{int(time.time() - switch.started)}\n"


def _strepoch(switch: Switch, arguments: str) -> str:
    if not arguments:
        return str(int(time.time()))
    try:
        return str(int(time.mktime(time.strptime(arguments.strip(), "%Y-%m-%d %H:%M:%S"))))
    except ValueError:
        return "0"


def _strftime(switch: Switch, arguments: str) -> str:
    stamp, bar, form = arguments.partition("|")
    if bar and stamp.isdigit():
        return time.strftime(form, time.localtime(int(stamp)))
    return time.strftime(arguments or "%Y-%m-%d %T", time.localtime())


def _fsctl(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if not words:
        return "-USAGE: [recover|send_sighup|hupall|flush_db_handles|pause|resume|shutdown|sps|loglevel|…]\n"
    if words[0] == "shutdown":
        if "cancel" not in words:
            switch.spawn(switch.shut_down())
        return "+OK\n"
    if words[0] == "hupall":
        switch.hang_up_all("MANAGER_REQUEST")
    return "+OK\n"


def _module_exists(switch: Switch, arguments: str) -> str:
    return "true" if arguments.strip() in MODULES else "false"


def _eval(switch: Switch, arguments: str) -> str:
    target = re.match(r"uuid:(\S+) (.*)", arguments, re.DOTALL)
    channel = switch.channels.get(target[1]) if target else None
    return switch.expand_with(target[2] if target else arguments, {}, channel)


def _echo(switch: Switch, arguments: str) -> str:
    return arguments


def _regex(switch: Switch, arguments: str) -> str:
    text, _, rest = arguments.partition("|")
    pattern, bar, replacement = rest.partition("|")
    match = search(pattern, text)
    if not bar:
        return "true" if match else "false"
    if match is None:
        return text
    return re.sub(r"%(\d)", lambda one: match[int(one[1])] or "", replacement)


def _cond(switch: Switch, arguments: str) -> str:
    test, _, outcomes = arguments.partition("?")
    yes, _, no = outcomes.partition(":")
    found = re.match(r"\s*(.*?)\s*(==|!=|>=|<=|>|<)\s*(.*?)\s*$", test)
    if not found:
        return "-ERR"
    left, operator, right = found[1].strip("'"), found[2], found[3].strip("'")
    return yes.strip() if _compare(left, operator, right) else no.strip()


def _compare(left: str, operator: str, right: str) -> bool:
    if re.fullmatch(r"-?\d+(\.\d+)?", left) and re.fullmatch(r"-?\d+(\.\d+)?", right):
        order = (float(left) > float(right)) - (float(left) < float(right))
    else:
        order = (left > right) - (left < right)
    return {
        "==": order == 0,
        "!=": order != 0,
        ">": order > 0,
        "<": order < 0,
        ">=": order >= 0,
        "<=": order <= 0,
    }[operator]


def _json_api(switch: Switch, arguments: str) -> str:
    try:
        request = json.loads(arguments)
    except ValueError:
        return '{"status":"error","message":"invalid JSON"}\n'
    request["status"] = "success"
    request["response"] = {
        "systemStatus": "ready",
        "uptime": _uptime_parts(switch),
        "version": f"{VERSION} {GIT}",
        "sessions": {
            "count": {
                "total": switch.session_count,
                "active": len(switch.channels),
                "peak": switch.peak_sessions,
                "peak5Min": switch.peak_sessions,
                "limit": 1000,
            },
            "rate": {
                "current": switch.sessions_last_second(),
                "max": 30,
                "peak": switch.peak_per_second,
                "peak5Min": switch.peak_per_second,
            },
        },
        "idleCPU": {"used": 0, "allowed": 98.5},
        "stackSizeKB": {"current": 240, "max": 8192},
    }
    return json.dumps(request, separators=(",", ":")) + "\n"


def _uptime_parts(switch: Switch) -> dict[str, int]:
    parts = re.findall(r"(\d+) ([a-z]+?)s?(?:,|$)", switch.uptime_text())
    return {unit if unit.endswith("s") else unit + "s": int(count) for count, unit in parts}


def _xml_locate(switch: Switch, arguments: str) -> str:
    from xml.etree.ElementTree import tostring

    words = arguments.split()
    if not words:
        return "-USAGE: [root | <section> <tag> <tag_attr_name> <tag_attr_val>]\n"
    root = switch.configuration.root
    if words[0] == "root":
        return tostring(root, encoding="unicode")
    section = next((one for one in root.iter("section") if one.get("name") == words[0]), None)
    if section is None:
        return "-ERR bad args\n"
    if len(words) == 1:
        return tostring(section, encoding="unicode")
    for node in section.iter(words[1]):
        if len(words) < 4 or node.get(words[2]) == words[3]:
            return tostring(node, encoding="unicode")
    return "-ERR bad args\n"


def _hash(switch: Switch, arguments: str) -> str:
    verb, realm, key, value = ([*arguments.split("/", 3), "", "", ""])[:4]
    name = f"{realm}_{key}"
    if verb == "insert":
        switch.hash_table[name] = value
        return "+OK\n"
    if verb == "delete":
        return "+OK\n" if switch.hash_table.pop(name, None) is not None else "-ERR Not found\n"
    if verb == "select":
        return switch.hash_table.get(name, "")
    return "-USAGE: [insert|insert_ifempty|delete|delete_ifmatch|select]/<realm>/<key>/<value>\n"


# The directory


def _user_exists(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ")
    if len(words) < 3:
        return "-USAGE: <key> <user> <domain>\n"
    return "true" if switch.configuration.user(words[1], words[2]) else "false"


def _user_data(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ")
    if len(words) < 3:
        return "-USAGE: <user>@<domain> [attr|var|param] <name>\n"
    name, _, domain = words[0].partition("@")
    user = switch.configuration.user(name, domain or switch.domain)
    if user is None:
        return ""
    table = {"param": user.params, "var": user.variables, "attr": user.attributes}.get(words[1], {})
    return table.get(words[2], "")


def _domain_exists(switch: Switch, arguments: str) -> str:
    return "true" if arguments.strip() in switch.configuration.domains else "false"


def _list_users(switch: Switch, arguments: str) -> str:
    lines = [
        "userid|context|domain|group|contact|callgroup|effective_caller_id_name|effective_caller_id_number\n"
    ]
    for domain in switch.configuration.domains:
        for user_id in switch.configuration.user_ids(domain):
            user = switch.configuration.user(user_id, domain)
            assert user is not None
            contact = switch.registrar.contact(user_id, domain)
            names = ("callgroup", "effective_caller_id_name", "effective_caller_id_number")
            fields = [user_id, user.variables.get("user_context", ""), domain, user.group, contact]
            lines.append("|".join(fields + [user.variables.get(name, "") for name in names]) + "\n")
    return "".join(lines) + "\n+OK\n"


def _sofia_contact(switch: Switch, arguments: str) -> str:
    address = arguments.rsplit("/", maxsplit=1)[-1].strip()
    name, _, domain = address.partition("@")
    return switch.registrar.contact(name, domain or switch.domain)


def _group_call(switch: Switch, arguments: str) -> str:
    group, _, domain = arguments.partition("@")
    domain = domain.partition("+")[0] or switch.domain
    contacts = [switch.registrar.contact(member, domain) for member in switch.group_members(group, domain)]
    return ",".join(one for one in contacts if not one.startswith("error")) or "error/NO_ROUTE_DESTINATION"


# Sofia


async def _sofia(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if not words:
        return "-USAGE: sofia help\n"
    if words[0] == "profile":
        return await _sofia_profile(switch, words[1:])
    if words[0] == "status":
        return _sofia_status(switch, words[1:])
    if words[0] == "xmlstatus":
        return _sofia_xmlstatus(switch, words[1:])
    if words[0] == "loglevel" or words[0] == "tracelevel":
        return "+OK\n"
    return "Unknown command!\n"


async def _sofia_profile(switch: Switch, words: list[str]) -> str:
    name = words[0] if words else ""
    if name not in switch.profiles:
        return f"Invalid Profile [{name}]"
    verb = words[1] if len(words) > 1 else ""
    rest = words[2:]
    if verb == "rescan":
        result = await switch.reload()
        switch.gateway_list.rescan(name)
        return f"Reload XML [{result}]\n+OK scan complete\n"
    if verb == "killgw":
        if not rest:
            return "-ERR missing gw name\n"
        return (
            "+OK gateway marked for deletion.\n"
            if switch.gateway_list.kill(rest[0])
            else "Invalid Gateway!\n"
        )
    if verb == "flush_inbound_reg":
        switch.registrar.flush(rest[0] if rest and rest[0] != "reboot" else "")
        matching = " matching specified call_id" if rest and rest[0] != "reboot" else ""
        doing = "rebooting" if "reboot" in rest else "flushing"
        return f"+OK {doing} all registrations{matching}\n"
    if verb in ("start", "stop", "restart", "siptrace", "register", "unregister", "check_sync"):
        return "+OK\n"
    return "-ERR Unknown command!\n"


def _sofia_status(switch: Switch, words: list[str]) -> str:
    if words[:1] == ["gateway"]:
        gateway = switch.gateways.get(words[1]) if len(words) > 1 else None
        return tables.gateway_text(gateway, switch) if gateway else "Invalid Gateway!\n"
    if words[:1] == ["profile"]:
        if len(words) < 2 or words[1] not in switch.profiles:
            return f"Invalid Profile [{words[1] if len(words) > 1 else ''}]"
        if "reg" in words[2:]:
            return tables.registrations_text(switch)
    return tables.sofia_text(switch)


def _sofia_xmlstatus(switch: Switch, words: list[str]) -> str:
    if words[:1] == ["gateway"]:
        if len(words) > 1:
            gateway = switch.gateways.get(words[1])
            if gateway is None:
                return "Invalid Gateway!\n"
            return tables.XML_HEAD + tables.gateway_xml(gateway, switch, "")
        inside = "".join(tables.gateway_xml(one, switch, "  ") for one in reversed(switch.gateways.values()))
        return f"{tables.XML_HEAD}<gateways>\n{inside}</gateways>\n"
    if words[:1] == ["profile"]:
        if len(words) < 2 or words[1] not in switch.profiles:
            return f"Invalid Profile [{words[1] if len(words) > 1 else ''}]"
        return tables.registrations_xml(switch, words[1])
    return tables.profiles_xml(switch)


# Showing


def _show(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    what = words[0] if words else ""
    as_json = words[-2:] == ["as", "json"]
    limit = " ".join(words)
    if what == "channels" and "count" in limit.split()[:2]:
        rows: list[dict[str, str]] = tables.channel_rows(switch)
        return f'{{"row_count":{len(rows)}}}\n' if as_json else f"\n{len(rows)} total.\n"
    maker = tables.SHOWN.get(what)
    if maker is None:
        return "-USAGE: " + tables.SHOW_USAGE
    return tables.render(maker(switch), as_json, tables.COLUMNS.get(what, ()))


# Calls


async def _originate(switch: Switch, arguments: str) -> str:
    words: list[str] = separate(arguments, " ", 10)
    if not 2 <= len(words) <= 7:
        return ORIGINATE_USAGE
    given = [None if word.lower() == "undef" else word for word in words] + [None] * 7
    timeout = float(given[6]) if given[6] and given[6].isdigit() else ORIGINATE_TIMEOUT
    channel, cause = await dial(switch, given[0] or "", None, timeout, (given[4] or "", given[5] or ""))
    if channel is None:
        return f"-ERR {cause}\n"
    adopt_user(channel)
    target = given[1] or ""
    if target.startswith("&") and len(target) > 1:
        inside = target[1:].partition(")")[0]
        name, _, data = inside.partition("(")
        flip_caller_id(channel)
        _preset(channel, name, data)
    else:
        transfer(channel, target, given[2] or "XML", given[3] or "default")
    return f"+OK {channel.uuid}\n"


def _preset(channel: Channel, name: str, data: str) -> None:
    channel.extension = Extension(name, data, [(name, data)])
    channel.set_state(State.EXECUTE)


def _find(switch: Switch, uuid: str) -> Channel | None:
    channel = switch.channels.get(uuid)
    return channel if channel is not None and channel.up else None


def _uuid_kill(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if not words:
        return "-USAGE: <uuid> [cause]\n"
    channel = _find(switch, words[0])
    if channel is None:
        return NO_CHANNEL
    channel.hangup(words[1].upper() if len(words) > 1 else "NORMAL_CLEARING")
    return "+OK\n"


def _uuid_exists(switch: Switch, arguments: str) -> str:
    return "true" if arguments.strip() in switch.channels else "false"


def _uuid_getvar(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ")
    if len(words) < 2:
        return "-USAGE: <uuid> <var>\n"
    channel = switch.channels.get(words[0])
    if channel is None:
        return NO_CHANNEL
    return channel.get_variable(words[1]) or "_undef_"


def _uuid_setvar(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ", 2)
    if len(words) < 2:
        return "-USAGE: <uuid> <var> [value]\n"
    channel = _find(switch, words[0])
    if channel is None:
        return NO_CHANNEL
    channel.set_variable(words[1], words[2] if len(words) > 2 else "")
    return "+OK\n"


def _uuid_dump(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if not words:
        return "-USAGE: <uuid> [format]\n"
    channel = switch.channels.get(words[0])
    if channel is None:
        return NO_CHANNEL
    event = channel.event("CHANNEL_DATA")
    form = words[1].lower() if len(words) > 1 else "txt"
    if form == "json":
        return json_object(event.headers).decode("utf-8", "surrogateescape")
    if form == "xml":
        return event.frame("xml").partition(b"\n\n")[2].decode("utf-8", "surrogateescape")
    return urllib.parse.unquote(plain_lines(event.headers)) + "\n"


def _uuid_hold(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if not words:
        return "-USAGE: [off|toggle] <uuid> [<display>]\n"
    off = words[0] == "off"
    uuid = words[1] if words[0] in ("off", "toggle") and len(words) > 1 else words[0]
    channel = _find(switch, uuid)
    if channel is None:
        return "-ERR Operation failed\n"
    if words[0] == "toggle":
        off = channel.held
    switch.call_soon(unhold if off else hold, channel)
    return "+OK Success\n"


def _uuid_park(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if not words:
        return "-USAGE: <uuid>\n"
    channel = _find(switch, words[0])
    if channel is None:
        return NO_CHANNEL
    channel.set_state(State.PARK)
    return "+OK\n"


def _uuid_transfer(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if len(words) < 2:
        return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
    channel = _find(switch, words[0])
    if channel is None:
        return NO_CHANNEL
    targets = [channel]
    rest = words[1:]
    if rest[0] in ("-bleg", "-both"):
        if channel.partner is None:
            return "-ERR No bridge partner\n" if rest[0] == "-bleg" else NO_CHANNEL
        targets = [channel.partner] if rest[0] == "-bleg" else [channel, channel.partner]
        rest = rest[1:]
    number, plan, context = ([*rest, "", "", ""])[:3]
    for target in targets:
        transfer(target, number, plan, context)
    return "+OK\n"


def _uuid_bridge(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if len(words) != 2:
        return "-USAGE: <uuid> <other_uuid>\n"
    first, second = _find(switch, words[0]), _find(switch, words[1])
    if first is None or second is None:
        return "-ERR Invalid uuid\n"
    bridge_existing(first, second)
    return f"+OK {words[1]}\n"


def _uuid_broadcast(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ", 2)
    if len(words) < 2:
        return "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n"
    channel = _find(switch, words[0])
    if channel is None:
        return NO_CHANNEL
    where = words[2] if len(words) > 2 else "aleg"
    application, _, data = words[1].partition("::") if "::" in words[1] else ("playback", "", words[1])
    targets = {"aleg": [channel], "bleg": [channel.partner], "both": [channel, channel.partner]}
    for target in targets.get(where.strip(), [channel]):
        if target is not None:
            headers = {"call-command": "execute", "execute-app-name": application, "execute-app-arg": data}
            target.post(Message(headers))
    return "+OK Message sent\n"


def _uuid_record(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ")
    if len(words) < 3:
        return "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"
    channel = _find(switch, words[0])
    if channel is None:
        return NO_CHANNEL
    if words[1] == "start":
        switch.call_soon(switch.start_recording, channel, words[2])
    elif words[1] == "stop":
        switch.call_soon(switch.stop_recording, channel, words[2])
    return "+OK Success\n"


def _uuid_send_dtmf(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if len(words) < 2:
        return "-USAGE: <uuid> <dtmf_data>\n"
    channel = _find(switch, words[0])
    if channel is None:
        return "-ERR no such channel\n"
    channel.set_variable("last_dtmf_duration", "1500")
    return f"+OK {channel.uuid} sent DTMF {words[1]}.\n"


def _uuid_break(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    channel = _find(switch, words[0]) if words else None
    if channel is None:
        return NO_CHANNEL if words else "-USAGE: <uuid> [all]\n"
    channel.broken_off += 1
    channel.wake()
    return "+OK\n"


def _uuid_answer(switch: Switch, arguments: str) -> str:
    channel = _find(switch, arguments.strip())
    if channel is None:
        return NO_CHANNEL
    answer(channel)
    return "+OK\n"


def _hupall(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    cause = words[0].upper() if words else "MANAGER_REQUEST"
    switch.hang_up_all(cause)
    return f"+OK hangup all channels with cause {cause}\n"


def _create_uuid(switch: Switch, arguments: str) -> str:
    import uuid

    return str(uuid.uuid4())


def _system(switch: Switch, arguments: str) -> str:
    switch.would_execute(arguments)
    return "+OK\n"


def _url_decode(switch: Switch, arguments: str) -> str:
    return urllib.parse.unquote(arguments)


def _say_ok(switch: Switch, arguments: str) -> str:
    return "+OK\n"


def _empty(switch: Switch, arguments: str) -> str:
    return ""


_SHELL = frozenset(
    {"system", "bg_system", "bgsystem", "spawn", "spawn_stream", "lua", "luarun", "perl", "python"}
)
_SLOW = frozenset({"originate", "reloadxml", "sofia", "fsctl", "hupall"})

COMMANDS: dict[str, Handler] = {
    "status": _status,
    "version": _version,
    "reloadxml": _reloadxml,
    "global_getvar": _global_getvar,
    "global_setvar": _global_setvar,
    "hostname": _hostname,
    "switchname": _hostname,
    "uptime": _uptime,
    "strepoch": _strepoch,
    "strftime": _strftime,
    "fsctl": _fsctl,
    "module_exists": _module_exists,
    "eval": _eval,
    "expand": _eval,
    "echo": _echo,
    "regex": _regex,
    "cond": _cond,
    "json": _json_api,
    "xml_locate": _xml_locate,
    "hash": _hash,
    "user_exists": _user_exists,
    "user_data": _user_data,
    "domain_exists": _domain_exists,
    "list_users": _list_users,
    "sofia_contact": _sofia_contact,
    "group_call": _group_call,
    "verto_contact": _empty,
    "sofia": _sofia,
    "show": _show,
    "originate": _originate,
    "uuid_kill": _uuid_kill,
    "uuid_exists": _uuid_exists,
    "uuid_getvar": _uuid_getvar,
    "uuid_setvar": _uuid_setvar,
    "uuid_dump": _uuid_dump,
    "uuid_hold": _uuid_hold,
    "uuid_park": _uuid_park,
    "uuid_transfer": _uuid_transfer,
    "uuid_bridge": _uuid_bridge,
    "uuid_broadcast": _uuid_broadcast,
    "uuid_record": _uuid_record,
    "uuid_send_dtmf": _uuid_send_dtmf,
    "uuid_break": _uuid_break,
    "uuid_answer": _uuid_answer,
    "hupall": _hupall,
    "create_uuid": _create_uuid,
    "system": _system,
    "bg_system": _system,
    "bgsystem": _system,
    "spawn": _system,
    "lua": _system,
    "url_decode": _url_decode,
    "log": _say_ok,
    "load": _say_ok,
    "unload": _say_ok,
    "reload": _say_ok,
    "reloadacl": _say_ok,
}
