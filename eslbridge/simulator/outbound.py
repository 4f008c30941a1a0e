"""The ``socket`` application: the switch connects to a server and lets it drive the call."""

from __future__ import annotations

import asyncio

from .channel import Channel
from .listener import Listener


async def serve(channel: Channel, data: str) -> None:
    """Connects, waits until the server lets go or the call is over."""
    words = data.split()
    if not words:
        return
    host, _, port = words[0].partition(":")
    channel.set_variable("socket_host", host)
    listener = Listener(
        channel.switch, channel.switch.faults, channel, full="full" in words, asynchronous="async" in words
    )
    try:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: listener, host, int(port or 8084))
    except (OSError, ValueError):
        return
    channel.sockets.append(listener)
    if "async" in words:
        await _work(channel, listener)
    else:
        await _work(channel, listener)
    if not channel.up:
        channel.switch.spawn(_after_hangup(channel, listener))


async def _work(channel: Channel, listener: Listener) -> None:
    state, mark = channel.state, channel.broken_off
    while channel.state == state and channel.broken_off == mark and not listener.closed.is_set():
        await channel.work_queue()
    if listener.asynchronous:
        channel.fire("CHANNEL_UNPARK")


async def _after_hangup(channel: Channel, listener: Listener) -> None:
    if listener.linger is None:
        listener.hang_up_politely()
        return
    headers = [
        ("Content-Type", "text/disconnect-notice"),
        ("Controlled-Session-UUID", channel.uuid),
        ("Content-Disposition", "linger"),
        ("Channel-Name", channel.name),
        ("Linger-Time", str(listener.linger)),
        ("Content-Length", "0"),
    ]
    listener.write_frame(headers)
    if listener.linger >= 0:
        await asyncio.sleep(listener.linger)
        listener.hang_up_politely()
