"""`${…}` in a text: variables, parts of them, and functions of the switch."""

import re
from dataclasses import dataclass

from .call import State, unknown, unknowns
from .functions import FUNCTIONS
from .times import atoi

MAX_DEPTH = 100
_NEEDED = re.compile(r"\$[\\$]*\{|\\[\\nst']")


@dataclass(frozen=True)
class _Placeholder:
    name: str
    arguments: str | None
    """None for a variable."""
    end: int


def expand(state: State, text: str, depth: int = 0) -> str:
    """The text as the switch would use it. What cannot be known stays in it as a mark (`unknowns`)."""
    if depth > MAX_DEPTH or not _NEEDED.search(text):
        return text
    out: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            taken, at = _after_backslash(text, at)
            out.append(taken)
        elif character == "$" and text.startswith(("${", "$${"), at):
            found = _placeholder(text, text.index("{", at) + 1)
            out.append(_value(state, found, depth))
            at = found.end
        else:
            out.append(character)
            at += 1
    return "".join(out)


def _after_backslash(text: str, at: int) -> tuple[str, int]:
    match text[at + 1 : at + 2]:
        case "$":
            skipped = 2 if text.startswith("$$", at + 1) else 1
            return "$", at + skipped + 1
        case "'":
            return "", at + 2
        case "\\":
            return "\\", at + 2
    return "\\", at + 1


def _placeholder(text: str, begin: int) -> _Placeholder:
    """What stands between the braces; inner ones are counted."""
    depth = 1
    end = begin
    while end < len(text):
        if depth == 1 and text[end] == "}":
            break
        if end > begin and text[end] == "{":
            depth += 1
        elif depth > 1 and text[end] == "}":
            depth -= 1
        end += 1
    inside = text[begin:end]
    for at, character in enumerate(inside):
        if character == " ":
            return _Placeholder(inside[:at], inside[at + 1 :], end + 1)
        if character == "(":
            return _Placeholder(inside[:at].rstrip(" "), _until_parenthesis(inside[at + 1 :]), end + 1)
    return _Placeholder(inside, None, end + 1)


def _until_parenthesis(text: str) -> str:
    depth = 1
    for at, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if not depth:
                return text[:at]
    return text


def _value(state: State, found: _Placeholder, depth: int) -> str:
    name = expand(state, found.name, depth + 1)
    if found.arguments is None:
        return _part(state, name, depth)
    arguments = expand(state, found.arguments, depth + 1)
    function = FUNCTIONS.get(name.lower())
    if function is None:
        return unknown(f"function {name}({arguments})")
    if missing := unknowns(arguments):
        return unknown(missing[0])
    return function(state, arguments.strip())


def _part(state: State, name: str, depth: int) -> str:
    """`name`, `name:2`, `name:-4`, `name:0:3`, `name[1]`."""
    name, *numbers = name.split(":")
    offset, length = ([*map(atoi, numbers[:2]), 0, 0])[:2]
    index = None
    if "[" in name and "]" in name.partition("[")[2]:
        name, _, rest = name.partition("[")
        index = atoi(rest)
    value = state.get(name)
    if index is not None:
        items = value.removeprefix("ARRAY::").split("|:")
        value = items[index] if 0 <= index < len(items) else ""
    value = expand(state, value, depth + 1)
    if unknowns(value):
        return value
    if offset >= 0 or -offset <= len(value):
        value = value[offset:]
    return value[:length] if 0 < length < len(value) else value
