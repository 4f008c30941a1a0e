"""The process table: what ends is started again, what keeps failing ends the run, nothing outlives it."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import BASE_DIR, wait_until

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a table of commands in a process of its own, which prints what the terminal would get."""
    started = []

    def start(*commands: str) -> "subprocess.Popen[str]":
        program = f"""
            import sys
            from pathlib import Path
            from pbx.launch import table
            table.PAUSES_SECONDS, table.KILL_SECONDS = (0.01, 0.01), 1.0
            say = lambda line: print(line, flush=True)
            made = table.Table(Path({str(tmp_path)!r}), say, started=lambda: None)
            for number, command in enumerate({commands!r}):
                made.add_process(f"job{{number}}", command)
            made.loop()
            print(made.failure, flush=True)
            sys.exit(made.returncode)
        """
        command = [sys.executable, "-c", textwrap.dedent(program)]
        started.append(subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_process_that_ends_is_started_again_and_stops_with_the_table(start: Start, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    table = start(f"echo $$ >> {tries}; [ $(wc -l < {tries}) -ge 3 ] || exit 7; exec sleep 60")
    wait_until(lambda: tries.exists() and len(tries.read_text().splitlines()) == 3, "the third try")
    table.send_signal(signal.SIGINT)
    said, _ = table.communicate(timeout=10)
    assert said.splitlines() == ["job0 ended (exit code 7); starting it again"] * 2 + [""]
    assert table.returncode == 130
    assert not psutil.pid_exists(int(tries.read_text().split()[-1]))


def test_a_process_that_keeps_failing_ends_the_others_and_is_named_with_its_last_words(
    start: Start, tmp_path: Path
) -> None:
    table = start("exec sleep 60", "echo no such setting; exit 3")
    said, _ = table.communicate(timeout=20)
    assert said.splitlines()[-1] == (
        f"job1 does not stay up (exit code 3): no such setting (log: {tmp_path / 'job1.log'})"
    )


def test_a_process_that_ignores_the_request_to_end_is_killed(start: Start, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    table = start(f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done")
    wait_until(lambda: pid.exists() and pid.read_text().strip(), "the process")
    table.send_signal(signal.SIGTERM)
    table.communicate(timeout=10)
    assert table.returncode == 143
    assert not psutil.pid_exists(int(pid.read_text()))


def test_the_terminal_hears_of_an_error_once_and_the_log_has_everything(start: Start, tmp_path: Path) -> None:
    lines = [
        "all is well",
        "2026-01-01 10:00:00,123 ERROR   pbx: lost 1",
        "2026-01-01 10:00:09,456 ERROR   pbx: lost 2",
    ]
    echo = "; ".join(f"echo '{line}'" for line in lines)
    table = start(f"{echo}; exec sleep 60")
    log = tmp_path / "job0.log"
    wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 3, "three lines in the log")
    table.send_signal(signal.SIGTERM)
    said, _ = table.communicate(timeout=10)
    assert said.splitlines() == [f"job0: {lines[1]} (more in {log})", ""]
    assert table.returncode == 143


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_nothing_outlives_a_table_that_is_killed(start: Start, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    table = start(f"echo $$ > {pid}; exec sleep 60")
    wait_until(lambda: pid.exists() and pid.read_text().strip(), "the process")
    job = psutil.Process(int(pid.read_text()))
    os.kill(table.pid, signal.SIGKILL)

    def has_ended() -> bool:
        try:
            return not job.is_running() or job.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:  # between the two questions
            return True

    wait_until(has_ended, "the end of the process")
