"""How long an answer to “who rings if …” takes, beside what reading the files alone costs.

.venv-test/bin/python benchmarks/who_rings.py [1000]     # DIDs; needs neither services nor a switch
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from eslbridge.conftree import Reader
from eslbridge.dialplan import Call, explore, in_words
from eslbridge.dialplan.loading import RACY_NANOSECONDS, Loader
from eslbridge.simulator.conf import write_vanilla
from tests.eslbridge.dialplan.shapes import Did, Group, Outbound, Plan

NOON = datetime(2026, 12, 24, 12, 0, tzinfo=UTC)
AGENTS, GROUPS, GATEWAYS = 1000, 200, 50


def plan(dids: int) -> Plan:
    users = [str(2000 + number) for number in range(AGENTS)]
    gateways = tuple(f"carrier{number}" for number in range(GATEWAYS))
    return Plan(
        dids=tuple(
            Did(str(19490000000 + number), f"user/{users[number % AGENTS]}@127.0.0.1")
            for number in range(dids)
        ),
        groups=tuple(
            Group(
                str(6000 + number),
                ((",".join(f"user/{user}@127.0.0.1" for user in users[number : number + 5]), 30),),
            )
            for number in range(GROUPS)
        ),
        outbound=(
            Outbound("international", "", "international", tuple((name, 30) for name in gateways[:5])),
        ),
        users={user: {"toll_allow": "domestic,international"} for user in users},
        gateways=gateways,
    )


def measured(what: str, count: int, run: Callable[[int], object]) -> None:
    took = []
    for number in range(count):
        started = time.perf_counter()
        run(number)
        took.append((time.perf_counter() - started) * 1000)
    took.sort()
    worst = took[int(len(took) * 0.95)]
    print(f"{what}: median {statistics.median(took):.1f} ms, p95 {worst:.1f} ms, n={count}")


def main() -> None:
    dids = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_vanilla(root)
        for name, text in plan(dids).files().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        time.sleep(2 * RACY_NANOSECONDS / 1e9)
        loader = Loader(root, {})
        print(f"{dids} DIDs, {AGENTS} users, {GROUPS} groups, {GATEWAYS} gateways")

        def answer(number: str, **fields: str) -> list[str]:
            call = Call(number, NOON, caller_number="+15551230000", **fields)
            return in_words(explore(loader.load(), call))

        measured("The first reading of all files", 1, lambda _: loader.load())
        measured(
            "The bare reading and joining of the files",
            5,
            lambda _: Reader({}).read(str(root / "freeswitch.xml")),
        )
        measured(
            "Answer for a DID, the first to the last",
            200,
            lambda n: answer(str(19490000000 + n * dids // 200)),
        )
        measured("Answer for a call out", 200, lambda n: answer("4930901820", user=str(2000 + n)))

        def after_a_change(number: int) -> list[str]:
            digits = str(19490000000 + number)
            path = root / f"dialplan/public/inbound_{digits}.xml"
            path.write_text(path.read_text().replace('"call_timeout=20"', '"call_timeout=21"'))
            return answer(digits)

        measured("Answer after that DID's file was changed", 20, after_a_change)


main()
