"""What checks may ask: the switch, the database, the settings."""

import ipaddress
import re
import xml.etree.ElementTree as ET
from functools import cached_property
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.errors import ESLError
from eslbridge.protocol.frames import is_error

from .findings import CannotTell

# For all questions of a check together. A switch that is deaf is asked once, not by every check.
ANSWER_SECONDS = 5.0


class Site:
    """Each part is tried once; after that it is known to be down."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._lost = ""

    # --- the switch ------------------------------------------------------------------------------------

    @cached_property
    def connection_error(self) -> Exception | None:
        """Why the switch cannot be asked (ESLError, or ValueError for a password that cannot be sent)."""
        try:
            client = Client(
                settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD, timeout=ANSWER_SECONDS
            )
            client.connect()
        except (ESLError, ValueError) as error:
            return error
        self._client = client
        return None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def ask_all(self, commands: list[str]) -> dict[str, str]:
        """The switch's answers by command, errors as text; raises CannotTell when it does not answer."""
        if not settings.FS_HOST or self.connection_error is not None or self._client is None:
            raise CannotTell("the switch cannot be asked")
        if self._lost:
            raise CannotTell(self._lost)
        wanted = list(dict.fromkeys(commands))
        try:
            return dict(zip(wanted, self._client.api_many(wanted), strict=True))
        except ESLError as error:
            self._lost = f"the switch does not answer any more: {error}"
            raise CannotTell(self._lost) from None

    def ask(self, command: str) -> str:
        """One answer without its surrounding white space; raises CannotTell also for -ERR and -USAGE."""
        answer = self.ask_all([command])[command].strip()
        if is_error(answer):
            raise CannotTell(f"the switch answered “{answer[:200]}” to {command}")
        return answer

    def xml(self, command: str) -> ET.Element | None:
        """One answer as XML; None when it is a sentence."""
        # It declares ISO-8859-1 and sends UTF-8.
        answer = re.sub(r"^\s*<\?xml[^>]*\?>", "", self.ask_all([command])[command])
        try:
            return ET.fromstring(answer)  # noqa: S314 - our own switch's answer
        except ET.ParseError:
            return None

    def configuration(self, name: str) -> ET.Element | None:
        """A module's configuration as the switch holds it, or None when it has none."""
        return self.xml(f"xml_locate configuration configuration name {name}")

    @cached_property
    def switch_domain(self) -> str:
        return self.ask("global_getvar domain")

    @property
    def domain(self) -> str:
        """The domain that agents are published for."""
        return settings.FS_DOMAIN or self.switch_domain

    @cached_property
    def directory_domain(self) -> str:
        """The domain in which the switch's users can be asked for; raises CannotTell when there is none."""
        for domain in (self.domain, self.switch_domain):
            if domain and self.ask(f"domain_exists {domain}") == "true":
                return domain
        raise CannotTell("the switch's directory has no such domain")

    @cached_property
    def is_simulated(self) -> bool:
        return self.ask("hostname") == "simulator"

    @property
    def switch_is_near(self) -> bool:
        """Whether FS_HOST is this host by its address. It may still be a container with its own folders."""
        return is_loopback(settings.FS_HOST)

    # --- the database ----------------------------------------------------------------------------------

    @cached_property
    def database_error(self) -> Exception | None:
        try:
            connection.ensure_connection()
        except (DatabaseError, ImproperlyConfigured) as error:
            return error
        return None

    def require_database(self) -> None:
        if self.database_error is not None:
            raise CannotTell("the database does not answer")

    @property
    def row(self) -> Switch | None:
        """What the worker of this switch last said of itself."""
        self.require_database()
        return Switch.objects.filter(name=settings.SWITCH_NAME).first()


def params(element: ET.Element | None) -> dict[str, str]:
    """The params below an element by name; of several with one name the last, as the switch reads them."""
    found = element.iter("param") if element is not None else ()
    return {each.get("name", ""): each.get("value", "") for each in found}


def is_true(value: str) -> bool:
    """Whether the switch takes this word for a yes."""
    return value.lower() in ("true", "yes", "on", "t", "enabled", "active", "allow", "1")


def is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def is_same(one: str, other: str) -> bool:
    """Whether two paths name one place here, through links, too."""
    return Path(one).resolve() == Path(other).resolve()
