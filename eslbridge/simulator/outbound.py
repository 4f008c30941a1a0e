"""The ``socket`` application: the switch connects to a server and lets it drive the call."""

from __future__ import annotations

import asyncio

from .channel import Channel
from .listener import Listener

# Seconds after which a listener looks at its channel again.
TICK = 0.02
# Seconds that a server may take to say "connect".
PATIENCE = 25.0


async def serve(channel: Channel, data: str) -> None:
    """Connects and obeys until the server lets go or the call is over.

    With ``async`` the channel is parked and obeys messages; otherwise the server's commands run in turn.
    """
    words = data.split()
    if not words:
        return
    host, _, port = words[0].rpartition(":")
    channel.set_variable("socket_host", host)
    switch = channel.switch
    listener = Listener(switch, switch.faults, channel, full="full" in words, asynchronous="async" in words)
    try:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: listener, host, int(port or 8084))
    except (OSError, ValueError):
        return
    channel.controllers.append(listener)
    switch.spawn(_watch(channel, listener))
    if listener.asynchronous:
        channel.fire("CHANNEL_PARK")
    await _obey(channel, listener)
    if listener.asynchronous:
        channel.fire("CHANNEL_UNPARK")


async def _obey(channel: Channel, listener: Listener) -> None:
    state, mark = channel.state, channel.broken_off
    channel.controlled = True
    while channel.state == state and channel.broken_off == mark and not listener.closed.is_set():
        if listener.asynchronous:
            await channel.work_queue()
        else:
            await channel.wait()
    channel.controlled = False


async def _watch(channel: Channel, listener: Listener) -> None:
    """The listener's own thread notices at a tick that its channel is gone."""
    while channel.up and not listener.closed.is_set():
        await channel.wait(PATIENCE)
    await asyncio.sleep(TICK)
    listener.notice_hangup()
