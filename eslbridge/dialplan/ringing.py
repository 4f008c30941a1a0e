"""What `bridge` does: who rings, for how long, and how it ends."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from . import causes, dialstrings
from .call import ANSWER, BUSY, NO_ANSWER, UNREGISTERED, Outcome, State, unknowns
from .dialstrings import Leg
from .expansion import expand
from .functions import group_call
from .steps import CannotTell, HungUp, Ring, Step, Talks, Target, Voicemail
from .strings import separate
from .times import atoi, is_true

DEFAULT_SECONDS = 60
SUCCESS = "SUCCESS"
MAX_NESTED = 10  # a user's dial-string that names users again
CAUSES = {BUSY: "USER_BUSY", NO_ANSWER: "NO_ANSWER", UNREGISTERED: "USER_NOT_REGISTERED"}
# What changes how long or how often is rung and is not reckoned with here.
_NOT_KNOWN = (
    "fail_on_single_reject",
    "hangup_on_single_reject",
    "group_confirm_key",
    "leg_delay_start",
    "campon",
)
_GOES_ON = "originate_continue_on_timeout"
DIAL_STATUS = {"ORIGINATOR_CANCEL": "CANCEL", "USER_BUSY": "BUSY", "NO_ANSWER": "NOANSWER"}


def bridge(state: State, data: str, outcome: Outcome) -> str:
    """Rings what a dial string says; adds the steps and returns the cause, SUCCESS when somebody answered."""
    if missing := unknowns(data):
        state.steps.append(CannotTell(f"whom it rings: {missing[0]} is known by the running switch alone"))
        return ""
    try:
        wanted = dialstrings.parse(data)
    except dialstrings.Malformed as problem:
        state.steps.append(CannotTell(f"whom it rings: {problem}"))
        return "DESTINATION_OUT_OF_ORDER"
    variables = {**_exported(state), **wanted.variables}
    for name in _NOT_KNOWN:
        if variables.get(name) or state.own(name):
            state.steps.append(CannotTell(f"what the variable {name} changes about ringing"))
    cause = "DESTINATION_OUT_OF_ORDER"
    limit = _seconds(state, variables)
    tries = max(1, min(100, atoi(variables.get("originate_retries", "1"))))
    for group in wanted.groups * tries:
        cause, timed_out = _ring(state, group, variables, outcome, limit, is_forked=len(wanted.groups) > 1)
        if cause == SUCCESS or (timed_out and not is_true(variables.get(_GOES_ON) or state.own(_GOES_ON))):
            return cause
    return cause


def _exported(state: State) -> dict[str, str]:
    names = [name.removeprefix("nolocal:") for name in state.own("export_vars").split(",") if name]
    return {
        name.lower(): value for name in names if (value := state.own(name) or state.own(f"nolocal:{name}"))
    }


def _seconds(state: State, variables: Mapping[str, str]) -> int:
    """originate_timeout of the legs, else call_timeout of the call."""
    for text in (variables.get("originate_timeout", ""), state.get("call_timeout")):
        if atoi(text) > 0:
            return atoi(text)
    return DEFAULT_SECONDS


# --- whom ------------------------------------------------------------------------------------------------


def _targets(state: State, leg: Leg, depth: int = 0) -> list[Target]:
    """What a leg rings: one target, or those of a user's own dial string or a group."""
    seconds = atoi(leg.variables.get("leg_timeout", "")) or None
    match leg.kind:
        case "user" if depth < MAX_NESTED:
            found = _user(state, leg.data, depth)
        case "group" if depth < MAX_NESTED:
            found = _nested(state, group_call(state, leg.data), depth)
        case "registered":
            name, _, domain = leg.data.partition("@")
            found = [Target("phone", name, domain=domain or state.domain)]
        case "error":
            found = [Target("nobody", leg.data, failure=causes.named(leg.data))]
        case "sofia":
            found = [_sofia(state, leg.data)]
        case "loopback":
            found = [Target("extension", leg.data)]
        case _:
            found = [Target("unknown", f"{leg.kind}/{leg.data}")]
    return [replace(target, seconds=target.seconds or seconds) for target in found]


