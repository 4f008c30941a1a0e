"""Fragments of the routes' list: what moves while the page is open; the page that asks who rings."""

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from eslbridge.models import Switch
from eslbridge.store import StoreError, StoreIsEmpty
from eslbridge.views import sync_cells

from .gateways import all_gateways, last_update
from .models import InboundRoute
from .who_rings import NotKnown, WhoRingsForm


@permission_required("routes.view_inboundroute", raise_exception=True)
def rows(request: HttpRequest) -> HttpResponse:
    """The sync states of the routes in `?ids=1,2,…`, as out-of-band swaps for the cells of the list."""
    return sync_cells(request, InboundRoute.objects.select_related("agent"))


@staff_member_required
@permission_required("routes.view_inboundroute", raise_exception=True)
def gateways(request: HttpRequest) -> HttpResponse:
    """The switches' SIP trunks and their state, as the switches say."""
    context = {**admin.site.each_context(request), **_gateways_context(), "title": "Gateways"}
    return render(request, "routes/gateways.html", context)


@staff_member_required
@permission_required("routes.view_inboundroute", raise_exception=True)
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
        return {"gateways": known, "trouble": trouble, "updated_at": updated}
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
