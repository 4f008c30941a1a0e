"""The call records' pages: facts, which nobody changes."""

from datetime import datetime, timedelta

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from unfold.decorators import display

from eslbridge.admin import ReadOnlyAdmin

from .models import Call, Leg


def _button(number: str) -> SafeString:
    return render_to_string("calls/_button.html", {"number": number, "label": number})


def _clock(moment: datetime | None) -> str:
    return localtime(moment).strftime("%H:%M:%S") if moment else "—"


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    list_display = [
        "started",
        "kind",
        "who",
        "whom",
        "outcome",
        "answered",
        "ended",
        "length",
        "billable",
        "cause",
    ]
    list_display_links = ["started"]
    empty_sentence = "No call has ended yet. Each one appears here when it is over."
    list_filter = ["kind", "hangup_cause", "gateway", "switch"]
    search_fields = ["caller", "caller_name", "callee", "reached", "uuid"]
    date_hierarchy = "start"
    fields = ["kind", "who", "whom", "started", "answered", "ended"]
    fields += ["duration", "billsec", "hangup_cause", "refused", "gateway", "switch", "uuid", "legs"]

    @display(description="Start", ordering="start")
    def started(self, call: Call) -> SafeString:
        text = localtime(call.start).strftime("%Y-%m-%d %H:%M:%S")
        return format_html('<span class="pb-time">{}</span>', text)

    @display(description="Answer", ordering="answer")
    def answered(self, call: Call) -> str:
        return _clock(call.answer)

    @display(description="End", ordering="end")
    def ended(self, call: Call) -> str:
        return _clock(call.end)

    @display(description="Caller", ordering="caller")
    def who(self, call: Call) -> SafeString:
        named = call.caller_name if call.caller_name != call.caller else ""
        name = format_html('<span class="pb-why">{}</span>', named)
        return format_html("{} {} {}", call.caller, name, _button(call.caller))

    @display(description="Callee", ordering="callee")
    def whom(self, call: Call) -> SafeString:
        whom = format_html("{} {}", call.callee, _button(call.callee))
        if call.reached in {"", call.callee}:
            return whom
        why = format_html('<span class="pb-why">→ {}</span>', call.reached)
        return format_html("{} {} {}", whom, why, _button(call.reached))

    @display(description="Duration", ordering="duration")
    def length(self, call: Call) -> str:
        return str(timedelta(seconds=call.duration))

    @display(description="Billable", ordering="billsec")
    def billable(self, call: Call) -> str:
        return str(timedelta(seconds=call.billsec))

    @display(description="Hang-up cause", ordering="hangup_cause")
    def cause(self, call: Call) -> SafeString:
        return format_html('{} <span class="pb-why">{}</span>', call.hangup_cause, call.refused)

    @display(description="Outcome", label={"answered": "success", "voicemail": "warning", "missed": "danger"})
    def outcome(self, call: Call) -> str:
        return call.outcome

    @display(description="Legs")
    def legs(self, call: Call) -> SafeString:
        legs = list(Leg.objects.filter(call=call.uuid).order_by("start"))
        for leg in legs:
            leg.call_button = _button(leg.user or (leg.caller if leg.is_a_leg else leg.destination))
        return render_to_string("cdr/_legs.html", {"legs": sorted(legs, key=lambda leg: not leg.is_a_leg)})
