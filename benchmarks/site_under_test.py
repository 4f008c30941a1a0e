"""What the benchmarks of the running site share: a logged-in session, Django beside it, and medians.

They measure a Patchbay that runs already (`./run` in another terminal) and find it through var/env."""

import os
import statistics
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def set_up() -> None:
    """Make the site's models importable, with the services of the running ./run."""
    sys.path.insert(0, str(ROOT))
    os.environ["DJANGO_SETTINGS_MODULE"] = "pbx.settings"
    import django

    django.setup()


class Session:
    """A browser's worth of HTTP: cookies and CSRF token. `address` like http://127.0.0.1:8000."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies), _Stay())

    def log_in_as_superuser(self) -> None:
        """Log in without knowing a password: a session made in the database, as after a log-in."""
        from django.conf import settings
        from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
        from django.contrib.sessions.backends.db import SessionStore

        user = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        self.opener.addheaders = [("Cookie", f"{settings.SESSION_COOKIE_NAME}={session.session_key}")]
        self.session_cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
        self.get("/agents/agent/add/")

    def get(self, path: str) -> str:
        with self.opener.open(self.address + path) as answer:
            return answer.read().decode()

    def post(self, path: str, **values: str) -> str:
        """Post a form as htmx does; returns the answer's text, or that of the page it leads to."""
        html, leads_to = self.post_only(path, **values)
        return self.get(leads_to) if leads_to else html

    def post_only(self, path: str, **values: str) -> tuple[str, str]:
        """The answer's own text, and where it leads to (a redirect) or ""."""
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        request = urllib.request.Request(
            self.address + path,
            urllib.parse.urlencode(values).encode(),
            {
                "Referer": self.address + path,
                "X-CSRFToken": token,
                "HX-Request": "true",
                "Cookie": f"{self.session_cookie}; csrftoken={token}",
            },
        )
        with self.opener.open(request) as answer:
            return answer.read().decode(), answer.headers.get("Location") or ""


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, too: it is timed by itself, and followed by hand."""

    def http_error_302(self, request: Any, answer: Any, *_: object) -> Any:
        return answer


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Return when the condition holds; ends the benchmark when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("Waited in vain: is ./run running, and the switch connected?")
        time.sleep(0.001)


def report(what: str, seconds: list[float]) -> None:
    """One line: median, 95th percentile and extremes in milliseconds."""
    ordered = sorted(value * 1000 for value in seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    print(
        f"{what:<58} median {statistics.median(ordered):7.1f} ms   p95 {p95:7.1f} ms   "
        f"min {ordered[0]:6.1f}   max {ordered[-1]:7.1f}   n={len(ordered)}"
    )
