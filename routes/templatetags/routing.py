"""What templates of routing need."""

import phonenumbers
from django import template
from django.conf import settings

from ..models import OutboundRoute

register = template.Library()


@register.filter
def of(known: dict[str, int], name: str) -> int | None:
    """What a mapping has for a name; None when nothing."""
    return known.get(name)


@register.simple_tag
def example_digits(route: OutboundRoute) -> str:
    """“+1 201-555-0123 is sent as 12015550123”: a number of the region as this route sends it."""
    number = phonenumbers.example_number(settings.DEFAULT_REGION)
    if number is None or not hasattr(route, "digits_for"):
        return ""
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{e164} is sent as {route.digits_for(e164)}"
