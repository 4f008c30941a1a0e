"""Fragments of the routes' list: what moves while the page is open."""

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from eslbridge.models import Switch
from eslbridge.store import StoreError
from eslbridge.views import sync_cells

from .gateways import all_gateways
from .models import InboundRoute


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
        return {"gateways": all_gateways(), "trouble": trouble}
    except StoreError:
        return {"gateways": None, "trouble": "Redis does not answer, so the gateways are not known."}