def _user(state: State, data: str, depth: int) -> list[Target]:
    name, _, domain = data.partition("@")
    domain = domain or state.domain
    user = state.configuration.user(name, domain)
    if user is None:
        return [Target("phone", name, domain=domain, failure="SUBSCRIBER_ABSENT")]
    text = user.params.get("dial-string")
    if text is None:
        return [Target("phone", user.id, domain=domain, failure="MANDATORY_IE_MISSING")]
    state.set("dialed_user", user.id)
    state.set("dialed_domain", domain)
    if "sofia_contact(" in text:
        return [Target("phone", user.id, domain=domain)]
    return _nested(state, expand(state, text), depth)


def _nested(state: State, text: str, depth: int) -> list[Target]:
    try:
        wanted = dialstrings.parse(text)
    except dialstrings.Malformed:
        return [Target("unknown", text)]
    return [target for group in wanted.groups for leg in group for target in _targets(state, leg, depth + 1)]


def _sofia(state: State, data: str) -> Target:
    where, _, rest = data.partition("/")
    if where.lower() != "gateway":
        return Target("address", rest or where)
    name, slash, digits = rest.partition("/")
    name = name.rpartition("::")[2]
    if not slash:
        return Target("gateway", name, digits, failure="INVALID_URL")
    known = name in state.configuration.gateways
    return Target("gateway", name, digits, failure="" if known else "INVALID_GATEWAY")


# --- how it ends -----------------------------------------------------------------------------------------


def _ring(
    state: State,
    group: tuple[Leg, ...],
    variables: Mapping[str, str],
    outcome: Outcome,
    limit: int,
    *,
    is_forked: bool,
) -> tuple[str, bool]:
    """Rings the legs of a group at once, at most `limit` seconds: the cause, and whether those are over."""
    targets = [target for leg in group for target in _targets(state, leg)]
    outcomes = [target.failure or _said(outcome(target)) for target in targets]
    targets = [_unreached(target, said) for target, said in zip(targets, outcomes, strict=True)]
    every = atoi(variables.get("leg_timeout", "")) or None
    alone = len(targets) == 1 and not is_forked
    ends = [
        _end(
            target,
            said,
            target.seconds or every,
            limit,
            alone=alone and target.kind == "phone" and not state.get("call_timeout"),
        )
        for target, said in zip(targets, outcomes, strict=True)
    ]
    ringing = [end for target, end in zip(targets, ends, strict=True) if target.rings]
    answered = next((target for target, end in zip(targets, ends, strict=True) if end[0] == SUCCESS), None)
    if answered:
        seconds, cause = 0, SUCCESS
    elif not ringing:
        seconds, cause = 0, ends[-1][0] if ends else "DESTINATION_OUT_OF_ORDER"
    else:
        seconds = max(end[1] for end in ringing)
        cause = "NO_ANSWER" if seconds >= limit else ringing[0][0]
    leg_variables = group[0].variables if group else {}
    caller = _caller(state, {**variables, **leg_variables})
    shown = min(limit, max((target.seconds or every or limit for target in targets), default=limit))
    state.steps.append(
        Ring(
            tuple(targets),
            shown,
            *caller,
            cause=cause,
            answered_by=answered.name if answered else "",
            number=state.rings,
            limit=state.limit,
        )
    )
    state.rings += 1
    state.clock += timedelta(seconds=seconds)
    for target in targets:
        state.steps.extend(_remark(target))
    return cause, bool(ringing) and seconds >= limit


def _said(outcome: str) -> str:
    return SUCCESS if outcome == ANSWER else CAUSES.get(outcome, outcome)


