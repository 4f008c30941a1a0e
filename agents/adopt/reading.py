"""Reads the users of a configuration directory as the switch does."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eslbridge.conftree import UNKNOWN, Reader, Unreadable, parsed
from eslbridge.publishing.diagnosis import broken_files

__all__ = ["UNKNOWN", "HandMade", "Unreadable", "read"]

_DIRECTORY = re.compile(r'<section\s[^>]*\bname="directory".*?</section>', re.DOTALL)


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
    reader = Reader(known or {}, knows_all=known is not None)
    main = root / "freeswitch.xml"
    files = [main] if main.is_file() else sorted(root.glob("*.xml"))
    if not files:
        raise Unreadable(f"{root} holds no freeswitch.xml and no user files.")
    for file in files:
        reader.read(str(file))
    text = reader.joined()
    if main.is_file():
        section = _DIRECTORY.search(text)
        if section is None:
            raise Unreadable(f"{main} has no section “directory”.")
        text = section[0]
    try:
        tree = parsed(text)
    except ET.ParseError as error:
        where = "; ".join(broken_files(root)) or str(error)
        raise Unreadable(f"The files are no XML, so the switch cannot read them either: {where}") from None
    return list(_Users(reader).find(tree))


class _Users:
    """Finds the users of the joined files, with the file that each stands in."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.stack = [0]  # the section stands in the first file, freeswitch.xml
        self.mixed = set(reader.does_more)

    def find(self, tree: ET.Element) -> Iterator[HandMade]:
        found = list(self._below(tree, {}, {}, ("", "")))
        for user, number in found:
            yield HandMade(**user, file=Path(self.reader.files[number]), is_alone=number not in self.mixed)

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
