"""The JSON API: /api/docs describes it. Whoever is logged in may use it; requests that change something need
the CSRF token of the session, as forms do."""

from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.security import SessionAuth

from agents.access import is_let_in
from calls.api import router as calls


class LoggedIn(SessionAuth):
    """Staff, and whoever has a phone here."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        return request.user if is_let_in(request.user) else None


api = NinjaAPI(title="Patchbay", version="1", auth=LoggedIn(csrf=True), docs_decorator=None)
api.add_router("", calls)
