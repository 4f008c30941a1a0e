"""What a thief of calls looks for."""

import xml.etree.ElementTree as ET

from .findings import Findings, many, ok, problem, unknown, warning
from .site import Site, is_loopback, params
from .switch import SOCKET_CONF

VANILLA_PASSWORD = "1234"  # noqa: S105 - vanilla's for its users: the one to find
VANILLA_USERS = range(1000, 1020)
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
    if site.ask("global_getvar default_password") != VANILLA_PASSWORD:
        yield ok(f"default_password is not {VANILLA_PASSWORD}")
        return
    fix = "Set default_password in vars.xml to something long, then python manage.py esl reloadxml"
    questions = {f"user_data {user}@{site.directory_domain} param password": user for user in VANILLA_USERS}
    answers = site.ask_all(list(questions))
    users = [user for each, user in questions.items() if answers[each].strip() == VANILLA_PASSWORD]
    if users:
        yield problem(
            f"{many(len(users), 'phone')}, like {users[0]}, can be had with the password {VANILLA_PASSWORD}, "
            "the first that everybody tries",
            f"{fix}; agents get another one by “New password”.",
        )
    delay = _delay(site.xml("xml_locate dialplan context name default"))
    if delay:
        yield warning(
            f"default_password is {VANILLA_PASSWORD}, so each call in context default waits {delay:g} s", fix
        )
    if not users and not delay:
        yield ok(f"default_password is {VANILLA_PASSWORD}, but no phone has it and no call waits for it")


def _delay(context: ET.Element | None) -> float:
    """Seconds that the context lets calls wait because of the default password."""
    for condition in context.iter("condition") if context is not None else ():
        if "default_password" in condition.get("field", ""):
            for action in condition.iter("action"):
                milliseconds = action.get("data") or ""
                if action.get("application") == "sleep" and milliseconds.isdecimal():
                    return int(milliseconds) / 1000
    return 0.0
