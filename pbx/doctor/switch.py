"""The switch: can it be asked, is it the one that is meant, has it what calls need."""

import re
import xml.etree.ElementTree as ET

from django.conf import settings

from agents.presence import listing_command
from agents.switchxml import SIP_PROFILE
from eslbridge.link import short_version
from eslbridge.protocol.errors import AuthenticationFailed, ProtocolError, Rejected
from routes.models import BusinessHours
from routes.zones import ADVICE, rules_in, what_is_wrong

from .findings import Findings, first_line, how_to_load, many, ok, problem, unknown, warning
from .site import Site, params

KNOWN_PASSWORD = "ClueCon"  # noqa: S105 - every FreeSWITCH's default: the one to find
OLDEST_VERSION = (1, 8)
SOCKET_CONF = "autoload_configs/event_socket.conf.xml"
WITHOUT = {
    "mod_sofia": "phones cannot register",
    "mod_dptools": "calls cannot be bridged",
    "mod_commands": "calls cannot be started or ended from here",
    "mod_dialplan_xml": "no call finds its way",
    "mod_event_socket": "nothing can be asked of the switch",
    "mod_voicemail": "calls that nobody answers are cut off instead of going to voicemail",
}


def check_event_socket(site: Site) -> Findings:
    where = f"{settings.FS_HOST}:{settings.FS_ESL_PORT}"
    if not settings.FS_HOST:
        yield problem("FS_HOST is not set", "Start ./run, or set it to your switch's address.")
        return
    if site.connection_error is not None:
        yield problem(*_why_not(where, site.connection_error))
        return
    yield ok(f"{where} answers and takes the password")
    if settings.FS_ESL_PASSWORD == KNOWN_PASSWORD and not site.is_simulated:
        yield problem(
            f"the password is {KNOWN_PASSWORD}, which everybody knows",
            f"Set another one in {SOCKET_CONF} and FS_ESL_PASSWORD: whoever has it can run any command on "
            "the switch's host.",
        )


def _why_not(where: str, error: Exception) -> tuple[str, str]:
    """What is wrong with the connection, and the fix."""
    match error:
        case AuthenticationFailed():
            return (
                f"{where} refuses the password",
                f"Set FS_ESL_PASSWORD to the one in {SOCKET_CONF} on the switch.",
            )
        case Rejected():
            return (
                f"{where} refuses this host's address",
                f"Let it in with apply-inbound-acl in {SOCKET_CONF} on the switch, then reload "
                "mod_event_socket there.",
            )
        case ProtocolError():
            return f"{where} is no Event Socket: {first_line(error)}", "Set FS_ESL_PORT (8021 by default)."
        case ValueError():
            return f"FS_ESL_PASSWORD cannot be sent: {first_line(error)}", "Set another one, also there."
    return first_line(error), "Start FreeSWITCH with mod_event_socket, or set FS_HOST and FS_ESL_PORT."


def check_version(site: Site) -> Findings:
    answer = site.ask("version")
    version = short_version(answer)
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if not numbers:
        yield unknown(f"the switch calls itself “{answer[:100]}”")
    elif numbers < OLDEST_VERSION:
        yield warning(f"FreeSWITCH {version} is older than what Patchbay was made for", "Update it to 1.10.")
    else:
        yield ok(f"FreeSWITCH {version}{', simulated' if site.is_simulated else ''}")


def check_modules(site: Site) -> Findings:
    answers = site.ask_all([f"module_exists {name}" for name in WITHOUT])
    missing = [name for name in WITHOUT if answers[f"module_exists {name}"].strip() != "true"]
    for name in missing:
        yield problem(f"{name} is not loaded: {WITHOUT[name]}", how_to_load(name))
    if not missing:
        yield ok(", ".join(WITHOUT))


def check_domain(site: Site) -> Findings:
    theirs = site.switch_domain
    if not site.domain:
        yield problem("the switch has no domain", "Set domain in its vars.xml, or FS_DOMAIN.")
    elif site.ask(f"domain_exists {site.domain}") != "true":
        fix = f"Unset FS_DOMAIN, or set it to {theirs}." if theirs else "Set domain in the switch's vars.xml."
        yield problem(f"the switch's directory has no domain {site.domain}", fix)
    elif theirs and theirs != site.domain:
        yield warning(
            f"FS_DOMAIN is {site.domain}, the switch calls its own domain {theirs}",
            f"Unset FS_DOMAIN, or set domain={site.domain} in the switch's vars.xml.",
        )
    else:
        yield ok(site.domain)


def check_time_zones(site: Site) -> Findings:
    site.require_database()
    configuration = site.configuration("timezones.conf")
    rules = None if configuration is None else rules_in(configuration)
    used = {hours.time_zone: hours for hours in BusinessHours.objects.all()}
    wrong = {zone: said for zone in used if (said := what_is_wrong(zone, rules))}
    for zone, said in wrong.items():
        yield problem(f"{zone}, of the business hours “{used[zone]}”, {said}", ADVICE)
    if not wrong:
        yield ok(", ".join(sorted(used)) or "no business hours")


def check_profile(site: Site) -> Findings:
    """Phones register with the profile, and in the domain that agents are published for."""
    listing = site.xml(listing_command())
    if listing is None:
        yield problem(
            f"SIP profile {SIP_PROFILE} is not running",
            f"python manage.py esl sofia profile {SIP_PROFILE} start; the switch's log says why it does not.",
        )
        return
    forced = _forced_domain(site.configuration("sofia.conf"))
    if forced not in ("", site.domain):
        yield problem(
            f"phones register in {forced} (force-register-domain), agents are in {site.domain}",
            f"Set force-register-domain in sip_profiles/{SIP_PROFILE}.xml to {site.domain}.",
        )
        return
    users = [row.findtext("user", "") for row in listing.iter("registration")]
    elsewhere = [user for user in users if user.partition("@")[2] != site.domain]
    if elsewhere:
        yield warning(
            f"{many(len(elsewhere), 'phone')} registered outside {site.domain}, like {elsewhere[0]}",
            f"Set {site.domain} as the SIP domain of these phones.",
        )
    else:
        yield ok(f"{SIP_PROFILE} runs, with {many(len(users), 'registration')}")


def _forced_domain(sofia: ET.Element | None) -> str:
    """The force-register-domain of our profile; empty when the phone's own choice counts."""
    profiles = sofia.iter("profile") if sofia is not None else ()
    profile = next((each for each in profiles if each.get("name") == SIP_PROFILE), None)
    return params(profile).get("force-register-domain", "")
