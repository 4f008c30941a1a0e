"""Which number people outside see."""

from django.conf import settings

from agents.models import Agent
from routes.models import OutboundRoute
from routes.outbound import active_routes
from routes.switchxml.context import emergency_gateways

from .findings import Findings, many, ok, warning
from .site import Site

CallerID = OutboundRoute.CallerID
SITE_WIDE = "Set DEFAULT_CALLER_ID to a number of yours, like +19495431333, for the site and its worker"


def check_caller_id(site: Site) -> Findings:
    """Whether calls go out with a number that can be called back: without any the carrier gets the extension,
    and refuses the call or shows what nobody can call."""
    site.require_database()
    if settings.DEFAULT_CALLER_ID:
        yield ok(f"calls go out with {settings.DEFAULT_CALLER_ID} unless agent or route say otherwise")
        return
    routes = [route for route in active_routes() if route.gateways]
    named = {kind: [route.name for route in routes if route.caller_id == kind] for kind in CallerID}
    agents = list(Agent.objects.active().filter(outbound_caller_id=""))
    if named[CallerID.SITE]:
        yield warning(
            f"calls by the outbound route {named[CallerID.SITE][0]} go out with the extension as caller ID: "
            "the site has none",
            f"{SITE_WIDE}, or give the route a caller ID of its own.",
        )
    if named[CallerID.AGENT] and agents:
        yield warning(
            f"{many(len(agents), 'agent')}, like {agents[0]}, would call out with the extension as caller "
            "ID: neither they nor the site have one",
            f"{SITE_WIDE}, or fill in “outbound caller ID” on their forms, or give the outbound route "
            f"{named[CallerID.AGENT][0]} a caller ID of its own.",
        )
    if not settings.EMERGENCY_CALLER_ID and emergency_gateways():
        yield warning(
            "emergency services would see the extension, and could not call back",
            "Set EMERGENCY_CALLER_ID to the number by which they know your address, or DEFAULT_CALLER_ID.",
        )
    elif not named[CallerID.SITE] and not (named[CallerID.AGENT] and agents):
        yield ok(
            "each call that can go out has a caller ID" if routes else "no calls go out: there is no route"
        )
