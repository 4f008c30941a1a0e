"""A process whose children publish, each until the step at which it is killed.

    python -m tests.eslbridge.mortal_publisher SWITCH_ID ESL_PORT

Reads a step number a line, and answers with the exit code of the child that died there: KILLED, or 0 when it
had done all before. Not forked from the tests' own process, whose threads and connections would come along.
"""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

KILLED, FAILED = 9, 1


class Steps:
    """Counts the crossings to disk, switch and database; ends this process without a word at one of them."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.crossed = 0

    def cross(self) -> None:
        if self.crossed == self.last:
            os._exit(KILLED)
        self.crossed += 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def crossing(*arguments: Any, **options: Any) -> Any:
            self.cross()
            return function(*arguments, **options)

        return crossing

    def around_sql(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.cross()
        return execute(*arguments)


def publish_and_be_killed(switch_id: int, port: int, last: int) -> NoReturn:
    """The life of a worker process that dies before its step number `last`."""
    from django.db import connection

    from eslbridge.client import Client
    from eslbridge.models import Switch
    from eslbridge.publishing.publisher import Publisher

    steps = Steps(last)
    switch = Switch.objects.get(pk=switch_id)
    client = Client("127.0.0.1", port, "ClueCon")
    client.connect()
    for name in ("open", "fsync", "replace", "unlink"):
        setattr(os, name, steps.around(getattr(os, name)))
    client.api = steps.around(client.api)  # type: ignore[method-assign]
    client.api_many = steps.around(client.api_many)  # type: ignore[method-assign]
    with connection.execute_wrapper(steps.around_sql):
        Publisher(switch, client, Path(switch.conf_dir)).publish(wait=True)
    os._exit(0)


def main(switch_id: int, port: int) -> None:
    from eslbridge import client, models  # noqa: F401 - once, and not in every child
    from eslbridge.publishing import publisher  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                publish_and_be_killed(switch_id, port, int(line))
            except BaseException:  # noqa: BLE001 - nothing of the parent may run in this process
                traceback.print_exc()
            finally:
                os._exit(FAILED)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    import django
    from django.conf import settings

    settings.DATABASES["default"]["OPTIONS"].pop("pool", None)  # one connection, closed with its process
    django.setup()
    main(*map(int, sys.argv[1:]))
