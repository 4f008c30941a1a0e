"""The page of active calls, and the buttons that dial and hang up."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from agents.access import for_people
from agents.models import Agent
from eslbridge.models import Switch
from eslbridge.store import StoreError, StoreIsEmpty
from routes.gateways import all_gateways

from . import dialling, live, rendering, tasks
from .answers import home, key_of, said, shell
from .callees import callee
from .grouping import Call
from .models import Dial


@dataclass(frozen=True)
class LiveCalls:
    """The calls, and whether that is still true. `calls` is None when nothing is known at all."""

    calls: list[Call] | None
    trouble: str
    updated_at: float
    switches: int = 0


def live_calls() -> LiveCalls:
    """The calls of every switch; with why they are old when a switch does not answer."""
    switches = list(Switch.objects.all())
    trouble = next((switch.trouble for switch in switches if switch.trouble), "")
    if not switches:
        return LiveCalls(None, "No switch is known yet: start its worker.", 0)
    try:
        updated = min(live.last_update(switch.name) for switch in switches)
        calls = live.active_calls()
        # Nothing was ever heard of a switch that does not answer: its empty list says nothing.
        return LiveCalls(calls if calls or updated else None, trouble, updated, len(switches))
    except StoreIsEmpty:
        return LiveCalls(None, "The list of calls is being made again: Redis had lost it.", 0)
    except StoreError:
        return LiveCalls(None, "Redis does not answer, so what is live is not known.", 0)


# Rows of the first page: more would keep it back. All come as soon as it is there.
FIRST_ROWS = 200
# Rows of the dashboard.
FEW_ROWS = 8


def _context(request: HttpRequest, most: int | None = None) -> dict[str, object]:
    """What the table shows, at most so many rows."""
    known = live_calls()
    calls = known.calls or []
    return {
        "live": known,
        "rows": rendering.rows(calls[:most]),
        "rest": len(calls) - len(calls[:most]),
        "may_hang_up": request.user.has_perm("calls.hang_up_calls"),
        "own": getattr(getattr(request.user, "agent", None), "extension", ""),
    }


@staff_member_required
@permission_required("calls.view_active_calls", raise_exception=True)
@require_GET
def active(request: HttpRequest) -> HttpResponse:
    """The page that people leave open."""
    known = _context(request, FIRST_ROWS)
    page = {"title": "Active calls", "gateways": _gateways(known["live"].calls or [])}
    return render(request, "calls/active.html", {**admin.site.each_context(request), **known, **page})


def _gateways(calls: list[Call]) -> list[str]:
    """What can be chosen in the filter."""
    try:
        known = {gateway.name for gateway in all_gateways()}
    except StoreError:
        known = set()
    return sorted(known | {call.gateway for call in calls if call.gateway})


@staff_member_required
@permission_required("calls.view_active_calls", raise_exception=True)
@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """The table of the page of active calls."""
    return render(request, "calls/_table.html", _context(request))


@staff_member_required
@permission_required("calls.view_active_calls", raise_exception=True)
@require_GET
def few_rows(request: HttpRequest) -> HttpResponse:
    """The calls that the dashboard shows: those that last longest."""
    return render(request, "calls/_table.html", {**_context(request, FEW_ROWS), "most": FEW_ROWS})


@for_people
@require_POST
def hang_up(request: HttpRequest, uuid: str) -> HttpResponse:
    """End a call that exists, or a dial: one's own, or anybody's with the permission."""
    try:
        call = next((each for each in live.active_calls() if uuid in {leg.uuid for leg in each.legs}), None)
    except StoreError:
        call = None  # one's own dial is known without Redis
    asked = _open_dial(uuid)
    if call is None and asked is None:
        return said(request, "That call is over already.")
    if not _may_hang_up(request, call, asked):
        raise PermissionDenied
    try:
        if asked:
            dialling.cancel(asked)
        else:
            dialling.send(tasks.hang_up, call.a_leg.switch, call.a_leg.asked or call.uuid)
    except dialling.DialRefused as refused:
        return said(request, str(refused), error=True)
    return said(request, "Hanging up…")


def _open_dial(uuid: str) -> Dial | None:
    try:
        return Dial.objects.open().filter(pk=UUID(uuid)).first()
    except ValueError:
        return None


def _may_hang_up(request: HttpRequest, call: Call | None, asked: Dial | None) -> bool:
    if request.user.has_perm("calls.hang_up_calls"):
        return True
    if asked and asked.requested_by_id == request.user.pk:
        return True
    own = getattr(request.user, "agent", None)
    return own is not None and call is not None and own.extension in {leg.user for leg in call.legs}


@for_people
def dial(request: HttpRequest) -> HttpResponse:
    """GET asks for confirmation (a target for links); POST rings the phone and then the number."""
    if request.method != "POST":
        return _ask(request, request.GET.get("number", ""))
    try:
        number = request.POST.get("number", "")
        asked = dialling.dial(_phone_of(request), number, request.user, key_of(request))
    except dialling.DialRefused as refused:
        return said(request, str(refused), error=True)
    if request.headers.get("HX-Request"):
        return render(request, "calls/_dial.html", {"dial": asked})
    return redirect(home(request))


def _ask(request: HttpRequest, number: str) -> HttpResponse:
    context = {
        **shell(request),
        "title": "Dial",
        **_understood(number),
        "own": getattr(request.user, "agent", None),
        "agents": Agent.objects.active() if request.user.has_perm("calls.dial_for_others") else [],
    }
    return render(request, "calls/dial.html", context)


def _understood(typed: str) -> dict[str, str]:
    """What is asked to be dialled, and how it is read; what cannot be dialled is shown as it came."""
    try:
        to = callee(typed) if typed else None
    except dialling.DialRefused:
        to = None
    return {"number": to.number, "understood": str(to)} if to else {"number": typed, "understood": ""}


def _phone_of(request: HttpRequest) -> Agent:
    """The phone to ring: the chosen one with the permission, else the user's own."""
    chosen = request.POST.get("extension")
    own = getattr(request.user, "agent", None)
    if chosen and (own is None or chosen != own.extension):
        if not request.user.has_perm("calls.dial_for_others"):
            raise PermissionDenied
        agent = Agent.objects.filter(extension=chosen).first()
        if agent is None:
            raise dialling.DialRefused(f"There is no agent {chosen[:20]}.")
        return agent
    if own is None:
        raise dialling.DialRefused(
            "You have no phone here: choose yourself as the site user of an agent, "
            "and that agent's phone rings."
        )
    return own


@for_people
@require_GET
def dial_state(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What has become of a dial, for the toast that follows it."""
    dialling.give_up_unsent(Dial.objects.filter(pk=uuid))
    asked = get_object_or_404(Dial, pk=uuid, requested_by=request.user)
    return render(request, "calls/_dial.html", {"dial": asked})
