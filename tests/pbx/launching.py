"""A copy of the product in a folder of its own, for tests that run `./run` as a user would."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent.parent
_NOT_COPIED = (".*", "var", "staticfiles", "tests", "docs", "__pycache__", "*.pyc")
# What a shell has on a bare machine: nothing of this test run's own settings.
BARE = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C"}


def make_clone(folder: Path) -> Path:
    """Copies the product into the folder, without its environment and data. Returns the folder."""
    shutil.copytree(BASE_DIR, folder, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    return folder


def lend_environment(clone: Path) -> None:
    """Gives the clone a .venv that passes for its own but borrows the packages of this test run."""
    own = Path(sys.prefix)
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "lib").symlink_to(own / "lib")
    shutil.copy(own / "pyvenv.cfg", clone / ".venv")
    for name in ("python", "python3"):
        (clone / ".venv" / "bin" / name).symlink_to(Path(sys.executable).resolve())
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = hashlib.sha256((clone / "requirements.txt").read_bytes()).hexdigest()
    (clone / ".venv" / "patchbay-installed").write_text(f"Python {version} {wanted}\n")


def call(
    clone: Path, *command: str, seconds: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command in the clone as on a bare machine; stderr is part of the output."""
    return subprocess.run(
        command,
        cwd=clone,
        env={**BARE, "PYTHON": sys.executable, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
