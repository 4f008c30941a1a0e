"""The JSON API: /api/v1/docs describes it. It is used with an API token, or by whoever is logged in; what a
browser changes with it needs the CSRF token of the session, as forms do."""

import logging
import threading
import time
from collections import Counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError
from ninja.security import HttpBearer, SessionAuth

from agents.access import is_let_in
from calls.api import router as calls
from eslbridge.text import printable

from .models import ApiToken, TokenRefused

log = logging.getLogger(__name__)

HOW = "Send “Authorization: Bearer <token>” with an API token (made under Site → API tokens), or log in."
NO_CSRF = (
    "A logged-in browser must send its CSRF token in X-CSRFToken. Programs use an API token, without it."
)
NO_RIGHTS = "This token's user may not use the site: it is inactive, or has neither a phone here nor rights."


class Refusals:
    """Counts the refused tokens of each address, and tells of the first, tenth, hundredth … of a minute."""

    MINUTE = 60.0  # seconds
    MOST = 1000  # addresses that are remembered; beyond them all count as one

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since = 0.0
        self._lock = threading.Lock()

    def note(self, address: str, why: str) -> None:
        with self._lock:
            if time.monotonic() - self._since > self.MINUTE:
                self._counts.clear()
                self._since = time.monotonic()
            who = address if address in self._counts or len(self._counts) < self.MOST else "other addresses"
            self._counts[who] += 1
            count = self._counts[who]
        if str(count).strip("0") == "1":
            log.warning("API tokens refused to %s within a minute: %s. The last one: %s", who, count, why)


refusals = Refusals()


class Token(HttpBearer):
    """A program with an API token has the rights of the token's user."""

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        try:
            user = ApiToken.objects.presented(token).user
            if not is_let_in(user):
                raise TokenRefused(NO_RIGHTS)
        except TokenRefused as refused:
            refusals.note(printable(request.META.get("REMOTE_ADDR", ""), 64), str(refused))
            raise AuthenticationError(message=str(refused)) from None
        request.user = user
        return user


class LoggedIn(SessionAuth):
    """Staff, and whoever has a phone here."""

    def __call__(self, request: HttpRequest) -> Any:
        if not is_let_in(request.user):
            return None
        try:
            return super().__call__(request)
        except HttpError:
            raise HttpError(403, NO_CSRF) from None

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        return request.user


api = NinjaAPI(title="Patchbay", version="1", auth=[Token(), LoggedIn(csrf=True)], docs_decorator=None)
api.add_router("", calls)


@api.exception_handler(AuthenticationError)
def not_let_in(request: HttpRequest, refused: AuthenticationError) -> HttpResponse:
    """Who is not known is told how to come in."""
    why = HOW if refused.message == "Unauthorized" else refused.message
    response = api.create_response(request, {"detail": why}, status=401)
    response["WWW-Authenticate"] = "Bearer"
    return response
