"""Whom to call: what a person typed, as the digits that the switch is given, or the reason why not."""

import re
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from agents.models import Agent
from agents.numbers import in_words, to_e164
from eslbridge.originate import check_destination
from routes import outbound

# What people paste between digits: spaces, among them the no-break and narrow ones, tabs, and punctuation.
_BETWEEN = re.compile("[ \t\u00a0\u2007\u2009\u202f().\u2010\u2011/-]")
_BEGINS_AS_A_NUMBER = re.compile(r"[0-9+(*#]", re.ASCII)
_SCHEME = re.compile(r"\A(?:tel|callto):(?://)?", re.ASCII | re.IGNORECASE)
# Fewer digits than any telephone number with its area code: extensions, short and emergency numbers.
LONGEST_SHORT_NUMBER = 6


class DialRefused(Exception):
    """Nothing was sent to the switch; the text says why and what to do."""


@dataclass(frozen=True)
class Callee:
    """Whom to call: `number` is what the dialplan is given, E.164 for everybody outside."""

    number: str
    agent: Agent | None = None

    @property
    def is_outside(self) -> bool:
        return self.number.startswith("+")

    def __str__(self) -> str:
        return str(self.agent) if self.agent else in_words(self.number)


@dataclass(frozen=True)
class Way:
    """How somebody outside is reached: `digits` through the first gateway that takes them."""

    caller_id: str = ""  # what the callee's phone shows; empty when nobody configured one
    digits: str = ""
    gateways: tuple[str, ...] = ()


def way(to: Callee, agent: Agent | None) -> Way:
    """How that agent's call gets to somebody, by the routes and toll rules of the desk phone; raises
    DialRefused with the reason when it may not. Who is no number outside is left to the dialplan."""
    if not to.is_outside:
        return Way()
    try:
        plan = outbound.plan(to.number, agent)
    except outbound.NotAllowed as refused:
        raise DialRefused(f"{to.number}: {refused}.") from None
    return Way(plan.caller_id, plan.digits, tuple(gateway.name for gateway in plan.gateways))


def callee(typed: str) -> Callee:
    """The agent or number that these characters mean: an agent's extension or name, or a telephone number as
    people write it, of DEFAULT_REGION unless it has a country code. Raises DialRefused with the fix."""
    text = _SCHEME.sub("", typed.strip(" \t\u00a0"))
    return _agent_named(text) or _number(text)


def _agent_named(text: str) -> Callee | None:
    """An agent by “1020”, “Alice Martin” or “1020 Alice Martin”."""
    if not text or len(text) > 100 or not text.isprintable():
        return None
    extension, _, name = text.partition(" ")
    found = list(Agent.objects.active().filter(extension=extension)[:1])
    if found and name not in {"", found[0].name}:
        found = []
    found = found or list(Agent.objects.active().filter(name__iexact=text)[:2])
    if len(found) > 1:
        raise DialRefused(f"Several agents are called “{text}”. Choose one by extension.")
    return Callee(found[0].extension, found[0]) if found else None


def _number(text: str) -> Callee:
    digits = _BETWEEN.sub("", text) if _BEGINS_AS_A_NUMBER.match(text) else text
    try:
        check_destination(digits)
    except ValueError as refused:
        raise DialRefused(str(refused)) from None
    if re.search(r"[*#]", digits) or (not digits.startswith("+") and len(digits) <= LONGEST_SHORT_NUMBER):
        return Callee(digits)
    try:
        return Callee(to_e164(digits))
    except ValidationError as refused:
        raise DialRefused(refused.messages[0]) from None
