"""What it costs to make the file of one agent, in microseconds; needs no service.

.venv/bin/python benchmarks/render_agents.py [20000]
"""

import os
import sys
import time

import site_under_test as site

os.environ.setdefault("DATABASE_URL", "postgres:///nowhere")
os.environ.setdefault("SECRET_KEY", "for one measurement")
os.environ.setdefault("FIELD_ENCRYPTION_KEYS", "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtMTI=")
site.set_up()

from agents.models import Agent  # noqa: E402
from agents.switchxml import agent_file  # noqa: E402
from eslbridge.publishing import Target  # noqa: E402


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    target = Target("switch-1", "pbx.example.org")
    agents = [
        Agent(
            pk=number,
            extension=str(100_000 + number),
            name=f"Zoë O'Neil {number}",
            email=f"agent{number}@example.org",
            call_group="support",
        )
        for number in range(count)
    ]
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for agent in agents:
            agent_file(agent, target)
        rounds.append((time.perf_counter() - started) / count)
    rounds.sort()
    print(
        f"Rendering an agent's file: median {rounds[2] * 1e6:.0f} µs, best {rounds[0] * 1e6:.0f} µs, "
        f"worst {rounds[-1] * 1e6:.0f} µs, of {len(rounds)} rounds of {count:,}"
    )


main()
