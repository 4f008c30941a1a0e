"""What a check can say."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix` says what to do about a warning or a problem."""

    status: Status
    said: str
    fix: str = ""


Findings = Iterator[Finding]


class CannotTell(Exception):
    """What a check needs does not answer; the text says what."""


def ok(said: str) -> Finding:
    return Finding(Status.OK, said)


def warning(said: str, fix: str) -> Finding:
    return Finding(Status.WARNING, said, fix)


def problem(said: str, fix: str) -> Finding:
    return Finding(Status.PROBLEM, said, fix)


def unknown(said: str) -> Finding:
    return Finding(Status.UNKNOWN, said)


def first_line(error: Exception) -> str:
    """What an error says, fit for one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def many(count: int, what: str) -> str:
    """“1 file”, “2 files”."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def how_to_load(module: str) -> str:
    return (
        f'Put <load module="{module}"/> into autoload_configs/modules.conf.xml, and now: '
        f"python manage.py esl load {module}"
    )
