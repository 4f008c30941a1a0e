"""Logging in: staff come to the dashboard, an agent without other rights comes to My phone."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from unfold.forms import AuthenticationForm

from agents.access import has_phone, is_let_in


class LoginForm(AuthenticationForm):
    """Lets in staff, and whoever has a phone here."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "no_rights": "This account has neither a phone here nor rights. "
        "Ask an administrator to choose you as the site user of an agent.",
    }

    def confirm_login_allowed(self, user: Any) -> None:
        if not user.is_active or not is_let_in(user):
            code = "no_rights" if user.is_active else "inactive"
            raise ValidationError(self.error_messages[code], code=code)


def login(request: HttpRequest) -> HttpResponse:
    """The admin's own page; an agent without staff rights is led to a page that is for agents."""
    if request.method == "GET" and _is_only_agent(request.user):
        return redirect(_for_agents(request.GET.get("next", "")))
    response = admin.site.login(request)
    if response.status_code == 302 and _is_only_agent(request.user):
        return redirect(_for_agents(response["Location"]))
    return response


def _is_only_agent(user: Any) -> bool:
    return user.is_authenticated and user.is_active and not user.is_staff and has_phone(user)


def _for_agents(address: str) -> str:
    """The address when it is a page for agents on this site, else My phone."""
    try:
        found = resolve(address.partition("?")[0])
    except Resolver404:
        return "my_phone"
    return address if found.url_name in {"dial", "my_phone"} else "my_phone"
