"""The state machine of a leg: its task, from the first state to the last event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from . import cdr
from .apps import run_application
from .channel import Channel, State
from .dialplan import Extension, hunt
from .display import flip_caller_id, update_display
from .hooks import run_last_hooks
from .races import Race

# Seconds: the thread of a session is cleaned up by a later tick than the one that ended it.
CLEANING_DELAY = 0.01


async def run(channel: Channel) -> None:
    """What the task of a channel does."""
    try:
        await _live(channel)
    finally:
        channel.switch.forget(channel)
        for happened in (channel.reporting, channel.reported, channel.destroyed):
            happened.set()
        channel.wake()


async def _live(channel: Channel) -> None:
    try:
        while channel.up:
            await _STEPS[channel.state](channel)
    except Exception as error:  # noqa: BLE001 - one broken call must not take the others along
        channel.switch.note_error(error)
        channel.hangup("DESTINATION_OUT_OF_ORDER")
    await _end(channel)


async def _init(channel: Channel) -> None:
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


async def _route(channel: Channel) -> None:
    if channel.direction == "inbound" and channel.call_state == "DOWN":
        channel.running = State.ROUTING
        channel.set_call_state("RINGING")
    channel.enter(State.ROUTING)
    channel.switch.limits.transferred(channel)
    channel.set_variable("call_uuid", channel.call_uuid)
    channel.extension, channel.preset = channel.preset or find_extension(channel), None
    if channel.direction == "outbound":
        flip_caller_id(channel)
    if channel.extension is None:
        channel.hangup("NO_ROUTE_DESTINATION")
    elif channel.state == State.ROUTING:
        channel.state = State.EXECUTE


def find_extension(channel: Channel) -> Extension | None:
    """What the dialplan has for the number that was dialled."""
    profile = channel.profile
    assert profile is not None
    if profile.dialplan.lower() == "inline":
        return _inline(profile.destination_number)
    context = channel.switch.configuration.context(profile.context)
    now = channel.switch.clock.local()
    return None if context is None else hunt(context, channel, profile.destination_number, now)


def _inline(text: str) -> Extension:
    """Applications in place of a number: ``answer,sleep:1000,hangup``; ``m:^:`` chooses another comma."""
    delimiter = ","
    if text.startswith("m:") and text[3:4] == ":":
        delimiter, text = text[2], text[4:]
    pairs = [item.partition(":")[::2] for item in text.split(delimiter)]
    return Extension("inline", "inline", [(name.strip(), data) for name, data in pairs])


async def _execute(channel: Channel) -> None:
    channel.enter(State.EXECUTE)
    channel.set_variable("call_uuid", channel.call_uuid)
    extension = channel.extension
    assert extension is not None
    while channel.state == State.EXECUTE and extension is channel.extension:
        if extension.position >= len(extension.applications):
            channel.hangup("NORMAL_CLEARING")
            return
        name, data = extension.applications[extension.position]
        extension.position += 1
        await run_application(channel, name, data)


async def _soft_execute(channel: Channel) -> None:
    """Something to do that is no dialplan: ``uuid_bridge``."""
    channel.enter(State.SOFT_EXECUTE)
    while (task := channel.soft_task) is not None and channel.state == State.SOFT_EXECUTE:
        channel.soft_task = None
        await task()
    if channel.state == State.SOFT_EXECUTE:
        channel.hangup("NORMAL_CLEARING")


async def _consume(channel: Channel) -> None:
    """An outbound leg that rings, or waits to be bridged."""
    channel.enter(State.CONSUME_MEDIA)
    if channel.party is not None:
        channel.party.invited(channel)
    while channel.state == State.CONSUME_MEDIA:
        await channel.wait()


async def _exchange(channel: Channel) -> None:
    """The second leg of a bridge; the first leg's task runs the bridge."""
    channel.enter(State.EXCHANGE_MEDIA)
    partner = channel.partner
    if partner is not None:
        legs = [(channel, partner), (partner, channel)]
        if channel.switch.races.is_late(Race.DISPLAY):
            legs.reverse()
        for leg, other in legs:
            update_display(leg, other)
    while channel.state == State.EXCHANGE_MEDIA:
        await channel.work_queue()


async def _park(channel: Channel) -> None:
    channel.enter(State.PARK)
    channel.fire("CHANNEL_PARK")
    while channel.state == State.PARK:
        await channel.work_queue()
    channel.fire("CHANNEL_UNPARK")


_STEPS: dict[State, Callable[[Channel], Awaitable[None]]] = {
    State.NEW: _init,
    State.INIT: _init,
    State.ROUTING: _route,
    State.SOFT_EXECUTE: _soft_execute,
    State.EXECUTE: _execute,
    State.EXCHANGE_MEDIA: _exchange,
    State.PARK: _park,
    State.CONSUME_MEDIA: _consume,
}


async def _end(channel: Channel) -> None:
    """HANGUP, REPORTING and DESTROY."""
    assert channel.profile is not None
    for timer in channel.timers:
        timer.cancel()
    channel.enter(State.HANGUP)
    channel.switch.limits.release_all(channel)
    channel.profile.times.hangup = channel.switch.clock.now()
    channel.set_call_state("HANGUP")
    channel.state = State.REPORTING
    channel.enter(State.REPORTING)
    channel.reporting.set()
    if channel.disposition and "sip_hangup_disposition" not in channel.variables:
        channel.set_variable("sip_hangup_disposition", channel.disposition)
    cdr.set_report_variables(channel)
    if channel.reports_late:
        await asyncio.sleep(CLEANING_DELAY)
    if channel.reports_after is not None:
        await channel.reports_after.destroyed.wait()
    channel.fire("CHANNEL_HANGUP_COMPLETE", [("Hangup-Cause", channel.cause)])
    run_last_hooks(channel)
    cdr.write(channel)
    channel.reported.set()
    channel.wake()
    await asyncio.sleep(CLEANING_DELAY if channel.originator is not None and channel.cleaned_late else 0)
    for controller in channel.controllers:
        await controller.closed.wait()
    channel.state = State.DESTROY
    channel.fire("CHANNEL_DESTROY")
    channel.enter(State.DESTROY)
