"""Reads a configuration directory, again and again: what did not change is not read twice."""

import os
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from eslbridge.conftree import UNKNOWN, Reader, Unreadable, decoded, included, parsed, plain

from .configuration import Action, Condition, Configuration, Domain, Rule, User
from .expressions import Expression, compiled
from .times import ATTRIBUTES, atoi, is_true

# A file that changed as shortly before it was read may change again within the same tick of the clock.
RACY_NANOSECONDS = 50_000_000
_NO_TIMES: Mapping[str, str] = MappingProxyType({})

Stamp = tuple[int, int, int]


@dataclass
class _File:
    stamp: Stamp | None
    text: str
    content: ET.Element | None
    """What it holds when it stands for itself: it executes nothing and is XML alone."""
    rules: dict[ET.Element, Rule] = field(default_factory=dict)
    users: dict[ET.Element, tuple[Mapping[str, str], Mapping[str, str]]] = field(default_factory=dict)


class Loader:
    """One directory. `given` are global variables that the switch was asked for; they win over the files."""

    def __init__(self, root: Path, given: Mapping[str, str]) -> None:
        self.root = root
        self.given = dict(given)
        self._files: dict[str, _File] = {}
        self._folders: dict[str, Stamp | None] = {}
        self._reader: _CachingReader | None = None
        self._skeleton = ""
        self._tree: ET.Element | None = None
        self._rules: dict[ET.Element, Rule] = {}
        self._loaded: Configuration | None = None
        self._lock = threading.Lock()

    def load(self) -> Configuration:
        """The directory as it is now; raises Unreadable, saying which file."""
        with self._lock:
            if self._loaded is None or self._changed():
                self._loaded = None
                self._loaded = self._read()
            return self._loaded

    def _changed(self) -> bool:
        assert self._reader is not None
        return any(_stamp(path) != file.stamp for path, file in self._files.items()) or any(
            self._listing_changed(pattern, paths) for pattern, paths in self._reader.patterns.items()
        )

    def _listing_changed(self, pattern: str, paths: list[str]) -> bool:
        folder = os.path.dirname(pattern)
        stamp = self._folders.get(folder)
        if stamp is not None and stamp == _stamp(folder):
            return False
        return included(pattern) != paths

    def _read(self) -> Configuration:
        main = self.root / "freeswitch.xml"
        if not main.is_file():
            raise Unreadable(f"{self.root} holds no freeswitch.xml.")
        reader = self._reader = _CachingReader(self._file, self.given)
        reader.read(str(main))
        self._forget(reader)
        skeleton = reader.joined()
        if self._tree is None or skeleton != self._skeleton:
            self._tree, self._rules = None, {}
            for file in self._files.values():
                if file.content is None:
                    file.users.clear()  # of the tree that goes
            try:
                self._tree = parsed(skeleton)
            except ET.ParseError as error:
                raise Unreadable(f"The files below {self.root} are no XML together: {error}") from None
            self._skeleton = skeleton
        return _Build(self.root, reader, self._files, self._rules).configuration(self._tree)

    def _forget(self, reader: Reader) -> None:
        kept = set(reader.files)
        self._files = {path: file for path, file in self._files.items() if path in kept}
        folders = {os.path.dirname(pattern) for pattern in reader.patterns}
        now = time.time_ns()
        self._folders = {folder: _trusted(_stamp(folder), now) for folder in folders if "*" not in folder}

    def _file(self, path: str) -> _File:
        known = self._files.get(path)
        stamp = _stamp(path)
        if known and known.stamp is not None and known.stamp == stamp:
            return known
        trusted = _trusted(stamp, time.time_ns())
        text = decoded(path)
        if known and known.text == text:
            known.stamp = trusted
            return known
        self._files[path] = file = _File(trusted, text, _alone(text))
        return file


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None  # and so it differs from any that was trusted
    return found.st_mtime_ns, found.st_size, found.st_ino


def _trusted(stamp: Stamp | None, now: int) -> Stamp | None:
    return stamp if stamp and now - stamp[0] > RACY_NANOSECONDS else None


def _alone(text: str) -> ET.Element | None:
    kept = plain(text)
    if kept is None:
        return None
    try:
        return parsed(kept)
    except ET.ParseError:
        return None


