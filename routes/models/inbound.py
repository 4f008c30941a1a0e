"""Inbound routes: a DID, and what happens to a call."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agents.numbers import in_words, to_e164
from eslbridge.models import PublishedModel

from ..destinations import AGENT, NUMBER, DestinationField, told
from .hours import BusinessHours
from .pointing import Pointing

RING_SECONDS = 30


class InboundRoute(Pointing, PublishedModel):
    """A DID and whom it rings; at other hours, and when nobody answers, perhaps somebody else."""

    did = models.CharField(
        "DID",
        max_length=32,
        unique=True,
        error_messages={"unique": "This DID is routed already: change that route instead."},
        help_text="The number that callers dial, in any common form; it is kept with its country code.",
    )
    description = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField("active", default=True)
    destination = DestinationField()
    hours = models.ForeignKey(
        BusinessHours,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="inbound_routes",
        help_text="Empty: always open.",
    )
    closed_destination = DestinationField("outside business hours", blank=True)
    ring_seconds = models.PositiveSmallIntegerField(
        "rings for",
        default=RING_SECONDS,
        validators=[MinValueValidator(3), MaxValueValidator(300)],
        help_text="Seconds, before the destination for “nobody answers”.",
    )
    unanswered_destination = DestinationField(
        "when nobody answers", blank=True, help_text="Empty: an agent's voicemail."
    )
    busy_destination = DestinationField(
        "when busy or not registered", blank=True, help_text="Empty: as when nobody answers."
    )

    pointing_fields = ("destination", "closed_destination", "unanswered_destination", "busy_destination")

    class Meta:
        ordering = ["did"]

    def __str__(self) -> str:
        return in_words(self.did)

    def clean(self) -> None:
        errors = self.pointing_errors() if self.is_active else {}
        if self.did:
            try:
                self.did = to_e164(self.did, "number (DID)")
            except ValidationError as refused:
                errors["did"] = refused
        errors |= self._incomplete()
        if errors:
            raise ValidationError(errors)

    def _incomplete(self) -> dict[str, str]:
        errors = {}
        if self.hours_id and not self.closed_destination:
            errors["closed_destination"] = "Say where calls go outside the business hours."
        if self.closed_destination and not self.hours_id:
            errors["hours"] = "Choose the business hours outside of which calls go elsewhere."
        if self.destination and self.destination.kind not in {AGENT, NUMBER}:
            for name in ("unanswered_destination", "busy_destination"):
                if getattr(self, name):
                    errors[name] = (
                        "Only for an agent or a number: a ring group has a “then” of its own, "
                        "and voicemail, messages and other DIDs always answer or decide themselves."
                    )
        return errors

    @property
    def digits(self) -> str:
        return self.did.removeprefix("+")

    @property
    def has_failover(self) -> bool:
        return bool(self.unanswered_destination or self.busy_destination)

    @property
    def is_wanted(self) -> bool:
        """Whether a call to this DID can reach anything."""
        target = self.target(self.destination)
        if self.destination is None or not self.is_active:
            return False
        if self.destination.model is None or (target is not None and target.is_active):
            return True
        return bool(self.closed_destination or self.busy_destination)

    @property
    def in_words(self) -> str:
        """What happens to a call, as a sentence."""
        if not self.is_active:
            return "Off: calls to this number are refused."
        if not self.is_wanted:
            whom = self.target(self.destination) or "its destination"
            return f"Off: {whom} is not active. Calls to this number are refused."
        sentence = told(self.destination, self.targets)
        sentence = f"{sentence[0].upper()}{sentence[1:]}{self._failover_in_words}"
        if self.hours_id:
            sentence += f"; outside {self.hours}: {told(self.closed_destination, self.targets)}"
        return f"{sentence}."

    @property
    def now_in_words(self) -> str:
        """What happens to a call at this moment, as a sentence."""
        if not self.hours_id or not self.is_active or not self.is_wanted:
            return self.in_words
        state = self.hours.state_now
        if state != "open":
            words = told(self.closed_destination, self.targets)
            return f"{self.hours} is {state} now: {words}."
        return f"{self.hours} is open now: {told(self.destination, self.targets)}{self._failover_in_words}."

    @property
    def _failover_in_words(self) -> str:
        if self.destination.kind == AGENT and not self.has_failover:
            return f" for {RING_SECONDS} seconds, then voicemail"
        if not self.has_failover:
            return ""
        words = f" for {self.ring_seconds} seconds"
        if self.unanswered_destination:
            words += f", then {told(self.unanswered_destination, self.targets)}"
        elif self.destination.kind == AGENT:
            words += ", then voicemail"
        if self.busy_destination:
            words += f"; when busy or not registered {told(self.busy_destination, self.targets)}"
        return words
