"""The live pages under load, against a running ./run with the simulated switch.

    ./run                                            # in another terminal
    .venv/bin/python benchmarks/live.py [http://127.0.0.1:8000] [dom|streams|page|projection ...]

dom         event at the socket to row changed in Chromium: 20 changes a second, 10 and 500 active calls
streams     200 browsers' streams while 50 calls a second start and end for 60 s
page        the page of active calls with 1,000 calls: time to its first byte, and its queries
projection  events a second that the link's projection takes, and its memory
"""

import asyncio
import json
import os
import re
import resource
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import site_under_test as site

site.set_up()

from django.conf import settings  # noqa: E402

from agents import presence  # noqa: E402
from agents.models import Agent  # noqa: E402
from eslbridge.client import Client  # noqa: E402
from pbx.launch.check import chromium  # noqa: E402

CHROMIUM = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
)


def connected(**options) -> Client:
    client = Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD, **options)
    client.connect()
    return client


def phones() -> list[str]:
    devices = presence.registered()
    found = [agent.extension for agent in Agent.objects.active() if devices.get(agent.extension)]
    return found or sys.exit("No agent is registered: is ./run running?")


def originate(client: Client, extension: str, domain: str) -> str:
    """An answered, parked call of one leg; returns its UUID at once."""
    call = str(uuid.uuid4())
    client.bgapi("originate", f"{{origination_uuid={call}}}user/{extension}@{domain} &park")
    return call


def established(client: Client, count: int) -> list[str]:
    domain = client.api("global_getvar", "domain")
    extensions = phones()
    calls = [originate(client, extensions[n % len(extensions)], domain) for n in range(count)]
    site.until(lambda: _answered(client) >= count, 60)
    return calls


def _answered(client: Client) -> int:
    rows = json.loads(client.api("show", "channels as json")).get("rows", [])
    return sum(row["callstate"] in {"ACTIVE", "HELD", "UNHELD"} for row in rows)


# --- event to DOM ----------------------------------------------------------------------------------

WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const now = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll('[data-live="calls"] > tr')) {
      if (row.dataset.state !== row.dataset.was) { window.seen.push([row.id, row.dataset.state, now]); }
      row.dataset.was = row.dataset.state;
    }
  }).observe(document.body, {subtree: true, childList: true});
}"""


def dom(address: str, calls: int) -> None:
    from playwright.sync_api import sync_playwright

    session = site.Session(address)
    session.log_in_as_superuser()
    sent: dict[tuple[str, str], list[float]] = {}

    def note(events: list) -> None:
        now = time.time() * 1000
        for event in events:
            if event.name in {"CHANNEL_HOLD", "CHANNEL_UNHOLD"}:
                state = "held" if event.name == "CHANNEL_HOLD" else "answered"
                sent.setdefault((f"call-{event['Unique-ID']}", state), []).append(now)

    with connected(subscriptions=["CHANNEL_HOLD", "CHANNEL_UNHOLD"], on_events=note) as client:
        uuids = established(client, calls)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM.split())
            context = browser.new_context()
            name, _, value = session.session_cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": address}])
            page = context.new_page()
            page.goto(f"{address}/calls/active/")
            page.wait_for_function(
                f"document.querySelectorAll('[data-live] > tr').length >= {calls}", timeout=60000
            )
            time.sleep(2)
            page.evaluate(WATCH)
            for n in range(200):
                client.bgapi(
                    "uuid_hold", ("off " if (n // len(uuids[:100])) % 2 else "") + uuids[n % len(uuids[:100])]
                )
                page.wait_for_timeout(50)
            page.wait_for_timeout(1500)
            seen = page.evaluate("window.seen")
            browser.close()
        client.api("hupall")
    lags = []
    for row, state, at in seen:
        times = [each for each in sent.get((row, state), []) if each <= at + 5]
        if times:
            lags.append(max(0.0, at - times[-1]) / 1000)
    site.report(f"Event to row changed in Chromium, {calls} calls, 20 changes/s", lags)


# --- many streams ----------------------------------------------------------------------------------


# So many browsers note when a row comes. All read every byte, but to parse it 200 times would load this
# machine with what happens on 200.
OBSERVERS = 10


async def _browser(
    address: str, cookie: str, seen: dict[str, list[float]] | None, dropped: list[str], received: list[int]
) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
    writer.write(f"GET /live/ HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n".encode())
    try:
        while data := await (reader.readline() if seen is not None else reader.read(2**16)):
            received[0] += len(data)
            if b"data: resync" in data:
                dropped.append("told to fetch the present")
            if seen is not None and data.startswith(b'data: {"changed"'):
                now = time.time()
                for key in json.loads(data[6:])["changed"]:
                    seen.setdefault(key, []).append(now)
        dropped.append("ended")
    except asyncio.CancelledError:
        writer.close()


def streams(address: str, browsers: int = 200, rate: int = 50, seconds: int = 60) -> None:
    session = site.Session(address)
    session.log_in_as_superuser()
    created: dict[str, float] = {}

    def note(events: list) -> None:
        now = time.time()
        for event in events:
            created.setdefault(f"call-{event['Unique-ID']}", now)

    processes = {"web": _process_of("uvicorn"), "worker": _process_of("celery")}
    seen: dict[str, list[float]] = {}
    dropped: list[str] = []
    received = [0]
    with connected(subscriptions=["CHANNEL_CREATE"], on_events=note) as client:
        domain, extensions = client.api("global_getvar", "domain"), phones()

        def drive() -> None:
            started, n, alive = time.monotonic(), 0, []
            while time.monotonic() - started < seconds:
                alive.append((time.monotonic(), originate(client, extensions[n % len(extensions)], domain)))
                n += 1
                while alive and time.monotonic() - alive[0][0] > 1.0:
                    client.bgapi("uuid_kill", alive.pop(0)[1])
                time.sleep(max(0, started + n / rate - time.monotonic()))
            for _, call in alive:
                client.bgapi("uuid_kill", call)

        async def watch() -> dict[str, float]:
            tasks = [
                asyncio.create_task(
                    _browser(
                        address, session.session_cookie, seen if n < OBSERVERS else None, dropped, received
                    )
                )
                for n in range(browsers)
            ]
            await asyncio.sleep(3)
            dropped.clear()
            seen.clear()
            received[0] = 0
            before, began = {name: _cpu(pid) for name, pid in processes.items()}, time.monotonic()
            driver = threading.Thread(target=drive)
            driver.start()
            while driver.is_alive():
                await asyncio.sleep(0.2)
            await asyncio.sleep(2)
            passed = time.monotonic() - began
            used = {name: (_cpu(pid) - before[name]) / passed for name, pid in processes.items()}
            for task in tasks:
                task.cancel()
            return used

        used = asyncio.run(watch())
    lags = [at - created[key] for key, times in seen.items() if key in created for at in times[:OBSERVERS]]
    missed = sum(len(seen.get(key, [])) < OBSERVERS for key in created)
    site.report(f"{browsers} streams, {rate} calls/s: event to frame at a browser", lags)
    for name, pid in processes.items():
        print(f"  {name} process: {used[name]:.0%} of a core, {_memory(pid):.0f} MB")
    print(
        f"  calls: {len(created)}, of which not shown to every observer: {missed}; streams ended or told to "
        f"fetch the present: {len(dropped)}; {received[0] / browsers / seconds / 1024:.0f} kB/s a stream"
    )


def _process_of(word: str) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if (
                    word in command
                    and Path(os.readlink(entry / "cwd")) == site.ROOT
                    and "honcho" not in command
                ):
                    return int(entry.name)
            except OSError:
                continue
    sys.exit(f"No {word} of this folder runs here.")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


# --- the page --------------------------------------------------------------------------------------


def page(address: str, calls: int = 1000) -> None:
    session = site.Session(address)
    session.log_in_as_superuser()
    with connected() as client:
        for count in (10, calls):
            established(client, count)
            time.sleep(2)
            firsts = []
            for _ in range(20):
                request = urllib.request.Request(
                    f"{address}/calls/active/", headers={"Cookie": session.session_cookie}
                )
                started = time.perf_counter()
                with urllib.request.urlopen(request) as answer:
                    answer.read(1)
                    firsts.append(time.perf_counter() - started)
                    answer.read()
            site.report(f"Active calls, {count} calls: first byte", firsts)
            client.api("hupall")
            site.until(lambda: _answered(client) == 0, 60)


# --- the projection --------------------------------------------------------------------------------


def projection(address: str, total: int = 200_000) -> None:
    from calls.live import Projection
    from eslbridge.protocol.events import JsonEvent

    sys.path.insert(0, str(site.ROOT))
    events = [bytes(raw) for raw in _recorded()]
    legs = Projection("benchmark")
    started, cpu, done, memory = time.perf_counter(), time.process_time(), 0, []
    rounds = 0
    while done < total:
        rounds += 1
        suffix = f"{rounds:04x}".encode()
        fresh = [
            JsonEvent(raw.replace(b"aaaaaaaa-0000-4000-8000-", b"aaaaaaaa-0000-4000-" + suffix + b"-"))
            for raw in events
        ]
        for n in range(0, len(fresh), 100):
            legs.follow(fresh[n : n + 100])
        done += len(fresh)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    wall, used = time.perf_counter() - started, time.process_time() - cpu
    print(
        f"Projection: {done / wall:,.0f} events/s ({done / used:,.0f} per CPU-second) in batches of 100, "
        f"memory {memory[len(memory) // 10]:.0f} MB after a tenth, {memory[-1]:.0f} MB at the end, n={done}"
    )


def _recorded() -> Iterator[bytes]:
    """The channel events of a recorded click-to-dial on a real switch."""
    from tests.recordings import load

    received = load("click_to_dial_answered").received
    for found in re.finditer(rb"Content-Length: (\d+)\nContent-Type: text/event-json\n\n", received):
        body = received[found.end() : found.end() + int(found[1])]
        if b'"Event-Name":"CHANNEL_' in body:
            yield body


def main() -> None:
    arguments = sys.argv[1:]
    address = arguments.pop(0) if arguments and arguments[0].startswith("http") else "http://127.0.0.1:8000"
    wanted = arguments or ["projection", "page", "dom", "streams"]
    for name in wanted:
        if name == "dom":
            dom(address, 10)
            dom(address, 500)
        else:
            {"streams": streams, "page": page, "projection": projection}[name](address)


main()
