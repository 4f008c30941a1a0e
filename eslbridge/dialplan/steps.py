"""What happens to a call, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Called:
    """A number is looked for in a context: at the beginning, and after each transfer."""

    number: str
    context: str


@dataclass(frozen=True)
class Near:
    """A rule for this number that was looked at and does not apply, with the condition that failed."""

    rule: str
    file: str
    on: str
    """The field as it is written: destination_number, ${toll_allow}; empty for a condition on the time."""
    value: str
    expression: str
    times: Mapping[str, str] = field(default_factory=dict, hash=False)
    at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Looked:
    """The rules that were looked at before the one that matched."""

    context: str
    count: int
    """How many did not apply."""
    near: tuple[Near, ...] = ()
    """Those among them that are for this number."""


@dataclass(frozen=True)
class Matched:
    """The rule that decides what happens next."""

    rule: str
    file: str
    number: str
    context: str
    did: str = ""
    """The DID that it says it is for."""


@dataclass(frozen=True)
class Hours:
    """A decision about the time that a rule made."""

    at: datetime = field(compare=False)
    """In the zone in which it was compared."""
    zone: str
    is_open: bool | None
    """What the rule made of it; None when it does not say so in so many words."""
    checks: tuple[tuple[tuple[tuple[str, str], ...], bool], ...] = ()
    """The time attributes that were compared, and whether they hold."""


@dataclass(frozen=True)
class Target:
    """One device or line that a bridge names."""

    kind: str
    """phone, gateway, address, extension (a loopback), nobody."""
    name: str
    """The extension, the gateway, the address."""
    digits: str = ""
    """What a gateway is given to dial."""
    domain: str = ""
    seconds: int | None = None
    """For how long it rings, if not as long as the others."""
    failure: str = ""
    """The cause for which it does not ring at all."""

    @property
    def rings(self) -> bool:
        return not self.failure


@dataclass(frozen=True)
class Branch:
    """How it goes on when what rings does something else than to ring until the time is over."""

    when: tuple[str, ...]
    """answer, busy, unregistered, failed: all that lead to these steps."""
    steps: tuple["Step", ...]


@dataclass(frozen=True)
class Ring:
    """Targets ring at once, for at most so many seconds."""

    targets: tuple[Target, ...]
    seconds: int
    caller_name: str
    caller_number: str
    cause: str
    """How it ended: SUCCESS when somebody answered."""
    answered_by: str = ""
    number: int = field(default=0, compare=False)
    """The how-manieth of this call, from 0."""
    limit: tuple[str, int] | None = None
    """The counter and the most calls, when this happens only below a limit."""
    branches: tuple[Branch, ...] = field(default=(), compare=False)

    @property
    def ringing(self) -> tuple[Target, ...]:
        return tuple(target for target in self.targets if target.rings)


@dataclass(frozen=True)
class Talks:
    """Somebody answered."""

    target: str
    goes_on: bool
    """Whether the call goes on when the called party hangs up."""


@dataclass(frozen=True)
class Transferred:
    number: str
    context: str


@dataclass(frozen=True)
class Voicemail:
    mailbox: str
    domain: str
    exists: bool


@dataclass(frozen=True)
class Message:
    """A file, tone or phrase is played."""

    what: str


@dataclass(frozen=True)
class Does:
    """Another application whose meaning is known and which does not ring anybody."""

    application: str
    data: str


@dataclass(frozen=True)
class LimitReached:
    """So many calls as are allowed are under way, so that something does not happen."""

    counter: str
    most: int
    application: str
    data: str


@dataclass(frozen=True)
class Refused:
    """The caller is told no."""

    status: int
    reason: str
    cause: str


@dataclass(frozen=True)
class HungUp:
    cause: str
    why: str = ""
    """dialplan (an application), end (nothing is left to do), failed (a bridge), nothing (no rule)."""


@dataclass(frozen=True)
class CannotTell:
    """What cannot be known from the files, in words; what follows is what would happen without it."""

    what: str
    stops: bool = False
    """Nothing can be said of how it goes on."""


@dataclass(frozen=True)
class Loops:
    """The call comes back to where it was, and would for ever."""

    number: str
    context: str


Step = (
    Called
    | Looked
    | Matched
    | Hours
    | Ring
    | Talks
    | Transferred
    | Voicemail
    | Message
    | Does
    | LimitReached
    | Refused
    | HungUp
    | CannotTell
    | Loops
)
