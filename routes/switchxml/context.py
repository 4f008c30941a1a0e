"""The agents' dialplan context: emergency numbers, groups, agents, outbound routes, and what is refused."""

from django.conf import settings

from agents.switchxml import CONTEXT, GONE, TRANSFERRED, agents_rule, counted
from eslbridge.publishing import Check, Rendered, Target, publishes_always
from eslbridge.switchxml import Element, Expression, Include, document

from ..models import Gateway, OutboundRoute
from ..outbound import NO_ROUTE, REASONS
from ..patterns import dialled_forms, emergency_expression, premium_expression
from .outbound import NUMBER, refusal, ways
from .parts import BY_NAME, action, condition, extension, setting, with_revision

_CONTEXT_FILE = f"dialplan/00_{CONTEXT}.xml"
_EMERGENCY_FILE = f"{BY_NAME}/00_emergency.xml"
# Vanilla's own extensions: what the directory does not know among them would be answered by its voicemail.
_VANILLA = "^10[01][0-9]$"


@publishes_always("routes.context", directory="dialplan", paths=[_CONTEXT_FILE])
def context_file(path: str, target: Target) -> Rendered:
    """The frame that includes the rules of groups and routes.

    What is no agent's, group's or outside number is left to the switch's own `default`: feature codes,
    conferences. Nothing that looks like a telephone number ever gets there.
    """
    rules = (
        *_transferred(),
        _caller(),
        _understood(),
        _forwarded(),
        *_premium(),
        Include(f"{CONTEXT}/*.xml"),
        agents_rule(target),
        extension(
            "patchbay_absent",
            condition("destination_number", _VANILLA, *_refuse("404 Not Found", "UNALLOCATED_NUMBER")),
        ),
        _gone(),
        _refused(),
        extension(
            "patchbay_default",
            condition(
                "destination_number", "^([0-9A-Za-z*#+_.-]{1,64})$", action("transfer", "$1 XML default")
            ),
        ),
    )
    return Rendered(
        document("routes.context:0", [Element("context", {"name": CONTEXT}, rules)]),
        (
            Check(
                f"xml_locate dialplan context name {CONTEXT}",
                "patchbay_agents",
                f"The file was written and reloaded, but the switch does not read {path}: "
                "its dialplan must include dialplan/*.xml",
            ),
        ),
    )


# What a leg may do, and is called by, when it is sent on.
_RIGHTS = ("toll_allow", "callgroup", "outbound_caller_id_number", "outbound_caller_id_name")


def _transferred() -> list[Element]:
    """Runs on a leg at the moment when the other one sends it on (`execute_on_blind_transfer`).

    It takes over the rights of the agent's phone that sends it: neither has a caller from outside the rights
    of a number that he was forwarded to, nor can he send an agent's phone, or a callee, abroad on the
    agent's account. Other transfers, by the dialplan or by a button, change nothing.
    """
    number = condition("destination_number", f"^{TRANSFERRED}$")
    sender = "${uuid_getvar(${signal_bond} %s)}"  # answers an error, and no digits, when there is none
    given = [setting(name, Expression(sender % name), inline=True) for name in _RIGHTS]
    none = [setting(name, "", inline=True, tag="anti-action") for name in _RIGHTS]
    end = action("eval", "done")
    return [
        extension(
            TRANSFERRED,
            number,
            condition(sender % "endpoint_disposition", "^BLIND_TRANSFER$"),
            condition(sender % "patchbay_agent", "^[1-9][0-9]{3,5}$", *given, *none, goes_on=True),
            Element("condition", {"break": "never"}, (setting("patchbay_forward", ""), end)),
        ),
        extension(f"{TRANSFERRED}_otherwise", Element("condition", number.attributes, (end,))),
    ]


def _caller() -> Element:
    """Whoever calls from an agent's phone is counted from the answer on. Here and not in each user's file, of
    which the switch reads every byte with every reload."""
    agent = condition(
        "${patchbay_agent}",
        "^([1-9][0-9]{3,5})$",
        setting("execute_on_answer", counted("$1")),
        setting("limit_ignore_transfer", "true"),
    )
    return extension("patchbay_caller", agent, goes_on=True)


