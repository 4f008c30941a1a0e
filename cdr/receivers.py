"""What records do with the switch's events: a leg that has ended becomes a row."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eslbridge import signals
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.store import announce
from eslbridge.text import printable

from .models import record


def connect() -> None:
    signals.channel_events.connect(_record, dispatch_uid="cdr record")


def _record(sender: object, switch: Switch, events: list[Event], **_: object) -> None:
    ended = [event for event in events if event.name == "CHANNEL_HANGUP_COMPLETE"]
    if ended:
        record(leg_of(event, switch.name) for event in ended)
        announce("records")


def leg_of(event: Event, switch_name: str) -> dict[str, Any]:
    """The values of a Leg from a CHANNEL_HANGUP_COMPLETE.

    Times come from the `…_uepoch` variables (microseconds, UTC; 0 is never): the `…_stamp` ones are the
    switch's local time without a zone.
    """
    start, end = _time(event, "start") or datetime.now(UTC), _time(event, "end") or datetime.now(UTC)
    answer = _time(event, "answer")
    return {
        "uuid": UUID(event["Unique-ID"]),
        "switch": switch_name,
        "direction": event.get("Call-Direction", ""),
        "originator": _uuid(event.get("variable_originator")),
        "other": _uuid(event.get("Other-Leg-Unique-ID")),
        "caller": _text(event, "Caller-Orig-Caller-ID-Number", "Caller-Caller-ID-Number"),
        "caller_name": _text(event, "Caller-Orig-Caller-ID-Name", "Caller-Caller-ID-Name"),
        "destination": _text(event, "Caller-Destination-Number"),
        "did": _did(event)[:33],
        "dialled": _text(event, "variable_patchbay_dial")[:33] if _is_dialled(event) else "",
        "user": printable(event.get("Channel-Presence-ID", "").partition("@")[0], 64),
        "start": start,
        "answer": answer,
        "end": end,
        "duration": max(0, round((end - start).total_seconds())),
        "billsec": max(0, round((end - answer).total_seconds())) if answer else 0,
        "hangup_cause": _text(event, "Hangup-Cause")[:60],
        "disposition": _text(event, "variable_sip_hangup_disposition")[:30],
    }


def _is_dialled(event: Event) -> bool:
    """The variable is on the A-leg of a click-to-dial; an exported copy on another leg does not count."""
    return not event.get("variable_originator")


def _did(event: Event) -> str:
    """The number that a caller from outside dialled: after the transfer the destination is an extension.

    A call from outside is an inbound leg that is no directory user's.
    """
    if event.get("Call-Direction") != "inbound" or event.get("Channel-Presence-ID"):
        return ""
    names = ("variable_patchbay_did", "variable_sip_req_user", "Caller-RDNIS", "Caller-Destination-Number")
    return _text(event, *names)


def _text(event: Event, *names: str) -> str:
    return printable(next((event[name] for name in names if event.get(name)), ""), 80)


def _time(event: Event, what: str) -> datetime | None:
    microseconds = int(event.get(f"variable_{what}_uepoch") or 0)
    return datetime.fromtimestamp(microseconds / 1e6, UTC) if microseconds else None


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
