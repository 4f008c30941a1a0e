"""An inbound route in the context of calls from outside."""

from django.conf import settings

from agents.switchxml import CONTEXT, ON_TRANSFER
from eslbridge.publishing import Rendered, Target, publishes
from eslbridge.switchxml import Element

from ..destinations import AGENT
from ..models import BusinessHours, Holiday, InboundRoute
from ..patterns import did_expression
from .dependents import of_holidays, of_hours, of_pointing
from .hours import hours_conditions
from .parts import (
    bridges,
    condition,
    extension,
    go_to,
    instead,
    rung,
    setting,
    transfer,
    voicemail,
    with_revision,
)

# Nobody took the call, though the phone rang; everything else is “busy or not registered”.
UNANSWERED = "^(?:NO_ANSWER|NO_USER_RESPONSE|ALLOTTED_TIMEOUT|MEDIA_TIMEOUT|NORMAL_CLEARING)$"


def inbound_path(route: InboundRoute) -> str:
    return f"dialplan/public/inbound_{route.digits}.xml"


@publishes(
    InboundRoute,
    directory="dialplan/public",
    path=inbound_path,
    related=["hours"],
    prepare=InboundRoute.fetch_targets,
    depends_on={
        **of_pointing(InboundRoute),
        BusinessHours: of_hours(InboundRoute),
        Holiday: of_holidays(InboundRoute),
    },
)
def inbound_file(route: InboundRoute, target: Target) -> Rendered | None:
    """The route's file, or None while the route, or all that it leads to, is off."""
    if not route.is_wanted:
        return None
    owner = f"routes.inboundroute:{route.pk}"
    return with_revision(
        owner, inbound_path(route), "public", lambda revision: _extensions(route, target, revision)
    )


def _extensions(route: InboundRoute, target: Target, revision: Element) -> list[Element]:
    first = (
        setting("domain_name", target.domain),
        setting("patchbay_did", route.did),
        # Whom a phone sends the caller to is understood by the agents' rules, with the rights of that phone.
        setting("force_transfer_context", CONTEXT),
        setting("execute_on_blind_transfer", ON_TRANSFER),
        revision,
    )
    number = condition("destination_number", did_expression(route.did, settings.DEFAULT_REGION))
    opened = _open_actions(route, target)
    name = f"inbound_{route.digits}"
    if not route.hours:
        rules = [extension(name, Element("condition", number.attributes, (*first, *opened)))]
    else:
        closed = instead(go_to(route.closed_destination, route, target))
        rules = [
            extension(
                name,
                Element("condition", number.attributes, first),
                *hours_conditions(route.hours),
                condition("${patchbay_hours}", "^open$", *opened, *closed),
            )
        ]
    if route.has_failover:
        rules.append(_failover(route, target))
    return rules


def _open_actions(route: InboundRoute, target: Target) -> list[Element]:
    if not route.has_failover:
        return go_to(route.destination, route, target)
    return [
        setting("call_timeout", route.ring_seconds),
        setting("hangup_after_bridge", "true"),
        setting("continue_on_fail", "true"),
        *bridges(rung(route.destination, route, target) or ["error/SUBSCRIBER_ABSENT"]),
        transfer(f"next_{route.digits}", "public"),
    ]


def _failover(route: InboundRoute, target: Target) -> Element:
    """What follows when the first destination was not reached; only a call to this DID gets here."""
    return extension(
        f"next_{route.digits}",
        condition("destination_number", f"^next_{route.digits}$"),
        condition("${patchbay_did}", rf"^\+{route.digits}$"),
        condition(
            "${originate_disposition}",
            UNANSWERED,
            *_unanswered(route, target),
            *instead(
                go_to(route.busy_destination, route, target)
                if route.busy_destination
                else _unanswered(route, target)
            ),
        ),
    )


def _unanswered(route: InboundRoute, target: Target) -> list[Element]:
    found = route.target(route.destination)
    if not route.unanswered_destination and route.destination.kind == AGENT and found:
        return voicemail(found.extension, target)
    return go_to(route.unanswered_destination, route, target)
