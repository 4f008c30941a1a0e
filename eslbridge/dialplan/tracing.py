"""Follows a call through the dialplan, and asks at each ring how it would go on otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from . import applications
from .call import (
    ANSWER,
    BUSY,
    NO_ANSWER,
    UNREGISTERED,
    Application,
    Call,
    Outcome,
    State,
    nobody_answers,
)
from .configuration import Configuration
from .hunting import hunt, routes
from .steps import (
    Branch,
    Called,
    CannotTell,
    Hours,
    HungUp,
    Looked,
    Matched,
    Ring,
    Step,
    Talks,
    Target,
    Transferred,
)

MOST_STEPS = 500
FAILED = "NORMAL_TEMPORARY_FAILURE"  # what a carrier says that cannot take a call now
BeforeRing = Callable[[State, Application], None]


@dataclass(frozen=True)
class Answer:
    """What happens to a call."""

    call: Call
    steps: tuple[Step, ...]
    """Of the main line; `Ring.branches` holds what differs when somebody answers, is busy, …"""

    @property
    def rings(self) -> list[Ring]:
        """The rings of the main line."""
        return [step for step in self.steps if isinstance(step, Ring)]


def trace(configuration: Configuration, call: Call, outcome: Outcome = nobody_answers) -> Answer:
    """What happens to `call` when phones and lines do as `outcome` says."""
    state = _begin(configuration, call)
    _run(state, outcome)
    return Answer(call, tuple(state.steps))


def explore(configuration: Configuration, call: Call, outcome: Outcome = nobody_answers) -> Answer:
    """The same, with the branches: what differs if somebody answers, is busy, is not registered."""
    state = _begin(configuration, call)
    before: dict[int, tuple[State, Application]] = {}
    _run(state, outcome, lambda now, application: _remember(before, now, application))
    steps = tuple(state.steps)
    return Answer(
        call,
        tuple(
            replace(step, branches=_branches(step, steps[at + 1 :], *before[step.number], outcome))
            if isinstance(step, Ring) and step.number in before and step.ringing
            else step
            for at, step in enumerate(steps)
        ),
    )


def _begin(configuration: Configuration, call: Call) -> State:
    domain = call.domain or configuration.default_domain
    state = State(call, configuration, domain, call.number, call.context or "public", call.at)
    variables: dict[str, str] = {"sip_profile_name": "external", "sip_from_user": call.caller_number}
    if call.user and (user := configuration.user(call.user, domain)):
        state.context = call.context or user.variables.get("user_context", "public")
        variables = {**user.variables, "user_name": call.user, "sip_profile_name": "internal"}
        variables |= {"domain_name": domain, "sip_auth_username": call.user, "sip_from_user": call.user}
        state.call = call = replace(
            call,
            caller_number=call.caller_number or call.user,
            caller_name=call.caller_name or call.user,  # what the phone itself says
        )
    variables |= {"direction": "inbound", "sip_req_user": call.number, "sip_to_user": call.number}
    for name, value in {**variables, **call.variables}.items():
        state.set(name, value)
    state.steps.append(Called(state.number, state.context))
    return state


def _run(state: State, outcome: Outcome, before_ring: BeforeRing | None = None) -> None:
    if not state.queue and state.transfers == 0 and state.rings == 0:
        _hunt(state)
    while not state.ended:
        if not state.queue:
            state.steps.append(HungUp("NORMAL_CLEARING", "end" if state.has_rule else "nothing"))
            return
        if len(state.steps) > MOST_STEPS:
            state.steps.append(CannotTell("how it ends: there are too many steps", stops=True))
            return
        application = state.queue.popleft()
        if before_ring and application.name.lower() == "bridge":
            before_ring(state, application)
        applications.run(state, application, _hunt, outcome)


# --- rules -----------------------------------------------------------------------------------------------


def _hunt(state: State) -> None:
    """Looks for the rules of the number in the context; what they say is done next."""
    context = state.context
    rules = state.configuration.contexts.get(context)
    if rules is None:
        rules = state.configuration.contexts.get("global")
    if rules is None:
        state.steps.append(
            CannotTell(f"anything of the context {context}: there is none of this name", stops=True)
        )
        _nothing(state)
        return
    variables = dict(state.variables)
    found = hunt(state, rules, applications.run_inline)
    state.steps.extend(CannotTell(doubt) for doubt in found.doubts)
    if found.count:
        state.steps.append(Looked(context, found.count, tuple(found.near)))
    if not found.is_found:
        _nothing(state)
        return
    state.queue.extend(found.applications)
    state.has_rule = found.ended_by is not None
    for rule in found.matched:
        if rule is found.ended_by or routes(rule):
            did = _did(found.applications) if rule is found.ended_by else ""
            state.steps.append(Matched(rule.name, rule.file, state.number, context, did))
    if found.checks:
        at, zone = found.checks[0][2:]
        checks = tuple((attributes, fits) for attributes, fits, _, _ in found.checks)
        is_open = _is_open(variables, state)
        state.steps.append(Hours(at, zone, is_open, checks))


def _nothing(state: State) -> None:
    state.steps.append(HungUp("NO_ROUTE_DESTINATION", "nothing"))
    state.ended = True


def _did(found: list[Application]) -> str:
    """What a rule of ours says of itself."""
    for each in found:
        if each.name == "set" and each.data.startswith("patchbay_did="):
            return each.data.partition("=")[2]
    return ""


def _is_open(before: dict[str, str], state: State) -> bool | None:
    hours = state.own("patchbay_hours")
    return {"open": True, "closed": False}.get(hours) if hours else None


# --- branches --------------------------------------------------------------------------------------------


def _remember(before: dict[int, tuple[State, Application]], state: State, application: Application) -> None:
    before[state.rings] = (state.copy(), application)


def _branches(
    ring: Ring, rest: tuple[Step, ...], state: State, application: Application, outcome: Outcome
) -> tuple[Branch, ...]:
    """How it goes on after this ring when it ends otherwise, as far as that differs from `rest`."""
    has_gateway = any(target.kind == "gateway" for target in ring.ringing)
    kinds = [ANSWER, BUSY, UNREGISTERED, *([FAILED] if has_gateway else [])]
    found: dict[tuple[Step, ...], list[str]] = {}
    for kind in kinds:
        steps = _otherwise(ring, state, application, kind, outcome)
        if steps and steps != rest and not _just_talks(steps):
            found.setdefault(steps, []).append(kind)
    return tuple(Branch(tuple(when), steps) for steps, when in found.items())


def _just_talks(steps: tuple[Step, ...]) -> bool:
    """They talk, and then it is over."""
    return isinstance(steps[0], Talks) and all(isinstance(step, HungUp) for step in steps[1:])


def _otherwise(
    ring: Ring, state: State, application: Application, kind: str, outcome: Outcome
) -> tuple[Step, ...] | None:
    names = {(target.kind, target.name) for target in ring.ringing}
    other = state.copy()
    other.queue.appendleft(Application(application.name, application.data))

    def instead(target: Target) -> str:
        is_this = other.rings == ring.number and (target.kind, target.name) in names
        return kind if is_this else outcome(target)

    _run(other, instead)
    steps = other.steps
    at = next(
        (n for n, each in enumerate(steps) if isinstance(each, Ring) and each.number == ring.number), None
    )
    return tuple(steps[at + 1 :]) if at is not None else None


__all__ = ["NO_ANSWER", "Answer", "Transferred", "explore", "trace"]
