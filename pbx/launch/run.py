"""The second half of `./run`: engines, keys, database, processes; one line with the address; a clean end."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
from honcho.environ import parse_procfile

from . import surroundings
from .bootstrap import (
    BASE_DIR,
    VAR_DIR,
    Problem,
    host_wanted,
    port_wanted,
    refuse_taken_port,
    say,
    told_plainly,
)
from .engines import Engine, PostgreSQL, Redis, last_line, socket_folder
from .table import Table

USAGE = (
    "./run starts Patchbay: database, web site, worker and, unless FS_HOST is set, a simulated switch. "
    "It takes no arguments; PORT=8001 ./run takes another port; docs/operate.md lists all variables. "
    "Ctrl-C stops everything."
)
MARK = "PATCHBAY_RUN"  # in the environment of our processes: tells a later run whose they were
SIMULATOR = (
    "exec python manage.py simulate_switch --traffic 4"  # calls a minute: something to see, and to read
)
LINK_SECONDS = 10.0  # how long the last line waits for the switch, which may be down
UNKNOWN = "the dashboard says why, and when it is"
SLOW_SECONDS = 30.0  # then a word about where to look
LOGS = VAR_DIR / "log"


def main() -> NoReturn:
    """Runs the site until it is stopped. Exits with 130 on Ctrl-C, 143 on SIGTERM, 1 on trouble."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if sys.argv[1:]:
        sys.exit(USAGE)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" leaves it ignored
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    with told_plainly(), ExitStack() as stack:
        stack.enter_context(only_run_here())
        try:
            code = Run(stack).loop()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # what follows takes a second and must not be cut short
    sys.exit(code)


