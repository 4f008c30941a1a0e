"""Call records: a row a leg as the switch reported it, and a row a call made from its legs.

They hold values, not references: history outlives the agents in it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

# PostgreSQL's number of the lock under which legs are put together to calls.
_LOCK = 0x50425F434452
VOICEMAIL = "voicemail"
ANSWERED = models.Q(answer__isnull=False) & ~models.Q(reached=VOICEMAIL)


class CallQuerySet(models.QuerySet["Call"]):
    def answered(self) -> "CallQuerySet":
        """By a person: voicemail is what a call reaches that nobody answers."""
        return self.filter(ANSWERED)

    def missed(self) -> "CallQuerySet":
        return self.exclude(ANSWERED)


class Call(models.Model):
    """What people mean by a call. Everything here is derived from the legs and can be derived again."""

    class Kind(models.TextChoices):
        INBOUND = "inbound", "inbound"
        INTERNAL = "internal", "internal"
        OUTBOUND = "outbound", "outbound"
        CLICK_TO_DIAL = "click_to_dial", "click-to-dial"

    uuid = models.UUIDField("call UUID", primary_key=True, help_text="The UUID of its A-leg.")
    switch = models.CharField(max_length=50)
    kind = models.CharField(max_length=16, choices=Kind)
    caller = models.CharField(max_length=80, db_index=True)
    caller_name = models.CharField(max_length=120, blank=True)
    callee = models.CharField(max_length=80, db_index=True)
    reached = models.CharField(
        max_length=80, blank=True, help_text="The phone that answered, or “voicemail”."
    )
    start = models.DateTimeField(db_index=True)
    answer = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField()
    duration = models.PositiveIntegerField(help_text="Seconds from start to end.")
    billsec = models.PositiveIntegerField("billable seconds", help_text="Seconds from answer to end.")
    hangup_cause = models.CharField(max_length=60)
    gateway = models.CharField(max_length=80, blank=True, help_text="By which it went out or came in.")
    refused = models.CharField(
        max_length=80, blank=True, help_text="Why the dialplan did not let it out, in words."
    )

    objects = CallQuerySet.as_manager()

    class Meta:
        ordering = ["-start"]

    def __str__(self) -> str:
        return f"{self.caller} → {self.callee}"

    @property
    def was_answered(self) -> bool:
        """By a person. When voicemail answered, `answer` and `billsec` tell of that."""
        return self.answer is not None and self.reached != VOICEMAIL

    @property
    def outcome(self) -> str:
        if self.was_answered:
            return "answered"
        return VOICEMAIL if self.answer else "missed"


class Leg(models.Model):
    """One channel from its creation to its end, as the switch reported it. Times are UTC."""

    uuid = models.UUIDField("leg UUID", primary_key=True)
    call = models.UUIDField("call UUID", db_index=True)
    switch = models.CharField(max_length=50)
    direction = models.CharField(max_length=10)
    originator = models.UUIDField(null=True, blank=True)
    other = models.UUIDField("other leg", null=True, blank=True)
    caller = models.CharField(max_length=80)
    caller_name = models.CharField(max_length=120, blank=True)
    destination = models.CharField(max_length=80)
    did = models.CharField("DID", max_length=33, blank=True)
    dialled = models.CharField(max_length=33, blank=True)
    user = models.CharField(max_length=64, blank=True)
    channel = models.CharField(max_length=120, blank=True)
    application = models.CharField("last application", max_length=40, blank=True)
    start = models.DateTimeField()
    answer = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField()
    duration = models.PositiveIntegerField()
    billsec = models.PositiveIntegerField("billable seconds")
    hangup_cause = models.CharField(max_length=60)
    disposition = models.CharField("ended by", max_length=30, blank=True)
    gateway = models.CharField(max_length=80, blank=True)
    refused = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["start"]
        indexes = [models.Index(fields=["user", "-start"])]

    def __str__(self) -> str:
        return f"{self.direction} leg {self.uuid}"

    @property
    def is_a_leg(self) -> bool:
        return self.uuid == self.call

    @property
    def is_phone(self) -> bool:
        """Not half of a loopback pair, by which the switch calls itself (vanilla reaches voicemail so)."""
        return not self.channel.startswith("loopback/")


def seconds(start: datetime | None, end: datetime) -> int:
    """Whole seconds between two instants as the switch counts `duration` and `billsec`; 0 without a start.

    It takes the difference of the two clock seconds, so that 0.4 s can be 1; people compare our figures with
    the switch's own. A clock that was set back gives 0.
    """
    return 0 if start is None else max(0, int(end.timestamp()) - int(start.timestamp()))


def record(legs: Iterable[dict[str, Any]]) -> int:
    """Store finished legs (field values of Leg without `call`) and derive their calls again.

    Idempotent by UUID: the same leg may come from an event, from the switch's file, twice, in any order, from
    several workers at once. Returns how many were new. A constant number of queries.
    """
    told: dict[UUID, dict[str, Any]] = {}
    for values in legs:
        told.setdefault(values["uuid"], values)
    if not told:
        return 0
    with transaction.atomic():
        _one_at_a_time()
        known = Leg.objects.filter(uuid__in=told).values_list("uuid", flat=True)
        fresh = {uuid: told[uuid] for uuid in told.keys() - set(known)}
        derive(_put_together(fresh))
    return len(fresh)


def _one_at_a_time() -> None:
    """Until the transaction ends. Two workers that each store one leg of a call would not see the other's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _put_together(fresh: dict[UUID, dict[str, Any]]) -> set[UUID]:
    """Store legs, each with the call that it belongs to. Returns the calls whose legs have changed.

    A leg belongs to its originator's call, else it begins one; what the call UUID says at its end cannot be
    trusted. Legs that were reported before the one that made them took that one for their call.
    """
    origins = {values["originator"] for values in fresh.values()} - fresh.keys() - {None}
    of_origin = dict(Leg.objects.filter(uuid__in=origins).values_list("uuid", "call"))
    calls = {uuid: _call_of(uuid, fresh, of_origin) for uuid in fresh}
    Leg.objects.bulk_create(Leg(**values, call=calls[uuid]) for uuid, values in fresh.items())
    changed = set(calls.values())
    orphans = Leg.objects.filter(call__in=[uuid for uuid, call in calls.items() if call != uuid])
    for mistaken in set(orphans.values_list("call", flat=True)):
        Leg.objects.filter(call=mistaken).update(call=calls[mistaken])
        changed.add(mistaken)
    return changed


