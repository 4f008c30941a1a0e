"""The process table of `./run`: honcho's manager, which here starts a process again when it ends.

All output goes to var/log/<process>.log; the terminal only hears of trouble."""

import contextlib
import datetime
import multiprocessing
import os
import re
import select
import shlex
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from honcho.manager import Manager
from honcho.printer import Message
from honcho.process import Process

from .engines import die_with_parent

LOG_BYTES = 5 * 2**20  # a longer log is set aside as <name>.log.1, over the one before
SHORT_LIFE_SECONDS = 10.0  # a process that ends sooner has not recovered
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)  # before each new try; after the last try the run ends
KILL_SECONDS = 6.0  # for a process to end in good order
QUIET_SECONDS = 60.0  # after one complaint of a process, its log has the others
_TROUBLE = re.compile(r"\S+ \S+ (ERROR|CRITICAL) |ERROR: ")  # our own log format, and uvicorn's
_TABLE = "run"  # in whose name the table itself speaks


class StopSign:
    """Set by closing a pipe, which the kernel also does when ./run is killed: nobody can miss it.

    (A multiprocessing.Event would wait for ever for the answer of a process that died waiting for it.)"""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def set(self) -> None:
        """Called by the table: tells all keepers."""
        self.forget_to_set()

    def forget_to_set(self) -> None:
        """Called by each keeper: only the table may hold the end that is closed."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def wait(self, seconds: float | None = None) -> bool:
        """Called by a keeper. Returns whether the sign is set; waits for it until `seconds` have passed."""
        return bool(select.select([self._reader], [], [], seconds)[0])

    def is_set(self) -> bool:
        """Called by the table."""
        return self._writer < 0


class KeptProcess(Process):  # type: ignore[misc]
    """A process that is started again when it ends, until `stopping` is set or it keeps failing."""

    def __init__(self, cmd: str, *, stopping: StopSign, **options: Any) -> None:
        prefix = shlex.join([*die_with_parent("TERM"), "/bin/sh", "-c"])
        super().__init__(f"exec {prefix} {shlex.quote(cmd)} </dev/null", **options)
        self._stopping = stopping
        self._pid = 0
        self._table = os.getpid()

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Runs the process to its last end; `events` gets honcho's messages about it."""
        self._stopping.forget_to_set()
        self._events = events
        if ignore_signals:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=self._end_when_told, daemon=True).start()
        short_lives = 0
        while True:
            started = time.monotonic()
            code = self._live()
            short_lives = short_lives + 1 if time.monotonic() - started < SHORT_LIFE_SECONDS else 1
            if self._stopping.wait(0) or short_lives > len(PAUSES_SECONDS):
                break
            self._tell(f"{self.name} ended ({_meaning(code)}); starting it again")
            if self._stopping.wait(PAUSES_SECONDS[short_lives - 1]):
                break
        self._send_message({"returncode": code}, type="stop")

    def _live(self) -> int:
        child = self._child_ctor(self.cmd, env=self.env, cwd=self.cwd, preexec_fn=_ordinary_signals)
        self._pid = child.pid
        self._send_message({"pid": child.pid}, type="start")
        if self._stopping.wait(0):  # told before there was something to end
            self._signal(signal.SIGTERM)
        for line in iter(child.stdout.readline, b""):
            self._send_message(line)
        child.stdout.close()
        return int(child.wait())

    def _end_when_told(self) -> None:
        self._stopping.wait()
        self._signal(signal.SIGTERM)
        time.sleep(KILL_SECONDS)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._pid:
                os.killpg(self._pid, number)

    def _send_message(self, data: Any, type: str = "line") -> None:
        if os.getppid() == self._table:  # else it was killed, and nobody reads the queue
            super()._send_message(data, type)

    def _tell(self, line: str) -> None:
        self._events.put(Message("line", line, datetime.datetime.now(), _TABLE, None))


