"""Which objects must be published again when something that they lead to has changed."""

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Q

from agents.models import Agent

from ..destinations import AGENT, NUMBER, VOICEMAIL, Destination
from ..models import Gateway, InboundRoute, OutboundRoute, RingGroup
from ..models.pointing import Pointing


def pointing_at(model: type[Pointing]) -> Any:
    """For changed agents, groups or routes: the objects of `model` with a destination there."""

    def find(changed: list[models.Model]) -> Iterable[models.Model]:
        destinations = [Destination.to(each) for each in changed]
        if isinstance(changed[0], Agent):
            destinations += [
                Destination(VOICEMAIL, each.target) for each in destinations if each.kind == AGENT
            ]
        found = model.pointing_to(destinations)
        # The changed objects themselves are queued anyway.
        return [*found, *(each for each in changed if isinstance(each, model))]

    return find


def of_pointing(model: type[Pointing]) -> dict[type[models.Model], Any]:
    """What every model with destinations depends on: where they lead, and how numbers outside are reached."""
    led_to = dict.fromkeys((Agent, RingGroup, InboundRoute), pointing_at(model))
    return {**led_to, **dict.fromkeys((Gateway, OutboundRoute), of_routing(model))}


def of_hours(model: type[models.Model]) -> Any:
    return lambda changed: model._default_manager.filter(hours__in=changed)


def of_holidays(model: type[models.Model]) -> Any:
    return lambda changed: model._default_manager.filter(hours__in=[each.hours_id for each in changed])


def of_routing(model: type[Pointing]) -> Any:
    """For changed gateways or outbound routes: what calls numbers outside itself."""

    def find(changed: list[models.Model]) -> Iterable[models.Model]:
        condition = Q(pk__in=[])
        for name in model.pointing_fields:
            condition |= Q(**{f"{name}__startswith": f"{NUMBER}:"})
        if hasattr(model, "members"):
            condition |= Q(members__icontains=f'"{NUMBER}:')
        return model._default_manager.filter(condition)

    return find