class _CachingReader(Reader):
    """Takes files that stand for themselves as they are: a mark tells where."""

    def __init__(self, file: Callable[[str], _File], given: Mapping[str, str]) -> None:
        super().__init__(given, fixed=given)
        self._file = file
        self._commented = (0, False)  # of how much of the text it is known whether a comment is open

    def read(self, path: str, depth: int = 0) -> None:
        if depth and self._file(path).content is not None and not self._is_commented():
            self.out.append(f"<?plain {self.begin(path)}?>")
            self._commented = (len(self.out), False)  # a mark opens none
        else:
            super().read(path, depth)

    def text(self, path: str) -> str:
        return self._file(path).text

    def _is_commented(self) -> bool:
        if self._commented[0] != len(self.out):
            self._commented = (len(self.out), self.is_in_comment())
        return self._commented[1]


class _Build:
    """Makes the configuration of the joined files."""

    def __init__(
        self, root: Path, reader: Reader, files: Mapping[str, _File], rules: dict[ET.Element, Rule]
    ) -> None:
        self.root = root
        self.paths = reader.files
        self.names = [os.path.relpath(path, root) for path in reader.files]
        self.files = files
        self.own_rules = rules
        self.stack = [0]
        self.found = Configuration(variables=reader.variables)

    def configuration(self, tree: ET.Element) -> Configuration:
        for element in self._inside(tree):
            if element.tag == "document":
                for section in self._inside(element):
                    self._section(section)
            else:
                self._skip(element)
        return self.found

    def _section(self, section: ET.Element) -> None:
        take = {"dialplan": self._context, "directory": self._domain, "configuration": self._module}
        name = section.get("name", "") if section.tag == "section" else ""
        for element in self._inside(section):
            take.get(name, self._skip)(element)

    def _inside(self, parent: ET.Element) -> Iterator[ET.Element]:
        """The elements inside of one, wherever their text comes from; `self.stack` says which file."""
        for child in parent:
            if isinstance(child.tag, str):  # a processing instruction has none
                yield child
                continue
            mark, _, number = (child.text or "").partition(" ")
            if mark == "file":
                self.stack.append(int(number))
            elif mark == "end":
                self.stack.pop()
            elif mark == "plain":
                self.stack.append(int(number))
                content = self.files[self.paths[int(number)]].content
                assert content is not None
                yield from self._inside(content)
                self.stack.pop()

    def _skip(self, element: ET.Element) -> None:
        """What is of no interest here may hold marks of files all the same."""
        for child in self._inside(element):
            self._skip(child)

    # --- dialplan --------------------------------------------------------------------------------------

    def _context(self, element: ET.Element) -> None:
        name = element.get("name", "")
        if element.tag != "context" or name in self.found.contexts:  # of two contexts the first counts
            self._skip(element)
            return
        rules = self.found.contexts[name] = []
        for child in self._inside(element):
            if child.tag == "extension":
                rules.append(self._rule(child))
            else:
                self._skip(child)

    def _rule(self, element: ET.Element) -> Rule:
        number = self.stack[-1]
        file = self.files[self.paths[number]]
        known = file.rules if file.content is not None else self.own_rules
        if element not in known:
            known[element] = _rule(element, self.names[number])
        return known[element]

    # --- directory -------------------------------------------------------------------------------------

    def _domain(self, element: ET.Element) -> None:
        name = element.get("name", "")
        if element.tag != "domain" or name in self.found.domains:
            self._skip(element)
            return
        params, variables = _pairs(element)
        domain = self.found.domains[name] = Domain(name, params=params)
        alone: list[tuple[ET.Element, int]] = []
        for child in self._inside(element):
            if child.tag == "groups":
                self._groups(child, domain, variables)
            elif child.tag == "users":
                alone += [(user, self.stack[-1]) for user in self._inside(child)]
            elif child.tag == "user":
                alone.append((child, self.stack[-1]))
            else:
                self._skip(child)
        for user, number in alone:
            self._user(user, number, domain, (params, variables), ({}, {}))

    def _groups(self, groups: ET.Element, domain: Domain, variables: Mapping[str, str]) -> None:
        for group in self._inside(groups):
            own = _pairs(group)
            members = domain.groups.setdefault(group.get("name", ""), [])
            domain.group_params.setdefault(group.get("name", ""), own[0])
            for users in self._inside(group):
                for user in self._inside(users):
                    if user.tag == "user":
                        members.append(user.get("id", ""))
                        self._user(user, self.stack[-1], domain, (domain.params, variables), own)

    def _user(
        self,
        element: ET.Element,
        number: int,
        domain: Domain,
        of_domain: tuple[Mapping[str, str], Mapping[str, str]],
        of_group: tuple[Mapping[str, str], Mapping[str, str]],
    ) -> None:
        """The user's own settings win over the group's, and those over the domain's."""
        if element.tag != "user" or element.get("type") == "pointer":
            return
        for gateway in element.iterfind("gateways/gateway"):
            self.found.gateways.setdefault(gateway.get("name", ""), self.names[number])
        file = self.files[self.paths[number]]
        if element not in file.users:
            file.users[element] = _pairs(element)
        params, variables = file.users[element]
        user = User(
            element.get("id", ""),
            self.names[number],
            element.attrib,
            {**of_domain[0], **of_group[0], **params},
            {**of_domain[1], **of_group[1], **variables},
        )
        for name in (user.id, element.get("number-alias")):
            if name:
                domain.users.setdefault(name, user)

    # --- modules ---------------------------------------------------------------------------------------

    def _module(self, element: ET.Element) -> None:
        match element.get("name"):
            case "sofia.conf":
                self._gateways(element)
            case "timezones.conf":
                self.found.zones = {
                    zone.get("name", ""): zone.get("value", "")
                    for zones in self._inside(element)
                    for zone in self._inside(zones)
                }
            case "modules.conf":
                self.found.modules = frozenset(
                    load.get("module", "").removesuffix(".so")
                    for modules in self._inside(element)
                    for load in self._inside(modules)
                )
            case _:
                self._skip(element)

    def _gateways(self, element: ET.Element) -> None:
        for child in self._inside(element):
            if child.tag == "gateway":
                self.found.gateways.setdefault(child.get("name", ""), self.names[self.stack[-1]])
            self._gateways(child)


