"""The steps as sentences."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from .call import ANSWER, BUSY, UNREGISTERED
from .steps import (
    Branch,
    Called,
    CannotTell,
    Does,
    Hours,
    HungUp,
    LimitReached,
    Looked,
    Loops,
    Matched,
    Message,
    Near,
    Refused,
    Ring,
    Step,
    Talks,
    Target,
    Transferred,
    Voicemail,
)
from .tracing import FAILED, Answer

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
MOST_NEAR = 8  # rules of which it is said why they do not apply

CAUSES = {
    "USER_BUSY": "busy",
    "NO_ANSWER": "nobody answers",
    "ALLOTTED_TIMEOUT": "nobody answers",
    "USER_NOT_REGISTERED": "not registered",
    "SUBSCRIBER_ABSENT": "not known to the switch",
    "NO_ROUTE_DESTINATION": "no such number",
    "UNALLOCATED_NUMBER": "no such number",
    "GATEWAY_DOWN": "the gateway is down",
    "INVALID_GATEWAY": "there is no such gateway",
    "OUTGOING_CALL_BARRED": "not allowed",
    "CALL_REJECTED": "rejected",
    "NORMAL_CLEARING": "as at the end of a call",
}
_IN_VAIN = ("NO_ANSWER", "ALLOTTED_TIMEOUT")
_WHEN = {ANSWER: "answered", BUSY: "busy", FAILED: "the carrier refuses the call"}
_APPLICATIONS = {
    "ivr": "Plays the menu {data}; what the caller presses decides.",
    "conference": "Joins the conference {data}.",
    "park": "Is parked until somebody takes the call.",
    "valet_park": "Is parked until somebody takes the call ({data}).",
    "fifo": "Waits in the queue {data}.",
    "callcenter": "Waits in the queue {data}.",
    "echo": "Hears itself (echo).",
    "delay_echo": "Hears itself (echo).",
    "eavesdrop": "Listens to another call.",
    "intercept": "Takes another call.",
    "voicemail": "Listens to voicemail.",
}


@dataclass(frozen=True)
class Names:
    """How numbers and people are called in sentences."""

    of: Callable[[str], str] = lambda extension: ""
    """The name of an extension or group; empty when it has none."""
    number: Callable[[str], str] = lambda number: number
    """A telephone number as people read it."""

    def extension(self, extension: str) -> str:
        """“1020 Alice”; a telephone number as people read it."""
        name = self.of(extension)
        if name:
            return name if name.startswith(extension) else f"{extension} {name}"
        return self.number(extension) if extension.startswith("+") else extension


def named(names: Mapping[str, str] | Callable[[str], str]) -> Callable[[str], str]:
    """A callable of a mapping of names, or the callable itself."""
    return names if callable(names) else lambda extension: names.get(extension, "")


@dataclass(frozen=True)
class Line:
    """A sentence, and what is said below it."""

    text: str
    below: tuple["Line", ...] = ()


def outline(answer: Answer, names: Names | None = None) -> list[Line]:
    """The answer as sentences, in the order in which it happens; below a ring stands what differs."""
    return list(_Words(answer, names or Names()).lines(answer.steps))


def in_words(answer: Answer, names: Names | None = None) -> list[str]:
    """The same as lines of text; what stands below a sentence is indented by two blanks."""
    return list(_flat(outline(answer, names), ""))


def _flat(lines: Sequence[Line], indent: str) -> Iterator[str]:
    for line in lines:
        yield indent + line.text
        yield from _flat(line.below, indent + "  ")


class _Words:
    def __init__(self, answer: Answer, names: Names) -> None:
        self.answer = answer
        self.names = names

    def lines(self, steps: Sequence[Step], file: str = "") -> Iterator[Line]:
        """One by one; after a ring it is said what happens when nobody answers. `file`: of the last rule."""
        was_in_vain = False
        for line, is_in_vain in self._all(_without_detours(steps, file), file):
            yield Line(f"If nobody answers: {_lower(line.text)}", line.below) if was_in_vain else line
            was_in_vain = is_in_vain

    def _all(self, steps: Sequence[Step], file: str) -> Iterator[tuple[Line, bool]]:
        """Each line, and whether it is of a ring that nobody answered."""
        for is_ring, some in groupby(steps, lambda step: isinstance(step, Ring)):
            if is_ring:
                rings = [step for step in some if isinstance(step, Ring)]
                lines = list(self._rings(rings, file))
                yield from ((line, False) for line in lines[:-1])
                yield lines[-1], rings[-1].cause in _IN_VAIN
            else:
                for step in some:
                    file = step.file if isinstance(step, Matched) else file
                    yield from ((Line(sentence), False) for sentence in self._step(step))

    def _step(self, step: Step) -> Iterator[str]:
        match step:
            case Looked():
                yield from self._looked(step)
            case Called() | Ring():
                pass  # said by the rule that takes it; said with what follows
            case _:
                yield self._sentence(step)

    def _sentence(self, step: Step) -> str:
        says: dict[type, Callable[[Any], str]] = {
            Matched: self._matched,
            Hours: hours,
            Voicemail: self._voicemail,
            HungUp: self._hung_up,
            Talks: self._talks,
            Transferred: self._transferred,
            Refused: _refused,
            Message: lambda message: f"Plays {message.what}.",
            Does: _does,
            LimitReached: _limit_reached,
            CannotTell: _cannot_tell,
            Loops: _loops,
        }
        return says[type(step)](step)

    def _talks(self, step: Talks) -> str:
        talk = f"{self.names.extension(step.target)} answers and they talk"
        return f"{talk}; when the called party hangs up:" if step.goes_on else f"{talk}."

    def _transferred(self, step: Transferred) -> str:
        return f"Goes on as a call to {self.names.extension(step.number)} (context {step.context})."

    def _matched(self, step: Matched) -> str:
        where = f"rule {step.rule or 'without a name'} ({step.file})"
        if step.did:
            return f"The number {self.names.number(step.did)} is a DID: {where}."
        number = self.names.extension(step.number)
        return f"The call to {number} is taken by {where}."

    def _looked(self, step: Looked) -> Iterator[str]:
        near = [each for each in step.near if "user_exists" not in each.on]  # not for this number after all
        for each in near[:MOST_NEAR]:
            yield f"Rule {each.rule} ({each.file}) does not apply: {self._why(each)}."
        more = len(near) - MOST_NEAR
        if more > 0:
            yield f"{more} more rules for this number do not apply either."

    def _why(self, near: Near) -> str:
        if near.on == "${toll_allow}":
            wanted = re.sub(r"\(\?:[^)]*\)|[\^$()\\]|\(\?:", "", near.expression).strip()
            who = self._caller() or "the caller"
            return f"it needs the toll permission {wanted}, which {who} has not"
        if near.times:
            return f"not at this time ({times_in_words(near.times)})"
        name = re.sub(r"^\$\{(\w+)\}$", r"\1", near.on)
        value = f"“{near.value}”" if near.value else "empty"
        return (
            f"{name} is {value} and does not match {near.expression}"
            if name
            else "its conditions do not hold"
        )

    def _caller(self) -> str:
        call = self.answer.call
        return self.names.extension(call.user or call.caller_number)

    def _voicemail(self, step: Voicemail) -> str:
        if not step.exists:
            whose = step.mailbox or "nobody"
            return f"Voicemail of {whose}, whom the switch does not know: the caller hears an error."
        return f"Voicemail of {self.names.extension(step.mailbox)}."

    def _hung_up(self, step: HungUp) -> str:
        why = CAUSES.get(step.cause)
        cause = f"{why}, {step.cause}" if why and step.cause != "NORMAL_CLEARING" else step.cause
        match step.why:
            case "nothing":
                return f"No rule takes this call: it is hung up ({cause})."
            case "end":
                return "The call is hung up: nothing more is to be done."
            case "failed":
                return f"The call ends ({cause}): the rule does not go on after that."
        return f"The call is hung up ({cause})."

    # --- rings -----------------------------------------------------------------------------------------

    def _rings(self, rings: list[Ring], file: str) -> Iterator[Line]:
        """Rings one after another; rounds of the same are said once."""
        length, rounds = _period([_who(ring) for ring in rings])
        if rounds > 1:
            yield Line(f"Rings {rounds} rounds:", tuple(self._ring(ring, file) for ring in rings[:length]))
            rings = rings[length * rounds :]
        for ring in rings:
            yield self._ring(ring, file)

    def _ring(self, ring: Ring, file: str) -> Line:
        said = [self._target(target) for target in ring.ringing]
        silent = [self._silent(target) for target in ring.targets if not target.rings]
        if not said:
            return Line(f"Nobody rings: {'; '.join(silent) or 'nothing is named'}.")
        has_gateway = any(target.kind == "gateway" for target in ring.ringing)
        sentence = f"Rings {_and(said)}{' at once' if len(said) > 1 else ''} for {ring.seconds} s"
        if has_gateway:
            sentence += f", caller ID {self._caller_id(ring)}"
        if ring.limit:
            sentence += f", at most {ring.limit[1]} calls at a time"
        if silent:
            sentence += f" (not {'; not '.join(silent)})"
        below = tuple(self._branch(branch, file, has_gateway=has_gateway) for branch in ring.branches)
        if not ring.answered_by and ring.cause not in _IN_VAIN:
            sentence += f": {CAUSES.get(ring.cause, ring.cause)}"
        return Line(f"{sentence}.", below)

    def _branch(self, branch: Branch, file: str, *, has_gateway: bool) -> Line:
        when = _and([_when(each, has_gateway=has_gateway) for each in branch.when], "or")
        lines = list(self.lines(branch.steps, file))
        if len(lines) == 1:
            return Line(f"If {when}: {_lower(lines[0].text)}", lines[0].below)
        return Line(f"If {when}:", tuple(lines))

    def _silent(self, target: Target) -> str:
        return f"{self._target(target)}: {CAUSES.get(target.failure, target.failure)}"

    def _target(self, target: Target) -> str:
        own = f" ({target.seconds} s)" if target.seconds else ""
        match target.kind:
            case "gateway":
                return f"{target.digits or 'nothing'} through gateway {target.name}{own}"
            case "address":
                return f"sip:{target.name}{own}"
            case "nobody":
                return "a member that is busy" if target.failure == "USER_BUSY" else "a member"
        return f"{self.names.extension(target.name)}{own}"

    def _caller_id(self, ring: Ring) -> str:
        number = self.names.number(ring.caller_number) if ring.caller_number else "none"
        return f"{number} “{ring.caller_name}”" if ring.caller_name else number


def _when(kind: str, *, has_gateway: bool) -> str:
    if kind == UNREGISTERED:
        return "the gateway is down" if has_gateway else "not registered"
    return _WHEN.get(kind, kind)


def _without_detours(steps: Sequence[Step], file: str) -> list[Step]:
    """Without transfers from a rule to another one of the same file, and what is looked at on the way.

    That is how one rule goes on; nobody need know that it takes two.
    """
    kept: list[Step] = []
    for step in steps:
        kept.append(step)
        if isinstance(step, Matched):
            if step.file == file and step.number == step.rule:
                _take_back_transfer(kept)
            file = step.file
    return kept


def _take_back_transfer(kept: list[Step]) -> None:
    at = len(kept) - 2
    while at >= 0 and isinstance(kept[at], Looked):
        at -= 1
    if at >= 0 and isinstance(kept[at], Transferred):
        del kept[at:]


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _refused(step: Refused) -> str:
    return f"Refused: {step.reason or CAUSES.get(step.cause, step.cause)} ({step.status}, {step.cause})."


def _does(step: Does) -> str:
    usual = f"Does {step.application} {step.data}".rstrip() + "."
    return _APPLICATIONS.get(step.application, usual).replace("{data}", step.data)


def _limit_reached(step: LimitReached) -> str:
    found = re.search(r"sofia/gateway/([^/]+)/", step.data)
    what = f"through gateway {found[1]}" if found else f"{step.application} {step.data}"
    return f"Not {what}: {step.most} calls are under way there, and no more are allowed."


def _cannot_tell(step: CannotTell) -> str:
    return f"Cannot tell {step.what}." + ("" if step.stops else " What follows is without it.")


def _loops(step: Loops) -> str:
    where = f"{step.number} in context {step.context}"
    return f"The call is at {where} again, just as before: it goes round in a circle."


def _who(ring: Ring) -> tuple[object, ...]:
    return (tuple((target.kind, target.name) for target in ring.targets), ring.branches)


def _period(items: list[tuple[object, ...]]) -> tuple[int, int]:
    """The length of what repeats from the beginning, and how often."""
    for length in range(1, len(items) // 2 + 1):
        rounds = 1
        while items[rounds * length : (rounds + 1) * length] == items[:length]:
            rounds += 1
        if rounds > 1:
            return length, rounds
    return len(items), 1


def _and(items: Sequence[str], word: str = "and") -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"


# --- time ------------------------------------------------------------------------------------------------


def hours(step: Hours) -> str:
    """“It is Thursday 24 December 2026, 18:05 in Europe/Berlin: closed.”"""
    moment = f"It is {_moment(step.at)} in {step.zone}"
    held = [dict(attributes) for attributes, fits in step.checks if fits]
    missed = [dict(attributes) for attributes, fits in step.checks if not fits]
    if step.is_open is not None:
        return f"{moment}: {'open' if step.is_open else 'closed'}{_deciding(held, is_open=step.is_open)}."
    if held:
        why = "; ".join(times_in_words(each) for each in held)
        return f"{moment}, which is within the rule's hours ({why})."
    why = "; ".join(times_in_words(each) for each in missed)
    return f"{moment}, which is not within the rule's hours ({why})."


def _deciding(held: Sequence[Mapping[str, str]], *, is_open: bool) -> str:
    """The last condition that held is the one that counts: hours open, dates close."""
    if not held:
        return ""
    is_a_date = "mday" in held[-1] or "date-time" in held[-1]
    although = "" if is_open or is_a_date else "although it is "
    return f" ({although}{times_in_words(held[-1])})"


def _moment(at: datetime) -> str:
    return f"{_DAYS[at.isoweekday() % 7]} {at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M}"


def times_in_words(times: Mapping[str, str]) -> str:
    """“Monday to Friday 09:00-17:00”, “25 December 2026”; what is not usual stays as it is written."""
    rest = dict(times)
    said = []
    if "wday" in rest:
        said.append(_days(rest.pop("wday")))
    if rest.get("mday", "").isdigit() and rest.get("mon", "").isdigit() and 1 <= int(rest["mon"]) <= 12:
        said.append(f"{rest.pop('mday')} {_MONTHS[int(rest.pop('mon')) - 1]} {rest.pop('year', '')}".strip())
    if "time-of-day" in rest:
        said.append(" and ".join(_range(each) for each in rest.pop("time-of-day").split(",")))
    said += [f"{name} {value}" for name, value in rest.items()]
    return " ".join(said)


def _range(text: str) -> str:
    """“09:00-17:00” for 09:00:00-16:59:59, too."""
    found = re.fullmatch(r"(\d\d:\d\d)(?::00)?-(\d\d):(\d\d)(:59)?", text)
    if not found:
        return text
    minutes = int(found[2]) * 60 + int(found[3]) + bool(found[4])
    return f"{found[1]}-{minutes // 60:02}:{minutes % 60:02}"


def _days(text: str) -> str:
    """“Monday to Friday” for 2-6 and for 2,3,4,5,6."""
    if not re.fullmatch(r"[1-7]([-,][1-7])*", text):
        return text
    days = [int(each) for each in text.split(",")] if "-" not in text else []
    if len(days) > 2 and days == list(range(days[0], days[-1] + 1)):
        text = f"{days[0]}-{days[-1]}"
    named = re.sub(r"[1-7]", lambda found: _DAYS[int(found[0]) - 1], text)
    return named.replace("-", " to ").replace(",", ", ")
