"""Rules for what users type about phones. One place: forms, API and imports all call these."""

import re

from django.core.exceptions import ValidationError

from eslbridge.switchxml import UnsafeValue, check_value

_EXTENSION = re.compile(r"[1-9][0-9]{3,5}", re.ASCII)
# The switch cuts a caller-ID name at `"`, `@`, `:` and `/`; braces and backslashes mean something to it.
_NOT_CARRIED = re.compile(r'["@:/{}\\]')


def validate_extension(value: str) -> None:
    """4 to 6 digits, the first not 0 (0 reaches the operator on most systems)."""
    if not _EXTENSION.fullmatch(value):
        raise ValidationError(
            "An extension is 4 to 6 digits from 0 to 9 and does not begin with 0, like 1020."
        )


def validate_display_name(value: str) -> None:
    """A name that can go over SIP, into the XML and through `originate` and arrive as it was typed."""
    try:
        check_value(value, "The name")
    except UnsafeValue as refused:
        raise ValidationError(f"The name {refused.problem}") from None
    if found := _NOT_CARRIED.search(value):
        raise ValidationError(f"The name holds “{found[0]}”, which the switch cannot carry. Leave it out.")
    if not value.strip():
        raise ValidationError("The name is empty.")
    if value != value.strip():
        raise ValidationError("The name begins or ends with a space. Leave it out.")
