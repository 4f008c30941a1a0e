"""Builds `originate` from typed parts: what a user typed is a value in it, never its grammar."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

_DESTINATION = re.compile(r"\+?[0-9*#]{1,32}", re.ASCII)
_USER = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_DOMAIN = re.compile(r"[0-9A-Za-z.:\[\]_-]{1,255}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_LEG = re.compile(r"[0-9A-Za-z._:-]{1,120}", re.ASCII)
# Without what stands between several endpoints, begins variables, or is quoted away.
_CONTACT = re.compile(r"sofia/[0-9A-Za-z._-]{1,64}/sips?:[0-9A-Za-z@.:;=%_~+*!?&/()-]{1,400}", re.ASCII)
# Braces end the list of variables; `${` is expanded; control characters end the command; `:_:` stands between
# several originates; a value that begins with `ARRAY::` becomes a list.
_UNCARRIED = re.compile(r"[{}\x00-\x1f\x7f]|\$\{|:_:|\AARRAY::")


def check_destination(text: str, what: str = "The number") -> str:
    """The text when it is digits, * and #, perhaps after a +; raises ValueError otherwise."""
    if not _DESTINATION.fullmatch(text):
        raise ValueError(f"{what} may hold digits, * and # only, perhaps after a +: “{text[:40]}” does not.")
    return text


def check_name(text: str, what: str) -> str:
    """The name of a user, a context or a variable; raises ValueError that says `what` may not be it."""
    if not _USER.fullmatch(text):
        raise ValueError(f"{what} may not be {text[:60]!r}.")
    return text


def check_domain(text: str) -> str:
    """A SIP domain; raises ValueError otherwise."""
    if not _DOMAIN.fullmatch(text):
        raise ValueError(f"domain may not be {text[:60]!r}.")
    return text


def check_contact(text: str) -> str:
    """One registered device as `sofia_contact` names it; raises ValueError otherwise: a phone chooses it."""
    if not _CONTACT.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no device that can be called by itself.")
    return text


def escaped(value: str, what: str) -> str:
    """A variable's value as `originate {…}` reads it back unchanged; raises ValueError when it cannot.

    The switch cuts the text three times, at spaces, at commas and at equals signs, and each time takes one
    level of backslashes and every pair of quotes away (switch_separate_string in switch_utils.c): so a
    backslash goes before quotes, backslashes and the delimiter, three times, from the inside out. A space
    is the exception: it is written `\\s`.
    """
    if found := _UNCARRIED.search(value):
        raise ValueError(f"{what} holds {found[0]!r}, which the switch cannot carry.")
    if value != value.strip():
        raise ValueError(f"{what} begins or ends with a space, which the switch takes away.")
    for special in (r"['\"\\=]", r"['\"\\,]", r"['\"\\]"):
        value = re.sub(special, lambda found: "\\" + found[0], value)
    return value.replace(" ", "\\s")


def _arguments(asked: "Originate | Ring", variables: Mapping[str, str], then: str) -> str:
    """The arguments of `originate` that rings a user's phone; a variable without a value is left out."""
    user = f"user/{check_name(asked.user, 'user')}@{check_domain(asked.domain)}"
    endpoint = check_contact(asked.contact) if asked.contact else user
    for name in variables:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:60]!r} is not the name of a variable.")
    listed = ",".join(f"{name}={escaped(value, name)}" for name, value in variables.items() if value)
    return f"{{{listed}}}{endpoint} {then}"


# The variable by which the legs to several devices say what they are for.
ASKED = "patchbay_asked"


def _named(asked: "Originate | Ring") -> dict[str, str]:
    """The leg gets the UUID by which it was asked for. Two legs cannot have one UUID (seen on a real switch:
    only the first device rang), so that those to several devices get their own ones, and a variable."""
    return {ASKED if asked.several else "origination_uuid": str(asked.uuid)}


@dataclass(frozen=True)
class Originate:
    """Ring `user`, and when it answers run the dialplan for `destination` in `context` on that leg."""

    user: str
    domain: str
    destination: str
    context: str
    uuid: UUID
    timeout: int = 30  # seconds that the user's phone rings
    variables: Mapping[str, str] = field(default_factory=dict)
    contact: str = ""  # one device of the user, as `sofia_contact` names it; empty: all that are registered
    several: bool = False  # whether these are several, see `_named`

    def __post_init__(self) -> None:
        check_destination(self.destination)
        check_name(self.context, "context")
        str(self)

    def __str__(self) -> str:
        """The arguments of `originate`."""
        variables = {
            **_named(self),
            "originate_timeout": str(self.timeout),
            "ignore_early_media": "true",
            **self.variables,
        }
        return _arguments(self, variables, f"{self.destination} XML {self.context}")


# What a phone that the site rings may be connected with: the leg of a call.
_APPLICATIONS = frozenset({"eavesdrop", "intercept"})


@dataclass(frozen=True)
class Ring:
    """Ring `user`, and when it answers run an application for another leg on that leg."""

    user: str
    domain: str
    uuid: UUID
    application: str
    leg: str  # the UUID of the other leg
    timeout: int = 30  # seconds that the user's phone rings
    variables: Mapping[str, str] = field(default_factory=dict)
    contact: str = ""  # one device of the user, as `sofia_contact` names it; empty: all that are registered
    several: bool = False  # whether these are several, see `_named`

    def __str__(self) -> str:
        """The arguments of `originate`."""
        if self.application not in _APPLICATIONS or not _LEG.fullmatch(self.leg):
            raise ValueError(f"A phone cannot ring for {self.application} of {self.leg[:60]!r}.")
        variables = {
            **_named(self),
            "originate_timeout": str(self.timeout),
            "ignore_early_media": "true",
            **self.variables,
        }
        return _arguments(self, variables, f"&{self.application}({self.leg})")
