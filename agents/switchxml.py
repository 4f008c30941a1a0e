"""How agents reach the switch: a user file each, and the rule by which they call one another."""

import re
from collections.abc import Iterable
from hashlib import sha256

from eslbridge.publishing import Check, Rendered, Target, publishes, publishes_always
from eslbridge.switchxml import Element, Expression, document

from .models import Agent

# Our own dialplan context: agents come here first. In vanilla's `default` an agent 3001 would be a
# conference room and 5000 a menu; what is no agent's number falls through to `default`.
CONTEXT = "patchbay"
RING_SECONDS = 30
SIP_PROFILE = "internal"
_PASSWORD = re.compile(r'<param name="password" value="([^"]*)"/>')


def _param(name: str, value: str) -> Element:
    return Element("param", {"name": name, "value": value})


def _variable(name: str, value: str, field_name: str = "") -> Element:
    return Element("variable", {"name": name, "value": value}, field_name=field_name)


def agent_path(agent: Agent) -> str:
    return f"directory/default/{agent.extension}.xml"


def _user(agent: Agent, revision: str) -> Element:
    variables = [
        _variable("user_context", CONTEXT),
        _variable("effective_caller_id_name", agent.name, "Name"),
        _variable("effective_caller_id_number", agent.extension),
        _variable("patchbay_revision", revision),
    ]
    params = [_param("password", agent.password)]
    return Element(
        "user",
        {"id": agent.extension},
        (Element("params", {}, tuple(params)), Element("variables", {}, tuple(variables))),
    )


def _end_registrations(path: str, old: str | None, new: str | None, target: Target) -> Iterable[str]:
    """Without its file, or with another password, a phone must not stay registered with the old one."""
    if old and new and _PASSWORD.findall(old) == _PASSWORD.findall(new):
        return
    extension = path.rpartition("/")[2].removesuffix(".xml")
    yield f"sofia profile {SIP_PROFILE} flush_inbound_reg {extension}@{target.domain}"


@publishes(Agent, directory="directory/default", path=agent_path, after_reload=_end_registrations)
def agent_file(agent: Agent, target: Target) -> Rendered | None:
    """The agent's user file, or None while the agent is not active.

    `patchbay_revision` names exactly this content: the switch must answer with it, or the file that it
    reads for this user is another one.
    """
    if not agent.is_active:
        return None
    owner = f"agents.agent:{agent.pk}"
    revision = sha256(document(owner, [_user(agent, "")]).encode()).hexdigest()[:16]
    return Rendered(
        document(owner, [_user(agent, revision)]),
        (
            Check(
                f"user_data {agent.extension}@{target.domain} var patchbay_revision",
                rf"^{revision}\s*$",
                f"The file was written and reloaded, but the switch has another user {agent.extension}: "
                "look for a second file with this user id in its directory",
            ),
        ),
    )


def _condition(field: str, expression: str, *actions: tuple[str, str]) -> Element:
    return Element(
        "condition",
        {"field": Expression(field), "expression": Expression(expression)},
        tuple(
            Element("action", {"application": application} | ({"data": Expression(data)} if data else {}))
            for application, data in actions
        ),
    )


def _local_extension(target: Target) -> Element:
    """Rings whoever the directory knows under 4 to 6 digits; after that, voicemail."""
    user = "${destination_number}@" + target.domain
    return Element(
        "extension",
        {"name": "patchbay_agents"},
        (
            _condition("destination_number", "^[1-9][0-9]{3,5}$"),
            _condition(
                "${user_exists(id ${destination_number} " + target.domain + ")}",
                "^true$",
                ("export", "dialed_extension=${destination_number}"),
                ("set", "ringback=%(2000,4000,440,480)"),
                ("set", f"call_timeout={RING_SECONDS}"),
                ("set", "hangup_after_bridge=true"),
                ("set", "continue_on_fail=true"),
                ("bridge", f"user/{user}"),
                ("answer", ""),
                ("sleep", "500"),
                ("voicemail", f"default {target.domain} " + "${destination_number}"),
            ),
        ),
    )


_OWN_CONTEXT = f"dialplan/00_{CONTEXT}.xml"
_DEFAULT_RULE = f"dialplan/default/00_{CONTEXT}_agents.xml"


@publishes_always("agents.dialplan", directory="dialplan", paths=[_OWN_CONTEXT])
def own_context(path: str, target: Target) -> Rendered:
    """The context of the agents' calls: agents first, then whatever the switch's own `default` knows."""
    fall_through = Element(
        "extension",
        {"name": "patchbay_default"},
        (_condition("destination_number", "^([0-9A-Za-z*#+_.-]{1,64})$", ("transfer", "$1 XML default")),),
    )
    context = Element("context", {"name": CONTEXT}, (_local_extension(target), fall_through))
    return Rendered(
        document("agents.dialplan:0", [context]),
        (_is_read(f"xml_locate dialplan context name {CONTEXT}", path),),
    )


@publishes_always("agents.default_rule", directory="dialplan/default", paths=[_DEFAULT_RULE])
def default_rule(path: str, target: Target) -> Rendered:
    """The same rule in `default`, for calls that get there by other ways (hand-made users and transfers)."""
    return Rendered(
        document("agents.default_rule:0", [_local_extension(target)]),
        (_is_read("xml_locate dialplan context name default", path),),
    )


def _is_read(command: str, path: str) -> Check:
    return Check(
        command,
        'name="patchbay_agents"',
        f"The file was written and reloaded, but the switch does not read {path}: "
        "its configuration must include the files of that directory",
    )
