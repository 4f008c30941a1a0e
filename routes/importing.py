"""Inbound routes and ring groups as spreadsheets."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError

from agents.numbers import to_e164
from eslbridge.importing.columns import Column, Digits, Named, OneOf, Telephone, Text, Word, YesNo, as_typed
from eslbridge.importing.resource import PublishedResource
from eslbridge.importing.sheets import Sheet

from .destinations import HOW_TO_TYPE, Destination, Words, all_names, fetch, typed
from .models import BusinessHours, Gateway, InboundRoute, OutboundRoute, RingGroup


class Somewhere(Text):
    """A destination as a person types it; all that a file names is looked up in a few queries, by `load`."""

    def __init__(self) -> None:
        super().__init__()
        self.words = Words()
        self.names: dict[Destination, str] | None = None

    def load(self, values: Iterable[str]) -> None:
        self.words.load(values)

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        try:
            return self.words.read(as_typed(value)) if value.strip() else None
        except ValidationError as refused:
            raise ValueError(" ".join(refused.messages)) from None

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        if self.names is None:
            self.names = all_names()
        return self.names.get(value, typed(value, {})) if value else ""


class Several(Somewhere):
    """Destinations, separated by semicolons."""

    def load(self, values: Iterable[str]) -> None:
        self.words.load([part for value in values for part in value.split(";")])

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        return [super(Several, self).clean(part) for part in value.split(";") if part.strip()]

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "; ".join(super(Several, self).render(each) for each in value or [])


class Number(Digits):
    """A whole number."""

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        text = super().clean(value)
        if not text.isascii() or not text.isdigit():
            raise ValueError("This is not a whole number.")
        return int(text)


class PointingResource(PublishedResource):
    """What the rows lead to is fetched once, for all of them."""

    class Meta(PublishedResource.Meta):
        abstract = True

    def before_import(self, dataset: Sheet, **kwargs: Any) -> None:
        super().before_import(dataset, **kwargs)
        known = fetch(each for instance in self._existing.values() for _, each in instance.destinations())
        for column in self._present:
            if isinstance(column.widget, Somewhere):
                known |= column.widget.words.targets
        self.targets = known

    def import_instance(self, instance: Any, row: Mapping[str, str], **kwargs: Any) -> None:
        instance.point_among(self.targets)
        super().import_instance(instance, row, **kwargs)


class InboundRouteResource(PointingResource):
    """One row a DID, found again by its number in any form."""

    did = Column(
        "did",
        Telephone(partial(to_e164, what="number (DID)")),
        "The number that callers dial, in any common form. Says which route this is.",
        required=True,
    )
    description = Column("description", Text(), "For you.")
    destination = Column("destination", Somewhere(), HOW_TO_TYPE, required=True)
    hours = Column(
        "hours",
        Named(BusinessHours, "name", "There are no business hours “{}”. Add them first, or leave it out."),
        "Name of business hours. Empty: always open.",
    )
    closed_destination = Column("closed_destination", Somewhere(), "Outside the business hours.")
    ring_seconds = Column("ring_seconds", Number(), "Seconds before “nobody answers”.", keeps=True)
    unanswered_destination = Column("unanswered_destination", Somewhere(), "When nobody answers.")
    busy_destination = Column("busy_destination", Somewhere(), "When busy or not registered.")
    active = Column("is_active", YesNo(), "yes or no.", keeps=True)

    class Meta:
        model = InboundRoute
        import_id_fields = ["did"]


class GatewayResource(PublishedResource):
    """One row a gateway, found again by its name."""

    name = Column("name", Word(), "One word. Says which gateway this is.", required=True)
    description = Column("description", Text(), "For you.")
    proxy = Column("proxy", Word(), "The carrier's SIP server.", required=True)
    outbound_proxy = Column("outbound_proxy", Word(), "Only if the carrier names one.")
    transport = Column("transport", OneOf(dict(Gateway.Transport.choices)), "udp, tcp or tls.", keeps=True)
    registers = Column("registers", YesNo(), "yes or no.", keeps=True)
    username = Column("username", Word(), "The carrier's user name.")
    password = Column("password", Word(), "Empty: kept.", keeps=True, secret=True)
    realm = Column("realm", Word(), "Empty: the proxy.")
    from_domain = Column("from_domain", Word(), "Empty: the realm.")
    codecs = Column("codecs", Word(), "Like PCMU,PCMA.")
    caller_id_in_from = Column("caller_id_in_from", YesNo(), "yes or no.", keeps=True)
    caller_id_header = Column(
        "caller_id_header", OneOf(dict(Gateway.CallerID.choices)), "rpid, pid or none.", keeps=True
    )
    ping_seconds = Column("ping_seconds", Number(), "0: never.", keeps=True)
    most_calls = Column("most_calls", Number(), "Calls out at the same time. Empty: no limit.")
    active = Column("is_active", YesNo(), "yes or no.", keeps=True)

    class Meta:
        model = Gateway
        import_id_fields = ["name"]


_NO_GATEWAY = "There is no gateway “{}”. Add it first, or correct the name."


class OutboundRouteResource(PublishedResource):
    """One row an outbound route, found again by its name."""

    name = Column("name", Text(), "Says which route this is.", required=True)
    order = Column("order", Number(), "Small numbers first.", keeps=True)
    match = Column(
        "match", OneOf(dict(OutboundRoute.Match.choices)), "prefix, range, region or any.", keeps=True
    )
    prefixes = Column("prefixes", Word(), "+1949, +1714")
    shortest = Column("shortest", Number(), "Fewest digits.")
    longest = Column("longest", Number(), "Most digits.")
    range_first = Column("range_first", Telephone(to_e164), "First of a range.")
    range_last = Column("range_last", Telephone(to_e164), "Last of a range.")
    countries = Column("countries", Word(), "US, CA")
    toll_class = Column("toll_class", OneOf(dict(OutboundRoute.Toll.choices)), "Who may use it.", keeps=True)
    call_groups = Column("call_groups", Word(), "Only for these call groups.")
    hours = Column(
        "hours", Named(BusinessHours, "name", "There are no business hours “{}”."), "Empty: always."
    )
    gateway = Column("gateway", Named(Gateway, "name", _NO_GATEWAY), "By which calls go out.", required=True)
    second_gateway = Column("second_gateway", Named(Gateway, "name", _NO_GATEWAY), "Tried next.")
    third_gateway = Column("third_gateway", Named(Gateway, "name", _NO_GATEWAY), "Tried last.")
    failover = Column(
        "failover", OneOf(dict(OutboundRoute.Failover.choices)), "way, refused or never.", keeps=True
    )
    strip = Column("strip", Number(), "Digits to strip.", keeps=True)
    prepend = Column("prepend", Word(), "Digits to prepend.")
    caller_id = Column(
        "caller_id", OneOf(dict(OutboundRoute.CallerID.choices)), "agent, site or route.", keeps=True
    )
    caller_id_number = Column("caller_id_number", Telephone(to_e164), "For caller_id route.")
    active = Column("is_active", YesNo(), "yes or no.", keeps=True)

    class Meta:
        model = OutboundRoute
        import_id_fields = ["name"]


class RingGroupResource(PointingResource):
    """One row a ring group, found again by its extension."""

    extension = Column("extension", Digits(), "4 to 6 digits that no agent has.", required=True)
    name = Column("name", Word(), "Shown in lists.", required=True)
    members = Column(
        "members", Several(), "Extensions and numbers outside in order: 1020; 1021.", required=True
    )
    strategy = Column(
        "strategy", OneOf(dict(RingGroup.Strategy.choices)), "at_once, in_order or longest_idle.", keeps=True
    )
    ring_seconds = Column("ring_seconds", Number(), "Seconds each member rings.", keeps=True)
    total_seconds = Column("total_seconds", Number(), "Seconds in all.", keeps=True)
    skips_busy = Column("skips_busy", YesNo(), "yes or no.", keeps=True)
    prefix = Column("prefix", Word(), "Before the caller's name.")
    then = Column("then", Somewhere(), "When nobody answered.")
    active = Column("is_active", YesNo(), "yes or no.", keeps=True)

    class Meta:
        model = RingGroup
        import_id_fields = ["extension"]
