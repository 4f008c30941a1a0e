"""The agents' pages."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from eslbridge.admin import PublishedAdmin
from eslbridge.models import Switch
from eslbridge.store import StoreError

from . import presence
from .models import Agent
from .presence import Device


@dataclass(frozen=True)
class Phone:
    """What is known of an agent's phone; `state` is a word for the chip, `devices` what is registered."""

    state: str
    label: str
    devices: list[Device] = field(default_factory=list)


def phones_of(agents: Iterable[Agent]) -> dict[int, Phone]:
    """The phones of these agents by primary key. Not known is said, never shown as off."""
    agents = list(agents)
    if not any(switch.is_connected for switch in Switch.objects.all()):
        return {agent.pk: Phone("unknown", "Unknown: the switch is not connected") for agent in agents}
    try:
        devices = presence.registered()
    except StoreError:
        return {agent.pk: Phone("unknown", "Unknown: Redis does not answer") for agent in agents}
    return {agent.pk: _phone(agent, devices.get(agent.extension, [])) for agent in agents}


def _phone(agent: Agent, devices: list[Device]) -> Phone:
    if devices:
        return Phone("registered", "Registered", devices)
    return Phone("off", "Not registered" if agent.is_active else "Off")


@admin.register(Agent)
class AgentAdmin(PublishedAdmin):
    list_display = ["phone", "extension", "name", "user", "sync", "call"]
    list_display_links = ["extension", "name"]
    list_filter = ["is_active"]
    list_select_related = ["user"]
    search_fields = ["extension", "name", "user__username"]
    autocomplete_fields = ["user"]
    actions = ["deactivate", "activate"]
    live_rows_url = "agent_rows"
    readonly_fields = ["phone", "credentials"]
    fieldsets = [
        ("Who", {"fields": ["extension", "name", "user", "is_active"]}),
        ("On the switch", {"fields": ["sync", "phone", "credentials", "rendered"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        return self.fieldsets if obj else self.fieldsets[:1]

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

    @display(description="")
    def call(self, agent: Agent) -> SafeString:
        if not agent.is_active:
            return format_html("{}", "")
        return render_to_string("calls/_button.html", {"number": agent.extension, "label": str(agent)})

    @display(description="Phone settings")
    def credentials(self, agent: Agent) -> SafeString:
        switch = Switch.objects.first()
        server = (switch.domain if switch else settings.FS_DOMAIN) or "the address of the switch"
        return render_to_string("agents/_credentials.html", {"agent": agent, "server": server})

    @action(description="Deactivate: end their registrations and refuse their calls")
    def deactivate(self, request: HttpRequest, queryset: models.QuerySet[Agent]) -> None:
        for agent in queryset.active():
            agent.deactivate()
        self.message_user(request, "Deactivated.", messages.SUCCESS)

    @action(description="Activate")
    def activate(self, request: HttpRequest, queryset: models.QuerySet[Agent]) -> None:
        for agent in queryset.filter(is_active=False):
            agent.is_active = True
            agent.save(update_fields=["is_active"])
        self.message_user(request, "Activated.", messages.SUCCESS)
