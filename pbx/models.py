"""API tokens: how a program, instead of a person at a browser, uses the site."""

import secrets
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.formats import localize

PREFIX = "patchbay_"  # so that a token that leaked into a log or a repository is recognised as one
BYTES = 32  # from the system's random source: nothing to guess, so a plain hash is enough
SHOWN = len(PREFIX) + 4  # characters by which its owner recognises it
# A program that asks every second shall not write every second.
USED_AGAIN = timedelta(minutes=1)


class TokenRefused(Exception):
    """The token opens nothing; the text says why and what to do."""


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def active(self) -> "ApiTokenQuerySet":
        """Those that are neither revoked nor expired."""
        unexpired = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        return self.filter(unexpired, revoked_at=None)

    def presented(self, token: str) -> "ApiToken":
        """The token that these characters are, noted as used now; raises TokenRefused."""
        found = self.select_related("user__agent").filter(digest=_digest(token)).first()
        if found is None:
            raise TokenRefused("This API token is not known here. Make a new one under Site → API tokens.")
        if found.revoked_at:
            raise TokenRefused("This API token was revoked. Make a new one under Site → API tokens.")
        if found.is_expired:
            raise TokenRefused("This API token has expired. Make a new one under Site → API tokens.")
        found.note_use()
        return found


class ApiToken(models.Model):
    """A name under which one user's programs come in. The token itself is not kept, only its hash."""

    name = models.CharField(
        max_length=80,
        validators=[RegexValidator(r"\A[^\x00-\x1f\x7f]+\Z", "A name is one line of text.")],
        help_text="What it is for: “CRM”, “wallboard in the office”.",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="api_tokens",
        help_text="Whose rights, and whose phone, the token has.",
    )
    expires_at = models.DateTimeField(
        "expires", null=True, blank=True, help_text="From then on it is refused. Empty: never."
    )
    beginning = models.CharField("token", max_length=SHOWN, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField("made", default=timezone.now, editable=False)
    used_at = models.DateTimeField("last used", null=True, editable=False)
    revoked_at = models.DateTimeField("revoked", null=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "API token"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"],
                condition=models.Q(revoked_at=None),
                name="one_token_a_name",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}…)"

    def clean(self) -> None:
        if self._state.adding and self.is_expired:
            raise ValidationError({"expires_at": "That is over already. Choose a later time, or none."})
        # The constraint is not checked by a form without `revoked_at`.
        if self._state.adding and ApiToken.objects.filter(user=self.user_id, name=self.name, revoked_at=None):
            raise ValidationError({"name": "There is a token of this name. Revoke it, or choose another."})

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def state(self) -> str:
        """In words, for the list."""
        if self.revoked_at:
            return f"revoked {localize(timezone.localtime(self.revoked_at))}"
        return "expired" if self.is_expired else "active"

    def give(self) -> str:
        """Make up the token and keep its hash. Returns the token, which nobody can be told again."""
        token = PREFIX + secrets.token_urlsafe(BYTES)
        self.beginning, self.digest = token[:SHOWN], _digest(token)
        return token

    def revoke(self) -> None:
        """Refuse it from now on; what it was stays on record."""
        ApiToken.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())

    def note_use(self) -> None:
        now = timezone.now()
        if self.used_at is None or self.used_at < now - USED_AGAIN:
            ApiToken.objects.filter(pk=self.pk).update(used_at=now)
