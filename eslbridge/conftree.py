"""Reads a configuration directory as the switch does: line by line first, then as XML.

Lines with `<include>` or `<?` vanish, X-PRE-PROCESS lines are executed wherever they stand (in a comment,
too), `$${name}` is replaced. Nothing is run: what a command or a STUN server would have set is asked from
the switch (`known`), or is not known.
"""

import glob
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

MAX_DEPTH = 100  # of includes in includes, as in the switch
# Stands for what only the running switch knows; a character that no honest file holds.
UNKNOWN = "\ue000"

DROPPED = ("<include>", "</include>", "<?")
_VARIABLE = re.compile(r"\$\$\{([^{}]*)\}")
_PRE_PROCESS = re.compile(r"x-pre-process", re.IGNORECASE)
_COMMAND = re.compile(r'cmd[^=]*=[^"]*"([^"]*)".*?data[^=]*=[^"]*"([^"]*)"', re.IGNORECASE)
_OLD_COMMAND = re.compile(r'<!--#([\w-]+) +(?:"([^"]*)"|(.*))')
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# The switch takes a lone & for itself; XML does not.
_LONE_AMPERSAND = re.compile(r"&(?!#?\w+;)")
_ACTIVE = re.compile(r"x-pre-process|<!--#|\$\$\{", re.IGNORECASE)


class Unreadable(Exception):
    """The configuration cannot be read, and so not by the switch either; the text says where."""


class Reader:
    """Joins the files as the switch does, and marks with processing instructions where each one is.

    `variables` are global variables to begin with; with `knows_all` there are no others. Those named in
    `fixed` keep their value whatever the files say: the switch was asked for them.
    """

    def __init__(
        self, variables: Mapping[str, str], *, knows_all: bool = False, fixed: Iterable[str] = ()
    ) -> None:
        self.variables = dict(variables)
        self.knows_all = knows_all
        self.fixed = frozenset(fixed)
        self.files: list[str] = []
        self.does_more: set[int] = set()  # files that set variables or include others
        self.patterns: dict[str, list[str]] = {}  # of includes, with the files that were found
        self.out: list[str] = []

    def read(self, path: str, depth: int = 0) -> None:
        """Adds one file with all that it includes; raises Unreadable."""
        if depth <= MAX_DEPTH:
            number = self.begin(path)
            self.out.append(f"<?file {number}?>")
            self._lines(self.text(path), number, depth)
            self.out.append("<?end?>")

    def begin(self, path: str) -> int:
        """The number under which the marks name this file from now on."""
        self.files.append(path)
        return len(self.files) - 1

    def text(self, path: str) -> str:
        """What the file holds; raises Unreadable."""
        return decoded(path)

    def joined(self) -> str:
        """All files as one text without comments, with the marks."""
        return _COMMENT.sub("", "".join(self.out))

    def is_in_comment(self) -> bool:
        """Whether what is read next stands in a comment, where its own comments end it."""
        for piece in reversed(self.out):
            begin, end = piece.rfind("<!--"), piece.rfind("-->")
            if begin != end:
                return begin > end
        return False

    def _lines(self, text: str, number: int, depth: int) -> None:
        in_command = False  # an old-style <!--#command that goes on over several lines
        for raw in text.split("\n"):
            if any(mark in raw for mark in DROPPED):
                continue
            line = _VARIABLE.sub(self._value, raw)
            if in_command:
                if "-->" not in line:
                    continue
                in_command, line = False, line.partition("-->")[2]
            if found := _PRE_PROCESS.search(line):
                if line[: found.start()].endswith("<") and (command := _COMMAND.search(line, found.end())):
                    self._do(command[1], command[2], number, depth)
            elif "<!--#" in line:
                before, _, rest = line.partition("<!--#")
                self.out.append(before + rest.partition("-->")[2])
                in_command = "-->" not in rest
                if old := _OLD_COMMAND.search(line):
                    self._do(old[1], old[2] or old[3].partition("-->")[0].strip(), number, depth)
            else:
                self.out.append(line)
            self.out.append("\n")

    def _value(self, found: re.Match[str]) -> str:
        name = found[1]
        if name in self.variables or self.knows_all:
            return self.variables.get(name, "")
        return f"{UNKNOWN}{name}{UNKNOWN}"

    def _do(self, command: str, data: str, number: int, depth: int) -> None:
        self.does_more.add(number)
        name, equals, value = data.partition("=")
        name = name.strip(" ")
        match command.lower():
            case "include":
                pattern = os.path.join(os.path.dirname(self.files[number]), data)
                paths = included(pattern)
                self.patterns[pattern] = paths
                for path in paths:
                    self.read(path, depth + 1)
            case "set" if equals and name not in self.fixed:
                self.variables[name] = value.lstrip(" ")
            case "exec-set" | "stun-set" | "env-set" if not self.knows_all and name not in self.fixed:
                self.variables.pop(name, None)


def included(pattern: str) -> list[str]:
    """The files that an include of this pattern takes in, in the switch's order."""
    return [path for path in sorted(glob.glob(pattern)) if os.path.isfile(path)]


def decoded(path: str) -> str:
    """A file's text as the switch reads it; raises Unreadable."""
    try:
        return Path(path).read_bytes().decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError as problem:
        raise Unreadable(f"{path}: {problem.strerror}") from None


def plain(text: str) -> str | None:
    """A file's text after the line rules, without comments; None when it holds what must be executed."""
    if _ACTIVE.search(text):
        return None
    lines = [line for line in text.split("\n") if not any(mark in line for mark in DROPPED)]
    return _COMMENT.sub("", "\n".join(lines))


def parsed(text: str) -> ET.Element:
    """The joined text as one element, its marks as processing instructions; raises ET.ParseError."""
    if "&" in text:
        text = _LONE_AMPERSAND.sub("&amp;", text)
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_pis=True))  # noqa: S314 - the switch's own files
    parser.feed(f"<joined>{text}</joined>")
    return parser.close()
