"""What the files of a switch say about calls: contexts and their rules, users, gateways, time zones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from eslbridge.conftree import UNKNOWN

from .expressions import Expression
from .times import posix_zone


@dataclass(frozen=True, slots=True)
class Action:
    """One `<action>` or `<anti-action>`."""

    application: str
    data: str
    is_inline: bool = False
    loops: int = 1


@dataclass(frozen=True, slots=True)
class Condition:
    """One `<condition>`, or one `<regex>` inside of it."""

    field: str | None
    expression: str
    times: Mapping[str, str]
    breaks: str = "on-false"
    regex: str | None = None
    """How its `regexes` count: all, any or xor; None for an ordinary condition."""
    regexes: tuple["Condition", ...] = ()
    actions: tuple[Action, ...] = ()
    anti_actions: tuple[Action, ...] = ()
    nested: tuple["Condition", ...] = ()
    nested_required: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """One `<extension>` of a context."""

    name: str
    file: str
    """Relative to the configuration directory."""
    conditions: tuple[Condition, ...]
    continues: bool = False
    gate: Expression | None = None
    """What the dialled number must match for anything of this rule to happen; None when that is not all."""


@dataclass(frozen=True)
class User:
    """One `<user>` with what its group and domain add."""

    id: str
    file: str
    attributes: Mapping[str, str]
    params: Mapping[str, str]
    """By name in lower case."""
    variables: Mapping[str, str]


@dataclass
class Domain:
    """One `<domain>` of the directory."""

    name: str
    users: dict[str, User] = field(default_factory=dict)
    """By id and number-alias; the first that was found."""
    groups: dict[str, list[str]] = field(default_factory=dict)
    """The ids of a group's members, in order."""
    group_params: dict[str, Mapping[str, str]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Configuration:
    """A configuration directory as the switch reads it."""

    contexts: dict[str, list[Rule]] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    gateways: dict[str, str] = field(default_factory=dict)
    """The file of each."""
    zones: dict[str, str] | None = None
    """timezones.conf.xml; None when the switch has no such file."""
    modules: frozenset[str] | None = None
    """The modules that are loaded; None when there is no modules.conf.xml."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The global variables that the files set."""

    def domain(self, name: str) -> Domain | None:
        """The domain of this name. One whose name only the switch knows stands for any."""
        if name in self.domains:
            return self.domains[name]
        return next((domain for domain in self.domains.values() if UNKNOWN in domain.name), None)

    def user(self, name: str, domain: str) -> User | None:
        """The user that the switch finds under an id or number-alias."""
        found = self.domain(domain)
        return found.users.get(name) if found else None

    @property
    def default_domain(self) -> str:
        """The domain that the files name themselves; empty when only the switch knows it."""
        name = self.variables.get("domain", "") or next(iter(self.domains), "")
        return "" if UNKNOWN in name else name

    def zone(self, name: str) -> tzinfo | None:
        """A time zone as the switch knows it: by its own list, if it has one. None when it does not."""
        try:
            if self.zones is None:
                return ZoneInfo(name)
            return posix_zone(self.zones[name], name)
        except (KeyError, ValueError, ZoneInfoNotFoundError, OSError):
            return None

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Every rule with the name of its context."""
        for context, rules in self.contexts.items():
            for rule in rules:
                yield context, rule
