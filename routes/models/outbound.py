"""Outbound routes: which numbers may be called, by whom, through which gateways."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models

from agents.numbers import country_name, to_e164
from agents.validators import validate_call_group
from eslbridge.models import PublishedModel

from ..patterns import Unmatchable, numbers_expression, regions
from .gateways import Gateway
from .hours import BusinessHours

_LIST = re.compile(r"[,;\s]+")
_PREFIX = re.compile(r"\+?[0-9]{1,15}", re.ASCII)
_PREPEND = re.compile(r"\+?[0-9*#]{0,15}", re.ASCII)

# Causes with which the next gateway is tried, as the switch names them: the way is bad, not the callee.
WAY_CAUSES = (
    "NORMAL_TEMPORARY_FAILURE",
    "NORMAL_CIRCUIT_CONGESTION",
    "GATEWAY_DOWN",
    "PROGRESS_TIMEOUT",
    "INVALID_GATEWAY",
    "NETWORK_OUT_OF_ORDER",
    "DESTINATION_OUT_OF_ORDER",
    "RECOVERY_ON_TIMER_EXPIRE",
    "SERVICE_UNAVAILABLE",
    "SERVICE_NOT_IMPLEMENTED",
    "SWITCH_CONGESTION",
    "REQUESTED_CHAN_UNAVAIL",
    "EXCHANGE_ROUTING_ERROR",
    "INTERWORKING",
)
REFUSAL_CAUSES = ("CALL_REJECTED", "NO_ROUTE_DESTINATION", "UNALLOCATED_NUMBER", "INCOMPATIBLE_DESTINATION")


class OutboundRoute(PublishedModel):
    """One rule for numbers outside. The first that matches and allows the call decides."""

    class Match(models.TextChoices):
        PREFIX = "prefix", "Numbers that begin with"
        RANGE = "range", "A range of numbers"
        REGION = "region", "Numbers of countries"
        ANY = "any", "Any number"

    class Toll(models.TextChoices):
        LOCAL = "local", "local"
        DOMESTIC = "domestic", "domestic"
        INTERNATIONAL = "international", "international"
        PREMIUM = "premium", "premium"
        EMERGENCY = "emergency", "emergency"

    class Failover(models.TextChoices):
        WAY = "way", "when the gateway fails or is full"
        ALSO_REFUSED = "refused", "also when the carrier refuses the call"
        NEVER = "never", "never"

    class CallerID(models.TextChoices):
        AGENT = "agent", "the agent's outbound caller ID, else the site's"
        SITE = "site", "the site's (DEFAULT_CALLER_ID)"
        ROUTE = "route", "this number:"

    order = models.PositiveSmallIntegerField(default=100, help_text="Small numbers first.")
    name = models.CharField(max_length=80, unique=True)
    is_active = models.BooleanField("active", default=True)
    match = models.CharField("which numbers", max_length=8, choices=Match, default=Match.PREFIX)
    prefixes = models.CharField(
        max_length=200, blank=True, help_text="With the country code, separated by commas: +1949, +1714."
    )
    shortest = models.PositiveSmallIntegerField(
        "fewest digits",
        null=True,
        blank=True,
        validators=[MaxValueValidator(15)],
        help_text="Country code included.",
    )
    longest = models.PositiveSmallIntegerField(
        "most digits", null=True, blank=True, validators=[MaxValueValidator(15)]
    )
    range_first = models.CharField("from", max_length=20, blank=True, help_text="+1 949 543 1000")
    range_last = models.CharField("to", max_length=20, blank=True, help_text="+1 949 543 1999")
    countries = models.CharField(
        max_length=200, blank=True, help_text="Two letters each, separated by commas: US, CA."
    )
    toll_class = models.CharField(
        max_length=13,
        choices=Toll,
        default=Toll.DOMESTIC,
        help_text="Only agents with this permission may use it. “Emergency”: for the emergency numbers of "
        "the region, whatever numbers are given here; everybody may call those.",
    )
    call_groups = models.CharField(
        "only for call groups",
        max_length=200,
        blank=True,
        help_text="Separated by commas. Empty: every agent.",
    )
    hours = models.ForeignKey(
        BusinessHours,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="outbound_routes",
        help_text="Empty: always.",
    )
    gateway = models.ForeignKey(Gateway, models.PROTECT, related_name="routes")
    second_gateway = models.ForeignKey(
        Gateway, models.PROTECT, null=True, blank=True, related_name="second_routes"
    )
    third_gateway = models.ForeignKey(
        Gateway, models.PROTECT, null=True, blank=True, related_name="third_routes"
    )
    failover = models.CharField("next gateway", max_length=8, choices=Failover, default=Failover.WAY)
    strip = models.PositiveSmallIntegerField(
        "digits to strip",
        default=0,
        validators=[MaxValueValidator(14)],
        help_text="From the front of the number with its country code, without +.",
    )
    prepend = models.CharField(
        "digits to prepend",
        max_length=16,
        blank=True,
        default="+",
        help_text="“+” sends +19495431333, nothing sends 19495431333.",
    )
    caller_id = models.CharField("caller ID", max_length=8, choices=CallerID, default=CallerID.AGENT)
    caller_id_number = models.CharField("number", max_length=32, blank=True)

    class Meta:
        ordering = ["order", "pk"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        errors: dict[str, str | ValidationError] = {}
        for name in ("range_first", "range_last", "caller_id_number"):
            if getattr(self, name):
                try:
                    setattr(self, name, to_e164(getattr(self, name)))
                except ValidationError as refused:
                    errors[name] = refused
        for check in (self._check_numbers, self._check_groups, self._check_gateways, self._check_caller_id):
            try:
                check()
            except ValidationError as refused:
                errors |= {
                    name: found for name, found in refused.update_error_dict({}).items() if name not in errors
                }
        if not _PREPEND.fullmatch(self.prepend):
            errors["prepend"] = "Digits, * and #, perhaps after a +."
        if errors:
            raise ValidationError(errors)

    def _check_numbers(self) -> None:
        needed = {"prefix": "prefixes", "range": "range_first", "region": "countries"}.get(self.match)
        if self.toll_class == self.Toll.EMERGENCY:
            return
        if needed and not getattr(self, needed):
            raise ValidationError({needed: "Say which numbers this route is for."})
        for prefix in self.prefix_list if self.match == self.Match.PREFIX else []:
            if not _PREFIX.fullmatch(prefix):
                raise ValidationError(
                    {"prefixes": f"“{prefix[:20]}” is not the beginning of a number, like +1949."}
                )
        unknown = [each for each in self.country_list if each not in regions()]
        if self.match == self.Match.REGION and unknown:
            raise ValidationError(
                {"countries": f"There is no country “{unknown[0][:10]}”. Type two letters each, like US, CA."}
            )
        if self.shortest and self.longest and self.shortest > self.longest:
            raise ValidationError({"longest": "Not fewer than the fewest digits."})
        try:
            numbers_expression(self)
        except Unmatchable as problem:
            raise ValidationError({needed or "match": str(problem)}) from None

    def _check_groups(self) -> None:
        for group in self.group_list:
            try:
                validate_call_group(group)
            except ValidationError as refused:
                raise ValidationError({"call_groups": refused}) from None

    def _check_gateways(self) -> None:
        chosen = [
            name for name in ("gateway", "second_gateway", "third_gateway") if getattr(self, f"{name}_id")
        ]
        seen: set[int] = set()
        for name in chosen:
            gateway = getattr(self, name)
            if gateway.pk in seen:
                raise ValidationError({name: f"{gateway} is chosen twice."})
            if self.is_active and not gateway.is_active:
                raise ValidationError(
                    {name: f"{gateway} is not active. Choose another gateway, or activate it first."}
                )
            seen.add(gateway.pk)
        if self.third_gateway_id and not self.second_gateway_id:
            raise ValidationError({"second_gateway": "Choose the second gateway before the third."})

    def _check_caller_id(self) -> None:
        if self.caller_id == self.CallerID.ROUTE and not self.caller_id_number:
            raise ValidationError({"caller_id_number": "Type the number that people outside see."})

    @property
    def numbers_in_words(self) -> str:
        """Which numbers the route is for, as a person would say it."""
        if self.toll_class == self.Toll.EMERGENCY:
            return "emergency numbers"
        match self.match:
            case self.Match.PREFIX:
                words = "begin with " + ", ".join(f"+{each.removeprefix('+')}" for each in self.prefix_list)
            case self.Match.RANGE:
                return f"{self.range_first} to {self.range_last}"
            case self.Match.REGION:
                words = ", ".join(country_name(each) for each in self.country_list)
            case _:
                words = "any number"
        if self.shortest or self.longest:
            words += f" ({self.shortest or 7} to {self.longest or 15} digits)"
        return words

    @property
    def gateways(self) -> list[Gateway]:
        """In the order in which they are tried."""
        chosen = (self.gateway, self.second_gateway, self.third_gateway)
        return [gateway for gateway in chosen if gateway is not None and gateway.is_active]

    @property
    def prefix_list(self) -> list[str]:
        return [each for each in _LIST.split(self.prefixes) if each]

    @property
    def country_list(self) -> list[str]:
        return [each.upper() for each in _LIST.split(self.countries) if each]

    @property
    def group_list(self) -> list[str]:
        return [each for each in _LIST.split(self.call_groups) if each]

    @property
    def failover_causes(self) -> tuple[str, ...]:
        """With which causes the next gateway is tried."""
        match self.failover:
            case self.Failover.NEVER:
                return ()
            case self.Failover.ALSO_REFUSED:
                return WAY_CAUSES + REFUSAL_CAUSES
        return WAY_CAUSES

    def digits_for(self, number: str) -> str:
        """What the gateway gets for a number in E.164."""
        return self.prepend + number.removeprefix("+")[self.strip :]
