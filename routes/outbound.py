"""How a number outside is reached: the same rules as the dialplan's, for buttons, forwards and forms."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from agents.models import Agent

from .models.gateways import Gateway
from .models.outbound import OutboundRoute
from .patterns import emergency_expression, numbers_expression, premium_expression

# Why a call is refused: the word that the dialplan puts into patchbay_refused, and the reason for people.
NO_ROUTE = "no_route"
REASONS = {
    NO_ROUTE: "No route for this number",
    "local": "Not allowed: local",
    "domestic": "Not allowed: domestic",
    "international": "Not allowed: international",
    "premium": "Not allowed: premium",
    "group": "Not allowed: other call groups only",
    "closed": "Not allowed: outside business hours",
}


class NotAllowed(Exception):
    """No route takes the call; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS.get(reason, reason))
        self.reason = reason


@dataclass(frozen=True)
class Plan:
    """How a number is called: `digits` go to each gateway in order; people outside see `caller_id`."""

    route: OutboundRoute
    digits: str
    gateways: list[Gateway]
    caller_id: str


def active_routes() -> list[OutboundRoute]:
    """All that may be used, in the order in which they are tried."""
    related = ("gateway", "second_gateway", "third_gateway", "hours")
    ordered = OutboundRoute.objects.filter(is_active=True).select_related(*related)
    return [route for route in ordered if route.toll_class != OutboundRoute.Toll.EMERGENCY]


def plan(number: str, agent: Agent | None = None, routes: Iterable[OutboundRoute] | None = None) -> Plan:
    """How `number` (E.164) is called by that agent, or without one: forwarded by the site's own decision.

    Raises NotAllowed. Business hours of routes are left to the dialplan: only it knows when the call comes.
    """
    digits = number.removeprefix("+")
    refusal = NO_ROUTE
    for route in active_routes() if routes is None else routes:
        if not re.search(numbers_expression(route), digits) or not route.gateways:
            continue
        if refused := _refused(route, agent, digits):
            refusal = refusal if refusal != NO_ROUTE else refused
            continue
        return Plan(route, route.digits_for(number), route.gateways, caller_id(route, agent))
    raise NotAllowed(refusal)


def _refused(route: OutboundRoute, agent: Agent | None, digits: str) -> str:
    is_premium = (premium := premium_expression(settings.DEFAULT_REGION)) and re.search(premium, digits)
    if is_premium and route.toll_class != OutboundRoute.Toll.PREMIUM:
        return OutboundRoute.Toll.PREMIUM
    if agent is None:
        return "group" if route.group_list else ""
    if route.group_list and agent.call_group not in route.group_list:
        return "group"
    return "" if route.toll_class in agent.toll_allow.split(",") else route.toll_class


def caller_id(route: OutboundRoute, agent: Agent | None) -> str:
    """The number that people outside see, in E.164; empty when nobody configured one."""
    if route.caller_id == OutboundRoute.CallerID.ROUTE:
        return route.caller_id_number
    if route.caller_id == OutboundRoute.CallerID.AGENT and agent and agent.outbound_caller_id:
        return agent.outbound_caller_id
    return settings.DEFAULT_CALLER_ID


def is_emergency(dialled: str) -> bool:
    """Whether these digits are an emergency number of the region."""
    expression = emergency_expression(settings.DEFAULT_REGION)
    return bool(expression) and re.search(expression, dialled) is not None
