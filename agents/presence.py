"""Which phones are registered: a projection of the switch's registrations into Redis.

A device is one contact address of one user. Events move it; the profile's own list corrects it
(`show registrations` lags and keeps the dead, so it is not asked).
"""

import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from html import unescape
from typing import TYPE_CHECKING, Any

import orjson

from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import StoreIsEmpty, store
from eslbridge.text import printable

from .switchxml import SIP_PROFILE

if TYPE_CHECKING:
    from redis.client import Pipeline

_URI = re.compile(r"<(sips?:[^>;]+)", re.IGNORECASE)
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


class NoListing(ValueError):
    """The switch's answer is not a list of registrations; the text says what it is."""


def _key(switch_name: str) -> str:
    """A hash: each user's devices as one JSON list."""
    return f"patchbay:devices of users:{switch_name}"


def _at_key(switch_name: str) -> str:
    """When the devices were last told of; missing after Redis was emptied, until stock is taken."""
    return f"patchbay:devices of users:{switch_name}:at"


def _seen_key(switch_name: str) -> str:
    """A hash: when each user without a device had its last one."""
    return f"patchbay:last seen:{switch_name}"


def last_update(switch_name: str) -> float:
    """When the devices of a switch were last told of, seconds since 1970, 0 for never; raises StoreError."""
    return float(store().get(_at_key(switch_name)) or 0)


def last_seen(of: Collection[str]) -> dict[str, float]:
    """When these users, who have no device now, had their last one: seconds since 1970. Raises StoreError."""
    seen: dict[str, float] = {}
    for name in Switch.objects.values_list("name", flat=True) if of else ():
        for user, at in zip(of, store().hmget(_seen_key(name), list(of)), strict=True):
            seen[user] = max(seen.get(user, 0), float(at or 0))
    return {user: at for user, at in seen.items() if at}


def _contact(text: str) -> str:
    found = _URI.search(text)
    return printable(found[1] if found else text)


def _registered(event: Event) -> Device:
    now = time.time()
    transport = re.search(r"\((\w+)", event.get("status", ""))
    return Device(
        user=_user(event),
        contact=_contact(event.get("contact", "")),
        agent=printable(event.get("user-agent", "")),
        transport=transport[1].lower() if transport else "",
        address=printable(f"{event.get('network-ip', '')}:{event.get('network-port', '')}"),
        since=now,
        expires=now + _number(event.get("expires", "")),
        call_id=printable(event.get("call-id", "")),
    )


def _user(event: Event) -> str:
    return printable(event.get("from-user") or event.get("user", ""))


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"-?[0-9]{1,12}", text, re.ASCII) else 0


def follow(switch: Switch, events: Iterable[Event]) -> bool:
    """Move the devices as these events say, in two round trips; only their users' devices are read.

    Returns True when a user registered from a new, second place: without multiple registrations the switch
    has dropped the first one and says nothing about it, so the caller should take stock.
    """
    events = list(events)
    moved = {_user(event) for event in events if _moves_a_device(event)}
    devices = {user: {each.contact: each for each in found} for user, found in _of(switch.name, moved)}
    pipeline = store().pipeline(transaction=False)
    second_place = False
    for event in events:
        if event.subclass == "sofia::register_failure":
            _note_refusal(pipeline, switch.name, event)
        elif event.subclass == "sofia::register" and _moves_a_device(event):
            device = _registered(event)
            before = devices[device.user]
            second_place = second_place or bool(before and device.contact not in before)
            since = before[device.contact].since if device.contact in before else device.since
            before[device.contact] = replace(device, since=since)
        elif _moves_a_device(event):
            devices[_user(event)].pop(_contact(event.get("contact", "")), None)
    for user, found in devices.items():
        _put(pipeline, switch.name, user, list(found.values()))
    pipeline.set(_at_key(switch.name), time.time(), xx=True)
    pipeline.execute()
    return second_place


def _moves_a_device(event: Event) -> bool:
    is_ours = event.get("profile-name", SIP_PROFILE) == SIP_PROFILE
    return is_ours and event.subclass in ("sofia::register", "sofia::unregister", "sofia::expire")


def _of(switch_name: str, names: Iterable[str]) -> Iterator[tuple[str, list[Device]]]:
    """Each of these users with the devices that are known of it."""
    names = list(names)
    texts = store().hmget(_key(switch_name), names) if names else []
    for name, text in zip(names, texts, strict=True):
        yield name, _devices(text or "[]")


