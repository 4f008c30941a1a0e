"""Agents: the people who have a phone on the switch."""

import secrets
import string

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from eslbridge.models import PublishedModel

from .encryption import EncryptedTextField
from .numbers import to_e164
from .validators import (
    claimed_extensions,
    validate_call_group,
    validate_caller_id_number,
    validate_display_name,
    validate_email_for_switch,
    validate_extension,
    validate_pin,
)

PASSWORD_LENGTH = 24  # of 62 characters: 142 bits
_ALPHABET = string.ascii_letters + string.digits
_FAIR = 256 // len(_ALPHABET) * len(_ALPHABET)  # bytes below fall on each letter equally often


def new_password() -> str:
    """A SIP password of 24 letters and digits from the system's random source."""
    fair = b""
    while len(fair) < PASSWORD_LENGTH:  # asked for all at once: an import makes thousands
        fair += bytes(byte for byte in secrets.token_bytes(2 * PASSWORD_LENGTH) if byte < _FAIR)
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in fair[:PASSWORD_LENGTH])


def new_pin() -> str:
    """A voicemail PIN of six digits that differ."""
    while len(set(pin := f"{secrets.randbelow(10**6):06}")) < 4:
        pass
    return pin


class AgentQuerySet(models.QuerySet["Agent"]):
    def active(self) -> "AgentQuerySet":
        return self.filter(is_active=True)


class Agent(PublishedModel):
    """A SIP user: an extension, a name and a password that nobody types."""

    class Media(models.TextChoices):
        EITHER = "either", "desk phone or browser"
        DESK = "desk", "desk phone"
        WEBRTC = "webrtc", "browser (WebRTC) only"

    class Devices(models.TextChoices):
        ALL = "all", "all devices"
        LAST = "last", "the device registered last"

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
    email = models.EmailField(
        "e-mail",
        blank=True,
        validators=[validate_email_for_switch],
        help_text="Voicemail messages are sent here, when the switch can send mail.",
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
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="An inactive agent has no phone: it cannot register, call or be called.",
    )
    password = EncryptedTextField(default=new_password, editable=False)

    caller_id_name = models.CharField(
        "caller ID name",
        max_length=80,
        blank=True,
        validators=[validate_display_name],
        help_text="On calls to other agents. Empty: the name.",
    )
    caller_id_number = models.CharField(
        "caller ID number",
        max_length=21,
        blank=True,
        validators=[validate_caller_id_number],
        help_text="On calls to other agents. Empty: the extension.",
    )
    outbound_caller_id = models.CharField(
        "outbound caller ID",
        max_length=32,
        blank=True,
        help_text="The number that people outside see. Empty: the site's (DEFAULT_CALLER_ID).",
    )

    may_call_local = models.BooleanField("local calls", default=True)
    may_call_domestic = models.BooleanField("domestic calls", default=True)
    may_call_international = models.BooleanField("international calls", default=False)
    may_call_premium = models.BooleanField("premium-rate calls", default=False)

    media = models.CharField(
        max_length=8,
        choices=Media,
        default=Media.EITHER,
        help_text="“Browser only” demands encrypted media, and so refuses a desk phone without SRTP.",
    )
    button_rings = models.CharField(
        "call buttons ring",
        max_length=8,
        choices=Devices,
        default=Devices.ALL,
        help_text="Which of this agent's devices rings for a call that is begun in the browser. Calls from "
        "others ring all. A switch that keeps one registration of each user (multiple-registrations is not "
        "set in its SIP profile) knows only the last.",
    )
    call_group = models.CharField(
        max_length=40,
        blank=True,
        validators=[validate_call_group],
        help_text="Members of a group can pick up one another's calls (*8).",
    )
    voicemail_pin = EncryptedTextField(
        "voicemail PIN",
        default=new_pin,
        validators=[validate_pin],
        help_text="4 to 10 digits, not the extension. Asked for when the agent listens to messages.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ["extension"]
        permissions = [
            ("view_password", "Can see the passwords of phones"),
            ("rotate_password", "Can give phones new passwords"),
        ]

    def __str__(self) -> str:
        return f"{self.extension} {self.name}"

    def clean(self) -> None:
        errors = {}
        if self.outbound_caller_id:
            try:
                self.outbound_caller_id = to_e164(self.outbound_caller_id)
            except ValidationError as refused:
                errors["outbound_caller_id"] = refused
        if owner := claimed_extensions().get(self.extension):
            errors["extension"] = f"{owner} has this extension. Choose another."
        if self.voicemail_pin == self.extension:
            errors["voicemail_pin"] = "The voicemail PIN may not be the extension."
        if errors:
            raise ValidationError(errors)

    @property
    def shown_name(self) -> str:
        return self.caller_id_name or self.name

    @property
    def shown_number(self) -> str:
        return self.caller_id_number or self.extension

    @property
    def shown_outside(self) -> str:
        """The number that people outside see; empty when neither the agent nor the site has one."""
        return self.outbound_caller_id or settings.DEFAULT_CALLER_ID

    @property
    def toll_allow(self) -> str:
        """The classes of calls that this agent may make, as the switch's variable lists them."""
        allowed = {
            "local": self.may_call_local,
            "domestic": self.may_call_domestic,
            "international": self.may_call_international,
            "premium": self.may_call_premium,
        }
        return ",".join(name for name, yes in allowed.items() if yes)

    def deactivate(self) -> None:
        """Take the agent's phone off the switch; what it did stays on record."""
        self.is_active = False
        self.save(update_fields=["is_active"])

    def activate(self) -> None:
        """Put the agent's phone back on the switch."""
        self.is_active = True
        self.save(update_fields=["is_active"])

    def rotate_password(self) -> None:
        """Give the phone a new password; publishing it ends the registrations made with the old one."""
        self.password = new_password()
        self.save(update_fields=["password"])
