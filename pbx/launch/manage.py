"""manage.py's answer to what goes wrong around it: one line that says what to start or set."""

import gc
import os
import sys
import warnings
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import Error as DatabaseError
from django.db import OperationalError, ProgrammingError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from . import surroundings
from .bootstrap import VAR_DIR, Problem


def execute(arguments: list[str]) -> None:
    """Runs the command as Django does. With --traceback errors are shown whole."""
    _name_what_is_missing(arguments)
    # makemigrations works without a database; its warning about that is of no use here
    warnings.filterwarnings("ignore", "Got an error checking a consistent migration history")
    try:
        # One thread needs one connection; a pool would try again and again and not say why there is none.
        settings.DATABASES["default"]["OPTIONS"].pop("pool", None)
        _load()
        execute_from_command_line(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except (
        ImproperlyConfigured,
        DatabaseError,
        BrokerError,
        RedisError,
        RedisTimeout,
        PermissionError,
    ) as error:
        advice = _advice(error)
        if "--traceback" in arguments or not advice:
            raise
        sys.exit(advice)


def _load() -> None:
    """What a program is made of stays: looking through it for garbage, again and again, took a sixth of the
    time of `sync_xml`."""
    django.setup()
    gc.freeze()
    gc.enable()


def _name_what_is_missing(arguments: list[str]) -> None:
    """Lets commands that need no database work without one, and the others say what they looked for."""
    surroundings.adopt(VAR_DIR, os.environ)
    try:
        surroundings.require_sense(os.environ)
        if "DATABASE_URL" not in os.environ:
            surroundings.stand_in(VAR_DIR, os.environ)
        elif arguments[1:2] not in ([], ["help"], ["version"]):
            surroundings.require_keys(os.environ)
    except Problem as problem:
        sys.exit(str(problem))


def _advice(error: Exception) -> str:
    """Returns the line for a person, or "" if this is a defect that needs its traceback."""
    if isinstance(error, ImproperlyConfigured):
        return f"A setting is wrong: {error}"
    if isinstance(error, PermissionError):
        place = error.filename
        return f"Cannot use {place}: {error.strerror}. Be the user who runs Patchbay." if place else ""
    if isinstance(error, OperationalError) and _has_no_answer(error):
        return _start_or_set("PostgreSQL", _database_place(), "DATABASE_URL", _first_line(error))
    if isinstance(error, ProgrammingError) and _sqlstate(error) == "42P01":  # undefined_table
        return "The database has not all its tables yet: start ./run, or python manage.py migrate"
    if isinstance(error, BrokerError | RedisError | RedisTimeout):
        return _start_or_set("Redis", _redis_place(), "REDIS_URL", _first_line(error))
    return ""


def _start_or_set(engine: str, place: str, variable: str, words: str) -> str:
    if "FATAL:" in words:
        return f"{engine}{place} refuses: {words.partition('FATAL:')[2].strip(' )')}. Correct {variable}."
    if "PATCHBAY_RUN" in os.environ:  # ./run was given this one, and does not start its own
        return (
            f"{engine} does not answer{place}: start it, or unset {variable} for an embedded one. ({words})"
        )
    return f"{engine} does not answer{place}: start ./run in another terminal, or set {variable}. ({words})"


def _sqlstate(error: Exception) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


def _has_no_answer(error: Exception) -> bool:
    """True if no session came about. An error inside a session has a code of the server's."""
    state = _sqlstate(error)
    return state is None or state.startswith(("08", "28", "3D", "57P"))


def _database_place() -> str:
    database = settings.DATABASES["default"]
    if not database["HOST"]:
        return ""
    return f" at {database['HOST']}{':' if database['PORT'] else ''}{database['PORT']}"


def _redis_place() -> str:
    parts = urlsplit(settings.REDIS_URL)
    return f" at {parts.hostname or parts.path}{f':{parts.port}' if parts.port else ''}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