def _unreached(target: Target, said: str) -> Target:
    """A phone that is not registered and a gateway that is down do not ring."""
    if target.failure or said != CAUSES[UNREGISTERED]:
        return target
    return replace(target, failure="GATEWAY_DOWN" if target.kind == "gateway" else said)


def _end(target: Target, said: str, own: int | None, limit: int, *, alone: bool) -> tuple[str, int]:
    """What one leg ends with, and after how many seconds.

    Its own time is ALLOTTED_TIMEOUT, but for a user that rings alone in a call without call_timeout: there it
    is that of the whole. Seen on a real switch, which counts whole seconds: a leg's own time is over a second
    after it, so that the time of the whole comes first if it is no longer than that.
    """
    if target.failure:
        return target.failure, 0
    if said != "NO_ANSWER":
        return said, 0
    if own and own + 1 < limit:
        return "NO_ANSWER" if alone else "ALLOTTED_TIMEOUT", own
    return "NO_ANSWER", limit


def _caller(state: State, variables: Mapping[str, str]) -> tuple[str, str]:
    """The caller's name and number that a leg shows."""
    name, number = (
        variables.get(f"origination_{each}") or state.own(f"effective_{each}") or of_the_call
        for each, of_the_call in (
            ("caller_id_name", state.call.caller_name),
            ("caller_id_number", state.call.caller_number),
        )
    )
    return _cut(name), _cut(number)


def _cut(text: str) -> str:
    """What the switch leaves of a name or number for a SIP leg: what is after / and : and before @."""
    return text.partition("@")[0].rpartition("/")[2].rpartition(":")[2]


def _remark(target: Target) -> list[Step]:
    if target.kind == "unknown":
        return [CannotTell(f"what {target.name} is")]
    if target.kind == "extension":
        return [CannotTell(f"what loopback/{target.name} does")]
    return []


# --- afterwards ------------------------------------------------------------------------------------------


def voicemail_of(data: str) -> str | None:
    """The arguments of voicemail, when a dial string is nothing but vanilla's way to it."""
    prefix = "loopback/app=voicemail:"
    return data.removeprefix(prefix) if data.startswith(prefix) else None


def after_bridge(state: State, cause: str) -> None:
    """Sets what a bridge leaves behind and ends the call if that is what it leads to."""
    state.set("originate_disposition", cause)
    state.set("DIALSTATUS", DIAL_STATUS.get(cause, cause))
    if cause == SUCCESS:
        goes_on = not is_true(state.get("hangup_after_bridge"))
        ring = next(step for step in reversed(state.steps) if isinstance(step, Ring))
        state.answered = True
        state.steps.append(Talks(ring.answered_by, goes_on))
        state.ended = not goes_on
        return
    state.set("originate_failed_cause", cause)
    if not _continues(state, cause):
        _end_call(state, cause)


def _continues(state: State, cause: str) -> bool:
    """As `switch_channel_handle_cause` decides."""
    wanted, failures = state.get("continue_on_fail"), state.get("failure_causes")
    if failures and not causes.is_listed(cause, failures):
        return True
    if wanted:
        return is_true(wanted) or causes.is_listed(cause, wanted)
    return not failures and cause in ("NO_ANSWER", "NO_USER_RESPONSE", "ORIGINATOR_CANCEL")


def _end_call(state: State, cause: str) -> None:
    if state.get("transfer_on_fail"):
        state.steps.append(CannotTell("where the variable transfer_on_fail leads", stops=True))
    else:
        state.steps.append(HungUp(cause, "failed"))
    state.ended = True


def voicemail(state: State, data: str) -> Step:
    """The step of `voicemail profile domain mailbox`."""
    parts = separate(data, " ")
    domain, mailbox = ([*parts[1:3], "", ""])[:2]
    exists = bool(mailbox) and state.configuration.user(mailbox, domain) is not None
    return Voicemail(mailbox, domain, exists)
