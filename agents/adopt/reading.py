"""Reads the users of a configuration directory as the switch does: line by line first, then as XML.

Lines with `<include>` or `<?` vanish, X-PRE-PROCESS lines are executed wherever they stand (in a comment,
too), `$${name}` is replaced. Nothing is run: what a command or a STUN server would have set is asked from
the switch (`known`), or is not known.
"""

import glob
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eslbridge.publishing.diagnosis import broken_files

MAX_DEPTH = 100  # of includes in includes, as in the switch
# Stands for a variable that only the running switch knows; a character that no honest file holds.
UNKNOWN = "\ue000"

_DROPPED = ("<include>", "</include>", "<?")
_VARIABLE = re.compile(r"\$\$\{([^{}]*)\}")
_PRE_PROCESS = re.compile(r"x-pre-process", re.IGNORECASE)
_COMMAND = re.compile(r'cmd[^=]*=[^"]*"([^"]*)".*?data[^=]*=[^"]*"([^"]*)"', re.IGNORECASE)
_OLD_COMMAND = re.compile(r'<!--#([\w-]+) +(?:"([^"]*)"|(.*))')
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_DIRECTORY = re.compile(r'<section\s[^>]*\bname="directory".*?</section>', re.DOTALL)
# The switch takes a lone & for itself; XML does not.
_LONE_AMPERSAND = re.compile(r"&(?!#?\w+;)")


class Unreadable(Exception):
    """The configuration cannot be read, and so not by the switch either; the text says where."""


@dataclass(frozen=True)
class HandMade:
    """One `<user>`: parameters and variables with those of its group and domain, names in lower case."""

    id: str
    file: Path
    domain: str = ""
    group: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    """The names of the parameters, variables and other elements that stand in the user itself."""
    is_alone: bool = True
    """Whether its file holds users and nothing else, so that it can be put aside with them."""


def read(root: Path, known: Mapping[str, str] | None = None) -> list[HandMade]:
    """All users below `root`, in the order in which the switch finds them.

    `root` is a configuration directory (with freeswitch.xml) or a folder of user files. `known` are the
    switch's global variables; without them values that need one hold UNKNOWN and its name. Raises
    Unreadable, also when there is nothing to read.
    """
    reader = _Reader(dict(known or {}), knows_all=known is not None)
    main = root / "freeswitch.xml"
    files = [main] if main.is_file() else sorted(root.glob("*.xml"))
    if not files:
        raise Unreadable(f"{root} holds no freeswitch.xml and no user files.")
    for file in files:
        reader.read(file)
    text = _COMMENT.sub("", "".join(reader.out))
    if main.is_file():
        section = _DIRECTORY.search(text)
        if section is None:
            raise Unreadable(f"{main} has no section “directory”.")
        text = section[0]
    try:
        tree = _parsed(text)
    except ET.ParseError as error:
        where = "; ".join(broken_files(root)) or str(error)
        raise Unreadable(f"The files are no XML, so the switch cannot read them either: {where}") from None
    return list(_Users(reader).find(tree))


def _parsed(text: str) -> ET.Element:
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_pis=True))  # noqa: S314 - the switch's own files
    parser.feed(f"<directory>{_LONE_AMPERSAND.sub('&amp;', text)}</directory>")
    return parser.close()


class _Reader:
    """Joins the files as the switch does, and marks with processing instructions where each one is."""

    def __init__(self, variables: dict[str, str], *, knows_all: bool) -> None:
        self.variables = variables
        self.knows_all = knows_all
        self.files: list[Path] = []
        self.does_more: set[int] = set()  # files that set variables or include others
        self.out: list[str] = []

    def read(self, path: Path, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            return
        try:
            text = path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff")
        except OSError as problem:
            raise Unreadable(f"{path}: {problem.strerror}") from None
        number = len(self.files)
        self.files.append(path)
        self.out.append(f"<?file {number}?>")
        self._lines(text, number, depth)
        self.out.append("<?end?>")

    def _lines(self, text: str, number: int, depth: int) -> None:
        in_command = False  # an old-style <!--#command that goes on over several lines
        for raw in text.split("\n"):
            if any(mark in raw for mark in _DROPPED):
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
        match command.lower():
            case "include":
                for path in sorted(glob.glob(os.path.join(self.files[number].parent, data))):
                    if os.path.isfile(path):
                        self.read(Path(path), depth + 1)
            case "set" if equals:
                self.variables[name.strip(" ")] = value.lstrip(" ")
            case "exec-set" | "stun-set" | "env-set" if not self.knows_all:
                self.variables.pop(name.strip(" "), None)


class _Users:
    """Finds the users of the joined files, with the file that each stands in."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.stack = [0]  # the section stands in the first file, freeswitch.xml
        self.mixed = set(reader.does_more)

    def find(self, tree: ET.Element) -> Iterator[HandMade]:
        found = list(self._below(tree, {}, {}, ("", "")))
        for user, number in found:
            yield HandMade(**user, file=self.reader.files[number], is_alone=number not in self.mixed)

    def _below(
        self, element: ET.Element, params: dict[str, str], variables: dict[str, str], place: tuple[str, str]
    ) -> Iterator[tuple[dict, int]]:
        for child in element:
            if child.tag is ET.ProcessingInstruction:
                self._turn_page(child.text or "")
            elif child.tag == "user" and child.get("type") != "pointer":
                yield self._user(child, params, variables, place), self.stack[-1]
            else:
                self.mixed.add(self.stack[-1])
                inside = place
                if child.tag in ("domain", "group"):
                    name = child.get("name", "")
                    inside = (name, "") if child.tag == "domain" else (place[0], name)
                yield from self._below(
                    child,
                    params | _pairs(child, "params", "param"),
                    variables | _pairs(child, "variables", "variable"),
                    inside,
                )

    def _turn_page(self, mark: str) -> None:
        if mark.startswith("file "):
            self.stack.append(int(mark.removeprefix("file ")))
        elif len(self.stack) > 1:
            self.stack.pop()

    def _user(
        self, user: ET.Element, params: dict[str, str], variables: dict[str, str], place: tuple[str, str]
    ) -> dict:
        own_params = _pairs(user, "params", "param")
        own_variables = _pairs(user, "variables", "variable")
        others = {str(child.tag) for child in user if len(child) and isinstance(child.tag, str)}
        return {
            "id": user.get("id", ""),
            "domain": place[0],
            "group": place[1],
            "attributes": dict(user.attrib),
            "params": params | own_params,
            "variables": variables | own_variables,
            "own": frozenset({*own_params, *own_variables, *(others - {"params", "variables"})}),
        }


def _pairs(parent: ET.Element, container: str, tag: str) -> dict[str, str]:
    return {
        each.get("name", "").lower(): each.get("value", "")
        for part in parent.findall(container)
        for each in part.findall(tag)
    }
