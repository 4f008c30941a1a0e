"""The first half of `./run` and `./test`: makes the virtual environment, then becomes the program inside it.

It is run by the machine's own Python before anything is installed: standard library only."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NoReturn

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(os.environ.get("PATCHBAY_VAR_DIR") or BASE_DIR / "var").resolve()
# What .venv takes (330 MB), its packages while pip unpacks them, and a young database (60 MB).
NEEDED_BYTES = 800 * 2**20
NEEDED_BYTES_LATER = 60 * 2**20
# goal: its environment, what is installed there, the module that goes on
GOALS = {
    "run": (".venv", "requirements.txt", "pbx.launch.run"),
    "test": (".venv-test", "requirements-dev.txt", "pbx.launch.check"),
}


# Files that installers hold open with us: if we are killed, the lock lasts until they have ended.
_held: list[int] = []


class Problem(Exception):
    """Its text is for the person at the terminal: what is wrong, and what to do about it."""


def main() -> NoReturn:
    """Becomes the goal's module in the goal's environment, or exits with one line."""
    goal, *arguments = sys.argv[1:]
    venv_name, requirements, module = GOALS[goal]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" leaves it ignored
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ["PYTHONUTF8"] = "1"
    with told_plainly():
        make_private(VAR_DIR, passable=True)
        make_private(VAR_DIR / "log")
        venv = BASE_DIR / venv_name
        if not is_installed(venv, requirements):
            if goal == "run":
                refuse_taken_port()
            refuse_full_disk(NEEDED_BYTES)
            with _one_at_a_time():
                if not is_installed(venv, requirements):
                    install(venv, requirements)
        refuse_full_disk(NEEDED_BYTES_LATER)
        python = str(venv / "bin" / "python")
        os.chdir(BASE_DIR)
        os.execv(python, [python, "-m", module, *arguments])  # noqa: S606
    raise AssertionError("execv does not return")


@contextmanager
def told_plainly() -> Iterator[None]:
    """Ends the program with one line for every trouble that a person can do something about."""
    try:
        yield
    except Problem as problem:
        is_full = os.strerror(errno.ENOSPC) in str(problem)  # in the words of a program that we started
        sys.exit(_full_disk(NEEDED_BYTES_LATER) if is_full else str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(_full_disk(NEEDED_BYTES_LATER))
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            sys.exit(
                f"Cannot write {error.filename or BASE_DIR}: {error.strerror}. Start Patchbay as the user "
                f"whom this folder belongs to, or give it to yourself (chown -R {os.getuid()} {BASE_DIR})."
            )
        raise


def make_private(folder: Path, *, passable: bool = False) -> None:
    """Makes the folder, for this user only: it holds secrets, sockets or a database.

    A passable one of root's lets the user through as whom PostgreSQL runs then, to a folder of its own."""
    mode = 0o711 if passable and os.geteuid() == 0 else 0o700
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(mode)


# --- the virtual environment -----------------------------------------------------------------------


def is_installed(venv: Path, requirements: str) -> bool:
    """True if this environment was finished for these very requirements and this Python."""
    try:
        stamp = (venv / "patchbay-installed").read_text()
    except OSError:
        return False
    return stamp == _stamp(requirements) and os.access(venv / "bin" / "python", os.X_OK)


