"""The switch of the Event Socket benchmarks, a process of its own: floods, answers, or places calls.

    eslbridge_switch.py flood plain|json COUNT   prints its port; sends so many events at once
    eslbridge_switch.py answer             prints its port; answers api and bgapi
    eslbridge_switch.py call PORT COUNT FILE   places COUNT calls at once, writes how many were complete

It uses nothing of the libraries that are measured.
"""

import asyncio
import json
import re
import socket
import sys
import threading
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests import recordings

DISTINCT = 200
SMALLEST, LARGEST = 4096, 8192
NAMES = (
    "Event-Name",
    "Unique-ID",
    "Caller-Caller-ID-Name",
    "variable_switch_r_sdp",
    "variable_DP_MATCH",
)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30954 RTP/AVP 0 101\r\n"
)
SAFE = "/!$'()*,-.~_"
OUTPUT = recordings.load("auth_ok").name.encode() + b": UP 0 years, 0 days, 3 hours\n" * 12

Headers = dict[str, str | list[str]]


# Events


@cache
def distinct_events() -> list[Headers]:
    """Recorded channel events of 4 to 8 KB, each with a UUID of its own and values that are hard to read."""
    recorded = [json.loads(body) for name in recordings.names() for body in json_bodies(name)]
    made: list[Headers] = [event | hard_values(number) for number, event in enumerate(recorded)]
    usable = [event for event in made if SMALLEST < len(as_json(event)) < LARGEST]
    chosen = usable[:: len(usable) // DISTINCT][:DISTINCT]
    return [event | hard_values(number) for number, event in enumerate(chosen)]


def json_bodies(name: str) -> list[bytes]:
    """The channel events of a recording."""
    bodies = []
    rest = recordings.load(name).received
    while rest:
        head, _, rest = rest.partition(b"\n\n")
        length = re.search(rb"(?m)^Content-Length: (\d+)$", head)
        body, rest = rest[: int(length[1]) if length else 0], rest[int(length[1]) if length else 0 :]
        if b"text/event-json" in head and body.startswith(b'{"Event-Name":"CHANNEL_'):
            bodies.append(body)
    return bodies


def hard_values(number: int) -> Headers:
    return {
        "Unique-ID": str(UUID(int=number + 1)),
        "Caller-Caller-ID-Name": f"Zoë %41 🎉 {number}",
        "variable_switch_r_sdp": SDP.replace("30954", str(30000 + number)),
        "variable_DP_MATCH": [str(number), "1001"],
    }


def expected_values(number: int) -> dict[str, str]:
    """What reading the event's five values has to give."""
    values = distinct_events()[number]
    return {
        name: "ARRAY::" + "|:".join(value) if isinstance(value, list) else value
        for name, value in ((name, values[name]) for name in NAMES)
    }


def as_json(headers: Headers) -> bytes:
    return json.dumps(headers, separators=(",", ":"), ensure_ascii=False).encode()


def as_plain(headers: Headers) -> bytes:
    lines = []
    for name, value in headers.items():
        text = "ARRAY::" + "|:".join(value) if isinstance(value, list) else value
        lines.append(f"{name}: {quote(text, safe=SAFE) or '_undef_'}\n")
    return "".join(lines).encode() + b"\n"


def frame(kind: str, body: bytes) -> bytes:
    return f"Content-Length: {len(body)}\nContent-Type: text/event-{kind}\n\n".encode() + body


def event(kind: str, headers: Headers) -> bytes:
    return frame(kind, as_json(headers) if kind == "json" else as_plain(headers))


# The socket server


def reply(text: str, *lines: str) -> bytes:
    return "\n".join(("Content-Type: command/reply", f"Reply-Text: {text}", *lines, "", "")).encode()


def response(body: bytes) -> bytes:
    return b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(body), body)


