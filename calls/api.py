"""The JSON API of calls: dialling, what is live, and the same verbs as the buttons."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Header, Router, Schema, Status
from ninja.errors import HttpError

from agents.models import Agent
from eslbridge.store import StoreError

from . import control, dialling, live
from .callees import DialRefused
from .control_views import NOT_KNOWN
from .grouping import Call
from .models import Command, Dial
from .verbs import VERBS

router = Router(tags=["calls"])
KEY = Header(None, alias="Idempotency-Key", max_length=80)


class Refusal(Schema):
    """Why nothing was done, and what to do."""

    detail: str


class DialIn(Schema):
    number: str = Field(description="A telephone number, an extension, or an agent's name.", max_length=100)
    extension: str = Field("", description="The phone that rings first; empty: your own.", max_length=6)


class DialOut(Schema):
    id: UUID
    extension: str
    number: str
    state: str
    cause: str
    created_at: datetime
    ended_at: datetime | None


class LegOut(Schema):
    uuid: str
    party: str
    state: str
    user: str


class CallOut(Schema):
    uuid: str
    switch: str
    caller: str
    callee: str
    state: str
    since: float = Field(description="Seconds since 1970, UTC.")
    legs: list[LegOut]
    verbs: list[str] = Field(description="What you may do with it now.")


class VerbIn(Schema):
    number: str = Field("", description="For transfer and consult: as for a dial.")
    digits: str = Field("", description="For digits.")


class CommandOut(Schema):
    id: UUID
    verb: str
    state: str
    words: str

    @staticmethod
    def resolve_words(command: Command) -> str:
        return control.in_words(command)


ANSWERS = {409: Refusal, 503: Refusal}


@router.post("/dials", response={201: DialOut, **ANSWERS}, summary="Ring a phone, then the number")
def dial(request: HttpRequest, wish: DialIn, key: str | None = KEY) -> Status[Any]:
    """Asked for again with the same Idempotency-Key it is the same call."""
    try:
        return Status(201, dialling.dial(_phone(request, wish.extension), wish.number, request.user, key))
    except DialRefused as refused:
        return Status(409, {"detail": str(refused)})


@router.get("/dials/{id}", response=DialOut, summary="What has become of a dial")
def get_dial(request: HttpRequest, id: UUID) -> Dial:
    dialling.give_up_unsent(Dial.objects.filter(pk=id))
    return get_object_or_404(Dial, pk=id, requested_by=request.user)


@router.delete("/dials/{id}", response={202: None, **ANSWERS}, summary="Cancel or hang up a dial")
def end_dial(request: HttpRequest, id: UUID) -> Status[Any]:
    try:
        dialling.cancel(get_object_or_404(Dial, pk=id, requested_by=request.user))
    except DialRefused as refused:
        return Status(409, {"detail": str(refused)})
    return Status(202, None)


@router.get("/calls", response={200: list[CallOut], **ANSWERS}, summary="Live calls: one's own, or all")
def calls(request: HttpRequest) -> Status[Any]:
    try:
        alive = live.active_calls()
    except StoreError:
        return Status(503, {"detail": NOT_KNOWN})
    sees_all = request.user.has_perm("calls.view_active_calls")
    seen = [call for call in alive if sees_all or control.is_own(request.user, call)]
    return Status(200, [_call(request, call, alive) for call in seen])


@router.post("/calls/{uuid}/{verb}", response={202: CommandOut, **ANSWERS}, summary="Steer a call")
def do(
    request: HttpRequest, uuid: str, verb: str, wish: VerbIn | None = None, key: str | None = KEY
) -> Status[Any]:
    """`verb` is one of those that the call lists. It is done when the command's state says so."""
    if verb not in VERBS:
        raise HttpError(404, f"There is no verb {verb[:20]}: {', '.join(VERBS)}.")
    try:
        call = control.find(uuid)
        if call is None:
            raise HttpError(404, "That call is over already.")
        value = (wish.number or wish.digits) if wish else ""
        return Status(202, control.press(request.user, verb, call, value, key))
    except control.MayNot as refused:
        raise HttpError(403, str(refused)) from None
    except DialRefused as refused:
        return Status(409, {"detail": str(refused)})
    except StoreError:
        return Status(503, {"detail": NOT_KNOWN})


@router.get("/commands/{id}", response=CommandOut, summary="What has become of a command")
def get_command(request: HttpRequest, id: UUID) -> Command:
    command = get_object_or_404(Command, pk=id, requested_by=request.user)
    control.give_up(command)
    command.refresh_from_db()
    return command


def _phone(request: HttpRequest, extension: str) -> Agent:
    own = getattr(request.user, "agent", None)
    if own and extension in {"", own.extension}:
        return own
    if not extension:
        raise DialRefused("You have no phone here: name the extension whose phone is to ring.")
    if not request.user.has_perm("calls.dial_for_others"):
        raise HttpError(403, "You may not make another agent's phone dial.")
    agent = Agent.objects.filter(extension=extension).first()
    if agent is None:
        raise DialRefused(f"There is no agent {extension}.")
    return agent


def _call(request: HttpRequest, call: Call, alive: list[Call]) -> dict[str, Any]:
    verbs = control.possible(request.user, control.seen_by(request.user, call, alive))
    return {
        "uuid": call.uuid,
        "switch": call.a_leg.switch,
        "caller": call.caller,
        "callee": call.callee,
        "state": call.state,
        "since": call.since,
        "legs": call.legs,
        "verbs": [name for name, _ in verbs],
    }
