"""The second half of `./test`: the linters, then pytest, whose last lines are in tests/conftest.py."""

import os
import shutil
import subprocess
import sys
from typing import NoReturn

from .bootstrap import BASE_DIR

LINTERS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "--quiet", "."],
    "mypy": ["mypy", "--no-error-summary"],
    "import-linter": ["importlinter.cli", "lint"],
}
FAILED = "PATCHBAY_FAILED_LINTERS"  # in pytest's environment
# Most tests wait (for phones, timeouts, processes) rather than compute: twice as many processes as the two
# cores of a small machine, each with a PostgreSQL and a Redis of its own (tests/services.py).
_SIDE_BY_SIDE = ("-n", "4", "--dist", "worksteal")
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
)


def main() -> NoReturn:
    """Runs everything; with arguments that choose tests, only those. The exit code is 0 if nothing failed."""
    arguments = sys.argv[1:]
    os.environ["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ[FAILED] = ""
    if all(argument.startswith(_HOW_NOT_WHICH) for argument in arguments):
        os.environ[FAILED] = ", ".join(name for name, module in LINTERS.items() if not _passes(name, module))
        arguments = [*_SIDE_BY_SIDE, *arguments]
    os.chdir(BASE_DIR)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606
    raise AssertionError("execv does not return")


def chromium() -> str:
    """Returns the path of the browser for the browser tests, or ""."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    return next(filter(None, map(shutil.which, names)), "")


def _passes(name: str, module: list[str]) -> bool:
    print(f"{name}: ", end="", flush=True)
    command = [sys.executable, "-m", *module]
    done = subprocess.run(
        command, cwd=BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    print("passed" if done.returncode == 0 else "FAILED", flush=True)
    if done.returncode:
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.flush()
    return done.returncode == 0


if __name__ == "__main__":
    main()
