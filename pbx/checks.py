"""What must be right before anything starts, with the fix. That a variable is missing at all, the settings
themselves refuse (pbx.launch.surroundings)."""

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from agents.encryption import HOW_TO_MAKE_A_KEY, cipher


@register
def passwords_can_be_kept(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    """FIELD_ENCRYPTION_KEYS hold a key: “,” is a list, too."""
    try:
        cipher()
    except ImproperlyConfigured as problem:
        hint = f"Without it passwords cannot be kept: {HOW_TO_MAKE_A_KEY}"
        return [Error(str(problem), hint=hint, id="patchbay.E002")]
    return []