def _understood() -> Element:
    """What was dialled as E.164 without +, in `patchbay_number`; empty for extensions and services."""
    nothing = [
        setting("patchbay_number", "", inline=True),
        setting("patchbay_refused", "", inline=True),
        setting("patchbay_application", "", inline=True),
        setting("patchbay_reason", f"404 {REASONS[NO_ROUTE]}", inline=True),
        setting("patchbay_cause", "NO_ROUTE_DESTINATION", inline=True),
        setting("patchbay_forwarded", "", inline=True),
    ]
    forms = [
        Element(
            "condition",
            {
                "field": "destination_number",
                "expression": Expression(form.expression),
                "break": "on-true",
            },
            (setting("patchbay_number", form.result, inline=True),),
        )
        for form in dialled_forms(settings.DEFAULT_REGION)
    ]
    start = Element("condition", {"break": "never"}, tuple(nothing))
    return extension("patchbay_number", start, *forms, goes_on=True)


def _forwarded() -> Element:
    """An administrator sends calls to this number, whoever calls: its class is allowed, for it alone."""
    toll = setting("patchbay_forwarded", Expression("${patchbay_forward_toll}"), inline=True)
    same = condition(f"${{patchbay_forward}}={NUMBER}", r"^([0-9]+)=\1$", toll)
    return extension("patchbay_forwarded", same, goes_on=True)


def _premium() -> list[Element]:
    expression = premium_expression(settings.DEFAULT_REGION)
    if not expression:
        return []
    return [extension("patchbay_premium", condition(NUMBER, expression, *refusal("premium")), goes_on=True)]


def _refuse(reason: str, cause: str) -> tuple[Element, ...]:
    """An unanswered caller's phone shows the reason; a leg that is answered already is just ended."""
    return action("respond", reason), action("hangup", cause)


def _gone() -> Element:
    """An agent who is off or deleted: the switch's own dialplan may have a conference of that number."""
    return extension(
        "patchbay_gone",
        condition("destination_number", "^[1-9][0-9]{3,5}$"),
        condition(
            f"${{db(select/{GONE}/${{destination_number}})}}",
            "^1$",
            *_refuse("404 Not Found", "UNALLOCATED_NUMBER"),
        ),
    )


def _refused() -> Element:
    return extension(
        "patchbay_refused",
        condition(
            NUMBER,
            "^[0-9]+$",
            setting("patchbay_refusal", Expression("${patchbay_reason}")),  # for the record
            *_refuse(Expression("${patchbay_reason}"), Expression("${patchbay_cause}")),
        ),
    )


# --- emergency calls -------------------------------------------------------------------------------


@publishes_always(
    "routes.emergency", directory=BY_NAME, paths=[_EMERGENCY_FILE], depends_on=[Gateway, OutboundRoute]
)
def emergency_file(path: str, target: Target) -> Rendered:
    """The emergency numbers of the region: before everything else, for everybody, by every gateway that there
    is, those of routes for emergency calls first."""
    return with_revision("routes.emergency:0", path, CONTEXT, lambda revision: [_emergency(revision)])


def _emergency(revision: Element) -> Element:
    expression = emergency_expression(settings.DEFAULT_REGION) or "^(?!)"
    gateways = emergency_gateways()
    if not gateways:
        return extension(
            "emergency",
            condition(
                "destination_number",
                expression,
                revision,
                *_refuse("503 No gateway for emergency calls", "NO_ROUTE_DESTINATION"),
            ),
        )
    shown = settings.EMERGENCY_CALLER_ID or settings.DEFAULT_CALLER_ID
    caller_id = [setting("effective_caller_id_number", shown)] if shown else []
    actions = [
        revision,
        setting("hangup_after_bridge", "true"),
        setting("continue_on_fail", "true"),
        setting("patchbay_route", "emergency"),
        *caller_id,
        *ways(gateways, "${destination_number}", limited=False),
        action("hangup", Expression("${originate_disposition}")),
    ]
    return extension("emergency", condition("destination_number", expression, *actions))


def emergency_gateways() -> list[Gateway]:
    """Those of the active routes for emergency calls in order, then all others that calls go out by."""
    related = ("gateway", "second_gateway", "third_gateway")
    routes = list(OutboundRoute.objects.filter(is_active=True).select_related(*related))
    first = [route for route in routes if route.toll_class == OutboundRoute.Toll.EMERGENCY]
    ordered = [gateway for route in first + routes for gateway in route.gateways]
    return list({gateway.pk: gateway for gateway in ordered}.values())
