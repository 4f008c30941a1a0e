"""``${…}`` at call time: variables, and functions of the switch.

Dangerous by design, as in the switch: what a variable holds is expanded again, and ``${system(…)}`` runs
a command. Here nothing is run; the switch only notes what would have been.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_DEPTH = 100


def expand(
    text: str, variable: Callable[[str], str | None], function: Callable[[str, str], str], depth: int = 0
) -> str:
    """Replaces every ``${name}``, ``${name:offset:length}`` and ``${function(arguments)}``."""
    if ("${" not in text and "\\" not in text) or depth > MAX_DEPTH:
        return text
    out: list[str] = []
    index = 0
    while index < len(text):
        letter = text[index]
        if letter == "\\" and index + 1 < len(text):
            following = text[index + 1]
            if following == "'":
                index += 2
                continue
            if following in "$\\":
                out.append(following)
                index += 2
                continue
        start = index + 1 if text.startswith("$${", index) else index
        if text.startswith("${", start):
            end = _end(text, start + 1)
            inner = text[start + 2 : end]
            out.append(_value(inner, variable, function, depth))
            index = end + 1
            continue
        out.append(letter)
        index += 1
    return "".join(out)


def _end(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return len(text)


def _value(
    inner: str, variable: Callable[[str], str | None], function: Callable[[str, str], str], depth: int
) -> str:
    for index, letter in enumerate(inner):
        if letter in " (":
            name = expand(inner[:index].rstrip(" "), variable, function, depth + 1)
            arguments = inner[index + 1 :]
            arguments = arguments[: _closing_parenthesis(arguments)] if letter == "(" else arguments
            return function(name, expand(arguments, variable, function, depth + 1))
    name = expand(inner, variable, function, depth + 1)
    name, _, rest = name.partition(":")
    found = variable(name)
    if found is None:
        return ""
    found = expand(found, variable, function, depth + 1)
    if rest:
        offset, _, length = rest.partition(":")
        found = found[_integer(offset) :] if abs(_integer(offset)) <= len(found) else ""
        if _integer(length) > 0:
            found = found[: _integer(length)]
    return found


def _closing_parenthesis(text: str) -> int:
    depth = 1
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return index
    return len(text)


def _integer(text: str) -> int:
    text = text.strip()
    return int(text) if text.lstrip("-").isdigit() else 0
