"""The call that is asked about, and what is known of it while it goes its way."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from eslbridge.conftree import UNKNOWN

from .configuration import Configuration
from .steps import Step, Target
from .times import atoi, hours_east, is_number

ANSWER, BUSY, NO_ANSWER, UNREGISTERED = "answer", "busy", "no_answer", "unregistered"
MAX_FORWARDS = 70  # transfers after which the switch itself gives up

Outcome = Callable[[Target], str]

# Variables that each call has and that no file tells.
_FROM_THE_CALL = (
    *(
        "sip_h_",
        "sip_from_",
        "sip_to_",
        "sip_req_",
        "sip_contact_",
        "sip_via_",
        "sip_full_",
        "sip_user_agent",
    ),
    *(
        "sip_network_",
        "sip_received_",
        "sip_call_id",
        "sip_auth",
        "sip_acl_",
        "sip_local_",
        "sip_p_",
        "sip_rpid",
    ),
    *("rtp_has_crypto", "switch_r_sdp", "ep_codec_string", "network_addr", "uuid", "call_uuid", "chan_name"),
    *("channel_name", "endpoint_disposition", "read_codec", "write_codec", "remote_media_", "local_media_"),
    *("core_uuid", "hostname", "switchname", "local_ip_v", "local_mask_v", "digits"),
    *("base_dir", "conf_dir", "sounds_dir", "recordings_dir", "log_dir", "temp_dir", "storage_dir"),
)


def unknown(what: str) -> str:
    """A value that cannot be known from the files; `what` says what it is."""
    return f"{UNKNOWN}{what.replace(UNKNOWN, '')}{UNKNOWN}"


def unknowns(text: str) -> list[str]:
    """What a text holds that is not known."""
    return text.split(UNKNOWN)[1::2] if UNKNOWN in text else []


def nobody_answers(target: Target) -> str:
    return NO_ANSWER


@dataclass(frozen=True)
class Call:
    """A question: who calls which number, when."""

    number: str
    at: datetime
    """An aware moment."""
    context: str = ""
    """Where it begins; by itself in the user_context of `user`, or in public."""
    caller_number: str = ""
    caller_name: str = ""
    user: str = ""
    """The extension whose phone calls."""
    domain: str = ""
    """The switch's; taken from the files when it is not given."""
    zone: tzinfo = UTC
    """The switch's own time zone."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What else is set on the call."""
    global_variables: Mapping[str, str] = field(default_factory=dict)
    """What was set on the switch while it runs (global_setvar)."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Calls that count against limits now, by “realm_id” (patchbay_busy_1020)."""
    stored: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What mod_db keeps, by realm and key; of other realms nothing can be told."""


@dataclass
class Application:
    name: str
    data: str
    releases: str = ""
    """A counter of a limit that is released when all before this is done; no application then."""


@dataclass
class State:
    """A call on its way. Copied where it is asked how it would go on otherwise."""

    call: Call
    configuration: Configuration
    domain: str
    number: str
    context: str
    clock: datetime
    variables: dict[str, str] = field(default_factory=dict)
    queue: deque[Application] = field(default_factory=deque)
    steps: list[Step] = field(default_factory=list)
    held: frozenset[str] = frozenset()
    """The counters of limits in which this call counts."""
    answered: bool = False
    ended: bool = False
    has_rule: bool = False
    """Whether a rule took the call, rather than only those that let others have it, too."""
    rdnis: str = ""
    transfers: int = 0
    rings: int = 0
    limit: tuple[str, int] | None = None
    visited: frozenset[object] = frozenset()

    def copy(self) -> "State":
        """The same call for another future; its steps begin anew."""
        queue = deque(replace(each) for each in self.queue)
        return replace(self, variables=dict(self.variables), queue=queue, steps=[])

    # --- variables -------------------------------------------------------------------------------------

    def set(self, name: str, value: str) -> None:
        """An empty value unsets, as on the switch."""
        if value:
            self.variables[name.lower()] = value
        else:
            self.variables.pop(name.lower(), None)

    def own(self, name: str) -> str:
        """A variable of the call itself; empty when it is not set."""
        return self.variables.get(name.lower(), "")

    def get(self, name: str) -> str:
        """A variable of the call, a field of it or a global variable; empty when there is none."""
        lower = name.lower()
        if lower in self.variables:
            return self.variables[lower]
        if (value := self.profile(lower)) is not None:
            return value
        for known in (self.call.global_variables, self.configuration.variables):
            if name in known:
                return known[name]
        if lower.startswith(_FROM_THE_CALL):
            return unknown(f"variable {name}")
        return ""

    def profile(self, name: str) -> str | None:
        """What a condition's bare field names; None for what is no field."""
        fields = {
            "destination_number": self.number,
            "context": self.context,
            "caller_id_number": self.call.caller_number,
            "caller_id_name": self.call.caller_name,
            "orig_caller_id_number": self.call.caller_number,
            "orig_caller_id_name": self.call.caller_name,
            "ani": self.call.caller_number,
            "username": self.call.user or self.call.caller_number,
            "rdnis": self.rdnis,
            "dialplan": "XML",
            "source": "mod_sofia",
            "aniii": "",
            "callee_id_name": "",
            "callee_id_number": "",
            "transfer_source": "",
        }
        return fields.get(name.lower())

    def bare_field(self, name: str) -> str:
        value = self.profile(name)
        if value is None and name.lower() in ("network_addr", "uuid", "chan_name", "created_time"):
            return unknown(f"field {name}")
        return value or ""

    # --- time ------------------------------------------------------------------------------------------

    @property
    def own_time(self) -> datetime:
        return self.clock.astimezone(self.call.zone)

    @property
    def offset(self) -> int | None:
        """The hours of tod_tz_offset, which wins over timezone."""
        text = self.get("tod_tz_offset")
        return atoi(text) if text and is_number(text) else None

    def local_time(self) -> tuple[datetime, str] | None:
        """Now in the zone of the call, and its name; None when the switch does not know the zone."""
        if (offset := self.offset) is not None:
            return self.clock.astimezone(hours_east(offset)), f"UTC{offset:+d}"
        name = self.get("timezone")
        if not name:
            return self.own_time, _name(self.call.zone)
        zone = self.configuration.zone(name)
        return (self.clock.astimezone(zone), name) if zone else None

    # --- limits ----------------------------------------------------------------------------------------

    def usage(self, counter: str) -> int:
        return self.call.usage.get(counter, 0) + (counter in self.held)


def _name(zone: tzinfo) -> str:
    return getattr(zone, "key", "") or zone.tzname(None) or "the switch's zone"
