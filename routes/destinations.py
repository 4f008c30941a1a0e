"""Where a call goes next: one column that names an agent, a ring group, a voicemail box, a number outside,
the route of another DID, or a message.

In the database it is "agent:12" (by primary key, so that a new extension changes nothing), on the page and
in a spreadsheet what a person types: "1020", "voicemail 1020", "+1 949 543 1333", "message closed.wav".
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models

from agents.models import Agent
from agents.numbers import in_words, to_e164

AGENT, GROUP, VOICEMAIL, NUMBER, ROUTE, MESSAGE = "agent", "group", "voicemail", "number", "route", "message"
# What each kind's primary key is of; the other kinds have a text of their own.
MODELS = {
    AGENT: "agents.Agent",
    VOICEMAIL: "agents.Agent",
    GROUP: "routes.RingGroup",
    ROUTE: "routes.InboundRoute",
}

_EXTENSION = re.compile(r"[1-9][0-9]{3,5}", re.ASCII)
_SOUND = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*\.(?:wav|mp3|gsm|ogg)", re.ASCII)
HOW_TO_TYPE = (
    "An extension (agent or ring group), “voicemail 1020”, a telephone number "
    "(one of your own DIDs, or outside), or “message closed.wav”."
)


@dataclass(frozen=True)
class Destination:
    """`target` is a primary key, a number in E.164, or the path of a sound file on the switch."""

    kind: str
    target: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"

    @classmethod
    def read(cls, text: str) -> "Destination":
        """What the database's text says."""
        kind, _, target = text.partition(":")
        return cls(kind, target)

    @classmethod
    def to(cls, instance: models.Model) -> "Destination":
        """The destination that is this agent, ring group or route."""
        kind = next(kind for kind, label in MODELS.items() if label == instance._meta.label)
        return cls(kind, str(instance.pk))

    @property
    def model(self) -> type[models.Model] | None:
        return apps.get_model(MODELS[self.kind]) if self.kind in MODELS else None


class DestinationField(models.CharField):
    """A column of one `Destination`; None when there is none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs = {"max_length": 200, "default": None, **kwargs}
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: str | None, *_: object) -> Destination | None:
        return Destination.read(value) if value else None

    def to_python(self, value: Any) -> Destination | None:
        return value if isinstance(value, Destination) else Destination.read(value) if value else None

    def get_prep_value(self, value: Any) -> str:
        return str(value) if value else ""

    def run_validators(self, value: Any) -> None:
        super().run_validators(str(value or ""))

    def value_to_string(self, instance: models.Model) -> str:
        return str(self.value_from_object(instance) or "")

    def formfield(self, **kwargs: Any) -> Any:
        from .forms import DestinationFormField

        return super().formfield(**{**kwargs, "form_class": DestinationFormField, "max_length": None})


class DestinationsField(models.JSONField):
    """A column of several destinations, in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"default": list, **kwargs})

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> list[Destination]:
        return [Destination.read(text) for text in super().from_db_value(value, expression, connection) or []]

    def to_python(self, value: Any) -> list[Destination]:
        return [each if isinstance(each, Destination) else Destination.read(each) for each in value or []]

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return super().get_db_prep_value([str(each) for each in value or []], connection, prepared)

    def validate(self, value: Any, instance: models.Model) -> None:
        if not value and not self.blank:
            raise ValidationError(self.error_messages["blank"], code="blank")

    def value_to_string(self, instance: models.Model) -> Any:
        return [str(each) for each in self.value_from_object(instance)]

    def formfield(self, **kwargs: Any) -> Any:
        from .forms import DestinationsFormField

        return models.Field.formfield(self, **{**kwargs, "form_class": DestinationsFormField})


Targets = Mapping[tuple[str, str], models.Model]


def fetch(destinations: Iterable[Destination | None]) -> dict[tuple[str, str], models.Model]:
    """The objects behind these destinations by (kind, primary key), in one query a model."""
    wanted: dict[type[models.Model], set[str]] = defaultdict(set)
    given = [each for each in destinations if each and each.model and each.target.isdecimal()]
    for each in given:
        wanted[each.model].add(each.target)
    found = {
        (model, str(instance.pk)): instance
        for model, keys in wanted.items()
        for instance in model._default_manager.filter(pk__in=keys)
    }
    return {
        (each.kind, each.target): found[each.model, each.target]
        for each in given
        if (each.model, each.target) in found
    }


