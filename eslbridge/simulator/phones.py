"""Simulated phones, the registrar they register with, and the world outside."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import sip
from .channel import Channel
from .configuration import Preprocessor, User
from .events import Header
from .userfiles import Credentials, credentials_in

if TYPE_CHECKING:
    from .core import Switch

AGENT = "patchbay-softphone/1.0"
# Seconds a registration lasts; phones renew at half of it.
REGISTRATION_EXPIRES = 600
# Seconds by which `show registrations` is behind the profile's own list.
CORE_LIST_LAG = 0.5
# Phones that register in one go before others get a turn.
BATCH = 50

_REG = ("sofia_reg.c", "sofia_reg_handle_register_token")


def ha1(user: str, domain: str, password: str) -> str:
    """The digest's secret: what ``a1-hash`` holds."""
    return hashlib.md5(f"{user}:{domain}:{password}".encode(), usedforsecurity=False).hexdigest()


@dataclass
class Registration:
    """A contact as the profile holds it."""

    user: str
    domain: str
    host: str
    port: int
    call_id: str
    expires_at: float
    agent: str = AGENT

    @property
    def contact(self) -> str:
        return f"sofia/internal/sip:{self.user}@{self.host}:{self.port}"

    @property
    def contact_header(self) -> str:
        return f'"" <sip:{self.user}@{self.host}:{self.port}>'


class Phone:
    """One user's phone: registers with what its file says, answers, refuses, calls and hangs up.

    ``behaviour`` is "answer", "busy", "no_answer", "reject" or "offline"; ``answer_after`` the seconds it rings.
    """

    def __init__(self, switch: Switch, user: str, domain: str, port: int):
        self.switch = switch
        self.user = user
        self.domain = domain
        self.host = "127.0.0.1"
        self.port = port
        self.password = ""
        self.a1_hash = ""
        self.answer_after = switch.options.answer_after
        self._behaviour = "answer"
        self.channels: list[Channel] = []
        self.renewal: asyncio.TimerHandle | None = None
        self.call_id = ""

    @property
    def registered(self) -> bool:
        """Whether the profile holds this phone's registration."""
        held = self.switch.registrar.registrations.get(self.user)
        return held is not None and held.port == self.port

    @property
    def secret(self) -> str:
        """The digest secret that this phone uses."""
        return self.a1_hash or ha1(self.user, self.domain, self.password)

    @property
    def behaviour(self) -> str:
        return self._behaviour

    @behaviour.setter
    def behaviour(self, value: str) -> None:
        if value not in ("answer", "busy", "no_answer", "reject", "offline"):
            raise ValueError(f"a phone cannot {value!r}")
        before, self._behaviour = self._behaviour, value
        if value == "offline" and before != "offline":
            self.switch.call_soon(self.switch.registrar.unregister, self)
        elif before == "offline" and value != "offline":
            self.switch.call_soon(self.switch.registrar.register, self)

    def register(self) -> None:
        """Sends a REGISTER now, with the password that the phone has."""
        self.switch.in_loop(self.switch.registrar.register, self)

    def unregister(self) -> None:
        """Takes the registration back; the phone keeps quiet until it registers again."""
        self.switch.in_loop(self.switch.registrar.unregister, self)

    def place_call(self, number: str) -> str:
        """Dials a number. Returns the UUID of the channel; the call goes on by itself."""
        return self.switch.in_loop(self.switch.call_from_phone, self, number)

    def hangup(self) -> None:
        """Puts the receiver down: every call of this phone gets a BYE."""
        self.switch.in_loop(self._hangup)

    def _hangup(self) -> None:
        for channel in list(self.channels):
            say_bye(channel)

    # What the switch asks of the far end of a channel

    def invited(self, channel: Channel) -> None:
        self.channels.append(channel)
        loop = asyncio.get_running_loop()
        if self.behaviour == "offline":
            return
        sip.ringing(channel, channel.sip)
        channel.mark_ringing()
        if self.behaviour == "no_answer":
            return
        channel.timers.append(loop.call_later(self.answer_after, self._decide, channel))

    def _decide(self, channel: Channel) -> None:
        if not channel.up or channel.answered:
            return
        if self.behaviour == "busy":
            refuse(channel, "USER_BUSY")
        elif self.behaviour == "reject":
            refuse(channel, "CALL_REJECTED")
        elif self.behaviour == "answer":
            accept(channel)

    def call_answered(self, channel: Channel) -> None:
        """The call that this phone placed was answered."""

    def channel_ended(self, channel: Channel) -> None:
        if channel in self.channels:
            self.channels.remove(channel)


