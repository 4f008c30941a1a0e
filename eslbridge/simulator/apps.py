"""Dialplan applications."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import Awaitable, Callable

from .answering import answer, pre_answer
from .bridging import bridge_to, eavesdrop, find_extension, transfer
from .causes import cause_of, known_cause, phrase_of
from .channel import Channel, State
from .consulting import att_xfer, intercept
from .dialplan import Extension
from .dialstring import separate
from .loglevels import log_level
from .messages import Message

Application = Callable[[Channel, str], Awaitable[str | None]]

# Seconds that the voicemail speaks before it hangs up, as recorded on a switch without sounds.
VOICEMAIL_SECONDS = 0.34
# Seconds that one run of a looping application must take, or there is no other.
SHORTEST_LOOP = 0.5


async def run_application(channel: Channel, name: str, data: str, app_uuid: str = "") -> str | None:
    """Runs one application with the events around it; returns its response.

    An unknown one ends the call, as on the switch.
    """
    application = APPLICATIONS.get(name.lower())
    if application is None:
        channel.hangup("DESTINATION_OUT_OF_ORDER")
        return None
    expanded = channel.expand(data)
    app_uuid = app_uuid or channel.text("app_uuid") or str(uuid.uuid4())
    channel.variables.pop("app_uuid", None)
    channel.app_log.append((name, expanded, channel.switch.clock.now()))
    channel.application, channel.application_data = name, expanded
    where = f"EXECUTE [depth=0] {channel.name} {name}({expanded})"
    channel.switch.log(6, where, "switch_core_session.c:2933", channel.uuid)
    channel.set_variable("current_application", name)
    channel.set_variable("current_application_data", expanded)
    channel.variables.pop("current_application_response", None)
    shown = [("Application", name)] + ([("Application-Data", expanded)] if expanded else [])
    channel.fire("CHANNEL_EXECUTE", after=[*shown, ("Application-UUID", app_uuid)])
    channel.set_variable("current_application", name)
    response = await application(channel, expanded)
    if response:
        channel.set_variable("current_application_response", response)
    shown.append(("Application-Response", channel.text("current_application_response") or "_none_"))
    channel.fire("CHANNEL_EXECUTE_COMPLETE", after=[*shown, ("Application-UUID", app_uuid)])
    return response


def run_inline(channel: Channel, name: str, data: str) -> None:
    """Runs an application while the dialplan is still being walked through; only a few can."""
    application = name.lower()
    if application not in APPLICATIONS:
        channel.hangup("DESTINATION_OUT_OF_ORDER")
    elif application not in INLINE:
        text = "This application cannot be executed inline"
        channel.switch.log(3, text, "mod_dialplan_xml.c:69", channel.uuid)
    else:
        # None of these waits for anything.
        with contextlib.suppress(StopIteration):
            run_application(channel, name, data).send(None)


async def run_message(channel: Channel, message: Message) -> None:
    """Does what a ``sendmsg`` asks."""
    command = message.headers.get("call-command", "").lower()
    try:
        if command == "execute":
            await _execute_message(channel, message)
        elif command == "hangup":
            channel.hangup(known_cause(message.headers.get("hangup-cause", "NORMAL_CLEARING")))
        elif command == "xferext":
            _run_extension(channel, message)
    finally:
        message.done.set()


def _run_extension(channel: Channel, message: Message) -> None:
    """An extension of the applications in the message, in place of what the channel does."""
    applications = [
        value.partition(" ")[::2] for name, value in message.given if name.lower() == "application"
    ]
    channel.preset = Extension("xferext", "xferext", applications)
    channel.set_state(State.ROUTING)


async def _execute_message(channel: Channel, message: Message) -> None:
    name = message.headers.get("execute-app-name", "")
    data = message.headers.get("execute-app-arg", "")
    if not data and message.headers.get("content-type", "").lower() == "text/plain":
        data = message.body
    loops = message.headers.get("loops", "1")
    count = int(loops) if loops.lstrip("-").isdigit() else 1
    app_uuid = message.headers.get("event-uuid", "")
    state, ran, loop = channel.state, SHORTEST_LOOP, 0
    while loop != count and channel.state == state and ran >= SHORTEST_LOOP:
        began = time.monotonic()
        loop += 1
        channel.set_variable("current_loop", str(loop))
        channel.set_variable("total_loops", str(count))
        await run_application(channel, name, data, app_uuid)
        ran = time.monotonic() - began
        for loop_variable in ("current_loop", "total_loops"):
            channel.variables.pop(loop_variable, None)


# Variables


async def _set(channel: Channel, data: str) -> None:
    name, _, value = data.partition("=")
    channel.set_variable(name.strip(), "" if value == "_undef_" else value)


async def _unset(channel: Channel, data: str) -> None:
    channel.variables.pop(data, None)


async def _multiunset(channel: Channel, data: str) -> None:
    for name in data.split(" "):
        channel.variables.pop(name, None)


async def _set_global(channel: Channel, data: str) -> None:
    name, _, value = data.partition("=")
    channel.switch.set_global(name.strip(), value)


async def _multiset(channel: Channel, data: str) -> None:
    separator = " "
    if data.startswith("^^") and len(data) > 2:
        separator, data = data[2], data[3:]
    for item in data.split(separator):
        await _set(channel, item)


async def _export(channel: Channel, data: str) -> None:
    name, _, value = data.partition("=")
    bare = name.removeprefix("nolocal:")
    names = channel.text("export_vars")
    if name == bare:
        channel.set_variable(bare, value)
    else:
        channel.set_variable(name, value)
    channel.set_variable("export_vars", f"{names},{name}" if names else name)


async def _nothing(channel: Channel, data: str) -> None:
    """Applications whose effect nobody here can see."""


async def _log(channel: Channel, data: str) -> None:
    word, _, text = data.partition(" ")
    level = log_level(word)
    if level is None:
        level, text = 7, data
    channel.switch.log(level, text, uuid=channel.uuid)


async def _hash(channel: Channel, data: str) -> None:
    verb, realm, key, value = ([*data.split("/", 3), "", "", ""])[:4]
    if verb == "insert":
        channel.switch.hash_table[f"{realm}_{key}"] = value
    elif verb == "delete":
        channel.switch.hash_table.pop(f"{realm}_{key}", None)


# Answering


async def _answer(channel: Channel, data: str) -> None:
    answer(channel)


async def _pre_answer(channel: Channel, data: str) -> None:
    pre_answer(channel)


async def _ring_ready(channel: Channel, data: str) -> None:
    channel.mark_ringing()


async def _hangup(channel: Channel, data: str) -> None:
    channel.hangup(known_cause(data.strip()))


async def _respond(channel: Channel, data: str) -> None:
    """A final answer to whoever calls, in words of one's own. It ends the call, unless that was answered."""
    number, _, phrase = data.partition(" ")
    status = int(number) if number.isdigit() else 488
    if channel.direction != "inbound" or not channel.sip or channel.answered or status < 300:
        return
    channel.final_answer = f"{status} {phrase or phrase_of(status)}"
    channel.hangup(cause_of(status))


