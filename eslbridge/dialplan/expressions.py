"""The switch's regular expressions (PCRE2 on bytes), evaluated with Python's where both mean the same."""

import re
from dataclasses import dataclass
from functools import lru_cache

_DELIMITED = re.compile(r"/(.*)/([^/]*)", re.DOTALL)
_SAME_IN_BOTH = frozenset("dDsSwWbBAafnrt")
_GROUP_STARTS = re.compile(r"\(\?(?:[:=!>#]|<[=!]|P<\w+>|P=\w+\)|[a-zA-Z]+[:)])")
_NAMED_GROUP = re.compile(r"\(\?(?:<(\w+)>|'(\w+)')")
_SUBSTITUTE = re.compile(r"\$(?:(\d{1,9})|\{(\d{1,8})\})")


@dataclass(frozen=True)
class Expression:
    """A compiled expression, or why it cannot be evaluated here."""

    pattern: re.Pattern[bytes] | None
    problem: str = ""

    def search(self, value: str) -> "Match | None":
        """The first match in `value`. Only for an expression without a problem."""
        assert self.pattern is not None, self.problem
        found = self.pattern.search(value.encode("utf-8", "surrogateescape"))
        return Match(found) if found else None


class Match:
    """What an expression matched."""

    def __init__(self, found: re.Match[bytes]) -> None:
        self._found = found

    def group(self, number: int) -> str:
        """The text of a group; empty when there is no such group or it took no part."""
        if number > self._found.re.groups:
            return ""
        return (self._found[number] or b"").decode("utf-8", "surrogateescape")

    def groups(self) -> list[str]:
        """The whole match, then the groups up to the last that took part."""
        last = max((n for n in range(1, self._found.re.groups + 1) if self._found[n] is not None), default=0)
        return [self.group(number) for number in range(last + 1)]

    def substituted(self, text: str) -> str:
        """`text` with $1 or ${1} replaced by what the groups matched; $0 is the whole."""
        return _SUBSTITUTE.sub(lambda found: self.group(int(found[1] or found[2])), text)


@lru_cache(maxsize=65536)  # a few thousand DIDs have one each
def compiled(expression: str) -> Expression:
    """The expression as the switch takes it: bare, or `/…/i`."""
    flags = 0
    if expression.startswith("_"):
        return Expression(None, "is an Asterisk pattern")
    if expression.startswith("/"):
        found = _DELIMITED.fullmatch(expression)
        if found is None:
            return Expression(None, "begins with / but does not end with it")
        expression = found[1]
        flags = (re.IGNORECASE if "i" in found[2] else 0) | (re.DOTALL if "s" in found[2] else 0)
    try:
        pattern = _translated(expression)
        return Expression(re.compile(pattern.encode("utf-8", "surrogateescape"), flags))
    except (_Differs, re.error, OverflowError, RecursionError) as problem:
        return Expression(None, f"cannot be evaluated ({problem})")


class _Differs(Exception):
    """What PCRE understands in another way than Python, or only PCRE understands."""


def _translated(expression: str) -> str:
    out: list[str] = []
    position = 0
    while position < len(expression):
        step = _in_class if expression[position] == "[" else _outside
        text, position = step(expression, position)
        out.append(text)
    return "".join(out)


def _outside(expression: str, at: int) -> tuple[str, int]:
    """The translation of what begins at `at`, which is in no character class, and where it ends."""
    character = expression[at]
    if character == "\\":
        return _escape(expression, at)
    if character == "(" and expression.startswith(("(?", "(*"), at):
        if named := _NAMED_GROUP.match(expression, at):
            return f"(?P<{named[1] or named[2]}>", named.end()
        if found := _GROUP_STARTS.match(expression, at):
            return found[0], found.end()
        raise _Differs(expression[at : at + 3])
    if character == "{" and re.compile(r"\{,\d").match(expression, at):
        raise _Differs("{,")
    return character, at + 1


def _escape(expression: str, at: int, *, in_class: bool = False) -> tuple[str, int]:
    letter = expression[at + 1 : at + 2]
    if not letter:
        raise _Differs("\\ at the end")
    if letter == "h":
        return ("\\t " if in_class else "[\\t ]"), at + 2
    if not in_class and letter in "zZ":
        return ("\\Z" if letter == "z" else "(?=\\n?\\Z)"), at + 2
    if letter == "x" and re.compile(r"[0-9A-Fa-f]{2}").match(expression, at + 2):
        return expression[at : at + 4], at + 4
    if letter in _SAME_IN_BOTH or not (letter.isascii() and letter.isalpha()):
        return f"\\{letter}", at + 2
    raise _Differs(f"\\{letter}")


def _in_class(expression: str, at: int) -> tuple[str, int]:
    """A whole character class. What Python reserves for set operations is escaped."""
    out = ["["]
    at += 1
    if expression.startswith("^", at):
        out.append("^")
        at += 1
    is_first = True
    while at < len(expression) and (is_first or expression[at] != "]"):
        character = expression[at]
        is_first = False
        if character == "\\":
            text, at = _escape(expression, at, in_class=True)
            out.append(text)
            continue
        if character == "[" and expression[at + 1 : at + 2] in (":", ".", "="):
            raise _Differs(expression[at : at + 2])
        out.append(f"\\{character}" if character in "[]&|~" else character)
        at += 1
    if at >= len(expression):
        raise _Differs("[ without ]")
    return "".join([*out, "]"]), at + 1
