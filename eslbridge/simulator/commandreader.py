"""Cuts what a client sends into commands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Command:
    """One command: its line, its headers (names in lower case), the same as written, and its body."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)
    given: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""


class CommandReader:
    """Cuts the byte stream into commands by the switch's rules: a blank line ends a command."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Command]:
        self._buffer += data
        commands: list[Command] = []
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n")
            end = re.search(rb"\n\r*\n", self._buffer)
            if end is None:
                return commands
            head = self._buffer[: end.start()]
            lines = [line.strip(b"\r") for line in head.split(b"\n")]
            pairs = [line.partition(b":") for line in lines[1:]]
            given = [(_text(name), _text(value).lstrip(" ")) for name, colon, value in pairs if colon]
            headers = {name.lower(): value for name, value in given}
            length = headers.get("content-length", "0")
            size = int(length) if length.isdigit() else 0
            if len(self._buffer) < end.end() + size:
                return commands
            body = _text(self._buffer[end.end() : end.end() + size])
            self._buffer = self._buffer[end.end() + size :]
            commands.append(Command(_text(lines[0]), headers, given, body))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