def _ordinary_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _meaning(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Table(Manager):  # type: ignore[misc]
    """The processes of a Procfile, kept alive; loop() returns when all have ended.

    `say` gets the lines for the terminal; `started` is called once all processes have been forked.
    After loop(), `failure` is one line about the process that could not be kept alive, or ""."""

    def __init__(self, logs: Path, say: Callable[[str], None], started: Callable[[], None]) -> None:
        multiprocessing.set_start_method("fork", force=True)  # keepers inherit the stop sign
        self._logs = Logs(logs, say)
        super().__init__(printer=self._logs)
        self._started = started
        self._stopping = StopSign()
        self._process_ctor = self._keep
        self.failure = ""

    @property
    def is_stopping(self) -> bool:
        """True from the first signal or failure on."""
        return self._stopping.is_set()

    def terminate(self) -> None:
        """Has every keeper end its process in good order, or by force after KILL_SECONDS."""
        self._note_failure()
        self._stopping.set()
        super().terminate()

    def fail(self, failure: str) -> None:
        """Ends the table for a reason of the caller's; may be called by any thread."""
        self.failure = self.failure or failure
        os.kill(os.getpid(), signal.SIGTERM)

    def give_up_lost_keepers(self) -> None:
        """Ends the table if the keeper of a process was killed: nobody would start that one again."""
        for name, entry in self._processes.items():
            lost = not entry["process"].is_alive() and "returncode" not in entry
            if lost and not self.is_stopping:
                stop = {"returncode": -signal.SIGKILL}
                self.events.put(Message("stop", stop, datetime.datetime.now(), name, None))

    def _killall(self, force: bool = False) -> None:
        """Honcho's own signals: it may not know yet which process a keeper has just started."""

    def _keep(self, cmd: str, **options: Any) -> KeptProcess:
        return KeptProcess(cmd, stopping=self._stopping, **options)

    def _start(self) -> None:
        super()._start()
        self._started()

    def _note_failure(self) -> None:
        ended = [
            (name, entry["returncode"]) for name, entry in self._processes.items() if "returncode" in entry
        ]
        if ended and not self.is_stopping:
            name, code = ended[0]
            words = self._logs.last_lines.get(name, "it said nothing")
            self.failure = (
                f"{name} does not stay up ({_meaning(code)}): {words} (log: {self._logs.path(name)})"
            )


class Logs:
    """honcho's printer: writes each process's lines to its log, and says errors on the terminal, once."""

    width = 0

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._said: dict[str, float] = {}
        self.last_lines: dict[str, str] = {}

    def path(self, name: str) -> Path:
        """Returns the log of a process."""
        return self._folder / f"{name}.log"

    def write(self, message: Any) -> None:
        """Takes one of honcho's messages."""
        data = message.data if isinstance(message.data, str) else message.data.decode("utf-8", "replace")
        line = data.rstrip("\n")
        self._append(
            message.name, f"{line}\n" if message.name not in (_TABLE, "system") else _stamped(message)
        )
        if line.strip():
            self.last_lines[message.name] = line.strip()[:300]
        if message.name == _TABLE:
            self._say(line)
        elif _TROUBLE.match(line):
            self._complain(message.name, line)

    def _append(self, name: str, text: str) -> None:
        # os.write, because a signal handler of honcho's may come here while a write is under way.
        path = self.path(_TABLE if name == "system" else name)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(log, text.encode("utf-8", "replace"))
            full = os.fstat(log).st_size > LOG_BYTES
        except OSError:  # a full disk must not end the calls' web site as well
            full = False
        finally:
            os.close(log)
        if full:
            path.replace(path.with_suffix(".log.1"))

    def _complain(self, name: str, line: str) -> None:
        now = time.monotonic()
        if now - self._said.get(name, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._said[name] = now
            self._say(f"{name}: {line[:300]} (more in {self.path(name)})")


def _stamped(message: Any) -> str:
    return f"{message.time:%Y-%m-%d %H:%M:%S} {message.data.strip()}\n"
