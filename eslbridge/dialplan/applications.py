"""What the applications of a dialplan do to a call."""

from collections.abc import Callable
from datetime import timedelta

from . import causes, ringing
from .call import MAX_FORWARDS, Application, Outcome, State, unknowns
from .expansion import expand
from .hunting import HARMLESS
from .steps import (
    CannotTell,
    Does,
    HungUp,
    LimitReached,
    Loops,
    Message,
    Refused,
    Step,
    Transferred,
    Voicemail,
)
from .strings import separate
from .times import atoi, is_true

Hunter = Callable[[State], None]
Run = Callable[[State, str], None]

# What a caller meets that neither rings a phone nor is a program: the call stays there.
_ENDS_THERE = frozenset(
    {
        *("conference", "ivr", "park", "valet_park", "fifo", "callcenter", "echo", "delay_echo", "eavesdrop"),
        *(
            "intercept",
            "pickup",
            "three_way",
            "rxfax",
            "txfax",
            "record",
            "record_fsv",
            "play_fsv",
            "soft_hold",
        ),
        *(
            "conference_set_auto_outcall",
            "directory",
            "say",
            "speak",
            "phrase",
            "endless_playback",
            "gentones",
        ),
        *(
            "play_and_get_digits",
            "read",
            "att_xfer",
            "deflect",
            "redirect",
            "displace_session",
            "tone_stream",
        ),
    }
)
_WORDS_ONLY = frozenset({"say", "speak", "phrase", "gentones", "displace_session", "record", "three_way"})
_PLAYS = frozenset({"playback", "endless_playback", "loop_playback"})
_ASKS = frozenset({"play_and_get_digits", "read"})


def run(state: State, application: Application, hunter: Hunter, outcome: Outcome) -> None:
    """Runs one application: the state is another one afterwards."""
    if application.releases:
        state.held -= {application.releases}
        state.limit = None
        return
    name = application.name.lower()
    data = expand(state, application.data)
    if handler := _HANDLERS.get(name):
        handler(state, data)
    elif name == "transfer":
        _transfer(state, data, hunter)
    elif name == "execute_extension":
        _execute_extension(state, data, hunter)
    elif name == "bridge":
        _bridge(state, data, outcome)
    elif name in _PLAYS:
        state.steps.append(Message(data))
    elif name in _ENDS_THERE:
        _stays(state, name, data)
    elif name not in HARMLESS:
        state.steps.append(CannotTell(f"what the application {application.name} does: {data}".rstrip(": ")))


def run_inline(state: State, application: Application) -> None:
    """What an action with inline="true" does while the rules are looked at. What may not be so is skipped."""
    if application.name.lower() in _INLINE:
        _HANDLERS[application.name.lower()](state, expand(state, application.data))


# --- variables -------------------------------------------------------------------------------------------


def _set(state: State, data: str) -> None:
    name, equals, value = data.partition("=")
    if not equals:
        name, _, value = data.partition(",")
    state.set(name, expand(state, value))


def _unset(state: State, data: str) -> None:
    state.set(data, "")


def _multiset(state: State, data: str) -> None:
    separator = " "
    if data.startswith("^^") and len(data) > 2:
        separator, data = data[2], data[3:]
    for item in data.split(separator):
        _set(state, item)


def _export(state: State, data: str) -> None:
    name, _, value = data.partition("=")
    bare = name.removeprefix("nolocal:")
    state.set(name if bare != name else bare, value)
    names = [each for each in state.own("export_vars").split(",") if each]
    state.set("export_vars", ",".join(dict.fromkeys([*names, name])))


# --- limits ----------------------------------------------------------------------------------------------


def _limit(state: State, data: str) -> None:
    parts = separate(data, " ", 7)
    if len(parts) < 3:
        return
    counter = "_".join(parts[1:3])
    most = _most(parts[3]) if len(parts) > 3 else -1
    if _may_count(state, counter, most):
        state.held |= {counter}
        return
    target = parts[4] if len(parts) > 4 else "limit_exceeded"
    state.steps.append(LimitReached(counter, most, "limit", data))
    if target.startswith("!"):
        _hangup(state, target[1:])
    else:
        state.queue.clear()
        state.queue.append(Application("transfer", " ".join([target, *parts[5:7]])))


def _most(text: str) -> int:
    return -1 if text.startswith("-") else max(0, atoi(text.partition("/")[0]))


def _may_count(state: State, counter: str, most: int) -> bool:
    return most < 0 or state.usage(counter) + (counter not in state.held) <= most


def _limit_execute(state: State, data: str) -> None:
    parts = separate(data, " ", 6)
    if len(parts) < 6:
        return
    counter, most, name, rest = "_".join(parts[1:3]), _most(parts[3]), parts[4], parts[5]
    if not _may_count(state, counter, most):
        state.steps.append(LimitReached(counter, most, name, rest))
        return
    state.held |= {counter}
    state.limit = (counter, most) if most >= 0 else None
    state.queue.appendleft(Application("", "", releases=counter))
    state.queue.appendleft(Application(name, rest))


