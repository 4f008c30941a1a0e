"""The call records' pages: facts, which nobody changes."""

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.decorators import display

from eslbridge.admin import ReadOnlyAdmin

from .models import Call, Leg


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    list_display = [
        "start",
        "kind",
        "caller",
        "callee",
        "reached",
        "outcome",
        "answer",
        "end",
        "duration",
        "billsec",
    ]
    list_display += ["hangup_cause"]
    list_filter = ["kind", "hangup_cause", "switch"]
    search_fields = ["caller", "caller_name", "callee", "reached", "uuid"]
    date_hierarchy = "start"
    fields = [
        "kind",
        "caller",
        "caller_name",
        "callee",
        "reached",
        "start",
        "answer",
        "end",
        "duration",
        "billsec",
    ]
    fields += ["hangup_cause", "switch", "uuid", "legs"]

    @display(description="Outcome", label={"answered": "success", "missed": "danger"})
    def outcome(self, call: Call) -> str:
        return "answered" if call.was_answered else "missed"

    @display(description="Legs")
    def legs(self, call: Call) -> SafeString:
        legs = Leg.objects.filter(call=call.uuid).order_by("start")
        return render_to_string("cdr/_legs.html", {"legs": sorted(legs, key=lambda leg: not leg.is_a_leg)})
