"""API commands about the switch itself."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import time
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import tostring

from . import tables
from .dialplan import search
from .dialstring import separate
from .loglevels import DEBUG, log_level
from .version import FULL_VERSION, GIT, VERSION

if TYPE_CHECKING:
    from .core import Switch

_MODULE_NAMES = """
    sofia event_socket commands dptools dialplan_xml loopback voicemail hash conference json_cdr
    spandsp sndfile tone_stream local_stream console logfile db fifo valet_parking esf expr httapi
    native_file opus
"""
MODULES = frozenset(f"mod_{name}" for name in _MODULE_NAMES.split())


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
    """``name=value``; with a further ``=`` it sets only what has the second value now."""
    name, value, expected = ([*separate(arguments, "=", 3), "", "", ""])[:3]
    if not name:
        return "-USAGE: <var>=<value> [=<value2>]\n"
    if not expected or switch.variables.get(name) == expected:
        switch.set_global(name, value)
    return "+OK"


def _hostname(switch: Switch, arguments: str) -> str:
    return switch.hostname


def _uptime(switch: Switch, arguments: str) -> str:
    return f"{int(time.time() - switch.started)}\n"


def _strepoch(switch: Switch, arguments: str) -> str:
    if not arguments:
        return str(switch.clock.now() // 1_000_000)
    try:
        moment = datetime.datetime.fromisoformat(arguments.strip())
    except ValueError:
        return "0"
    return str(int(moment.replace(tzinfo=switch.clock.zone).timestamp()))


def _strftime(switch: Switch, arguments: str) -> str:
    stamp, bar, form = arguments.partition("|")
    if bar and stamp.isdigit():
        return switch.clock.local(int(stamp)).strftime(form)
    return switch.clock.local().strftime(arguments or "%Y-%m-%d %T")


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


async def _msleep(switch: Switch, arguments: str) -> str:
    digits = re.match(r"\d+", arguments)
    await asyncio.sleep(int(digits[0]) / 1000 if digits else 0)
    return "+OK"


def _log(switch: Switch, arguments: str) -> str:
    """A line for the switch's log; the first word is the level when there is another one."""
    word, space, text = arguments.partition(" ")
    level = log_level(word) if space else None
    switch.log(DEBUG if level is None else min(level, DEBUG), text if space else word, "mod_commands.c:7247")
    return "+OK\n"


def _regex(switch: Switch, arguments: str) -> str:
    delimiter = "|"
    if re.match(r"m:[|~/].", arguments):
        delimiter, arguments = arguments[2], arguments[3:]
    text, _, rest = arguments.partition(delimiter)
    pattern, bar, replacement = rest.partition(delimiter)
    match = search(pattern, text)
    if not bar:
        return "true" if match else "false"
    if match is None:
        return text
    return re.sub(r"%(\d)", lambda one: match[int(one[1])] or "", replacement)


_QUOTED = r"'((?:[^'\\]|\\.)*)'(?=\s)"
_CONDITION = re.compile(
    rf"(?:{_QUOTED}|([^' ][^ ]*))\s+(==|!=|>=|<=|>|<) *(?:{_QUOTED}|([^' ][^ ]*))\s+\?(.*)"
)
_PLAIN_NUMBER = re.compile(r"-?[0-9.]+")


def _cond(switch: Switch, arguments: str) -> str:
    found = _CONDITION.fullmatch(arguments.lstrip())
    outcomes = separate(found[6], ":", 2) if found else []
    if found is None or not outcomes:
        return "-ERR"
    left = found[1] if found[1] is not None else found[2]
    right = found[4] if found[4] is not None else found[5]
    numbers = (found[1] is None and _is_number(left), found[4] is None and _is_number(right))
    yes, no = ([*outcomes, ""])[:2]
    return yes if _compare(left, found[3], right, numbers) else no


def _is_number(text: str) -> bool:
    return _PLAIN_NUMBER.fullmatch(text) is not None


