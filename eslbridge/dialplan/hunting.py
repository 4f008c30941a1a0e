"""Finds the rules of a context that a call meets, as mod_dialplan_xml does.

Some of what it does surprises: a time that fits lets a condition pass whose field does not match; a rule
counts as met when its LAST condition held; an anti-action makes a rule count as met.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from . import times
from .call import Application, State, unknown, unknowns
from .configuration import Action, Condition, Rule
from .expansion import expand
from .expressions import Match, compiled
from .steps import Near

MAX_NESTED = 100
# Fields by which a rule says which numbers it is for.
_NUMBER_FIELDS = frozenset(
    {"destination_number", "${destination_number}", "${patchbay_number}", "${patchbay_digits}"}
)

RunInline = Callable[[State, Application], None]


@dataclass
class Hunt:
    """What a walk through a context found."""

    applications: list[Application] = field(default_factory=list)
    matched: list[Rule] = field(default_factory=list)
    """The rules that gave applications; the last is the one that ended the walk, if any did."""
    ended_by: Rule | None = None
    is_found: bool = False
    """Whether anything is to be done, and be it nothing: an inline action alone counts."""
    count: int = 0
    """Rules that did not apply."""
    near: list[Near] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """What could not be decided, in words."""
    checks: list[tuple[tuple[tuple[str, str], ...], bool, datetime, str]] = field(default_factory=list)
    """The comparisons of time of the rule that ended the walk, with the moment and the zone."""


def hunt(state: State, rules: list[Rule], run_inline: RunInline) -> Hunt:
    """Walks through the rules of a context; inline actions are run at once."""
    found = Hunt()
    number = state.number
    for rule in rules:
        gate = rule.gate
        if gate is not None and gate.search(number) is None:
            found.count += 1
            continue
        walk = _Walk(state, rule, run_inline)
        is_met = walk.conditions(rule.conditions)
        found.doubts += walk.doubts
        found.is_found |= walk.acted
        if walk.applications:
            found.applications += walk.applications
            found.matched.append(rule)
        if is_met and not rule.continues:
            found.ended_by = rule
            found.checks = walk.checks
            return found
        if not walk.applications:
            found.count += 1
            if walk.is_near and walk.failed:
                found.near.append(walk.failed)
    return found


class _Walk:
    """Through the conditions of one rule."""

    def __init__(self, state: State, rule: Rule, run_inline: RunInline) -> None:
        self.state = state
        self.rule = rule
        self.run_inline = run_inline
        self.applications: list[Application] = []
        self.checks: list[tuple[tuple[tuple[str, str], ...], bool, datetime, str]] = []
        self.doubts: list[str] = []
        self.failed: Near | None = None
        self.is_near = False
        self.acted = False

    def conditions(self, conditions: tuple[Condition, ...], depth: int = 0, required: bool = True) -> bool:
        """Whether the rule counts as met by these."""
        proceed = False
        if depth > MAX_NESTED:
            return False
        for condition in conditions:
            held, proceed, match = self._condition(condition, proceed)
            self._act(condition, held, match)
            if not held and condition.anti_actions:
                proceed = True
            if condition.breaks in ("always", "on-true" if held else "on-false"):
                break
            if proceed and condition.nested:
                proceed = self.conditions(condition.nested, depth + 1, condition.nested_required)
                if not proceed and condition.breaks != "never":
                    break
        return proceed or not required

    def _condition(self, condition: Condition, proceed: bool) -> tuple[bool, bool, Match | None]:
        """Whether its actions are run, whether the rule counts as met so far, and what was matched."""
        time_fits = self._time(condition)
        if time_fits is not None:
            proceed = time_fits
        if condition.regex is not None:
            return self._regexes(condition, proceed)
        if condition.field is not None:
            match = self._matches(condition)
            return bool(match) or time_fits is True, bool(match), match
        held = time_fits is not False
        if not held:
            self._note(condition, "")
        return held, held or proceed, None

    def _time(self, condition: Condition) -> bool | None:
        if not condition.times:
            return None
        local = self.state.local_time()
        if local is None:
            zone = self.state.get("timezone")
            self._doubt(f"the time zone {zone} is not in the switch's list (timezones.conf.xml)", condition)
            return False
        at, zone = local
        fits = times.check(condition.times, at, self.state.own_time, self.state.offset)
        self.checks.append((tuple(condition.times.items()), bool(fits), at, zone))
        return fits

    def _matches(self, condition: Condition) -> Match | None:
        value = self._value(condition.field or "")
        text = expand(self.state, condition.expression)
        expression = compiled(text)
        if missing := unknowns(value) + unknowns(text):
            self._doubt(f"{missing[0]} is known by the running switch alone", condition)
            return None
        if expression.pattern is None:
            self._doubt(f"the expression {text} {expression.problem}", condition)
            return None
        match = expression.search(value)
        if match is None:
            self._note(condition, value)
        elif condition.field in _NUMBER_FIELDS and text not in ("^(.*)$", "^.*$", ".*", "^(.+)$", "^.+$"):
            self.is_near = True
        return match

    def _value(self, name: str) -> str:
        return expand(self.state, name) if "$" in name else self.state.bare_field(name)

    def _regexes(self, condition: Condition, proceed: bool) -> tuple[bool, bool, Match | None]:
        kind = (condition.regex or "").lower()
        passed = failed = 0
        kept: tuple[bool, Match | None] | None = None  # of the last one with groups
        for one in condition.regexes:
            if one.field is not None:
                match = self._matches(one)
                fits = proceed = match is not None
                kept = (proceed, match) if "(" in one.expression else kept
            else:
                fits = self._time(one) is not False
                proceed = fits or proceed
            passed, failed = passed + fits, failed + (not fits)
            if (fits and kind not in ("all", "xor")) or (not fits and kind == "all"):
                break
        held = passed == 1 if kind == "xor" else not failed if kind == "all" else passed > 0
        if not held:
            self._note(condition, "")
        proceed, match = kept or (proceed, None)
        return held, proceed, match

    def _act(self, condition: Condition, held: bool, match: Match | None) -> None:
        if held:
            takes_groups = match is not None and ("(" in condition.expression or bool(condition.regexes))
            if match is not None and takes_groups:
                self.state.set("DP_MATCH", "ARRAY::" + "|:".join(match.groups()))
            for action in condition.actions:
                self._add(action, match.substituted(action.data) if match and takes_groups else action.data)
        else:
            for action in condition.anti_actions:
                self._add(action, action.data)

    def _add(self, action: Action, data: str) -> None:
        self.acted = True
        for _ in range(min(action.loops, 100)):
            application = Application(action.application, data)
            if action.is_inline:
                self.run_inline(self.state, application)
            else:
                self.applications.append(application)

    def _note(self, condition: Condition, value: str) -> None:
        """Remembers why the rule does not apply: the first condition that ended it."""
        if self.failed is None and condition.breaks in ("on-false", "always"):
            local = self.state.local_time()
            name = condition.field or ""
            at = local[0] if local else None
            self.failed = Near(
                self.rule.name, self.rule.file, name, value, condition.expression, condition.times, at
            )

    def _doubt(self, what: str, condition: Condition) -> None:
        """The condition is taken not to hold. Said only where it may change where the call goes."""
        for action in condition.actions if self.rule.continues else ():
            if action.application in ("set", "export"):
                name = action.data.removeprefix("nolocal:").partition("=")[0]
                self.state.variables.setdefault(
                    name.lower(), unknown(f"variable {name}, which {self.rule.name} may set")
                )
        if not self.rule.continues or routes(self.rule):
            self.doubts.append(f"whether rule {self.rule.name} ({self.rule.file}) applies: {what}")


def routes(rule: Rule) -> bool:
    """Whether a rule may do more than to remember something."""
    return any(_routes(each) for each in rule.conditions)


def _routes(condition: Condition) -> bool:
    actions = (*condition.actions, *condition.anti_actions)
    return any(action.application.lower() not in HARMLESS for action in actions) or any(
        _routes(each) for each in condition.nested
    )


# Applications that neither ring, nor end, nor speak, nor move a call.
HARMLESS = frozenset(
    {
        *(
            "set",
            "unset",
            "export",
            "multiset",
            "multiunset",
            "push",
            "unshift",
            "set_user",
            "set_profile_var",
        ),
        *(
            "set_global",
            "export_profile",
            "log",
            "info",
            "eval",
            "event",
            "presence",
            "hash",
            "db",
            "verbose_events",
        ),
        *(
            "bind_meta_app",
            "unbind_meta_app",
            "bind_digit_action",
            "clear_digit_action",
            "digit_action_set_realm",
        ),
        *("start_dtmf", "stop_dtmf", "start_dtmf_generate", "privacy", "sched_heartbeat", "enable_heartbeat"),
        *(
            "record_session",
            "stop_record_session",
            "send_display",
            "set_audio_level",
            "set_mute",
            "jitterbuffer",
        ),
        *("limit", "sleep", "ring_ready", "pre_answer", "acknowledge_call", "flush_dtmf", "break", "stop"),
        *("queue_dtmf", "send_dtmf", "wait_for_silence", "sound_test", "enable_keepalive", "detect_speech"),
        *(
            "dtmf_type",
            "group",
            "session_loglevel",
            "early_hangup",
            "sched_hangup",
            "sched_cancel",
            "cng_plc",
        ),
        *(
            "export_vars",
            "fax_detect",
            "tone_detect",
            "stop_tone_detect",
            "remove_bugs",
            "block_dtmf",
            "unblock_dtmf",
        ),
        *("media_reset", "check_acl", "sched_broadcast", "set_media_stats", "conference_set_auto_outcall"),
    }
)
