"""What templates need to name an object, and a moment."""

from datetime import datetime

from django import template
from django.db import models
from django.utils.timezone import localdate, localtime

register = template.Library()


@register.filter
def kind(instance: models.Model) -> str:
    """“agents.agent”: how the outbox names the kind of this object."""
    return instance._meta.label_lower


@register.filter
def moment(at: datetime) -> str:
    """“07:48:37” of today, “2026-11-26 07:48:37” of another day."""
    local = localtime(at)
    return f"{local:%H:%M:%S}" if local.date() == localdate() else f"{local:%Y-%m-%d %H:%M:%S}"
