"""The routes' pages."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from agents.models import Agent
from eslbridge.admin import PublishedAdmin
from eslbridge.importing.admin import SpreadsheetAdmin

from .importing import InboundRouteResource
from .models import InboundRoute


@admin.register(InboundRoute)
class InboundRouteAdmin(SpreadsheetAdmin, PublishedAdmin):
    resource_classes = [InboundRouteResource]
    list_display = ["number", "description", "what_happens", "sync"]
    list_select_related = ["agent"]
    list_filter = ["is_active"]
    search_fields = ["did", "description", "agent__extension", "agent__name"]
    live_rows_url = "route_rows"
    change_form_outer_after_template = "routes/inbound_who_rings.html"
    readonly_fields = ["what_happens"]
    fieldsets = [
        ("Number", {"fields": ["did", "description", "is_active"]}),
        ("Destination", {"fields": ["agent"]}),
        ("On the switch", {"fields": ["what_happens", "sync", "rendered"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: InboundRoute | None = None):
        return self.fieldsets if obj else self.fieldsets[:2]

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.name == "agent":
            kwargs["queryset"] = Agent.objects.order_by("-is_active", "extension")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @display(description="DID", ordering="did")
    def number(self, route: InboundRoute) -> str:
        return str(route)

    @display(description="What happens")
    def what_happens(self, route: InboundRoute) -> SafeString:
        return format_html("{}", route.in_words)
