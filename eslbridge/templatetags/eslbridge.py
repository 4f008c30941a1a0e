"""What templates need to name an object."""

from django import template
from django.db import models

register = template.Library()


@register.filter
def kind(instance: models.Model) -> str:
    """“agents.agent”: how the outbox names the kind of this object."""
    return instance._meta.label_lower
