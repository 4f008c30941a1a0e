"""The configuration directory of one switch: whole files or none, and never a file that is not ours."""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from eslbridge.switchxml import managed_by

_TEMPORARY = ".patchbay-tmp"
_libc = ctypes.CDLL(None, use_errno=True)  # syncfs(2), which Python does not have


class NotOurs(Exception):
    """A hand-made file stands where ours should go, or a path leads out of the directory."""


class ConfDir:
    """Reads and writes the managed files below `root`. Raises OSError as the system does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def require(self) -> None:
        """Raises NotADirectoryError, saying what to set, when the directory is not there."""
        if not self.root.is_dir():
            raise NotADirectoryError(
                f"The configuration directory {self.root} does not exist where the worker runs: "
                "set FS_CONF_DIR."
            )

    def _file(self, path: str) -> Path:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or str(pure) != path:
            raise NotOurs(f"{path} leads out of the configuration directory.")
        return self.root / pure

    def read(self, path: str) -> str | None:
        """The text of our file, None when there is no file; NotOurs when somebody else's stands there."""
        try:
            text = _text(self._file(path))
        except FileNotFoundError:
            return None
        if managed_by(text) is None:
            raise NotOurs(
                f"{path} exists and is not managed by Patchbay. It was left as it is: "
                "move it away, or choose another number."
            )
        return text

    def write(self, path: str, content: str | None) -> None:
        """Put the whole file in place, or take it away (None). Durable after `settle`.

        Raises NotOurs, and changes nothing, when somebody else's file stands there.
        """
        self.stage(path, content)
        self.place(path, content)

    def stage(self, path: str, content: str | None, *, durable: bool = True) -> None:
        """Write the whole file beside its place, from where `place` moves it.

        Not `durable` is for many: they all are after one `flush`. Nothing stays there when it fails.
        """
        if content is None:
            return
        file = self._file(path)
        try:
            descriptor = self._open(_beside(file))
            try:
                self._share_with_the_group_of(file.parent, descriptor)
                rest = as_bytes(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as problem:
            self.unstage(path)
            # What goes wrong while writing names no file by itself.
            raise OSError(problem.errno, problem.strerror, problem.filename or str(file)) from problem

    def unstage(self, path: str) -> None:
        """Take away what `stage` wrote; silently, since there is a fault to tell already."""
        with suppress(OSError):
            _beside(self._file(path)).unlink(missing_ok=True)

    def flush(self) -> None:
        """Make all that was written to this disk durable at once."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _libc.syncfs(descriptor):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(self.root))
        finally:
            os.close(descriptor)

    def place(self, path: str, content: str | None) -> None:
        """Move what was staged into its place, or take the file away (None)."""
        file = self._file(path)
        try:
            self.read(path)  # again, at the last moment: somebody may have put a file there since
            if content is None:
                file.unlink(missing_ok=True)
            else:
                _beside(file).replace(file)
        except (OSError, NotOurs):
            self.unstage(path)
            raise

    @staticmethod
    def _open(file: Path) -> int:
        # 0640: user files hold passwords. The switch reads them through the directory's group.
        options = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        try:
            return os.open(file, options, 0o640)
        except FileNotFoundError:
            file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(file, options, 0o640)

    @staticmethod
    def _share_with_the_group_of(directory: Path, descriptor: int) -> None:
        wanted = directory.stat()
        if os.fstat(descriptor).st_gid != wanted.st_gid:
            try:
                os.fchown(descriptor, -1, wanted.st_gid)
            except PermissionError:  # not a member of that group: the switch must then run as this user
                return

    def settle(self, directory: str) -> None:
        """Make what was renamed into and removed from this directory durable."""
        place = self._file(directory)
        if not place.is_dir():
            return
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sweep(self, directories: Iterable[str]) -> None:
        """Remove the half-written files that a killed worker left. Only for who alone writes here."""
        for directory in directories:
            for file in (self.root / directory).glob(f".*{_TEMPORARY}"):
                file.unlink(missing_ok=True)

    def texts(self, directories: set[str]) -> Iterator[tuple[str, str]]:
        """(path, text) of every file directly in these directories, ours or not, sorted."""
        for directory in sorted(directories):
            folder = str(self.root / directory)
            names = os.listdir(folder) if os.path.isdir(folder) else []
            for name in sorted(name for name in names if name.endswith(".xml")):
                try:
                    text = _text(f"{folder}/{name}")
                except (FileNotFoundError, IsADirectoryError):
                    continue
                yield f"{directory}/{name}", text

    def came_at(self, path: str) -> float:
        """When the file was put there or changed: seconds since 1970, by the disk's clock; 0 when gone."""
        try:
            return self._file(path).stat().st_ctime
        except FileNotFoundError:
            return 0


def _beside(file: Path) -> Path:
    """Where the next content of this file is written: the switch does not include it."""
    return file.with_name(f".{file.name}{_TEMPORARY}")


def _text(file: Path | str) -> str:
    """The bytes as text, whatever the locale, from which `as_bytes` makes the same bytes again."""
    with open(file, "rb", buffering=0) as opened:  # read whole: a buffer would cost as much again
        return opened.read().decode("utf-8", "surrogateescape")


def owner_of(text: str) -> tuple[str, int] | None:
    """The kind and primary key of the object that a managed file names."""
    kind, _, pk = (managed_by(text) or "").partition(":")
    return (kind, int(pk)) if pk.isdecimal() else None


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def in_words(problem: OSError) -> str:
    """An operating-system error as a sentence that says what to do."""
    if isinstance(problem, NotADirectoryError) and not problem.filename:
        return str(problem)
    where = problem.filename or "the configuration directory"
    match problem:
        case PermissionError():
            return (
                f"The worker may not write {where}: give its user the right to, "
                "or run it as the switch's user."
            )
        case FileNotFoundError():
            return f"{where} does not exist where the worker runs: set FS_CONF_DIR."
    return f"Writing {where} failed: {problem.strerror or problem}"
