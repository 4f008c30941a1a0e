"""My phone: the one page of an agent without other rights. Own state, dial box, own call with controls."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from agents import presence
from agents.access import for_people
from agents.models import Agent
from eslbridge.models import Switch
from eslbridge.store import StoreError

from . import control, live
from .answers import shell
from .control_views import NOT_KNOWN, shown_controls
from .legs import PARKED
from .models import Dial

MOST_DIALS = 5


@for_people
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page that an agent leaves open."""
    context = {
        **shell(request),
        **_state(request),
        **_calls(request),
        "title": "My phone",
        "agents": Agent.objects.active(),
    }
    return render(request, "calls/my_phone.html", context)


@for_people
@require_GET
def state(request: HttpRequest) -> HttpResponse:
    """Whether the own phone is registered, and with what."""
    return render(request, "calls/_my_state.html", _state(request))


@for_people
@require_GET
def call(request: HttpRequest) -> HttpResponse:
    """The own calls of this moment, each with what may be done; and those that wait for anybody."""
    return render(request, "calls/_my_calls.html", {**_calls(request), "agents": Agent.objects.active()})


def _state(request: HttpRequest) -> dict[str, object]:
    own = getattr(request.user, "agent", None)
    trouble = next((switch.trouble for switch in Switch.objects.all() if switch.trouble), "")
    try:
        devices = presence.registered().get(own.extension, []) if own else []
    except StoreError:
        devices, trouble = [], NOT_KNOWN
    return {"own": own, "devices": devices, "trouble": trouble}


def _calls(request: HttpRequest) -> dict[str, object]:
    own = getattr(request.user, "agent", None)
    try:
        calls = live.active_calls()
    except StoreError:
        return {"own": own, "calls": [], "waiting": [], "not_known": NOT_KNOWN}
    mine = [each for each in calls if control.is_own(request.user, each)]
    waiting = [each for each in calls if each.state == PARKED and each not in mine]
    return {
        "own": own,
        "calls": [shown_controls(request, each, calls) for each in mine],
        "waiting": [shown_controls(request, each, calls) for each in waiting],
    }


@for_people
@require_GET
def dials(request: HttpRequest) -> HttpResponse:
    """What was dialled before the page was opened: closing it in mid-dial loses no toast."""
    mine = Dial.objects.open().filter(requested_by=request.user)
    return render(request, "calls/_dials.html", {"dials": mine[:MOST_DIALS]})
