"""What an operator can ask of a switch's worker beside what it does by itself."""

import logging

from celery import shared_task

from eslbridge import link, signals

log = logging.getLogger(__name__)


@shared_task
def reload_now() -> None:
    """Have the switch read its files again, also those that are not ours; its answer is kept."""
    try:
        held = link.current()
        held.wait_until_ready()
        held.reload()
    except link.LinkIsDown as down:
        log.warning("The reload was not sent: %s", down)
    signals.published.send_robust(sender=None, switch=None, kinds=set())


@shared_task
def compare_now() -> None:
    """Compare the database with the switch's directory and queue what differs."""
    try:
        link.current().compare()
    except link.LinkIsDown as down:
        log.warning("Nothing was compared: %s", down)
    signals.published.send_robust(sender=None, switch=None, kinds=set())