def _rule(element: ET.Element, file: str) -> Rule:
    conditions = tuple(_condition(child) for child in element.findall("condition"))
    return Rule(
        element.get("name", ""),
        file,
        conditions,
        is_true(element.get("continue", "")),
        _gate(conditions[0]) if conditions else None,
    )


def _gate(first: Condition) -> Expression | None:
    """Nothing happens unless the first condition holds: that is so when it ends the rule by failing."""
    if (
        first.field != "destination_number"
        or first.regex is not None
        or first.times
        or first.anti_actions
        or first.breaks not in ("on-false", "always")
        or "${" in first.expression
        or "\\\\" in first.expression
    ):
        return None
    expression = compiled(first.expression)
    return expression if expression.pattern else None


def _condition(element: ET.Element) -> Condition:
    breaks = element.get("break", "").lower()
    inner = element.find("expression")
    return Condition(
        element.get("field"),
        (inner.text or "") if inner is not None else element.get("expression", ""),
        {name: element.attrib[name] for name in ATTRIBUTES if name in element.attrib} or _NO_TIMES,
        breaks if breaks in ("on-true", "on-false", "always", "never") else "on-false",
        element.get("regex"),
        tuple(_condition(child) for child in element.findall("regex")) if element.get("regex") else (),
        tuple(_action(child) for child in element.findall("action")),
        tuple(_action(child) for child in element.findall("anti-action")),
        tuple(_condition(child) for child in element.findall("condition")),
        is_true(element.get("require-nested", "true")),
    )


def _action(element: ET.Element) -> Action:
    loop = element.get("loop")
    return Action(
        element.get("application", ""),
        element.text if element.text and element.text.strip() else element.get("data", ""),
        is_true(element.get("inline", "")),
        1 if loop is None else atoi(loop),
    )


def _pairs(element: ET.Element) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The params and variables of a user, group or domain; of two with one name the last."""
    params, variables = (
        {
            each.get("name", "").lower(): each.get("value", "")
            for part in element.findall(container)
            for each in part.findall(tag)
        }
        for container, tag in (("params", "param"), ("variables", "variable"))
    )
    return params, variables


_loaders: dict[tuple[str, tuple[tuple[str, str], ...]], Loader] = {}
_MOST_LOADERS = 4  # a site asks for one directory; tests for many


def load(root: Path | str, given: Mapping[str, str] | None = None) -> Configuration:
    """The configuration below `root` as it is now; a second time it is fast. Raises Unreadable.

    `given` are global variables as the switch has them (`domain`); what only a running switch knows
    holds UNKNOWN.
    """
    key = (str(root), tuple(sorted((given or {}).items())))
    loader = _loaders.get(key)
    if loader is None:
        while len(_loaders) >= _MOST_LOADERS:
            _loaders.pop(next(iter(_loaders)), None)
        loader = _loaders[key] = Loader(Path(root), given or {})
    return loader.load()


__all__ = ["UNKNOWN", "Loader", "Unreadable", "load"]
