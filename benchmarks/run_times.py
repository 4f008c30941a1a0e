"""How long `./run` takes: in a fresh clone, and the next times.

    python benchmarks/run_times.py [--again 5]

Clones the last commit of this checkout into a temporary folder, starts it there and waits for the first page
(the log-in form), stops it with Ctrl-C, and starts it again. Needs git, and the network for the first run."""

import argparse
import contextlib
import os
import platform
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 600


def main() -> None:
    """Prints a Markdown table for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--again", type=int, default=5, metavar="N", help="how often to start it again")
    again = parser.parse_args().again
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "patchbay"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        fresh = measure(clone)
        later = [measure(clone) for _ in range(again)]
    print(f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}\n")
    print("| `./run` | first page after | all is up after | stopped after |")
    print("| --- | ---: | ---: | ---: |")
    print(_row("in a fresh clone", [fresh]))
    print(_row(f"again, median of {again}", later))
    print(_row("again, slowest", [tuple(max(times) for times in zip(*later, strict=True))]))


def measure(clone: Path) -> tuple[float, ...]:
    """Returns the seconds to the first page, to the last line of the start, and from Ctrl-C to the end."""
    port = _free_port()
    began = time.monotonic()
    said = clone.with_name("said")
    environment = {**os.environ, "PORT": str(port)}
    with (
        said.open("w") as terminal,
        subprocess.Popen(["./run"], cwd=clone, env=environment, stdout=terminal) as run,
    ):
        page = up = 0.0
        while not (page and up):
            if run.poll() is not None or time.monotonic() - began > PATIENCE_SECONDS:
                raise SystemExit(f"./run did not come up: {said.read_text()}")
            time.sleep(0.02)
            page = page or (_shows_a_page(port) and time.monotonic() - began)
            up = up or ("Patchbay is at" in said.read_text() and time.monotonic() - began)
        stop = time.monotonic()
        run.send_signal(signal.SIGINT)
        run.wait()
        return page, up, time.monotonic() - stop


def _shows_a_page(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/login/") as page:
        return bool(page.status == 200)
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _row(what: str, runs: list[tuple[float, ...]]) -> str:
    seconds = [f"{statistics.median(times):.1f} s" for times in zip(*runs, strict=True)]
    return f"| {what} | {' | '.join(seconds)} |"


if __name__ == "__main__":
    main()
