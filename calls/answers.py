"""How a button is answered: as a toast on the page that has it, or as a message after a form."""

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render


def said(request: HttpRequest, text: str, *, error: bool = False) -> HttpResponse:
    """A sentence: as a toast for a button, as a message for a form."""
    if request.headers.get("HX-Request"):
        return render(request, "pbx/_said.html", {"text": text, "error": error})
    messages.add_message(request, messages.ERROR if error else messages.INFO, text)
    return redirect(home(request))


def shell(request: HttpRequest) -> dict[str, object]:
    """What the admin's frame needs, also around the pages of agents without staff rights: it leaves its
    header out for who may not see the admin's own pages."""
    return {
        **admin.site.each_context(request),
        "has_permission": True,
        "sidebar_navigation": admin.site.get_sidebar_list(request),
    }


def home(request: HttpRequest) -> str:
    """The page to which a form of this user leads: agents without other rights have their own."""
    may_see_all = request.user.is_staff and request.user.has_perm("calls.view_active_calls")
    return "active_calls" if may_see_all else "my_phone"


def key_of(request: HttpRequest) -> str | None:
    """The Idempotency-Key that came with the request, as a header or as a field of the form."""
    key = request.headers.get("Idempotency-Key") or request.POST.get("idempotency_key", "")
    return key[:80] or None
