"""Which phones are registered: a projection of the switch's registrations into Redis.

A device is one contact address of one user. Events move it; the profile's own list corrects it
(`show registrations` lags and keeps the dead, so it is not asked).
"""

import re
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import store
from eslbridge.text import printable

from .switchxml import SIP_PROFILE

if TYPE_CHECKING:
    from redis.client import Pipeline

_URI = re.compile(r"<([^>;]+)")
_STATUS = re.compile(r"Registered\(([^)]*)\).*?expsecs\((-?\d+)\)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Device:
    """One registered phone. `since` and `expires` are seconds since 1970, UTC."""

    user: str
    contact: str
    agent: str
    transport: str
    address: str
    since: float
    expires: float
    call_id: str = ""  # the registration's SIP Call-ID: by it the switch finds this one device

    @property
    def key(self) -> str:
        return f"{self.user} {self.contact}"


def _key(switch_name: str) -> str:
    return f"patchbay:devices:{switch_name}"


def _contact(text: str) -> str:
    found = _URI.search(text)
    return printable(found[1] if found else text)


def _registered(event: Event) -> Device:
    now = time.time()
    transport = re.search(r"\((\w+)", event.get("status", ""))
    return Device(
        user=printable(event["from-user"]),
        contact=_contact(event["contact"]),
        agent=printable(event.get("user-agent", "")),
        transport=transport[1].lower() if transport else "",
        address=f"{event.get('network-ip', '')}:{event.get('network-port', '')}",
        since=now,
        expires=now + int(event.get("expires") or 0),
        call_id=printable(event.get("call-id", "")),
    )


def follow(switch: Switch, events: Iterable[Event]) -> bool:
    """Move the devices as these events say, in one round trip.

    Returns True when a user registered from a second place: without multiple registrations the switch
    has dropped the first one and says nothing about it, so the caller should take stock.
    """
    key = _key(switch.name)
    known = users(switch.name)
    pipeline = store().pipeline(transaction=False)
    second_place = False
    for event in events:
        match event.subclass:
            case "sofia::register":
                device = _registered(event)
                before = {each.contact: each.since for each in known[device.user]}
                second_place = second_place or bool(before.keys() - {device.contact})
                device = replace(device, since=before.get(device.contact, device.since))
                pipeline.hset(key, device.key, orjson.dumps(asdict(device)))
            case "sofia::unregister" | "sofia::expire":
                user = event.get("from-user") or event.get("user", "")
                pipeline.hdel(key, f"{user} {_contact(event.get('contact', ''))}")
            case "sofia::register_failure":
                _note_refusal(pipeline, switch.name, event)
    pipeline.execute()
    return second_place


# Refused registrations are kept for an hour, and at most so many: an attack must not fill the memory.
REFUSALS_SECONDS = 3600
MOST_REFUSALS = 2000


def _refusals_key(switch_name: str) -> str:
    return f"patchbay:refused:{switch_name}"


def _note_refusal(pipeline: "Pipeline", switch_name: str, event: Event) -> None:
    refusal = {
        "at": int(event.get("Event-Date-Timestamp") or 0) / 1e6 or time.time(),
        "user": printable(event.get("to-user", ""), 64),
        "address": printable(event.get("network-ip", ""), 64),
        "agent": printable(event.get("user-agent", ""), 80),
        "sequence": event.get("Event-Sequence", ""),
    }
    key = _refusals_key(switch_name)
    pipeline.zadd(key, {orjson.dumps(refusal): refusal["at"]})
    pipeline.zremrangebyscore(key, 0, time.time() - REFUSALS_SECONDS)
    pipeline.zremrangebyrank(key, 0, -MOST_REFUSALS - 1)


@dataclass(frozen=True)
class Refusals:
    """The refused registrations of one source address for one user in the last hour."""

    address: str
    user: str
    agent: str
    count: int
    last: float


def refusals() -> list[Refusals]:
    """Who was refused in the last hour, most often first; raises StoreError."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for name in Switch.objects.values_list("name", flat=True):
        for text in store().zrangebyscore(_refusals_key(name), time.time() - REFUSALS_SECONDS, "+inf"):
            refusal = orjson.loads(text)
            groups[refusal["address"], refusal["user"]].append(refusal)
    found = [
        Refusals(address, user, each[-1]["agent"], len(each), max(one["at"] for one in each))
        for (address, user), each in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.count, one.address, one.user))


def take_stock(switch: Switch, listing: str) -> None:
    """Replace all devices of a switch by its own list (`sofia xmlstatus profile … reg`)."""
    now = time.time()
    known = {device.key: device.since for devices in users(switch.name).values() for device in devices}
    root = ET.fromstring(printable(_plain(listing)))  # noqa: S314 - our own switch's answer
    devices = [_listed(row, now) for row in root.iter("registration")]
    pipeline = store().pipeline(transaction=True)
    pipeline.delete(_key(switch.name))
    for device in devices:
        kept = Device(**{**asdict(device), "since": known.get(device.key, now)})
        pipeline.hset(_key(switch.name), device.key, orjson.dumps(asdict(kept)))
    pipeline.execute()


def _plain(listing: str) -> str:
    """The switch declares ISO-8859-1 and sends UTF-8: let the bytes speak."""
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", listing)


def _listed(row: ET.Element, now: float) -> Device:
    status = _STATUS.search(row.findtext("status", ""))
    return Device(
        user=row.findtext("user", "").partition("@")[0],
        contact=_contact(row.findtext("contact", "")),
        agent=row.findtext("agent", ""),
        transport=status[1].lower() if status else "",
        address=f"{row.findtext('network-ip', '')}:{row.findtext('network-port', '')}",
        since=now,
        expires=now + (int(status[2]) if status else 0),
        call_id=row.findtext("call-id", ""),
    )


def users(switch_name: str) -> dict[str, list[Device]]:
    """The devices of one switch by user; raises StoreError."""
    found: dict[str, list[Device]] = defaultdict(list)
    for text in store().hvals(_key(switch_name)):
        device = Device(**orjson.loads(text))
        found[device.user].append(device)
    return found


def registered() -> dict[str, list[Device]]:
    """The devices of every switch by user; raises StoreError."""
    found: dict[str, list[Device]] = defaultdict(list)
    for name in Switch.objects.values_list("name", flat=True):
        for user, devices in users(name).items():
            found[user] += devices
    return found


def listing_command() -> str:
    """What to ask the switch for `take_stock`."""
    return f"sofia xmlstatus profile {SIP_PROFILE} reg"
