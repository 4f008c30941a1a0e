"""How calls are written on pages."""

import re

from django import template

register = template.Library()


@register.filter
def is_number(text: str) -> bool:
    """Whether that can be called; “anonymous” and “voicemail” cannot."""
    return re.fullmatch(r"\+?[0-9*#]{2,32}", text, re.ASCII) is not None


@register.filter
def named(number: str, names: dict[str, str]) -> str:
    """“1020 Alice” for an agent's extension, the number itself for any other."""
    name = names.get(number)
    return f"{number} {name}" if name else number


@register.filter
def elapsed(since: float, now: float) -> str:
    """“1:02:03” or “2:03” for the time between two instants in seconds since 1970."""
    seconds = max(0, int(now - since))
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
