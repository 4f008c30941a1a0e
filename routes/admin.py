"""The pages of routing."""

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display

from agents.numbers import in_words
from eslbridge.admin import PublishedAdmin
from eslbridge.editing import CarefulAdmin
from eslbridge.importing.admin import SpreadsheetAdmin
from eslbridge.store import known

from . import carriers
from .calendars import add_holidays
from .destinations import told
from .forms import UnderstoodNumber
from .gateways import all_gateways, calls_now
from .hours_forms import BusinessHoursForm, CloseForm
from .importing import GatewayResource, InboundRouteResource, OutboundRouteResource, RingGroupResource
from .models import BusinessHours, Gateway, Holiday, InboundRoute, OutboundRoute, RingGroup
from .zones import ADVICE, rules_on_disk, what_is_wrong


def week_strip(hours: BusinessHours) -> SafeString:
    """The hours of each day as a strip."""
    week = hours.week()
    said = "; ".join(f"{day}: {getattr(hours, day.lower()) or 'closed'}" for day, _ in week)
    today = timezone.localtime(timezone=ZoneInfo(hours.time_zone)).date()
    coming = [str(each) for each in hours.holidays.all() if each.date >= today]
    context = {
        "days": [(day, [(first, last - first) for first, last in ranges]) for day, ranges in week],
        "label": said,
        "hours": hours,
        "holidays": ", ".join(coming[:5]) + (f" and {len(coming) - 5} more days" if len(coming) > 5 else ""),
    }
    return render_to_string("routes/_week.html", context)


def _call_button(number: str, whose: models.Model) -> SafeString:
    return render_to_string("calls/_button.html", {"number": number, "label": str(whose)})


class PointingAdmin(SpreadsheetAdmin, PublishedAdmin):
    """A published model with destinations: what they lead to is fetched once for a page."""

    change_form_before_template = "routes/_destinations.html"
    change_form_outer_after_template = "routes/_asked.html"

    def prepare_rows(self, rows: list[Any]) -> None:
        self.model.fetch_targets(rows)
        super().prepare_rows(rows)


@admin.register(InboundRoute)
class InboundRouteAdmin(PointingAdmin):
    resource_classes = [InboundRouteResource]
    empty_sentence = "An inbound route says who rings when somebody calls one of your numbers (a DID)."
    list_display = ["number", "description", "what_happens", "sync", "call"]
    list_select_related = ["hours"]
    list_filter = ["is_active", "hours"]
    search_fields = ["did", "description"]
    live_rows_url = "route_rows"
    readonly_fields = ["call", "what_happens", "what_happens_now", "week"]
    fieldsets = [
        ("Number", {"fields": ["did", "description", "is_active"]}),
        (
            "Where calls go",
            {"fields": ["destination", "ring_seconds", "unanswered_destination", "busy_destination"]},
        ),
        ("Business hours", {"fields": ["hours", "closed_destination"]}),
        ("On the switch", {"fields": ["what_happens", "call", "sync", "rendered"]}),
    ]
    # What only a route that there is has, and what only one with business hours has.
    with_hours = ("Now", {"fields": ["what_happens_now", "week"]})

    def get_fieldsets(self, request: HttpRequest, obj: InboundRoute | None = None):
        if obj is None:
            return self.fieldsets[:3]
        return [*self.fieldsets[:3], self.with_hours, self.fieldsets[3]] if obj.hours else self.fieldsets

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "did":
            kwargs["widget"] = UnderstoodNumber({"placeholder": "+1 949 543 1333, (949) 543-1333"})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @display(description="DID", ordering="did")
    def number(self, route: InboundRoute) -> str:
        return str(route)

    @display(description="Call")
    def call(self, route: InboundRoute) -> SafeString:
        return _call_button(route.did, route) if route.is_active else SafeString()

    @display(description="What happens")
    def what_happens(self, route: InboundRoute) -> SafeString:
        return format_html("{}", route.in_words)

    @display(description="What happens now")
    def what_happens_now(self, route: InboundRoute) -> SafeString:
        return format_html("{}", route.now_in_words)

    @display(description="Week")
    def week(self, route: InboundRoute) -> SafeString:
        return week_strip(route.hours)