# --- answering, ending -----------------------------------------------------------------------------------


def _answer(state: State, data: str) -> None:
    if state.answered:
        return
    state.answered = True
    if order := state.own("execute_on_answer"):
        name, _, arguments = order.replace("::", " ", 1).partition(" ")
        if name.lower() == "limit":
            _limit(state, expand(state, arguments))


def _hangup(state: State, data: str) -> None:
    state.steps.append(HungUp(causes.named(data.strip()) if data.strip() else "NORMAL_CLEARING", "dialplan"))
    state.ended = True


def _respond(state: State, data: str) -> None:
    """Ends a leg that came in and is not answered, and all that would follow; others it leaves alone."""
    status = atoi(data) or 488
    if state.answered or status < 300:
        return
    state.steps.append(
        Refused(status, data.partition(" ")[2], CAUSES_OF_STATUS.get(status, "NORMAL_CLEARING"))
    )
    state.ended = True


def _sleep(state: State, data: str) -> None:
    state.clock += timedelta(milliseconds=max(0, atoi(data)))


def _voicemail(state: State, data: str) -> None:
    if data.startswith("check"):
        state.steps.append(Does("voicemail", data))
        state.ended = True
        return
    step = ringing.voicemail(state, data)
    state.steps.append(step)
    state.ended = isinstance(step, Voicemail) and step.exists


def _stays(state: State, name: str, data: str) -> None:
    state.steps.append(Does(name, data))
    if name in _ASKS:
        state.steps.append(CannotTell("what the caller presses"))
    elif name not in _WORDS_ONLY:
        state.ended = True


# --- ringing, going elsewhere ----------------------------------------------------------------------------


def _bridge(state: State, data: str, outcome: Outcome) -> None:
    if not data:
        return
    if (mailbox := ringing.voicemail_of(data)) is not None:
        _voicemail(state, mailbox)
        return
    cause = ringing.bridge(state, data, outcome)
    if cause:
        ringing.after_bridge(state, cause)


def _transfer(state: State, data: str, hunter: Hunter) -> None:
    parts = separate(data, " ", 4)
    if parts and parts[0].lower() in ("-bleg", "-both"):
        if parts[0].lower() == "-bleg":
            return  # there is no other leg yet
        parts = parts[1:]
    number, dialplan, context = ([*parts, "", "", ""])[:3]
    if missing := unknowns(data):
        _stop(
            state,
            CannotTell(f"where it is transferred: {missing[0]} is known by the running switch alone", True),
        )
        return
    if dialplan and dialplan.upper() != "XML":
        _stop(state, CannotTell(f"what the dialplan {dialplan} does with {number}", True))
        return
    go_to(state, number or "service", context or state.context, hunter)


def _stop(state: State, step: Step) -> None:
    state.steps.append(step)
    state.ended = True


def go_to(state: State, number: str, context: str, hunter: Hunter) -> None:
    """Goes on with the rules for a number in a context; ends the call when it was just like this there."""
    state.transfers += 1
    if not is_true(state.own("limit_ignore_transfer")):
        state.held = frozenset()  # the switch releases a call's limits when it is transferred
    state.rdnis, state.number, state.context = state.number, number, context
    state.queue.clear()
    state.limit = None
    state.steps.append(Transferred(number, context))
    place = (number, context, state.answered, frozenset(state.variables.items()))
    if place in state.visited or state.transfers >= MAX_FORWARDS:
        _stop(state, Loops(number, context))
        return
    state.visited |= {place}
    hunter(state)


def _execute_extension(state: State, data: str, hunter: Hunter) -> None:
    """Does what a rule says, then goes on here."""
    number, _, context = ([*separate(data, " ", 3), "", "", ""])[:3]
    rest = list(state.queue)
    before = state.number, state.context
    state.queue.clear()
    state.number, state.context = number, context or state.context
    hunter(state)
    state.number, state.context = before
    if not state.ended:
        state.queue.extend(rest)


# What the record of a call says that was answered with this status.
CAUSES_OF_STATUS = {
    403: "CALL_REJECTED",
    404: "UNALLOCATED_NUMBER",
    480: "NO_USER_RESPONSE",
    486: "USER_BUSY",
    603: "CALL_REJECTED",
}
_HANDLERS: dict[str, Run] = {
    "set": _set,
    "unset": _unset,
    "multiset": _multiset,
    "export": _export,
    "limit": _limit,
    "limit_execute": _limit_execute,
    "answer": _answer,
    "hangup": _hangup,
    "respond": _respond,
    "sleep": _sleep,
    "voicemail": _voicemail,
}
_INLINE = frozenset({"set", "unset", "multiset", "export"})
