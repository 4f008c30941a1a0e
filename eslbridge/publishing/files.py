"""The configuration directory of one switch: whole files or none, and never a file that is not ours."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from eslbridge.switchxml import managed_by

_TEMPORARY = ".patchbay-tmp"


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
        if pure.is_absolute() or ".." in pure.parts:
            raise NotOurs(f"{path} leads out of the configuration directory.")
        return self.root / pure

    def read(self, path: str) -> str | None:
        """The text of our file, None when there is no file; NotOurs when somebody else's stands there."""
        try:
            text = self._file(path).read_text(errors="surrogateescape")
        except FileNotFoundError:
            return None
        if managed_by(text) is None:
            raise NotOurs(
                f"{path} exists and is not managed by Patchbay. It was left as it is: "
                "move it away, or choose another number."
            )
        return text

    def write(self, path: str, content: str | None) -> None:
        """Put the whole file in place, or take it away (None). Durable after `settle`."""
        file = self._file(path)
        if content is None:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}{_TEMPORARY}")
        try:
            # 0640: user files hold passwords. The switch reads them through the directory's group.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
            with os.fdopen(descriptor, "w", errors="surrogateescape") as stream:
                self._share_with_the_group_of(file.parent, descriptor)
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    @staticmethod
    def _share_with_the_group_of(directory: Path, descriptor: int) -> None:
        wanted = directory.stat()
        if os.fstat(descriptor).st_gid != wanted.st_gid:
            try:
                os.fchown(descriptor, -1, wanted.st_gid)
            except PermissionError:  # not a member of that group: the switch must then run as this user
                return

    def settle(self, paths: set[str]) -> None:
        """Make the renames below these paths' directories durable."""
        for directory in {self._file(path).parent for path in paths}:
            if not directory.is_dir():
                continue
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def managed(self, directories: set[str]) -> Iterator[tuple[str, str]]:
        """(path, text) of every file of ours directly in these directories, sorted."""
        for directory in sorted(directories):
            for file in sorted((self.root / directory).glob("*.xml")):
                try:
                    text = file.read_text(errors="surrogateescape")
                except FileNotFoundError:
                    continue
                if managed_by(text) is not None:
                    yield f"{directory}/{file.name}", text
