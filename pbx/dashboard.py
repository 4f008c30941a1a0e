"""The dashboard: is everything all right? Every number says when it is not known."""

import json
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone

from agents import presence
from agents.models import Agent
from calls.grouping import Call
from calls.legs import EARLY, RINGING
from calls.live import active_calls
from cdr.models import ANSWERED
from cdr.models import Call as Record
from eslbridge.models import PendingChange, Switch
from eslbridge.store import known
from routes.gateways import Gateway, all_gateways

# Fewer wrong passwords in an hour are a person who mistypes.
REFUSALS_WORTH_A_LOOK = 5


@dataclass(frozen=True)
class Tiles:
    """What the tiles show. None is “not known”, which is not zero."""

    switches: list[Switch]
    agents: int
    registered: int | None
    calling: int
    calls: list[Call] | None
    today: int
    answered: int
    missed: int
    pending: int
    store_is_down: bool
    gateways: list[Gateway] = field(default_factory=list)
    refusals: list[presence.Refusals] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        return any(switch.is_connected for switch in self.switches)

    @property
    def ringing(self) -> int:
        return sum(call.state in {RINGING, EARLY} for call in self.calls or [])

    @property
    def longest(self) -> float | None:
        return min((call.since for call in self.calls or []), default=None)

    @property
    def now(self) -> float:
        return time.time()

    @property
    def attention(self) -> list[tuple[str, str]]:
        """What somebody should look at: (sentence, page)."""
        found = [
            (switch.trouble, "admin:eslbridge_switch_changelist")
            for switch in self.switches
            if switch.trouble
        ]
        if not self.switches:
            found.append(("No switch is known yet: start its worker.", "admin:eslbridge_switch_changelist"))
        if self.store_is_down:
            found.append(("Redis does not answer: what is live is not known.", "admin:index"))
        down = [gateway.name for gateway in self.gateways if gateway.is_down]
        if down:
            found.append((f"Gateway down: {', '.join(down[:5])}", "gateways"))
        for one in self.refusals[:3]:
            if one.count >= REFUSALS_WORTH_A_LOOK:
                found.append(
                    (f"{one.count} refused registrations of {one.user} from {one.address}", "phones")
                )
        if self.pending:
            found.append(
                (
                    f"{self.pending} change{'s' if self.pending != 1 else ''} not on the switch yet",
                    "admin:eslbridge_pendingchange_changelist",
                )
            )
        return found


def tiles() -> Tiles:
    """Everything the dashboard's tiles show, in a constant number of queries."""
    active = set(Agent.objects.active().values_list("extension", flat=True))
    registered, calls, gateways, refusals = map(
        known, (presence.registered, active_calls, all_gateways, presence.refusals)
    )
    day = Record.objects.filter(start__gte=midnight()).aggregate(
        today=Count("pk"), answered=Count("pk", filter=ANSWERED)
    )
    return Tiles(
        switches=list(Switch.objects.all()),
        agents=len(active),
        registered=None if registered is None else len(active & set(registered)),
        calling=len(active & {user for call in calls or [] for user in call.users}),
        calls=calls,
        today=day["today"],
        answered=day["answered"],
        missed=day["today"] - day["answered"],
        pending=PendingChange.objects.count(),
        store_is_down=refusals is None,
        gateways=gateways or [],
        refusals=refusals or [],
    )


def midnight() -> datetime:
    """The beginning of today, on the site's clock."""
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def calls_by_hour() -> dict[str, list[object]]:
    """Answered and missed calls of each of the last 12 hours, for the chart; the running hour last."""
    now = timezone.localtime()
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=11)
    hours = [first + timedelta(hours=n) for n in range(12)]
    answered, missed = [0] * 12, [0] * 12
    records = Record.objects.filter(start__gte=first)
    for which, counted in ((records.answered(), answered), (records.missed(), missed)):
        for start in which.values_list("start", flat=True):
            index = int((start - first).total_seconds() // 3600)
            if 0 <= index < 12:
                counted[index] += 1
    return {"labels": [f"{hour:%H}:00" for hour in hours], "answered": answered, "missed": missed}


def context(request: HttpRequest, context: dict[str, object]) -> dict[str, object]:
    """unfold's hook for the index page."""
    by_hour = calls_by_hour()
    chart = {
        "labels": by_hour["labels"],
        "datasets": [
            {"label": "Answered", "data": by_hour["answered"], "backgroundColor": "var(--color-primary-600)"},
            {"label": "Missed", "data": by_hour["missed"], "backgroundColor": "var(--color-red-500)"},
        ],
    }
    count = {"stacked": True, "beginAtZero": True, "ticks": {"precision": 0}, "grid": {"display": True}}
    options = {
        "maintainAspectRatio": False,
        "scales": {"x": {"stacked": True, "grid": {"display": False}}, "y": count},
        "plugins": {"legend": {"display": True, "position": "bottom"}},
    }
    context.update(
        title="Dashboard",
        tiles=tiles(),
        chart=json.dumps(chart),
        chart_options=json.dumps(options),
    )
    return context
