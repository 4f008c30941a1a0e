"""Save in the admin to "live on the switch", beside what the same switch needs for a bare reloadxml.

./run                                            # in another terminal
.venv/bin/python benchmarks/save_to_live.py [http://127.0.0.1:8000] [100] [0,1000,10000]

The last argument: beside how many other agents; they are made before, and taken away after.
"""

import sys
import time
from pathlib import Path

import site_under_test as site

site.set_up()

from django.conf import settings  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from agents.models import Agent  # noqa: E402
from eslbridge.client import Client  # noqa: E402
from eslbridge.models import PendingChange  # noqa: E402
from eslbridge.publishing import outbox  # noqa: E402
from eslbridge.publishing.state import LIVE, sync_states  # noqa: E402

# What a browser sends of the form's other fields.
UNTOUCHED = {
    "is_active": "on",
    "may_call_local": "on",
    "may_call_domestic": "on",
    "media": "either",
    "button_rings": "all",
    "voicemail_pin": "482913",
    "user": "",
}
BY_HAND = """<include>
<user id="{}"><params><param name="password" value="of-no-use"/></params></user>
</include>
"""
OURS = r"^(77|6[0-9])[0-9]{4}$"  # the extensions that this benchmark makes


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    sizes = [int(size) for size in (sys.argv[3] if len(sys.argv) > 3 else "0,1000,10000").split(",")]
    session = site.Session(address)
    session.log_in_as_superuser()
    clear()
    try:
        for size in sizes:
            fill(size)
            measure(session, count)
    finally:
        clear()


def measure(session: site.Session, count: int) -> None:
    answered, live, listed = [], [], []
    for number in range(count):
        extension = str(770000 + number)
        started = time.perf_counter()
        values = {"extension": extension, "name": f"Agent {number}", **UNTOUCHED}
        _, leads_to = session.post_only("/agents/agent/add/", **values)
        answered.append(time.perf_counter() - started)
        # A small question, since it is asked again and again: it must not slow down what is measured.
        site.until(lambda path=f"directory/default/{extension}.xml": is_published(path))
        live.append(time.perf_counter() - started)
        agent = Agent.objects.get(extension=extension)
        assert sync_states([agent])[agent.pk].name == LIVE
        started = time.perf_counter()
        session.get(leads_to)
        listed.append(time.perf_counter() - started)
    print(f"beside {Agent.objects.exclude(extension__startswith='77').count():,} agents:")
    site.report("  Save: the browser has its answer (a redirect)", answered)
    site.report("  The page that it leads to (the list)", listed)
    site.report("  Save to live on the switch (asked, not assumed)", live)
    site.report("  The same switch's bare reloadxml", bare_reloads(20))
    site.report("  By hand: write a user's file, bgapi reloadxml, user_exists", by_hand(20))
    take_away(r"^77[0-9]{4}$")


def is_published(path: str) -> bool:
    """What the publisher writes in the transaction with which it takes the change out of the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM eslbridge_publishedfile AS file JOIN eslbridge_switch AS switch"
            " ON switch.id = switch_id AND switch.name = %s WHERE path = %s",
            [settings.SWITCH_NAME, path],
        )
        return bool(cursor.rowcount)


def bare_reloads(count: int) -> list[float]:
    seconds = []
    with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
        client.connect()
        for _ in range(count):
            started = time.perf_counter()
            client.api("reloadxml", timeout=60)
            seconds.append(time.perf_counter() - started)
    return seconds


def by_hand(count: int) -> list[float]:
    """What a program takes at least that keeps its connection free with bgapi: no form, no database."""
    seconds = []
    file = Path(settings.FS_CONF_DIR) / "directory/default/benchmark_by_hand.xml"
    with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
        client.connect()
        domain = client.api("global_getvar", "domain")
        try:
            for number in range(count):
                started = time.perf_counter()
                extension = 780000 + number
                file.write_text(BY_HAND.format(extension))
                client.bgapi("reloadxml").result(60)
                assert client.api("user_exists", f"id {extension} {domain}") == "true"
                seconds.append(time.perf_counter() - started)
        finally:
            file.unlink()
            client.api("reloadxml", timeout=60)
    return seconds


def fill(size: int) -> None:
    """Have `size` agents beside those that are measured."""
    with transaction.atomic():
        there = Agent.objects.filter(extension__regex=r"^6[0-9]{5}$").count()
        outbox.queue_saved(
            Agent.objects.bulk_create(
                Agent(extension=str(600_000 + number), name=f"Agent Number {number}")
                for number in range(there, size)
            )
        )
    site.until(nothing_waits, seconds=120)


def clear() -> None:
    take_away(OURS)


def take_away(extensions: str) -> None:
    with transaction.atomic():
        mine = Agent.objects.filter(extension__regex=extensions)
        agents = list(mine)
        mine._raw_delete(mine.db)
        outbox.queue_saved(agents)
    site.until(nothing_waits, seconds=120)


def nothing_waits() -> bool:
    """Of the benchmark's own: somebody else's change may wait for ever."""
    return not PendingChange.objects.filter(path__regex=r"default/(77|6[0-9])[0-9]{4}\.xml$").exists()


main()
