"""The agents' pages."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from eslbridge.admin import PublishedAdmin
from eslbridge.importing.admin import SpreadsheetAdmin
from eslbridge.models import Switch
from eslbridge.store import StoreError

from . import presence
from .importing import AgentResource
from .models import Agent
from .presence import Device


@dataclass(frozen=True)
class Phone:
    """What is known of an agent's phone; `state` is a word for the chip, `devices` what is registered."""

    state: str
    label: str
    devices: list[Device] = field(default_factory=list)


def phones_of(agents: Iterable[Agent], users: Collection[str] | None = None) -> dict[int, Phone]:
    """The phones of these agents by primary key. Not known is said, never shown as off. With their extensions
    as `users` only those users' devices are read."""
    agents = list(agents)
    if not any(switch.is_connected for switch in Switch.objects.all()):
        return {agent.pk: Phone("unknown", "Unknown: the switch is not connected") for agent in agents}
    try:
        devices = presence.registered(users)
    except StoreError:
        return {agent.pk: Phone("unknown", "Unknown: Redis does not answer") for agent in agents}
    return {agent.pk: _phone(agent, devices.get(agent.extension, [])) for agent in agents}


def _phone(agent: Agent, devices: list[Device]) -> Phone:
    if devices:
        return Phone("registered", "Registered", devices)
    return Phone("off", "Not registered" if agent.is_active else "Off")


@admin.register(Agent)
class AgentAdmin(SpreadsheetAdmin, PublishedAdmin):
    resource_classes = [AgentResource]
    secrets_permission = "agents.view_password"
    empty_sentence = "An agent is a person with a phone: an extension, a password, a caller ID."
    list_display = ["phone", "extension", "name", "user", "sync", "call"]
    list_display_links = ["extension", "name"]
    list_filter = ["is_active"]
    list_select_related = ["user"]
    search_fields = ["extension", "name", "user__username"]
    autocomplete_fields = ["user"]
    actions = ["rotate_passwords", "deactivate", "activate"]
    actions_detail = ["rotate_password"]
    live_rows_url = "agent_rows"
    readonly_fields = ["phone", "call", "credentials"]
    fieldsets = [
        ("Who", {"fields": ["extension", "name", "email", "user", "is_active"]}),
        ("On the switch", {"fields": ["sync", "phone", "call", "credentials", "rendered"]}),
        ("Caller ID", {"fields": ["caller_id_name", "caller_id_number", "outbound_caller_id"]}),
        (
            "Permissions",
            {"fields": ["may_call_local", "may_call_domestic", "may_call_international", "may_call_premium"]},
        ),
        ("Phone", {"fields": ["media", "button_rings", "call_group"]}),
        ("Voicemail", {"fields": ["voicemail_pin"]}),
    ]
    secret_fields = ("voicemail_pin", "password")

    def get_fieldsets(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        """Nothing about the switch before the first save; secrets only for who may see them."""
        hidden = set() if request.user.has_perm("agents.view_password") else {"credentials", "voicemail_pin"}
        shown = [each for each in self.fieldsets if obj or each[0] != "On the switch"]
        return [
            (title, {**options, "fields": fields})
            for title, options in shown
            if (fields := [name for name in options["fields"] if name not in hidden])
        ]

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "voicemail_pin":
            kwargs["widget"] = UnfoldAdminTextInputWidget(
                attrs={"inputmode": "numeric", "autocomplete": "off"}
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: Agent, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Says where the phone's settings are: they are what a new agent needs next."""
        response = super().response_add(request, obj, post_url_continue)
        if request.user.has_perm("agents.view_password") and "_popup" not in request.POST:
            page = reverse("admin:agents_agent_change", args=[obj.pk])
            said = 'Now set up the phone: user name, server and password are on <a href="{}">its page</a>.'
            self.message_user(request, format_html(said, page), messages.INFO)
        return response

    def prepare_rows(self, rows: list[Agent]) -> None:
        super().prepare_rows(rows)
        phones = phones_of(rows)
        for agent in rows:
            agent.phone = phones[agent.pk]

    @display(description="Phone")
    def phone(self, agent: Agent) -> SafeString:
        if not hasattr(agent, "phone"):
            self.prepare_rows([agent])
        return render_to_string("agents/_phone.html", {"agent": agent})

    @display(description="Call")
    def call(self, agent: Agent) -> SafeString:
        if not agent.is_active:
            return format_html("{}", "")
        return render_to_string("calls/_button.html", {"number": agent.extension, "label": str(agent)})

    @display(description="Phone settings")
    def credentials(self, agent: Agent) -> SafeString:
        switch = Switch.objects.first()
        server = (switch.domain if switch else settings.FS_DOMAIN) or "the address of the switch"
        return render_to_string("agents/_credentials.html", {"agent": agent, "server": server})

    @action(description="New passwords: the phones must be set up again", permissions=["rotate_password"])
    def rotate_passwords(self, request: HttpRequest, queryset: models.QuerySet[Agent]) -> None:
        with transaction.atomic():  # all or none, and one reload
            for agent in queryset:
                self._rotate(request, agent)
        self.message_user(
            request,
            "New passwords were made; the old registrations end as soon as the switch has them.",
            messages.SUCCESS,
        )

    @action(description="New password", permissions=["rotate_password"], icon="key")
    def rotate_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks first (GET), rotates on POST: a link must not change anything."""
        agent = get_object_or_404(Agent, pk=object_id)
        if request.method == "POST":
            self._rotate(request, agent)
            said = f"{agent} has a new password; the old registration ends as soon as the switch has it."
            self.message_user(request, said, messages.SUCCESS)
            return redirect("admin:agents_agent_change", object_id)
        context = {**self.admin_site.each_context(request), "title": "New password", "agent": agent}
        return render(request, "agents/rotate_password.html", {**context, "opts": self.model._meta})

    def has_rotate_password_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("agents.rotate_password")

    def _rotate(self, request: HttpRequest, agent: Agent) -> None:
        agent.rotate_password()
        self.log_change(request, agent, "New password.")

    @action(description="Deactivate: end their registrations and refuse their calls")
    def deactivate(self, request: HttpRequest, queryset: models.QuerySet[Agent]) -> None:
        with transaction.atomic():
            for agent in queryset.active():
                agent.deactivate()
                self.log_change(request, agent, "Deactivated.")
        self.message_user(request, "Deactivated.", messages.SUCCESS)

    @action(description="Activate")
    def activate(self, request: HttpRequest, queryset: models.QuerySet[Agent]) -> None:
        with transaction.atomic():
            for agent in queryset.filter(is_active=False):
                agent.activate()
                self.log_change(request, agent, "Activated.")
        self.message_user(request, "Activated.", messages.SUCCESS)
