"""Fragments of the agents' list: what moves while the page is open."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from eslbridge.views import asked_for

from .admin import phones_of
from .models import Agent


@permission_required("agents.view_agent", raise_exception=True)
def rows(request: HttpRequest) -> HttpResponse:
    """The states of the agents in `?ids=1,2,…`, as out-of-band swaps for the cells of the list."""
    agents = asked_for(request, Agent.objects.all())
    phones = phones_of(agents)
    for agent in agents:
        agent.phone = phones[agent.pk]
    return render(request, "agents/_cells.html", {"agents": agents})
