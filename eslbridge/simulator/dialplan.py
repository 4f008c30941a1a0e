"""The XML dialplan: which applications a call in a context runs, in order."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from functools import lru_cache
from xml.etree.ElementTree import Element

from . import times

MAX_NESTING = 100


@dataclass
class Extension:
    """The applications found for one call; ``data`` not yet expanded, as the switch keeps them."""

    name: str
    number: str
    applications: list[tuple[str, str]] = field(default_factory=list)
    position: int = 0


class Caller:
    """What the dialplan asks of a call; channels implement it."""

    def profile_field(self, name: str) -> str | None:
        raise NotImplementedError

    def variable(self, name: str) -> str | None:
        raise NotImplementedError

    def expand(self, text: str) -> str:
        raise NotImplementedError

    def set_match(self, values: list[str]) -> None:
        raise NotImplementedError

    def run_inline(self, application: str, data: str) -> None:
        raise NotImplementedError


def hunt(
    context: Element,
    caller: Caller,
    number: str,
    now: datetime.datetime | None = None,
    only: str | None = None,
) -> Extension | None:
    """Walks a context. None when no action matched anywhere.

    ``now`` is the switch's own time (the machine's if None), in which conditions are looked at unless the
    call has a ``timezone``. ``only`` restricts the walk to extensions of that name
    (``execute_extension`` finds by number, so it is rare).
    """
    walk = _Walk(caller, number, now or datetime.datetime.now().astimezone())
    for extension in context.findall("extension"):
        name = extension.get("name") or "_anon_"
        if only is not None and name != only:
            continue
        matched = walk.extension(extension, name, 0)
        if matched and not _true(extension.get("continue")):
            break
    return walk.found


def _true(value: str | None) -> bool:
    return (value or "").lower() in ("yes", "on", "true", "t", "enabled", "active", "allow", "1")


@dataclass
class _Verdict:
    """What one condition says: run the actions or the anti-actions, and whether the extension matches."""

    passed: bool = False
    proceed: bool = False
    match: re.Match[str] | None = None
    # Only an expression with a parenthesis stands for $1 and its like.
    grouped: bool = False


class _Walk:
    def __init__(self, caller: Caller, number: str, now: datetime.datetime):
        self.caller = caller
        self.number = number
        self.now = now
        self.found: Extension | None = None

    def extension(self, node: Element, name: str, depth: int) -> bool:
        """Whether the last condition that was looked at let the call proceed."""
        if depth > MAX_NESTING:
            return False
        proceed = self._conditions(node, name, depth)
        return proceed or (depth > 0 and not _true(node.get("require-nested", "true")))

    def _conditions(self, node: Element, name: str, depth: int) -> bool:
        proceed = False
        for condition in node.findall("condition"):
            verdict = self._test_many(condition) if condition.get("regex") else self._test_one(condition)
            proceed = self._take(condition, name, verdict)
            how = condition.get("break", "").lower()
            if _breaks(how, verdict.passed):
                break
            if proceed and condition.find("condition") is not None:
                proceed = self.extension(condition, name, depth + 1)
                if not proceed and how != "never":
                    break
        return proceed

    def _take(self, condition: Element, name: str, verdict: _Verdict) -> bool:
        if not verdict.passed:
            self._collect(condition, "anti-action", name, None)
            return verdict.proceed or condition.find("anti-action") is not None
        match = verdict.match if verdict.grouped else None
        if match is not None:
            self.caller.set_match([match[0], *(group or "" for group in match.groups())])
        self._collect(condition, "action", name, match)
        return verdict.proceed

    def _test_one(self, node: Element) -> _Verdict:
        """As in the switch, a time and a field on one condition make up for each other."""
        in_time = times.matches(node, self.now, self._there())
        verdict = _Verdict(passed=in_time is True, proceed=in_time is True)
        field_name = node.get("field")
        if field_name is not None:
            child = node.find("expression")
            expression = (child.text or "") if child is not None else node.get("expression", "")
            expression = self.caller.expand(expression)
            verdict.match = search(expression, self._field(field_name))
            verdict.grouped = "(" in expression
            verdict.proceed = verdict.match is not None
            verdict.passed = verdict.passed or verdict.proceed
        elif in_time is None:
            verdict.passed = verdict.proceed = True
        return verdict

    def _there(self) -> datetime.datetime | None:
        """The time that conditions see now: an earlier one may have set the zone."""
        offset = self.caller.variable("tod_tz_offset") or ""
        if offset.lstrip("+-").isdigit():
            return self.now.astimezone(datetime.timezone(datetime.timedelta(hours=int(offset))))
        name = self.caller.variable("timezone")
        if not name:
            return self.now
        zone = times.zone_named(name)
        return None if zone is None else self.now.astimezone(zone)

    def _field(self, name: str) -> str:
        if "$" in name:
            return self.caller.expand(name)
        return self.caller.profile_field(name) or ""

    def _test_many(self, condition: Element) -> _Verdict:
        rule = condition.get("regex", "").lower()
        outer = times.matches(condition, self.now, self._there())
        verdict = _Verdict(passed=outer is True)
        passes = fails = 0
        for node in condition.findall("regex"):
            one = self._test_one(node)
            verdict.proceed = one.proceed
            passes += one.passed
            fails += not one.passed
            if one.grouped:
                verdict.match, verdict.grouped = one.match, True
            if (one.passed and rule not in ("all", "xor")) or (not one.passed and rule == "all"):
                break
        met = passes == 1 if rule == "xor" else not fails if rule == "all" else passes > 0
        verdict.passed = verdict.passed or met
        return verdict

    def _collect(self, condition: Element, tag: str, name: str, match: re.Match[str] | None) -> None:
        for action in condition.findall(tag):
            text = action.text or ""
            data = text if text.strip() else action.get("data", "")
            if match is not None:
                data = substitute(data, match)
            if self.found is None:
                self.found = Extension(name, self.number)
            application = action.get("application", "")
            for _ in range(int(action.get("loop", "1"))):
                if _true(action.get("inline")):
                    self.caller.run_inline(application, data)
                else:
                    self.found.applications.append((application, data))


def _breaks(how: str, passed: bool) -> bool:
    stop_on = {"on-true": passed, "always": True, "never": False}
    return stop_on.get(how, not passed)


@lru_cache(maxsize=4096)
def _compiled(expression: str, flags: int) -> re.Pattern[str] | None:
    try:
        return re.compile(expression, flags)
    except re.error:
        return None


def search(expression: str, text: str) -> re.Match[str] | None:
    """A regular expression of the dialplan; an invalid one matches nothing."""
    flags = 0
    if expression.startswith("_"):
        expression = _asterisk_pattern(expression)
    elif expression.startswith("/") and expression.rfind("/") > 0:
        end = expression.rfind("/")
        flags = re.IGNORECASE if "i" in expression[end:] else 0
        expression = expression[1:end]
    pattern = _compiled(expression, flags)
    return pattern.search(text) if pattern else None


def _asterisk_pattern(expression: str) -> str:
    classes = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+"}
    return "^" + "".join(classes.get(letter, letter) for letter in expression[1:]) + "$"


def substitute(data: str, match: re.Match[str]) -> str:
    """Replaces ``$0`` to ``$99`` and ``${1}``-less forms with the groups of the match."""

    def group(found: re.Match[str]) -> str:
        index = int(found[1])
        return (match[index] or "") if index <= (match.re.groups) else ""

    return re.sub(r"\$(\d{1,2})", group, data)
