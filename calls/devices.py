"""Which of an agent's devices rings when a button is pressed: all, or the one that registered last."""

import logging
from dataclasses import dataclass

from agents import presence
from agents.models import Agent
from agents.presence import Device
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.originate import check_contact
from eslbridge.protocol.errors import ESLError
from eslbridge.store import StoreError

log = logging.getLogger(__name__)
ANSWER_TIMEOUT = 2.0  # seconds


@dataclass(frozen=True)
class Rings:
    """What rings: the one device of this contact, or all that are registered, which may be several."""

    contact: str = ""
    several: bool = False


ONE = Rings()


def ringing(client: Client, switch: Switch, extension: str) -> Rings:
    """Which devices of the agent a call button rings.

    All ring for whom it is so set, and whenever it is not certain which one registered last: a phone that
    rings beside others is found, one that is left out is not.
    """
    try:
        devices = presence.devices_of(switch.name, extension)
        if len(devices) < 2:
            return ONE
        newest = _newest(devices) if _only_last(extension) else None
        contact = _asked_for(client, newest, switch.domain) if newest else ""
        return Rings(contact, several=not contact)
    except (StoreError, ESLError, ValueError) as problem:
        log.warning("All devices of %s ring: %s", extension, problem)
        return Rings(several=True)


def _only_last(extension: str) -> bool:
    return Agent.objects.filter(extension=extension, button_rings=Agent.Devices.LAST).exists()


def _asked_for(client: Client, device: Device, domain: str) -> str:
    listed = client.api("sofia_contact", f"*/{device.user}@{domain}", timeout=ANSWER_TIMEOUT)
    return _of_device(device, listed.strip().split(","))


def _newest(devices: list[Device]) -> Device | None:
    """Of several the one that came last; a renewal is no coming. None when that is not known: those that
    were there before anybody watched have the same time."""
    found = sorted(devices, key=lambda device: device.since)
    return found[-1] if len(found) > 1 and found[-1].since > found[-2].since else None


def _of_device(device: Device, contacts: list[str]) -> str:
    """The one of these that is the device's; phones behind two routers may have the same address at home."""
    address = device.contact.partition(":")[2]
    found = [each for each in contacts if each.partition(";")[0].partition(":")[2] == address]
    return check_contact(found[0]) if len(contacts) > 1 and len(found) == 1 else ""