def _call_of(uuid: UUID, fresh: dict[UUID, dict[str, Any]], of_origin: dict[UUID, UUID]) -> UUID:
    seen = {uuid}
    while (values := fresh.get(uuid)) and (origin := values["originator"]) and origin not in seen:
        seen.add(origin)
        uuid = origin
    return of_origin.get(uuid, uuid)


def derive(calls: Collection[UUID]) -> None:
    """Make the rows of calls from their legs again, and take away those that have no leg left."""
    legs: dict[UUID, list[Leg]] = defaultdict(list)
    for leg in Leg.objects.filter(call__in=calls).order_by("start", "uuid"):
        legs[leg.call].append(leg)
    Call.objects.filter(uuid__in=set(calls) - legs.keys()).delete()
    rows = [Call(uuid=call, **_derived(sorted(found, key=_a_leg_first))) for call, found in legs.items()]
    derived = [field.name for field in Call._meta.fields if not field.primary_key]
    Call.objects.bulk_create(rows, update_conflicts=True, unique_fields=["uuid"], update_fields=derived)


def _a_leg_first(leg: Leg) -> tuple[bool, bool, bool]:
    """Where several devices rang for one dial no leg has the call's UUID: first is who answered."""
    return not leg.is_a_leg, not leg.dialled, leg.answer is None


def _derived(legs: list[Leg]) -> dict[str, Any]:
    """The values of a call from its legs, the A-leg first."""
    a_leg, b_legs = legs[0], [leg for leg in legs[1:] if leg.is_phone and not leg.dialled]
    reached = next((leg for leg in b_legs if leg.answer), None)
    start, end = min(leg.start for leg in legs), max(leg.end for leg in legs)
    answer = _answer(a_leg, reached)
    did = "" if a_leg.user else next((leg.did for leg in legs if leg.did), "")
    was_called_by_switch = a_leg.direction == "outbound" and (bool(a_leg.dialled) or a_leg.originator is None)
    return {
        "switch": a_leg.switch,
        "kind": _kind(a_leg, b_legs, did),
        "caller": (was_called_by_switch and a_leg.user) or a_leg.caller,
        "caller_name": "" if was_called_by_switch else a_leg.caller_name,
        "callee": a_leg.dialled or did or _dialled_by(a_leg, reached, b_legs),
        "reached": (reached.user or reached.destination) if reached else _machine(legs),
        "start": start,
        "answer": answer,
        "end": end,
        "duration": seconds(start, end),
        "billsec": seconds(answer, end),
        "hangup_cause": _cause(a_leg, b_legs, answer),
        "gateway": _gateway(legs, reached),
        "refused": a_leg.refused,
    }


def _gateway(legs: list[Leg], reached: Leg | None) -> str:
    """The one by which the call was connected; else the last one that was tried, or by which it came."""
    if reached and reached.gateway:
        return reached.gateway
    return next((leg.gateway for leg in reversed(legs) if leg.gateway), "")


def _dialled_by(a_leg: Leg, reached: Leg | None, b_legs: list[Leg]) -> str:
    """The number that the A-leg dialled; of a phone that the switch rang first, whom it reached."""
    was_rung_first = a_leg.direction == "outbound" and a_leg.destination == a_leg.user
    other = reached or next(iter(b_legs), None)
    if was_rung_first and other:
        return other.user or other.destination
    return a_leg.destination


def _answer(a_leg: Leg, reached: Leg | None) -> datetime | None:
    """When two people could talk: an agent who answers a click-to-dial only begins to call."""
    if a_leg.dialled:
        return reached.answer if reached else None
    return a_leg.answer


def _machine(legs: list[Leg]) -> str:
    """Voicemail, when it talked with the caller because no phone answered."""
    return VOICEMAIL if any(leg.application == VOICEMAIL for leg in legs) else ""


def _cause(a_leg: Leg, b_legs: list[Leg], answer: datetime | None) -> str:
    """The A-leg's cause; of a call that nobody answered, why the callee was not reached."""
    if answer is None and a_leg.hangup_cause == "NORMAL_CLEARING" and b_legs:
        return b_legs[-1].hangup_cause
    return a_leg.hangup_cause


def _kind(a_leg: Leg, b_legs: list[Leg], did: str) -> str:
    if a_leg.dialled:
        return Call.Kind.CLICK_TO_DIAL
    if did:
        return Call.Kind.INBOUND
    if a_leg.refused or any(not leg.user for leg in b_legs):
        return Call.Kind.OUTBOUND
    return Call.Kind.INTERNAL
