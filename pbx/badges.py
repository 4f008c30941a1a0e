"""The numbers in the navigation. A badge that cannot be read is a question mark, not a zero."""

from django.http import HttpRequest

from agents import presence
from agents.models import Agent
from calls.live import active_calls as live_calls
from eslbridge.models import PendingChange, Switch
from eslbridge.store import StoreError
from routes.gateways import all_gateways


def active_calls(request: HttpRequest) -> str:
    if not any(switch.is_connected for switch in Switch.objects.all()):
        return "?"
    try:
        return str(len(live_calls()))
    except StoreError:
        return "?"


def phones(request: HttpRequest) -> str:
    """Registered of all active agents."""
    extensions = set(Agent.objects.active().values_list("extension", flat=True))
    if not any(switch.is_connected for switch in Switch.objects.all()):
        return f"?/{len(extensions)}"
    try:
        return f"{len(extensions & presence.registered().keys())}/{len(extensions)}"
    except StoreError:
        return f"?/{len(extensions)}"


def gateways_down(request: HttpRequest) -> str:
    """How many gateways are down, in words; nothing when none is."""
    try:
        down = sum(gateway.is_down for gateway in all_gateways())
    except StoreError:
        return "?"
    return f"{down} down" if down else ""


def pending_changes(request: HttpRequest) -> str:
    count = PendingChange.objects.count()
    return str(count) if count else ""
