"""The small languages of ``originate`` and ``bridge``: arguments, ``{…}`` and ``[…]`` variables, legs.

Quotes are taken off each time a text is split. So the comma of ``'Smith, John'`` is bare by the time
the variables are separated, and only ``\\,`` protects it: that is what the switch does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "s": " "}


def separate(text: str, delimiter: str, limit: int = 1024) -> list[str]:
    """Splits at delimiters outside single quotes and takes quotes and escapes off each part.

    Runs of spaces count as one delimiter; the last of ``limit`` parts keeps the rest. ``^^:`` in front of
    the text chooses another delimiter.
    """
    if text.startswith("^^") and len(text) > 3:
        delimiter, text = text[2], text[3:]
    parts: list[str] = []
    start = index = 0
    quoted = False
    while index < len(text):
        letter = text[index]
        if letter == "\\":
            index += 1
        elif letter == "'" and (quoted or delimiter == " " or "'" in text[index + 1 :]):
            quoted = not quoted
        elif letter == delimiter and not quoted and len(parts) < limit - 1:
            parts.append(text[start:index])
            while delimiter == " " and text[index + 1 : index + 2] == " ":
                index += 1
            start = index + 1
        index += 1
    if start < len(text):
        parts.append(text[start:])
    return [_clean(part, "" if delimiter == " " else delimiter) for part in parts]


def _clean(text: str, delimiter: str) -> str:
    text = text.lstrip(" ")
    out = ""
    kept = index = 0
    quoted = False
    while index < len(text):
        letter = text[index]
        following = text[index + 1 : index + 2]
        if letter == "\\" and following and (following in "'\"\\" + delimiter or following in _UNESCAPED):
            out += _UNESCAPED.get(following, following) if following != delimiter else following
            index += 1
            kept = len(out)
        elif letter == "'" and (quoted or "'" in text[index + 1 :]):
            quoted = not quoted
            if quoted:
                kept = len(out)
        else:
            out += letter
            if letter != " " or quoted:
                kept = len(out)
        index += 1
    return out[:kept] if kept else out


class UnclosedBrace(ValueError):
    """Variables in front of a dial string have no end."""


def take_variables(text: str, opening: str, closing: str) -> tuple[dict[str, str], str]:
    """Variables in front of a dial string, and the rest. Raises UnclosedBrace."""
    variables: dict[str, str] = {}
    text = text.lstrip(" ")
    while text.startswith(opening):
        end = _closing(text, opening, closing)
        if end < 0:
            raise UnclosedBrace(text)
        variables |= parse_variables(text[1:end])
        text = text[end + 1 :].lstrip(" ")
    return variables, text


def _closing(text: str, opening: str, closing: str) -> int:
    depth = 0
    for index, letter in enumerate(text):
        if letter == opening:
            depth += 1
        elif letter == closing:
            depth -= 1
            if depth == 0:
                return index
    return -1


def parse_variables(text: str) -> dict[str, str]:
    """``a=1,b=two\\, three``; parts without an equals sign are dropped."""
    variables = {}
    for part in separate(text, ","):
        pair = separate(part, "=", 2)
        if len(pair) == 2:
            variables[pair[0]] = pair[1]
    return variables


@dataclass
class Leg:
    """One endpoint to ring, with its own ``[…]`` variables."""

    endpoint: str
    variables: dict[str, str] = field(default_factory=dict)


def split_legs(text: str) -> list[list[Leg]]:
    """Groups to try one after another (``|``), each of legs that ring together (``,``)."""
    return [
        legs for group in _split_top(text, "|") if (legs := [_leg(item) for item in _split_top(group, ",")])
    ]


def _leg(text: str) -> Leg:
    variables, endpoint = take_variables(text, "[", "]")
    return Leg(endpoint.strip(), variables)


def _split_top(text: str, separator: str) -> list[str]:
    parts, current, depth = [], "", 0
    for index, letter in enumerate(text):
        depth += (letter in "[{(") - (letter in "]})")
        if letter == separator and depth <= 0 and text[index - 1 : index] != "\\":
            parts.append(current)
            current = ""
        else:
            current += letter
    return [part for part in [*parts, current] if part.strip()]