def _compare(left: str, operator: str, right: str, numbers: tuple[bool, bool]) -> bool:
    """As the switch does: two texts are equal or not; for everything else a text is its length."""
    if operator in ("==", "!=") and not any(numbers):
        return (left == right) == (operator == "==")
    values = [
        float(text) if number else float(len(text))
        for text, number in zip((left, right), numbers, strict=True)
    ]
    order = (values[0] > values[1]) - (values[0] < values[1])
    return {
        "==": order == 0,
        "!=": order != 0,
        ">": order > 0,
        "<": order < 0,
        ">=": order >= 0,
        "<=": order <= 0,
    }[operator]


def _limit_usage(switch: Switch, arguments: str) -> str:
    words = separate(arguments, " ")
    if len(words) < 3:
        return "USAGE: limit_usage <backend> <realm> <id> [rate]\n"
    used, rate = switch.limits.usage(words[1], words[2]) if words[0] == "hash" else (0, 0)
    return f"{used}/{rate}" if words[3:4] == ["rate"] else str(used)


def _json_api(switch: Switch, arguments: str) -> str:
    try:
        request = json.loads(arguments)
    except ValueError:
        return "-ERR Parse error.\n" if arguments else "-ERR No JSON supplied.\n"
    if request.get("command") != "status" or "data" not in request:
        request |= {"status": "error", "message": "Invalid request or non-existant command", "response": None}
        return json.dumps(request, separators=(",", ":")) + "\n"
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
    words = arguments.split()
    root = switch.configuration.root
    if words == ["root"]:
        return tostring(root, encoding="unicode")
    if len(words) not in (1, 4):
        return "-ERR bad args\n"
    section = next((one for one in root.findall("section") if one.get("name") == words[0]), None)
    if section is not None and len(words) == 1:
        return tostring(section, encoding="unicode")
    nodes = [] if section is None else section.findall(words[1])
    found = next((node for node in nodes if node.get(words[2]) == words[3]), None)
    return "can't find anything\n" if found is None else tostring(found, encoding="unicode")


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


def _db(switch: Switch, arguments: str) -> str:
    """mod_db's table: on disk, and so there after a restart."""
    verb, realm, key, value = ([*arguments.split("/", 3), "", "", ""])[:4]
    if verb == "insert":
        switch.options.database[realm, key] = value
        return "+OK"
    if verb == "delete":
        switch.options.database.pop((realm, key), None)
        return "+OK"
    if verb == "select":
        return switch.options.database.get((realm, key), "")
    if verb == "exists":
        return "true" if (realm, key) in switch.options.database else "false"
    return "-USAGE: [insert|delete|select|exists|count|list]/<realm>/<key>/<value>\n"


def _show(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    what = words[0] if words else ""
    as_json = words[-2:] == ["as", "json"]
    maker = tables.SHOWN.get(what)
    if maker is None:
        return "-USAGE: " + tables.SHOW_USAGE
    rows = maker(switch)
    if words[1:2] == ["count"]:
        return f'{{"row_count":{len(rows)}}}\n' if as_json else f"\n{len(rows)} total.\n"
    if words[1:2] == ["like"] and len(words) > 2:
        wanted = words[2].strip("'%")
        rows = [row for row in rows if any(wanted in value for value in row.values())]
    return tables.render(rows, as_json)


def _create_uuid(switch: Switch, arguments: str) -> str:
    return str(uuid.uuid4())


def _url_decode(switch: Switch, arguments: str) -> str:
    return urllib.parse.unquote(arguments)


def _say_ok(switch: Switch, arguments: str) -> str:
    return "+OK\n"


def _empty(switch: Switch, arguments: str) -> str:
    return ""


COMMANDS: dict[str, Callable[[Switch, str], str | Awaitable[str]]] = {
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
    "echo": _echo,
    "regex": _regex,
    "cond": _cond,
    "limit_usage": _limit_usage,
    "json": _json_api,
    "xml_locate": _xml_locate,
    "hash": _hash,
    "db": _db,
    "show": _show,
    "create_uuid": _create_uuid,
    "url_decode": _url_decode,
    "log": _log,
    "msleep": _msleep,
    "load": _say_ok,
    "unload": _say_ok,
    "reload": _say_ok,
    "reloadacl": _say_ok,
    "verto_contact": _empty,
}
