"""The buttons that steer a live call, and what becomes of what they ask for."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from agents.access import for_people
from agents.models import Agent
from eslbridge.store import StoreError

from . import control, live
from .answers import home, key_of, said
from .callees import DialRefused
from .grouping import Call
from .models import Command
from .rendering import rows_of
from .verbs import Sides

NOT_KNOWN = "Redis does not answer, so what is live is not known."


@for_people
@require_POST
def press(request: HttpRequest, uuid: str, verb: str) -> HttpResponse:
    """Do something with a live call: one's own, or anybody's with the permission."""
    if verb not in control.VERBS:
        raise Http404(f"{verb[:20]} is nothing that can be done with a call.")
    try:
        call = control.find(uuid)
        if call is None:
            return said(request, "That call is over already.")
        value = request.POST.get("number") or request.POST.get("digits") or ""
        command = control.press(request.user, verb, call, value, key_of(request))
    except control.MayNot as refused:
        raise PermissionDenied(str(refused)) from None
    except DialRefused as refused:
        return said(request, str(refused), error=True)
    except StoreError:
        return said(request, NOT_KNOWN, error=True)
    if request.headers.get("HX-Request"):
        return render(request, "calls/_command.html", _shown(command))
    return redirect(home(request))


@for_people
@require_GET
def command_state(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What has become of a command, for the toast that follows it."""
    command = get_object_or_404(Command, pk=uuid, requested_by=request.user)
    control.give_up(command)
    command.refresh_from_db()
    return render(request, "calls/_command.html", _shown(command))


@for_people
@require_GET
def controls(request: HttpRequest, uuid: str) -> HttpResponse:
    """The buttons of one call, as it is now and for this user."""
    try:
        calls = live.active_calls()
    except StoreError:
        return said(request, NOT_KNOWN, error=True)
    call = control.find(uuid, calls)
    if call is None or not (control.is_own(request.user, call) or _may_see(request)):
        return render(request, "calls/_over.html")
    return render(
        request, "calls/_steer.html", {**shown_controls(request, call, calls), "row": rows_of([call])[0]}
    )


def _may_see(request: HttpRequest) -> bool:
    return request.user.has_perm("calls.view_active_calls")


def shown_controls(request: HttpRequest, call: Call, calls: list[Call]) -> dict[str, object]:
    """What `_verbs.html` shows of a call; `calls` are all that are live."""
    seen = control.seen_by(request.user, call, calls)
    words = {"{call}": f"{call.caller} and {call.callee}", "{agent}": seen.mine.user or "the agent"}
    buttons = []
    for name, verb in control.possible(request.user, seen):
        question = verb.question
        for mark, word in words.items():
            question = question.replace(mark, word)
        buttons.append({"name": name, "verb": verb, "question": question})
    agents = list(Agent.objects.active())
    return {"call": call, "buttons": buttons, "agents": agents, "seen": seen, **_people(seen, agents)}


def _people(seen: Sides, agents: list[Agent]) -> dict[str, str]:
    """Whom the call is with, by name where it is an agent: the one who talks and the one who waits."""
    names = {agent.extension: str(agent) for agent in agents}
    other, third = (leg.party if leg else "" for leg in (seen.other, seen.third))
    talks, waits = (third, other) if third else (other or seen.call.callee, "")
    return {"talks": names.get(talks, talks), "waits": names.get(waits, waits)}


def _shown(command: Command) -> dict[str, object]:
    return {
        "command": command,
        "words": control.in_words(command),
        "label": control.VERBS[command.verb].label,
    }
