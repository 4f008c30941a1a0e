"""How routes reach the switch's dialplan."""

from hashlib import sha256

from agents.models import Agent
from agents.switchxml import CONTEXT
from eslbridge.publishing import Check, Rendered, Target, publishes
from eslbridge.switchxml import Element, Expression, document

from .models import InboundRoute


def inbound_path(route: InboundRoute) -> str:
    return f"dialplan/public/inbound_{route.digits}.xml"


def _action(application: str, data: str) -> Element:
    return Element("action", {"application": application, "data": data})


def _extension(route: InboundRoute, target: Target, revision: str) -> Element:
    """The DID with or without its +, as carriers send either."""
    return Element(
        "extension",
        {"name": f"inbound_{route.digits}"},
        (
            Element(
                "condition",
                {"field": "destination_number", "expression": Expression(rf"^\+?{route.digits}$")},
                (
                    _action("set", f"domain_name={target.domain}"),
                    _action("set", f"patchbay_did={route.did}"),
                    _action("set", f"patchbay_revision={revision}"),
                    _action("transfer", f"{route.agent.extension} XML {CONTEXT}"),
                ),
            ),
        ),
    )


@publishes(
    InboundRoute,
    directory="dialplan/public",
    path=inbound_path,
    related=["agent"],
    depends_on={Agent: "agent"},
)
def inbound_file(route: InboundRoute, target: Target) -> Rendered | None:
    """The route's file, or None while the route or its agent is off."""
    if not (route.is_active and route.agent.is_active):
        return None
    owner = f"routes.inboundroute:{route.pk}"
    revision = sha256(document(owner, [_extension(route, target, "")]).encode()).hexdigest()[:16]
    return Rendered(
        document(owner, [_extension(route, target, revision)]),
        (
            Check(
                "xml_locate dialplan context name public",
                f"patchbay_revision={revision}",
                f"The file was written and reloaded, but the switch does not read {inbound_path(route)}: "
                "its public context must include public/*.xml",
            ),
        ),
    )
