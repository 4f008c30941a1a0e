"""A FreeSWITCH channel for tests of the outbound server: calls it, and answers as the recordings do."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from tests import recordings

from .scripted_switch import GOODBYE, json_event, reply, response

CHANNEL_DATA = recordings.load("outbound_async_full").chunks[0]
RECORDED_UUID = b"aaaaaaaa-0000-4000-8000-000000000009"


def channel_data(uuid: str, *, full: bool = True, is_async: bool = True) -> bytes:
    data = CHANNEL_DATA.replace(RECORDED_UUID, uuid.encode())
    if not full:
        data = data.replace(b"Control: full", b"Control: single-channel")
    if not is_async:
        data = data.replace(b"Socket-Mode: async", b"Socket-Mode: static")
    return data


class ScriptedCall:
    """One conversation, from the switch's side. `variables` is what `set` and `getvar` work on."""

    def __init__(self, *, full: bool = True, is_async: bool = True) -> None:
        self.uuid = str(uuid4())
        self.full = full
        self.is_async = is_async
        self.commands: list[str] = []
        self.variables: dict[str, str] = {}
        self.api: dict[str, str] = {"status": "UP\n"}
        self.applications: dict[str, Callable[[str], None]] = {"set": self._set}
        self.endless = {"park"}
        self.overrides: dict[str, bytes] = {}
        self.running: list[str] = []
        self.cause = ""
        self.lingers = False
        self.ended = asyncio.Event()
        self._jobs_wanted = False

    async def place(self, port: int) -> None:
        """Connects and serves until the end."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (command := await self._read()) is not None:
                self.commands.append(command)
                answer = self.overrides.get(command.partition("\n")[0])
                self.writer.write(self._answer(command) if answer is None else answer)
                if command == "exit":
                    break
        finally:
            self.writer.close()
            with suppress(ConnectionError):
                await self.writer.wait_closed()
            self.ended.set()

    async def _read(self) -> str | None:
        try:
            head = (await self.reader.readuntil(b"\n\n"))[:-2]
            length = re.search(rb"(?m)^content-length: (\d+)$", head)
            body = await self.reader.readexactly(int(length[1])) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return (head + (b"\n\n" + body if body else b"")).decode()

    def _answer(self, command: str) -> bytes:  # noqa: PLR0911  # a table of answers
        first, _, rest = command.partition("\n")
        verb, _, arguments = first.partition(" ")
        if verb == "connect":
            return channel_data(self.uuid, full=self.full, is_async=self.is_async)
        if verb == "myevents":
            return reply("+OK Events Enabled")
        if verb == "getvar":
            return reply(self.variables.get(arguments, "") or "-ERR command not found")
        if verb == "sendmsg":
            return self._message(rest)
        if verb == "exit":
            return reply("+OK bye") + self.notice("disconnect", GOODBYE)
        if not self.full:
            return reply("-ERR command not found")
        return self._full_answer(verb, arguments, rest)

    def _full_answer(self, verb: str, arguments: str, rest: str) -> bytes:
        if verb == "linger":
            self.lingers = True
            return reply(f"+OK will linger {arguments} seconds")
        if verb == "api":
            return response(self._output(arguments))
        if verb == "bgapi":
            uuid = re.search(r"(?m)^Job-UUID: (.*)$", rest)[1]  # type: ignore[index]
            job = json_event("BACKGROUND_JOB", self._output(arguments), Job_UUID=uuid)
            return reply(f"+OK Job-UUID: {uuid}", Job_UUID=uuid) + job * self._jobs_wanted
        if verb == "event":
            self._jobs_wanted = self._jobs_wanted or "BACKGROUND_JOB" in arguments
            return reply("+OK event listener enabled json")
        return reply("-ERR command not found")

    def _output(self, command: str) -> str:
        words = command.split(" ")
        if words[:2] == ["uuid_getvar", self.uuid]:
            return self.variables.get(words[2], "_undef_")
        return self.api.get(command, f"-ERR {words[0]} Command not found!\n")

    def _message(self, rest: str) -> bytes:
        headers = dict(re.findall(r"(?m)^([\w-]+): (.*)$", rest))
        if headers["call-command"] == "hangup":
            return reply("+OK") + self.hang_up(headers["hangup-cause"])
        app = headers["execute-app-name"]
        argument = headers.get("execute-app-arg", "") or rest.partition("\n\n")[2]
        self.running.append(f"{app} {argument}".rstrip())
        if app in self.applications:
            self.applications[app](argument)
        begun = self.event("CHANNEL_EXECUTE", Application=app, Application_UUID=headers["Event-UUID"])
        if app in self.endless:
            return reply("+OK") + begun
        return reply("+OK") + begun + self.complete(app, headers["Event-UUID"])

    def complete(self, app: str, uuid: str) -> bytes:
        return self.event(
            "CHANNEL_EXECUTE_COMPLETE",
            Application=app,
            Application_UUID=uuid,
            Application_Response="_none_",
            **{f"variable_{name}": value for name, value in self.variables.items()},
        )

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition("=")
        self.variables[name] = value

    def event(self, name: str, **headers: str) -> bytes:
        return json_event(name, Unique_ID=self.uuid, **headers)

    def hang_up(self, cause: str) -> bytes:
        """What follows a hang-up, by whichever side."""
        self.cause = cause
        first = self.event("CHANNEL_HANGUP", Hangup_Cause=cause)
        if not self.lingers:
            return first + self.notice("disconnect", GOODBYE)
        if not self.is_async:  # the channel's own thread lingers, and reports nothing meanwhile
            return first + self.notice("linger", "")
        last = self.event("CHANNEL_HANGUP_COMPLETE", Hangup_Cause=cause)
        return first + self.notice("linger", "") + last

    def notice(self, disposition: str, text: str) -> bytes:
        return (
            "Content-Type: text/disconnect-notice\n"
            f"Controlled-Session-UUID: {self.uuid}\nContent-Disposition: {disposition}\n"
            f"Content-Length: {len(text)}\n\n{text}"
        ).encode()

    def say(self, data: bytes) -> None:
        """Sends bytes without being asked."""
        self.writer.write(data)
