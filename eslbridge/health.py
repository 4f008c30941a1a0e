"""How busy a switch is, as its HEARTBEAT says every 20 seconds; kept in Redis."""

import time
from dataclasses import asdict, dataclass

import orjson

from .protocol.events import Event
from .store import store


@dataclass(frozen=True)
class Health:
    """One heartbeat. `idle_cpu` is per cent; `at` is seconds since 1970, UTC."""

    sessions: int
    most_sessions: int  # the switch's limit
    peak_sessions: int
    sessions_per_second: int
    idle_cpu: float
    lag: float  # seconds from the switch's clock to ours when the event was handled
    at: float


def _key(switch_name: str) -> str:
    return f"patchbay:health:{switch_name}"


def note(switch_name: str, heartbeat: Event) -> None:
    """Keep what a HEARTBEAT says; raises StoreError."""
    now = time.time()
    sent = int(heartbeat.get("Event-Date-Timestamp") or 0) / 1e6
    health = Health(
        sessions=int(heartbeat.get("Session-Count") or 0),
        most_sessions=int(heartbeat.get("Max-Sessions") or 0),
        peak_sessions=int(heartbeat.get("Session-Peak-Max") or 0),
        sessions_per_second=int(heartbeat.get("Session-Per-Sec-Last") or 0),
        idle_cpu=float(heartbeat.get("Idle-CPU") or 0),
        lag=now - sent if sent else 0,
        at=now,
    )
    store().set(_key(switch_name), orjson.dumps(asdict(health)))


def last(switch_name: str) -> Health | None:
    """The last heartbeat of a switch, or None when none was seen; raises StoreError."""
    text = store().get(_key(switch_name))
    return Health(**orjson.loads(text)) if text else None
