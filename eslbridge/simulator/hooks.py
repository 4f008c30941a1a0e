"""Variables that make a call run something at a moment of its life, such as ``execute_on_answer``."""

from __future__ import annotations

from .apps import run_application
from .channel import Channel
from .events import Value


def run_hooks(channel: Channel, moment: str) -> None:
    """Runs what variables ask for at ``ring``, ``pre_answer``, ``media`` or ``answer``.

    Every variable counts whose name begins so, whoever set it: that is what makes it dangerous.
    """
    known = {**channel.switch.variables, **channel.variables}
    for value in _values(known, f"execute_on_{moment}"):
        application, data = _split(value)
        channel.switch.spawn(run_application(channel, application, data))
    for value in _values(channel.variables, f"api_on_{moment}"):
        _call_api(channel, value)


async def run_hooks_in_turn(channel: Channel, moment: str) -> None:
    """Runs what variables ask for at ``blind_transfer``, to its end."""
    known = {**channel.switch.variables, **channel.variables}
    for value in _values(known, f"execute_on_{moment}"):
        await run_application(channel, *_split(value))


def run_last_hooks(channel: Channel) -> None:
    """Runs what was asked for at the end of a leg."""
    for name in ("api_hangup_hook", "api_reporting_hook"):
        value = channel.text(name)
        if value:
            _call_api(channel, value)


def _values(variables: dict[str, Value] | dict[str, str], beginning: str) -> list[str]:
    found: list[str] = []
    for name, value in variables.items():
        if name.lower().startswith(beginning):
            found += [value] if isinstance(value, str) else value
    return found


def _split(value: str) -> tuple[str, str]:
    for index, letter in enumerate(value):
        if letter == " " or (letter == ":" and value[index + 1 : index + 2] != ":"):
            return value[:index], value[index + 1 :]
        if letter == ":":
            return value[:index], value[index + 2 :]
    return value, ""


def _call_api(channel: Channel, value: str) -> None:
    name, _, arguments = value.partition(" ")
    channel.call_api(name, channel.expand(arguments))
