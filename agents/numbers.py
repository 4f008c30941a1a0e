"""Telephone numbers as people type them, and as they are kept: E.164."""

import re

import phonenumbers
from babel import Locale
from django.conf import settings
from django.core.exceptions import ValidationError

_TYPED = re.compile(r"(?:tel:)?[0-9+()./\s-]+", re.ASCII | re.IGNORECASE)


def to_e164(text: str, what: str = "number") -> str:
    """“+19495431333” from any common way to write it; raises ValidationError with the fix.

    A number without a country code is taken to be one of DEFAULT_REGION.
    """
    typed = text.strip()
    example = phonenumbers.example_number(settings.DEFAULT_REGION)
    like = (
        phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        if example
        else "+19495431333"
    )
    if not _TYPED.fullmatch(typed):
        raise ValidationError(
            f"“{typed[:40]}” is not a telephone {what}. Type digits with the country code, like {like}."
        )
    try:
        number = phonenumbers.parse(typed.lower().removeprefix("tel:"), settings.DEFAULT_REGION)
    except phonenumbers.NumberParseException:
        number = None
    # A number that can only be dialled within its own town is possible, too, but is none with a country code.
    possible = number and phonenumbers.is_possible_number_with_reason(number)
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise ValidationError(
            f"“{typed[:40]}” has too few or too many digits for a telephone {what}. "
            f"Type it with the country code, like {like}."
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def in_words(e164: str) -> str:
    """A number as a person reads it, with where it is from: “+1 949-543-1333, United States”."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    shown = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    country = country_name(phonenumbers.region_code_for_number(number) or "")
    return f"{shown}, {country}" if country else shown


def country_name(region: str) -> str:
    """“United States” for US; empty when it is no country."""
    # Not phonenumbers.geocoder: it loads 100 MB of places for the name of a country.
    return Locale("en").territories.get(region, "")
