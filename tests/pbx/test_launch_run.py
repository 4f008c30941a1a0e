"""`./run` as a user meets it, in a copy of the product: the first time, stopped, killed, started again."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest

from tests.conftest import wait_until
from tests.pbx.launching import BARE, call, lend_environment, make_clone

LAST_LINE = re.compile(r"Patchbay is at (http://\S+) - user (\S+), password (\S+)")


class Running:
    """A `./run` under way."""

    def __init__(self, clone: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = str(probe.getsockname()[1])
        self.log = clone / "terminal"
        with self.log.open("w") as terminal:
            self.process = subprocess.Popen(
                ["./run"],
                cwd=clone,
                env={**BARE, "PYTHON": sys.executable, "PORT": port},
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_address(self) -> None:
        line = wait_until(
            lambda: LAST_LINE.search(self.said) or self.process.poll() is not None, "the address", 60
        )
        assert line is not True, self.said
        self.url, self.user, self.password = line.groups()

    @property
    def said(self) -> str:
        return self.log.read_text()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals) -> int:
        """Returns the exit code, after everything that was started has ended."""
        children = self.children()
        self.process.send_signal(number)
        code = self.process.wait(20)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
        return code


@pytest.fixture
def run() -> Iterator[Callable[[Path], Running]]:
    """Starts `./run` in a clone; what a failed test leaves running is killed."""
    started: list[Running] = []

    def run(clone: Path) -> Running:
        started.append(running := Running(clone))
        running.wait_for_address()
        return running

    yield run
    for running in started:
        if running.process.poll() is None:
            running.stop(signal.SIGKILL)


def log_in(site: Running) -> str:
    """Returns the address that the log-in leads to."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar := CookieJar()))
    opener.open(f"{site.url}login/").read()
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {"username": site.user, "password": site.password, "csrfmiddlewaretoken": token}
    with opener.open(f"{site.url}login/?next=/", urlencode(form).encode()) as page:
        return str(page.url)


def test_run_from_a_fresh_clone_to_a_log_in_and_again_after_a_kill(
    run: Callable[[Path], Running], tmp_path: Path
) -> None:
    clone = make_clone(tmp_path / ("a deep folder with a long name and an é in it " * 2) / "clone")
    lend_environment(clone)

    first = run(clone)
    assert first.said.splitlines()[-1].startswith("Patchbay is at ")
    assert log_in(first) == first.url
    assert (clone / "var" / "env").stat().st_mode & 0o777 == 0o600
    found = call(clone, os.path.realpath(sys.executable), "manage.py", "showmigrations", "--plan", "admin")
    assert (found.returncode, "[X]" in found.stdout) == (0, True), found.stdout
    again = call(clone, "./run")
    assert (again.returncode, again.stdout.count("\n")) == (1, 1)
    assert f"Patchbay already runs from this folder (process {first.process.pid}" in again.stdout
    first.stop(signal.SIGKILL)

    second = run(clone)
    assert second.password == first.password
    assert log_in(second) == second.url
    web = next(child for child in second.children() if "uvicorn" in child.cmdline())
    web.kill()
    wait_until(lambda: "web ended (signal SIGKILL); starting it again" in second.said, "the restart")
    assert second.stop(signal.SIGINT) == 130
    assert not (clone / "var" / "env").exists()
