"""A ring group in the agents' context."""

from hashlib import sha256
from itertools import cycle, islice

from eslbridge.publishing import Rendered, Target, publishes
from eslbridge.switchxml import Element

from ..destinations import AGENT, Destination
from ..models import RingGroup
from .dependents import of_pointing
from .parts import (
    BY_NAME,
    CONTEXT,
    bridges,
    condition,
    extension,
    go_to,
    instead,
    rung,
    setting,
    with_revision,
)

# So many attempts one after another are written out; with 3 seconds each that is five minutes.
MOST_STEPS = 100
# The beginning of a name until what the switch would expand, or would cut it at. The backslash is written as
# \x5C: the switch takes one of two in front of the other away (it expands expressions, too).
_SAFE_NAME = r"""^([^{}\x5C$"@:/]{1,60})"""


def group_path(group: RingGroup) -> str:
    return f"{BY_NAME}/20_group_{group.extension}.xml"


@publishes(
    RingGroup,
    directory=BY_NAME,
    path=group_path,
    prepare=RingGroup.fetch_targets,
    depends_on=of_pointing(RingGroup),
)
def group_file(group: RingGroup, target: Target) -> Rendered | None:
    """The group's file, or None while it is off."""
    if not group.is_active:
        return None
    owner = f"routes.ringgroup:{group.pk}"
    return with_revision(owner, group_path(group), CONTEXT, lambda revision: [_rule(group, target, revision)])


def _rule(group: RingGroup, target: Target, revision: Element) -> Element:
    conditions = [condition("destination_number", f"^{group.extension}$", revision)]
    if group.prefix:
        conditions.append(_prefix(group.prefix))
    start = [
        setting("hangup_after_bridge", "true"),
        setting("continue_on_fail", "true"),
        setting("ringback", "%(2000,4000,440,480)"),
        setting("patchbay_group", group.extension),
        # What the last attempt says, should there be none.
        setting("originate_disposition", "NO_ANSWER"),
    ]
    end = go_to(group.then, group, target)
    conditions.append(_ringing(group, target, start, end))
    return extension(f"group_{group.extension}", *conditions)


def _prefix(prefix: str) -> Element:
    """Before the caller's name; what the switch would expand in it is left out, never expanded."""
    return condition(
        "caller_id_name",
        _SAFE_NAME,
        setting("effective_caller_id_name", f"{prefix} $1"),
        setting("effective_caller_id_name", prefix, tag="anti-action"),
        goes_on=True,
    )


def _ringing(group: RingGroup, target: Target, start: list[Element], end: list[Element]) -> Element:
    members = [calls for each in group.members if (calls := _member(each, group, target))]
    always = {"break": "never"}
    if group.strategy == RingGroup.Strategy.AT_ONCE:
        at_once = [setting("call_timeout", group.total_seconds), *bridges(_at_once(members))]
        return Element("condition", always, (*start, *(at_once if members else []), *end))
    in_order = [*start, *_steps(members, group), *end]
    if group.strategy == RingGroup.Strategy.IN_ORDER:
        return Element("condition", always, tuple(in_order))
    # The worker keeps the order in variables of the switch, where it stays while the worker is away. Until
    # there is one for these very members, they ring in the order of the form.
    variable = idle_variable(group)
    longest_idle = [*start, *_steps(_by_idleness(group, target), group), *end]
    return condition(f"${{{variable}}}", f"^{members_key(group)}$", *longest_idle, *instead(in_order))


def _at_once(members: list[list[str]]) -> list[str]:
    """Everybody; then the numbers outside by their next gateways. Numbers come first: the switch says of a
    bridge what became of the first leg in it, and that is how it is known whether the way was bad."""
    numbers_first = sorted(members, key=lambda calls: len(calls) == 1)
    most = max((len(calls) for calls in members), default=0)
    return [",".join(calls[turn] for calls in numbers_first if turn < len(calls)) for turn in range(most)]


def _member(destination: Destination, group: RingGroup, target: Target) -> list[str]:
    """What rings one member; while an agent talks, and busy ones are skipped, a refusal instead."""
    calls = rung(destination, group, target)
    if calls and destination.kind == AGENT:
        return [_unless_busy(group.target(destination).extension, group, target)]
    return calls


def _unless_busy(extension: str, group: RingGroup, target: Target) -> str:
    phone = f"user/{extension}@{target.domain}"
    if not group.skips_busy:
        return phone
    return f"${{cond(${{limit_usage(hash patchbay busy_{extension})}} == 0 ? {phone} : error/USER_BUSY)}}"


def _by_idleness(group: RingGroup, target: Target) -> list[list[str]]:
    """The agents by the places that the worker gives them, then the numbers outside, which are never idle."""
    agents = ringing_agents(group)
    places = [f"${{{idle_variable(group)}_{place}}}" for place in range(1, len(agents) + 1)]
    numbers = [rung(each, group, target) for each in group.members if each.kind != AGENT]
    return [*([_unless_busy(place, group, target)] for place in places), *filter(None, numbers)]


def ringing_agents(group: RingGroup) -> list[str]:
    """The extensions of its members that have a phone."""
    found = [group.target(each) for each in group.members if each.kind == AGENT]
    return [agent.extension for agent in found if agent is not None and agent.is_active]


def idle_variable(group: RingGroup) -> str:
    """The switch's global variable that says for which members there is an order; with _1, _2 … who it is."""
    return f"patchbay_idle_{group.extension}"


def members_key(group: RingGroup) -> str:
    """A word for exactly these members: an order of others is not used."""
    return sha256(" ".join(ringing_agents(group)).encode()).hexdigest()[:12]


def _steps(members: list[list[str]], group: RingGroup) -> list[Element]:
    """Each member in turn for its seconds, from the front again, until the seconds in all are used up."""
    left, steps = group.total_seconds, []
    for member in islice(cycle(members), MOST_STEPS):
        if left <= 0:
            break
        steps += [setting("call_timeout", min(left, group.ring_seconds)), *bridges(member)]
        left -= group.ring_seconds
    return steps
