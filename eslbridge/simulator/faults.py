"""Faults on command: everything that goes wrong between a client and a switch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import Switch
    from .listener import Listener


class Faults:
    """Switches for faults. They act on present and future connections until ``clear()``."""

    def __init__(self) -> None:
        self._switch: Switch | None = None
        self._listeners: list[Listener] = []
        self.clear_flags()

    def clear_flags(self) -> None:
        self.refusing_auth = False
        self.rejecting_acl = False
        self.refusing_connections = False
        self.deaf = False
        self.silent = False
        self.delay = 0.0
        self.lets_events_through = True
        self._split = False

    def attach(self, switch: Switch) -> None:
        self._switch = switch
        self._listeners = []

    def clear(self) -> None:
        """Everything works again. Connections that were made half-open are dropped."""
        half_open = self.deaf
        self.clear_flags()
        if self._switch is not None:
            self._switch.forced_reload_error = ""
            if half_open:
                self.drop_connections()
            else:
                self._in_loop(self._flush_all)

    def drop_connections(self) -> int:
        """Cuts every connection without a word. Returns how many there were."""
        return int(self._in_loop(self._drop) or 0)

    def refuse_auth(self) -> None:
        """Every password is wrong."""
        self.refusing_auth = True

    def reject_acl(self) -> None:
        """New connections get the rude rejection of an ACL."""
        self.rejecting_acl = True

    def half_open(self) -> None:
        """Connections stay open, but nothing is read or written any more, as after a lost route."""
        self.deaf = self.silent = True

    def slow(self, seconds: float) -> None:
        """Every command waits before it is looked at."""
        self.delay = seconds

    def hold_events(self) -> None:
        """Replies arrive, events do not; ``clear()`` lets them out."""
        self.lets_events_through = False

    def split_every_byte(self) -> None:
        """Every byte is written on its own."""
        self._split = True

    def garbage(self, data: bytes = b"\xff\xfe\x00garbage: \x80\n\n\n") -> None:
        """Writes bytes that are no protocol to every connection."""
        self._in_loop(self._write_raw, data)

    def cut_in_frame(
        self, data: bytes = b'Content-Length: 500\nContent-Type: text/event-json\n\n{"Event-'
    ) -> None:
        """Writes the beginning of a frame and cuts the connection."""
        self._in_loop(self._write_and_close, data)

    def reload_error(self, text: str = "[error near line 1]: unexpected closing tag </users>") -> None:
        """``reloadxml`` fails with this text; an empty text ends that."""
        if self._switch is not None:
            self._switch.forced_reload_error = text

    # What listeners ask

    def connected(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def disconnected(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def before_reply(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        if self.silent:
            return
        if not self._split:
            transport.write(data)
            return
        for index in range(len(data)):
            transport.write(data[index : index + 1])

    def _in_loop(self, function: Any, *arguments: Any) -> Any:
        return self._switch.in_loop(function, *arguments) if self._switch is not None else None

    def _drop(self) -> int:
        count = len(self._listeners)
        for listener in list(self._listeners):
            listener.abort()
        return count

    def _flush_all(self) -> None:
        for listener in self._listeners:
            listener.resume_writing()

    def _write_raw(self, data: bytes) -> None:
        for listener in self._listeners:
            listener.write(data)

    def _write_and_close(self, data: bytes) -> None:
        for listener in list(self._listeners):
            listener.write(data)
            listener.close_after_write()