def _devices(text: str) -> list[Device]:
    return [Device(**each) for each in orjson.loads(text)]


def _put(pipeline: "Pipeline", switch_name: str, user: str, devices: list[Device]) -> None:
    if devices:
        pipeline.hset(_key(switch_name), user, orjson.dumps([asdict(each) for each in devices]))
    else:
        pipeline.hdel(_key(switch_name), user)
        pipeline.hset(_seen_key(switch_name), user, time.time())


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
    """Replace all devices of a switch by its own list (`sofia xmlstatus profile … reg`).

    Raises NoListing when it is none; where there is no such profile, nobody is registered there.
    """
    now = time.time()
    before = users(switch.name)
    known = {(user, each.contact): each.since for user, devices in before.items() for each in devices}
    found = _listed(printable(listing), now)
    devices: dict[str, dict[str, Device]] = defaultdict(dict)
    for device in found or []:
        since = known.get((device.user, device.contact), now)
        devices[device.user][device.contact] = replace(device, since=since)
    pipeline = store().pipeline(transaction=True)
    pipeline.delete(_key(switch.name))
    for user in before.keys() | devices.keys():
        _put(pipeline, switch.name, user, list(devices[user].values()))
    pipeline.set(_at_key(switch.name), now)
    pipeline.execute()
    if found is None:
        raise NoListing(
            f"The switch does not list the registrations of {SIP_PROFILE}: {listing.strip()[:200]}"
        )


_LINE = re.compile(r"\s*<([a-z-]+)>(.*)</\1>\s*")


def _listed(listing: str, now: float) -> list[Device] | None:
    """The devices of the listing, None when it is none.

    It is read line by line, not as XML: each field has a line of its own, and the switch writes what a phone
    chose (its Call-ID) as it came, so that one phone could hide all the others, or show one that is not.
    """
    if "<registrations>" not in listing:
        return None
    devices: list[Device] = []
    row: dict[str, str] = {}
    for line in listing.split("\n"):
        match line.strip():
            case "<registration>":
                row = {}
            case "</registration>":
                devices.append(_device(row, now))
            case _:
                if field := _LINE.fullmatch(line):
                    row[field[1]] = unescape(field[2])
    return devices


def _device(row: dict[str, str], now: float) -> Device:
    status = _STATUS.search(row.get("status", ""))
    return Device(
        user=row.get("user", "").partition("@")[0],
        contact=_contact(row.get("contact", "")),
        agent=row.get("agent", ""),
        transport=status[1].lower() if status else "",
        address=f"{row.get('network-ip', '')}:{row.get('network-port', '')}",
        since=now,
        expires=now + (_number(status[2]) if status else 0),
        call_id=row.get("call-id", ""),
    )


def users(switch_name: str) -> dict[str, list[Device]]:
    """The devices of one switch by user; raises StoreError."""
    found: dict[str, list[Device]] = defaultdict(list)
    for user, text in store().hgetall(_key(switch_name)).items():
        found[user] = _devices(text)
    return found


def devices_of(switch_name: str, user: str) -> list[Device]:
    """One user's devices on one switch; raises StoreError."""
    return next(devices for _, devices in _of(switch_name, [user]))


def registered(of: Collection[str] | None = None) -> dict[str, list[Device]]:
    """The devices of every switch by user, of all users or of these; raises StoreError when not known."""
    return {user: [device for _, device in devices] for user, devices in registered_where(of).items()}


def registered_where(of: Collection[str] | None = None) -> dict[str, list[tuple[str, Device]]]:
    """As `registered`, each device with the name of the switch where it is registered."""
    found: dict[str, list[tuple[str, Device]]] = defaultdict(list)
    for switch in Switch.objects.all():
        if switch.is_connected and not last_update(switch.name):
            raise StoreIsEmpty(f"The registrations of {switch} are not in Redis.")
        for user, devices in users(switch.name).items() if of is None else _of(switch.name, of):
            found[user] += [(switch.name, device) for device in devices]
    return found


def news_of(events: Iterable[Event]) -> str:
    """The detail of the news that these events' users have other devices, or were refused."""
    return orjson.dumps(list({_user(event) for event in events})).decode()


def users_in(details: Iterable[str]) -> set[str]:
    """The users that these details of news name."""
    return {user for detail in details for user in orjson.loads(detail)}


def listing_command() -> str:
    """What to ask the switch for `take_stock`."""
    return f"sofia xmlstatus profile {SIP_PROFILE} reg"
