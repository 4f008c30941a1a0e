"""Fragments of the agents' list: what moves while the page is open."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import get_template
from django.views.decorators.http import require_POST

from eslbridge import commands
from eslbridge.models import Switch
from eslbridge.store import StoreError, StoreIsEmpty
from eslbridge.views import asked_for, said

from . import presence, tasks
from .admin import Phone, phones_of
from .models import Agent

AGENTS_A_PAGE = 100
# A SIP Call-ID that can be one word of a command.
_CALL_ID = re.compile(r"[0-9A-Za-z.@_~%+*'`!()<>:\[\]?/-]{1,256}", re.ASCII)
SAID = {
    "end": "Ending the registration…",
    "check_sync": "The phone is asked to read its settings again.",
    "restart": "The phone is asked to restart.",
}


@permission_required("agents.view_agent", raise_exception=True)
def rows(request: HttpRequest) -> HttpResponse:
    """The states of the agents in `?ids=1,2,…`, as out-of-band swaps for the cells of the list."""
    agents = asked_for(request, Agent.objects.all())
    phones = phones_of(agents)
    for agent in agents:
        agent.phone = phones[agent.pk]
    return render(request, "agents/_cells.html", {"agents": agents})


@staff_member_required
@permission_required("agents.view_agent", raise_exception=True)
def phones(request: HttpRequest) -> HttpResponse:
    """Every agent with the devices that are registered for it, and who was refused in the last hour."""
    context = {**admin.site.each_context(request), **_phones_context(request), "title": "Phones"}
    return render(request, "agents/phones.html", context)


@staff_member_required
@permission_required("agents.view_agent", raise_exception=True)
def phones_table(request: HttpRequest) -> HttpResponse:
    """The moving part of the page of phones."""
    return render(request, "agents/_phones.html", _phones_context(request))


def _phones_context(request: HttpRequest) -> dict[str, object]:
    switches = list(Switch.objects.all())
    trouble = next((switch.trouble for switch in switches if switch.trouble), "")
    context: dict[str, object] = {"trouble": trouble or ("" if switches else "No switch is known yet.")}
    agents = Agent.objects.only("extension", "name", "is_active")
    if wanted := request.GET.get("q", "").strip():
        agents = agents.filter(Q(extension__contains=wanted) | Q(name__icontains=wanted))
    page = Paginator(agents, AGENTS_A_PAGE).get_page(request.GET.get("page"))
    try:
        devices = presence.registered_where()
        seen = presence.last_seen([each.extension for each in page if each.extension not in devices])
        refusals = presence.refusals()
        updated = min((presence.last_update(switch.name) for switch in switches), default=0)
    except StoreIsEmpty:
        return {
            **context,
            "trouble": "The list of phones is being made again: Redis had lost it.",
            "rows": None,
        }
    except StoreError:
        return {**context, "trouble": "Redis does not answer, so the phones are not known.", "rows": None}
    strangers = devices.keys() - set(Agent.objects.values_list("extension", flat=True))
    return {
        **context,
        "q": wanted,
        "page": page,
        "updated_at": updated,
        # Nothing was ever heard of a switch that does not answer: that nobody is registered it did not say.
        "is_told": bool(updated) or not trouble,
        "rows": [
            (agent, devices.get(agent.extension, []), _moment(seen.get(agent.extension))) for agent in page
        ],
        "strangers": [(user, devices[user]) for user in sorted(strangers)],
        "refusals": refusals,
        "now": time.time(),
    }


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


@permission_required("agents.change_agent", raise_exception=True)
@require_POST
def ask_phone(request: HttpRequest, switch: str) -> HttpResponse:
    """End a registration, or have that phone read its settings again, or restart."""
    what, call_id = request.POST.get("what", ""), request.POST.get("call_id", "")
    registered = {device.call_id for devices in presence.users(switch).values() for device in devices}
    if what not in tasks.COMMANDS:
        return said(request, "There is no such command.", error=True)
    if call_id not in registered or not _CALL_ID.fullmatch(call_id):
        return said(request, "That phone is not registered any more.", error=True)
    try:
        commands.send(tasks.ask_phone, switch, what, call_id)
    except commands.NotSent as why:
        return said(request, str(why), error=True)
    return said(request, SAID[what])


def phone_cells(told: list[str] | None) -> dict[str, tuple[object, Callable[[], str]]]:
    """The agents' phone cells by their ids, for the stream: of the users that news name (`presence.news_of`),
    or of all. Raises StoreError."""
    agents = Agent.objects.only("extension", "is_active")
    users = None if told is None else presence.users_in(told)
    found = list(agents if users is None else agents.filter(extension__in=users))
    phones = phones_of(found, users)
    return {f"phone-{agent.pk}": (phones[agent.pk], _cell(agent, phones[agent.pk])) for agent in found}


def _cell(agent: Agent, phone: Phone) -> Callable[[], str]:
    agent.phone = phone
    return lambda: get_template("agents/_phone.html").render({"agent": agent})
