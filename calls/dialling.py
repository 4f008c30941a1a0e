"""The life of a click-to-dial: asked for by a user, carried out by the worker, moved by events."""

import logging
from datetime import datetime

from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from agents import presence
from agents.models import Agent
from agents.switchxml import CONTEXT
from eslbridge.models import Switch
from eslbridge.originate import Originate, check_destination
from eslbridge.protocol.events import Event
from eslbridge.store import StoreError, announce

from .models import Dial

log = logging.getLogger(__name__)

# A command that has waited longer than this is not carried out: nobody waits for that phone any more.
COMMAND_EXPIRES_SECONDS = 10

CAUSES = {
    "USER_NOT_REGISTERED": "The phone is not registered.",
    "SUBSCRIBER_ABSENT": "The switch does not know this extension.",
    "USER_BUSY": "Busy.",
    "NO_ANSWER": "No answer.",
    "NO_USER_RESPONSE": "No answer.",
    "ALLOTTED_TIMEOUT": "No answer.",
    "CALL_REJECTED": "Rejected.",
    "ORIGINATOR_CANCEL": "Cancelled.",
    "NO_ROUTE_DESTINATION": "No route to this number.",
    "INVALID_GATEWAY": "No such gateway.",
    "GATEWAY_DOWN": "The gateway is down.",
    "UNALLOCATED_NUMBER": "This number does not exist.",
    "NORMAL_TEMPORARY_FAILURE": "The other side has a temporary failure.",
    "INCOMPATIBLE_DESTINATION": "The phones have no codec in common.",
    "NORMAL_CLEARING": "",
}


class DialRefused(Exception):
    """Nothing was dialled; the text says why and what to do."""


def in_words(cause: str) -> str:
    """A hang-up cause as a sentence; the switch's own word when there is no better one."""
    return CAUSES.get(cause, cause.replace("_", " ").capitalize() + ".")


def dial(agent: Agent, number: str, requested_by: object) -> Dial:
    """Ring the agent's phone and then the number. Returns at once; raises DialRefused with the reason."""
    try:
        check_destination(number)
    except ValueError as refused:
        raise DialRefused(str(refused)) from None
    if not agent.is_active:
        raise DialRefused(f"{agent} is not active, so there is no phone to ring.")
    if number == agent.extension:
        raise DialRefused(f"{number} is the phone that would ring. Choose another number.")
    switch = _switch_of(agent)
    asked = Dial.objects.create(
        agent=agent, extension=agent.extension, number=number, switch=switch.name, requested_by=requested_by
    )
    from .tasks import originate

    send(originate, switch.name, str(asked.pk), on_failure=lambda why: fail(asked, why))
    return asked


def send(task, switch_name: str, *arguments: str, on_failure=lambda why: None) -> None:
    """Hand a command to a switch's worker; raises DialRefused when the broker does not take it."""
    try:
        task.apply_async(
            arguments, queue=f"switch.{switch_name}", expires=COMMAND_EXPIRES_SECONDS, retry=False
        )
    except (BrokerError, OSError) as problem:
        why = "Redis does not answer, so the command could not be sent."
        log.warning("%s %s", why, problem)
        on_failure(why)
        raise DialRefused(why) from None


def _switch_of(agent: Agent) -> Switch:
    """The connected switch where the agent's phone is, or else any connected one."""
    switches = [switch for switch in Switch.objects.all() if switch.is_connected]
    if not switches:
        trouble = next((switch.trouble for switch in Switch.objects.all()), "No switch is connected yet.")
        raise DialRefused(trouble)
    try:
        here = [switch for switch in switches if presence.users(switch.name).get(agent.extension)]
    except StoreError:
        here = []
    return (here or switches)[0]


def fail(asked: Dial, why: str) -> None:
    """Say why a dial came to nothing, unless it is over already."""
    moved = Dial.objects.open().filter(pk=asked.pk)
    if moved.update(state=Dial.State.FAILED, cause=why[:200], ended_at=timezone.now()):
        announce("dials")


def command(asked: Dial, switch: Switch) -> Originate:
    """The originate of a dial: the callee is shown on the agent's phone, the agent on the callee's."""
    callee = Agent.objects.active().filter(extension=asked.number).first()
    caller = Agent.objects.filter(extension=asked.extension).first()
    return Originate(
        user=asked.extension,
        domain=switch.domain,
        destination=asked.number,
        context=CONTEXT,
        uuid=asked.pk,
        variables={
            "origination_caller_id_number": asked.number,
            "origination_caller_id_name": callee.name if callee else asked.number,
            "effective_caller_id_number": asked.extension,
            "effective_caller_id_name": caller.name if caller else asked.extension,
            "patchbay_dial": asked.number,
        },
    )


