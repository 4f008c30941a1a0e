"""The second half of `./test`: the linters, then pytest, whose last lines are in tests/conftest.py."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from .bootstrap import BASE_DIR

LINTERS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "--quiet", "."],
    "mypy": ["mypy", "--no-error-summary"],
    "import-linter": ["lint-imports", "--no-logo"],
}
FAILED = "PATCHBAY_FAILED_LINTERS"  # in pytest's environment
# Most tests wait (for phones, timeouts, processes) rather than compute: twice as many processes as the two
# cores of a small machine, each with a PostgreSQL and a Redis of its own (tests/services.py).
_SIDE_BY_SIDE = ("-n", "4", "--dist", "worksteal")
# The first is Chromium without windows: the browser tests take two thirds of the processor time with it.
BROWSERS = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
]
# pytest's options that do not choose among the tests: with these alone, the linters run too
_HOW_NOT_WHICH = (
    "-q",
    "-v",
    "-s",
    "-x",
    "-l",
    "--tb",
    "--durations",
    "-p",
    "-W",
    "--color",
    "-r",
    "--maxfail",
    "--junitxml",
)


def main() -> NoReturn:
    """Runs everything; with arguments that choose tests, only those. The exit code is 0 if nothing failed."""
    arguments = sys.argv[1:]
    os.environ["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # The tests start hundreds of processes: each would compile the product again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ[FAILED] = ""
    if all(argument.startswith(_HOW_NOT_WHICH) for argument in arguments):
        os.environ[FAILED] = ", ".join(failed_linters())
        arguments = [*_SIDE_BY_SIDE, *arguments]
    os.chdir(BASE_DIR)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606
    raise AssertionError("execv does not return")


def failed_linters() -> list[str]:
    """Runs the linters side by side and tells of each in turn. Returns the names of those that failed."""
    with ExitStack() as running:
        started = {name: running.enter_context(_started(command)) for name, command in LINTERS.items()}
        return [name for name, process in started.items() if not _passes(name, process)]


def chromium() -> str:
    """Returns the path of the browser for the browser tests, or ""."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), "")


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    program, *arguments = command
    beside_python = str(Path(sys.executable).with_name(program))
    return subprocess.Popen(
        [beside_python, *arguments], cwd=BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _passes(name: str, process: subprocess.Popen[bytes]) -> bool:
    print(f"{name}: ", end="", flush=True)
    said, _ = process.communicate()
    print("passed" if process.returncode == 0 else "FAILED", flush=True)
    if process.returncode:
        sys.stdout.buffer.write(said)
        sys.stdout.flush()
    return process.returncode == 0


if __name__ == "__main__":
    main()
