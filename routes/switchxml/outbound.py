"""Outbound routes in the agents' context, each a file, in their order."""

from django.conf import settings

from agents.switchxml import ON_TRANSFER
from eslbridge.publishing import Rendered, Target, publishes
from eslbridge.switchxml import Element, Expression

from ..models import BusinessHours, Gateway, Holiday, OutboundRoute
from ..outbound import REASONS
from ..patterns import numbers_expression, premium_expression
from .dependents import of_holidays, of_hours
from .hours import hours_conditions
from .parts import BY_NAME, CONTEXT, PROGRESS_SECONDS, action, condition, extension, setting, with_revision

NUMBER = "${patchbay_number}"
# The classes of calls that the caller may make, and that of the number that he was forwarded to.
ALLOWED = "${toll_allow},${patchbay_forwarded}"


def outbound_path(route: OutboundRoute) -> str:
    return f"{BY_NAME}/50_outbound_{route.order:05}_{route.pk}.xml"


def _using(gateways: list[Gateway]) -> list[OutboundRoute]:
    columns = ("gateway", "second_gateway", "third_gateway")
    return [
        route for column in columns for route in OutboundRoute.objects.filter(**{f"{column}__in": gateways})
    ]


@publishes(
    OutboundRoute,
    directory=BY_NAME,
    path=outbound_path,
    related=["gateway", "second_gateway", "third_gateway", "hours"],
    depends_on={
        Gateway: _using,
        BusinessHours: of_hours(OutboundRoute),
        Holiday: of_holidays(OutboundRoute),
    },
)
def outbound_file(route: OutboundRoute, target: Target) -> Rendered | None:
    """The route's file, or None while it or all its gateways are off. Routes for emergency calls are part of
    the emergency file."""
    if not route.is_active or not route.gateways or route.toll_class == OutboundRoute.Toll.EMERGENCY:
        return None
    owner = f"routes.outboundroute:{route.pk}"
    return with_revision(
        owner,
        outbound_path(route),
        CONTEXT,
        lambda revision: [*_refusals(route), _rule(route, revision)],
    )


def _matching(route: OutboundRoute) -> list[Element]:
    conditions = [condition(NUMBER, numbers_expression(route))]
    premium = premium_expression(settings.DEFAULT_REGION)
    if premium and route.toll_class != OutboundRoute.Toll.PREMIUM:
        conditions.append(condition(NUMBER, f"^(?!{premium.removeprefix('^')})"))
    return conditions


def _group(route: OutboundRoute) -> str:
    return f"^(?:{'|'.join(route.group_list)})$"


def _toll(route: OutboundRoute) -> str:
    return f"(?:^|,){route.toll_class}(?:,|$)"


def _refusals(route: OutboundRoute) -> list[Element]:
    """Says why this route does not take the call, for when no other one does: the first reason counts."""
    checks = []
    if route.hours:
        checks += [*hours_conditions(route.hours), _unless("${patchbay_hours}", "^open$", "closed")]
    checks.append(_unless(ALLOWED, _toll(route), route.toll_class))
    if route.group_list:
        checks.append(_unless("${callgroup}", _group(route), "group"))
    unsaid = condition("${patchbay_refused}", "^$")
    return [extension(f"outbound_{route.pk}_refusal", *_matching(route), unsaid, *checks, goes_on=True)]


def _unless(field: str, expression: str, refused: str) -> Element:
    return condition(field, expression, *refusal(refused, tag="anti-action"), goes_on=True)


def refusal(refused: str, *, tag: str = "action") -> tuple[Element, ...]:
    """Keeps why the call is refused: for the record, and for the caller's phone."""
    return (
        setting("patchbay_refused", refused, inline=True, tag=tag),
        setting("patchbay_reason", f"403 {REASONS[refused]}", inline=True, tag=tag),
        setting("patchbay_cause", "OUTGOING_CALL_BARRED", inline=True, tag=tag),
    )


def _rule(route: OutboundRoute, revision: Element) -> Element:
    digits = setting("patchbay_digits", f"{route.prepend}$1", inline=True)
    conditions = [*_matching(route), condition(NUMBER, f"^[0-9]{{{route.strip}}}([0-9]+)$", digits)]
    if route.group_list:
        conditions.append(condition("${callgroup}", _group(route)))
    if route.hours:
        conditions += [*hours_conditions(route.hours), condition("${patchbay_hours}", "^open$")]
    causes = ",".join(route.failover_causes) or "false"
    actions = [
        revision,
        setting("patchbay_route", route.pk),
        setting("hangup_after_bridge", "true"),
        setting("continue_on_fail", causes),
        *_caller_id(route),
        # The callee may be sent on, too.
        action("export", f"nolocal:execute_on_blind_transfer={ON_TRANSFER}"),
        # What the last attempt says; without any, every gateway is at its limit.
        setting("originate_disposition", "NORMAL_CIRCUIT_CONGESTION"),
        *ways(route.gateways, "${patchbay_digits}"),
        action("hangup", Expression("${originate_disposition}")),
    ]
    return extension(f"outbound_{route.pk}", *conditions, condition(ALLOWED, _toll(route), *actions))


def _caller_id(route: OutboundRoute) -> list[Element]:
    match route.caller_id:
        case OutboundRoute.CallerID.ROUTE:
            number = route.caller_id_number
        case OutboundRoute.CallerID.SITE:
            number = settings.DEFAULT_CALLER_ID
        case _:  # the agent's user file says it; it has the site's when the agent has none
            return [
                setting("effective_caller_id_number", Expression("${outbound_caller_id_number}")),
                setting("effective_caller_id_name", Expression("${outbound_caller_id_name}")),
            ]
    name = settings.DEFAULT_CALLER_NAME or number
    both = (("effective_caller_id_number", number), ("effective_caller_id_name", name))
    return [setting(variable, value) for variable, value in both if value]


def ways(gateways: list[Gateway], digits: str, *, limited: bool = True) -> list[Element]:
    """The attempts, one gateway after the other; one at its limit of calls is passed over."""
    patience = [f"{{leg_progress_timeout={PROGRESS_SECONDS}}}"] * (len(gateways) - 1) + [""]
    return [
        _attempt(f"{prefix}sofia/gateway/{gateway.name}/{digits}", gateway, limited)
        for gateway, prefix in zip(gateways, patience, strict=True)
    ]


def _attempt(call: str, gateway: Gateway, limited: bool) -> Element:
    if not limited or gateway.most_calls is None:
        return action("bridge", Expression(call))
    limit = f"hash patchbay gateway_{gateway.name} {gateway.most_calls}"
    return action("limit_execute", Expression(f"{limit} bridge {call}"))
