"""The box “Who rings if …”, for the pages of routes."""

from django import template

from agents.models import Agent
from routes.who_rings import WhoRingsForm

register = template.Library()


@register.inclusion_tag("routes/_who_rings.html")
def who_rings(number: str = "", context: str = "", *, by_agent: bool = False) -> dict[str, object]:
    """A box that asks who rings if `number` is called: from outside, in that context of the dialplan, or by
    the phone of some agent. It stands outside of other forms."""
    extensions = Agent.objects.active().values_list("extension", flat=True)
    caller = (extensions.first() or "") if by_agent else ""
    asked = {"number": number, "context": context, "caller": caller}
    return {"form": WhoRingsForm(initial=asked), "asks_at_once": bool(number)}
