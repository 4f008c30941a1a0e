"""What a thief of calls looks for."""

import xml.etree.ElementTree as ET

from agents.models import Agent

from .findings import Findings, many, ok, problem, unknown, warning
from .site import Site, is_loopback, params
from .switch import SOCKET_CONF

VANILLA_PASSWORD = "1234"  # noqa: S105 - vanilla's for its users: the one to find
VANILLA_USERS = range(1000, 1020)
_GUESSED = f"can be had with the password {VANILLA_PASSWORD}, the first that everybody tries"
# An address that nobody has (RFC 5737): an ACL that lets it in lets everybody in.
STRANGER = "203.0.113.1"
# What the switch uses when event_socket.conf names no ACL (since 1.6).
BUILT_IN_ACL = "loopback.auto"


def check_exposure(site: Site) -> Findings:
    """Whether a stranger can reach the Event Socket, and so try passwords."""
    conf = site.configuration("event_socket.conf")
    if conf is None:
        yield unknown("the switch shows no event_socket.conf")
        return
    address = params(conf).get("listen-ip") or "127.0.0.1"
    if is_loopback(address):
        yield ok(f"the Event Socket listens on {address} only")
        return
    named = [
        each.get("value") or "" for each in conf.iter("param") if each.get("name") == "apply-inbound-acl"
    ]
    lists = list(filter(None, named))
    questions = [f"acl {STRANGER} {name}" for name in lists or [BUILT_IN_ACL]]
    answers = [answer.strip() for answer in site.ask_all(questions).values()]
    fix = (
        f"In {SOCKET_CONF} set listen-ip to 127.0.0.1, or apply-inbound-acl to a list of the hosts that need "
        "it; then reload mod_event_socket at the switch."
    )
    # The switch lets in only whom every list allows.
    if all(answer == "true" for answer in answers):
        yield problem(f"the Event Socket listens on {address}, and its ACL lets everybody in", fix)
    elif "false" not in answers:
        yield unknown(f"it listens on {address}; the switch does not tell whom its ACL lets in")
    elif lists:
        yield ok(f"the Event Socket listens on {address}, and ACL {', '.join(lists)} keeps strangers out")
    else:
        yield warning(
            f"the Event Socket listens on {address} without an ACL: only the switch's built-in one keeps "
            "strangers out",
            fix,
        )


def check_default_password(site: Site) -> Findings:
    """Whether phones can be had with vanilla's password, and calls wait for it to be changed."""
    is_default = site.ask("global_getvar default_password") == VANILLA_PASSWORD
    fix = "Set default_password in vars.xml to something long, then python manage.py esl reloadxml"
    agents, phones = _users_with_it(site)
    if agents:
        yield warning(
            f"{many(len(agents), 'agent')}, like {agents[0]}, {_GUESSED}",
            "Choose them on the page Agents and give them “New passwords” as soon as somebody can set up "
            "their phones: until then whoever reaches the switch can make calls as they.",
        )
    if phones:
        yield warning(
            f"{many(len(phones), 'phone')}, like {phones[0]}, {_GUESSED}",
            f"{fix}. Or make agents of them, and give those new passwords: python manage.py adopt_xml",
        )
    delay = _delay(site.xml("xml_locate dialplan context name default")) if is_default else 0
    if delay:
        yield warning(
            f"default_password is {VANILLA_PASSWORD}, so each call in context default waits {delay:g} s", fix
        )
    if not (agents or phones or delay):
        its = (
            f"is {VANILLA_PASSWORD}, but no call waits for it" if is_default else f"is not {VANILLA_PASSWORD}"
        )
        yield ok(f"default_password {its}, and no phone has that password")


def _users_with_it(site: Site) -> tuple[list[str], list[str]]:
    """The agents, and vanilla's own users, that can be had with vanilla's password."""
    asked = {f"user_data {user}@{site.directory_domain} param password": str(user) for user in VANILLA_USERS}
    answers = site.ask_all(list(asked))
    users = [user for each, user in asked.items() if answers[each].strip() == VANILLA_PASSWORD]
    site.require_database()
    agents = set(Agent.objects.active().filter(extension__in=users).values_list("extension", flat=True))
    return [user for user in users if user in agents], [user for user in users if user not in agents]


def _delay(context: ET.Element | None) -> float:
    """Seconds that the context lets calls wait because of the default password."""
    for condition in context.iter("condition") if context is not None else ():
        if "default_password" in condition.get("field", ""):
            for action in condition.iter("action"):
                milliseconds = action.get("data") or ""
                if action.get("application") == "sleep" and milliseconds.isdecimal():
                    return int(milliseconds) / 1000
    return 0.0
