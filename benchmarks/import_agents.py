"""10,000 agents through the import pages, as a browser does it, until the last is live on the switch.

./run                                            # in another terminal
.venv/bin/python benchmarks/import_agents.py [http://127.0.0.1:8000] [10000] [5]
"""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import site_under_test as site

site.set_up()

from django.db import transaction  # noqa: E402

from agents.models import Agent  # noqa: E402
from eslbridge.models import PendingChange, PublishedFile, Reload  # noqa: E402
from eslbridge.publishing import outbox  # noqa: E402

FIRST = 500_000  # the extensions from here on are the benchmark's own


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    session = site.Session(address)
    session.log_in_as_superuser()
    file = _csv(count)
    previewed, confirmed, live, reloads, reloading = [], [], [], [], []
    for _ in range(rounds):
        _clear()
        others = PublishedFile.objects.count()
        last = Reload.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        started = time.perf_counter()
        page = _upload(session, file)
        previewed.append(time.perf_counter() - started)
        token = re.search(r'name="token" value="([^"]+)"', page)
        if token is None or f"{count} new" not in page:
            sys.exit("The site refused the file.")
        started = time.perf_counter()
        session.post("/agents/agent/process_import/", token=token[1])
        confirmed.append(time.perf_counter() - started)
        _until(_nothing_waits)
        live.append(time.perf_counter() - started)
        if PublishedFile.objects.count() != others + count:
            sys.exit("Not every agent has a file on the switch: see the page of changes.")
        made = Reload.objects.filter(pk__gt=last)
        reloads.append(made.count())
        reloading.append(sum(made.values_list("milliseconds", flat=True)) / 1000)
    print(f"{count:,} agents, {len(file):,} bytes of CSV, {rounds} rounds")
    site.report("Upload to the preview", previewed)
    site.report("Confirm: the browser has its answer", confirmed)
    site.report("Confirm to the last agent live", live)
    site.report("  of which the switch reloaded", reloading)
    fastest = f"{count / sorted(live)[len(live) // 2]:,.0f} files a second"
    print(f"Reloads a round: {', '.join(map(str, reloads))}; {fastest}, from the press of the button")
    site.report("sync_xml with nothing to do (whole command)", [_manage("sync_xml") for _ in range(3)])
    site.report("sync_xml --check (whole command)", [_manage("sync_xml", "--check") for _ in range(3)])
    site.report("manage.py check, for comparison: starting alone", [_manage("check") for _ in range(3)])
    _clear()


def _csv(count: int) -> bytes:
    rows = (
        f"{FIRST + number},Agent Number {number},agent{number}@example.org,yes,team{number % 20},no"
        for number in range(count)
    )
    return "\r\n".join(["extension,name,email,active,call_group,international_calls", *rows, ""]).encode()


def _upload(session: site.Session, content: bytes) -> str:
    """The import page's form with its file, as a browser sends it; returns the preview."""
    path = "/agents/agent/import/"
    csrf = next(cookie.value for cookie in session.cookies if cookie.name == "csrftoken")
    body = (
        b'--x\r\nContent-Disposition: form-data; name="import_file"; filename="agents.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n" + content + b"\r\n--x--\r\n"
    )
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Referer": session.address + path,
        "X-CSRFToken": csrf,
        "Cookie": f"{session.session_cookie}; csrftoken={csrf}",
    }
    with session.opener.open(urllib.request.Request(session.address + path, body, headers)) as answer:
        return answer.read().decode()


def _clear() -> None:
    """Take the benchmark's agents off the site and the switch, quickly."""
    with transaction.atomic():
        mine = Agent.objects.filter(extension__regex=r"^5[0-9]{5}$")
        agents = list(mine)
        mine._raw_delete(mine.db)
        outbox.queue_saved(agents)
    _until(_nothing_waits)


def _nothing_waits() -> bool:
    """Of the benchmark's own: somebody else's change may wait for ever."""
    return not PendingChange.objects.filter(path__startswith="directory/default/5").exists()


def _until(condition: Callable[[], bool]) -> None:
    """Asked every 50 ms: what is measured needs the processor more than the clock needs milliseconds."""
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("Waited in vain: is ./run running, and the switch connected?")
        time.sleep(0.05)


def _manage(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "manage.py", *command], cwd=site.ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


main()
