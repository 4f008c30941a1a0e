"""The XML dialplan: which applications a call in a context runs, in order."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from functools import lru_cache
from xml.etree.ElementTree import Element

MAX_NESTING = 100
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


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

    ``only`` restricts the walk to extensions of that name (``execute_extension`` finds by number,
    so it is rare).
    """
    walk = _Walk(caller, number, now or datetime.datetime.now())
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
        proceed = False
        for condition in node.findall("condition"):
            passed, match, saw_parentheses = self._test(condition)
            proceed = passed
            if passed:
                if match is not None and saw_parentheses:
                    self.caller.set_match([match[0], *(group or "" for group in match.groups())])
                self._collect(condition, "action", name, match if saw_parentheses else None)
            else:
                anti = condition.findall("anti-action")
                self._collect(condition, "anti-action", name, None)
                proceed = bool(anti)
            if passed and condition.find("condition") is not None:
                nested = self.extension(condition, name, depth + 1)
                if _true(condition.get("require-nested", "true")):
                    proceed = proceed and nested
            how = condition.get("break", "on-false")
            stop_on = {"on-true": passed, "always": True, "never": False}
            if stop_on.get(how, not passed):
                break
        return proceed

    def _test(self, condition: Element) -> tuple[bool, re.Match[str] | None, bool]:
        if condition.get("regex") is not None:
            return self._test_many(condition), None, False
        return self._test_one(condition)

    def _test_one(self, node: Element) -> tuple[bool, re.Match[str] | None, bool]:
        in_time = time_matches(node, self.now)
        field_name = node.get("field")
        if field_name is None:
            return (in_time is not False), None, False
        child = node.find("expression")
        expression = (child.text or "") if child is not None else node.get("expression", "")
        expression = self.caller.expand(expression)
        match = search(expression, self._field(field_name))
        # As in the switch: a field that matches makes up for a time that does not.
        return match is not None, match, "(" in expression

    def _field(self, name: str) -> str:
        if "$" in name:
            return self.caller.expand(name)
        return self.caller.profile_field(name) or ""

    def _test_many(self, condition: Element) -> bool:
        results = [self._test_one(node)[0] for node in condition.findall("regex")]
        rule = condition.get("regex", "").lower()
        if rule == "all":
            return all(results)
        if rule == "xor":
            return results.count(True) == 1
        return any(results)

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


def time_matches(node: Element, now: datetime.datetime) -> bool | None:
    """Whether the time attributes fit; None when there are none."""
    values = {
        "year": now.year,
        "yday": now.timetuple().tm_yday,
        "mon": now.month,
        "mday": now.day,
        "week": int(now.strftime("%U")) + 1,
        "mweek": (now.day - 1 + (now.replace(day=1).isoweekday() % 7)) // 7 + 1,
        "wday": now.isoweekday() % 7 + 1,
        "hour": now.hour,
        "minute": now.minute,
        "minute-of-day": now.hour * 60 + now.minute + 1,
    }
    result: bool | None = None
    for name, value in values.items():
        wanted = node.get(name)
        if wanted is not None and result is not False:
            result = _number_fits(wanted, value)
    for name, fits in (("time-of-day", _time_of_day), ("date-time", _date_time)):
        wanted = node.get(name)
        if wanted is not None and result is not False:
            result = fits(wanted, now)
    return result


def _number(text: str) -> int:
    text = text.strip().lower()
    return _DAYS.index(text[:3]) + 1 if text[:3] in _DAYS else int(text or 0)


def _number_fits(wanted: str, value: int) -> bool:
    for part in wanted.split(","):
        first, dash, last = part.partition("-")
        low, high = _number(first), _number(last) if dash else _number(first)
        if (low <= value <= high) if low <= high else (value >= low or value <= high):
            return True
    return False


def _seconds(text: str) -> int:
    hour, minute, second = ([int(part) for part in text.strip().split(":")] + [0, 0])[:3]
    return hour * 3600 + minute * 60 + second


def _time_of_day(wanted: str, now: datetime.datetime) -> bool:
    value = now.hour * 3600 + now.minute * 60 + now.second
    for part in wanted.split(","):
        first, _, last = part.partition("-")
        low, high = _seconds(first), _seconds(last or first)
        if (low <= value <= high) if low <= high else (value >= low or value <= high):
            return True
    return False


def _date_time(wanted: str, now: datetime.datetime) -> bool:
    stamp = now.strftime("%Y-%m-%d %H:%M:%S")
    for part in wanted.split(","):
        first, _, last = part.partition("~")
        if first.strip() <= stamp <= (last or first).strip():
            return True
    return False
