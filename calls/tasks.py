"""Commands that a switch's worker carries out over the connection that it holds."""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from eslbridge import link
from eslbridge.protocol.errors import CommandFailed, ConnectionLost, ESLError

from . import dialling, receivers
from .models import Dial

log = logging.getLogger(__name__)
# A worker that has just started may be asked before it is connected.
READY_TIMEOUT = 3.0


@shared_task(acks_late=False)
def originate(dial_id: str) -> None:
    """Send a dial's originate as a background job; what becomes of it is told by events."""
    asked = Dial.objects.get(pk=dial_id)
    if timezone.now() - asked.created_at > timedelta(seconds=dialling.COMMAND_EXPIRES_SECONDS):
        dialling.give_up_unsent(Dial.objects.filter(pk=asked.pk))
        return
    try:
        held = link.current()
        held.wait_until_ready(READY_TIMEOUT)
        command = str(dialling.command(asked, held.row()))
    except (link.LinkIsDown, ESLError, ValueError) as problem:
        dialling.fail(asked, str(problem))
        return
    queued = Dial.objects.filter(pk=asked.pk, state=Dial.State.QUEUED)
    if not queued.update(state=Dial.State.SENT, sent_at=timezone.now()):
        return
    asked.state = Dial.State.SENT
    receivers.follower(asked.switch).watch(asked)
    try:
        held.client.bgapi("originate", command, job_uuid=dial_id)
    except ConnectionLost as lost:
        # It may have arrived: after the reconnection the switch tells whether the call exists.
        log.warning("The connection was lost while the originate %s was sent: %s", dial_id, lost)
    except (ESLError, ValueError) as problem:
        dialling.fail(asked, str(problem))


@shared_task(acks_late=False)
def hang_up(uuid: str) -> None:
    """End one leg; the switch ends what it is connected with."""
    try:
        held = link.current()
        held.wait_until_ready(READY_TIMEOUT)
        held.client.api("uuid_kill", uuid)
    except CommandFailed as refused:
        log.info("Hang up of %s: %s", uuid, refused.reply.strip())
    except (link.LinkIsDown, ESLError) as problem:
        log.warning("Hang up of %s was not sent: %s", uuid, problem)
