"""Call button pressed to originate at the switch, seen from the switch: its own CHANNEL_CREATE of the A-leg.

./run                                            # in another terminal
.venv/bin/python benchmarks/press_to_originate.py [http://127.0.0.1:8000] [100]

One press after another; then ten at the same instant, ten times, while all the phones of the presses before
still ring: nothing may wait behind a ringing phone.
"""

import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import site_under_test as site

site.set_up()

from django.conf import settings  # noqa: E402

from agents import presence  # noqa: E402
from agents.models import Agent  # noqa: E402
from eslbridge.client import Client  # noqa: E402

AT_ONCE = 10
ROUNDS = 10


class Legs:
    """When each leg was made, as the switch told it here."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def note(self, events: list) -> None:
        now = time.perf_counter()
        for event in events:
            self.at.setdefault(event["Unique-ID"], now)


@contextmanager
def phones() -> Iterator[list[str]]:
    """Ten agents of our own with registered phones; gone afterwards."""
    made = [Agent.objects.create(extension=str(7700 + n), name=f"Bench {n}") for n in range(AT_ONCE)]
    try:
        extensions = [agent.extension for agent in made]
        site.until(lambda: set(extensions) <= presence.registered().keys())
        yield extensions
    finally:
        for agent in made:
            agent.delete()


def press(session: site.Session, caller: str, callee: str) -> str:
    """The UUID of the A-leg."""
    html = session.post("/dial/", number=callee, extension=caller)
    uuid = re.search(r'id="dial-([0-9a-f-]{36})"', html)
    return uuid[1] if uuid else sys.exit(f"The site refused to dial: {html}")


def one_by_one(session: site.Session, client: Client, legs: Legs, extensions: list[str], count: int) -> None:
    answered, originated = [], []
    for number in range(count):
        caller, callee = extensions[number % AT_ONCE], extensions[(number + 1) % AT_ONCE]
        started = time.perf_counter()
        uuid = press(session, caller, callee)
        answered.append(time.perf_counter() - started)
        site.until(lambda uuid=uuid: uuid in legs.at)
        originated.append(legs.at[uuid] - started)
        client.bgapi("uuid_kill", uuid)
    site.report("Press: the browser has its answer", answered)
    site.report("Press to the A-leg at the switch", originated)


def at_once(address: str, client: Client, legs: Legs, extensions: list[str]) -> None:
    sessions = []
    for _ in range(AT_ONCE):
        session = site.Session(address)
        session.log_in_as_superuser()
        sessions.append(session)
    lasts, start = [], threading.Barrier(AT_ONCE + 1)

    def one(n: int) -> str:
        start.wait()
        return press(sessions[n], extensions[n], extensions[(n + 5) % AT_ONCE])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(ROUNDS):
            presses = [pool.submit(one, n) for n in range(AT_ONCE)]
            start.wait()
            began = time.perf_counter()
            uuids = [each.result() for each in presses]
            site.until(lambda uuids=uuids: all(uuid in legs.at for uuid in uuids))
            lasts.append(max(legs.at[uuid] for uuid in uuids) - began)
            client.api("hupall")
            time.sleep(0.5)
    site.report(f"{AT_ONCE} presses at once: the last A-leg at the switch", lasts)


def bare(client: Client, legs: Legs, extensions: list[str]) -> None:
    domain = settings.FS_DOMAIN or client.api("global_getvar", "domain")
    took = []
    for number in range(20):
        before = len(legs.at)
        started = time.perf_counter()
        client.bgapi("originate", f"user/{extensions[number % AT_ONCE]}@{domain} &park")
        site.until(lambda before=before: len(legs.at) > before)
        took.append(max(legs.at.values()) - started)
    client.api("hupall")
    site.report("A bare bgapi originate on an open connection", took)


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    session = site.Session(address)
    session.log_in_as_superuser()
    legs = Legs()
    where = (settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD)
    with (
        phones() as extensions,
        Client(*where, subscriptions=["CHANNEL_CREATE"], on_events=legs.note) as client,
    ):
        client.connect()
        one_by_one(session, client, legs, extensions, count)
        at_once(address, client, legs, extensions)
        bare(client, legs, extensions)


main()
