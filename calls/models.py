"""Click-to-dial: what was asked for, and what became of it."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from agents.models import Agent


class DialQuerySet(models.QuerySet["Dial"]):
    def open(self) -> "DialQuerySet":
        return self.exclude(state__in=[Dial.State.ENDED, Dial.State.FAILED])

    def since(self, age: timedelta) -> "DialQuerySet":
        return self.filter(created_at__gte=timezone.now() - age)


class Dial(models.Model):
    """One press of a call button. Its id is the UUID of the A-leg: known before the call exists."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting for the switch"
        SENT = "sent", "calling your phone"
        RINGING_AGENT = "ringing_agent", "your phone rings"
        AGENT_ANSWERED = "agent_answered", "your phone answered"
        DIALLING = "dialling", "dialling"
        RINGING = "ringing", "ringing"
        ANSWERED = "answered", "answered"
        ENDED = "ended", "ended"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="dials")
    extension = models.CharField(max_length=6)
    number = models.CharField(max_length=33)
    switch = models.CharField(max_length=50)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    cause = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = DialQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        permissions = [
            ("view_active_calls", "Can see active calls"),
            ("hang_up_calls", "Can hang up anybody's call"),
            ("dial_for_others", "Can make another agent's phone dial"),
        ]

    def __str__(self) -> str:
        return f"{self.extension} → {self.number}"

    @property
    def is_over(self) -> bool:
        return self.state in {self.State.ENDED, self.State.FAILED}
