"""“Who rings if …”: what the switch's own files say of a call, in words."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import forms
from django.conf import settings
from django.utils import timezone

from agents import presence
from agents.models import Agent
from agents.switchxml import GONE
from eslbridge.dialplan import (
    NO_ANSWER,
    UNREGISTERED,
    Call,
    Configuration,
    Line,
    Names,
    Unreadable,
    explore,
    load,
    outline,
)
from eslbridge.dialplan.call import Outcome, nobody_answers
from eslbridge.dialplan.steps import Target
from eslbridge.models import Switch
from eslbridge.publishing.diagnosis import broken_files
from eslbridge.store import StoreError

from .models import RingGroup
from .validators import in_words

_DIALLED = re.compile(r"[0-9A-Za-z*#+_.-]{1,64}")
_AS_WRITTEN = re.compile(r"\s*(?:tel:)?[+\d(][\d\s()/.-]*", re.ASCII)
_BETWEEN_DIGITS = re.compile(r"[\s()/.-]|tel:")
_EXTENSION = re.compile(r"[0-9]{4,6}", re.ASCII)
LOCAL_TIME = Path("/etc/localtime")


class NotKnown(Exception):
    """Nothing can be said of any call; the text says why and what to do."""


@dataclass(frozen=True)
class Told:
    """The answer as sentences, with what must be said before them."""

    lines: list[Line]
    notes: list[str]


def configuration() -> tuple[Configuration, str]:
    """What the switch's files say, and its domain; raises NotKnown."""
    root = Path(settings.FS_CONF_DIR)
    switch = Switch.objects.filter(name=settings.SWITCH_NAME).first()
    domain = settings.FS_DOMAIN or (switch.domain if switch else "")
    try:
        found = load(root, {"domain": domain} if domain else {})
    except Unreadable as problem:
        where = "; ".join(broken_files(root)) if root.is_dir() else ""
        hint = where or "FS_CONF_DIR must be the switch's configuration directory, readable from here"
        raise NotKnown(f"The switch's configuration cannot be read: {problem} ({hint})") from None
    return found, domain or found.default_domain


def own_zone() -> tzinfo:
    """The switch's own time zone: FS_TIME_ZONE, or this host's, where the worker runs beside the switch."""
    name = settings.FS_TIME_ZONE or LOCAL_TIME.resolve().as_posix().rpartition("/zoneinfo/")[2]
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC


class WhoRingsForm(forms.Form):
    """A call that is asked about. Used by the pages and by the command; errors name the field and the fix."""

    number = forms.CharField(max_length=64, label="Number called")
    caller = forms.CharField(
        max_length=64, required=False, label="From", help_text="An extension, or a number from outside."
    )
    at = forms.DateTimeField(
        required=False,
        label="When",
        error_messages={"invalid": "Write a date and time like 2026-12-24 18:05."},
        input_formats=[
            "%Y-%m-%d %H:%M",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%d",
        ],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: now.",
    )
    context = forms.CharField(max_length=64, required=False, label="Context")
    phones_now = forms.BooleanField(
        required=False,
        label="Phones as they are now",
        help_text="Otherwise every phone counts as registered.",
    )

    def clean_number(self) -> str:
        return _dialled(self.cleaned_data["number"], "+19495431333 or 1020")

    def clean_caller(self) -> str:
        text = self.cleaned_data["caller"]
        return _dialled(text, "+15551230000 or 1020") if text else ""

    def tell(self) -> Told:
        """The answer, or why there is none (raises NotKnown). Only for a form that is valid.

        Raises forms.ValidationError when the context is none of the dialplan's.
        """
        found, domain = configuration()
        values = self.cleaned_data
        if values["context"] and values["context"] not in found.contexts:
            known = ", ".join(sorted(found.contexts))
            raise forms.ValidationError(
                {"context": f"The dialplan has no context “{values['context']}”. It has: {known}."}
            )
        return _tell(found, domain, values)


def _dialled(text: str, example: str) -> str:
    """What a phone or carrier would send for a number as people write it."""
    sent = _BETWEEN_DIGITS.sub("", text) if _AS_WRITTEN.fullmatch(text) else text.strip()
    if not _DIALLED.fullmatch(sent):
        raise forms.ValidationError(f"“{text}” cannot be dialled. Write a number like {example}.")
    return sent


def _tell(found: Configuration, domain: str, values: dict[str, Any]) -> Told:
    caller = values["caller"]
    is_own = bool(_EXTENSION.fullmatch(caller)) and found.user(caller, domain) is not None
    notes = []
    if _EXTENSION.fullmatch(caller) and not is_own:
        notes.append(f"The switch's directory has no user {caller}: the call is taken to come from outside.")
    if not caller and not values["context"] and (known := _name(values["number"])):
        notes.append(
            f"“From” is empty, so the call is taken to come from outside, where DIDs are dialled. "
            f"Type an extension there to ask for a call from a phone to {known}."
        )
    call = Call(
        values["number"],
        _moment(values["at"]),
        values["context"],
        caller_number="" if is_own else caller,
        user=caller if is_own else "",
        domain=domain,
        zone=own_zone(),
        stored={GONE: _gone()},
    )
    outcome = _phones_now() if values["phones_now"] else nobody_answers
    return Told(outline(explore(found, call, outcome), names()), notes)


def _gone() -> dict[str, str]:
    """Whom the switch refuses because they are off. Who was deleted is known to the switch alone."""
    return dict.fromkeys(Agent.objects.filter(is_active=False).values_list("extension", flat=True), "1")


def _moment(at: datetime | None) -> datetime:
    return at or timezone.now().replace(microsecond=0)


def _phones_now() -> Outcome:
    """Phones that are not registered do not ring; raises NotKnown when Redis does not tell."""
    try:
        registered = {user for switch in Switch.objects.all() for user in presence.users(switch.name)}
    except StoreError:
        raise NotKnown("Redis does not answer, so it is not known which phones are registered.") from None

    def outcome(target: Target) -> str:
        return NO_ANSWER if target.kind != "phone" or target.name in registered else UNREGISTERED

    return outcome


def names() -> Names:
    """How extensions and numbers are called on pages. Asks the database for each that is named, once."""
    return Names(_remembered(_name), _number)


def _number(number: str) -> str:
    return in_words(number).partition(",")[0] if number.startswith("+") else number


def _name(extension: str) -> str:
    found = Agent.objects.filter(extension=extension).first()
    return str(found or RingGroup.objects.filter(extension=extension).first() or "")


def _remembered(ask: Callable[[str], str]) -> Callable[[str], str]:
    known: dict[str, str] = {}

    def asked(extension: str) -> str:
        if extension not in known:
            known[extension] = ask(extension)
        return known[extension]

    return asked