class Words:
    """Reads destinations as people type them; what a file names is looked up once, by `load`."""

    def __init__(self) -> None:
        self.extensions: dict[str, Destination] = {}
        self.dids: dict[str, Destination] = {}
        self.targets: dict[tuple[str, str], models.Model] = {}

    def load(self, texts: Iterable[str]) -> None:
        """Find the agents, groups and routes that these texts name."""
        texts = list(texts)
        extensions = {found for text in texts for found in re.findall(r"\b[1-9][0-9]{3,5}\b", text)}
        numbers = {number for text in texts if (number := _number(text))}
        groups = apps.get_model("routes.RingGroup").objects.filter(extension__in=extensions)
        agents = Agent.objects.filter(extension__in=extensions)
        routes = apps.get_model("routes.InboundRoute").objects.filter(did__in=numbers)
        self.extensions = {each.extension: self._know(each) for found in (groups, agents) for each in found}
        self.dids = {route.did: self._know(route) for route in routes}

    def _know(self, instance: models.Model) -> Destination:
        destination = Destination.to(instance)
        self.targets[destination.kind, destination.target] = instance
        if destination.kind == AGENT:
            self.targets[VOICEMAIL, destination.target] = instance
        return destination

    def read(self, text: str) -> Destination:
        """What a person typed, after `load`; raises ValidationError with the fix."""
        word, _, rest = text.strip().partition(" ")
        if word.casefold() == MESSAGE:
            return Destination(MESSAGE, _sound(rest.strip()))
        if word.casefold() == VOICEMAIL:
            return self._voicemail(rest.strip())
        if _EXTENSION.fullmatch(text.strip()):
            return self._extension(text.strip())
        if not re.search(r"\d", text):
            raise ValidationError(f"“{text.strip()[:40]}” is no destination. Type one of: {HOW_TO_TYPE}")
        number = to_e164(text)
        return self.dids.get(number, Destination(NUMBER, number))

    def _extension(self, extension: str) -> Destination:
        if extension not in self.extensions:
            raise ValidationError(
                f"There is no agent and no ring group {extension}. Add it first, or correct the extension."
            )
        return self.extensions[extension]

    def _voicemail(self, extension: str) -> Destination:
        found = self.extensions.get(extension)
        if found is None or found.kind != AGENT:
            raise ValidationError(f"There is no agent “{extension[:10]}” whose voicemail this could be.")
        return Destination(VOICEMAIL, found.target)


def _number(text: str) -> str:
    try:
        return to_e164(text)
    except ValidationError:
        return ""


def _sound(path: str) -> str:
    if not _SOUND.fullmatch(path) or len(path) > 150:
        raise ValidationError(
            f"“{path[:40]}” is not the path of a sound file below the switch's sounds folder: "
            "letters, digits, - and _, like closed.wav or custom/closed.wav."
        )
    return path


def typed(destination: Destination | None, targets: Targets) -> str:
    """The destination as a person would type it; empty when what it names is gone."""
    if not destination:
        return ""
    if destination.model is None:
        return f"message {destination.target}" if destination.kind == MESSAGE else destination.target
    target = targets.get((destination.kind, destination.target))
    if target is None:
        return ""
    prefix = "voicemail " if destination.kind == VOICEMAIL else ""
    return prefix + (target.did if destination.kind == ROUTE else target.extension)


def all_names() -> dict[Destination, str]:
    """Every agent, voicemail, group and route as a person would type it, in three queries."""
    agents = [(str(pk), extension) for pk, extension in Agent.objects.values_list("pk", "extension")]
    groups = apps.get_model("routes.RingGroup").objects.values_list("pk", "extension")
    routes = apps.get_model("routes.InboundRoute").objects.values_list("pk", "did")
    return {
        **{Destination(AGENT, pk): extension for pk, extension in agents},
        **{Destination(VOICEMAIL, pk): f"voicemail {extension}" for pk, extension in agents},
        **{Destination(GROUP, str(pk)): extension for pk, extension in groups},
        **{Destination(ROUTE, str(pk)): did for pk, did in routes},
    }


def told(destination: Destination | None, targets: Targets) -> str:
    """What happens to a call that goes there, as part of a sentence: “rings 1020 Alice”."""
    if not destination:
        return "the call ends"
    target = targets.get((destination.kind, destination.target))
    if destination.kind in MODELS and target is None:
        return "the call ends: what was chosen here is gone"
    words = {
        VOICEMAIL: "voicemail of {}",
        ROUTE: "as calls to {}",
        MESSAGE: "plays {} and hangs up",
        NUMBER: "calls {}",
    }
    if destination.kind == NUMBER:
        target = in_words(destination.target)
    off = "" if getattr(target, "is_active", True) else " (not active)"
    return words.get(destination.kind, "rings {}").format(target or destination.target) + off
