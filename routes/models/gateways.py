"""Gateways: the SIP trunks by which calls leave and come."""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from agents.encryption import EncryptedTextField
from eslbridge.models import PublishedModel
from eslbridge.switchxml import UnsafeValue, check_value

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
_HOST = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](?::[0-9]{1,5})?",
    re.ASCII,
)
_USER = re.compile(r"[A-Za-z0-9._+~!*-]{1,80}(?:@[A-Za-z0-9.-]{1,80})?", re.ASCII)
_CODECS = re.compile(r"[A-Za-z0-9.@-]+(?:,[A-Za-z0-9.@-]+)*", re.ASCII)


def validate_name(value: str) -> None:
    """A word that can be part of a dial string."""
    if not _NAME.fullmatch(value) or value == "_all_":
        raise ValidationError(
            "A gateway's name is one word of small letters, digits, - and _, like carrier1."
        )


def validate_host(value: str) -> None:
    if not _HOST.fullmatch(value):
        raise ValidationError(
            f"“{value[:40]}” is not a host name or address, perhaps with a port, like sip.example.com:5060."
        )


def validate_user(value: str) -> None:
    if not _USER.fullmatch(value):
        raise ValidationError("A SIP user name has letters, digits and . _ + ~ ! * - only, without spaces.")


def validate_codecs(value: str) -> None:
    if not _CODECS.fullmatch(value):
        raise ValidationError("Type codecs separated by commas, without spaces, like PCMU,PCMA,OPUS.")


def validate_secret(value: str) -> None:
    try:
        check_value(value, "The password")
    except UnsafeValue as refused:
        raise ValidationError(f"The password {refused.problem}") from None


class Gateway(PublishedModel):
    """One SIP trunk. An edited one is taken down and up again by the switch; calls under way go on."""

    class Transport(models.TextChoices):
        UDP = "udp", "UDP"
        TCP = "tcp", "TCP"
        TLS = "tls", "TLS"

    class CallerID(models.TextChoices):
        RPID = "rpid", "Remote-Party-ID (the switch's default)"
        PAI = "pid", "P-Asserted-Identity"
        NONE = "none", "From only"

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[validate_name],
        help_text="One word, as the switch calls it. It cannot be changed later.",
        error_messages={"unique": "There is a gateway of this name already."},
    )
    description = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField("active", default=True)
    profile = models.CharField(
        max_length=40,
        default="external",
        help_text="The switch's SIP profile: one whose file includes those of its folder, as external does.",
    )
    proxy = models.CharField(
        max_length=255,
        validators=[validate_host],
        help_text="The carrier's SIP server: sip.example.com, or with a port.",
    )
    outbound_proxy = models.CharField(
        max_length=255, blank=True, validators=[validate_host], help_text="Only if the carrier names one."
    )
    registers = models.BooleanField(
        "register", default=True, help_text="Off for trunks that know you by your address."
    )
    username = models.CharField("user name", max_length=160, blank=True, validators=[validate_user])
    password = EncryptedTextField(blank=True, default="", validators=[validate_secret])
    realm = models.CharField(
        max_length=255, blank=True, validators=[validate_host], help_text="Empty: the proxy."
    )
    from_domain = models.CharField(
        max_length=255, blank=True, validators=[validate_host], help_text="Empty: the realm."
    )
    transport = models.CharField(max_length=3, choices=Transport, default=Transport.UDP)
    codecs = models.CharField(
        max_length=120,
        blank=True,
        validators=[validate_codecs],
        help_text="In order, like PCMU,PCMA. Empty: the profile's.",
    )
    caller_id_in_from = models.BooleanField(
        "caller ID in From",
        default=True,
        help_text="Off: From holds the user name, which some carriers demand.",
    )
    caller_id_header = models.CharField(
        "caller ID also in", max_length=4, choices=CallerID, default=CallerID.PAI
    )
    ping_seconds = models.PositiveSmallIntegerField(
        "ping", default=30, help_text="Seconds between two OPTIONS, to know that it answers. 0: never."
    )
    most_calls = models.PositiveSmallIntegerField(
        "limit of calls",
        null=True,
        blank=True,
        help_text="Calls out at the same time; one more goes by the route's next gateway. Empty: no limit.",
    )

    class Meta:
        ordering = ["name"]
        permissions = [("view_gateway_password", "Can export the passwords of gateways")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> "Gateway":
        instance = super().from_db(*args, **kwargs)
        instance._first_name = instance.__dict__.get("name")  # not there when deferred
        return instance

    def clean(self) -> None:
        errors = {}
        if self.profile not in settings.FS_GATEWAY_PROFILES:
            known = ", ".join(settings.FS_GATEWAY_PROFILES)
            errors["profile"] = (
                f"Choose one of: {known}. FS_GATEWAY_PROFILES names the profiles that may have gateways."
            )
        if self.registers and not self.username:
            errors["username"] = "To register, the carrier's user name is needed. Or switch off “register”."
        if self.registers and not self.password:
            errors["password"] = "To register, the carrier's password is needed. Or switch off “register”."  # noqa: S105
        if self.ping_seconds and self.ping_seconds < 5:
            errors["ping_seconds"] = "Every 5 seconds or more; 0 for never."
        if self.pk and self.name != self._first_name:
            errors["name"] = (
                "The name cannot be changed: routes and the switch know it by this name. Add another gateway."
            )
        if errors:
            raise ValidationError(errors)
