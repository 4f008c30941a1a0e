"""Inbound routes as a spreadsheet."""

from functools import partial

from agents.models import Agent
from eslbridge.importing.columns import Column, Named, Telephone, Text, YesNo
from eslbridge.importing.resource import PublishedResource

from .models import InboundRoute
from .validators import to_e164


class InboundRouteResource(PublishedResource):
    """One row a DID, found again by its number in any form."""

    did = Column(
        "did",
        Telephone(partial(to_e164, what="number (DID)")),
        "The number that callers dial, in any common form. Says which route this is.",
        required=True,
    )
    description = Column("description", Text(), "For you.")
    agent = Column(
        "agent",
        Named(Agent, "extension", "There is no agent “{}”. Add the agent first, or correct the extension."),
        "Extension of the agent whose phone rings.",
        required=True,
    )
    active = Column("is_active", YesNo(), "yes or no.", keeps=True)

    class Meta:
        model = InboundRoute
        import_id_fields = ["did"]
