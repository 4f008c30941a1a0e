"""The box “Who rings if …”, for the pages of routes."""

from django import template

from routes.who_rings import WhoRingsForm

register = template.Library()


@register.inclusion_tag("routes/_who_rings.html")
def who_rings(number: str = "", caller: str = "") -> dict[str, object]:
    """A box that asks who rings if `number` is called; it stands outside of other forms."""
    return {"form": WhoRingsForm(initial={"number": number, "caller": caller}), "asks_at_once": bool(number)}
