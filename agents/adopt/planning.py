"""Says of each hand-made user what an agent would take over, what not, and why it cannot be one."""

import filecmp
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from agents.models import Agent, new_pin
from agents.numbers import to_e164
from agents.switchxml import CONTEXT, agent_file, agent_path
from agents.validators import (
    validate_call_group,
    validate_caller_id_number,
    validate_display_name,
    validate_extension,
    validate_pin,
)
from eslbridge.publishing import Target
from eslbridge.switchxml import UnsafeValue, managed_by

from .reading import UNKNOWN, HandMade

SET_ASIDE = ".before-patchbay"  # the switch includes *.xml only
SHORT_PASSWORD = 12
# From where an agent's calls may go on as well: `patchbay` continues in `default`.
CONTEXTS = ("", "default", CONTEXT)
_SRTP = ("true", "mandatory")
# What an agent has by another name, or what says nothing: not worth a note.
_UNDERSTOOD = {
    "password",
    "a1-hash",
    "vm-password",
    "vm-mailto",
    "vm-email-all-messages",
    "user_context",
    "toll_allow",
    "callgroup",
    "effective_caller_id_name",
    "effective_caller_id_number",
    "outbound_caller_id_name",
    "outbound_caller_id_number",
    "rtp_secure_media",
    "accountcode",
    "vcard",
}


@dataclass(frozen=True)
class Place:
    """Where the agents' files go: the switch's directory, and its domain ("" when that is not known)."""

    conf_dir: Path
    domain: str = ""
    is_read: bool = True
    """The users are this directory's own. Those of another one come over without a file being touched."""

    def path_of(self, file: Path) -> str:
        """The path below the directory; the whole one of a file that is elsewhere."""
        return os.path.normpath(file).removeprefix(f"{os.path.normpath(self.conf_dir)}{os.sep}")

    def holds(self, file: Path) -> bool:
        return self.path_of(file) != os.path.normpath(file)


@dataclass
class Candidate:
    """One hand-made user. With `reasons` it stays as it is; otherwise `agent` (not saved yet) replaces it."""

    user: HandMade
    agent: Agent
    is_new: bool = True
    keeps_pin: bool = False
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def can_be_adopted(self) -> bool:
        return not self.reasons


def plan(
    users: Iterable[HandMade], place: Place, passwords: Mapping[str, str], below: Path | None = None
) -> list[Candidate]:
    """A candidate for each user, in order; users in Patchbay's own files are left out.

    `passwords` are those of users whose file has only an a1-hash, by extension. `below` leaves out users
    whose file is not in that folder. Reads, and changes nothing.
    """
    candidates = [_candidate(user, place, passwords) for user in users if not _is_ours(user.file)]
    elsewhere = {each.user.file for each in candidates if below and not each.user.file.is_relative_to(below)}
    for each in candidates:
        if each.user.file in elsewhere:
            each.reasons.append("It was not asked for.")
    _compare_with_agents(candidates)
    _refuse_doubles(candidates)
    if not place.domain:
        _refuse_several_domains(candidates)
    refused = -1
    while refused != (refused := sum(not each.can_be_adopted for each in candidates)):
        # One that stays may keep others from being adopted: those of its file, or in whose way that is.
        if place.is_read:
            _refuse_shared_files(candidates, place)
        _refuse_obstacles(candidates, place)
    return [each for each in candidates if each.user.file not in elsewhere]


def _is_ours(file: Path) -> bool:
    return managed_by(file.read_text(errors="replace")) is not None


def _candidate(user: HandMade, place: Place, passwords: Mapping[str, str]) -> Candidate:
    candidate = Candidate(user, Agent(extension=user.id))
    try:
        validate_extension(user.id)
    except ValidationError as refused:
        candidate.reasons += refused.messages
        return candidate
    candidate.reasons += _illegible(user) or [*_not_for_here(user, place)]
    if candidate.reasons:
        return candidate
    _take_password(candidate, passwords)
    _take_names(candidate)
    _take_permissions(candidate)
    _take_voicemail(candidate)
    _note_what_is_left(candidate, place)
    if candidate.can_be_adopted:
        _refuse_what_cannot_be_published(candidate, place)
    return candidate


def _illegible(user: HandMade) -> list[str]:
    """Why a value that would come over cannot be read."""
    for name, value in [*user.params.items(), *user.variables.items()]:
        if name in _UNDERSTOOD and UNKNOWN in value:
            unknown = f"$${{{value.split(UNKNOWN)[1]}}}"
            return [f"Its {name} is {unknown}, which is not set in these files: the running switch knows it."]
        if name in _UNDERSTOOD and "\ufffd" in value:
            return [f"Its {name} is not UTF-8."]
    return []


