"""What an inbound connection should be like, and the commands that make it so.

Kept by the client across reconnects: a new connection knows nothing of the one before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from .commands import (
    Command,
    Events,
    Filter,
    FilterDelete,
    Format,
    Log,
    MyEvents,
    NixEvent,
    NoEvents,
    NoLog,
    check_format,
    check_line,
)

JOB_EVENTS = ("BACKGROUND_JOB",)
"""What has to be subscribed for `bgapi` to be completed."""
EXECUTION_EVENTS = ("CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP_COMPLETE")
"""What has to be subscribed for `execute` to be completed."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Subscriptions, filters and log level. `names` are the user's; `internal` is what we need ourselves;
    `shown` is what somebody asked for on this connection only."""

    format: Format = "json"
    names: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    log_level: int | str | None = None
    shown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_format(self.format)

    def listening(self, names: Iterable[str]) -> Self:
        """With the user's subscriptions `names` as well. `ValueError` for what are no names."""
        if isinstance(names, str):
            raise ValueError("subscriptions: must be a list of event names, not one text")
        names = tuple(names)
        for name in names:
            check_line("names", name)
        return replace(self, names=tuple(dict.fromkeys((*self.names, *names))))

    def not_listening(self, names: Iterable[str]) -> Self:
        """Without the user's subscriptions `names`."""
        gone = set(names)
        return replace(self, names=tuple(name for name in self.names if name not in gone))

    def needing(self, names: Iterable[str]) -> Self:
        """With subscriptions that the user does not see."""
        return replace(self, internal=tuple(dict.fromkeys((*self.internal, *names))))

    def not_needing(self, names: Iterable[str]) -> Self:
        """Takes `needing` back."""
        gone = set(names)
        return replace(self, internal=tuple(name for name in self.internal if name not in gone))

    def renewed(self, refused: Iterable[str]) -> Self:
        """For the next connection: without what only this one had, and what it could not have."""
        return replace(self.not_needing(refused), shown=())

    def after(self, command: Command) -> Self:
        """What they are after a subscription was made or ended by a command of the user's own."""
        if isinstance(command, MyEvents):
            return replace(self, shown=(*self.shown, *EXECUTION_EVENTS))
        if isinstance(command, Events):
            return replace(self, shown=(*self.shown, *command.names))
        if isinstance(command, NoEvents) or (isinstance(command, NixEvent) and "ALL" in command.names):
            return replace(self, names=(), internal=(), shown=())
        if isinstance(command, NixEvent):
            return self._without(frozenset(command.names))
        return self

    def _without(self, gone: frozenset[str]) -> Self:
        """What a job or an execution needs is asked for anew, and whole, when one of it is missing."""
        rest = self.not_listening(gone)
        for needed in (JOB_EVENTS, EXECUTION_EVENTS):
            if not gone.isdisjoint(needed):
                rest = rest.not_needing(needed)
        return replace(rest, shown=tuple(name for name in self.shown if name not in gone))

    def filtering(self, header: str, value: str) -> Self:
        """With a filter."""
        return replace(self, filters=tuple(dict.fromkeys((*self.filters, (header, value)))))

    def not_filtering(self, header: str, value: str) -> Self:
        """Without the filters of `header` (`all`: any) with `value` ('': any)."""
        return replace(
            self,
            filters=tuple(
                known
                for known in self.filters
                if not (header in ("all", known[0]) and value in ("", known[1]))
            ),
        )

    def logging(self, level: int | str | None) -> Self:
        """With that log level."""
        return replace(self, log_level=level)

    @property
    def hidden(self) -> frozenset[str]:
        """Names of events that come only because we need them."""
        seen = frozenset((*self.names, *self.shown))
        return frozenset() if "ALL" in seen else frozenset(self.internal) - seen

    @property
    def expects_heartbeats(self) -> bool:
        """Whether something must come every 20 seconds (the switch's default)."""
        return "HEARTBEAT" in self.names or "ALL" in self.names

    @property
    def _subscribed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.names, *self.internal)))

    @property
    def _filters(self) -> tuple[tuple[str, str], ...]:
        """With the user's filters those that let heartbeats and our own events through."""
        if not self.filters:
            return ()
        own = (("Event-Name", name) for name in ("HEARTBEAT", *self.internal))
        return tuple(dict.fromkeys((*own, *self.filters)))

    def commands_after(self, before: "Wishes") -> list[Command]:
        """What changes a connection that is as `before` wished into one that is as this wishes.

        Filters are added first and removed last, so that nothing unwanted slips through between.
        """
        commands: list[Command] = []
        commands += (Filter(*pair) for pair in self._filters if pair not in before._filters)
        added = tuple(name for name in self._subscribed if name not in before._subscribed)
        removed = tuple(name for name in before._subscribed if name not in self._subscribed)
        if added:
            commands.append(Events(added, self.format))
        if "ALL" in removed:
            commands.append(NixEvent(("ALL",)))  # ends all others, too
            if self._subscribed:
                commands.append(Events(self._subscribed, self.format))
        elif removed and "ALL" not in self._subscribed:
            commands.append(NixEvent(removed))
        commands += (FilterDelete(*pair) for pair in before._filters if pair not in self._filters)
        if self.log_level != before.log_level:
            commands.append(NoLog() if self.log_level is None else Log(self.log_level))
        return commands
