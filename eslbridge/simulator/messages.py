"""What ``sendmsg`` carries to a channel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Message:
    """Headers (names in lower case) and body; ``done`` is set when the channel has worked on it."""

    headers: dict[str, str]
    body: str = ""
    done: asyncio.Event = field(default_factory=asyncio.Event)
