"""What must be set before anything starts, each with the fix."""

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from agents.encryption import HOW_TO_MAKE_A_KEY, cipher


@register
def secrets_are_set(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    """SECRET_KEY and FIELD_ENCRYPTION_KEYS have no default: a known key would protect nothing."""
    missing = []
    if not settings.SECRET_KEY:
        missing.append(
            Error(
                "SECRET_KEY is not set.",
                hint="Start ./run, which makes one for its own data, or set it: "
                "python -c 'import secrets; print(secrets.token_urlsafe(50))'",
                id="patchbay.E001",
            )
        )
    try:
        cipher()
    except ImproperlyConfigured as problem:
        missing.append(
            Error(
                str(problem),
                hint=f"Without it passwords cannot be kept: {HOW_TO_MAKE_A_KEY}",
                id="patchbay.E002",
            )
        )
    return missing