class Follower:
    """Moves the dials of one switch as its events say. Lives in the link's process."""

    # Event of the A-leg, or of the leg that it made, and what the dial is then.
    A_LEG = {"CHANNEL_CREATE": Dial.State.RINGING_AGENT, "CHANNEL_ANSWER": Dial.State.AGENT_ANSWERED}
    B_LEG = {
        "CHANNEL_CREATE": Dial.State.DIALLING,
        "CHANNEL_PROGRESS": Dial.State.RINGING,
        "CHANNEL_PROGRESS_MEDIA": Dial.State.RINGING,
        "CHANNEL_ANSWER": Dial.State.ANSWERED,
    }
    ORDER = list(Dial.State.values)

    def __init__(self, switch_name: str) -> None:
        self.switch_name = switch_name
        self.watched: dict[str, str] = {}  # A-leg UUID -> state
        self.refusals: dict[str, str] = {}  # A-leg UUID -> why the leg that it made came to nothing

    def take_stock(self, alive: set[str], connected_at: datetime) -> None:
        """After a reconnect: dials of before whose A-leg is gone are over; how, is not known."""
        for asked in Dial.objects.open().filter(switch=self.switch_name, sent_at__lt=connected_at):
            if str(asked.pk) in alive:
                self.watched[str(asked.pk)] = asked.state
            else:
                fail(asked, "The connection to the switch was lost meanwhile; the call is over.")

    def watch(self, asked: Dial) -> None:
        self.watched[str(asked.pk)] = asked.state

    def follow(self, events: list[Event]) -> None:
        moved = {}
        for event in events:
            if self.watched and (step := self._step(event)):
                uuid, state, cause = step
                if self._is_forward(uuid, state):
                    self.watched[uuid] = state
                    moved[uuid] = (state, cause)
        for uuid, (state, cause) in moved.items():
            self._store(uuid, state, cause)
        if moved:
            announce("dials")

    def _step(self, event: Event) -> tuple[str, str, str] | None:
        if event.name == "BACKGROUND_JOB":
            return self._refused(event)
        uuid = event.get("Unique-ID", "")
        if uuid in self.watched:
            if event.name == "CHANNEL_HANGUP_COMPLETE":
                return uuid, *self._end(uuid, event.get("Hangup-Cause", ""))
            state = self.A_LEG.get(event.name)
            return (uuid, state, "") if state else None
        a_leg = event.get("variable_originator") or event.get("Other-Leg-Unique-ID", "")
        if a_leg in self.watched and event.name in self.B_LEG:
            return a_leg, self.B_LEG[event.name], ""
        if a_leg in self.watched and event.name == "CHANNEL_HANGUP_COMPLETE":
            self.refusals[a_leg] = in_words(event.get("Hangup-Cause", ""))
        return None

    def _refused(self, event: Event) -> tuple[str, str, str] | None:
        """An originate that failed may have made no leg: the job's own answer tells."""
        uuid, answer = event.get("Job-UUID", ""), event.body.strip()
        if uuid not in self.watched or not answer.startswith("-"):
            return None
        cause = answer.removeprefix("-ERR").strip()
        return uuid, Dial.State.FAILED, in_words(cause) or cause

    def _end(self, uuid: str, cause: str) -> tuple[str, str]:
        if self.watched[uuid] == Dial.State.ANSWERED:
            return Dial.State.ENDED, in_words(cause)
        why = in_words(cause) or self.refusals.get(uuid) or "Hung up before anybody answered."
        return Dial.State.FAILED, why

    def _is_forward(self, uuid: str, state: str) -> bool:
        return self.ORDER.index(state) > self.ORDER.index(self.watched[uuid])

    def _store(self, uuid: str, state: str, cause: str) -> None:
        over = state in {Dial.State.ENDED, Dial.State.FAILED}
        if over:
            self.watched.pop(uuid, None)
            self.refusals.pop(uuid, None)
        Dial.objects.open().filter(pk=uuid).update(
            state=state, cause=cause, ended_at=timezone.now() if over else None
        )