class Outside:
    """Everything that the trunks reach, and whoever calls from there.

    ``behaviour`` as with phones; ``numbers`` holds exceptions: number to behaviour.
    """

    def __init__(self, switch: Switch):
        self.switch = switch
        self.behaviour = "answer"
        self.answer_after = switch.options.answer_after
        self.hangup_after: float | None = None
        self.numbers: dict[str, str] = {}
        self.channels: list[Channel] = []

    def invited(self, channel: Channel) -> None:
        self.channels.append(channel)
        behaviour = self._behaviour(channel)
        if behaviour == "offline":
            return
        sip.ringing(channel, channel.sip)
        channel.mark_ringing()
        if behaviour == "no_answer":
            return
        timer = asyncio.get_running_loop().call_later(self.answer_after, self._decide, channel)
        channel.timers.append(timer)

    def _behaviour(self, channel: Channel) -> str:
        return self.numbers.get(channel.sip.contact_user, self.behaviour)

    def _decide(self, channel: Channel) -> None:
        behaviour = self._behaviour(channel)
        if not channel.up or channel.answered:
            return
        if behaviour == "busy":
            refuse(channel, "USER_BUSY")
        elif behaviour == "reject":
            refuse(channel, "CALL_REJECTED")
        elif behaviour == "unallocated":
            refuse(channel, "UNALLOCATED_NUMBER")
        else:
            accept(channel)
            self._hangup_later(channel)

    def _hangup_later(self, channel: Channel) -> None:
        if self.hangup_after is not None:
            timer = asyncio.get_running_loop().call_later(self.hangup_after, say_bye, channel)
            channel.timers.append(timer)

    def hangup(self) -> None:
        """Everybody outside hangs up."""
        self.switch.in_loop(self._hangup)

    def _hangup(self) -> None:
        for channel in list(self.channels):
            say_bye(channel)

    def call_answered(self, channel: Channel) -> None:
        self._hangup_later(channel)

    def channel_ended(self, channel: Channel) -> None:
        if channel in self.channels:
            self.channels.remove(channel)


def accept(channel: Channel) -> None:
    """200 with an offer of PCMU; a leg that was offered something else ends."""
    if not channel.up or channel.answered:
        return
    if channel.text("originator_codec").startswith("L16"):
        sip.no_common_codec(channel, channel.sip)
        channel.disposition = "send_bye"
        channel.hung_up_here = True
        channel.hangup("INCOMPATIBLE_DESTINATION")
        return
    sip.peer_answered(channel, channel.sip)
    channel.mark_answered()


def refuse(channel: Channel, cause: str) -> None:
    """A final answer other than 200."""
    if channel.up:
        status, phrase = sip.REFUSALS[cause]
        sip.refused(channel, status, phrase, cause)
        channel.final_phrase = phrase
        channel.hangup(cause)


def say_bye(channel: Channel) -> None:
    """The far end hangs up: BYE when the call stood, CANCEL when it called and nobody had answered."""
    if not channel.up:
        return
    if channel.answered:
        sip.bye_received(channel)
        channel.disposition = "recv_bye"
        channel.final_phrase = "OK"
        channel.hangup("NORMAL_CLEARING")
    elif channel.direction == "inbound":
        channel.disposition = "recv_cancel"
        channel.hangup("ORIGINATOR_CANCEL")
    else:
        refuse(channel, "CALL_REJECTED")


