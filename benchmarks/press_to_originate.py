"""Call button pressed to originate at the switch, seen from the switch: its own CHANNEL_CREATE of the A-leg.

./run                                            # in another terminal
.venv/bin/python benchmarks/press_to_originate.py [http://127.0.0.1:8000] [100]
"""

import re
import sys
import threading
import time

import site_under_test as site

site.set_up()

from django.conf import settings  # noqa: E402

from agents import presence  # noqa: E402
from agents.models import Agent  # noqa: E402
from eslbridge.client import Client  # noqa: E402


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    session = site.Session(address)
    session.log_in_as_superuser()
    phones = [a for a in Agent.objects.active()[:20] if presence.registered().get(a.extension)]
    if len(phones) < 2:
        sys.exit("Two registered agents are needed.")
    seen: dict[str, float] = {}
    arrived = threading.Event()

    def note(events: list) -> None:
        now = time.perf_counter()
        for event in events:
            if event.name == "CHANNEL_CREATE":
                seen.setdefault(event["Unique-ID"], now)
        arrived.set()

    answered, originated, bare = [], [], []
    with Client(
        settings.FS_HOST,
        settings.FS_ESL_PORT,
        settings.FS_ESL_PASSWORD,
        subscriptions=["CHANNEL_CREATE"],
        on_events=note,
    ) as client:
        client.connect()
        for number in range(count):
            caller, callee = phones[number % len(phones)], phones[(number + 1) % len(phones)]
            started = time.perf_counter()
            html = session.post("/dial/", number=callee.extension, extension=caller.extension)
            answered.append(time.perf_counter() - started)
            uuid = re.search(r'id="dial-([0-9a-f-]{36})"', html)
            if uuid is None:
                sys.exit(f"The site refused to dial: {html}")
            site.until(lambda uuid=uuid: uuid[1] in seen)
            originated.append(seen[uuid[1]] - started)
            client.bgapi("uuid_kill", uuid[1])
        for number in range(20):
            caller = phones[number % len(phones)]
            before = len(seen)
            started = time.perf_counter()
            client.bgapi("originate", f"user/{caller.extension}@{_domain(client)} &park")
            site.until(lambda before=before: len(seen) > before)
            bare.append(max(seen.values()) - started)
        client.api("hupall")
    site.report("Press: the browser has its answer", answered)
    site.report("Press to the A-leg at the switch", originated)
    site.report("A bare bgapi originate on an open connection", bare)


def _domain(client: Client, known: list[str] = []) -> str:  # noqa: B006 - asked once
    if not known:
        known.append(settings.FS_DOMAIN or client.api("global_getvar", "domain"))
    return known[0]


main()
