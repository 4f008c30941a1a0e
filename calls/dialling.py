"""The life of a click-to-dial: asked for by a user, carried out by the worker, moved by events."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from agents import presence
from agents.models import Agent
from agents.switchxml import CONTEXT, leg_variables
from eslbridge.models import Switch
from eslbridge.originate import ASKED, Originate
from eslbridge.protocol.errors import InvalidJSON
from eslbridge.protocol.events import Event
from eslbridge.store import StoreError, announce
from routes.outbound import REASONS

from .callees import Callee, DialRefused, callee, way
from .causes import in_words, phone_in_words
from .devices import ONE, Rings
from .legs import Leg
from .models import Dial, DialQuerySet

log = logging.getLogger(__name__)

# A command that has waited longer than this is not carried out: nobody waits for that phone any more.
COMMAND_EXPIRES_SECONDS = 10
# The same person dialling the same number again so soon has clicked twice.
TWICE_SECONDS = 5
# Seconds before states that PostgreSQL did not take are offered again.
SAVE_PAUSE = 1.0

UNHEARD = "Hung up before anybody answered."
LOST = "The call is over; how it ended is not known, because the connection to the switch was lost."


def dial(agent: Agent, number: str, requested_by: object, key: str | None = None) -> Dial:
    """Ring the agent's phone and then whoever was typed. Returns at once; raises DialRefused with the reason.

    Asked for twice within a few seconds (a double click), or ever again with the same key, it is one call.
    """
    to = callee(number)
    if not agent.is_active:
        raise DialRefused(f"{agent} is not active, so there is no phone to ring.")
    if to.number == agent.extension:
        raise DialRefused(f"{to.number} is the phone that would ring. Choose another number.")
    way(to, agent)
    switch = switch_of(agent)
    asked, is_new = _asked(agent, to, switch, requested_by, key)
    if is_new:
        from .tasks import originate

        send(originate, switch.name, str(asked.pk), on_failure=lambda why: fail(asked, why))
    return asked


def _asked(
    agent: Agent, to: Callee, switch: Switch, requested_by: object, key: str | None
) -> tuple[Dial, bool]:
    """The row of this wish, and whether it is new. The agent's row is the lock between two clicks."""
    with transaction.atomic():
        Agent.objects.select_for_update().get(pk=agent.pk)
        if known := _asked_before(agent, to, requested_by, key):
            return known, False
        return Dial.objects.create(
            agent=agent,
            extension=agent.extension,
            number=to.number,
            switch=switch.name,
            requested_by=requested_by,
            key=key,
        ), True


def _asked_before(agent: Agent, to: Callee, requested_by: object, key: str | None) -> Dial | None:
    mine = Dial.objects.filter(requested_by=requested_by)
    if key and (known := mine.filter(key=key).first()):
        if (known.extension, known.number) != (agent.extension, to.number):
            raise DialRefused(f"This Idempotency-Key was used for another call: {known}. Choose a new one.")
        return known
    twice = mine.open().since(timedelta(seconds=TWICE_SECONDS)).filter(agent=agent, number=to.number)
    return None if key else twice.first()


def cancel(asked: Dial) -> None:
    """End a dial: one that waits is not carried out; one on the switch is hung up there.

    Raises DialRefused when the switch's worker cannot be told.
    """
    waiting = Dial.objects.filter(pk=asked.pk, state=Dial.State.QUEUED)
    if waiting.update(state=Dial.State.FAILED, cause="Cancelled.", ended_at=timezone.now()):
        announce("dials")
        return
    from .tasks import hang_up

    send(hang_up, asked.switch, str(asked.pk))


def give_up_unsent(dials: DialQuerySet | None = None) -> None:
    """Fail the dials that no worker took in time; such a command is not carried out any more."""
    waiting = (Dial.objects.all() if dials is None else dials).filter(state=Dial.State.QUEUED)
    too_late = waiting.filter(created_at__lt=timezone.now() - timedelta(seconds=COMMAND_EXPIRES_SECONDS + 2))
    why = f"The worker of the switch did not take the command within {COMMAND_EXPIRES_SECONDS} seconds."
    if too_late.update(state=Dial.State.FAILED, cause=why, ended_at=timezone.now()):
        announce("dials")


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


def switch_of(agent: Agent) -> Switch:
    """The connected switch where the agent's phone is, or else any connected one."""
    switches = [switch for switch in Switch.objects.all() if switch.is_connected]
    if not switches:
        trouble = next((switch.trouble for switch in Switch.objects.all()), "No switch is connected yet.")
        raise DialRefused(trouble)
    try:
        here = [switch for switch in switches if presence.devices_of(switch.name, agent.extension)]
    except StoreError:
        here = []
    return (here or switches)[0]


def fail(asked: Dial, why: str) -> None:
    """Say why a dial came to nothing, unless it is over already."""
    moved = Dial.objects.open().filter(pk=asked.pk)
    if moved.update(state=Dial.State.FAILED, cause=why[:200], ended_at=timezone.now()):
        announce("dials")


