"""The registrar: who is registered, and the core's own list, which lags and keeps the dead."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .configuration import Preprocessor, User
from .events import Header
from .phones import AGENT, Phone
from .userfiles import Credentials, credentials_in, digest_secret

if TYPE_CHECKING:
    from .core import Switch

# Seconds a registration lasts; phones renew at half of it.
REGISTRATION_EXPIRES = 600
# Seconds by which `show registrations` is behind the profile's own list.
CORE_LIST_LAG = 0.5
# Seconds after which a phone that was refused tries again.
RETRY_SECONDS = 30.0
# Phones that register in one go before others get a turn.
BATCH = 50
# UDP ports of simulated phones.
FIRST_PORT, LAST_PORT = 20000, 65000

_SOURCE = ("sofia_reg.c", "sofia_reg_handle_register_token")


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

    def is_named(self, which: str) -> bool:
        """Whether ``flush_inbound_reg`` and the like mean this one; an empty text means all."""
        return which in ("", self.call_id, f"{self.user}@{self.domain}", f"@{self.domain}", self.domain)


class Registrar:
    """The internal profile's registrations by contact, and the core's list by Call-ID.

    ``multiple`` is the profile's multiple-registrations=contact; without it, as in vanilla, a phone takes the
    place of the other phones of its user.
    """

    def __init__(self, switch: Switch):
        self.switch = switch
        self.multiple = False
        self.registrations: dict[str, Registration] = {}
        self._of_user: dict[str, dict[str, Registration]] = {}  # the same, for switches with thousands
        self.core_list: dict[str, Registration] = {}
        self.offline_users: set[str] = set()
        self._next_port = FIRST_PORT

    def close(self) -> None:
        for phone in (*self.switch.phones.values(), *self.switch.second_phones):
            if phone.renewal:
                phone.renewal.cancel()

    # Phones come and change

    def sync(self) -> None:
        """After a reload: new users get a phone, changed ones take what their file says, all soon after."""
        self.switch.spawn(self._sync())

    async def _sync(self) -> None:
        await asyncio.sleep(self.switch.options.register_delay)
        configuration, domain = self.switch.configuration, self.switch.domain
        for count, user_id in enumerate(configuration.user_ids(domain)):
            user = configuration.user(user_id, domain)
            if user is not None and ("password" in user.params or "a1-hash" in user.params):
                self._provision(user)
            if count % BATCH == BATCH - 1:
                await asyncio.sleep(0)

    def _provision(self, user: User) -> None:
        phone = self.switch.phones.get(user.id)
        if phone is None:
            behaviour = "offline" if user.id in self.offline_users else "answer"
            phone = Phone(self.switch, user.id, user.domain, self.free_port(), behaviour)
            self.switch.phones[user.id] = phone
        changed = _take(phone, self.switch.configuration.credentials.get(user.id))
        if phone.behaviour != "offline" and (changed or phone.refused or not phone.registered):
            self.register(phone)

    def add_second(self, user: str) -> Phone:
        """One more phone of that user, with the password of the first; it registers when it is told to."""
        first = self.switch.phones[user]
        phone = Phone(self.switch, user, first.domain, self.free_port())
        phone.password, phone.a1_hash = first.password, first.a1_hash
        self.switch.second_phones.append(phone)
        return phone

    def free_port(self) -> int:
        port, self._next_port = self._next_port, self._next_port + 1
        if self._next_port > LAST_PORT:
            self._next_port = FIRST_PORT
        return port

    def _read_file(self, phone: Phone) -> None:
        """The phone looks at its user's file as it is on disk now."""
        user = self.switch.configuration.user(phone.user, phone.domain)
        if user is not None and user.file is not None:
            preprocessor = Preprocessor(self.switch.conf_dir, dict(self.switch.variables))
            _take(phone, credentials_in(preprocessor.text_of(user.file)).get(phone.user))

    # SIP

    def register(self, phone: Phone) -> None:
        """A REGISTER: accepted when the digest fits what the loaded directory says."""
        phone.call_id = phone.call_id or uuid.uuid4().hex
        user = self.switch.configuration.user(phone.user, phone.domain)
        accepted = user is not None and phone.secret == secret_of(user)
        self._attempt(phone, "RENEWED" if accepted else "FORBIDDEN", REGISTRATION_EXPIRES)
        phone.refused = not accepted
        if user is None or not accepted:
            self._failure(phone)
            self._again(phone, RETRY_SECONDS, self._retry)
            return
        expires_at = time.time() + REGISTRATION_EXPIRES
        held = Registration(phone.user, phone.domain, phone.host, phone.port, phone.call_id, expires_at)
        for other in () if self.multiple else self.of(phone.user):
            self._drop(other)
        self._hold(held)
        headers = self._contact_headers(phone, REGISTRATION_EXPIRES)
        headers.insert(3, ("presence-hosts", f"{phone.domain},{phone.domain}"))
        self._event("sofia::register", "2059", headers + user_headers(user))
        self._later(CORE_LIST_LAG, self._list, held)
        self._again(phone, REGISTRATION_EXPIRES / 2, self._renew)

    def unregister(self, phone: Phone) -> None:
        """The phone says goodbye."""
        user = self.switch.configuration.user(phone.user, phone.domain)
        held = self.held_by(phone)
        if held is None or user is None:
            return
        self._attempt(phone, "RENEWED", 0)
        self._drop(held)
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

    def _renew(self, phone: Phone) -> None:
        if phone.behaviour != "offline" and phone.registered:
            self.register(phone)

    def _retry(self, phone: Phone) -> None:
        """A phone that lost its registration, or was refused, tries again with its file as it is by then."""
        self._read_file(phone)
        if phone.behaviour == "offline" or (phone.registered and not phone.refused):
            return
        phone.call_id = uuid.uuid4().hex
        self.register(phone)
        if self.switch.configuration.user(phone.user, phone.domain) is None:
            self._forget(phone)

    def _forget(self, phone: Phone) -> None:
        if phone.renewal:
            phone.renewal.cancel()
        if self.switch.phones.get(phone.user) is phone:
            del self.switch.phones[phone.user]

    # What administrators do

    def flush(self, which: str = "", reboot: bool = False) -> None:
        """``flush_inbound_reg``: registrations go, the core's list keeps them; phones come back."""
        for held in [one for one in self.registrations.values() if one.is_named(which)]:
            phone = self.switch.phone_at(held.user, held.port)
            if reboot and phone is not None:
                phone.notified.append("reboot")
            self._expire(held)

    def check_sync(self, which: str = "") -> None:
        """Asks phones to read their settings again, which they do by registering anew."""
        for held in [one for one in self.registrations.values() if one.is_named(which)]:
            self.notify(held.user, "check-sync")

    def notify(self, user: str, event: str) -> None:
        """A NOTIFY reaches a phone."""
        phone = self.switch.phones.get(user)
        if phone is None or not phone.registered:
            return
        phone.notified.append(event)
        if event.startswith(("check-sync", "resync")):
            self._later(self.switch.options.register_delay, self._resync, phone)

    def _resync(self, phone: Phone) -> None:
        self._read_file(phone)
        if phone.behaviour != "offline":
            self.register(phone)

    def expire_due(self) -> None:
        """Drops what has run out; called every second."""
        now = time.time()
        for held in [one for one in self.registrations.values() if one.expires_at <= now]:
            self._expire(held)
        for call_id in [key for key, one in self.core_list.items() if one.expires_at <= now]:
            del self.core_list[call_id]

    def _hold(self, held: Registration) -> None:
        self.registrations[held.contact] = held
        self._of_user.setdefault(held.user, {})[held.contact] = held

    def _drop(self, held: Registration) -> None:
        del self.registrations[held.contact]
        del self._of_user[held.user][held.contact]

    def _expire(self, held: Registration) -> None:
        self._drop(held)
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
        source = ("sofia_reg.c", "sofia_reg_del_callback", "726")
        self.switch.send_custom(
            "sofia::expire", self.switch.event_head("CUSTOM", source, "sofia::expire") + headers
        )
        phone = self.switch.phone_at(held.user, held.port)
        if phone is not None and phone.behaviour != "offline":
            self._again(phone, self.switch.options.register_delay, self._retry)

    def contact(self, user: str, domain: str) -> str:
        """What ``sofia_contact`` says, at once."""
        found = [held.contact for held in self.of(user) if held.domain == domain]
        return ",".join(found) or "error/user_not_registered"

    def of(self, user: str) -> list[Registration]:
        """The registrations of one user, the oldest first."""
        return list(self._of_user.get(user, {}).values())

    def held_by(self, phone: Phone) -> Registration | None:
        return next((held for held in self.of(phone.user) if held.port == phone.port), None)

    # The core's list

    def _list(self, held: Registration) -> None:
        if self.of(held.user) or held.call_id in self.core_list:
            self.core_list[held.call_id] = held

    def _unlist(self, held: Registration) -> None:
        self.core_list.pop(held.call_id, None)

    def _later(self, seconds: float, what: Callable[..., None], *arguments: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, what, *arguments)

    def _again(self, phone: Phone, seconds: float, what: Callable[[Phone], None]) -> None:
        if phone.renewal:
            phone.renewal.cancel()
        phone.renewal = asyncio.get_running_loop().call_later(seconds, what, phone)

    # Events

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
        self.switch.send_custom(
            subclass, self.switch.event_head("CUSTOM", (*_SOURCE, line), subclass) + headers
        )


def _take(phone: Phone, credentials: Credentials | None) -> bool:
    """Gives a phone what its file holds. True when that is news."""
    if credentials is None or credentials == (phone.password, phone.a1_hash):
        return False
    phone.password, phone.a1_hash = credentials
    return True


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
    return user.params.get("a1-hash") or digest_secret(user.id, user.domain, user.params.get("password", ""))
