"""What ``sendmsg`` carries to a channel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Message:
    """Headers (names in lower case), body, and headers as given; ``done`` is set when it was worked on."""

    headers: dict[str, str]
    body: str = ""
    given: list[tuple[str, str]] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
