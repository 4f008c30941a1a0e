"""What is measured by benchmarks/eslbridge_speed.py: one process for one library and one task.

    eslbridge_consumers.py TASK LIBRARY PORT COUNT     prints one line of JSON

Each measures itself: CPU seconds of this process (all threads) and wall seconds, from the subscription or
the first command on. (Not from the first event handed over: by then a library may have parsed all others.)
The values of the first 200 events are compared with what was sent.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import eslbridge_switch as switch

UNDER_WAY = 100
APPLICATIONS = switch.APPLICATIONS
NAMES = switch.NAMES

Events = Sequence[Any]  # of eslbridge, which is imported only where it is measured
Getter = Callable[[str], Any]


class Meter:
    """Counts to the end and tells how long it took."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen = 0
        self.wrong: set[str] = set()
        self._expected = [switch.expected_values(number) for number in range(switch.DISTINCT)]
        self.restart()

    def restart(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    @property
    def checking(self) -> bool:
        return self.seen < switch.DISTINCT

    def check(self, get: Callable[[str], Any]) -> None:
        """Compares the values of one of the first events with what was sent."""
        for name, value in self._expected[self.seen].items():
            if get(name) != value:
                self.wrong.add(name)
        self.seen += 1

    def add(self, events: int = 1) -> None:
        self.seen += events
        if self.seen >= self.count:
            self.finish()

    def finish(self, **more: object) -> None:
        """Prints the result and ends the process."""
        result = {
            "count": self.count,
            "cpu": time.process_time() - self.cpu,
            "wall": time.perf_counter() - self.wall,
            "wrong": sorted(self.wrong),
        }
        print(json.dumps(result | more), flush=True)
        os._exit(0)


# Events


def floor_events(_kind: str, port: int, count: int) -> None:
    """Cuts frames by Content-Length, wherever that stands among the headers, and looks at nothing else."""
    sock = log_in(port)
    meter, buffer = Meter(count), b""
    sock.sendall(b"event plain ALL\n\n")
    read_reply(sock)
    while True:
        buffer += sock.recv(256 * 1024)
        frames, used = cut(buffer)
        buffer = buffer[used:]
        meter.add(len(frames))


def cut(buffer: bytes) -> tuple[list[bytes], int]:
    """The bodies of the complete frames, and how many bytes they took."""
    frames = []
    position = 0
    while (end := buffer.find(b"\n\n", position)) >= 0:
        head = buffer[position:end]
        place = head.find(b"Content-Length: ")
        length = int(head[place + 16 :].split(b"\n")[0]) if place >= 0 else 0
        stop = end + 2 + length
        if stop > len(buffer):
            break
        frames.append(buffer[end + 2 : stop])
        position = stop
    return frames, position


def log_in(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    read_reply(sock)
    sock.sendall(b"auth ClueCon\n\n")
    read_reply(sock)
    return sock


def read_reply(sock: socket.socket) -> None:
    """Not one byte more: events follow."""
    seen = b""
    while not seen.endswith(b"\n\n"):
        seen += sock.recv(1)


def ours_events(kind: str, port: int, count: int) -> None:
    """As one does who reads the same values of all events: with `Fields`."""
    from eslbridge.protocol.batches import Fields

    fields = Fields(*NAMES)

    def read(events: Events) -> None:
        for _name, _uuid, _caller, _sdp, _matches in fields.read(events):
            pass

    def getters(events: Events) -> list[Getter]:
        return [dict(zip(NAMES, values, strict=True)).get for values in fields.read(events)]

    consume(kind, port, count, read, getters)


def ours_gets(kind: str, port: int, count: int) -> None:
    """One value after another."""
    a, b, c, d, e = NAMES

    def read(events: Events) -> None:
        for event in events:
            get = event.get
            get(a), get(b), get(c), get(d), get(e)

    consume(kind, port, count, read, lambda events: [event.get for event in events])


def ours_dictionaries(kind: str, port: int, count: int) -> None:
    def read(events: Events) -> None:
        for event in events:
            event.as_dict()

    consume(kind, port, count, read, lambda events: [event.as_dict().get for event in events])


def consume(
    kind: str,
    port: int,
    count: int,
    read: Callable[[Events], None],
    getters: Callable[[Events], list[Getter]],
) -> None:
    """Hands all events to `read`, but the first ones to be checked."""
    from eslbridge.client import Client

    def on_events(events: Events) -> None:
        if meter.checking:
            first = events[: switch.DISTINCT - meter.seen]
            events = events[len(first) :]
            for get in getters(first):
                meter.check(get)
        read(events)
        meter.add(len(events))

    client = Client("127.0.0.1", port, event_format=kind, on_events=on_events)  # type: ignore[arg-type]
    client.connect()
    meter = Meter(count)
    client.subscribe("ALL")
    time.sleep(600)


def greenswitch_events(kind: str, port: int, count: int) -> None:
    from gevent import monkey

    monkey.patch_all()
    import gevent
    import greenswitch

    meter = Meter(count)
    a, b, c, d, e = NAMES

    def read(event: Any) -> None:
        headers = event.headers
        if meter.checking:
            meter.check(headers.get)
            return
        get = headers.get
        get(a), get(b), get(c), get(d), get(e)
        meter.add()

    client = greenswitch.InboundESL(host="127.0.0.1", port=port, password="ClueCon")
    client.connect()
    client.register_handle("*", read)
    meter.restart()
    client.send(f"event {kind} ALL")
    gevent.sleep(600)


def genesis_events(kind: str, port: int, count: int) -> None:
    from genesis import Inbound

    meter = Meter(count)
    a, b, c, d, e = NAMES

    async def read(event: Any) -> None:
        if meter.checking:
            meter.check(event.get)
            return
        get = event.get
        get(a), get(b), get(c), get(d), get(e)
        meter.add()

    async def run() -> None:
        async with Inbound("127.0.0.1", port, "ClueCon") as client:
            client.on("*", read)
            meter.restart()
            await client.send(f"event {kind} ALL")
            await asyncio.sleep(600)

    asyncio.run(run())


# Commands


def ours_api(port: int, count: int) -> None:
    from eslbridge.client import Client

    with Client("127.0.0.1", port) as client:
        client.connect()
        meter = Meter(count)
        for _ in range(count):
            client.api("status")
        meter.finish()


def ours_bgapi(port: int, count: int) -> None:
    from eslbridge.client import Client

    with Client("127.0.0.1", port) as client:
        client.connect()
        meter = Meter(count)
        jobs: deque[Any] = deque()
        for _ in range(count):
            if len(jobs) == UNDER_WAY:
                jobs.popleft().result()
            jobs.append(client.bgapi("status"))
        for job in jobs:
            job.result()
        meter.finish()


def greenswitch_api(port: int, count: int) -> None:
    from gevent import monkey

    monkey.patch_all()
    import greenswitch

    client = greenswitch.InboundESL(host="127.0.0.1", port=port, password="ClueCon")
    client.connect()
    meter = Meter(count)
    for _ in range(count):
        client.send("api status")
    meter.finish()


def greenswitch_bgapi(port: int, count: int) -> None:
    """It has no jobs: a table of our own is filled by the event, as its users do."""
    from gevent import monkey

    monkey.patch_all()
    from uuid import uuid4

    import gevent
    import greenswitch
    from gevent.event import AsyncResult

    client = greenswitch.InboundESL(host="127.0.0.1", port=port, password="ClueCon")
    client.connect()
    waiting: dict[str, AsyncResult] = {}

    def complete(event: Any) -> None:
        waiting.pop(event.headers["Job-UUID"]).set(event)

    client.register_handle("BACKGROUND_JOB", complete)
    client.send("event plain BACKGROUND_JOB")
    meter = Meter(count)

    def work() -> None:
        while meter.seen < count:
            meter.seen += 1
            uuid = str(uuid4())
            result = waiting[uuid] = AsyncResult()
            client.send(f"bgapi status\nJob-UUID: {uuid}")
            result.get()

    gevent.joinall([gevent.spawn(work) for _ in range(UNDER_WAY)])
    meter.finish()


def genesis_api(port: int, count: int) -> None:
    from genesis import Inbound

    async def run() -> None:
        async with Inbound("127.0.0.1", port, "ClueCon") as client:
            meter = Meter(count)
            for _ in range(count):
                await client.send("api status")
            meter.finish()

    asyncio.run(run())


def genesis_bgapi(port: int, count: int) -> None:
    from uuid import uuid4

    from genesis import Inbound

    async def run() -> None:
        async with Inbound("127.0.0.1", port, "ClueCon") as client:
            waiting: dict[str, asyncio.Future[Any]] = {}

            async def complete(event: Any) -> None:
                waiting.pop(event["Job-UUID"]).set_result(event)

            client.on("BACKGROUND_JOB", complete)
            await client.send("event plain BACKGROUND_JOB")
            meter = Meter(count)

            async def work() -> None:
                while meter.seen < count:
                    meter.seen += 1
                    uuid = str(uuid4())
                    result = waiting[uuid] = asyncio.get_running_loop().create_future()
                    await client.send(f"bgapi status\nJob-UUID: {uuid}")
                    await result

            await asyncio.gather(*(work() for _ in range(UNDER_WAY)))
            meter.finish()

    asyncio.run(run())


# Calls: here the library is the server, and `port` is where it listens


class Caller:
    """Another process that places the calls. To be made before gevent changes how processes are started."""

    def __init__(self, port: int, count: int) -> None:
        self._file = Path(tempfile.mkdtemp()) / "complete"
        program = Path(__file__).with_name("eslbridge_switch.py")
        arguments = [sys.executable, str(program), "call", str(port), str(count), str(self._file)]
        self._process = subprocess.Popen(arguments)

    @property
    def is_through(self) -> bool:
        return self._file.exists() and bool(self._file.read_text())

    def finish(self, meter: Meter) -> None:
        """When it is through with all calls."""
        meter.finish(complete=int(self._file.read_text()))


def ours_calls(port: int, count: int) -> None:
    from eslbridge.server import Call, OutboundServer

    async def handle(call: Call) -> None:
        await call.answer()
        for number in range(APPLICATIONS):
            await call.execute("playback", f"{number}.wav")
        await call.hangup()

    async def run() -> None:
        caller, meter = Caller(port, count), Meter(count)
        async with OutboundServer(handle, "127.0.0.1", port):
            while not caller.is_through:
                await asyncio.sleep(0.01)
            caller.finish(meter)

    asyncio.run(run())


def greenswitch_calls(port: int, count: int) -> None:
    from gevent import monkey

    caller = Caller(port, count)
    monkey.patch_all()
    import gevent
    import greenswitch

    class Application:
        def __init__(self, session: Any) -> None:
            self.session = session

        def run(self) -> None:
            self.session.myevents()
            self.session.linger()
            self.session.call_command("answer", block=True)
            for number in range(APPLICATIONS):
                self.session.call_command("playback", f"{number}.wav", block=True)
            self.session.hangup()

    server = greenswitch.OutboundESLServer("127.0.0.1", port, Application, max_connections=count + 1)
    meter = Meter(count)
    gevent.spawn(server.listen)
    while not caller.is_through:
        gevent.sleep(0.01)
    caller.finish(meter)


def genesis_calls(port: int, count: int) -> None:
    from genesis import Outbound

    async def handle(session: Any) -> None:
        await session.sendmsg("execute", "answer", block=True)
        for number in range(APPLICATIONS):
            await session.sendmsg("execute", "playback", f"{number}.wav", block=True)
        await session.sendmsg("hangup", "hangup", "NORMAL_CLEARING")

    async def run() -> None:
        caller, meter = Caller(port, count), Meter(count)
        server = Outbound(handle, "127.0.0.1", port)
        await server.start(block=False)
        while not caller.is_through:
            await asyncio.sleep(0.01)
        caller.finish(meter)

    asyncio.run(run())


# Memory


def ours_memory(_kind: str, port: int, count: int) -> None:
    """Resident megabytes after each tenth of the events."""
    from eslbridge.client import Client

    meter = Meter(count)
    sizes: list[float] = []
    unread: list[str] = []

    def read(events: Events) -> None:
        for event in events:
            unread[:] = [event[name] for name in NAMES]
        meter.seen += len(events)
        while meter.seen >= count // 10 * (len(sizes) + 1):
            sizes.append(resident_megabytes())
        if meter.seen >= count:
            meter.finish(megabytes=sizes)

    Client("127.0.0.1", port, subscriptions=["ALL"], on_events=read).connect()
    time.sleep(600)


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    task, library, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    name, _, kind = task.partition("-")
    function = globals()[f"{library}_{name}"]
    function(*([kind] if kind else []), port, count)


if __name__ == "__main__":
    main()
