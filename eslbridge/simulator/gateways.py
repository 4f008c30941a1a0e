"""Gateways of the external profile: what runs, which is not always what the files say."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .configuration import GatewaySettings
from .events import Header
from .registrar import secret_of
from .userfiles import digest_secret

if TYPE_CHECKING:
    from .core import Switch

# Seconds of the profile's own tick: registering, and deleting what was marked.
REGISTER_AFTER = 0.15
TICK = 1.0
RETRY_SECONDS = "30"

MIN_PING_SECONDS = 5

_NO_ANSWER: list[Header] = [("Phrase", "Request Timeout"), ("Status", "408")]
_STATE = ("sofia_reg.c", "sofia_reg_fire_custom_gateway_state_event", "156")


@dataclass
class Gateway:
    """A running gateway, with the settings it was started with."""

    settings: GatewaySettings
    state: str = "NOREG"
    status: str = "UP"
    started: float = field(default_factory=time.monotonic)
    calls_in: int = 0
    calls_out: int = 0
    failed_calls_in: int = 0
    failed_calls_out: int = 0
    deleted: bool = False

    @property
    def usable(self) -> bool:
        return self.status == "UP" and not self.deleted

    def param(self, name: str, default: str = "") -> str:
        return self.settings.params.get(name) or default

    def from_user(self, caller: str) -> str:
        """Who calls, as the carrier sees it in the From header."""
        if self.param("caller-id-in-from").lower() in ("true", "yes", "on", "1"):
            return caller
        return self.param("from-user", self.param("username", "FreeSWITCH"))

    @property
    def ping_seconds(self) -> int:
        """How often OPTIONS are sent; 0 when never. The switch refuses less than five seconds."""
        seconds = self.param("ping")
        return int(seconds) if seconds.isdigit() and int(seconds) >= MIN_PING_SECONDS else 0

    @property
    def proxy(self) -> str:
        return self.param("proxy", self.param("realm", self.settings.name))


class Gateways:
    """All running gateways, by name."""

    def __init__(self, switch: Switch):
        self.switch = switch
        self.running: dict[str, Gateway] = {}

    def load_all(self) -> None:
        """What the switch does with its gateways when it starts."""
        for settings in self.switch.configuration.gateways.values():
            self._add(settings, announce=False)

    def rescan(self, profile: str) -> None:
        """Starts what is new in the files. What runs already stays as it is, edited or not."""
        for settings in self.switch.configuration.gateways.values():
            if settings.profile == profile and settings.name not in self.running:
                self._add(settings, announce=True)

    def _add(self, settings: GatewaySettings, announce: bool) -> None:
        if settings.problem:
            self.switch.log(3, settings.problem, "sofia.c:3790")
            return
        gateway = Gateway(settings)
        self.running[settings.name] = gateway
        if announce:
            headers: list[Header] = [("Gateway", settings.name), ("profile-name", settings.profile)]
            self._custom("sofia::gateway_add", ("sofia_reg.c", "sofia_reg_add_gateway", "3723"), headers)
        if settings.registers:
            gateway.state, gateway.status = "UNREGED", "DOWN"
            self.switch.spawn(self._register(gateway))
        if gateway.ping_seconds:
            self.switch.spawn(self._keep_pinging(gateway))

    async def _register(self, gateway: Gateway) -> None:
        await asyncio.sleep(REGISTER_AFTER)
        while not gateway.deleted:
            self._set_state(gateway, "TRYING", "DOWN", [])
            refusal = self._refusal(gateway)
            if refusal is None:
                await self._registered(gateway)
                return
            self._set_state(gateway, "FAILED", "DOWN", [("Phrase", refusal[1]), ("Status", refusal[0])])
            await asyncio.sleep(TICK)
            if not gateway.deleted:
                self._set_state(gateway, "FAIL_WAIT", "DOWN", [])
            await asyncio.sleep(float(gateway.param("retry-seconds", RETRY_SECONDS)))

    def _refusal(self, gateway: Gateway) -> tuple[str, str] | None:
        """Status and phrase with which a REGISTER ends; None when it succeeds.

        A trunk outside takes every password; the switch itself asks for its own users' ones.
        """
        host = gateway.proxy.split(":")[0]
        if self.switch.outside.unreachable & {gateway.proxy, host}:
            return "503", "Service Unavailable"
        if gateway.proxy.removesuffix(":5060") != self.switch.domain:
            return None
        user = self.switch.configuration.user(gateway.param("username"), self.switch.domain)
        secret = digest_secret(gateway.param("username"), self.switch.domain, gateway.param("password"))
        return None if user is not None and secret_of(user) == secret else ("403", "Forbidden")

    async def _registered(self, gateway: Gateway) -> None:
        network: list[Header] = [("Register-Network-IP", "127.0.0.1"), ("Register-Network-Port", "5060")]
        self._set_state(gateway, "REGISTER", "DOWN", [*network, ("Phrase", "OK"), ("Status", "200")])
        if gateway.proxy.split(":")[0] in (self.switch.domain, "127.0.0.1"):
            self._tell_waiting_messages(gateway)
        await asyncio.sleep(TICK)
        if not gateway.deleted:
            self._set_state(gateway, "REGED", "UP", network)

    def _tell_waiting_messages(self, gateway: Gateway) -> None:
        """A gateway that registers with the switch itself is a phone to it, and asks for its voicemail."""
        headers: list[Header] = [
            ("MWI-Messages-Waiting", "no"),
            ("MWI-Message-Account", f"sip:{gateway.param('username')}@{self.switch.domain}"),
            ("Sofia-Profile", "internal"),
            ("Call-ID", str(uuid.uuid4())),
        ]
        source = ("mod_voicemail.c", "actual_message_query_handler", "4026")
        self.switch.simple_event("MESSAGE_WAITING", source, headers)

    def _set_state(self, gateway: Gateway, state: str, status: str, more: list[Header]) -> None:
        gateway.state, gateway.status = state, status
        headers: list[Header] = [
            ("Gateway", gateway.settings.name),
            ("State", state),
            ("Ping-Status", status),
        ]
        self._custom("sofia::gateway_state", _STATE, headers + more)

    async def _keep_pinging(self, gateway: Gateway) -> None:
        while not gateway.deleted:
            await asyncio.sleep(gateway.ping_seconds)
            if not gateway.deleted:
                self._ping(gateway)

    def ping(self) -> None:
        """Sends every gateway's OPTIONS now, not only every few seconds."""
        for gateway in self.running.values():
            if gateway.ping_seconds:
                self._ping(gateway)

    def _ping(self, gateway: Gateway) -> None:
        """A far end that does not answer makes it DOWN, one that does UP; a registration counts as well."""
        answers = self.switch.outside.answers_pings(gateway.settings.name)
        if gateway.settings.registers and gateway.state != "REGED":
            return
        if answers != (gateway.status == "UP"):
            final = [("Phrase", "OK"), ("Status", "200")] if answers else _NO_ANSWER
            self._set_state(gateway, gateway.state, "UP" if answers else "DOWN", final)

    def kill(self, name: str) -> bool:
        """``killgw``: nobody finds it any more; what it still has to do takes about a second.

        Calls under way through it stay.
        """
        gateway = self.running.pop(name, None)
        if gateway is None:
            return False
        gateway.deleted = True
        self.switch.spawn(self._delete(gateway))
        return True

    async def _delete(self, gateway: Gateway) -> None:
        if gateway.settings.registers:
            await asyncio.sleep(TICK * 0.4)
            network: list[Header] = []
            if gateway.state == "REGED":
                network = [("Register-Network-IP", "127.0.0.1"), ("Register-Network-Port", "5060")]
            self._set_state(gateway, "DOWN", "DOWN", network)
            await asyncio.sleep(TICK * 0.6)
        else:
            await asyncio.sleep(TICK)
        self._remove(gateway)

    def _remove(self, gateway: Gateway) -> None:
        headers: list[Header] = [
            ("profile-name", gateway.settings.profile),
            ("Gateway", gateway.settings.name),
        ]
        self._custom("sofia::gateway_delete", ("sofia_reg.c", "sofia_reg_check_gateway", "343"), headers)

    def delete_all(self) -> None:
        for gateway in list(self.running.values()):
            del self.running[gateway.settings.name]
            gateway.deleted = True
            self._remove(gateway)

    def _custom(self, subclass: str, source: tuple[str, str, str], headers: list[Header]) -> None:
        self.switch.send_custom(subclass, self.switch.event_head("CUSTOM", source, subclass) + headers)
