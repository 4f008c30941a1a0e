"""Builds `originate` from typed parts: what a user typed is a value in it, never its grammar."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

_DESTINATION = re.compile(r"\+?[0-9*#]{1,32}", re.ASCII)
_USER = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_DOMAIN = re.compile(r"[0-9A-Za-z.:\[\]_-]{1,255}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
# Braces end the list of variables; `${` is expanded; control characters end the command; `:_:` stands between
# several originates; a value that begins with `ARRAY::` becomes a list.
_UNCARRIED = re.compile(r"[{}\x00-\x1f\x7f]|\$\{|:_:|\AARRAY::")


def check_destination(text: str, what: str = "The number") -> str:
    """The text when it is digits, * and #, perhaps after a +; raises ValueError otherwise."""
    if not _DESTINATION.fullmatch(text):
        raise ValueError(f"{what} may hold digits, * and # only, perhaps after a +: “{text[:40]}” does not.")
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

    def __post_init__(self) -> None:
        check_destination(self.destination)
        for value, pattern, what in (
            (self.user, _USER, "user"),
            (self.domain, _DOMAIN, "domain"),
            (self.context, _USER, "context"),
        ):
            if not pattern.fullmatch(value):
                raise ValueError(f"{what} may not be {value[:60]!r}.")
        for name in self.variables:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name[:60]!r} is not the name of a variable.")

    def __str__(self) -> str:
        """The arguments of `originate`."""
        variables = {
            "origination_uuid": str(self.uuid),
            "originate_timeout": str(self.timeout),
            "ignore_early_media": "true",
            **self.variables,
        }
        listed = ",".join(f"{name}={escaped(value, name)}" for name, value in variables.items() if value)
        return f"{{{listed}}}user/{self.user}@{self.domain} {self.destination} XML {self.context}"
