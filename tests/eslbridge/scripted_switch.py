"""A switch for tests of the client: a loopback server that answers as the recordings do, or misbehaves.

It shares no code with what it tests.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

PASSWORD = "ClueCon"
GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Waits for a condition; fails the test when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.002)


def reply(text: str, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return f"Content-Type: command/reply\nReply-Text: {text}\n{lines}\n".encode()


def response(text: str) -> bytes:
    body = text.encode("utf-8", "surrogateescape") or b"-ERR no reply\n"
    return b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(body), body)


def json_event(name: str, body: str | None = None, **headers: str) -> bytes:
    event = {"Event-Name": name} | {key.replace("_", "-"): value for key, value in headers.items()}
    if body is not None:
        event |= {"Content-Length": str(len(body.encode())), "_body": body}
    data = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(data), data)


def goodbye() -> bytes:
    return f"Content-Type: text/disconnect-notice\nContent-Length: {len(GOODBYE)}\n\n{GOODBYE}".encode()


class Line:
    """One connection, seen from the switch."""

    def __init__(self, switch: "ScriptedSwitch", sock: socket.socket) -> None:
        self.switch = switch
        self.sock = sock
        self.commands: list[str] = []
        self._buffer = b""
        self._writing = threading.Lock()

    def send(self, data: bytes) -> None:
        with self._writing, suppress(OSError):
            self.sock.sendall(data)

    def read_command(self) -> str | None:
        """The next command with its header lines and body; None at the end."""
        while b"\n\n" not in self._buffer:
            if not self._fill():
                return None
        head, _, self._buffer = self._buffer.partition(b"\n\n")
        length = re.search(rb"(?mi)^content-length: (\d+)$", head)
        size = int(length[1]) if length else 0
        while len(self._buffer) < size:
            if not self._fill():
                return None
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        command = (head + (b"\n\n" + body if body else b"")).decode("utf-8", "surrogateescape")
        self.commands.append(command)
        return command

    def _fill(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def drop(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class ScriptedSwitch:
    """Listens on a port of its own. Change `greet` or `answer` to make it misbehave."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.api: dict[str, str] = {"status": "UP\n"}
        self.password = PASSWORD
        self.users = {"esl@test": "secret"}
        self.greet: Callable[[Line], bool] = self.log_in
        self.answer: Callable[[Line, str], bytes | None] = self.usual_answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open = True
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._open = False
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self.lines:
            line.drop()
        for thread in self._threads:
            thread.join(5)

    @property
    def line(self) -> Line:
        """The newest connection."""
        return self.lines[-1]

    @property
    def commands(self) -> list[str]:
        """All commands of all connections, without the logins."""
        return [
            command
            for line in self.lines
            for command in line.commands
            if not command.startswith(("auth ", "userauth "))
        ]

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self._open:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = Line(self, sock)
            self.lines.append(line)
            self._start(self._serve, line)

    def _serve(self, line: Line) -> None:
        with line.sock:
            if not self.greet(line):
                return
            while (command := line.read_command()) is not None:
                answer = self.answer(line, command)
                if answer is not None:
                    line.send(answer)
                if command == "exit":
                    return

    def log_in(self, line: Line) -> bool:
        """Greets and checks the password."""
        line.send(b"Content-Type: auth/request\n\n")
        command = line.read_command()
        if command is None:
            return False
        users = [f"userauth {user}:{password}" for user, password in self.users.items()]
        if command == f"auth {self.password}":
            line.send(reply("+OK accepted"))
            return True
        if command in users:
            line.send(reply("+OK accepted", Allowed_Events="all", Allowed_API="all", Allowed_LOG="true"))
            return True
        line.send(reply("-ERR invalid") + goodbye())
        return False

    def usual_answer(self, line: Line, command: str) -> bytes | None:  # noqa: PLR0911  # a table of answers
        """What the switch says to `command`."""
        first, _, rest = command.partition("\n")
        verb, _, arguments = first.partition(" ")
        if verb == "api":
            return response(self.output(arguments))
        if verb == "bgapi":
            uuid = re.search(r"(?m)^Job-UUID: (.*)$", rest)[1]  # type: ignore[index]
            job = json_event("BACKGROUND_JOB", self.output(arguments), Job_UUID=uuid)
            return reply(f"+OK Job-UUID: {uuid}", Job_UUID=uuid) + job
        if verb == "event":
            known = [word for word in arguments.split()[1:] if not word.startswith("NOSUCH")]
            return reply("+OK event listener enabled json" if known else "-ERR no keywords supplied")
        if verb == "sendmsg":
            return self.message(arguments, rest)
        if verb == "exit":
            return reply("+OK bye") + goodbye()
        if verb in ("filter", "log", "nolog", "nixevent", "noevents", "sendevent", "myevents"):
            return reply(f"+OK {first}")
        return reply("-ERR command not found")

    def output(self, command: str) -> str:
        """Of an API command."""
        name = command.partition(" ")[0]
        if name == "echo":
            return command.partition(" ")[2]
        return self.api.get(command, f"-ERR {name} Command not found!\n")

    def message(self, channel: str, rest: str) -> bytes:
        """A sendmsg: applications are complete at once."""
        if channel.startswith("dead"):
            return reply(f"-ERR invalid session id [{channel}]")
        uuid = re.search(r"(?m)^Event-UUID: (.*)$", rest)
        if uuid is None:
            return reply("+OK")
        return reply("+OK") + json_event(
            "CHANNEL_EXECUTE_COMPLETE",
            Unique_ID=channel,
            Application_UUID=uuid[1],
            Application_Response="_none_",
        )