class Run:
    """One run of the site. Whatever it starts or writes is ended or removed when `stack` closes."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._given = surroundings.given(os.environ)
        self._simulates = "FS_HOST" not in self._given
        self._engines: list[Engine] = []
        self._environment: dict[str, str] = {}
        self._admin: dict[str, Any] = {}

    def loop(self) -> int:
        """Starts everything, tells the address, and waits for the end. Returns the exit code."""
        surroundings.require_sense(self._given)
        surroundings.require_keys(self._given)
        end_leftovers()
        refuse_taken_port()
        self._environment = self._make_environment()
        self._tell_manage()
        self._admin = self._prepare()
        table = self._make_table()
        _exit_on_hangup()
        table.loop()
        if table.failure:
            raise Problem(table.failure)
        say("Stopped.")
        return int(table.returncode or 0)

    # --- what the processes need -----------------------------------------------------------------

    def _make_environment(self) -> dict[str, str]:
        database_exists = (VAR_DIR / "postgres").exists()
        secrets = surroundings.own_secrets(VAR_DIR, database_exists=database_exists, environ=self._given)
        switch = surroundings.simulated_switch(VAR_DIR) if self._simulates else {}
        made = secrets | switch | self._start_engines(first_time=not database_exists)
        fixed = {
            MARK: str(VAR_DIR),
            "DJANGO_SETTINGS_MODULE": "pbx.settings",
            "PATCHBAY_VAR_DIR": str(VAR_DIR),
            "PATCHBAY_SIMULATES": "1" if self._simulates else "",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PORT": str(port_wanted()),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
        return made | self._given | fixed

    def _start_engines(self, *, first_time: bool) -> dict[str, str]:
        """Returns DATABASE_URL and REDIS_URL of the engines that nobody named."""
        engines: dict[str, Engine] = {}
        sockets = socket_folder(VAR_DIR)
        self._stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        for variable, engine, name in (
            ("REDIS_URL", Redis, "redis"),
            ("DATABASE_URL", PostgreSQL, "postgres"),
        ):
            if variable not in self._given:
                engines[variable] = engine(VAR_DIR / name, sockets, LOGS / f"{name}.log")
        if engines:
            names = " and ".join(engine.name for engine in reversed(engines.values()))
            say(f"Starting {names}" + (" (the first time: making the database)" if first_time else ""))
        for engine in engines.values():
            self._stack.callback(engine.stop)
            self._engines.append(engine)
            engine.start()
        return {variable: engine.url for variable, engine in engines.items()}

    def _tell_manage(self) -> None:
        """Writes var/env, by which every manage.py beside this run finds its services."""
        values = {name: self._environment[name] for name in surroundings.NAMES if name in self._environment}
        surroundings.write_private(VAR_DIR / "env", values, "The running ./run, which removes this.")
        self._stack.callback((VAR_DIR / "env").unlink, missing_ok=True)

    def _prepare(self) -> dict[str, Any]:
        """Returns what `manage.py prepare` says of the administrator."""
        say("Bringing the database and the static files up to date")
        log = LOGS / "prepare.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "prepare"],
                cwd=BASE_DIR,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            try:
                output, _ = process.communicate()
            finally:
                if process.poll() is None:
                    process.terminate()
        if process.returncode:
            raise Problem(f"{last_line(log)} (details: {log})")
        admin: dict[str, Any] = json.loads(output.splitlines()[-1])
        return admin

    # --- the processes ---------------------------------------------------------------------------

    def _make_table(self) -> Table:
        def watch() -> None:
            threading.Thread(target=self._watch, args=[table], daemon=True).start()

        commands = dict(parse_procfile((BASE_DIR / "Procfile").read_text()).processes)
        if self._simulates:
            commands = {"simulator": SIMULATOR, **commands}
        say(f"Starting {', '.join(commands)}")
        table = Table(LOGS, say, started=watch)
        for name, command in commands.items():
            table.add_process(name, command, env=self._environment, cwd=str(BASE_DIR))
        return table

    def _watch(self, table: Table) -> None:
        """Tells the address when the site is there; keeps the engines running."""
        begin = time.monotonic()
        told = warned = False
        web_since = 0.0
        while not table.is_stopping:
            time.sleep(0.1)
            table.give_up_lost_keepers()
            self._keep_engines(table)
            if told:
                continue
            state = site_state()
            web_since = web_since or (time.monotonic() if state else 0.0)
            if state == "ok" or (web_since and time.monotonic() - web_since > LINK_SECONDS):
                if state != "ok":
                    say(f"The switch is not connected yet: {state}")
                say(self._last_line())
                told = True
            elif not warned and time.monotonic() - begin > SLOW_SECONDS:
                say(f"Still waiting for the web site: see {LOGS / 'web.log'}")
                warned = True

    def _keep_engines(self, table: Table) -> None:
        for engine in self._engines:
            if not engine.is_running() and not table.is_stopping:
                say(f"{engine.name} ended; starting it again")
                try:
                    engine.start()
                except Problem as problem:
                    table.fail(str(problem))

    def _last_line(self) -> str:
        password = self._environment.get("ADMIN_PASSWORD", "")
        known = (
            f"password {password}" if self._admin["password_is_generated"] else "the password that you chose"
        )
        return (
            f"Patchbay is at {site_url()} - user {self._admin['username']}, {known} (Ctrl-C stops everything)"
        )


def site_url() -> str:
    """Returns the address for a browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host_wanted(), host_wanted())  # noqa: S104 - compared only
    return f"http://{f'[{host}]' if ':' in host else host}:{port_wanted()}/"


def site_state() -> str:
    """Returns "" while the web site does not answer, then "ok" or what is wrong with the switch."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{site_url()}healthz", timeout=2) as answer:
            return str(json.load(answer).get("switch") or UNKNOWN)
    except urllib.error.HTTPError:
        return UNKNOWN
    except (OSError, ValueError):
        return ""


@contextmanager
def only_run_here() -> Iterator[None]:
    """Raises Problem if another ./run of this folder lives. The lock ends with it, however it ends."""
    with (VAR_DIR / "run.lock").open("a+") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by the processes that we fork
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            lock.seek(0)
            other = lock.read().strip()
            raise Problem(f"Patchbay already runs from this folder ({other}). Stop that one first.") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {site_url()}")
        lock.flush()
        yield


def end_leftovers() -> None:
    """Ends processes of an earlier run of this folder that was killed before it could end them itself."""
    left = [process for process in psutil.process_iter() if process.pid != os.getpid() and _is_ours(process)]
    if left:
        say(f"Ending {len(left)} processes that a killed run left")
    for stop in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            try:
                stop(process)
            except psutil.NoSuchProcess:
                continue
        _, left = psutil.wait_procs(left, timeout=5)


def _is_ours(process: psutil.Process) -> bool:
    try:
        return process.environ().get(MARK) == str(VAR_DIR)
    except (psutil.Error, OSError):
        return False


def _exit_on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(143)


def _exit_on_hangup() -> None:
    """A closed terminal ends the run in good order; under nohup it goes on."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


if __name__ == "__main__":
    main()
