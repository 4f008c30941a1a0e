"""Fragments of routing's lists and forms, the page of the gateways, and the one that asks who rings."""

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from agents.models import Agent
from eslbridge.models import Switch
from eslbridge.store import StoreError, StoreIsEmpty
from eslbridge.views import asked_for, sync_cells

from .destinations import fetch, told
from .forms import read
from .gateways import all_gateways, last_update
from .models import Gateway, InboundRoute, OutboundRoute, RingGroup
from .models.groups import MOST_MEMBERS
from .validators import in_words, to_e164
from .who_rings import NotKnown, WhoRingsForm

SUGGESTIONS = 12


@permission_required("routes.view_inboundroute", raise_exception=True)
def rows(request: HttpRequest) -> HttpResponse:
    """The sync states of the routes in `?ids=1,2,…`, as out-of-band swaps for the cells of the list."""
    return sync_cells(request, InboundRoute.objects.select_related("hours"))


@permission_required("routes.view_ringgroup", raise_exception=True)
def group_rows(request: HttpRequest) -> HttpResponse:
    """The same for ring groups."""
    return sync_cells(request, RingGroup.objects.all())


@permission_required("routes.view_outboundroute", raise_exception=True)
def outbound_rows(request: HttpRequest) -> HttpResponse:
    """The same for outbound routes."""
    related = ("gateway", "second_gateway", "third_gateway", "hours")
    return sync_cells(request, OutboundRoute.objects.select_related(*related))


@permission_required("routes.view_gateway", raise_exception=True)
def gateway_rows(request: HttpRequest) -> HttpResponse:
    """The same for gateways, with the state that the switch gives each."""
    gateways = asked_for(request, Gateway.objects.all())
    model_admin = admin.site._registry[Gateway]
    model_admin.prepare_rows(gateways)
    cells = [
        render_to_string("eslbridge/_sync.html", {"object": each, "state": each.sync_state, "oob": True})
        + render_to_string("routes/_gateway_state.html", {"gateway": each, "oob": True})
        for each in gateways
    ]
    return HttpResponse("".join(cells))


@staff_member_required
@require_GET
def destinations(request: HttpRequest) -> HttpResponse:
    """What each line of the one field that asks, whatever its name, is understood as, and what could be
    meant by the last."""
    lines = [line.strip()[:80] for line in _asking(request).splitlines() if line.strip()][:MOST_MEMBERS]
    context = {"understood": [_understood(line) for line in lines], "suggestions": _suggestions(*lines[-1:])}
    return render(request, "routes/_understood.html", context)


@staff_member_required
@require_GET
def understood_number(request: HttpRequest) -> HttpResponse:
    """What the telephone number in the one field that asks is understood as."""
    text = _asking(request).strip()[:80]
    try:
        understood = [(in_words(to_e164(text)), True)] if text else []
    except ValidationError as refused:
        understood = [(" ".join(refused.messages), False)]
    return render(request, "routes/_understood.html", {"understood": understood})


def _asking(request: HttpRequest) -> str:
    return next(iter(request.GET.values()), "")


def _understood(text: str) -> tuple[str, bool]:
    """What it means or why it means nothing, in words, and whether it means something."""
    try:
        found = read([text])[0]
    except ValidationError as refused:
        return " ".join(refused.messages), False
    return told(found, fetch([found])), True


def _suggestions(text: str = "") -> list[tuple[str, str]]:
    """(what to type, what it is) of agents and groups whose extension or name begins like that."""
    word = text.removeprefix("voicemail").strip()
    like = Q(extension__startswith=word) | Q(name__icontains=word)
    agents = list(Agent.objects.active().filter(like)[:SUGGESTIONS])
    groups = RingGroup.objects.filter(like, is_active=True)[:SUGGESTIONS]
    return [
        *((group.extension, f"{group.name} (ring group)") for group in groups),
        *((agent.extension, agent.name) for agent in agents),
        *((f"voicemail {agent.extension}", f"{agent.name} (voicemail)") for agent in agents[:3]),
    ]


@staff_member_required
@permission_required("routes.view_gateway", raise_exception=True)
def gateways(request: HttpRequest) -> HttpResponse:
    """The switches' SIP trunks and their state, as the switches say."""
    context = {**admin.site.each_context(request), **_gateways_context(), "title": "Gateways"}
    return render(request, "routes/gateways.html", context)


@staff_member_required
@permission_required("routes.view_gateway", raise_exception=True)
def gateways_table(request: HttpRequest) -> HttpResponse:
    """The moving part of the page of gateways."""
    return render(request, "routes/_gateways.html", _gateways_context())


def _gateways_context() -> dict[str, object]:
    switches = list(Switch.objects.all())
    trouble = next((switch.trouble for switch in switches if switch.trouble), "")
    trouble = trouble or ("" if switches else "No switch is known yet: start its worker.")
    try:
        found = all_gateways()
        updated = min((last_update(switch.name) for switch in switches), default=0)
        # Nothing was ever heard of a switch that does not answer: its empty list says nothing.
        known = found if found or updated or not trouble else None
        ours = dict(Gateway.objects.values_list("name", "pk"))
        return {"gateways": known, "trouble": trouble, "updated_at": updated, "ours": ours}
    except StoreIsEmpty:
        why = "The list of gateways is being made again: Redis had lost it."
    except StoreError:
        why = "Redis does not answer, so the gateways are not known."
    return {"gateways": None, "trouble": why}


@staff_member_required
@permission_required("routes.view_inboundroute", raise_exception=True)
def who_rings(request: HttpRequest) -> HttpResponse:
    """Asks who rings if a number is called. With `?number=` it answers, so that a question has an address."""
    asked = _asked(request) if "number" in request.GET else {"form": WhoRingsForm()}
    context = {**admin.site.each_context(request), **asked, "title": "Who rings if …"}
    return render(request, "routes/who_rings.html", context)


@staff_member_required
@permission_required("routes.view_inboundroute", raise_exception=True)
def who_rings_answer(request: HttpRequest) -> HttpResponse:
    """The answer alone."""
    return render(request, "routes/_who_rings_answer.html", _asked(request))


def _asked(request: HttpRequest) -> dict[str, object]:
    form = WhoRingsForm(request.GET)
    if not form.is_valid():
        return {"form": form}
    try:
        return {"form": form, "told": form.tell()}
    except ValidationError as refused:
        form.add_error(None, refused)
        return {"form": form}
    except NotKnown as why:
        return {"form": form, "trouble": str(why)}
