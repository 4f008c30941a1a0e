"""Counters of ``limit`` and ``limit_execute`` (mod_hash): how many channels use a resource now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .channel import Channel
    from .core import Switch


@dataclass
class Usage:
    """One resource: the channels that use it, each counting once, and how often it was asked for lately."""

    channels: list[str] = field(default_factory=list)
    rate: int = 0
    rate_since: int = 0


class Limits:
    """All resources by ``realm_key``."""

    def __init__(self, switch: Switch):
        self.switch = switch
        self._usages: dict[str, Usage] = {}

    def usage(self, realm: str, key: str) -> tuple[int, int]:
        """Channels that use it now, and how often it was asked for in its interval."""
        found = self._usages.get(f"{realm}_{key}")
        return (len(found.channels), found.rate) if found else (0, 0)

    def take(self, channel: Channel, realm: str, key: str, most: int, interval: int = 0) -> bool:
        """Counts a channel. False when the limit is reached; a negative ``most`` only counts."""
        name = f"{realm}_{key}"
        found = self._usages.setdefault(name, Usage())
        new = channel.uuid not in found.channels
        if interval > 0 and not self._rate_allows(found, most, interval):
            return False
        if interval <= 0 and 0 <= most < len(found.channels) + new:
            return False
        if new:
            found.channels.append(channel.uuid)
            self._tell(realm, key, found, most)
        for suffix in ("", f"_{name}"):
            channel.set_variable(f"limit_usage{suffix}", str(len(found.channels)))
        for suffix in ("", f"_{name}"):
            channel.set_variable(f"limit_rate{suffix}", str(found.rate))
        channel.set_variable("limit_backend", "hash")
        return True

    def _rate_allows(self, found: Usage, most: int, interval: int) -> bool:
        now = self.switch.clock.now() // 1_000_000
        if found.rate_since <= now - interval:
            found.rate, found.rate_since = 1, now
            return True
        found.rate += 1
        return not 0 <= most < found.rate

    def _tell(self, realm: str, key: str, found: Usage, most: int) -> None:
        source = ("switch_limit.c", "switch_limit_fire_event", "64")
        figures = {"usage": len(found.channels), "rate": found.rate, "max": most, "ratemax": max(most, 0)}
        self.switch.send_custom(
            "limit::usage",
            [
                *self.switch.event_head("CUSTOM", source, "limit::usage"),
                *(("backend", "hash"), ("realm", realm), ("key", key)),
                *((name, str(value)) for name, value in figures.items()),
            ],
        )

    def release(self, channel: Channel, realm: str, key: str) -> None:
        self._give_back(channel, f"{realm}_{key}")

    def release_all(self, channel: Channel) -> None:
        """Everything that a channel counts for; when it ends, and when it is transferred."""
        if channel.variables.pop("limit_backend", None):
            for name in list(self._usages):
                self._give_back(channel, name)

    def transferred(self, channel: Channel) -> None:
        """As on the switch, a transfer gives back what the call counted for, unless it says otherwise."""
        if channel.text("limit_ignore_transfer").lower() not in ("true", "yes", "on", "1"):
            self.release_all(channel)

    def _give_back(self, channel: Channel, name: str) -> None:
        found = self._usages.get(name)
        if found is None or channel.uuid not in found.channels:
            return
        found.channels.remove(channel.uuid)
        if not found.channels and not found.rate:
            del self._usages[name]
