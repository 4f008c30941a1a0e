"""Ring groups: one extension, several phones."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agents.models import Agent
from agents.validators import validate_display_name, validate_extension
from eslbridge.models import PublishedModel

from ..destinations import AGENT, NUMBER, DestinationField, DestinationsField
from .pointing import Pointing

MOST_MEMBERS = 100


class RingGroup(Pointing, PublishedModel):
    """Whoever calls the extension rings the members, and then what comes after."""

    class Strategy(models.TextChoices):
        AT_ONCE = "at_once", "All at once"
        IN_ORDER = "in_order", "One after another"
        LONGEST_IDLE = "longest_idle", "Longest idle first"

    extension = models.CharField(
        max_length=6,
        unique=True,
        validators=[validate_extension],
        error_messages={"unique": "Another ring group has this extension already."},
        help_text="4 to 6 digits that no agent has.",
    )
    name = models.CharField(max_length=80, validators=[validate_display_name])
    is_active = models.BooleanField("active", default=True)
    members = DestinationsField(
        help_text="One a line, in order: an agent's extension, or a number outside with its country code."
    )
    strategy = models.CharField(max_length=12, choices=Strategy, default=Strategy.AT_ONCE)
    ring_seconds = models.PositiveSmallIntegerField(
        "seconds each",
        default=15,
        validators=[MinValueValidator(3), MaxValueValidator(300)],
        help_text="How long each member rings, when it is one after another.",
    )
    total_seconds = models.PositiveSmallIntegerField(
        "seconds in all",
        default=45,
        validators=[MinValueValidator(3), MaxValueValidator(900)],
        help_text="After that comes “then”. One after another begins again with the first until then.",
    )
    skips_busy = models.BooleanField(
        "skip busy members", default=True, help_text="Who is talking is not rung."
    )
    prefix = models.CharField(
        "caller ID prefix",
        max_length=20,
        blank=True,
        validators=[validate_display_name],
        help_text="Shown before the caller's name, so that members know whom they answer for.",
    )
    then = DestinationField(blank=True, help_text="When nobody answered. Empty: the call ends.")

    pointing_fields = ("then",)

    class Meta:
        ordering = ["extension"]

    def __str__(self) -> str:
        return f"{self.extension} {self.name}"

    def destinations(self):
        yield from super().destinations()
        yield from ((f"member {number}", each) for number, each in enumerate(self.members or [], start=1))

    def clean(self) -> None:
        errors = self.pointing_errors()
        if agent := Agent.objects.filter(extension=self.extension).first():
            errors["extension"] = f"The agent {agent} has this extension. Choose another."
        if problem := self._member_problem():
            errors["members"] = problem
        if self.total_seconds and self.ring_seconds and self.total_seconds < self.ring_seconds:
            errors["total_seconds"] = "Not less than the seconds each member rings."
        if errors:
            raise ValidationError(errors)

    def _member_problem(self) -> str:
        members = self.members or []
        if len(members) > MOST_MEMBERS:
            return f"At most {MOST_MEMBERS} members; these are {len(members)}."
        if any(each.kind not in {AGENT, NUMBER} for each in members):
            return (
                "A member is an agent's extension or a number outside: "
                "a group cannot ring groups, voicemail or DIDs."
            )
        if len(set(members)) != len(members):
            return "The same member stands there twice. Leave one of the two out."
        return ""