class Registrar:
    """The internal profile's registrations, and the core's own list, which lags and keeps the dead."""

    def __init__(self, switch: Switch):
        self.switch = switch
        self.registrations: dict[str, Registration] = {}
        self.core_list: dict[str, Registration] = {}
        self._ports = iter(range(20000, 65000))
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for phone in self.switch.phones.values():
            if phone.renewal:
                phone.renewal.cancel()

    def sync(self) -> None:
        """After a reload: new users get a phone, changed ones re-read their file, all soon after."""
        task = asyncio.get_running_loop().create_task(self._sync())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sync(self) -> None:
        await asyncio.sleep(self.switch.options.register_delay)
        configuration = self.switch.configuration
        domain = self.switch.domain
        for count, user_id in enumerate(configuration.user_ids(domain)):
            user = configuration.user(user_id, domain)
            if user is not None and ("password" in user.params or "a1-hash" in user.params):
                self._provision(user)
            if count % BATCH == BATCH - 1:
                await asyncio.sleep(0)

    def _provision(self, user: User) -> None:
        phone = self.switch.phones.get(user.id)
        if phone is None:
            phone = Phone(self.switch, user.id, user.domain, self.free_port())
            self.switch.phones[user.id] = phone
        changed = self._take(phone, self.switch.configuration.credentials.get(user.id))
        if phone.behaviour != "offline" and (changed or not phone.registered):
            self.register(phone)

    def free_port(self) -> int:
        port = next(self._ports, 0)
        if not port:
            self._ports = iter(range(20000, 65000))
            port = next(self._ports)
        return port

    def read_file(self, phone: Phone, path: Path | None) -> bool:
        """The phone takes its password from the user's file. True when it changed."""
        if path is None:
            return False
        text = Preprocessor(self.switch.conf_dir, dict(self.switch.variables)).text_of(path)
        return self._take(phone, credentials_in(text).get(phone.user))

    def _take(self, phone: Phone, credentials: Credentials | None) -> bool:
        if credentials is None or credentials == (phone.password, phone.a1_hash):
            return False
        phone.password, phone.a1_hash = credentials
        return True

    def register(self, phone: Phone) -> None:
        """A REGISTER: accepted when the digest fits what the loaded directory says."""
        if not phone.call_id:
            phone.call_id = uuid.uuid4().hex
        user = self.switch.configuration.user(phone.user, phone.domain)
        if user is None or phone.secret != secret_of(user):
            self._attempt(phone, "FORBIDDEN", REGISTRATION_EXPIRES)
            self._failure(phone)
            return
        self._attempt(phone, "RENEWED", REGISTRATION_EXPIRES)
        expires_at = self.switch.clock.now() / 1e6 + REGISTRATION_EXPIRES
        held = Registration(phone.user, phone.domain, phone.host, phone.port, phone.call_id, expires_at)
        self.registrations[phone.user] = held
        self._event("sofia::register", "2059", self._registered_headers(phone, user))
        self._later(CORE_LIST_LAG, self._list, held)
        self._renew_later(phone)

    def _renew_later(self, phone: Phone) -> None:
        if phone.renewal:
            phone.renewal.cancel()
        phone.renewal = asyncio.get_running_loop().call_later(REGISTRATION_EXPIRES / 2, self._renew, phone)

    def _renew(self, phone: Phone) -> None:
        if phone.behaviour != "offline" and phone.registered:
            self.register(phone)

    def unregister(self, phone: Phone) -> None:
        """The phone says goodbye."""
        user = self.switch.configuration.user(phone.user, phone.domain)
        held = self.registrations.get(phone.user)
        if held is None or user is None:
            return
        self._attempt(phone, "RENEWED", 0)
        del self.registrations[phone.user]
        headers: list[Header] = [
            ("profile-name", "internal"),
            ("username", phone.user),
            ("from-user", phone.user),
            ("from-host", phone.domain),
            ("contact", held.contact_header),
            ("call-id", held.call_id),
            ("rpid", "unknown"),
            ("realm", phone.domain),
            ("network-ip", phone.host),
            ("network-port", str(phone.port)),
            ("user-agent", AGENT),
            ("expires", "0"),
        ]
        self._event("sofia::unregister", "2213", headers + user_headers(user))
        self._later(CORE_LIST_LAG, self._unlist, held)

    def flush(self, which: str = "") -> None:
        """``flush_inbound_reg``: registrations go, the core's list keeps them; a phone that may comes back."""
        for user in list(self.registrations):
            held = self.registrations[user]
            if not which or which in (held.call_id, f"{user}@{held.domain}", f"@{held.domain}", held.domain):
                self._expire(held)

    def expire_due(self) -> None:
        """Drops what has run out; called now and then."""
        now = self.switch.clock.now() / 1e6
        for held in [one for one in self.registrations.values() if one.expires_at <= now]:
            self._expire(held)
        for call_id in [key for key, one in self.core_list.items() if one.expires_at <= now]:
            del self.core_list[call_id]

    def _expire(self, held: Registration) -> None:
        del self.registrations[held.user]
        headers: list[Header] = [
            ("profile-name", "internal"),
            ("call-id", held.call_id),
            ("user", held.user),
            ("username", held.user),
            ("host", held.domain),
            ("contact", held.contact_header),
            ("expires", str(int(held.expires_at))),
            ("user-agent", held.agent),
            ("realm", held.domain),
            ("network-ip", held.host),
            ("network-port", str(held.port)),
        ]
        head = self.switch.event_head(
            "CUSTOM", ("sofia_reg.c", "sofia_reg_del_callback", "726"), "sofia::expire"
        )
        self.switch.send_custom("sofia::expire", head + headers)
        phone = self.switch.phones.get(held.user)
        if phone is not None:
            self._come_back(phone)

    def _come_back(self, phone: Phone) -> None:
        """A phone that lost its registration tries again, with its file as it is by then."""
        user = self.switch.configuration.user(phone.user, phone.domain)
        if user is None:
            self._later(self.switch.options.register_delay, self._leave, phone)
        elif phone.behaviour != "offline":
            self._later(self.switch.options.register_delay, self._retry, phone)

    def _retry(self, phone: Phone) -> None:
        user = self.switch.configuration.user(phone.user, phone.domain)
        if user is not None:
            self.read_file(phone, user.file)
        if phone.behaviour != "offline" and not phone.registered:
            phone.call_id = uuid.uuid4().hex
            self.register(phone)

    def _leave(self, phone: Phone) -> None:
        if self.switch.configuration.user(phone.user, phone.domain) is None and not phone.registered:
            self.register(phone)
            if self.switch.phones.get(phone.user) is phone:
                del self.switch.phones[phone.user]

    def contact(self, user: str, domain: str) -> str:
        """What ``sofia_contact`` says, at once."""
        held = self.registrations.get(user)
        return held.contact if held and held.domain == domain else "error/user_not_registered"

    def _list(self, held: Registration) -> None:
        if held.user in self.registrations or held.call_id in self.core_list:
            self.core_list[held.call_id] = held

    def _unlist(self, held: Registration) -> None:
        self.core_list.pop(held.call_id, None)

    def _later(self, seconds: float, what: object, *arguments: object) -> None:
        asyncio.get_running_loop().call_later(seconds, what, *arguments)  # type: ignore[arg-type]

    def _attempt(self, phone: Phone, result: str, expires: int) -> None:
        headers = self._contact_headers(phone, expires)
        self._event("sofia::register_attempt", "1606", [*headers, ("auth-result", result)])

    def _contact_headers(self, phone: Phone, expires: int) -> list[Header]:
        return [
            ("profile-name", "internal"),
            ("from-user", phone.user),
            ("from-host", phone.domain),
            ("contact", f'"" <sip:{phone.user}@{phone.host}:{phone.port}>'),
            ("call-id", phone.call_id),
            ("rpid", "unknown"),
            ("status", "Registered(UDP)"),
            ("expires", str(expires)),
            ("to-user", phone.user),
            ("to-host", phone.domain),
            ("network-ip", phone.host),
            ("network-port", str(phone.port)),
            ("username", phone.user),
            ("realm", phone.domain),
            ("user-agent", AGENT),
        ]

    def _registered_headers(self, phone: Phone, user: User) -> list[Header]:
        headers = self._contact_headers(phone, REGISTRATION_EXPIRES)
        headers.insert(3, ("presence-hosts", f"{phone.domain},{phone.domain}"))
        return headers + user_headers(user)

    def _failure(self, phone: Phone) -> None:
        headers: list[Header] = [
            ("profile-name", "internal"),
            ("to-user", phone.user),
            ("to-host", phone.domain),
            ("network-ip", phone.host),
            ("user-agent", AGENT),
            ("profile-name", "internal"),
            ("network-port", str(phone.port)),
            ("registration-type", "REGISTER"),
        ]
        self._event("sofia::register_failure", "1792", headers)

    def _event(self, subclass: str, line: str, headers: list[Header]) -> None:
        head = self.switch.event_head("CUSTOM", (*_REG, line), subclass)
        self.switch.send_custom(subclass, head + headers)


def user_headers(user: User) -> list[Header]:
    """What a registration event tells of the user."""
    headers: list[Header] = [
        ("sip_number_alias", user.id),
        ("sip_auth_username", user.id),
        ("sip_auth_realm", user.domain),
        ("number_alias", user.id),
        ("user_name", user.id),
        ("domain_name", user.domain),
    ]
    return headers + list(user.variables.items())


def secret_of(user: User) -> str:
    """The digest secret that the loaded directory expects."""
    return user.params.get("a1-hash") or ha1(user.id, user.domain, user.params.get("password", ""))
