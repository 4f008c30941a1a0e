"""Builds the commands that steer calls from typed parts: each value is one word, never the grammar.

What they do to the legs of a call was tried on a real switch; the facts stand beside each.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .originate import check_destination, check_domain, check_name

# A dialplan may give a channel any text as its UUID; only such a word can be asked about. A quote or a
# backslash would be taken away by the switch, and `${` is expanded.
_UUID = re.compile(r"[!-~]{1,120}", re.ASCII)
_NOT_IN_A_UUID = re.compile(r"['\"\\$`,{}&|;=]|\A-")
_DIGITS = re.compile(r"[0-9*#A-D]{1,40}", re.ASCII)
# A file as the switch names it: relative to its sounds, absolute, or of a scheme. `::` names an application.
_FILE = re.compile(r"(?!.*(?:::|\.\.))[0-9A-Za-z_/][0-9A-Za-z._/%(),:=+-]{0,255}", re.ASCII)
_GATEWAY = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)


def check_uuid(uuid: str) -> str:
    """The UUID when it is one harmless word; raises ValueError otherwise."""
    if not _UUID.fullmatch(uuid) or _NOT_IN_A_UUID.search(uuid):
        raise ValueError(f"{uuid[:60]!r} is no UUID of a call that can be steered.")
    return uuid


def check_digits(text: str) -> str:
    """Keys of a telephone: digits, * and #, and A to D; raises ValueError otherwise."""
    if not _DIGITS.fullmatch(text):
        raise ValueError(f"Digits may be 0 to 9, *, # and A to D, at most 40: “{text[:60]}” is not.")
    return text


def check_file(path: str, what: str) -> str:
    """A file's name on the switch; raises ValueError with `what` it is for."""
    if not _FILE.fullmatch(path):
        raise ValueError(f"{what} may not be {path[:80]!r}: letters, digits and . _ - / only.")
    return path


@dataclass(frozen=True)
class Request:
    """One API command: its name, and its arguments, each of them one word."""

    name: str
    words: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return " ".join(self.words)

    def __str__(self) -> str:
        return f"{self.name} {self.arguments}"


def hang_up(uuid: str) -> Request:
    """End one leg; the switch ends what it is connected with."""
    return Request("uuid_kill", (check_uuid(uuid),))


def hold(uuid: str) -> Request:
    """Put one phone on hold: CHANNEL_HOLD of that leg; the other side hears the music. Twice is -ERR."""
    return Request("uuid_hold", (check_uuid(uuid),))


def resume(uuid: str) -> Request:
    """Take a phone back from hold: CHANNEL_UNHOLD of that leg."""
    return Request("uuid_hold", ("off", check_uuid(uuid)))


def transfer(uuid: str, number: str, context: str) -> Request:
    """Send one leg through the dialplan again. The leg that it was connected with ends."""
    check_destination(number)
    return Request("uuid_transfer", (check_uuid(uuid), number, "XML", check_name(context, "context")))


def park(uuid: str) -> Request:
    """Let one leg wait: CHANNEL_PARK. The leg that it was connected with ends."""
    return Request("uuid_park", (check_uuid(uuid),))


def record(uuid: str, path: str) -> Request:
    """Record both sides of a leg into a file on the switch: RECORD_START."""
    return Request("uuid_record", (check_uuid(uuid), "start", check_file(path, "The file of a recording")))


def stop_recording(uuid: str, path: str) -> Request:
    """End a recording: RECORD_STOP. Of one that does not run the switch says +OK, too."""
    return Request("uuid_record", (check_uuid(uuid), "stop", check_file(path, "The file of a recording")))


def play(uuid: str, path: str, *, both: bool = False) -> Request:
    """Play a file to a leg, or to both sides of its call."""
    legs = "both" if both else "aleg"
    return Request("uuid_broadcast", (check_uuid(uuid), check_file(path, "A sound"), legs))


def send_digits(uuid: str, digits: str) -> Request:
    """Send digits to whoever is at the end of this leg."""
    return Request("uuid_send_dtmf", (check_uuid(uuid), check_digits(digits)))


def press_digits(uuid: str, digits: str) -> Request:
    """As if the phone at the end of this leg had pressed the keys."""
    return Request("uuid_recv_dtmf", (check_uuid(uuid), check_digits(digits)))


def set_variable(uuid: str, name: str, value: str) -> Request:
    """A channel variable whose value is one word (digits, names of classes); '' removes it."""
    if not re.fullmatch(r"[0-9A-Za-z+*#._,@:/-]*", value, re.ASCII):
        raise ValueError(f"{name} may not be {value[:60]!r}.")
    return Request("uuid_setvar", (check_uuid(uuid), check_name(name, "variable"), *filter(None, [value])))


@dataclass(frozen=True)
class Execute:
    """An application that a leg runs now, whatever it is doing."""

    uuid: str
    application: str
    argument: str


def user(extension: str, domain: str) -> str:
    """Every phone of a user."""
    return f"user/{check_name(extension, 'user')}@{check_domain(domain)}"


def gateways(names: Iterable[str], digits: str) -> str:
    """A number through the first gateway that takes it."""
    check_destination(digits)
    listed = []
    for name in names:
        if not _GATEWAY.fullmatch(name):
            raise ValueError(f"gateway may not be {name[:60]!r}.")
        listed.append(f"sofia/gateway/{name}/{digits}")
    if not listed:
        raise ValueError("There is no gateway for this number.")
    return "|".join(listed)


def consult(uuid: str, endpoint: str) -> Execute:
    """Ring somebody on this leg while the one that it is connected with waits (att_xfer).

    When this leg ends the two others are connected; when the rung one refuses or ends, the first two are.
    `endpoint` is of `user` or `gateways`.
    """
    return Execute(check_uuid(uuid), "att_xfer", endpoint)


THREE_WAY_KEY = "0"


def three_way(uuid: str) -> Request:
    """The one who consults, the one who waits and the consulted one are together from now on."""
    return press_digits(uuid, THREE_WAY_KEY)
