"""How agents reach the switch: a user file each, and the rule by which they call one another."""

import re
from collections.abc import Iterable, Iterator
from functools import cache, partial
from hashlib import sha256

from django.conf import settings

from eslbridge.publishing import Check, Rendered, Survey, Target, publishes, publishes_always
from eslbridge.switchxml import Element, Expression, UnsafeValue, document

from .models import Agent
from .validators import is_email_for_switch

# Our own dialplan context: agents come here first. In vanilla's `default` an agent 3001 would be a
# conference room and 5000 a menu; what is no agent's number falls through to `default`.
CONTEXT = "patchbay"
# Who is sent on by a phone (a REFER) takes over the rights of that phone: see `routes.switchxml.context`.
TRANSFERRED = f"{CONTEXT}_transferred"
ON_TRANSFER = f"execute_extension {TRANSFERRED} XML {CONTEXT}"
RING_SECONDS = 30
GONE = "patchbay_gone"  # the realm of mod_db with the extensions of agents who are gone
SIP_PROFILE = "internal"
_REVISION = 'name="patchbay_revision"'
_USER = r"""<user\b[^>]*\bid=["']{}["']"""
_ANY_USER = re.compile(_USER.format("([0-9]{4,6})"))
_NAMES = re.compile(r'\b(?:id|number-alias)="([^"]*)"')
_REVISION_TOLD = re.compile(rf'{_REVISION} value="([0-9a-f]*)"')
_PASSWORD = re.compile(r'<param name="password" value="([^"]*)"/>')


def _param(name: str, value: str, field_name: str = "") -> Element:
    return Element("param", {"name": name, "value": value}, field_name=field_name)


def _variable(name: str, value: str, field_name: str = "") -> Element:
    return Element("variable", {"name": name, "value": value}, field_name=field_name)


# What is the same for all agents is made, and checked, once.
_COUNTED_ON = _param("dial-var-limit_ignore_transfer", "true")
_ALL_MESSAGES = _param("vm-email-all-messages", "true")
_IN_CONTEXT = _variable("user_context", CONTEXT)
_SENT_ON = _variable("execute_on_blind_transfer", ON_TRANSFER)


def agent_path(agent: Agent) -> str:
    return f"directory/default/{agent.extension}.xml"


def _user(agent: Agent, revision: str) -> Element:
    return Element(
        "user",
        {"id": agent.extension},
        (
            Element("params", {}, tuple(_params(agent))),
            Element("variables", {}, (*_variables(agent), _variable("patchbay_revision", revision))),
        ),
    )


def _params(agent: Agent) -> Iterator[Element]:
    yield _param("password", agent.password)
    yield _param("vm-password", agent.voicemail_pin)
    # Whoever talks is counted: ring groups skip busy members. This is for calls to the phone, where variables
    # come too late when it is the only one that rings (mod_dptools.c); the dialplan counts calls from it.
    yield _param("dial-var-execute_on_answer", counted(agent.extension))
    yield _COUNTED_ON
    if agent.email:
        if not is_email_for_switch(agent.email):  # not from a form; a shell on the switch may read it
            raise UnsafeValue(
                "E-mail", "holds something else than letters, digits and . _ % + - before the @."
            )
        yield _param("vm-mailto", agent.email, "E-mail")
        yield _ALL_MESSAGES


def counted(extension: str) -> str:
    """What the switch does when this agent's leg is answered."""
    return f"limit hash patchbay busy_{extension} -"


def _variables(agent: Agent) -> Iterator[Element]:
    yield _IN_CONTEXT
    yield _variable("accountcode", agent.extension)
    yield _variable("patchbay_agent", agent.extension)
    yield _SENT_ON
    yield _variable("toll_allow", agent.toll_allow)
    yield _variable("effective_caller_id_name", agent.shown_name, "Caller ID name")
    yield _variable("effective_caller_id_number", agent.shown_number, "Caller ID number")
    if outbound := agent.shown_outside:
        yield _variable("outbound_caller_id_number", outbound, "Outbound caller ID")
        yield _variable("outbound_caller_id_name", settings.DEFAULT_CALLER_NAME or agent.shown_name)
    if agent.call_group:
        yield _variable("callgroup", agent.call_group, "Call group")
    if agent.media == Agent.Media.WEBRTC:
        # Refuses plain RTP: a desk phone without SRTP gets 488. Suits browsers only.
        yield _variable("rtp_secure_media", "true")


def leg_variables(agent: Agent, domain: str) -> dict[str, str]:
    """What the switch sets on a leg that it makes to reach this user, for one that is made to a device of the
    user (vanilla's dial-string names the user and the domain, too)."""
    elements = (*_params(agent), *_variables(agent))
    named = {each.attributes["name"]: str(each.attributes["value"]) for each in elements}
    kinds = ("password", "vm-")
    return {
        "dialed_user": agent.extension,
        "dialed_domain": domain,
        "presence_id": f"{agent.extension}@{domain}",
        "sip_invite_domain": domain,
        **{
            name.removeprefix("dial-var-"): value
            for name, value in named.items()
            if not name.startswith(kinds)
        },
    }


