"""API commands about calls."""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .answering import answer
from .bridging import bridge_existing, hold, transfer, unhold
from .causes import known_cause
from .channel import Channel, State
from .dialling import adopt_user, dial
from .dialplan import Extension
from .dialstring import separate
from .display import flip_caller_id
from .events import json_object, plain_lines
from .messages import Message

if TYPE_CHECKING:
    from .core import Switch

ORIGINATE_USAGE = (
    "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] "
    "[<cid_num>] [<timeout_sec>]\n"
)
ORIGINATE_TIMEOUT = 60.0
NO_CHANNEL = "-ERR No such channel!\n"


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
    channel.hangup(known_cause(words[1]) if len(words) > 1 else "NORMAL_CLEARING")
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
        return "+OK Success\n"  # seen on a real switch: it says so of any UUID
    if words[0] == "toggle":
        off = channel.held
    if off != channel.held:
        return "-ERR Operation failed\n"
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
    legs = {"bleg": [channel.partner], "both": [channel, channel.partner]}.get(where.strip(), [channel])
    for leg in legs:
        if leg is not None:
            headers = {"call-command": "execute", "execute-app-name": application, "execute-app-arg": data}
            leg.post(Message(headers))
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
        if words[2] != "all" and words[2] not in channel.recordings:
            return "-ERR Cannot stop record session!\n"
        switch.call_soon(switch.stop_recording, channel, words[2])
    return "+OK Success\n"


def _uuid_buglist(switch: Switch, arguments: str) -> str:
    """Who listens to a channel's sound. Nothing at all for a channel that is not there."""
    words = arguments.split()
    if not words:
        return "-USAGE: <uuid>\n"
    channel = _find(switch, words[0])
    if channel is None:
        return ""
    bugs = "".join(
        f" <media-bug>\n  <function>session_record</function>\n  <target>{path}</target>\n"
        "  <thread-locked>0</thread-locked>\n </media-bug>\n"
        for path in channel.recordings
    )
    return f"<media-bugs>\n{bugs}</media-bugs>\n"


def _uuid_send_dtmf(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if len(words) < 2:
        return "-USAGE: <uuid> <dtmf_data>\n"
    channel = _find(switch, words[0])
    if channel is None:
        return "-ERR Cannot locate session!\n"
    channel.sent_digits += words[1]
    channel.set_variable("last_dtmf_duration", "1500")
    return f"+OK {channel.uuid} sent DTMF {words[1]}.\n"


def _uuid_recv_dtmf(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if len(words) < 2:
        return "-USAGE: <uuid> <dtmf_data>\n"
    channel = _find(switch, words[0])
    if channel is None:
        return "-ERR Cannot locate session!\n"
    channel.receive_digits(words[1], "APP")
    return f"+OK {channel.uuid} received DTMF {words[1]}.\n"


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
    if len(words) > 2:
        for channel in reversed(list(switch.channels.values())):
            if channel.get_variable(words[1]) == words[2]:
                channel.hangup(cause)
        return f"+OK hangup all channels matching [{words[1]}]=[{words[2]}] with cause: {cause}\n"
    switch.hang_up_all(cause)
    return f"+OK hangup all channels with cause {cause}\n"


COMMANDS: dict[str, Callable[[Switch, str], str | Awaitable[str]]] = {
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
    "uuid_buglist": _uuid_buglist,
    "uuid_send_dtmf": _uuid_send_dtmf,
    "uuid_recv_dtmf": _uuid_recv_dtmf,
    "uuid_break": _uuid_break,
    "uuid_answer": _uuid_answer,
    "hupall": _hupall,
}
