"""What the endpoints of a dial string stand for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .channel import Channel
from .configuration import User
from .dialstring import Leg, split_legs, take_variables

if TYPE_CHECKING:
    from .core import Switch

# How a user is reached when its domain does not say.
DIAL_STRING = "${sofia_contact(*/${dialed_user}@${dialed_domain})}"


@dataclass
class Endpoint:
    """One thing to ring. ``kind``: contact, gateway, address or loopback."""

    kind: str
    target: str
    dialed: str
    variables: dict[str, str] = field(default_factory=dict)
    user: User | None = None


@dataclass
class Resolver:
    """Resolves for one caller, or for nobody when ``originate`` asks."""

    switch: Switch
    caller: Channel | None

    def resolve(self, leg: Leg) -> tuple[list[Endpoint], str]:
        """What can be rung, and the cause when there is nothing."""
        kind, _, target = leg.endpoint.partition("/")
        by_kind = {"user": self._user, "sofia": self._sofia, "group": self._group}
        found = by_kind.get(kind.lower())
        if found is not None:
            return found(target, leg.variables)
        if kind.lower() == "loopback":
            return [Endpoint("loopback", target, target.split("/")[0], dict(leg.variables))], ""
        if kind.lower() == "error":
            return [], target.upper()
        return [], "CHAN_NOT_IMPLEMENTED"

    def _user(self, target: str, variables: dict[str, str]) -> tuple[list[Endpoint], str]:
        name, _, domain = target.partition("@")
        domain = domain or self.switch.domain
        user = self.switch.configuration.user(name, domain)
        if user is None:
            return [], "SUBSCRIBER_ABSENT"
        dialed = {"dialed_user": name, "dialed_domain": domain}
        given = {**variables, **_dial_variables(user), **dialed}
        if self.caller is not None:
            self.caller.set_variables(dialed)
            given |= exported(self.caller)
        text = self.switch.expand_with(user.params.get("dial-string", DIAL_STRING), dialed, self.caller)
        more, rest = take_variables(text, "{", "}")
        endpoints: list[Endpoint] = []
        cause = "USER_NOT_REGISTERED"
        for inner in [leg for group in split_legs(rest)[:1] for leg in group]:
            found, refusal = self.resolve(Leg(inner.endpoint, {**given, **more, **inner.variables}))
            cause = refusal or cause
            for endpoint in found:
                endpoint.user, endpoint.dialed = user, name
            endpoints += found
        return endpoints, "" if endpoints else cause

    def _sofia(self, target: str, variables: dict[str, str]) -> tuple[list[Endpoint], str]:
        profile, _, rest = target.partition("/")
        if profile == "gateway":
            return self._gateway(rest, variables)
        if profile not in self.switch.profiles:
            return [], "INVALID_PROFILE"
        address = rest.removeprefix("sip:")
        kind = "contact" if profile == "internal" else "address"
        return [Endpoint(kind, address, address.split("@", maxsplit=1)[0], dict(variables))], ""

    def _gateway(self, target: str, variables: dict[str, str]) -> tuple[list[Endpoint], str]:
        name, _, number = target.partition("/")
        gateway = self.switch.gateways.get(name)
        if gateway is None:
            return [], "INVALID_GATEWAY"
        if not gateway.usable:
            gateway.failed_calls_out += 1
            return [], "GATEWAY_DOWN"
        given = {"sip_gateway_name": name, **gateway.settings.outbound, **variables}
        return [Endpoint("gateway", target, number, given)], ""

    def _group(self, target: str, variables: dict[str, str]) -> tuple[list[Endpoint], str]:
        name, _, domain = target.partition("@")
        domain = domain or self.switch.domain
        endpoints: list[Endpoint] = []
        cause = "NO_ROUTE_DESTINATION"
        for member in self.switch.group_members(name, domain):
            found, refusal = self._user(f"{member}@{domain}", variables)
            endpoints += found
            cause = refusal or cause
        return endpoints, "" if endpoints else cause


def _dial_variables(user: User) -> dict[str, str]:
    """Params ``dial-var-…`` of a user: variables of every leg that is made to reach it."""
    beginning = "dial-var-"
    return {
        name[len(beginning) :]: value
        for name, value in user.params.items()
        if name.lower().startswith(beginning)
    }


def exported(caller: Channel) -> dict[str, str]:
    """Variables that ``export`` hands on to every leg that is dialled."""
    names = caller.text("export_vars")
    if not names:
        return {}
    values = {"export_vars": names}
    for name in names.split(","):
        value = caller.get_variable(name)
        if value:
            values[name.removeprefix("nolocal:")] = value
    return values
