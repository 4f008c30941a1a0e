"""The files that the switch writes about each finished leg (mod_json_cdr): the second source of records.

They are there also of calls that ended while nothing of ours ran. A file whose leg is recorded, from here or
from its event before, is moved to `done/` and kept there for a month; one that cannot be read is moved to
`unreadable/` and kept. Nothing else is ever removed.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from eslbridge.store import announce

from .models import record
from .reports import from_file, leg_of

log = logging.getLogger(__name__)

PATTERN = "*.cdr.json"
DONE, UNREADABLE = "done", "unreadable"
# Files in one transaction.
PORTION = 200
# A file that cannot be read is taken for half-written until it has been left alone for so many seconds.
SETTLED = 60.0
# Bytes; a leg with long SIP headers has some 30,000.
LARGEST = 4_000_000
KEPT_SECONDS = 30 * 24 * 3600.0


@dataclass
class Reading:
    """What one reading of the folder came to."""

    recorded: int = 0  # legs that no event had told
    done: int = 0
    unreadable: list[str] = field(default_factory=list)
    waiting: int = 0  # half-written
    stuck: list[str] = field(default_factory=list)  # recorded, but it cannot be moved
    trouble: OSError | None = None  # the last one with a single file


def read(folder: Path, switch_name: str, passed_over: set[str]) -> Reading:
    """Record the legs of all files in the folder but those in `passed_over`, to which it adds what cannot be
    moved. Raises FileNotFoundError without the folder, and DatabaseError; nothing is lost by either."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    reading = Reading()
    names = sorted({path.name for path in folder.glob(PATTERN)} - passed_over)
    for start in range(0, len(names), PORTION):
        _read_portion(folder, names[start : start + PORTION], switch_name, reading)
        passed_over |= set(reading.stuck)
    _tidy(folder / DONE)
    return reading


def _read_portion(folder: Path, names: list[str], switch_name: str, reading: Reading) -> None:
    legs: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            legs[name] = leg_of(from_file(_content(folder / name)), switch_name)
        except FileNotFoundError:
            continue
        except OSError as problem:
            reading.trouble = problem
        except ValueError as problem:
            _not_readable(folder, name, problem, reading)
    for name in _stored(folder, legs, reading):
        reading.done += _move(folder, name, DONE, reading)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    return data


def _stored(folder: Path, legs: dict[str, dict[str, Any]], reading: Reading) -> Iterator[str]:
    """Record these legs by file name; the names of those that are in the database now."""
    try:
        reading.recorded += record(legs.values())
        yield from legs
    except (OperationalError, InterfaceError):
        raise
    except (DatabaseError, ValueError) as problem:
        if len(legs) == 1:
            _not_readable(folder, *legs, problem, reading)
            return
        for name, leg in legs.items():
            yield from _stored(folder, {name: leg}, reading)


def _not_readable(folder: Path, name: str, problem: Exception, reading: Reading) -> None:
    try:
        age = time.time() - (folder / name).stat().st_mtime
    except FileNotFoundError:
        return
    if age < SETTLED:
        reading.waiting += 1
        return
    log.error("The call record %s cannot be read and is kept in %s/: %s", folder / name, UNREADABLE, problem)
    if _move(folder, name, UNREADABLE, reading):
        reading.unreadable.append(name)


def _move(folder: Path, name: str, where: str, reading: Reading) -> bool:
    try:
        (folder / where).mkdir(exist_ok=True)
        with suppress(PermissionError):
            os.utime(folder / name)  # its month in done/ begins now
        os.replace(folder / name, folder / where / name)
    except FileNotFoundError:  # another worker was faster
        return False
    except OSError as problem:
        reading.trouble = problem
        reading.stuck.append(name)
        return False
    return True


def _tidy(done: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for path in done.glob(PATTERN):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


class _Reader:
    """Reads one folder at a time beside the thread that follows the events, which must not wait."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._said = ""
        self._passed_over: set[str] = set()

    def read_soon(self, folder: str, switch_name: str) -> threading.Thread | None:
        if not self._busy.acquire(blocking=False):
            return None
        thread = threading.Thread(
            target=self._read, args=(Path(folder), switch_name), name="cdr-files", daemon=True
        )
        thread.start()
        return thread

    def _read(self, folder: Path, switch_name: str) -> None:
        try:
            reading = read(folder, switch_name, self._passed_over)
            self._say(
                f"Call records in {folder} are in trouble: {reading.trouble}" if reading.trouble else ""
            )
            if reading.recorded:
                log.info("%s legs of which no event had told were recorded from %s", reading.recorded, folder)
                announce("records")
        except (OSError, DatabaseError, InterfaceError) as problem:
            self._say(f"The call records in {folder} wait: {str(problem).partition(chr(10))[0]}")
        except Exception:
            log.exception("The call records in %s could not be read", folder)
        finally:
            connection.close()
            self._busy.release()

    def _say(self, text: str) -> None:
        if text and text != self._said:
            log.warning(text)
        self._said = text


read_soon = _Reader().read_soon