@admin.register(RingGroup)
class RingGroupAdmin(PointingAdmin):
    resource_classes = [RingGroupResource]
    empty_sentence = "A ring group rings several agents under one extension, at once or one after another."
    list_display = ["extension", "name", "who", "strategy", "after", "sync", "call"]
    list_display_links = ["extension", "name"]
    list_filter = ["is_active", "strategy"]
    search_fields = ["extension", "name"]
    live_rows_url = "group_rows"
    readonly_fields = ["call"]
    fieldsets = [
        ("Group", {"fields": ["extension", "name", "is_active"]}),
        (
            "Whom it rings",
            {"fields": ["members", "strategy", "ring_seconds", "total_seconds", "skips_busy", "prefix"]},
        ),
        ("Then", {"fields": ["then"]}),
        ("On the switch", {"fields": ["call", "sync", "rendered"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: RingGroup | None = None):
        return self.fieldsets if obj else self.fieldsets[:3]

    @display(description="Members")
    def who(self, group: RingGroup) -> str:
        names = [str(group.target(each) or in_words(each.target)) for each in group.members]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more

    @display(description="Call")
    def call(self, group: RingGroup) -> SafeString:
        return _call_button(group.extension, group) if group.is_active else SafeString()

    @display(description="Then")
    def after(self, group: RingGroup) -> str:
        return told(group.then, group.targets)


@admin.register(Gateway)
class GatewayAdmin(SpreadsheetAdmin, PublishedAdmin):
    resource_classes = [GatewayResource]
    secrets_permission = "routes.view_gateway_password"
    empty_sentence = "A gateway is a SIP trunk to a carrier: calls to and from numbers outside go through it."
    list_display = ["name", "description", "proxy", "live_state", "calls", "sync"]
    list_filter = ["is_active", "registers"]
    search_fields = ["name", "description", "proxy", "username"]
    secret_fields = ("password",)
    live_rows_url = "gateway_rows"
    list_before_template = "routes/_all_gateways.html"
    readonly_fields = ["live_state"]
    change_form_before_template = "routes/_carriers.html"
    fieldsets = [
        ("Gateway", {"fields": ["name", "description", "is_active", "profile"]}),
        (
            "Carrier",
            {
                "fields": [
                    "proxy",
                    "outbound_proxy",
                    "transport",
                    "registers",
                    "username",
                    "password",
                    "realm",
                    "from_domain",
                ]
            },
        ),
        (
            "Calls",
            {"fields": ["codecs", "caller_id_in_from", "caller_id_header", "most_calls", "ping_seconds"]},
        ),
        ("On the switch", {"fields": ["live_state", "sync", "rendered"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Gateway | None = None):
        return self.fieldsets if obj else self.fieldsets[:3]

    def get_form(
        self, request: HttpRequest, obj: Gateway | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        from .gateway_forms import GatewayForm

        return super().get_form(request, obj, change, **{**kwargs, "form": GatewayForm})

    def get_readonly_fields(self, request: HttpRequest, obj: Gateway | None = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *(["name"] if obj else [])]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"carriers": carriers.CARRIERS, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def prepare_rows(self, rows: list[Gateway]) -> None:
        super().prepare_rows(rows)
        running, calls = known(all_gateways), known(calls_now)
        for row in rows:
            row.calls_now = None if calls is None else calls[row.name]
            row.live = None if running is None else [each for each in running if each.name == row.name]

    @display(description="State")
    def live_state(self, gateway: Gateway) -> SafeString:
        if not gateway.pk:
            return format_html("{}", "Shown after saving.")
        if not hasattr(gateway, "live"):
            self.prepare_rows([gateway])
        return render_to_string("routes/_gateway_state.html", {"gateway": gateway})

    @display(description="Calls now")
    def calls(self, gateway: Gateway) -> str:
        if gateway.calls_now is None:
            return "not known"
        limit = f" of {gateway.most_calls}" if gateway.most_calls else ""
        return f"{gateway.calls_now}{limit}"


@admin.register(OutboundRoute)
class OutboundRouteAdmin(SpreadsheetAdmin, PublishedAdmin):
    resource_classes = [OutboundRouteResource]
    empty_sentence = "An outbound route says through which gateways numbers outside are called."
    list_display = ["order", "name", "numbers", "toll_class", "ways", "sync"]
    list_display_links = ["order", "name"]
    list_filter = ["is_active", "toll_class"]
    list_select_related = ["gateway", "second_gateway", "third_gateway", "hours"]
    search_fields = ["name", "prefixes", "countries"]
    autocomplete_fields = ["gateway", "second_gateway", "third_gateway"]
    live_rows_url = "outbound_rows"
    change_form_outer_after_template = "routes/_asked.html"
    conditional_fields = {
        "prefixes": "match == 'prefix'",
        "range_first": "match == 'range'",
        "range_last": "match == 'range'",
        "countries": "match == 'region'",
        "shortest": "match != 'range'",
        "longest": "match != 'range'",
        "caller_id_number": "caller_id == 'route'",
    }
    readonly_fields = ["example"]
    fieldsets = [
        ("Route", {"fields": ["order", "name", "is_active"]}),
        (
            "Which numbers",
            {
                "fields": [
                    "match",
                    "prefixes",
                    "range_first",
                    "range_last",
                    "countries",
                    "shortest",
                    "longest",
                ]
            },
        ),
        ("Who may use it", {"fields": ["toll_class", "call_groups", "hours"]}),
        (
            "How calls go out",
            {
                "fields": [
                    "gateway",
                    "second_gateway",
                    "third_gateway",
                    "failover",
                    "strip",
                    "prepend",
                    "example",
                    "caller_id",
                    "caller_id_number",
                ]
            },
        ),
        ("On the switch", {"fields": ["sync", "rendered"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: OutboundRoute | None = None):
        return self.fieldsets if obj else self.fieldsets[:4]

    @display(description="Numbers")
    def numbers(self, route: OutboundRoute) -> str:
        return route.numbers_in_words

    @display(description="Gateways")
    def ways(self, route: OutboundRoute) -> str:
        return ", then ".join(gateway.name for gateway in route.gateways) or "none active"

    @display(description="For example")
    def example(self, route: OutboundRoute) -> SafeString:
        return render_to_string("routes/_example.html", {"route": route})


class HolidayInline(TabularInline):
    model = Holiday
    extra = 0


@admin.register(BusinessHours)
class BusinessHoursAdmin(CarefulAdmin):
    form = BusinessHoursForm
    empty_sentence = "Business hours say when calls ring as usual, and when routes send them elsewhere."
    list_display = ["name", "now", "time_zone", "used_by"]
    search_fields = ["name"]
    inlines = [HolidayInline]
    actions_detail = ["close_now"]
    fieldsets = [
        (
            "Hours",
            {
                "fields": [
                    "name",
                    "time_zone",
                    "monday",
                    "tuesday",
                    "wednesday",
                    "thursday",
                    "friday",
                    "saturday",
                    "sunday",
                ]
            },
        ),
        ("Exceptions", {"fields": ["closed_until", "calendar"]}),
        ("Week", {"fields": ["now", "week"]}),
    ]
    readonly_fields = ["now", "week"]

    def get_fieldsets(self, request: HttpRequest, obj: BusinessHours | None = None):
        return self.fieldsets if obj else self.fieldsets[:2]

    @display(description="Week")
    def week(self, hours: BusinessHours) -> SafeString:
        return week_strip(hours)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[BusinessHours]:
        return super().get_queryset(request).prefetch_related("inbound_routes", "outbound_routes", "holidays")

    @display(description="Now", label={"open": "success", "closed by hand": "warning"})
    def now(self, hours: BusinessHours) -> str:
        return hours.state_now

    @display(description="Used by")
    def used_by(self, hours: BusinessHours) -> str:
        names = [str(route) for route in (*hours.inbound_routes.all(), *hours.outbound_routes.all())]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        hours = form.instance
        if wrong := what_is_wrong(hours.time_zone, rules_on_disk()):
            self.message_user(request, f"{hours.time_zone} {wrong}. {ADVICE}", messages.WARNING)
        if events := form.cleaned_data.get("calendar"):
            added = add_holidays(form.instance, events)
            self.message_user(request, f"{added} holidays were added from the calendar.", messages.SUCCESS)

    @action(description="Closed now…", permissions=["close_now"], icon="door_front")
    def close_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks until when (GET), closes or opens on POST."""
        hours = self.get_object(request, object_id)
        form = CloseForm(request.POST or None, hours=hours)
        if request.method == "POST" and form.is_valid():
            hours.close_until(form.moment)
            said = (
                f"{hours} is closed until {form.moment_in_words}."
                if form.moment
                else f"{hours} follows its hours again."
            )
            self.log_change(request, hours, said)
            self.message_user(request, said, messages.SUCCESS)
            return redirect("admin:routes_businesshours_change", object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Close {hours}",
            "hours": hours,
            "form": form,
        }
        from django.shortcuts import render

        return render(request, "routes/close_now.html", {**context, "opts": self.model._meta})

    def has_close_now_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("routes.close_now") or self.has_change_permission(request, obj)
