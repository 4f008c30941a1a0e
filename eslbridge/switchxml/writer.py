"""Builds the files that the switch reads, so that what was typed arrives as text or is refused.

FreeSWITCH reads its configuration line by line before it parses XML: a line that holds `<include>`,
`</include>` or `<?` is dropped whole, one that holds X-PRE-PROCESS (any case) or `<!--#` is executed or
dropped, and `$${name}` is replaced. After parsing, many applications still expand `${…}` when a call
comes, and `${system(…)}` runs a command. Hence:

* every element stands on lines of its own; the `include` tags are alone on theirs;
* values are written as ASCII-safe references where a line rule could see them;
* a value that the switch could still expand is refused, with the name of the field.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

MANAGED = "Managed by Patchbay"
_MANAGED_LINE = re.compile(rf"^\s*<!-- {MANAGED} \(([^)\n]+)\)", re.MULTILINE)

MAX_VALUE = 8192  # characters; the longest honest value is a dial string of a few hundred

# `$`, any backslashes or further `$`, then `{`: what switch_channel_expand_variables takes for a variable.
_EXPANDED = re.compile(r"\$[\\$]*\{")
# What XML 1.0 cannot carry at all, and line breaks, which the switch's line rules make dangerous.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_PRE_PROCESS = re.compile("x-pre-process", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_PATTERN = re.compile(r"[a-z0-9_]+/\*\.xml", re.ASCII)
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
_ESCAPED = re.compile("[&<>\"']")
_PERHAPS_ESCAPED = re.compile("[&<>\"']|x-pre", re.IGNORECASE)


class UnsafeValue(ValueError):
    """A value that the switch would expand, execute or drop. `field` names where it was typed."""

    def __init__(self, field_name: str, problem: str) -> None:
        super().__init__(f"{field_name}: {problem}")
        self.field = field_name
        self.problem = problem


class Expression(str):
    """Text of our own in which `${…}` is meant: a constant of the program, never a typed value."""

    __slots__ = ()


def _is_plain(value: str) -> bool:
    """Nearly all are: what is forbidden is not printable."""
    return value.isprintable() and "$" not in value and len(value) <= MAX_VALUE


def check_value(value: str, field_name: str) -> str:
    """The value itself; raises UnsafeValue, naming the field, when the switch could not carry it as text."""
    if _is_plain(value):
        return value
    if found := _FORBIDDEN.search(value):
        raise UnsafeValue(field_name, f"holds a control character or line break (U+{ord(found[0]):04X}).")
    if not isinstance(value, Expression) and _EXPANDED.search(value):
        raise UnsafeValue(field_name, "holds “${”, which the switch would replace or execute. Leave it out.")
    if "$${" in value:
        raise UnsafeValue(field_name, "holds “$${”, which the switch replaces before it reads the file.")
    if len(value) > MAX_VALUE:
        raise UnsafeValue(field_name, f"is longer than {MAX_VALUE} characters.")
    return value


def _escape(value: str) -> str:
    if value.isalnum() or not _PERHAPS_ESCAPED.search(value):
        return value
    escaped = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], value)
    return _PRE_PROCESS.sub(lambda found: f"{found[0][0]}&#45;{found[0][2:]}", escaped)


@lru_cache(maxsize=4096)  # thousands of files have the same names and, most often, the same values
def _attribute(name: str, value: str) -> str:
    """As it is written; '' for a value that has to be looked at more closely."""
    _check_name(name)
    return f' {name}="{_escape(value)}"' if _is_plain(value) else ""


@lru_cache(maxsize=256)  # our own few names, again and again
def _check_name(name: str) -> None:
    if not _NAME.match(name) or _PRE_PROCESS.match(name) or name == "include":
        raise UnsafeValue(name, "is not a name that may be written.")


@dataclass(frozen=True)
class Element:
    """One XML element. Attribute values are checked when it is made (raises UnsafeValue).

    `field_names` says what the user calls an attribute, for the error ("Caller ID name", not "value").
    """

    tag: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple["Element | Include", ...] = ()
    field_name: str = ""
    _opening: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.tag)
        opening = f"<{self.tag}"
        for name, value in self.attributes.items():
            written = _attribute(name, value)
            if not written:
                check_value(value, self.field_name or f"{self.tag} {name}")
                written = f' {name}="{_escape(value)}"'
            opening += written
        object.__setattr__(
            self, "_opening", opening
        )  # here, since the same element may be in thousands of files

    def lines(self, indent: int = 0) -> list[str]:
        """The element's lines without line ends. One space a level, and none at first: the switch reads byte
        by byte, and with two and two more a thousand users' files took it some 5 ms longer (of 60)."""
        pad = " " * indent
        if not self.children:
            return [f"{pad}{self._opening}/>"]
        lines = [f"{pad}{self._opening}>"]
        for child in self.children:
            lines += child.lines(indent + 1)
        return [*lines, f"{pad}</{self.tag}>"]


@dataclass(frozen=True)
class Include:
    """A line that the switch replaces by the files that match `pattern`, sorted by name.

    The pattern is one of the program's own, relative to the folder of the file that holds it; where nothing
    matches, the line is left out (preprocess_glob in switch_xml.c).
    """

    pattern: str

    def __post_init__(self) -> None:
        if not _PATTERN.fullmatch(self.pattern):
            raise UnsafeValue("pattern", f"{self.pattern!r} is not a pattern of files that may be included.")

    def lines(self, indent: int = 0) -> list[str]:
        return [f'{" " * indent}<X-PRE-PROCESS cmd="include" data="{self.pattern}"/>']


def document(owner: str, elements: Iterable[Element]) -> str:
    """A whole file: the include tags alone on their lines, and a line that says whose file it is.

    `owner` is the key of the object that the file comes from, like `agents.agent:12`.
    """
    if not re.fullmatch(r"[\w.:-]+", owner, re.ASCII):
        raise UnsafeValue("owner", f"{owner!r} is not an object's key.")
    lines = ["<include>", f"<!-- {MANAGED} ({owner}). Edit it there: changes here are overwritten. -->"]
    for element in elements:
        lines.extend(element.lines())
    return "\n".join([*lines, "</include>", ""])


def managed_by(text: str) -> str | None:
    """The owner that a file's own line names, or None for a file that is not Patchbay's."""
    found = _MANAGED_LINE.search(text)
    return found[1] if found else None
