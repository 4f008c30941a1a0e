"""A plain client for tests of the simulator: writes bytes, cuts frames, shares no code with the product."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

DEADLINE = 10.0


@dataclass
class Frame:
    """One frame: headers as they came, body as bytes."""

    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes

    def __getitem__(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def kind(self) -> str:
        return self["Content-Type"]

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "surrogateescape")

    @property
    def event(self) -> dict[str, Any]:
        """The event that the frame holds; names that come twice keep the last value."""
        if self.kind == "text/event-json":
            return dict(json.loads(self.body))
        lines = self.body.split(b"\n\n", 1)[0].decode().split("\n")
        return {name: unquote(value) for name, value in (line.split(": ", 1) for line in lines)}


def cut(data: bytes) -> tuple[list[Frame], bytes]:
    """Whole frames, and what is left of the next."""
    frames = []
    while True:
        end = data.find(b"\n\n")
        if end < 0:
            return frames, data
        pairs = [
            line.split(": ", 1) for line in data[:end].decode("utf-8", "surrogateescape").split("\n") if line
        ]
        headers = [(pair[0], pair[1] if len(pair) > 1 else "") for pair in pairs]
        outbound = headers[:1] == [("Event-Name", "CHANNEL_DATA")]
        length = (
            next((int(value) for name, value in headers if name == "Content-Length"), 0)
            if not outbound
            else 0
        )
        if len(data) < end + 2 + length:
            return frames, data
        frames.append(Frame(headers, data[end + 2 : end + 2 + length], data[: end + 2 + length]))
        data = data[end + 2 + length :]


class Conversation:
    """One connection to the event socket."""

    def __init__(self, port: int, password: str | None = "ClueCon", connection: socket.socket | None = None):
        self.socket = connection or socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.frames: list[Frame] = []
        self.ended = False
        self._rest = b""
        if password is not None:
            self.read_until(lambda frame: frame.kind == "auth/request")
            reply = self.command(f"auth {password}")
            assert reply["Reply-Text"] == "+OK accepted", reply.raw

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode("utf-8", "surrogateescape"))

    def receive(self, seconds: float) -> None:
        """Reads what comes within some seconds, at least one piece if there is one."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            return
        except ConnectionError:
            data = b""
        self.ended = not data
        frames, self._rest = cut(self._rest + data)
        self.frames += frames

    def read_until(self, wanted: Callable[[Frame], bool], since: int = 0, seconds: float = DEADLINE) -> Frame:
        """The first wanted frame from a position on. Raises AssertionError when it does not come."""
        deadline = time.monotonic() + seconds
        looked = since
        while True:
            for frame in self.frames[looked:]:
                if wanted(frame):
                    return frame
            looked = len(self.frames)
            left = deadline - time.monotonic()
            if left <= 0 or self.ended:
                raise AssertionError(
                    f"not received; got {[frame.raw[:200] for frame in self.frames[since:]]}"
                )
            self.receive(min(left, 0.5))

    def command(self, text: str) -> Frame:
        """Sends a command and returns its reply."""
        since = len(self.frames)
        self.send(text + "\n\n")
        return self.read_until(lambda frame: frame.kind in ("command/reply", "api/response"), since)

    def api(self, text: str) -> str:
        return self.command("api " + text).text

    def wait_for(self, name: str, since: int = 0, **values: str) -> dict[str, Any]:
        """The first event of that name whose headers have these values (``_`` for ``-``)."""

        def wanted(frame: Frame) -> bool:
            if not frame.kind.startswith("text/event-") or frame.kind == "text/event-xml":
                return False
            event = frame.event
            return event.get("Event-Name") == name and all(
                event.get(key.replace("_", "-")) == value for key, value in values.items()
            )

        return self.read_until(wanted, since).event

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        return [
            frame.event
            for frame in self.frames[since:]
            if frame.kind in ("text/event-json", "text/event-plain")
        ]


def eventually(condition: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Waits until a condition holds and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{condition} did not come true in {seconds} s")
        time.sleep(0.005)
