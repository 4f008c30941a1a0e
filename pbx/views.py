"""The site's own pages beside the admin: the stream of news, the dashboard's tiles, health."""

import asyncio
from datetime import timedelta
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.contrib.admin.views.decorators import staff_member_required
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from agents.access import has_phone, is_let_in
from agents.views import phone_cells
from calls import rendering
from eslbridge.models import PendingChange, Switch
from eslbridge.store import StoreError, store

from . import badges, dashboard
from .stream import Hub

_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()
# A change that waits longer than this is not just on its way.
BANNER_AFTER = timedelta(seconds=30)


async def news(request: HttpRequest) -> HttpResponse:
    """Server-Sent Events: rows that changed, and the names of what else did."""
    if refused := await sync_to_async(_why_not)(request):
        return HttpResponse(refused, status=403, content_type="text/plain")
    # Rows show everybody's calls; who may not see them hears that something changed, and asks for its own.
    sees_all = await sync_to_async(_sees_all)(request)
    response = StreamingHttpResponse(hub().watch(names_only=not sees_all), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


def _why_not(request: HttpRequest) -> str:
    """Why this user may not hear the news, or nothing. Gives its connection to PostgreSQL back at once: a
    stream lasts for hours, and a hundred of them would leave none for anybody else."""
    try:
        if not is_let_in(request.user):
            return "Log in first."
        hears = _sees_all(request) or has_phone(request.user)
        return "" if hears else "You may not see what is live."
    finally:
        connection.close()


def _sees_all(request: HttpRequest) -> bool:
    return request.user.is_staff and request.user.has_perm("calls.view_active_calls")


def hub() -> Hub:
    """The hub of the running event loop (a test may have several)."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub({"calls": rendering.Watched(), "agents": phone_cells}, _troubles)
    return _hubs[loop]


def _troubles() -> list[tuple[str, str]]:
    return [(switch.name, switch.trouble) for switch in Switch.objects.all()]


@staff_member_required
def dashboard_tiles(request: HttpRequest) -> HttpResponse:
    """The tiles, and out of band what needs attention."""
    context = {"tiles": dashboard.tiles(), "oob": True}
    parts = ("pbx/_tiles.html", "pbx/_attention.html")
    return HttpResponse("".join(render_to_string(part, context, request) for part in parts))


@staff_member_required
def dashboard_chart(request: HttpRequest) -> JsonResponse:
    """The chart's labels and numbers, for a page that is open."""
    return JsonResponse(dashboard.calls_by_hour())


@staff_member_required
def badges_now(request: HttpRequest) -> HttpResponse:
    """The numbers in the navigation, as out-of-band swaps."""
    now = {
        "active-calls": badges.active_calls(request),
        "phones": badges.phones(request),
        "gateways": badges.gateways_down(request),
        "changes": badges.pending_changes(request),
    }
    return render(request, "pbx/_badges.html", {"badges": now})


@staff_member_required
def banner(request: HttpRequest) -> HttpResponse:
    """A sentence on every page while something has been waiting for more than 30 seconds; else nothing."""
    late = PendingChange.objects.filter(since__lt=Now() - BANNER_AFTER).select_related("switch")
    return render(request, "pbx/_banner.html", {"count": late.count(), "first": late.first()})


@staff_member_required
def link_state(request: HttpRequest) -> HttpResponse:
    return render(request, "pbx/_link.html", {"switches": Switch.objects.all()})


def health(request: HttpRequest) -> JsonResponse:
    """200 when the site can serve; each part with “ok” or what is wrong. No log-in: it tells no secrets."""
    parts = {"database": _database(), "redis": _redis(), "switch": "unknown"}
    if parts["database"] == "ok":
        troubles = [switch.trouble for switch in Switch.objects.all()]
        parts["switch"] = "no switch yet" if not troubles else next(filter(None, troubles), "ok")
    return JsonResponse(parts, status=200 if parts["database"] == "ok" else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "PostgreSQL does not answer"
    return "ok"


def _redis() -> str:
    try:
        store().ping()
    except StoreError:
        return "Redis does not answer"
    return "ok"
