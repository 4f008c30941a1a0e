"""How commands reach the switch that the environment names; what is wrong is said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from eslbridge.client import Client
from eslbridge.protocol.errors import AuthenticationFailed, CommandFailed, ESLError, Rejected
from eslbridge.text import printable


def require() -> None:
    """Raises CommandError when the environment names no switch."""
    if not settings.FS_HOST:
        raise CommandError("FS_HOST is not set: start ./run, or set it to your switch's address.")


@contextmanager
def connected(**options: Any) -> Iterator[Client]:
    """A connection of the command's own; raises CommandError, saying what to set, when there is none.

    `options` go to the client, like `subscriptions`.
    """
    require()
    where = f"{settings.FS_HOST}:{settings.FS_ESL_PORT}"
    try:
        with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD, **options) as client:
            client.connect()
            yield client
    except AuthenticationFailed:
        raise CommandError(f"The switch at {where} refuses the password: set FS_ESL_PASSWORD.") from None
    except Rejected:
        raise CommandError(
            f"The switch at {where} refuses our address: add it to the list that apply-inbound-acl names in "
            "autoload_configs/event_socket.conf.xml."
        ) from None
    except CommandFailed as refused:
        raise CommandError(f"The switch at {where} answers: {printable(refused.reply)}") from None
    except ESLError as problem:
        raise CommandError(f"The switch does not answer at {where}: {printable(str(problem))}") from None
