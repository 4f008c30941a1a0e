"""Fragments that every published model's list shares."""

from typing import Any

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

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
