"""The numbers in the navigation. A badge that cannot be read is a question mark, not a zero."""

from django.http import HttpRequest

from calls.live import active_calls as live_calls
from eslbridge.models import PendingChange, Switch
from eslbridge.store import StoreError


def active_calls(request: HttpRequest) -> str:
    if not any(switch.is_connected for switch in Switch.objects.all()):
        return "?"
    try:
        return str(len(live_calls()))
    except StoreError:
        return "?"


def pending_changes(request: HttpRequest) -> str:
    count = PendingChange.objects.count()
    return str(count) if count else ""
