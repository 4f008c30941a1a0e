"""The switch's report of a finished leg, from either source, as the values of a Leg.

An event (CHANNEL_HANGUP_COMPLETE) and a file (mod_json_cdr) of the same leg give the same values: only what
both of them tell is read.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import unquote
from uuid import NAMESPACE_URL, UUID, uuid5

from eslbridge.originate import ASKED
from eslbridge.text import printable

from .models import VOICEMAIL, seconds

# The fields of a caller profile in a file, and the headers of an event that tell the same.
_PROFILE = {
    "ani": "Caller-ANI",
    "caller_id_name": "Caller-Caller-ID-Name",
    "caller_id_number": "Caller-Caller-ID-Number",
    "destination_number": "Caller-Destination-Number",
    "rdnis": "Caller-RDNIS",
}
_LATEST = 253_402_300_800 * 1_000_000  # the year 10000, in microseconds since 1970


class Report(Protocol):
    """Headers by name."""

    def get(self, name: str, default: str = "", /) -> str: ...


def from_file(data: bytes) -> Mapping[str, str]:
    """The report in a file of mod_json_cdr; raises ValueError when it is none.

    Without `encode-values=false` the switch URL-encodes the variables, and only those.
    """
    try:
        record = json.loads(data.decode("utf-8", "surrogateescape"), strict=False)
        variables, profile = record["variables"], record["callflow"][0]["caller_profile"]
        is_encoded = "%" in variables["start_stamp"]
        report = {header: str(profile.get(name) or "") for name, header in _PROFILE.items()}
        for name, value in variables.items():
            report[f"variable_{name}"] = (
                unquote(value, errors="surrogateescape") if is_encoded else str(value)
            )
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as problem:
        raise ValueError(f"it is no call record: {problem!r}") from None
    return report


def leg_of(report: Report, switch_name: str) -> dict[str, Any]:
    """The values of a Leg; raises ValueError for a report without a UUID.

    Times come from the `…_uepoch` variables (microseconds, UTC; 0 is never): the `…_stamp` ones are the
    switch's local time without a zone. The caller is the ANI: the switch turns the caller ID of a leg that
    it began round when that is answered.
    """
    uuid = _uuid(report.get("variable_uuid", ""))
    if uuid is None:
        raise ValueError("the report names no channel")
    end = _time(report, "end") or datetime.now(UTC)
    start, answer = _time(report, "start") or end, _time(report, "answer")
    return {
        "uuid": uuid,
        "switch": switch_name,
        "direction": _text(report, "variable_direction", 10),
        "originator": _originator(report),
        "other": _uuid(report.get("variable_bridge_uuid", "")),
        "caller": _text(report, "Caller-ANI", 80) or _text(report, "Caller-Caller-ID-Number", 80),
        "caller_name": _text(report, "Caller-Caller-ID-Name", 120),
        "destination": _destination(report),
        "did": _did(report),
        # On the A-leg of a click-to-dial; a copy that another leg was given does not count.
        "dialled": "" if report.get("variable_originator") else _text(report, "variable_patchbay_dial", 33),
        "user": _text(report, "variable_presence_id", 130).partition("@")[0][:64],
        "channel": _text(report, "variable_channel_name", 120),
        "application": _application(report),
        "start": start,
        "answer": answer,
        "end": end,
        "duration": seconds(start, end),
        "billsec": seconds(answer, end),
        "hangup_cause": _text(report, "variable_hangup_cause", 60),
        "disposition": _text(report, "variable_sip_hangup_disposition", 30),
        "gateway": _text(report, "variable_sip_gateway_name", 80)
        or _text(report, "variable_sip_gateway", 80),
        # “403 Not allowed: international”, without the number.
        "refused": _text(report, "variable_patchbay_refusal", 84).partition(" ")[2],
    }


def _originator(report: Report) -> UUID | None:
    """The leg that made this one. Of a loopback pair, the half that was called made the other half."""
    made_by = report.get("variable_originator")
    if not made_by and report.get("variable_loopback_leg") == "B":
        made_by = report.get("variable_other_loopback_leg_uuid")
    # Of the devices that rang for one dial each leg names the dial: they are one call, which has its id.
    made_by = made_by or report.get(f"variable_{ASKED}")
    return _uuid(made_by or "")


def _destination(report: Report) -> str:
    """The number that was dialled first: after a transfer the caller profile has the one after it.

    A number that the switch dialled at a SIP address is told as it was escaped there: “%2B1555…”.
    """
    asked = _text(report, "variable_sip_req_user", 80) if _is_inbound(report) else ""
    text = asked or _text(report, "Caller-Destination-Number", 80)
    return unquote(text) if text.startswith("%2B") else text


def _application(report: Report) -> str:
    """Who listens to the own messages calls the machine: nobody was missed."""
    name = _text(report, "variable_last_app", 40)
    data = _text(report, "variable_current_application_data", 20)
    return "voicemail check" if name == VOICEMAIL and data.startswith("check") else name


def _is_inbound(report: Report) -> bool:
    return report.get("variable_direction") == "inbound"


def _did(report: Report) -> str:
    """The number that a caller from outside dialled: after the transfer the destination is an extension.

    A call from outside is an inbound leg that is no directory user's.
    """
    is_ours = report.get("variable_presence_id") or report.get("variable_loopback_app")
    if is_ours or not _is_inbound(report):
        return ""
    names = ("variable_patchbay_did", "variable_sip_req_user", "Caller-RDNIS", "Caller-Destination-Number")
    return next(filter(None, (_text(report, name, 33) for name in names)), "")


def _text(report: Report, name: str, length: int) -> str:
    return printable(report.get(name) or "", length)


def _time(report: Report, what: str) -> datetime | None:
    try:
        microseconds = int(report.get(f"variable_{what}_uepoch") or 0)
    except ValueError:
        return None
    if not 0 < microseconds < _LATEST:
        return None
    whole, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest)


def _uuid(text: str) -> UUID | None:
    """A channel's UUID. The dialplan may give it any text: that always becomes the same UUID."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return uuid5(NAMESPACE_URL, f"freeswitch:channel:{printable(text)}")
