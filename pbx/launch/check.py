"""The second half of `./test`: the linters, then pytest; the last lines say what failed or was skipped."""

import os
import shutil
import signal
import subprocess
import sys
from typing import NoReturn

from .bootstrap import BASE_DIR
from .engines import die_with_parent

LINTERS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "--quiet", "."],
    "mypy": ["mypy", "--no-error-summary"],
    "import-linter": ["importlinter.cli", "lint"],
}
NO_TESTS = 5  # pytest's exit code
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
    """Runs everything; with arguments that choose tests, only those. Exits with 0 if nothing failed."""
    arguments = sys.argv[1:]
    os.environ["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    whole = all(argument.startswith(_HOW_NOT_WHICH) for argument in arguments)
    failed = [name for name, module in LINTERS.items() if not _passes(name, module)] if whole else []
    code = _run([sys.executable, "-m", "pytest", *arguments])
    if whole and code == NO_TESTS:
        failed.append("pytest found no tests")
    elif code:
        failed.append("pytest")
    sys.stdout.flush()
    if not chromium():
        print("Browser tests skipped: there is no Chromium (apt install chromium, or CHROMIUM=/its/path).")
    if failed:
        print(f"Failed: {', '.join(failed)}")
    sys.exit(code if code not in (0, NO_TESTS) else bool(failed))


def chromium() -> str:
    """Returns the path of the browser for the browser tests, or ""."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    return next(filter(None, map(shutil.which, names)), "")


def _passes(name: str, module: list[str]) -> bool:
    print(f"{name}: ", end="", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    print("passed" if done.returncode == 0 else "FAILED", flush=True)
    if done.returncode:
        sys.stdout.buffer.write(done.stdout)
    return done.returncode == 0


def _run(command: list[str]) -> int:
    """Runs pytest in our own terminal. Ctrl-C reaches it by itself; SIGTERM is handed on as one."""
    process = subprocess.Popen([*die_with_parent("INT"), *command], cwd=BASE_DIR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()


if __name__ == "__main__":
    main()
