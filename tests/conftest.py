"""Fixtures for all tests: real PostgreSQL and Redis, the simulated switch, the site behind a real server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from pbx.launch.check import FAILED as FAILED_LINTERS
from pbx.launch.check import chromium as find_chromium
from pbx.launch.engines import die_with_parent
from tests import services

if TYPE_CHECKING:
    from eslbridge.simulator import Simulator

BASE_DIR = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 10.0
# The files that take longest, in that order.
LONGEST = (
    "simulator/test_transcripts.py",
    "browser/test_live_calls.py",
    "browser/test_calls.py",
    "browser/test_control.py",
    "pbx/test_launch_run.py",
    "simulator/test_routing.py",
    "eslbridge/test_link.py",
    "calls/test_worker.py",
    "browser/test_live.py",
    "routes/test_calls.py",
    "pbx/test_launch.py",
    "browser/test_routing_forms.py",
    "calls/test_crowds.py",
    "calls/test_control_worker.py",
    "eslbridge/test_publisher_killed.py",
    "browser/test_who_rings.py",
)


def pytest_configure() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" leaves it ignored
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a stopped run cleans up, too


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get(FAILED_LINTERS) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Ends the services; says the very last lines of the output, after pytest's own."""
    services.end()
    if not find_chromium():
        print("Browser tests skipped: there is no Chromium (apt install chromium, or CHROMIUM=/its/path).")
    if os.environ.get(FAILED_LINTERS):
        print(f"Failed besides pytest: {os.environ[FAILED_LINTERS]}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_browser = pytest.mark.skip(reason="there is no Chromium")
    no_switch = pytest.mark.skip(reason="FS_HOST names no real switch")
    items[:] = _dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for item in items:
        if item.get_closest_marker("browser") and not find_chromium():
            item.add_marker(no_browser)
        if item.get_closest_marker("real_switch") and not os.environ.get("FS_HOST"):
            item.add_marker(no_switch)


def _dealt(items: list[pytest.Item], hands: int) -> list[pytest.Item]:
    """The longest files are dealt to the processes of pytest-xdist like cards, since each process begins with
    an equal part of the list: a long one at the end would be waited for by all others."""
    long = [[item for item in items if item.path.as_posix().endswith(f"/{name}")] for name in LONGEST]
    taken = {item for file in long for item in file}
    rest = [item for item in items if item not in taken]
    dealt: list[pytest.Item] = []
    for hand in range(hands):
        mine = [item for file in long[hand::hands] for item in file]
        size = (len(items) - len(dealt)) // (hands - hand)
        fill = max(0, size - len(mine))
        dealt += mine + rest[:fill]
        rest = rest[fill:]
    return dealt + rest


def wait_until(
    condition: Callable[[], Any], what: str = "the condition", seconds: float = WAIT_SECONDS
) -> Any:
    """Returns the first true value of `condition`, asked every 5 ms, and the longer it takes the more rarely:
    what is waited for needs the processor, too. Fails the test after `seconds`."""
    began = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - began
        if waited > seconds:
            pytest.fail(f"waited {seconds} s in vain for {what}")
        time.sleep(min(0.005 + waited / 20, 0.05))
    return value


# --- engines ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """pytest-django asks for this before it makes the test database."""
    services.need("DATABASE_URL")


@pytest.fixture(scope="session")
def _redis_server() -> None:
    services.need("REDIS_URL")


@pytest.fixture
def redis_client(_redis_server: None) -> Iterator["redis.Redis"]:
    """The tests' Redis, empty."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    yield client
    client.close()


# --- the simulated switch --------------------------------------------------------------------------


@pytest.fixture
def switch_folders(tmp_path: Path, settings: Any) -> Path:
    """A vanilla configuration for one test, named in the settings. Returns its folder."""
    from eslbridge.simulator.conf import write_vanilla

    settings.FS_CONF_DIR = str(tmp_path / "conf")
    settings.FS_CDR_DIR = str(tmp_path / "cdr")
    (tmp_path / "conf").mkdir()
    (tmp_path / "cdr").mkdir()
    write_vanilla(tmp_path / "conf")
    return tmp_path / "conf"


@pytest.fixture
def simulator(switch_folders: Path, settings: Any) -> Iterator["Simulator"]:
    """A running simulated switch, to which FS_HOST, FS_ESL_PORT and FS_ESL_PASSWORD point."""
    from eslbridge.simulator import Simulator

    with Simulator(switch_folders, cdr_dir=Path(settings.FS_CDR_DIR), password="ClueCon") as running:
        settings.FS_HOST = "127.0.0.1"
        settings.FS_ESL_PORT = running.esl_port
        settings.FS_ESL_PASSWORD = "ClueCon"
        yield running


# --- the site in a browser -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser; skips the test where there is none."""
    path = find_chromium()
    if not path:
        pytest.skip("there is no Chromium")
    return path


@pytest.fixture
def live_site(transactional_db: None, redis_client: "redis.Redis") -> Iterator[str]:
    """The real ASGI application behind uvicorn, on the test database. Returns its address, no final slash."""
    import uvicorn

    from pbx.asgi import application

    options: dict[str, Any] = {"log_level": "warning", "lifespan": "off", "timeout_graceful_shutdown": 1}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(application, **options))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        wait_until(lambda: server.started, "the web site")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(WAIT_SECONDS)


@pytest.fixture
def worker(
    transactional_db: None, redis_client: "redis.Redis", settings: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """The switch's Celery worker as a process of its own, as in the Procfile, on the test database.

    Ask for `simulator` first: the worker is given FS_* as the settings have them now."""
    process = start_worker(settings)
    yield process
    # It ends within two seconds when asked to; a test of its own sees to that.
    process.kill()
    process.wait()


def start_worker(settings: Any) -> subprocess.Popen[bytes]:
    """A worker more; whoever starts it calls `stop_worker`."""
    names = ("FS_HOST", "FS_ESL_PORT", "FS_ESL_PASSWORD", "FS_CONF_DIR", "FS_CDR_DIR", "SWITCH_NAME")
    environment = os.environ | {name: str(getattr(settings, name)) for name in names}
    environment |= {"DATABASE_URL": _url_of_test_database(), "PYTHONUNBUFFERED": "1"}
    command = [
        sys.executable,
        "-m",
        "celery",
        "--skip-checks",
        "-A",
        "pbx",
        "worker",
        "--pool",
        "threads",
        "--concurrency",
        "4",
    ]
    options = ["--queues", f"switch.{settings.SWITCH_NAME}", "--without-gossip", "--without-mingle"]
    arguments = [*die_with_parent("KILL"), *command, *options, "--loglevel", "INFO"]
    return subprocess.Popen(arguments, cwd=BASE_DIR, env=environment)


def stop_worker(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _url_of_test_database() -> str:
    from django.db import connection

    url, _, query = os.environ["DATABASE_URL"].partition("?")
    return f"{url.rpartition('/')[0]}/{connection.settings_dict['NAME']}{'?' * bool(query)}{query}"
