"""Where calls from outside go."""

from django.core.exceptions import ValidationError
from django.db import models

from agents.models import Agent
from eslbridge.models import PublishedModel

from .validators import in_words, to_e164


class InboundRoute(PublishedModel):
    """A DID and the agent that it rings."""

    did = models.CharField(
        "DID",
        max_length=32,
        unique=True,
        error_messages={"unique": "This DID is routed already: change that route instead."},
        help_text="The number that callers dial, in any common form; it is kept with its country code.",
    )
    description = models.CharField(max_length=120, blank=True)
    agent = models.ForeignKey(
        Agent, models.PROTECT, related_name="inbound_routes", help_text="Whose phone rings."
    )
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ["did"]

    def __str__(self) -> str:
        return in_words(self.did)

    def clean(self) -> None:
        errors = {}
        if self.did:
            try:
                self.did = to_e164(self.did, "number (DID)")
            except ValidationError as refused:
                errors["did"] = refused
        if self.is_active and self.agent_id and not self.agent.is_active:
            errors["agent"] = f"{self.agent} is not active, so nobody would be called. Choose another agent."
        if errors:
            raise ValidationError(errors)

    @property
    def digits(self) -> str:
        return self.did.removeprefix("+")

    @property
    def in_words(self) -> str:
        """What happens to a call, as a sentence."""
        if not self.is_active:
            return "Off: calls to this number are refused."
        if not self.agent.is_active:
            return f"Off: {self.agent} is not active. Calls to this number are refused."
        return f"Rings {self.agent} for 30 seconds, then voicemail."
