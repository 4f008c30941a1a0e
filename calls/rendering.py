"""The rows of the page of active calls: the same template for the page and for what is pushed to it."""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

from django.template.loader import get_template
from django.utils.safestring import SafeString

from agents.models import Agent

from .live import Call, active_calls

# Rendered rows that are kept: some 2 kB each. The page of a busy switch shows a thousand.
MOST_ROWS = 4000
_cache: dict[tuple[object, ...], SafeString] = {}
_lock = threading.Lock()


def names_of(calls: Iterable[Call]) -> dict[str, str]:
    """Agents' names by extension, for the numbers in these calls; one query."""
    numbers = {number for call in calls for number in (call.caller, call.callee, call.reached) if number}
    return dict(Agent.objects.filter(extension__in=numbers).values_list("extension", "name"))


def present() -> dict[str, tuple[object, Callable[[], str]]]:
    """Every active call's row by its id, oldest call first, for the stream; raises StoreError."""
    calls = active_calls()
    names = names_of(calls)
    return {f"call-{call.uuid}": (_shown(call, names), partial(_row, call, names)) for call in calls}


def rows(calls: Iterable[Call]) -> list[SafeString]:
    """The calls' rows as HTML, for the page."""
    calls = list(calls)
    names = names_of(calls)
    return [_row(call, names) for call in calls]


def _shown(call: Call, names: dict[str, str]) -> tuple[object, ...]:
    """What of a call can be seen: two that are equal here look the same."""
    legs = tuple((leg.uuid, leg.state, leg.user, leg.caller) for leg in call.legs)
    people = tuple((number, names.get(number)) for number in (call.caller, call.callee, call.reached))
    return call.uuid, call.state, call.direction, call.since, call.caller_name, people, legs


def _row(call: Call, names: dict[str, str]) -> SafeString:
    return _rendered(_shown(call, names), call, names)


def _rendered(shown: tuple[object, ...], call: Call, names: dict[str, str]) -> SafeString:
    """A row is rendered once a change, whoever asks for it: the page, a fragment or the stream."""
    if (known := _cache.get(shown)) is None:
        known = get_template("calls/_row.html").render({"call": call, "names": names, "now": time.time()})
        with _lock:
            while len(_cache) >= MOST_ROWS:
                del _cache[next(iter(_cache))]
            _cache[shown] = known
    return known