def command(asked: Dial, switch: Switch, rings: Rings = ONE) -> Originate:
    """The originate of a dial: the callee is shown on the agent's phone, the agent on the callee's."""
    caller = Agent.objects.filter(extension=asked.extension).first()
    to = Callee(asked.number, Agent.objects.active().filter(extension=asked.number).first())
    return Originate(
        user=asked.extension,
        domain=switch.domain,
        destination=asked.number,
        context=CONTEXT,
        uuid=asked.pk,
        contact=rings.contact,
        several=rings.several,
        variables={
            **(leg_variables(caller, switch.domain) if caller and rings.contact else {}),
            "origination_caller_id_number": asked.number,
            "origination_caller_id_name": to.agent.name if to.agent else asked.number,
            **(_shown_to(to, caller) if caller else {}),
            "patchbay_dial": asked.number,
        },
    )


def _shown_to(to: Callee, caller: Agent) -> dict[str, str]:
    """Who calls, on the callee's phone: outside sees the agent's outbound number, else the site's."""
    number = way(to, caller).caller_id
    name = settings.DEFAULT_CALLER_NAME if number and settings.DEFAULT_CALLER_NAME else caller.shown_name
    return {
        "effective_caller_id_number": number or caller.shown_number,
        "effective_caller_id_name": name,
    }


@dataclass
class Watched:
    """A dial under way, as the events have told it so far."""

    extension: str
    state: str = Dial.State.SENT
    refusal: str = ""  # why the last leg to the callee came to nothing
    has_b_leg: bool = False
    missed: int = 0  # comparisons in which the switch did not know its A-leg


def not_allowed(event: Event) -> str:
    """Why the dialplan refused an outside number, as its own rules say it."""
    reason = event.get("variable_patchbay_refused", "")
    return f"{REASONS[reason]}." if reason in REASONS else ""


def _a_leg_of(uuid: str, legs: Mapping[str, Leg]) -> str:
    """The leg of a dial to the agent's phone; of several devices the one that is answered, or else one."""
    if uuid in legs:
        return uuid
    devices = sorted((leg for leg in legs.values() if leg.asked == uuid), key=lambda leg: leg.rings)
    return devices[0].uuid if devices else ""


