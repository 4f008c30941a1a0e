"""The rows of the page of active calls: the same template for the page and for what is pushed to it."""

import time
from collections.abc import Callable, Iterable

from django.template.loader import get_template

from agents.models import Agent

from .live import Call, active_calls


def names_of(calls: Iterable[Call]) -> dict[str, str]:
    """Agents' names by extension, for the numbers in these calls; one query."""
    numbers = {number for call in calls for number in (call.caller, call.callee, call.reached) if number}
    return dict(Agent.objects.filter(extension__in=numbers).values_list("extension", "name"))


def present() -> dict[str, tuple[object, Callable[[], str]]]:
    """Every active call's row by its id, oldest call first, for the stream; raises StoreError."""
    calls = active_calls()
    names = names_of(calls)
    return {f"call-{call.uuid}": (_shown(call, names), _row(call, names)) for call in calls}


def _shown(call: Call, names: dict[str, str]) -> object:
    """What of a call can be seen: two that are equal here look the same."""
    legs = [(leg.uuid, leg.state, leg.user, leg.caller) for leg in call.legs]
    people = [(number, names.get(number)) for number in (call.caller, call.callee, call.reached)]
    return call.state, call.direction, call.since, call.caller_name, people, legs


def _row(call: Call, names: dict[str, str]) -> Callable[[], str]:
    return lambda: get_template("calls/_row.html").render({"call": call, "names": names, "now": time.time()})
