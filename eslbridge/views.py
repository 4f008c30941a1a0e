"""Fragments that every published model's list shares."""

from typing import Any

from celery import Task
from django.contrib.auth.decorators import permission_required
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from . import commands, tasks
from .models import PendingChange, Switch
from .publishing import outbox
from .publishing.state import sync_states

MOST_ROWS = 500  # a page of a list shows 100


def asked_for(request: HttpRequest, queryset: models.QuerySet[Any]) -> list[Any]:
    """The objects of `?ids=1,2,…` with their sync states."""
    words = request.GET.get("ids", "").split(",")[:MOST_ROWS]
    rows = list(queryset.filter(pk__in=[int(word) for word in words if word.isascii() and word.isdigit()]))
    states = sync_states(rows)
    for row in rows:
        row.sync_state = states[row.pk]
    return rows


def sync_cells(request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse:
    """The chips of these objects as out-of-band swaps."""
    cells = [
        render_to_string("eslbridge/_sync.html", {"object": row, "state": row.sync_state, "oob": True})
        for row in asked_for(request, queryset)
    ]
    return HttpResponse("".join(cells))


@permission_required("eslbridge.change_pendingchange", raise_exception=True)
@require_POST
def retry(request: HttpRequest) -> HttpResponse:
    """Try the waiting changes of one object (`kind`, `id`) again, now."""
    pk = request.POST.get("id", "")
    if not (pk.isascii() and pk.isdigit()):
        return HttpResponseBadRequest("id is the number of an object.")
    count = outbox.retry(PendingChange.objects.filter(kind=request.POST.get("kind", ""), object_id=int(pk)))
    return said(request, "Trying again…" if count else "Nothing waits any more.")


@permission_required("eslbridge.change_pendingchange", raise_exception=True)
@require_POST
def reload_now(request: HttpRequest) -> HttpResponse:
    """Ask every connected switch to read its files again."""
    return _ask(request, tasks.reload_now, "Asked to reload: the answer appears among the last reloads.")


@permission_required("eslbridge.change_pendingchange", raise_exception=True)
@require_POST
def compare_now(request: HttpRequest) -> HttpResponse:
    """Ask every connected switch's worker to compare its directory with the database."""
    return _ask(
        request, tasks.compare_now, "Asked to compare: the time of the last comparison tells when it is done."
    )


def _ask(request: HttpRequest, task: Task, sentence: str) -> HttpResponse:
    switches = list(Switch.objects.all())
    connected = [switch for switch in switches if switch.is_connected]
    if not connected:
        trouble = next((switch.trouble for switch in switches), "No switch is known yet: start its worker.")
        return said(request, trouble, error=True)
    try:
        for switch in connected:
            commands.send(task, switch.name)
    except commands.NotSent as why:
        return said(request, str(why), error=True)
    return said(request, sentence)


def said(request: HttpRequest, text: str, *, error: bool = False) -> HttpResponse:
    """A sentence as a toast, in answer to a button."""
    return render(request, "pbx/_said.html", {"text": text, "error": error})
