"""Agents: the people who have a phone on the switch."""

import secrets
import string

from django.conf import settings
from django.db import models

from .encryption import EncryptedTextField
from .validators import validate_display_name, validate_extension

PASSWORD_LENGTH = 24  # of 62 characters: 142 bits
_ALPHABET = string.ascii_letters + string.digits


def new_password() -> str:
    """A SIP password of 24 letters and digits from the system's random source."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


class AgentQuerySet(models.QuerySet["Agent"]):
    def active(self) -> "AgentQuerySet":
        return self.filter(is_active=True)


class Agent(models.Model):
    """A SIP user: an extension, a name and a password that nobody types."""

    extension = models.CharField(
        max_length=6,
        unique=True,
        validators=[validate_extension],
        error_messages={"unique": "Another agent has this extension already."},
        help_text="4 to 6 digits. What others dial, and the user name of the phone.",
    )
    name = models.CharField(
        max_length=80,
        validators=[validate_display_name],
        help_text="Shown on the phones that this agent calls.",
    )
    password = EncryptedTextField(default=new_password, editable=False)
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="An inactive agent has no phone: it cannot register, call or be called.",
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="agent",
        verbose_name="site user",
        help_text="Whose phone this is: it rings when that user presses a call button.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ["extension"]

    def __str__(self) -> str:
        return f"{self.extension} {self.name}"

    def deactivate(self) -> None:
        """Take the agent's phone off the switch; what it did stays on record."""
        self.is_active = False
        self.save(update_fields=["is_active"])
