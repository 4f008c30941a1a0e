"""`sync_xml` with nothing to do, on services of its own: the whole command, and what of it is Python's start.

.venv/bin/python benchmarks/sync_xml.py [10000] [7]
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import site_under_test as site

sys.path.insert(0, str(site.ROOT))
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from pbx.launch.engines import PostgreSQL, Redis

ALONE = "import django; django.setup()"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with ExitStack() as stack:
        start_services(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        manage("migrate", "-v0")
        make_agents(count)
        print(manage("sync_xml").splitlines()[-1])
        for name, command in {
            "sync_xml, the whole command": ["manage.py", "sync_xml"],
            "sync_xml --check, the whole command": ["manage.py", "sync_xml", "--check"],
            "  of which Python and Django start": ["-c", ALONE],
        }.items():
            site.report(f"{count:,} agents: {name}", [timed(*command) for _ in range(rounds)])


def start_services(stack: ExitStack, folder: Path) -> None:
    """Engines and a simulated switch, named in the environment, until `stack` closes."""
    folder.chmod(0o755)  # PostgreSQL may have to run as somebody else
    for engine in (
        PostgreSQL(folder / "postgres", folder, folder / "log"),
        Redis(folder / "redis", folder, folder / "log"),
    ):
        engine.start()
        stack.callback(engine.stop)
        os.environ["DATABASE_URL" if isinstance(engine, PostgreSQL) else "REDIS_URL"] = engine.url
    write_vanilla(folder / "conf")
    switch = stack.enter_context(Simulator(folder / "conf", password="ClueCon"))
    os.environ |= {
        "FS_HOST": "127.0.0.1",
        "FS_ESL_PORT": str(switch.esl_port),
        "FS_CONF_DIR": str(folder / "conf"),
        "SECRET_KEY": "for one measurement",
        "FIELD_ENCRYPTION_KEYS": "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtMTI=",
        "DJANGO_SETTINGS_MODULE": "pbx.settings",
    }


def make_agents(count: int) -> None:
    site.set_up()
    from agents.models import Agent

    Agent.objects.bulk_create(
        Agent(
            extension=str(100_000 + number),
            name=f"Zoë O'Neil {number}",
            email=f"agent{number}@example.org",
            call_group="support",
        )
        for number in range(count)
    )


def manage(*arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=site.ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def timed(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=site.ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
