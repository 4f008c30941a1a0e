"""The switches, and the outbox: what is waiting to reach them and what is known to be on them."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.functional import cached_property

# A worker says that it lives every BEAT_SECONDS; three missed beats and it is taken for gone.
BEAT_SECONDS = 5
WORKER_GONE_AFTER = timedelta(seconds=3 * BEAT_SECONDS)


class PublishedModel(models.Model):
    """The base of what is published: saved and queued in one transaction, or not at all.

    Django sends post_save after the transaction that a lone save() makes for itself.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(savepoint=False):
            super().save(*args, **kwargs)


class SwitchManager(models.Manager["Switch"]):
    def get_queryset(self) -> models.QuerySet["Switch"]:
        return super().get_queryset().annotate(read_at=Now())


class Switch(models.Model):
    """One FreeSWITCH, as its worker announced it. No password is kept here."""

    class Link(models.TextChoices):
        CONNECTING = "connecting", "connecting"
        CONNECTED = "connected", "connected"
        REFUSED = "refused", "password refused"
        LOST = "lost", "not reachable"

    name = models.SlugField(unique=True)
    host = models.CharField(max_length=255, blank=True)
    esl_port = models.PositiveIntegerField("Event Socket port", default=8021)
    conf_dir = models.CharField("configuration directory", max_length=1024, blank=True)
    domain = models.CharField(max_length=255, blank=True)
    link = models.CharField(max_length=12, choices=Link, default=Link.CONNECTING)
    reason = models.TextField(
        blank=True, help_text="Why the link is not up, in the switch's or system's words."
    )
    link_since = models.DateTimeField(default=timezone.now)
    shares_line_because = models.TextField(
        blank=True,
        help_text="Why publishing has no connection of its own, in the switch's or system's words.",
    )
    seen_at = models.DateTimeField("worker last seen", null=True, blank=True)
    worker = models.CharField(max_length=255, blank=True)
    version = models.CharField(max_length=120, blank=True)
    up_since = models.DateTimeField(null=True, blank=True)
    compared_at = models.DateTimeField("last compared", null=True, blank=True)
    differences = models.PositiveIntegerField(
        default=0, help_text="Files that the last comparison found not to be as the database says."
    )

    objects = SwitchManager()
    read_at: datetime | None = None
    """When it was read, by PostgreSQL's clock, which `seen_at` is of, too: that of this host may be wrong."""

    class Meta:
        verbose_name_plural = "switches"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def worker_is_gone(self) -> bool:
        return self.seen_at is None or self.seen_ago > WORKER_GONE_AFTER

    @property
    def seen_ago(self) -> timedelta:
        """How long the worker had not been seen when this row was read."""
        assert self.seen_at is not None
        return (self.read_at or timezone.now()) - self.seen_at

    @property
    def is_connected(self) -> bool:
        return self.link == self.Link.CONNECTED and not self.worker_is_gone

    @property
    def trouble(self) -> str:
        """Why nothing reaches this switch now, in one sentence; empty when all is well."""
        if self.worker_is_gone:
            return "The worker of this switch is not running, so nothing reaches the switch."
        match self.link:
            case self.Link.CONNECTED:
                return ""
            case self.Link.REFUSED:
                return "The switch refuses the Event Socket password: set FS_ESL_PASSWORD for the worker."
            case self.Link.LOST:
                return f"The switch does not answer at {self.host}:{self.esl_port}: {self.reason}"
        return f"Connecting to {self.host}:{self.esl_port}."

    @property
    def line(self) -> str:
        """How changes reach the switch, in one or two sentences."""
        if not self.shares_line_because:
            return "Over a connection of their own."
        return (
            "Over the connection by which events come and calls are placed, which wait for each reload: the "
            f"switch takes no second connection from the worker ({self.shares_line_because})."
        )


class PendingChange(models.Model):
    """The outbox: one row per switch and file, there until the switch is known to have that change."""

    switch = models.ForeignKey(Switch, models.CASCADE, related_name="pending")
    path = models.CharField(max_length=255)
    kind = models.CharField(max_length=100)
    object_id = models.BigIntegerField()
    label = models.CharField(max_length=255)
    revision = models.UUIDField(default=uuid.uuid4)
    since = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    refused = models.BooleanField(
        default=False,
        help_text="The switch or a rule said no: a person has to look. Else it comes by itself.",
    )
    told_at = models.DateTimeField(
        null=True, help_text="The switch has the file and was told then what to let go of; it is waited for."
    )
    retry_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["switch", "path"], name="one_pending_change_a_file")]
        indexes = [models.Index(fields=["kind", "object_id"]), models.Index(fields=["switch", "retry_at"])]
        ordering = ["since"]
        verbose_name = "change"

    def __str__(self) -> str:
        return f"{self.path} on {self.switch}"

    @property
    def why(self) -> str:
        """Why this is not live yet: what was refused, what the link says, or what went wrong last."""
        return (self.error if self.refused else self.switch.trouble or self.error) or "On its way."


class PublishedFile(models.Model):
    """What the switch was seen to have, by the hash of the file it was read from."""

    switch = models.ForeignKey(Switch, models.CASCADE, related_name="published")
    path = models.CharField(max_length=255)
    kind = models.CharField(max_length=100)
    object_id = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["switch", "path"], name="one_published_file_a_path")]
        indexes = [models.Index(fields=["kind", "object_id"])]

    def __str__(self) -> str:
        return f"{self.path} on {self.switch}"


class FileChange(models.Model):
    """How a file that was on a switch already was changed, for the history of its object."""

    switch = models.ForeignKey(Switch, models.CASCADE, related_name="file_changes")
    path = models.CharField(max_length=255)
    kind = models.CharField(max_length=100)
    object_id = models.BigIntegerField()
    at = models.DateTimeField(default=timezone.now, db_index=True)
    difference = models.TextField(help_text="Lines that went (-) and came (+), passwords hidden.")

    class Meta:
        indexes = [models.Index(fields=["kind", "object_id", "-at"])]
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.path} on {self.switch} at {self.at:%H:%M:%S}"


class Reload(models.Model):
    """One reload of a switch's XML by the publisher, and what it was for."""

    switch = models.ForeignKey(Switch, models.CASCADE, related_name="reloads")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    files = models.PositiveIntegerField()
    milliseconds = models.PositiveIntegerField("reloadxml took (ms)")
    succeeded = models.BooleanField()
    reply = models.TextField(blank=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.files} files on {self.switch} at {self.at:%H:%M:%S}"
