"""Uploaded files between their preview and its confirmation: private, and for an hour at most."""

import os
import secrets
import stat
import tempfile
import time
from pathlib import Path

KEPT_SECONDS = 3600


def _folder() -> Path:
    """A folder that only this user can look into; raises PermissionError when somebody else made it."""
    folder = Path(tempfile.gettempdir()) / f"patchbay-uploads-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a private folder of this user: remove it.")
    return folder


def keep(content: bytes) -> str:
    """Store the file; returns the name to `take` it by. Files that nobody confirmed in time are removed."""
    folder = _folder()
    for old in folder.iterdir():
        if old.stat().st_mtime < time.time() - KEPT_SECONDS:
            old.unlink(missing_ok=True)
    name = secrets.token_hex(16)
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    return name


def take(name: str) -> bytes:
    """The file, once; raises FileNotFoundError when it was taken already or is too old."""
    path = _folder() / Path(name).name
    taken = path.with_name(f"{path.name}.taken")
    path.rename(taken)
    try:
        return taken.read_bytes()
    finally:
        taken.unlink()