def _not_for_here(user: HandMade, place: Place) -> Iterator[str]:
    is_known = user.domain and UNKNOWN not in user.domain
    if is_known and place.domain and user.domain != place.domain:
        yield f"It belongs to the domain {user.domain}; agents are in {place.domain}."
    if "cidr" in user.attributes:
        yield "Its phone is let in by its address (cidr), without a password."
    if "gateways" in user.own:
        yield "It holds gateways, which an agent has not: move them to sip_profiles first."
    context = user.variables.get("user_context", "")
    if context not in CONTEXTS:
        yield (
            f"Its user_context is {context}, perhaps to allow it less. An agent's calls go on in default: "
            "set that as its user_context if it may."
        )


# --- what is taken over --------------------------------------------------------------------------------


def _take_password(candidate: Candidate, passwords: Mapping[str, str]) -> None:
    user, reasons = candidate.user, candidate.reasons
    password, a1_hash = user.params.get("password", ""), user.params.get("a1-hash", "")
    if a1_hash:
        given = passwords.get(user.id, "")
        password = next((each for each in (given, password) if _a1_hash(user, each) == a1_hash.lower()), "")
        if given and not password:
            reasons.append(f"The password given for it is not the one of its a1-hash in {user.domain}.")
        elif not password:
            reasons.append(
                "It has an a1-hash, which cannot be turned back into a password: give that with "
                "--password-from-file, or add an agent and set the phone up anew."
            )
    elif not password:
        reasons.append("It has no password.")
    candidate.agent.password = password
    if password and (len(password) < SHORT_PASSWORD or user.id in password):
        candidate.notes.append("its password is kept, but easy to guess: give it a new one soon")


def _a1_hash(user: HandMade, password: str) -> str:
    text = f"{user.id}:{user.domain}:{password}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _take_names(candidate: Candidate) -> None:
    agent, variables = candidate.agent, candidate.user.variables
    agent.name = variables.get("effective_caller_id_name") or f"Extension {agent.extension}"
    try:
        validate_display_name(agent.name)
    except ValidationError as refused:
        candidate.reasons += refused.messages
    number = variables.get("effective_caller_id_number", "")
    if number != agent.extension:
        agent.caller_id_number = _accepted(candidate, number, validate_caller_id_number, "caller ID number")
    outbound = variables.get("outbound_caller_id_number", "")
    if outbound.strip("0"):  # vanilla's 0000000000 stands for none
        agent.outbound_caller_id = _accepted(candidate, outbound, to_e164, "outbound caller ID")


def _take_permissions(candidate: Candidate) -> None:
    agent, variables = candidate.agent, candidate.user.variables
    if "toll_allow" in variables:
        allowed = {each.strip() for each in variables["toll_allow"].split(",")} - {""}
        agent.may_call_local = "local" in allowed
        agent.may_call_domestic = "domestic" in allowed
        agent.may_call_international = "international" in allowed
        agent.may_call_premium = "premium" in allowed
        for other in sorted(allowed - {"local", "domestic", "international", "premium"}):
            candidate.notes.append(f"toll_allow “{other}” is left out")
    else:
        candidate.notes.append("it has no toll_allow: as a new agent it may make local and domestic calls")
    group = variables.get("callgroup", "")
    agent.call_group = _accepted(candidate, group, validate_call_group, "call group")
    if variables.get("rtp_secure_media", "").lower() in _SRTP:
        agent.media = Agent.Media.WEBRTC


def _take_voicemail(candidate: Candidate) -> None:
    agent, params = candidate.agent, candidate.user.params
    agent.email = _accepted(candidate, params.get("vm-mailto", ""), validate_email, "e-mail address")
    pin = params.get("vm-password", "")
    if not pin:
        candidate.notes.append("it had no voicemail PIN: it gets one")
    elif pin == agent.extension:
        candidate.notes.append("its voicemail PIN was the extension: it gets a new one")
    else:
        candidate.keeps_pin = bool(_accepted(candidate, pin, validate_pin, "voicemail PIN"))
    agent.voicemail_pin = pin if candidate.keeps_pin else _pin_for(agent)


def _pin_for(agent: Agent) -> str:
    while (pin := new_pin()) == agent.extension:
        pass
    return pin


