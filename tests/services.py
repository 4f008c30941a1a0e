"""PostgreSQL and Redis of the tests' own, in a temporary folder, started when a test first needs them.

DATABASE_URL and REDIS_URL, where set, name others: there the tests use a database `test_...` and Redis's
database 15, and nothing else."""

import atexit
import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import IO

from pbx.launch.engines import Engine, PostgreSQL, Redis, end_processes_in

PREFIX = f"patchbay-test-{os.geteuid()}-"
KEYS = {
    "SECRET_KEY": "only-for-tests",
    "FIELD_ENCRYPTION_KEYS": "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtMTI=",
}
OWN = "PATCHBAY_TESTS_OWN"  # which of the two addresses are of services of ours
_engines: dict[str, Engine] = {}
_running: set[str] = set()
_lock: IO[str] | None = None
_folder: Path | None = None


def name_in(environ: MutableMapping[str, str]) -> None:
    """Makes a folder for this process's services and puts their addresses into the environment."""
    process = environ.get("PYTEST_XDIST_WORKER", "main")
    if environ.get("PATCHBAY_TESTS_OF") == process:  # a test started us: our parent has the services
        return
    for variable in environ.pop(OWN, "").split():  # a worker of pytest-xdist has services of its own
        del environ[variable]
    folder = _make_folder()
    for service, variable in ((PostgreSQL, "DATABASE_URL"), (Redis, "REDIS_URL")):
        if environ.get(variable):
            continue
        options = {"fleeting": True} if service is PostgreSQL else {}
        engine = service(
            folder / service.__name__.lower(), folder, folder / f"{service.__name__}.log", **options
        )
        _engines[variable] = engine
        environ[variable] = engine.url
    environ[OWN] = " ".join(_engines)
    if "REDIS_URL" not in _engines:
        environ["REDIS_URL"] = re.sub(r"(//[^/?]+)[^?]*", r"\1/15", environ["REDIS_URL"], count=1)
    environ |= KEYS
    environ["PATCHBAY_VAR_DIR"] = str(folder / "var")
    environ["PATCHBAY_TESTS_OF"] = process


def need(variable: str) -> None:
    """Starts the service behind DATABASE_URL or REDIS_URL if it is ours and does not run yet."""
    if variable in _engines and variable not in _running:
        _engines[variable].start()
        _running.add(variable)


def _make_folder() -> Path:
    global _lock, _folder  # noqa: PLW0603 - of this process, until it ends
    root = Path(tempfile.gettempdir())
    _remove_abandoned(root)
    unlocked = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}", dir=root))
    _lock = (unlocked / "lock").open("w")
    fcntl.lockf(_lock, fcntl.LOCK_EX)
    _folder = unlocked.rename(root / unlocked.name.removeprefix("new-"))
    atexit.register(end)
    return _folder


def end() -> None:
    """Stops what runs and removes the folder; also called at the end of the process."""
    while _running:
        _engines[_running.pop()].stop()
    if _folder:
        shutil.rmtree(_folder, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    """Removes what killed test runs left: folders whose lock nobody holds."""
    for folder in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (folder / "lock").open("r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for service in (PostgreSQL, Redis):
                end_processes_in(folder / service.__name__.lower())
            shutil.rmtree(folder, ignore_errors=True)
