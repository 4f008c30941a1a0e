"""Reads a configuration directory the way the switch does: line by line first, as XML afterwards."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, XMLParser

from .userfiles import Credentials, credentials_in

# Deeper nesting than this is refused by the switch too.
MAX_INCLUDE_DEPTH = 100
# Handing the document over in pieces lets other threads run between them.
PARSE_CHUNK = 64 * 1024

_DROPPED_LINE = re.compile(r"^.*(?:<include>|</include>|<\?).*\n?", re.MULTILINE)
_COMMAND = re.compile(r"cmd[^=]*=[^\"]*\"([^\"]*)\".*?data[^=]*=[^\"]*\"([^\"]*)\"", re.IGNORECASE)
_GATEWAY_NAME = re.compile(r"[\w.\-]+")
_GLOBAL = re.compile(r"\$\$\{([^{}]*)\}")


class ConfigurationError(Exception):
    """The files do not parse; the text is what ``reloadxml`` shows in its brackets."""


@dataclass
class User:
    """One user of the directory; params and variables already merged from domain, group and user."""

    id: str
    domain: str
    group: str
    params: dict[str, str]
    variables: dict[str, str]
    file: Path | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class GatewaySettings:
    """A ``<gateway>`` of a SIP profile, its params by name."""

    name: str
    profile: str
    params: dict[str, str]
    # Variables by direction: of calls that come in through it, and of those that go out.
    inbound: dict[str, str] = field(default_factory=dict)
    outbound: dict[str, str] = field(default_factory=dict)

    @property
    def registers(self) -> bool:
        return self.params.get("register", "true").lower() in ("true", "yes", "on", "1")

    @property
    def problem(self) -> str:
        """Why the switch skips this gateway, with no more than a line in its log; empty when it does not."""
        if not _GATEWAY_NAME.fullmatch(self.name):
            return f"Ignoring invalid name '{self.name}'"
        if self.params.get("register-transport", "udp").lower() not in ("udp", "tcp", "sctp"):
            return "ERROR: unsupported transport"
        for name in ("username", "password"):
            if self.registers and not self.params.get(name):
                return f"ERROR: {name} param is REQUIRED!"
        return ""


class Configuration:
    """What is loaded: directory, dialplan contexts and gateways of one successful read."""

    def __init__(self, root: Element, files: dict[str, Path], credentials: dict[str, Credentials]):
        self.root = root
        self.credentials = credentials
        self._user_files = files
        self._pointers: set[tuple[str, str]] = set()
        self._users: dict[str, dict[str, tuple[Element, Element, str]]] = {}
        self._contexts: dict[str, Element] = {}
        self._merged: dict[tuple[str, str], User] = {}
        self.gateways: dict[tuple[str, str], GatewaySettings] = {}
        self.domains: dict[str, Element] = {}
        for section in root.iter("section"):
            name = section.get("name", "")
            if name == "directory":
                self._index_directory(section)
            elif name == "dialplan":
                for context in section.findall("context"):
                    self._contexts.setdefault(context.get("name", ""), context)
            elif name == "configuration":
                self._index_gateways(section)

    def _index_directory(self, section: Element) -> None:
        for domain in section.findall("domain"):
            name = domain.get("name", "")
            if name in self.domains:
                continue
            self.domains[name] = domain
            users = self._users.setdefault(name, {})
            for group, user in _users_of(domain):
                if user.get("type") != "pointer":
                    users.setdefault(user.get("id", ""), (domain, user, group))
                else:
                    self._pointers.add((name, user.get("id", "")))

    def _index_gateways(self, section: Element) -> None:
        for profile in section.iter("profile"):
            for gateway in profile.iter("gateway"):
                key = (profile.get("name", ""), gateway.get("name", ""))
                if key not in self.gateways:
                    self.gateways[key] = _gateway(gateway, *key)

    def user_ids(self, domain: str) -> list[str]:
        """Ids in the order in which the switch reads them."""
        return list(self._users.get(domain, ()))

    def user(self, user_id: str, domain: str) -> User | None:
        """The first user with this id (or number alias), as the switch would find it."""
        key = (domain, user_id)
        if key not in self._merged:
            found = self._users.get(domain, {}).get(user_id) or self._by_alias(user_id, domain)
            if found is None:
                return None
            self._merged[key] = self._merge(domain, *found)
        return self._merged[key]

    def is_dangling(self, user_id: str, domain: str) -> bool:
        """Whether a group names this user, who is nowhere: a real switch says that it exists."""
        return (domain, user_id) in self._pointers and self.user(user_id, domain) is None

    def _by_alias(self, user_id: str, domain: str) -> tuple[Element, Element, str] | None:
        for entry in self._users.get(domain, {}).values():
            if entry[1].get("number-alias") == user_id:
                return entry
        return None

    def _merge(self, name: str, domain: Element, user: Element, group: str) -> User:
        params: dict[str, str] = {}
        variables: dict[str, str] = {}
        for node in (domain, user):
            for child in node.findall("params"):
                params |= _pairs(child, "param")
            for child in node.findall("variables"):
                variables |= _pairs(child, "variable")
        user_id = user.get("id", "")
        file = self._user_files.get(user_id)
        return User(user_id, name, group, params, variables, file, dict(user.attrib))

    def context(self, name: str) -> Element | None:
        return self._contexts.get(name)

    @property
    def contexts(self) -> dict[str, Element]:
        return self._contexts


def _gateway(node: Element, profile: str, name: str) -> GatewaySettings:
    params, variables = node.find("params"), node.find("variables")
    settings = GatewaySettings(name, profile, _pairs(node if params is None else params, "param"))
    for one in (node if variables is None else variables).findall("variable"):
        for direction, values in (("inbound", settings.inbound), ("outbound", settings.outbound)):
            if one.get("direction", direction).lower() == direction:
                values[one.get("name", "")] = one.get("value", "")
    return settings


def _users_of(domain: Element) -> Iterator[tuple[str, Element]]:
    for groups in domain.findall("groups"):
        for group in groups.findall("group"):
            for user in group.findall("users/user"):
                yield group.get("name", ""), user
    for user in domain.findall("users/user"):
        yield "", user
    for user in domain.findall("user"):
        yield "", user


def _pairs(parent: Element, tag: str) -> dict[str, str]:
    return {child.get("name", ""): child.get("value", "") for child in parent.findall(tag)}


class Preprocessor:
    """Turns the files into one document: includes, ``set`` and ``$${…}``, and the lines that vanish."""

    def __init__(self, conf_dir: Path, variables: dict[str, str]):
        self.conf_dir = conf_dir
        self.variables = variables
        self.user_files: dict[str, Path] = {}
        self.credentials: dict[str, Credentials] = {}
        self._out: list[str] = []

    def run(self) -> str:
        """The preprocessed document. Raises ConfigurationError when freeswitch.xml cannot be read."""
        main = self.conf_dir / "freeswitch.xml"
        if not main.is_file():
            raise ConfigurationError("Cannot Open log directory or XML Root!")
        self._file(main, 0)
        return "".join(self._out)

    def text_of(self, path: Path) -> str:
        """One file alone, after the line rules."""
        self._out = []
        self._file(path, 0)
        return "".join(self._out)

    def _file(self, path: Path, depth: int) -> None:
        if depth > MAX_INCLUDE_DEPTH:
            return
        try:
            text = path.read_bytes().decode("utf-8", "replace").lstrip("\ufeff").replace("\r\n", "\n")
        except OSError:
            return
        before = len(self._out)
        self._read(path, text, depth)
        if "<user " in text and "x-pre-process" not in text.lower():
            self._note_users(path, "".join(self._out[before:]))

    def _note_users(self, path: Path, text: str) -> None:
        for user_id, credentials in credentials_in(text).items():
            if user_id not in self.user_files:
                self.user_files[user_id] = path
                self.credentials[user_id] = credentials

    def _read(self, path: Path, text: str, depth: int) -> None:
        if "$${" not in text and "<!--#" not in text and "x-pre-process" not in text.lower():
            self._out.append(_DROPPED_LINE.sub("", text))
        else:
            self._lines(text, path.parent, depth)

    def _lines(self, text: str, directory: Path, depth: int) -> None:
        in_comment = False
        for raw in text.splitlines(keepends=True):
            if "<include>" in raw or "</include>" in raw or "<?" in raw:
                continue
            line = _GLOBAL.sub(lambda found: self.variables.get(found[1], ""), raw) if "$${" in raw else raw
            if in_comment:
                if "-->" not in line:
                    continue
                in_comment = False
                line = line.split("-->", 1)[1]
            at = line.lower().find("x-pre-process")
            if at >= 0:
                if line[at - 1 : at] == "<":
                    self._command(line[at:], directory, depth)
            elif "<!--#" in line:
                before, _, rest = line.partition("<!--#")
                in_comment = "-->" not in rest
                self._out.append(before + rest.partition("-->")[2])
            else:
                self._out.append(line)

    def _command(self, line: str, directory: Path, depth: int) -> None:
        found = _COMMAND.search(line.partition("/>")[0])
        if not found:
            return
        command, data = found[1].lower(), found[2]
        if command == "include":
            for name in sorted(glob.glob(str(directory / data))):
                self._file(Path(name), depth + 1)
        elif command == "set":
            name, equals, value = data.partition("=")
            if equals:
                self.variables[name.rstrip(" ")] = value.lstrip(" ")


def load(conf_dir: Path, variables: dict[str, str]) -> Configuration:
    """Reads the whole directory.

    ``variables`` are the switch's globals: they are used, and changed by ``set`` lines even when the XML
    turns out to be broken. Raises ConfigurationError with the text that the switch would show.
    """
    preprocessor = Preprocessor(conf_dir, variables)
    text = preprocessor.run()
    return Configuration(_parse(text), preprocessor.user_files, preprocessor.credentials)


def _parse(text: str) -> Element:
    parser = XMLParser()  # noqa: S314 - files of whoever runs the simulator
    data = text.encode("utf-8", "replace")
    try:
        for start in range(0, len(data), PARSE_CHUNK):
            parser.feed(data[start : start + PARSE_CHUNK])
        root: Element = parser.close()
    except ParseError as error:
        raise ConfigurationError(_explain(error, text)) from None
    return root


def _explain(error: ParseError, text: str) -> str:
    line, column = error.position
    lines = text.split("\n")
    place = lines[line - 1][column:] if line <= len(lines) else ""
    closing = re.match(r"(?:</)?([^\s>]+)\s*>", place)
    if error.code == 7 and closing:
        what = f"unexpected closing tag </{closing[1]}>"
    elif error.code == 3:
        what = f"unclosed tag <{_last_open_tag(text)}>"
    else:
        what = str(error).split(":", 1)[0]
    return f"[error near line {line}]: {what}"


def _last_open_tag(text: str) -> str:
    open_tags: list[str] = []
    for closing, name, alone in re.findall(r"<(/?)([A-Za-z][^\s/>]*)[^>]*?(/?)>", text):
        if closing:
            if open_tags and open_tags[-1] == name:
                open_tags.pop()
        elif not alone:
            open_tags.append(name)
    return open_tags[-1] if open_tags else ""
