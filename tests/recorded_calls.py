"""Whole calls as a real FreeSWITCH told them, in two ways: events, and the files of mod_json_cdr.

`recordings/calls.tar.xz` holds one folder a call (vanilla's dialplan, JSON events, the link's subscriptions):
the events as they came, the files, and what the switch answered in between about its channels.
"""

import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from eslbridge.link import SUBSCRIPTIONS
from eslbridge.protocol.events import Event, JsonEvent
from eslbridge.protocol.frames import Parser
from tests import recordings

ARCHIVE = Path(__file__).parent / "recordings" / "calls.tar.xz"


@dataclass(frozen=True)
class Stock:
    """What the switch said of its channels after so many events; text as the client gives it."""

    label: str
    after: int
    channels: str
    dumps: dict[str, str]


@dataclass
class RecordedCall:
    name: str
    events: list[Event] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    stocks: list[Stock] = field(default_factory=list)

    def stock(self, label: str) -> Stock:
        return next(stock for stock in self.stocks if stock.label == label)

    def ends(self) -> list[Event]:
        """The CHANNEL_HANGUP_COMPLETE of every leg."""
        return [event for event in self.events if event.name == "CHANNEL_HANGUP_COMPLETE"]

    def of(self, name: str, number: int = 0) -> Event:
        return [event for event in self.events if event.name == name][number]


@cache
def _all() -> dict[str, RecordedCall]:
    calls: dict[str, RecordedCall] = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if not member.isfile():
                continue
            name, _, path = member.name.partition("/")
            data = archive.extractfile(member).read()
            call = calls.setdefault(name, RecordedCall(name))
            if path == "events.jsonl":
                call.events += [JsonEvent(json.loads(line).encode("latin-1")) for line in data.splitlines()]
            elif path == "stock.json":
                call.stocks += [_stock(record) for record in json.loads(data)]
            else:
                call.files[path.removeprefix("cdr/")] = data
    return calls


def _stock(record: dict[str, object]) -> Stock:
    dumps = {uuid: _as_answered(text) for uuid, text in record["dumps"].items()}
    return Stock(record["label"], record["after"], _as_answered(record["channels"]), dumps)


def _as_answered(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def names() -> list[str]:
    return sorted(_all())


def load(name: str) -> RecordedCall:
    return _all()[name]


@cache
def of_conversation(name: str) -> tuple[Event, ...]:
    """The events of one of `recordings`, those that the link subscribes."""
    messages = Parser().feed(recordings.load(name).received)
    return tuple(event for event in messages if isinstance(event, Event) and event.name in SUBSCRIPTIONS)


def conversations() -> list[str]:
    """The recorded conversations in which channels came and went, but not where the switch called us."""
    found = [name for name in recordings.names() if not recordings.load(name).is_outbound]
    return [
        name for name in found if any(event.name.startswith("CHANNEL_") for event in of_conversation(name))
    ]


def every_call() -> list[str]:
    """The names of all recorded calls of both kinds, for `events_of`."""
    return names() + conversations()


def events_of(name: str) -> list[Event]:
    return list(load(name).events if name in _all() else of_conversation(name))


def altered(event: Event, **headers: str) -> Event:
    """The event with other values; `_` in a name is `-`, but not in the names of variables."""
    changed = {
        key if key.startswith("variable_") else key.replace("_", "-"): value for key, value in headers.items()
    }
    return made({**event.as_dict(), **changed})


def made(headers: dict[str, str], body: str = "") -> Event:
    """An event from its headers, as JSON; surrogate escapes become the bytes that they stand for."""
    text = json.dumps({**headers, **({"_body": body} if body else {})}, ensure_ascii=False)
    return JsonEvent(text.encode("utf-8", "surrogateescape"))


def job_of(events: Iterable[Event], uuid: str) -> list[Event]:
    """The events, with every BACKGROUND_JOB taken for the job of that UUID, as our own originate names it."""
    return [
        made({**event.as_dict(), "Job-UUID": uuid}, event.body) if event.name == "BACKGROUND_JOB" else event
        for event in events
    ]
