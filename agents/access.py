"""Who is let in: staff, and whoever has a phone here."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import user_passes_test
from django.urls import reverse_lazy


def has_phone(user: Any) -> bool:
    """Whether an agent's phone is this user's."""
    return getattr(user, "agent", None) is not None


def is_let_in(user: Any) -> bool:
    """Whether the user may use the site at all."""
    return user.is_active and (user.is_staff or has_phone(user))


def for_people(view: Callable[..., Any]) -> Callable[..., Any]:
    """For staff and agents; everybody else is asked to log in."""
    return user_passes_test(is_let_in, login_url=reverse_lazy("admin:login"))(view)
