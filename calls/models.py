"""Click-to-dial: what was asked for, and what became of it."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from agents.models import Agent

# Characters of a channel's UUID that are kept: a dialplan may give it any text.
UUID_LENGTH = 120


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
    key = models.CharField(max_length=80, null=True, blank=True)  # noqa: DJ001 - NULL is never the same key
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
            ("control_calls", "Can transfer, hold, park and record anybody's call"),
            ("listen_calls", "Can listen to anybody's call, whisper and join"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["requested_by", "key"], name="one_dial_a_key"),
        ]

    def __str__(self) -> str:
        return f"{self.extension} → {self.number}"

    @property
    def is_over(self) -> bool:
        return self.state in {self.State.ENDED, self.State.FAILED}

    @property
    def agent_answered(self) -> bool:
        """Whether the one who dials has lifted the phone: from then on it is hung up, not cancelled."""
        waiting = {self.State.QUEUED, self.State.SENT, self.State.RINGING_AGENT}
        return not self.is_over and self.state not in waiting


class CommandQuerySet(models.QuerySet["Command"]):
    def open(self) -> "CommandQuerySet":
        return self.filter(state__in=[Command.State.QUEUED, Command.State.SENT])


class Command(models.Model):
    """One press of a control button on a live call. Its id is the Job-UUID of what the switch is asked."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting for the switch"
        SENT = "sent", "asked"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        UNKNOWN = "unknown", "unknown"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    verb = models.CharField(max_length=16)
    switch = models.CharField(max_length=50)
    # The phone that the command is about, whom it talks to, and who is consulted or waits meanwhile.
    leg = models.CharField(max_length=UUID_LENGTH)
    other = models.CharField(max_length=UUID_LENGTH, blank=True)
    third = models.CharField(max_length=UUID_LENGTH, blank=True)
    extension = models.CharField(max_length=6, blank=True)  # the phone that rings for it
    target = models.CharField(max_length=255, blank=True)  # a number, digits, or a file on the switch
    about = models.CharField(max_length=120, blank=True)  # in words, for the page
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    key = models.CharField(max_length=80, null=True, blank=True)  # noqa: DJ001 - NULL is never the same key
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    why = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = CommandQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["requested_by", "key"], name="one_command_a_key"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.about}"

    @property
    def is_over(self) -> bool:
        """Nothing more is expected; one that is unknown may still turn out to be done."""
        return self.state in {self.State.DONE, self.State.FAILED}
