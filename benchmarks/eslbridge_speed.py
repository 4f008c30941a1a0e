"""eslbridge against its peers and the floor: python benchmarks/eslbridge_speed.py [--rounds 5] [--only bgapi]

Prints a table of rates per CPU-second of the measured process, the median of the rounds, and which goals are
met. Every round measures everything once, one after another. Any Python 3.11 will do: peers and orjson are
installed into an environment of the benchmark's own, var/benchmark-peers, the first time.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "var" / "benchmark-peers"
PACKAGES = ("genesis==2026.10.18", "greenswitch==0.0.19", "orjson>=3.13,<4")
LIBRARIES = ("ours", "greenswitch", "genesis", "floor")


@dataclass(frozen=True)
class Case:
    """One task for one library. `count` is chosen so that it takes about a second of CPU."""

    task: str
    library: str
    count: int

    @property
    def server(self) -> tuple[str, ...]:
        """The arguments of the switch that it talks to; none for calls: there the library is the server."""
        group, _, kind = self.task.partition("-")
        if group == "calls":
            return ()
        return ("flood", kind, str(self.count)) if kind else ("answer",)


CASES = [
    Case("events-plain", "floor", 200_000),
    Case("events-json", "floor", 200_000),
    Case("events-plain", "ours", 100_000),
    Case("events-json", "ours", 100_000),
    Case("gets-plain", "ours", 50_000),
    Case("gets-json", "ours", 50_000),
    Case("events-plain", "greenswitch", 5_000),
    Case("events-plain", "genesis", 3_000),
    Case("dictionaries-plain", "ours", 15_000),
    Case("dictionaries-json", "ours", 30_000),
    Case("api", "ours", 10_000),
    Case("api", "greenswitch", 10_000),
    Case("api", "genesis", 5_000),
    Case("bgapi", "ours", 10_000),
    Case("bgapi", "greenswitch", 10_000),
    Case("bgapi", "genesis", 5_000),
    Case("calls", "ours", 1_000),
    Case("calls", "greenswitch", 1_000),
    Case("calls", "genesis", 1_000),
]
MEMORY = Case("memory-json", "ours", 1_000_000)

# What is divided by what, and how much it has to be. The peers know no JSON: theirs is always plain.
GOALS = [
    ("five values of plain events", ("events-plain", "ours"), ("events-plain", "greenswitch"), 10),
    ("five values of plain events", ("events-plain", "ours"), ("events-plain", "genesis"), 25),
    ("five values of plain events", ("events-plain", "ours"), ("events-plain", "floor"), 0.3),
    ("five values of JSON events", ("events-json", "ours"), ("events-plain", "greenswitch"), 10),
    ("five values of JSON events", ("events-json", "ours"), ("events-plain", "genesis"), 25),
    ("five values of JSON events", ("events-json", "ours"), ("events-json", "floor"), 0.3),
    ("whole JSON events", ("dictionaries-json", "ours"), ("events-plain", "greenswitch"), 6),
    ("whole plain events", ("dictionaries-plain", "ours"), ("events-plain", "greenswitch"), 2),
    ("bgapi, 100 under way", ("bgapi", "ours"), ("bgapi", "greenswitch"), 1),
    ("bgapi, 100 under way", ("bgapi", "ours"), ("bgapi", "genesis"), 4),
]


def peers_python() -> str:
    """The Python that has the peers; made when it is missing."""
    python = PEERS / "bin" / "python"
    wanted = "\n".join(PACKAGES)
    mark = PEERS / "packages.txt"
    if not mark.exists() or mark.read_text() != wanted:
        print(f"Installing {', '.join(PACKAGES)} into {PEERS} …", file=sys.stderr)
        venv.create(PEERS, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        mark.write_text(wanted)
    return str(python)


class Servers:
    """The switches, one process for each way to answer, for the whole run."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], tuple[subprocess.Popen[str], int]] = {}

    def port(self, arguments: tuple[str, ...]) -> int:
        if not arguments:
            return free_port()
        if arguments not in self._running:
            program = [peers_python(), str(HERE / "eslbridge_switch.py"), *arguments]
            process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            self._running[arguments] = (process, int(process.stdout.readline()))
        return self._running[arguments][1]

    def stop(self) -> None:
        for process, _ in self._running.values():
            process.kill()
            process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def measure(case: Case, servers: Servers) -> dict[str, object]:
    arguments = [case.task, case.library, str(servers.port(case.server)), str(case.count)]
    program = [peers_python(), str(HERE / "eslbridge_consumers.py"), *arguments]
    environment = os.environ | {"GENESIS_LOG_LEVEL": "ERROR", "OTEL_SDK_DISABLED": "true"}
    done = subprocess.run(program, capture_output=True, text=True, timeout=600, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{case} gave no result:\n{done.stderr[-2000:]}")
    result: dict[str, object] = json.loads(lines[-1])
    return result


def run(
    rounds: int, only: str
) -> tuple[dict[tuple[str, str], list[float]], dict[tuple[str, str], list[str]]]:
    """Rates per CPU-second by task and library, and which values were wrong."""
    rates: dict[tuple[str, str], list[float]] = {}
    remarks: dict[tuple[str, str], list[str]] = {}
    servers = Servers()
    cases = [case for case in CASES if only in case.task]
    try:
        for number in range(rounds):
            for case in cases:
                print(
                    f"\r{number + 1}/{rounds} {case.task} {case.library}".ljust(60), end="", file=sys.stderr
                )
                result = measure(case, servers)
                key = (case.task, case.library)
                rates.setdefault(key, []).append(case.count / float(str(result["cpu"])))
                remarks[key] = remark(case, result)
    finally:
        servers.stop()
    print("\r".ljust(60), file=sys.stderr)
    return rates, remarks


def remark(case: Case, result: dict[str, object]) -> list[str]:
    remarks = [f"wrong: {', '.join(map(str, result['wrong']))}"] if result["wrong"] else []  # type: ignore[call-overload]
    if result.get("complete", case.count) != case.count:
        remarks.append(f"only {result['complete']} of {case.count} calls complete")
    return remarks


def report(rates: dict[tuple[str, str], list[float]], remarks: dict[tuple[str, str], list[str]]) -> bool:
    print("| task | library | a CPU-second, median | lowest | highest | |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for (task, library), values in sorted(
        rates.items(), key=lambda item: (item[0][0], LIBRARIES.index(item[0][1]))
    ):
        middle = statistics.median(values)
        note = "; ".join(remarks[task, library])
        print(f"| {task} | {library} | {middle:,.0f} | {min(values):,.0f} | {max(values):,.0f} | {note} |")
    print("\n| goal | ratio | wanted | |\n| --- | ---: | ---: | --- |")
    met = True
    for what, ours, other, wanted in GOALS:
        if ours not in rates or other not in rates:
            continue
        ratio = statistics.median(rates[ours]) / statistics.median(rates[other])
        met = met and ratio >= wanted
        word = "met" if ratio >= wanted else "MISSED"
        print(f"| {what} against {other[1]} | {ratio:.2f} | {wanted} | {word} |")
    wrong = [key for key, words in remarks.items() if key[1] == "ours" and words]
    print(f"\nEvery value that eslbridge read was {'right' if not wrong else 'NOT right'}.")
    return met and not wrong


def report_memory() -> bool:
    servers = Servers()
    try:
        result = measure(MEMORY, servers)
    finally:
        servers.stop()
    sizes = [float(str(size)) for size in result["megabytes"]]  # type: ignore[attr-defined]
    flat = sizes[-1] < sizes[0] * 1.1 + 5
    print(f"\nResident megabytes after each tenth of {MEMORY.count:,} events: {[*map(round, sizes)]}")
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="measure only tasks whose name contains this")
    parser.add_argument("--no-memory", action="store_true", help="leave out the million events")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {options.rounds} rounds\n")
    good = report(*run(options.rounds, options.only))
    if not options.no_memory and options.only in MEMORY.task:
        good = report_memory() and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