class Listener:
    """One logged-in connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.format = "plain"
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def commands(self) -> list[str]:
        """What came with one read."""
        data = self.sock.recv(1 << 20)
        if not data:
            raise ConnectionError
        self.buffer += data
        *heads, self.buffer = self.buffer.split(b"\n\n")
        return [head.decode().lstrip("\n") for head in heads if head.strip()]

    def serve(self, flood: bytes, times: int) -> None:
        self.sock.sendall(b"Content-Type: auth/request\n\n")
        while True:
            out = []
            flooding = False
            for command in self.commands():
                out.append(self.answer(command))
                flooding = flooding or (bool(flood) and command.startswith("event "))
            self.sock.sendall(b"".join(out))
            for _ in range(times if flooding else 0):
                self.sock.sendall(flood)

    def answer(self, command: str) -> bytes:
        verb, _, rest = command.partition(" ")
        if verb == "api":
            return response(OUTPUT)
        if verb == "bgapi":
            uuid = re.search(r"(?m)^Job-UUID: (.*)$", rest)[1]  # type: ignore[index]
            return reply(f"+OK Job-UUID: {uuid}", f"Job-UUID: {uuid}") + self.job(uuid)
        if verb == "event":
            self.format = rest.split(" ")[0]
        return reply("+OK accepted" if verb == "auth" else "+OK")

    def job(self, uuid: str) -> bytes:
        recording = "bgapi_json" if self.format == "json" else "bgapi"
        return recorded_job(recording).replace(b"0" * 36, uuid.encode())


@cache
def recorded_job(name: str) -> bytes:
    """The frame of a recorded BACKGROUND_JOB with a UUID of zeros."""
    stream = recordings.load(name).received
    head = stream[: stream.index(b"BACKGROUND_JOB")]
    length = int(re.findall(rb"Content-Length: (\d+)\nContent-Type: text/event", head)[-1])
    begin = head.rindex(b"\n\n") + 2
    body = stream[begin : begin + length]
    uuid = re.search(rb'Job-UUID(?:": *"|":"|: )([0-9a-f-]{36})', body)
    assert uuid
    return frame("json" if name.endswith("json") else "plain", body.replace(uuid[1], b"0" * 36))


def listen(flood: bytes = b"", times: int = 0) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        sock, _ = server.accept()
        threading.Thread(target=serve, args=(sock, flood, times), daemon=True).start()


def serve(sock: socket.socket, flood: bytes, times: int) -> None:
    with sock:
        try:
            Listener(sock).serve(flood, times)
        except ConnectionError:
            return


# Calls to an outbound server

APPLICATIONS = 5
PATIENCE = 30.0
"""Seconds after which a call that stands still is given up."""

RECORDED_CALL = b"aaaaaaaa-0000-4000-8000-000000000009"
CHANNEL_DATA = recordings.load("outbound_async_full").chunks[0]


@cache
def recorded_headers(name: str) -> Headers:
    stream = recordings.load("outbound_async_full").received
    body = stream[stream.index(b"\n\nEvent-Name: " + name.encode() + b"\n") + 2 :].partition(b"\n\n")[0]
    pairs = (line.partition(b": ") for line in body.split(b"\n"))
    return {key.decode(): unquote_to_bytes(value).decode() for key, _, value in pairs}


class PlacedCall:
    """One call: answers what a handler sends, with events of the real size."""

    def __init__(self, number: int) -> None:
        self.uuid = str(UUID(int=number + 1))
        self.format = "plain"
        self.applications = 0
        self.hung_up = False

    async def place(self, port: int, together: "Together") -> None:
        async with together.connecting:
            reader, writer = await connect(port)
            head = await self.read(reader)
        await together.wait()
        try:
            while True:
                writer.write(self.answer(head))
                if head == "exit":
                    break
                head = await self.read(reader)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> str:
        data = await asyncio.wait_for(reader.readuntil(b"\n\n"), PATIENCE)
        return data.decode().strip("\n")

    def answer(self, command: str) -> bytes:
        first, _, rest = command.partition("\n")
        if first == "connect":
            return CHANNEL_DATA.replace(RECORDED_CALL, self.uuid.encode())
        if first.startswith(("event ", "myevents")):
            self.format = "json" if "json" in first else "plain"
        if first == "sendmsg" or first.startswith("sendmsg "):
            return reply("+OK") + self.message(dict(re.findall(r"(?m)^([\w-]+): (.*)$", rest)))
        return reply("+OK")

    def message(self, headers: dict[str, str]) -> bytes:
        app = headers.get("execute-app-name", "")
        if headers["call-command"] == "hangup" or app == "hangup":
            self.hung_up = True
            notice = (
                "Content-Type: text/disconnect-notice\n"
                f"Controlled-Session-UUID: {self.uuid}\nContent-Disposition: linger\n"
                "Channel-Name: x\nLinger-Time: 10\nContent-Length: 0\n\n"
            )
            return b"".join(
                (self.event("CHANNEL_HANGUP"), notice.encode(), self.event("CHANNEL_HANGUP_COMPLETE"))
            )
        self.applications += 1
        own = {
            "Application": app,
            "Application-UUID": headers.get("Event-UUID", "none"),
            "variable_current_application": app,
        }
        return self.event("CHANNEL_EXECUTE", own) + self.event("CHANNEL_EXECUTE_COMPLETE", own)

    def event(self, name: str, own: dict[str, str] | None = None) -> bytes:
        return event(self.format, recorded_headers(name) | {"Unique-ID": self.uuid} | (own or {}))


class Together:
    """All calls are connected before the first begins. Few connect at a time: a peer's backlog is 100."""

    def __init__(self, count: int) -> None:
        self.connecting = asyncio.Semaphore(50)
        self._missing = count
        self._complete = asyncio.Event()

    async def wait(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._complete.set()
        await asyncio.wait_for(self._complete.wait(), PATIENCE)


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Waits for the server to come up."""
    for _ in range(1000):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
    raise ConnectionRefusedError


async def place_calls(port: int, count: int) -> int:
    calls = [PlacedCall(number) for number in range(count)]
    together = Together(count)
    await asyncio.gather(*(call.place(port, together) for call in calls), return_exceptions=True)
    return sum(call.applications == APPLICATIONS + 1 and call.hung_up for call in calls)


def main() -> None:
    if sys.argv[1] == "call":
        complete = asyncio.run(place_calls(int(sys.argv[2]), int(sys.argv[3])))
        Path(sys.argv[4]).write_text(str(complete))
    elif sys.argv[1] == "flood":
        flood = b"".join(event(sys.argv[2], headers) for headers in distinct_events())
        listen(flood, int(sys.argv[3]) // DISTINCT)
    else:
        listen()


if __name__ == "__main__":
    main()
