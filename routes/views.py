"""Fragments of the routes' list: what moves while the page is open."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse

from eslbridge.views import sync_cells

from .models import InboundRoute


@permission_required("routes.view_inboundroute", raise_exception=True)
def rows(request: HttpRequest) -> HttpResponse:
    """The sync states of the routes in `?ids=1,2,…`, as out-of-band swaps for the cells of the list."""
    return sync_cells(request, InboundRoute.objects.select_related("agent"))
