"""Hands commands to the worker of a switch through the broker; says so at once when it cannot."""

import logging

from celery import Task
from kombu.exceptions import OperationalError as BrokerError

log = logging.getLogger(__name__)

# A command that has waited longer than this is not carried out: nobody waits for it any more.
EXPIRES_SECONDS = 10


class NotSent(Exception):
    """The command did not leave; the text says why."""


def send(task: Task, switch_name: str, *arguments: str) -> None:
    """Queue the task for that switch's worker; raises NotSent when the broker does not take it."""
    try:
        task.apply_async(arguments, queue=f"switch.{switch_name}", expires=EXPIRES_SECONDS, retry=False)
    except (BrokerError, OSError) as problem:
        log.warning("Redis does not take commands: %s", problem)
        raise NotSent("Redis does not answer, so the command could not be sent.") from None
