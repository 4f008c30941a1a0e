"""Commands that a switch's worker carries out over the connection that it holds."""

import logging
from dataclasses import replace
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from eslbridge import link
from eslbridge.client import Client
from eslbridge.control import Execute
from eslbridge.control import hang_up as hang_up_leg
from eslbridge.originate import Ring
from eslbridge.protocol import commands
from eslbridge.protocol.errors import ConnectionLost, ESLError, Timeout

from . import control, devices, dialling, outcomes, receivers, verbs
from .models import Command, Dial
from .verbs import Asked, Place

log = logging.getLogger(__name__)
# A worker that has just started may be asked before it is connected.
READY_TIMEOUT = 3.0
# The switch answers what it does at once; after this the answer is lost.
ANSWER_TIMEOUT = 2.0


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
        switch = held.row()
        rings = devices.ringing(held.client, switch, asked.extension)
        command = str(dialling.command(asked, switch, rings))
    except (link.LinkIsDown, ESLError, ValueError, dialling.DialRefused) as problem:
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
    """End one leg, or what is asked for by that name on several devices; the switch ends what it is connected
    with."""
    try:
        held = link.current()
        held.wait_until_ready(READY_TIMEOUT)
        legs = _asked_as(held.row().name, uuid)
        answers = held.client.api_many([str(hang_up_leg(each)) for each in legs or [uuid]])
        log.info("Hang up of %s: %s", uuid, " ".join(answer.strip() for answer in answers))
    except (link.LinkIsDown, ESLError, ValueError) as problem:
        log.warning("Hang up of %s was not sent: %s", uuid, problem)


@shared_task(acks_late=False)
def carry_out(command_id: str) -> None:
    """Ask the switch what a control button wants; what becomes of it is told by events."""
    command = Command.objects.get(pk=command_id)
    if timezone.now() - command.created_at > timedelta(seconds=dialling.COMMAND_EXPIRES_SECONDS):
        control.fail(command, control.NOT_TAKEN)
        return
    try:
        held = link.current()
        held.wait_until_ready(READY_TIMEOUT)
        *before, last = verbs.VERBS[command.verb].request(command, _place(held, command))
    except (link.LinkIsDown, ESLError, ValueError, dialling.DialRefused) as problem:
        control.fail(command, str(problem))
        return
    queued = Command.objects.filter(pk=command.pk, state=Command.State.QUEUED)
    if not queued.update(state=Command.State.SENT, sent_at=timezone.now()):
        return
    receivers.outcomes(command.switch).watch(command)
    try:
        held.client.api_many([str(each) for each in before], timeout=ANSWER_TIMEOUT)
        _ask(held.client, last, command_id)
    except (ConnectionLost, Timeout) as lost:
        # It may have arrived: the events and the legs tell, or it stays unknown.
        log.warning("No answer to %s %s: %s", command.verb, command_id, lost)
        control.fail(command, outcomes.LOST, Command.State.UNKNOWN)
    except (ESLError, ValueError) as problem:
        control.fail(command, str(problem))


def _place(held: link.Link, command: Command) -> Place:
    switch = held.row()
    place = Place(switch.domain)
    match command.verb:
        case "hang-up":
            leg = receivers.projection(switch.name).legs.get(command.leg)
            beside = _asked_as(switch.name, leg.asked) if leg and leg.asked else []
            return replace(place, beside=tuple(uuid for uuid in beside if uuid != command.leg))
        case "record":
            return replace(place, recordings=_global(held, "recordings_dir"))
        case "park":
            return replace(place, music=_global(held, "hold_music"))
        case "retrieve" | "listen" | "whisper" | "barge":
            return replace(place, rings=devices.ringing(held.client, switch, command.extension))
    return place


def _asked_as(switch_name: str, name: str) -> list[str]:
    """The legs that ring, or rang, for what was asked for by that name: one a device of the user."""
    return [leg.uuid for leg in list(receivers.projection(switch_name).legs.values()) if leg.asked == name]


def _global(held: link.Link, name: str) -> str:
    return held.client.api("global_getvar", name, timeout=ANSWER_TIMEOUT)


def _ask(client: Client, asked: Asked, job_uuid: str) -> None:
    """The answer comes as an event: nothing waits here for a phone that rings."""
    if isinstance(asked, Execute):
        client.send(
            commands.Execute(asked.application, asked.argument, asked.uuid, commands.new_uuid()),
            timeout=ANSWER_TIMEOUT,
        )
    elif isinstance(asked, Ring):
        client.bgapi("originate", str(asked), job_uuid=job_uuid)
    else:
        client.bgapi(asked.name, asked.arguments, job_uuid=job_uuid)