def _accepted(candidate: Candidate, value: str, rule: Callable[[str], str | None], what: str) -> str:
    """The value as the rule has it; "" and a note when the rule refuses it. A PIN is not repeated."""
    if not value:
        return ""
    try:
        return rule(value) or value
    except ValidationError:
        if what.endswith("PIN"):
            candidate.notes.append(f"its {what} is refused as too simple or too long: it gets a new one")
        else:
            candidate.notes.append(f"its {what} “{value[:40]}” is none for Patchbay: left out")
        return ""


def _note_what_is_left(candidate: Candidate, place: Place) -> None:
    user, notes = candidate.user, candidate.notes
    if "user_context" not in user.variables:
        notes.append("it had no user_context: as an agent it calls by way of default")
    if user.group and place.is_read and not place.path_of(user.file).startswith("directory/default/"):
        notes.append(f"it leaves the group {user.group} of the directory")
    if user.variables.get("accountcode", user.id) != user.id:
        notes.append("its accountcode becomes the extension")
    attributes = {name for name in user.attributes if name not in ("id", "type")}
    if left := sorted((user.own - _UNDERSTOOD) | attributes):
        notes.append(f"left out: {', '.join(left)}")


# --- why not -------------------------------------------------------------------------------------------


def _refuse_what_cannot_be_published(candidate: Candidate, place: Place) -> None:
    try:
        candidate.agent.full_clean(validate_unique=False)
        agent_file(candidate.agent, Target("", place.domain))
    except ValidationError as refused:
        candidate.reasons += refused.messages
    except UnsafeValue as refused:  # of the password: the rest has passed a rule of its own
        candidate.reasons.append(f"Its password {refused.problem}")


def _compare_with_agents(candidates: list[Candidate]) -> None:
    """An agent with the same password is one whose adoption was cut short: only its file is left to do."""
    wanted = [each.user.id for each in candidates]
    known = {agent.extension: agent for agent in Agent.objects.filter(extension__in=wanted)}
    for each in filter(_can, candidates):
        agent = known.get(each.user.id)
        if agent is None:
            continue
        if agent.is_active and agent.password == each.agent.password:
            each.agent, each.is_new = agent, False
            each.notes[:] = ["it is an agent with this password already: only its file is put aside"]
        else:
            each.reasons.append(f"There is an agent {agent} already, inactive or with another password.")


def _refuse_doubles(candidates: list[Candidate]) -> None:
    """The switch takes the first of two users with one id; the agent's file would compete with the other."""
    files = defaultdict(list)
    for each in candidates:
        files[each.user.domain, each.user.id].append(each.user.file.name)
    for each in filter(_can, candidates):
        names = files[each.user.domain, each.user.id]
        if len(names) > 1:
            each.reasons.append(f"There is a second user {each.user.id}: {', '.join(names)}.")


def _refuse_several_domains(candidates: list[Candidate]) -> None:
    if len({each.user.domain for each in candidates}) > 1:
        for each in filter(_can, candidates):
            each.reasons.append("There are several domains here: set FS_DOMAIN to the one of the agents.")


def _refuse_shared_files(candidates: list[Candidate], place: Place) -> None:
    """A file is put aside whole, so whole must be what it holds."""
    stays = {each.user.file: each.user.id for each in candidates if not each.can_be_adopted}
    for each in filter(_can, candidates):
        file = each.user.file
        if not place.holds(file):
            each.reasons.append(f"Its file is outside of {place.conf_dir}: move it there.")
        elif not each.user.is_alone:
            each.reasons.append(f"{file.name} holds more than users: move this one to a file of its own.")
        elif file in stays:
            each.reasons.append(f"{file.name} also holds {stays[file]}, which cannot be adopted.")
        elif os.path.lexists(set_aside(file)) and not is_kept(file):
            each.reasons.append(f"{set_aside(file).name} is there already: move it away.")


def _refuse_obstacles(candidates: list[Candidate], place: Place) -> None:
    """A hand-made file where the agent's should go must be one that is put aside."""
    aside = {place.path_of(each.user.file) for each in filter(_can, candidates) if place.is_read}
    for each in filter(_can, candidates):
        path = agent_path(each.agent)
        target = place.conf_dir / path
        if path not in aside and target.exists() and not _is_ours(target):
            each.reasons.append(f"A hand-made file stands in the way: {path}.")


def _can(candidate: Candidate) -> bool:
    return candidate.can_be_adopted


def set_aside(file: Path) -> Path:
    """The name under which a hand-made file is kept."""
    return file.with_name(file.name + SET_ASIDE)


def is_kept(file: Path) -> bool:
    """Whether it has that name already, from a run that was killed."""
    return filecmp.cmp(file, set_aside(file), shallow=False)
