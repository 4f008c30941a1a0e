"""Who of a ring group has been idle the longest, kept on the switch in global variables.

The switch rings by them itself: while nothing of ours runs, the last order stays.
"""

import time
from collections.abc import Iterable

from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import store

from .models import RingGroup
from .switchxml.groups import idle_variable, members_key, ringing_agents


def _key(switch_name: str) -> str:
    """A hash: when each extension's last call ended, in seconds since 1970."""
    return f"patchbay:last talked:{switch_name}"


def who_talked(events: Iterable[Event]) -> set[str]:
    """The extensions of the agents whose calls these events end."""
    ends = (event for event in events if event.name == "CHANNEL_HANGUP_COMPLETE")
    return {extension for event in ends if (extension := _who_talked(event))}


def note(switch: Switch, extensions: set[str]) -> None:
    """Their calls have just ended."""
    store().hset(_key(switch.name), mapping=dict.fromkeys(extensions, time.time()))


def _who_talked(event: Event) -> str:
    """The agent whose phone this leg was, if somebody talked."""
    if event.get("variable_answer_uepoch", "0") in {"", "0"}:
        return ""
    return event.get("variable_patchbay_agent") or event.get("variable_dialed_user", "")


def put_in_order(switch: Switch, client: Client, changed: set[str] | None = None) -> None:
    """Tell the switch the order of the groups with one of these members, or of all."""
    commands: list[str] = []
    groups = list(RingGroup.objects.filter(is_active=True, strategy=RingGroup.Strategy.LONGEST_IDLE))
    RingGroup.fetch_targets(groups)
    ended = store().hgetall(_key(switch.name)) if groups else {}
    for group in groups:
        agents = ringing_agents(group)
        if changed is None or changed & set(agents):
            commands += _commands(group, sorted(agents, key=lambda extension: float(ended.get(extension, 0))))
    if commands:
        client.api_many(commands)


def _commands(group: RingGroup, ordered: list[str]) -> list[str]:
    variable = idle_variable(group)
    places = [f"global_setvar {variable}_{place}={who}" for place, who in enumerate(ordered, start=1)]
    return [*places, f"global_setvar {variable}={members_key(group)}"]
