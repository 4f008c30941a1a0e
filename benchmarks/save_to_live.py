"""Save in the admin to "live on the switch", beside what the same switch needs for a bare reloadxml.

./run                                            # in another terminal
.venv/bin/python benchmarks/save_to_live.py [http://127.0.0.1:8000] [100]
"""

import sys
import time

import site_under_test as site

site.set_up()

from django.conf import settings  # noqa: E402

from agents.models import Agent  # noqa: E402
from eslbridge.client import Client  # noqa: E402
from eslbridge.models import PendingChange  # noqa: E402
from eslbridge.publishing.state import LIVE, sync_states  # noqa: E402

# What a browser sends of the form's other fields.
UNTOUCHED = {
    "is_active": "on",
    "may_call_local": "on",
    "may_call_domestic": "on",
    "media": "either",
    "voicemail_pin": "482913",
    "user": "",
}


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    session = site.Session(address)
    session.log_in_as_superuser()
    Agent.objects.filter(extension__startswith="77").delete()
    site.until(lambda: not PendingChange.objects.exists())
    answered, live = [], []
    for number in range(count):
        extension = str(770000 + number)
        started = time.perf_counter()
        session.post("/agents/agent/add/", extension=extension, name=f"Agent {number}", **UNTOUCHED)
        answered.append(time.perf_counter() - started)
        agent = Agent.objects.get(extension=extension)
        site.until(lambda agent=agent: sync_states([agent])[agent.pk].name == LIVE)
        live.append(time.perf_counter() - started)
    with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
        client.connect()
        bare = []
        for _ in range(20):
            started = time.perf_counter()
            client.api("reloadxml")
            bare.append(time.perf_counter() - started)
    print(f"{Agent.objects.count()} agents")
    site.report("Save: the browser has its answer", answered)
    site.report("Save to live on the switch (asked, not assumed)", live)
    site.report("The same switch's bare reloadxml", bare)
    Agent.objects.filter(extension__startswith="77").delete()


main()