# Time


async def _sleep(channel: Channel, data: str) -> None:
    await channel.sleep(float(data or 0) / 1000)


def playing_time(data: str) -> float | None:
    """Seconds that a file takes; None when it cannot be opened."""
    data = re.sub(r"^\{[^}]*\}", "", data)
    scheme, _, rest = data.partition("://")
    if scheme == "silence_stream":
        milliseconds = rest.split(",")[0]
        return float(milliseconds) / 1000 if not milliseconds.startswith("-") else float("inf")
    if scheme == "tone_stream":
        tones = re.findall(r"%\((\d+),\s*(\d+)", rest)
        loops = re.search(r"loops=(-?\d+)", rest)
        once = sum(int(on) + int(off) for on, off in tones) / 1000
        return once * (int(loops[1]) if loops else 1) if not loops or int(loops[1]) > 0 else float("inf")
    return None


async def _playback(channel: Channel, data: str) -> str | None:
    if not channel.answered:
        pre_answer(channel)
    seconds = playing_time(data)
    if seconds is None:
        return "FILE NOT FOUND"
    before = channel.broken_off
    await channel.sleep(min(seconds, 3600 * 24))
    played = int(min(seconds, 3600) * 1000)
    channel.set_variable("playback_last_offset_pos", str(played * 8))
    channel.set_variable("playback_seconds", str(played // 1000))
    channel.set_variable("playback_ms", str(played))
    channel.set_variable("playback_samples", str(played * 8))
    return "FILE PLAYED" if channel.broken_off == before else "PLAYBACK INTERRUPTED"


async def _endless(channel: Channel, data: str) -> None:
    """A party that talks until somebody hangs up."""
    answer(channel)
    await channel.sleep(3600 * 24)


async def _park(channel: Channel, data: str) -> None:
    if channel.controlled:
        return
    channel.controlled = True
    channel.fire("CHANNEL_PARK")
    state, mark = channel.state, channel.broken_off
    while channel.state == state and channel.broken_off == mark:
        await channel.work_queue()
    channel.controlled = False
    channel.fire("CHANNEL_UNPARK")


async def _voicemail(channel: Channel, data: str) -> None:
    channel.set_variable("sound_prefix", channel.switch.variables.get("sound_prefix", ""))
    await channel.sleep(VOICEMAIL_SECONDS)


async def _eavesdrop(channel: Channel, data: str) -> None:
    answer(channel)
    await eavesdrop(channel, data.strip())


async def _att_xfer(channel: Channel, data: str) -> None:
    await att_xfer(channel, data.strip())


async def _intercept(channel: Channel, data: str) -> None:
    await intercept(channel, data.strip())


# Digits


async def _collect(channel: Channel, least: int, most: int, seconds: float, ends: str) -> str:
    digits = ""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while channel.up and len(digits) < most and loop.time() < until:
        while channel.digits:
            digit = channel.digits.pop(0)
            if digit in ends:
                return digits
            digits += digit
            if len(digits) >= most:
                return digits
        if not await channel.run_queue():
            await channel.wait(until - loop.time())
    return digits if len(digits) >= least else ""


async def _play_and_get_digits(channel: Channel, data: str) -> None:
    fields = data.split(" ")
    least, most, tries = int(fields[0]), int(fields[1]), int(fields[2])
    seconds, ends, variable = int(fields[3]) / 1000, fields[4], fields[7] if len(fields) > 7 else "dtmf"
    pattern = fields[8] if len(fields) > 8 else ".*"
    channel.variables.pop(variable, None)
    for _ in range(max(tries, 1)):
        digits = await _collect(channel, least, most, seconds, ends)
        if digits and re.search(pattern, digits):
            channel.set_variable(variable, digits)
            channel.set_variable("read_result", "success")
            return
        if not channel.up:
            return
    channel.set_variable("read_result", "failure")


async def _read(channel: Channel, data: str) -> None:
    fields = data.split(" ")
    least, most, variable = int(fields[0]), int(fields[1]), fields[3]
    seconds = int(fields[4]) / 1000 if len(fields) > 4 else 10.0
    digits = await _collect(channel, least, most, seconds, fields[5] if len(fields) > 5 else "#")
    channel.set_variable(variable, digits)
    channel.set_variable("read_result", "success" if digits else "timeout")


# Going elsewhere


async def _transfer(channel: Channel, data: str) -> None:
    fields = data.split(" ")
    legs = [channel]
    if fields[0] in ("-bleg", "-both"):
        partner = [channel.partner] if channel.partner is not None else []
        legs = partner if fields[0] == "-bleg" else [*partner, channel]
        fields = fields[1:]
    number, dialplan, context = ([*fields, "", "", ""])[:3]
    for leg in legs:
        transfer(leg, number, dialplan, context)


async def _execute_extension(channel: Channel, data: str) -> None:
    fields = [*data.split(" "), "", ""]
    extension = find_extension(channel, fields[0], fields[2] or channel.profile_field("context") or "")
    if extension is None:
        return
    for name, arguments in extension.applications:
        await run_application(channel, name, arguments)
        if not channel.up or channel.state != State.EXECUTE:
            return


async def _bridge(channel: Channel, data: str) -> None:
    await bridge_to(channel, data)


async def _socket(channel: Channel, data: str) -> None:
    await channel.switch.outbound_socket(channel, data)


async def _system(channel: Channel, data: str) -> None:
    channel.switch.would_execute(data)


async def _record_session(channel: Channel, data: str) -> None:
    channel.switch.start_recording(channel, data)


async def _stop_record_session(channel: Channel, data: str) -> None:
    channel.switch.stop_recording(channel, data)


async def _send_dtmf(channel: Channel, data: str) -> None:
    """Digits to the far end; nobody there listens."""


async def _say_event(channel: Channel, data: str) -> None:
    channel.switch.custom_event_from_dialplan(channel, data)


async def _limit(channel: Channel, data: str) -> None:
    words = separate(data, " ", 7)
    if len(words) < 3:
        return
    most, interval = _maximum(words[3] if len(words) > 3 else "-")
    if not channel.switch.limits.take(channel, words[1], words[2], most, interval):
        number, dialplan, context = ([*words[4:], "", "", ""])[:3]
        if number.startswith("!"):
            channel.hangup(known_cause(number[1:]))
        else:
            transfer(channel, number or "limit_exceeded", dialplan, context)


async def _limit_execute(channel: Channel, data: str) -> None:
    words = separate(data, " ", 6)
    if len(words) < 6:
        return
    realm, key, limit, name, arguments = words[1:]
    if channel.switch.limits.take(channel, realm, key, *_maximum(limit)):
        await run_application(channel, name, arguments)
        if channel.state == State.EXECUTE:
            channel.switch.limits.release(channel, realm, key)


def _maximum(text: str) -> tuple[int, int]:
    """How many, and in how many seconds (0: at the same time); ``-`` only counts."""
    if text.startswith("-"):
        return -1, 0
    most, _, interval = text.partition("/")
    return int(most) if most.isdigit() else 0, int(interval) if interval.isdigit() else 0


# What can be run while the dialplan is looked through.
INLINE = frozenset(
    [
        "bridge_export",
        "check_acl",
        "cng_plc",
        "early_hangup",
        "eval",
        "event",
        "export",
        "info",
        "log",
        "multiset",
        "multiunset",
        "novideo",
        "presence",
        "push",
        "set",
        "set_global",
        "set_media_stats",
        "set_profile_var",
        "set_user",
        "set_zombie_exec",
        "stop",
        "unset",
        "unshift",
        "verbose_events",
    ]
)

APPLICATIONS: dict[str, Application] = {
    "set": _set,
    "unset": _unset,
    "multiset": _multiset,
    "export": _export,
    "log": _log,
    "info": _nothing,
    "hash": _hash,
    "db": _nothing,
    "limit": _limit,
    "limit_execute": _limit_execute,
    "limit_hash": _nothing,
    "bind_meta_app": _nothing,
    "unbind_meta_app": _nothing,
    "bind_digit_action": _nothing,
    "acknowledge_call": _nothing,
    "start_dtmf": _nothing,
    "privacy": _nothing,
    "presence": _nothing,
    "sched_hangup": _nothing,
    "sched_transfer": _nothing,
    "sched_cancel": _nothing,
    "set_profile_var": _nothing,
    "set_user": _nothing,
    "export_profile": _nothing,
    "break": _nothing,
    "flush_dtmf": _nothing,
    "gentones": _playback,
    "playback": _playback,
    "endless_playback": _endless,
    "say": _nothing,
    "phrase": _nothing,
    "speak": _nothing,
    "answer": _answer,
    "pre_answer": _pre_answer,
    "ring_ready": _ring_ready,
    "hangup": _hangup,
    "respond": _respond,
    "deflect": _hangup,
    "redirect": _hangup,
    "sleep": _sleep,
    "wait_for_silence": _sleep,
    "park": _park,
    "valet_park": _park,
    "fifo": _park,
    "echo": _endless,
    "delay_echo": _endless,
    "conference": _endless,
    "ivr": _endless,
    "voicemail": _voicemail,
    "eavesdrop": _eavesdrop,
    "play_and_get_digits": _play_and_get_digits,
    "read": _read,
    "transfer": _transfer,
    "execute_extension": _execute_extension,
    "bridge": _bridge,
    "socket": _socket,
    "system": _system,
    "bgsystem": _system,
    "lua": _system,
    "spawn": _system,
    "record_session": _record_session,
    "stop_record_session": _stop_record_session,
    "send_dtmf": _send_dtmf,
    "queue_dtmf": _send_dtmf,
    "event": _say_event,
    "eval": _nothing,
    "multiunset": _multiunset,
    "set_global": _set_global,
    "bridge_export": _export,
    "check_acl": _nothing,
    "verbose_events": _nothing,
    "send_display": _nothing,
    "intercept": _intercept,
    "att_xfer": _att_xfer,
    "callcenter": _endless,
}
