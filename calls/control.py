"""Who may do what with a live call, and the one way in which all ask for it: pages, My phone and the API.

`press` checks and hands the command to the worker of the switch; `outcomes` follows the events.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from agents import presence
from agents.models import Agent
from eslbridge import control
from eslbridge.store import StoreError, announce

from . import live
from .callees import DialRefused, callee, way
from .dialling import COMMAND_EXPIRES_SECONDS, send
from .grouping import Call
from .models import Command
from .verbs import VERBS, Place, Sides, Verb, sides

# A second press of the same button so soon is the same wish.
TWICE = timedelta(seconds=2)


class MayNot(Exception):
    """The user may not do this to that call; the text says what is missing."""


# Who may, and what is possible now


def is_own(user: object, call: Call) -> bool:
    """Whether the user's own phone takes part."""
    own = getattr(user, "agent", None)
    return own is not None and own.extension in {leg.user for leg in call.legs}


def may(user: object, verb: Verb, call: Call) -> bool:
    """Whether this user may do this to that call at all."""
    if verb.own and is_own(user, call):
        return True
    return user.has_perm(verb.permission) if verb.permission else getattr(user, "agent", None) is not None


def seen_by(user: object, call: Call, calls: Iterable[Call] | None = None) -> Sides:
    """The call from the user's own phone if that takes part, else from an agent's; raises StoreError.

    `calls` are all that are live, when they are known already.
    """
    own = getattr(user, "agent", None)
    return sides(call, own.extension if own else "", live.active_calls() if calls is None else calls)


def possible(user: object, seen: Sides) -> list[tuple[str, Verb]]:
    """The verbs that this user may use on that call as it is now."""
    return [(name, verb) for name, verb in VERBS.items() if verb.fits(seen) and may(user, verb, seen.call)]


def find(uuid: str, calls: Iterable[Call] | None = None) -> Call | None:
    """The live call that has a leg of this UUID; raises StoreError when that is not known."""
    calls = live.active_calls() if calls is None else calls
    return next((call for call in calls if uuid in {leg.uuid for leg in call.legs}), None)


# Pressing a button


def press(user: object, name: str, call: Call, value: str = "", key: str | None = None) -> Command:
    """Ask the switch to do this with the call. Returns at once.

    Raises MayNot, or DialRefused with the reason when it is not possible or cannot be sent. Pressed twice, or
    again with the same key, it is one command.
    """
    verb, seen = VERBS[name], seen_by(user, call)
    if not may(user, verb, call):
        raise MayNot(f"You may not do that to this call: {verb.label}.")
    if not verb.fits(seen):
        raise DialRefused(f"{verb.label} is not possible now: the call is not in that state any more.")
    command = _command(user, name, seen, value, key)
    check(command, call)
    stored, is_new = _stored(command)
    if is_new:
        from .tasks import carry_out

        send(carry_out, stored.switch, str(stored.pk), on_failure=lambda why: fail(stored, why))
    return stored


def _command(user: object, name: str, seen: Sides, value: str, key: str | None) -> Command:
    verb, own = VERBS[name], getattr(user, "agent", None)
    if verb.rings and name != "consult" and own is None:
        raise DialRefused("You have no phone here: choose yourself as the site user of an agent.")
    by = own.extension if own and (verb.rings or is_own(user, seen.call)) else seen.mine.user
    return Command(
        verb=name,
        switch=seen.mine.switch,
        leg=seen.mine.uuid,
        other=seen.other.uuid if seen.other else "",
        third=seen.third.uuid if seen.third else "",
        extension=by[:6],
        target=_target(name, seen, value, by),
        about=f"{seen.call.caller} and {seen.call.callee}"[:120],
        requested_by=user,
        key=key,
    )


def _target(name: str, seen: Sides, value: str, extension: str) -> str:
    """What was typed, checked; or the file of a recording."""
    match VERBS[name].field:
        case "number":
            to = callee(value)
            if to.number in {seen.mine.user, seen.other.user if seen.other else ""}:
                raise DialRefused(f"{to} is in this call already.")
            way(to, Agent.objects.filter(extension=extension).first())
            return to.number
        case "digits":
            try:
                return control.check_digits(value.replace(" ", ""))
            except ValueError as refused:
                raise DialRefused(str(refused)) from None
    if name == "stop-recording":
        return seen.mine.recording
    if name == "record":
        return f"patchbay/{timezone.now():%Y-%m-%d/%H%M%S}_{seen.mine.uuid}.wav"
    return ""


def check(command: Command, call: Call) -> None:
    """Build what will be sent, so that it is refused before anything is; and look at the phone that rings."""
    try:
        VERBS[command.verb].request(command, Place())
    except ValueError as refused:
        raise DialRefused(str(refused)) from None
    if command.verb == "consult" and (to := callee(command.target)).agent and not _is_registered(to.number):
        raise DialRefused(f"Phone {to.number} is not registered.")


def _is_registered(extension: str) -> bool:
    try:
        return bool(presence.registered().get(extension))
    except StoreError:
        return True  # then the switch will say it


def _stored(command: Command) -> tuple[Command, bool]:
    """The row of this wish, and whether it is new."""
    mine = Command.objects.filter(requested_by=command.requested_by)
    same = mine.filter(verb=command.verb, leg=command.leg, target=command.target)
    if command.key and (known := mine.filter(key=command.key).first()):
        if known not in same:
            raise DialRefused("This Idempotency-Key was used for another command. Choose a new one.")
        return known, False
    twice = same.open().filter(created_at__gte=timezone.now() - TWICE).first()
    if twice and not command.key:
        return twice, False
    try:
        with transaction.atomic():
            command.save(force_insert=True)
    except IntegrityError:  # the other one of two browsers with the same key was first
        return mine.get(key=command.key), False
    return command, True


def fail(command: Command, why: str, state: str = Command.State.FAILED) -> None:
    """Say why a command came to nothing, unless it is over already."""
    open_still = Command.objects.open().filter(pk=command.pk)
    if open_still.update(state=state, why=why[:200], ended_at=timezone.now()):
        announce("commands")


NOT_TAKEN = f"The worker of the switch did not take the command within {COMMAND_EXPIRES_SECONDS} seconds."
NOT_CONFIRMED = "The switch did not confirm it in time. The page shows what is live."


def give_up(command: Command) -> None:
    """A command that nobody took failed; one that was sent and never confirmed is unknown."""
    now = timezone.now()
    if command.state == Command.State.QUEUED:
        if command.created_at < now - timedelta(seconds=COMMAND_EXPIRES_SECONDS + 2):
            fail(command, NOT_TAKEN)
    elif command.state == Command.State.SENT and command.sent_at < now - VERBS[command.verb].patience:
        fail(command, NOT_CONFIRMED, Command.State.UNKNOWN)


def in_words(command: Command) -> str:
    """What has become of a command, as a sentence."""
    verb = VERBS[command.verb]
    if command.state == Command.State.DONE:
        text = verb.done
    elif command.state in {Command.State.FAILED, Command.State.UNKNOWN}:
        return command.why
    else:
        text = verb.doing
    return text.replace("{target}", command.target).replace("{agent}", command.extension or "The agent")
