"""What a bridge is told to ring."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .strings import end_of, separate

ENTERPRISE = ":_:"


@dataclass(frozen=True)
class Leg:
    """One thing to ring: `[variables]type/data`."""

    kind: str
    data: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DialString:
    variables: Mapping[str, str]
    groups: tuple[tuple[Leg, ...], ...]
    """Rung one group after the other; the legs of a group at once."""


class Malformed(Exception):
    """A bracket that is not closed: the switch rings nobody."""


def parse(text: str) -> DialString:
    """`{variables}[variables]user/1020@domain,sofia/gateway/x/1|…`; raises Malformed."""
    if ENTERPRISE in text:  # several dial strings at once
        parts = [parse(part) for part in text.split(ENTERPRISE)]
        variables = {name: value for part in parts for name, value in part.variables.items()}
        return DialString(
            variables, (tuple(leg for part in parts for group in part.groups for leg in group),)
        )
    variables, text = _variables(text.lstrip(" "), "<", ">")
    more, text = _variables(text, "{", "}")
    groups = tuple(_legs(part) for part in separate(text.lstrip(" "), "|"))
    return DialString({**variables, **more}, groups)


def _variables(text: str, opening: str, closing: str) -> tuple[dict[str, str], str]:
    variables: dict[str, str] = {}
    while text.startswith(opening):
        end = end_of(text, opening, closing)
        if end < 0:
            raise Malformed(f"{opening} is not closed in {text}")
        for item in separate(text[1:end], ","):
            name, equals, value = item.partition("=")
            if equals:
                variables[name.strip().lower()] = separate(value, "=", 1)[0] if value else ""
        text = text[end + 1 :]
    return variables, text


def _legs(text: str) -> tuple[Leg, ...]:
    """Commas inside of [variables] do not separate."""
    legs: list[str] = []
    depth = begin = 0
    is_quoted = False
    for at, character in enumerate(text):
        if character == "'":
            is_quoted = not is_quoted
        elif character in "[]" and not is_quoted:
            depth += 1 if character == "[" else -1
        elif character == "," and depth <= 0 and not is_quoted:
            legs.append(text[begin:at])
            begin = at + 1
    return tuple(_leg(each.strip(" ")) for each in (*legs, text[begin:]) if each.strip(" "))


def _leg(text: str) -> Leg:
    variables, text = _variables(text, "[", "]")
    kind, _, data = text.lstrip(" ").partition("/")
    return Leg(kind.lower(), data, variables)
