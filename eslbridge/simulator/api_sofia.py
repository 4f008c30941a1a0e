"""API commands about users, registrations and gateways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from . import tables

if TYPE_CHECKING:
    from .core import Switch


def _user_exists(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ")
    if len(words) < 3:
        return "-USAGE: <key> <user> <domain>\n"
    exists = switch.configuration.user(*words[1:3]) or switch.configuration.is_dangling(*words[1:3])
    return "true" if exists else "false"


def _user_data(switch: Switch, arguments: str) -> str:
    words = arguments.split(" ")
    if len(words) < 3:
        return "-USAGE: <user>@<domain> [attr|var|param] <name>\n"
    name, _, domain = words[0].partition("@")
    user = switch.configuration.user(name, domain or switch.domain)
    if user is None:
        dangling = words[1] == "attr" and switch.configuration.is_dangling(name, domain or switch.domain)
        return {"id": name, "type": "pointer"}.get(words[2], "") if dangling else ""
    table = {"param": user.params, "var": user.variables, "attr": user.attributes}.get(words[1], {})
    return table.get(words[2], "")


def _domain_exists(switch: Switch, arguments: str) -> str:
    return "true" if arguments.strip() in switch.configuration.domains else "false"


def _list_users(switch: Switch, arguments: str) -> str:
    lines = [
        "userid|context|domain|group|contact|callgroup|effective_caller_id_name|effective_caller_id_number\n"
    ]
    for domain in switch.configuration.domains:
        for user_id in switch.configuration.user_ids(domain):
            user = switch.configuration.user(user_id, domain)
            assert user is not None
            contact = switch.registrar.contact(user_id, domain)
            names = ("callgroup", "effective_caller_id_name", "effective_caller_id_number")
            fields = [user_id, user.variables.get("user_context", ""), domain, user.group, contact]
            lines.append("|".join(fields + [user.variables.get(name, "") for name in names]) + "\n")
    return "".join(lines) + "\n+OK\n"


def _sofia_contact(switch: Switch, arguments: str) -> str:
    address = arguments.rsplit("/", maxsplit=1)[-1].strip()
    name, _, domain = address.partition("@")
    return switch.registrar.contact(name, domain or switch.domain)


def _group_call(switch: Switch, arguments: str) -> str:
    group, _, domain = arguments.partition("@")
    domain = domain.partition("+")[0] or switch.domain
    contacts = [switch.registrar.contact(member, domain) for member in switch.group_members(group, domain)]
    return ",".join(one for one in contacts if not one.startswith("error")) or "error/NO_ROUTE_DESTINATION"


async def _sofia(switch: Switch, arguments: str) -> str:
    words = arguments.split()
    if not words:
        return "-USAGE: sofia help\n"
    if words[0] == "profile":
        return await _sofia_profile(switch, words[1:])
    if words[0] == "status":
        return _sofia_status(switch, words[1:])
    if words[0] == "xmlstatus":
        return _sofia_xmlstatus(switch, words[1:])
    if words[0] in ("loglevel", "tracelevel", "global"):
        return "+OK\n"
    return "Unknown command!\n"


async def _sofia_profile(switch: Switch, words: list[str]) -> str:
    name = words[0] if words else ""
    if name not in switch.profiles:
        return f"Invalid Profile [{name}]"
    handler = _PROFILE_COMMANDS.get(words[1].lower() if len(words) > 1 else "")
    return "-ERR Unknown command!\n" if handler is None else await handler(switch, name, words[2:])


async def _rescan(switch: Switch, profile: str, rest: list[str]) -> str:
    result = await switch.reload()
    switch.gateway_list.rescan(profile)
    return f"Reload XML [{result}]\n+OK scan complete\n"


async def _kill_gateway(switch: Switch, profile: str, rest: list[str]) -> str:
    if not rest:
        return "-ERR missing gw name\n"
    return (
        "+OK gateway marked for deletion.\n"
        if switch.gateway_list.kill(rest[0])
        else "-ERR no such gateway.\n"
    )


async def _flush(switch: Switch, profile: str, rest: list[str]) -> str:
    reboot = "reboot" in rest
    which = rest[0] if rest and rest[0] != "reboot" else ""
    if profile == "internal":
        switch.registrar.flush(which, reboot)
    doing = "rebooting" if reboot else "flushing"
    return f"+OK {doing} all registrations{' matching specified call_id' if which else ''}\n"


async def _check_sync(switch: Switch, profile: str, rest: list[str]) -> str:
    which = rest[0] if rest else ""
    if profile == "internal":
        switch.registrar.check_sync(which)
    return f"+OK syncing all registrations{' matching specified call_id' if which else ''}\n"


async def _register(switch: Switch, profile: str, rest: list[str]) -> str:
    if not rest:
        return "No gateway name provided!\n"
    return "+OK\n" if rest[0] == "all" or rest[0] in switch.gateways else "Invalid gateway!\n"


async def _trace(switch: Switch, profile: str, rest: list[str]) -> str:
    if not rest:
        return "Usage: sofia profile <name> siptrace <on/off>\n"
    return f"{'Enabled' if rest[0] == 'on' else 'Disabled'} sip debugging on {profile}"


async def _restart(switch: Switch, profile: str, rest: list[str]) -> str:
    return f"Reload XML [{await switch.reload()}]\nrestarting: {profile}"


_PROFILE_COMMANDS: dict[str, Callable[[Switch, str, list[str]], Awaitable[str]]] = {
    "rescan": _rescan,
    "killgw": _kill_gateway,
    "flush_inbound_reg": _flush,
    "check_sync": _check_sync,
    "register": _register,
    "unregister": _register,
    "siptrace": _trace,
    "restart": _restart,
}


def _sofia_status(switch: Switch, words: list[str]) -> str:
    if words[:1] == ["gateway"]:
        gateway = switch.gateways.get(words[1]) if len(words) > 1 else None
        return tables.gateway_text(gateway, switch) if gateway else "Invalid Gateway!\n"
    if words[:1] == ["profile"]:
        if len(words) < 2 or words[1] not in switch.profiles:
            return f"Invalid Profile [{words[1] if len(words) > 1 else ''}]"
        if "reg" in words[2:]:
            return tables.registrations_text(switch)
    return tables.sofia_text(switch)


def _gateway_data(switch: Switch, arguments: str) -> str:
    """A variable of a running gateway; nothing when there is none of either."""
    name, direction, variable = ([*arguments.split(), "", "", ""])[:3]
    gateway = switch.gateways.get(name)
    if gateway is None:
        return ""
    inbound, outbound = gateway.settings.inbound, gateway.settings.outbound
    known = {"ivar": inbound, "ovar": outbound, "var": outbound | inbound}
    return known.get(direction.lower(), {}).get(variable, "")


def _sofia_xmlstatus(switch: Switch, words: list[str]) -> str:
    if words[:1] == ["gateway"]:
        if len(words) > 1:
            gateway = switch.gateways.get(words[1])
            if gateway is None:
                return "Invalid Gateway!\n"
            return tables.XML_HEAD + tables.gateway_xml(gateway, switch, "")
        inside = "".join(tables.gateway_xml(one, switch, "  ") for one in reversed(switch.gateways.values()))
        return f"{tables.XML_HEAD}<gateways>\n{inside}</gateways>\n"
    if words[:1] == ["profile"]:
        if len(words) < 2 or words[1] not in switch.profiles:
            return f"Invalid Profile [{words[1] if len(words) > 1 else ''}]"
        return tables.registrations_xml(switch, words[1])
    return tables.profiles_xml(switch)


COMMANDS: dict[str, Callable[[Switch, str], str | Awaitable[str]]] = {
    "user_exists": _user_exists,
    "user_data": _user_data,
    "domain_exists": _domain_exists,
    "list_users": _list_users,
    "sofia_contact": _sofia_contact,
    "group_call": _group_call,
    "sofia": _sofia,
    "sofia_gateway_data": _gateway_data,
}
