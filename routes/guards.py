"""Nothing that others point to can be deleted: the pages list them, and so does every other way refuse."""

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models.signals import pre_delete

from agents.models import Agent
from agents.validators import claims_extensions
from eslbridge.references import refers_to

from .destinations import AGENT, VOICEMAIL, Destination
from .models import InboundRoute, RingGroup
from .models.pointing import pointing_models


def pointing_to(targets: Iterable[models.Model]) -> list[models.Model]:
    """The routes and groups that send calls to any of these agents, groups or routes."""
    targets = list(targets)
    destinations = [Destination.to(each) for each in targets]
    destinations += [Destination(VOICEMAIL, each.target) for each in destinations if each.kind == AGENT]
    gone = {(type(each), each.pk) for each in targets}
    return [
        each
        for model in pointing_models()
        for each in model.pointing_to(destinations)
        if (type(each), each.pk) not in gone
    ]


def _refuse(sender: type[models.Model], instance: models.Model, **_: Any) -> None:
    if others := pointing_to([instance]):
        named = ", ".join(f"{each._meta.verbose_name} {each}" for each in others[:10])
        raise models.ProtectedError(
            f"Calls are sent to {instance} by: {named}. Change these first.", set(others)
        )


def connect() -> None:
    for model in (Agent, RingGroup, InboundRoute):
        refers_to(model, pointing_to)
        pre_delete.connect(_refuse, sender=model, dispatch_uid=f"routes guard {model._meta.label_lower}")


@claims_extensions
def extensions_of_groups() -> dict[str, str]:
    rows = RingGroup.objects.values_list("extension", "name")
    return {extension: f"The ring group {extension} {name}" for extension, name in rows}
