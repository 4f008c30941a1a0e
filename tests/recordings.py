"""The recorded conversations with a real FreeSWITCH, for every test that wants real bytes.

`recordings/event_socket.tar.xz` holds one JSON-lines file a conversation; one line is one read or write.
"""

import json
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ARCHIVE = Path(__file__).parent / "recordings" / "event_socket.tar.xz"


@dataclass(frozen=True)
class Step:
    """One read or write. An empty one from the switch is the end of the stream."""

    at: float
    by_switch: bool
    data: bytes


@dataclass(frozen=True)
class Recording:
    """One conversation."""

    name: str
    steps: tuple[Step, ...]

    @property
    def is_outbound(self) -> bool:
        """Whether the switch called us."""
        return self.name.startswith("outbound_")

    @property
    def received(self) -> bytes:
        """All that the switch sent."""
        return b"".join(step.data for step in self.steps if step.by_switch)

    @property
    def chunks(self) -> list[bytes]:
        """What the switch sent, as the reads returned it."""
        return [step.data for step in self.steps if step.by_switch and step.data]

    @property
    def sent(self) -> list[bytes]:
        """What the client wrote."""
        return [step.data for step in self.steps if not step.by_switch]


@cache
def _all() -> dict[str, Recording]:
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive if member.isfile()]
        return {
            Path(member.name).stem: _parse(Path(member.name).stem, archive.extractfile(member).read())
            for member in members
        }


def _parse(name: str, lines: bytes) -> Recording:
    records = [json.loads(line) for line in lines.decode().splitlines() if line]
    return Recording(
        name,
        tuple(
            Step(record["at"], record["from"] == "switch", record["text"].encode("latin-1"))
            for record in records
        ),
    )


def names() -> list[str]:
    """The names of all conversations, sorted."""
    return sorted(_all())


def load(name: str) -> Recording:
    """The conversation of that name."""
    return _all()[name]
