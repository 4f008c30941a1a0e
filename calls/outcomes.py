"""What became of the commands: the switch's events say it, never a guess."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from eslbridge.originate import ASKED
from eslbridge.protocol.errors import InvalidJSON
from eslbridge.protocol.events import Event
from eslbridge.store import announce

from .causes import in_words, phone_in_words
from .control import NOT_CONFIRMED
from .legs import ANSWERED, HELD, Leg
from .models import Command
from .verbs import VERBS

log = logging.getLogger(__name__)

OVER = "That call is over already."
ENDED_FIRST = "The call ended first."
NOBODY_RANG = "{} could not be called: the switch rang no phone."
LOST = "The connection to the switch was lost before it confirmed this. The page shows what is live."
# Commands that are remembered at most, and for how long: a late event corrects “unknown”.
MOST_WATCHED = 2000
REMEMBERED_SECONDS = 300.0
# Seconds before what PostgreSQL did not take is offered again.
SAVE_PAUSE = 1.0


@dataclass
class Watched:
    """A command under way, as the events have told it so far."""

    id: str
    verb: str
    leg: str
    other: str
    third: str
    extension: str
    target: str
    since: float  # monotonic
    answered: bool = False  # the switch took it: the job's answer was +OK
    own: str = ""  # the leg of the phone that rings for it; of several devices the one that is answered
    proved: bool = False  # the event that says it is done came
    rang: bool = False  # a phone was called for it
    waits: bool = False  # the leg that consults waits for a phone


Proof = Callable[[Watched, Event], bool]


def _says(name: str, leg: str) -> Proof:
    return lambda watched, event: event.name == name and event.get("Unique-ID") == getattr(watched, leg)


def _connects(first: str, second: str) -> Proof:
    def proof(watched: Watched, event: Event) -> bool:
        legs = {event.get("Unique-ID"), event.get("Other-Leg-Unique-ID")}
        return event.name == "CHANNEL_BRIDGE" and legs == {getattr(watched, first), getattr(watched, second)}

    return proof


def _consults(watched: Watched, event: Event) -> bool:
    is_mine = event.name == "CHANNEL_BRIDGE" and event.get("Unique-ID") == watched.leg
    return is_mine and event.get("Other-Leg-Unique-ID") != watched.other


def _listens(watched: Watched, event: Event) -> bool:
    is_listening = event.name == "MEDIA_BUG_START" and event.get("Media-Bug-Function") == "eavesdrop"
    return is_listening and event.get("Unique-ID") == watched.leg


# The event that says that a verb is done.
PROOFS: dict[str, Proof] = {
    "hang-up": _says("CHANNEL_HANGUP_COMPLETE", "leg"),
    "hold": _says("CHANNEL_HOLD", "leg"),
    "resume": _says("CHANNEL_UNHOLD", "leg"),
    "transfer": _says("CHANNEL_HANGUP_COMPLETE", "leg"),
    "consult": _consults,
    "complete": _connects("third", "other"),
    "back": _says("CHANNEL_HANGUP_COMPLETE", "third"),
    "three-way": _listens,
    "park": _says("CHANNEL_PARK", "other"),
    "retrieve": _connects("own", "leg"),
    "record": _says("RECORD_START", "leg"),
    "stop-recording": _says("RECORD_STOP", "leg"),
    "digits": lambda watched, event: watched.answered,
    "listen": _listens,
    "whisper": _listens,
    "barge": _listens,
}
# The legs whose end is not the end of the command.
MAY_END = {
    "hang-up": {"leg", "other", "third"},
    "transfer": {"leg", "third"},
    "complete": {"leg"},
    "back": {"third"},
    "park": {"leg"},
}
# Without an answer of its own: an application that the leg runs.
UNANSWERED = {"consult"}


def _is_connected(legs: Mapping[str, Leg], one: str, two: str) -> bool:
    return one in legs and two in legs and (legs[one].other == two or legs[two].other == one)


Legs = Mapping[str, Leg]
# What the live legs look like when a verb is done and its event was missed.
SHOWN: dict[str, Callable[[Watched, Legs], bool]] = {
    "hang-up": lambda watched, legs: watched.leg not in legs,
    "hold": lambda watched, legs: _state(legs, watched.leg) == HELD,
    "resume": lambda watched, legs: _state(legs, watched.leg) == ANSWERED,
    "transfer": lambda watched, legs: watched.leg not in legs and watched.other in legs,
    "complete": lambda watched, legs: _is_connected(legs, watched.third, watched.other),
    "back": lambda watched, legs: watched.third not in legs and watched.leg in legs,
    "park": lambda watched, legs: watched.other in legs and legs[watched.other].parked,
    "retrieve": lambda watched, legs: _is_connected(legs, watched.own, watched.leg),
    "record": lambda watched, legs: watched.leg in legs and bool(legs[watched.leg].recording),
    "stop-recording": lambda watched, legs: watched.leg in legs and not legs[watched.leg].recording,
}


def _state(legs: Legs, uuid: str) -> str:
    return legs[uuid].state if uuid in legs else ""


def shown_by(watched: Watched, legs: Legs) -> bool:
    """Whether the live legs show that it was done, when its event was missed."""
    return watched.verb in SHOWN and SHOWN[watched.verb](watched, legs)


class Outcomes:
    """Follows the commands of one switch. Lives in the link's process."""

    def __init__(self, switch_name: str) -> None:
        self.switch_name = switch_name
        self.watched: dict[str, Watched] = {}  # by the command's id, oldest first
        self.unsaved: dict[str, tuple[str, str]] = {}
        self._retry_at = 0.0

    def watch(self, command: Command) -> None:
        while len(self.watched) >= MOST_WATCHED:
            self.watched.pop(next(iter(self.watched)))
        self.watched[str(command.pk)] = _watched(command)

    def follow(self, events: Iterable[Event]) -> None:
        """Move the commands as these events say."""
        for event in events:
            if self.watched:
                try:
                    self._step(event)
                except InvalidJSON as problem:
                    log.warning("An event cannot be read and is left out: %s", problem)
        self._save()

    def take_stock(self, legs: Legs, connected_at: datetime) -> None:
        """After a (re)connection: the legs show what was done; of the rest nothing is known."""
        mine = Command.objects.filter(switch=self.switch_name, state=Command.State.SENT)
        for command in mine.filter(sent_at__lt=connected_at):
            watched = self.watched.setdefault(str(command.pk), _watched(command))
            self._end(watched, *self._as_shown(watched, legs, LOST))
        self._save()

    def compare(self, legs: Legs) -> None:
        """Say of the commands that were not confirmed in time what the legs show."""
        now = time.monotonic()
        for watched in list(self.watched.values()):
            age = now - watched.since
            if age > REMEMBERED_SECONDS:
                del self.watched[watched.id]
            elif age > VERBS[watched.verb].patience.total_seconds():
                self._end(watched, *self._as_shown(watched, legs, NOT_CONFIRMED))
        self._save()

    @staticmethod
    def _as_shown(watched: Watched, legs: Legs, otherwise: str) -> tuple[str, str]:
        if shown_by(watched, legs):
            return Command.State.DONE, ""
        return Command.State.UNKNOWN, otherwise

    def _step(self, event: Event) -> None:
        if event.name == "BACKGROUND_JOB":
            if watched := self.watched.get(event.get("Job-UUID", "")):
                self._job_done(watched, event.body.strip())
            return
        uuid, origin = event.get("Unique-ID", ""), event.get("variable_originator", "")
        self._note_device(uuid, event)
        for watched in list(self.watched.values()):
            if PROOFS[watched.verb](watched, event):
                watched.proved = True
                self._done_if_all_is_said(watched)
            elif origin == watched.leg and watched.verb == "consult" and uuid != watched.other:
                self._consulted(watched, event)
            elif uuid in {watched.own, watched.leg, watched.other, watched.third}:
                self._about(watched, uuid, event)

    def _note_device(self, uuid: str, event: Event) -> None:
        """Where several devices ring, the one that is answered is the leg; how others end says nothing."""
        if event.name != "CHANNEL_ANSWER" or event.get("variable_originator"):
            return
        if watched := self.watched.get(event.get(f"variable_{ASKED}", "")):
            watched.own = uuid

    def _job_done(self, watched: Watched, answer: str) -> None:
        if answer.startswith("+OK"):
            watched.answered = True
            watched.proved = watched.proved or watched.verb == "digits"
            self._done_if_all_is_said(watched)
            return
        cause = answer.removeprefix("-ERR").strip()
        if "No such channel" in cause or "Cannot locate session" in cause:
            why = OVER
        else:
            why = phone_in_words(watched.extension, cause) if VERBS[watched.verb].rings else in_words(cause)
        self._end(watched, Command.State.FAILED, why)

    def _done_if_all_is_said(self, watched: Watched) -> None:
        if watched.proved and (watched.answered or watched.verb in UNANSWERED):
            self._end(watched, Command.State.DONE, "")

    def _consulted(self, watched: Watched, event: Event) -> None:
        """The phone that is consulted was called, or refused."""
        watched.rang = True
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            self._end(watched, Command.State.FAILED, in_words(event.get("Hangup-Cause", "")) or "No answer.")

    def _about(self, watched: Watched, uuid: str, event: Event) -> None:
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            self._leg_ended(watched, uuid, event)
        elif event.name == "CHANNEL_CALLSTATE" and watched.verb == "consult" and uuid == watched.leg:
            state = event.get("Channel-Call-State")
            if watched.waits and state == "ACTIVE" and not watched.rang:
                self._end(watched, Command.State.FAILED, NOBODY_RANG.format(watched.target))
            watched.waits = watched.waits or state == "RING_WAIT"

    def _leg_ended(self, watched: Watched, uuid: str, event: Event) -> None:
        if uuid == watched.own:
            why = phone_in_words(watched.extension, event.get("Hangup-Cause", ""))
            self._end(watched, Command.State.FAILED, ENDED_FIRST if watched.answered else why)
        elif uuid not in {getattr(watched, name) for name in MAY_END.get(watched.verb, ())}:
            self._end(watched, Command.State.FAILED, ENDED_FIRST)

    def _end(self, watched: Watched, state: str, why: str) -> None:
        self.unsaved[watched.id] = (state, why)
        if state != Command.State.UNKNOWN:
            self.watched.pop(watched.id, None)

    def _save(self) -> None:
        """Without PostgreSQL the outcomes wait for the next event or comparison."""
        began = time.monotonic()
        if not self.unsaved or began < self._retry_at:
            return
        try:
            for key, (state, why) in list(self.unsaved.items()):
                _store(key, state, why)
                del self.unsaved[key]
        except (OperationalError, InterfaceError) as problem:
            self._retry_at = time.monotonic() + SAVE_PAUSE + 3 * (time.monotonic() - began)
            log.warning("The outcomes of %s commands wait for PostgreSQL: %s", len(self.unsaved), problem)
            return
        announce("commands")


def _store(key: str, state: str, why: str) -> None:
    """What was unknown may turn out to be done; what is over stays so."""
    before = [Command.State.QUEUED, Command.State.SENT]
    if state == Command.State.DONE:
        before.append(Command.State.UNKNOWN)
    moved = Command.objects.filter(pk=UUID(key), state__in=before)
    moved.update(state=state, why=why[:200], ended_at=timezone.now())


def _watched(command: Command) -> Watched:
    return Watched(
        id=str(command.pk),
        own=str(command.pk),
        verb=command.verb,
        leg=command.leg,
        other=command.other,
        third=command.third,
        extension=command.extension,
        target=command.target,
        since=time.monotonic(),
    )
