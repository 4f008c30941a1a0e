"""An agent's own calls: the last ones, and those that were missed."""

from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from agents.access import for_people
from agents.models import Agent

from .models import VOICEMAIL, Call, Leg

SHOWN = 15
# Who looks at a missed call after a week does not call back any more.
MISSED_WITHIN = timedelta(days=7)


@for_people
@require_GET
def my_calls(request: HttpRequest) -> HttpResponse:
    """The own last calls and the missed ones, for the page My phone."""
    own = getattr(request.user, "agent", None)
    extension = own.extension if own else ""
    past = list(with_phone(extension)[:SHOWN])
    missed = list(missed_by(extension)[:SHOWN])
    numbers = {number for call in [*past, *missed] for number in (call.caller, call.callee)}
    names = dict(Agent.objects.filter(extension__in=numbers).values_list("extension", "name"))
    return render(
        request,
        "cdr/_my_calls.html",
        {"own": extension, "past": past, "missed": missed, "names": names},
    )


def with_phone(extension: str) -> QuerySet[Call]:
    """The calls in which this phone took part or was rung, newest first."""
    return Call.objects.filter(uuid__in=_legs(extension).values("call"))


def missed_by(extension: str) -> QuerySet[Call]:
    """The calls that rang this phone and were answered by nobody, or by a voicemail box, newest first."""
    rung = _legs(extension).exclude(uuid=F("call"))
    since = timezone.now() - MISSED_WITHIN
    unanswered = Call.objects.filter(Q(answer=None) | Q(reached=VOICEMAIL), start__gte=since)
    return unanswered.filter(uuid__in=rung.values("call")).exclude(caller=extension)


def _legs(extension: str) -> QuerySet[Leg]:
    return Leg.objects.filter(user=extension) if extension else Leg.objects.none()
