"""Functions of the switch that a dialplan asks in `${name(arguments)}`."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from .call import State, unknown
from .expressions import compiled
from .strings import separate
from .times import is_number, moment

Function = Callable[[State, str], str]
_OPERATORS = re.compile(r"(!=|>=|<=|==|>|<)")


def _user_exists(state: State, arguments: str) -> str:
    parts = separate(arguments, " ")
    if len(parts) < 3:
        return "false"
    key, name, domain = parts[:3]
    if key not in ("id", "number-alias"):
        return unknown(f"function user_exists({arguments})")
    return "true" if state.configuration.user(name, domain) else "false"


def _user_data(state: State, arguments: str) -> str:
    parts = separate(arguments, " ")
    if len(parts) < 3:
        return ""
    name, _, domain = parts[0].partition("@")
    user = state.configuration.user(name, domain or state.domain)
    if user is None:
        return ""
    if parts[1] == "attr":
        return user.attributes.get(parts[2], "")
    settings = user.variables if parts[1] == "var" else user.params
    return settings.get(parts[2].lower(), "")


def _domain_exists(state: State, arguments: str) -> str:
    return "true" if state.configuration.domain(arguments) else "false"


def _cond(state: State, arguments: str) -> str:
    """`a == b ? x : y`; numbers are compared as numbers, of one that is none the length counts."""
    found = re.fullmatch(r"(?:'((?:[^'\\]|\\.)*)'|([^ ]*))\s+(!=|>=|<=|==|>|<)(.*)", arguments, re.DOTALL)
    if not found:
        return "-ERR"
    rest = found[4].lstrip()
    other = re.match(r"(?:'((?:[^'\\]|\\.)*)'|([^ ]*))\s+\?(.*)", rest, re.DOTALL)
    if not other:
        return "-ERR"
    results = separate(":" + other[3], ":", 3)
    if len(results) < 2:
        return "-ERR"
    is_true = _compare(
        (found[1] if found[1] is not None else found[2], found[1] is not None),
        found[3],
        (other[1] if other[1] is not None else other[2], other[1] is not None),
    )
    return results[1] if is_true else ([*results, ""])[2]


def _compare(one: tuple[str, bool], operator: str, other: tuple[str, bool]) -> bool:
    numbers = [not quoted and is_number(text) for text, quoted in (one, other)]
    if operator in ("==", "!=") and not any(numbers):
        return (one[0] == other[0]) == (operator == "==")
    a, b = (
        _float(text) if is_a_number else float(len(text.encode()))
        for (text, _), is_a_number in zip((one, other), numbers, strict=True)
    )
    return {"==": a == b, "!=": a != b, ">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b}[operator]


def _float(text: str) -> float:
    found = re.match(r"[+-]?(?:\d+\.?\d*|\.\d+)", text)
    return float(found[0]) if found else 0.0


def _regex(state: State, arguments: str) -> str:
    delimiter = "|"
    if re.match(r"m:[|~/].", arguments):
        delimiter, arguments = arguments[2], arguments[3:]
    parts = separate(arguments, delimiter, 4)
    if len(parts) < 2:
        return "-ERR"
    expression = compiled(parts[1])
    if expression.pattern is None:
        return unknown(f"the expression {parts[1]}, which {expression.problem}")
    found = expression.search(parts[0])
    if len(parts) == 2:
        return "true" if found else "false"
    if found:
        return found.substituted(parts[2].replace("%", "$"))
    flags = parts[3] if len(parts) > 3 else ""
    return "" if "n" in flags else "false" if "b" in flags else parts[0]


def _strepoch(state: State, arguments: str) -> str:
    if not arguments:
        return str(int(state.clock.timestamp()))
    at = moment(arguments, state.call.zone)
    return str(int(at.timestamp())) if at else unknown(f"function strepoch({arguments})")


def _strftime(state: State, arguments: str) -> str:
    at, text = state.own_time, arguments
    if found := re.match(r"(\d+)\|", arguments):
        at, text = (
            datetime.fromtimestamp(int(found[1]), UTC).astimezone(state.call.zone),
            arguments[found.end() :],
        )
    return at.strftime(text or "%Y-%m-%d %T")


def _strftime_tz(state: State, arguments: str) -> str:
    name, _, text = arguments.partition(" ")
    zone = state.configuration.zone(name)
    if zone is None or "|" in text:
        return unknown(f"function strftime_tz({arguments})")
    return state.clock.astimezone(zone).strftime(text or "%Y-%m-%d %T")


def _limit_usage(state: State, arguments: str) -> str:
    parts = separate(arguments, " ")
    return str(state.usage("_".join(parts[1:3]))) if len(parts) >= 3 else unknown(f"limit_usage({arguments})")


def _db(state: State, arguments: str) -> str:
    """What the switch keeps on its own disk is known as far as the call says it."""
    verb, _, key = arguments.partition("/")
    if verb != "select" or key.partition("/")[0] not in state.call.stored:
        return unknown(f"function db({arguments})")
    realm, _, name = key.partition("/")
    return state.call.stored[realm].get(name, "")


def group_call(state: State, arguments: str) -> str:
    """The dial string of a group of the directory."""
    group, _, flags = arguments.partition("+")
    name, _, domain_name = group.partition("@")
    domain = state.configuration.domain(domain_name or state.domain)
    members = domain.groups.get(name, []) if domain else []
    delimiter = ":_:" if "E" in flags else "|" if "F" in flags else ","
    found = [
        f"user/{each}@{domain_name or state.domain}" for each in members if domain and each in domain.users
    ]
    return delimiter.join(found) or "error/NO_ROUTE_DESTINATION"


def _sofia_contact(state: State, arguments: str) -> str:
    """Where a phone is registered is known by the switch alone: it stands for itself."""
    return f"registered/{arguments.rpartition('/')[2]}"


def _module_exists(state: State, arguments: str) -> str:
    modules = state.configuration.modules
    if modules is None:
        return unknown(f"function module_exists({arguments})")
    return "true" if arguments in modules else "false"


def _global(state: State, arguments: str) -> str:
    return state.call.global_variables.get(arguments) or state.configuration.variables.get(arguments, "")


FUNCTIONS: dict[str, Function] = {
    "user_exists": _user_exists,
    "user_data": _user_data,
    "domain_exists": _domain_exists,
    "cond": _cond,
    "regex": _regex,
    "strepoch": _strepoch,
    "strftime": _strftime,
    "strftime_tz": _strftime_tz,
    "limit_usage": _limit_usage,
    "limit_hash_usage": lambda state, arguments: _limit_usage(state, f"hash {arguments}"),
    "db": _db,
    "group_call": group_call,
    "sofia_contact": _sofia_contact,
    "verto_contact": lambda state, arguments: "error/user_not_registered",
    "module_exists": _module_exists,
    "global_getvar": _global,
    "eval": lambda state, arguments: arguments,
    "toupper": lambda state, arguments: arguments.upper(),
    "tolower": lambda state, arguments: arguments.lower(),
}
