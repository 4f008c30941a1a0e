"""API commands: what ``api`` and ``bgapi`` can ask for, and what ``${…()}`` can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from . import api_calls, api_sofia, api_switch

if TYPE_CHECKING:
    from .core import Switch


def _note_command(switch: Switch, arguments: str) -> str:
    switch.would_execute(arguments)
    return ""


_SHELL = ("system", "bg_system", "bgsystem", "spawn", "spawn_stream", "lua", "luarun", "perl", "python")


async def _expand(switch: Switch, arguments: str) -> str:
    """Runs a command after its variables were replaced."""
    name, _, rest = switch.expand_with(arguments, {}, None).partition(" ")
    return await run(switch, name, rest)


COMMANDS: dict[str, Callable[[Switch, str], str | Awaitable[str]]] = {
    **api_switch.COMMANDS,
    **api_sofia.COMMANDS,
    **api_calls.COMMANDS,
    "expand": _expand,
    **dict.fromkeys(_SHELL, _note_command),
}


async def run(switch: Switch, name: str, arguments: str) -> str:
    """The answer of an API command, with the line end that the switch gives it."""
    handler = COMMANDS.get(name.lower())
    if handler is None:
        return f"-ERR {name} Command not found!\n"
    answer = handler(switch, arguments.strip())
    return answer if isinstance(answer, str) else await answer


def expansion(switch: Switch, name: str, arguments: str) -> str:
    """A function inside ``${…}``: answered at once; shell commands are only noted."""
    handler = COMMANDS.get(name.lower())
    if handler is None:
        return ""
    answer = handler(switch, arguments)
    if isinstance(answer, str):
        return answer
    # A command that takes its time would hold up the call; its effect is not part of an expansion here.
    answer.close()  # type: ignore[attr-defined]
    return ""