class Follower:
    """Moves the dials of one switch as its events say. Lives in the link's process.

    A step is only ever taken forward, in the order of `Dial.State`: events may come late or twice. The A-leg
    has the dial's id for its UUID; where several devices ring, each leg names the dial, and the one that is
    answered is the A-leg.
    """

    # Event of the A-leg, or of the leg that it made, and what the dial is then.
    A_LEG = {
        "CHANNEL_PROGRESS": Dial.State.RINGING_AGENT,
        "CHANNEL_PROGRESS_MEDIA": Dial.State.RINGING_AGENT,
        "CHANNEL_ANSWER": Dial.State.AGENT_ANSWERED,
    }
    B_LEG = {
        "CHANNEL_CREATE": Dial.State.DIALLING,
        "CHANNEL_PROGRESS": Dial.State.RINGING,
        "CHANNEL_PROGRESS_MEDIA": Dial.State.RINGING,
        "CHANNEL_ANSWER": Dial.State.ANSWERED,
    }
    ORDER = list(Dial.State.values)

    def __init__(self, switch_name: str) -> None:
        self.switch_name = switch_name
        self.watched: dict[str, Watched] = {}  # by the dial's id
        self.answered: dict[str, str] = {}  # of dials on several devices: the A-leg's UUID -> the dial's id
        self.unsaved: dict[str, tuple[str, str]] = {}  # the dial's id -> state and cause
        self._retry_at = 0.0

    def watch(self, asked: Dial) -> None:
        self.watched[str(asked.pk)] = Watched(asked.extension, asked.state)

    def take_stock(self, legs: Mapping[str, Leg], connected_at: datetime) -> None:
        """After a (re)connection: take up the dials whose A-leg lives; of the others nothing is known."""
        self._save()
        for asked in Dial.objects.open().filter(switch=self.switch_name, sent_at__lt=connected_at):
            uuid = str(asked.pk)
            if uuid in self.unsaved:
                continue
            if _a_leg_of(uuid, legs):
                if uuid not in self.watched:
                    self.watch(asked)
            else:
                self._move(uuid, self._over(asked.state), LOST, self.watched.get(uuid))
        self.compare(legs)

    def compare(self, legs: Mapping[str, Leg]) -> None:
        """Take the steps that the legs show and whose events were missed."""
        give_up_unsent(Dial.objects.filter(switch=self.switch_name))
        for uuid, dial in list(self.watched.items()):
            if a_leg := _a_leg_of(uuid, legs):
                dial.missed = 0
                self._catch_up(uuid, dial, legs, a_leg)
            else:
                dial.missed += 1  # the first time, its last event may be waiting behind this
                if dial.missed > 1:
                    self._move(uuid, self._over(dial.state), LOST, dial)
        self._save()

    def follow(self, events: Iterable[Event]) -> None:
        for event in events:
            if self.watched:
                try:
                    self._step(event)
                except InvalidJSON as problem:
                    log.warning("An event cannot be read and is left out: %s", problem)
        self._save()

    def _step(self, event: Event) -> None:
        if event.name == "BACKGROUND_JOB":
            self._job_done(event)
            return
        leg, made_by = event.get("Unique-ID", ""), event.get("variable_originator", "")
        uuid = leg if leg in self.watched or made_by else event.get(f"variable_{ASKED}", "")
        if dial := self.watched.get(uuid):
            self._a_leg(uuid, dial, leg, event)
            return
        made_by = made_by or event.get("Other-Leg-Unique-ID", "")
        uuid = self.answered.get(made_by, made_by)
        # Vanilla reaches voicemail through a loopback pair, which is nobody's phone.
        if (dial := self.watched.get(uuid)) and not event.get("Channel-Name", "").startswith("loopback/"):
            self._b_leg(uuid, dial, event)

    def _a_leg(self, uuid: str, dial: Watched, leg: str, event: Event) -> None:
        if leg != uuid and event.name == "CHANNEL_ANSWER" and uuid not in self.answered.values():
            self.answered[leg] = uuid
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            # That one of several devices does not ring any more says nothing; if none does, the job tells.
            if leg == uuid or leg in self.answered:
                self._move(uuid, *self._end(dial, event), dial)
        elif state := self.A_LEG.get(event.name):
            self._move(uuid, state, "", dial)

    def _b_leg(self, uuid: str, dial: Watched, event: Event) -> None:
        dial.has_b_leg = True
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            if (refusal := in_words(event.get("Hangup-Cause", ""))) and dial.state != Dial.State.ANSWERED:
                dial.refusal = refusal
                self.unsaved[uuid] = (dial.state, refusal)
        elif state := self.B_LEG.get(event.name):
            self._move(uuid, state, "", dial)

    def _job_done(self, event: Event) -> None:
        """An originate that failed may have made no leg: the job's own answer tells."""
        uuid, answer = event.get("Job-UUID", ""), event.body.strip()
        if (dial := self.watched.get(uuid)) and answer.startswith("-"):
            cause = answer.removeprefix("-ERR").strip()
            self._move(uuid, Dial.State.FAILED, phone_in_words(dial.extension, cause), dial)

    def _end(self, dial: Watched, event: Event) -> tuple[str, str]:
        """What the end of the A-leg means."""
        cause = event.get("Hangup-Cause", "")
        if dial.state == Dial.State.ANSWERED:
            return Dial.State.ENDED, in_words(cause)
        if dial.state in {Dial.State.SENT, Dial.State.RINGING_AGENT}:
            return Dial.State.FAILED, phone_in_words(dial.extension, cause)
        why = (
            not_allowed(event)
            or in_words(cause)
            or dial.refusal
            or in_words(event.get("variable_originate_failed_cause", ""))
        )
        if not why and not dial.has_b_leg:  # a menu, a conference, voicemail: the switch itself was called
            return Dial.State.ENDED, ""
        return Dial.State.FAILED, why or UNHEARD

    def _catch_up(self, uuid: str, dial: Watched, legs: Mapping[str, Leg], a_leg: str) -> None:
        if a_leg != uuid and not legs[a_leg].rings:
            self.answered[a_leg] = uuid
        others = [leg for leg in legs.values() if a_leg in {leg.origin, leg.other} and not leg.is_loopback]
        dial.has_b_leg = dial.has_b_leg or bool(others)
        if any(not leg.rings for leg in others):
            state = Dial.State.ANSWERED
        elif others:
            state = Dial.State.RINGING
        else:
            state = Dial.State.RINGING_AGENT if legs[a_leg].rings else Dial.State.AGENT_ANSWERED
        self._move(uuid, state, "", dial)

    @staticmethod
    def _over(state: str) -> str:
        return Dial.State.ENDED if state == Dial.State.ANSWERED else Dial.State.FAILED

    def _move(self, uuid: str, state: str, cause: str, dial: Watched | None) -> None:
        if dial and self.ORDER.index(state) <= self.ORDER.index(dial.state):
            return
        if dial:
            dial.state = state
        self.unsaved[uuid] = (state, cause)
        if state in {Dial.State.ENDED, Dial.State.FAILED}:
            self.watched.pop(uuid, None)
            self.answered = {leg: each for leg, each in self.answered.items() if each != uuid}

    def _save(self) -> None:
        """Without PostgreSQL the steps wait for the next event or comparison."""
        began = time.monotonic()
        if not self.unsaved or began < self._retry_at:
            return
        try:
            for uuid, (state, cause) in list(self.unsaved.items()):
                over = state in {Dial.State.ENDED, Dial.State.FAILED}
                ended_at = timezone.now() if over else None
                Dial.objects.open().filter(pk=uuid).update(state=state, cause=cause[:200], ended_at=ended_at)
                del self.unsaved[uuid]
        except (OperationalError, InterfaceError) as problem:
            # An attempt may take as long as a connection does, and the live calls wait behind it.
            self._retry_at = time.monotonic() + SAVE_PAUSE + 3 * (time.monotonic() - began)
            log.warning("The states of %s dials wait for PostgreSQL: %s", len(self.unsaved), problem)
            return
        announce("dials")