def _end_registrations(path: str, old: str | None, new: str | None, target: Target) -> Iterable[str]:
    """Without its file, or with another password, a phone must not stay registered with the old one."""
    if old == "" or (old and new and _PASSWORD.findall(old) == _PASSWORD.findall(new)):
        return
    extension = path.rpartition("/")[2].removesuffix(".xml")
    yield f"sofia profile {SIP_PROFILE} flush_inbound_reg {extension}@{target.domain}"
    if new is None:
        # The switch remembers it, over its restarts: `default` may know the number as something else.
        yield f"db insert/{GONE}/{extension}/1"


def _same_users(text: str) -> Iterable[str]:
    return [f"directory/default/{extension}.xml" for extension in _ANY_USER.findall(text)]


@publishes(
    Agent,
    directory="directory/default",
    path=agent_path,
    after_reload=_end_registrations,
    shadows=_same_users,
)
def agent_file(agent: Agent, target: Target) -> Rendered | None:
    """The agent's user file, or None while the agent is not active.

    `patchbay_revision` names exactly this content: the switch must answer with it, or the file that it
    reads for this user is another one.
    """
    if not agent.is_active:
        return None
    owner = f"agents.agent:{agent.pk}"
    unmarked = document(owner, [_user(agent, "")])
    revision = sha256(unmarked.encode()).hexdigest()[:16]
    return Rendered(
        unmarked.replace(f'{_REVISION} value=""', f'{_REVISION} value="{revision}"'),
        (
            Check(
                revision_question(agent.extension, target.domain),
                revision,
                f"The file was written and reloaded, but the switch has another user {agent.extension}: "
                "look for a second file with this user id in its directory",
                rival=_USER.format(agent.extension),
                survey=_all_revisions(target.domain),
            ),
        ),
    )


def revision_question(extension: str, domain: str) -> str:
    """The question for the revision of the file that the switch reads for this user."""
    return f"user_data {extension}@{domain} var patchbay_revision"


@cache
def _all_revisions(domain: str) -> Survey:
    return Survey(f"xml_locate directory domain name {domain}", partial(revisions, domain))


def revisions(domain: str, directory: str) -> dict[str, str]:
    """From the whole directory as the switch tells it, what it answers when asked for one user's revision.

    Left out is every name that occurs twice, as an id, a number-alias or a pointer of a group: which of them
    the switch finds is its own business.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for user in directory.split("<user ")[1:]:
        told = _REVISION_TOLD.search(user.partition("</user>")[0])
        for name in _NAMES.findall(user.partition(">")[0]):
            if told and name not in seen:
                found[name] = told[1]
            else:
                found.pop(name, None)
            seen.add(name)
    return {revision_question(name, domain): revision for name, revision in found.items()}


def _condition(field: str, expression: str, *actions: tuple[str, str]) -> Element:
    return Element(
        "condition",
        {"field": Expression(field), "expression": Expression(expression)},
        tuple(
            Element("action", {"application": application} | ({"data": Expression(data)} if data else {}))
            for application, data in actions
        ),
    )


# Before it answers: the event of the answer then says that nobody was reached.
MACHINE_ANSWERS = ("set", "patchbay_application=voicemail")


def agents_rule(target: Target) -> Element:
    """Rings whoever the directory knows under 4 to 6 digits; after that, voicemail."""
    user = "${destination_number}@" + target.domain
    return Element(
        "extension",
        {"name": "patchbay_agents"},
        (
            _condition("destination_number", "^[1-9][0-9]{3,5}$"),
            # A pointer in one of vanilla's groups (1000 to 1014) “exists” also without the user it points to.
            _condition("${user_data(" + user + " attr type)}", "^(?!pointer$)"),
            _condition(
                "${user_exists(id ${destination_number} " + target.domain + ")}",
                "^true$",
                ("export", "dialed_extension=${destination_number}"),
                ("set", "ringback=%(2000,4000,440,480)"),
                ("set", f"call_timeout={RING_SECONDS}"),
                ("set", "hangup_after_bridge=true"),
                ("set", "continue_on_fail=true"),
                ("bridge", f"user/{user}"),
                MACHINE_ANSWERS,
                ("answer", ""),
                ("sleep", "500"),
                ("voicemail", f"default {target.domain} " + "${destination_number}"),
            ),
        ),
    )


_DEFAULT_RULE = f"dialplan/default/00_{CONTEXT}_agents.xml"


@publishes_always("agents.default_rule", directory="dialplan/default", paths=[_DEFAULT_RULE])
def default_rule(path: str, target: Target) -> Rendered:
    """The same rule in `default`, for calls that get there by other ways (hand-made users and transfers)."""
    return Rendered(
        document("agents.default_rule:0", [agents_rule(target)]),
        (_is_read("xml_locate dialplan context name default", path),),
    )


def _is_read(command: str, path: str) -> Check:
    return Check(
        command,
        "patchbay_agents",
        f"The file was written and reloaded, but the switch does not read {path}: "
        "its configuration must include the files of that directory",
    )
