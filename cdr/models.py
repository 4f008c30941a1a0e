"""Call records: a row a leg as the switch reported it, and a row a call made from its legs.

They hold values, not references: history outlives the agents in it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import models, transaction


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
    reached = models.CharField(max_length=80, blank=True, help_text="The phone that answered.")
    start = models.DateTimeField(db_index=True)
    answer = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField()
    duration = models.PositiveIntegerField(help_text="Seconds from start to end.")
    billsec = models.PositiveIntegerField("billable seconds", help_text="Seconds from answer to end.")
    hangup_cause = models.CharField(max_length=60)

    class Meta:
        ordering = ["-start"]

    def __str__(self) -> str:
        return f"{self.caller} → {self.callee}"

    @property
    def was_answered(self) -> bool:
        return self.answer is not None


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
    start = models.DateTimeField()
    answer = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField()
    duration = models.PositiveIntegerField()
    billsec = models.PositiveIntegerField("billable seconds")
    hangup_cause = models.CharField(max_length=60)
    disposition = models.CharField("ended by", max_length=30, blank=True)

    class Meta:
        ordering = ["start"]

    def __str__(self) -> str:
        return f"{self.direction} leg {self.uuid}"

    @property
    def is_a_leg(self) -> bool:
        return self.uuid == self.call


def record(legs: Iterable[dict[str, Any]]) -> int:
    """Store finished legs (field values of Leg without `call`) and derive their calls again.

    Idempotent by UUID: the same leg may come from an event, from the switch's file, twice, in any order.
    Returns how many were new.
    """
    fresh = 0
    with transaction.atomic():
        calls: set[Any] = set()
        for values in legs:
            call = _call_of(values)
            _, created = Leg.objects.get_or_create(uuid=values["uuid"], defaults={**values, "call": call})
            fresh += created
            calls.add(call)
            # B-legs that were reported before the leg that made them took it for their call.
            for orphan in Leg.objects.filter(originator=values["uuid"]).exclude(call=call):
                calls.add(orphan.call)
                Leg.objects.filter(pk=orphan.pk).update(call=call)
        for call in calls:
            derive(call)
    return fresh


def _call_of(values: dict[str, Any]) -> Any:
    """The call that a leg belongs to: its originator's, else its own.

    A B-leg names its originator; what the call UUID says at that moment cannot be trusted.
    """
    parent = values.get("originator")
    if not parent:
        return values["uuid"]
    known = Leg.objects.filter(uuid=parent).first()
    return known.call if known else parent


def derive(uuid: Any) -> None:
    """Make the row of one call from its legs, or take it away when no leg is left."""
    legs = list(Leg.objects.filter(call=uuid).order_by("start", "uuid"))
    if not legs:
        Call.objects.filter(uuid=uuid).delete()
        return
    legs.sort(key=lambda leg: leg.uuid != uuid)
    Call.objects.update_or_create(uuid=uuid, defaults=_derived(legs))


def _derived(legs: list[Leg]) -> dict[str, Any]:
    a_leg, b_legs = legs[0], legs[1:]
    reached = next((leg for leg in b_legs if leg.answer), None)
    start, end = min(leg.start for leg in legs), max(leg.end for leg in legs)
    answer = _answer(a_leg, reached)
    caller = a_leg.user if _is_click_to_dial(a_leg) else a_leg.caller
    return {
        "switch": a_leg.switch,
        "kind": _kind(a_leg, b_legs),
        "caller": caller,
        "caller_name": "" if _is_click_to_dial(a_leg) else a_leg.caller_name,
        "callee": a_leg.dialled or a_leg.did or a_leg.destination,
        "reached": (reached.user or reached.destination) if reached else "",
        "start": start,
        "answer": answer,
        "end": end,
        "duration": round((end - start).total_seconds()),
        "billsec": round((end - answer).total_seconds()) if answer else 0,
        "hangup_cause": _cause(a_leg, b_legs, answer),
    }


def _is_click_to_dial(a_leg: Leg) -> bool:
    return bool(a_leg.dialled)


def _answer(a_leg: Leg, reached: Leg | None) -> datetime | None:
    """When two people could talk: an agent who answers a click-to-dial only begins to call."""
    if _is_click_to_dial(a_leg):
        return reached.answer if reached else None
    return a_leg.answer


def _cause(a_leg: Leg, b_legs: list[Leg], answer: datetime | None) -> str:
    """The A-leg's cause; of a call that nobody answered, why the callee was not reached."""
    if answer is None and a_leg.hangup_cause == "NORMAL_CLEARING" and b_legs:
        return b_legs[-1].hangup_cause
    return a_leg.hangup_cause


def _kind(a_leg: Leg, b_legs: list[Leg]) -> str:
    if _is_click_to_dial(a_leg):
        return Call.Kind.CLICK_TO_DIAL
    if a_leg.did:
        return Call.Kind.INBOUND
    if any(not leg.user for leg in b_legs):
        return Call.Kind.OUTBOUND
    return Call.Kind.INTERNAL
