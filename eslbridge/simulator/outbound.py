"""The ``socket`` application: the switch connects to a server and lets it drive the call."""

from __future__ import annotations

import asyncio

from .channel import Channel
from .listener import Listener

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
    switch.spawn(listener.watch(channel))
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
    if not channel.up and not listener.asynchronous:
        await listener.closed.wait()  # it is the channel's own thread that talks, also after the hang-up
    channel.controlled = False
