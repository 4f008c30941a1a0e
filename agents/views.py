"""Fragments of the agents' list: what moves while the page is open."""

from collections.abc import Callable

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import get_template

from eslbridge.views import asked_for

from .admin import Phone, phones_of
from .models import Agent


@permission_required("agents.view_agent", raise_exception=True)
def rows(request: HttpRequest) -> HttpResponse:
    """The states of the agents in `?ids=1,2,…`, as out-of-band swaps for the cells of the list."""
    agents = asked_for(request, Agent.objects.all())
    phones = phones_of(agents)
    for agent in agents:
        agent.phone = phones[agent.pk]
    return render(request, "agents/_cells.html", {"agents": agents})


def phone_cells() -> dict[str, tuple[object, Callable[[], str]]]:
    """Every agent's phone cell by its id, for the stream; raises StoreError."""
    agents = list(Agent.objects.only("extension", "is_active"))
    phones = phones_of(agents)
    return {f"phone-{agent.pk}": (phones[agent.pk], _cell(agent, phones[agent.pk])) for agent in agents}


def _cell(agent: Agent, phone: Phone) -> Callable[[], str]:
    agent.phone = phone
    return lambda: get_template("agents/_phone.html").render({"agent": agent})