def install(venv: Path, requirements: str) -> None:
    """Makes the environment anew. Raises Problem with what to do when the machine cannot."""
    if re.search(r'[:"$`\\\x00-\x1f]', str(venv)):  # venv refuses the first, PostgreSQL the others
        raise Problem(
            f"This folder's path has a character that cannot be used (: \" $ ` \\): move {str(BASE_DIR)!r}."
        )
    if find_spec("ensurepip") is None:
        raise Problem(
            f"This Python makes no virtual environments: apt install {_venv_package()}, then start again."
        )
    log = VAR_DIR / "log" / f"install{venv.name.replace('.', '-')}.log"
    say(f"Making the virtual environment {venv.name} with Python {sys.version.split()[0]}")
    with log.open("w") as log_file:
        done = _call([sys.executable, "-m", "venv", "--clear", str(venv)], log_file)
        if not done:
            raise Problem(_why_failed(log, f"cannot make {venv.name}"))
        say(f"Installing {requirements} (takes about a minute; details in {_short(log)})")
        pip = [
            str(venv / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
        ]
        options = ["--progress-bar", "off", "--retries", "3", "-r", str(BASE_DIR / requirements)]
        done = _call(pip + options, log_file)
    if not done:
        raise Problem(_why_failed(log, f"cannot install {requirements}"))
    (venv / "patchbay-installed").write_text(_stamp(requirements))


def _stamp(requirements: str) -> str:
    texts = [(BASE_DIR / name).read_bytes() for name in sorted({"requirements.txt", requirements})]
    return (
        f"Python {sys.version_info[0]}.{sys.version_info[1]} {hashlib.sha256(b''.join(texts)).hexdigest()}\n"
    )


def _venv_package() -> str:
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    return "python3-venv" if os.path.realpath("/usr/bin/python3") == os.path.realpath(sys.executable) else own


def _call(command: list[str], log_file: IO[str]) -> bool:
    """Runs the command into the log; on our own end it ends too. Returns whether it succeeded."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log_file,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=_held,
    )
    try:
        return process.wait() == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


_REASONS = (
    (r"No space left on device|Disk quota exceeded|Errno 28", ""),
    (
        r"NewConnectionError|ConnectionError|Connection (refused|reset|aborted)|Temporary failure in name"
        r"|Name or service not known|timed out|Network is unreachable|No route to host|ProxyError|SSLError"
        r"|Max retries exceeded|Could not fetch URL|HTTP error",
        "the package index cannot be reached. Check the network (PIP_INDEX_URL names another index, "
        "HTTPS_PROXY a proxy), then start again",
    ),
    (
        r"No matching distribution found|Failed building wheel|Could not build wheels|metadata-generation",
        "a package has no ready-made wheel for this Python and machine. "
        "Use Python 3.11 or 3.12 on 64-bit Linux (PYTHON=python3.11 names one)",
    ),
)


def _why_failed(log: Path, what: str) -> str:
    text = log.read_text(errors="replace")
    for pattern, advice in _REASONS:
        if re.search(pattern, text):
            reason = f"{what[0].upper()}{what[1:]}: {advice}. Details: {_short(log)}"
            return reason if advice else _full_disk()
    lines = [line for line in text.splitlines() if line.strip()] or ["no output"]
    errors = [line for line in lines if "error" in line.lower()] or lines
    return f"{what[0].upper()}{what[1:]}: {errors[-1].strip()[:300]} (details: {_short(log)})"


# --- the machine -----------------------------------------------------------------------------------


def refuse_full_disk(needed: int) -> None:
    """Raises Problem when the disk has fewer bytes free than what comes next needs."""
    if shutil.disk_usage(BASE_DIR).free < needed:
        raise Problem(_full_disk(needed))


def _full_disk(needed: int = NEEDED_BYTES) -> str:
    """Returns the line about the fullest of the disks that are written to; pip unpacks in TMPDIR."""
    folders = [BASE_DIR, VAR_DIR, Path(os.environ.get("TMPDIR") or "/tmp")]  # noqa: S108 - only measured
    free = {folder: shutil.disk_usage(folder).free // 2**20 for folder in folders if folder.exists()}
    fullest = min(free, key=lambda folder: free[folder])
    return (
        f"The disk is full: {fullest} has {free[fullest]} MB left and Patchbay needs {needed // 2**20} MB. "
        "Make room, then start again: nothing is lost."
    )


def port_wanted() -> int:
    """Returns the port of the web site. Raises Problem if PORT is none."""
    text = os.environ.get("PORT") or "8000"
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise Problem(f"PORT is {text!r}; it must be a number from 1 to 65535, as in PORT=8001 ./run")
    return int(text)


def host_wanted() -> str:
    """Returns the address that the web site listens at."""
    return os.environ.get("HOST") or "127.0.0.1"


def refuse_taken_port() -> None:
    """Raises Problem, with who has it, when the web site's port cannot be had."""
    host, port = host_wanted(), port_wanted()
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 8000
            raise Problem(
                f"Port {port} is taken{_by_whom(port)}. Stop that, or take another port: PORT={other} ./run"
            ) from None
        raise Problem(
            f"Cannot listen at {host} port {port}: {error.strerror}. Try HOST=127.0.0.1 PORT=8000 ./run"
        ) from None


def _by_whom(port: int) -> str:
    """Returns " by <program> (process <number>)" as far as /proc tells this user, else ""."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        inodes |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) in links for fd in (process / "fd").iterdir()):
                return f" by {(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return ""


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (VAR_DIR / "install.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another ./run or ./test is installing here; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        _held.append(lock.fileno())
        yield


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def say(line: str) -> None:
    """Tells the person at the terminal, who may have closed it."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
