"""Races that a real switch runs between its threads, and between itself and the phones.

Whoever listens must cope with every outcome, so here they change from call to call.
"""

from __future__ import annotations

import random
from enum import StrEnum


class Race(StrEnum):
    """What can come late."""

    # The phone's ACK: after the bridge.
    ACKNOWLEDGEMENT = "acknowledgement"
    # The second leg's report: after the first leg took the bridge apart.
    TEARDOWN = "teardown"
    # The first leg's report: after the second leg is gone.
    REPORT = "report"
    # The second leg's cleaning: after the first leg's.
    CLEANING = "cleaning"
    # The second leg's display: after the first leg's.
    DISPLAY = "display"


class Races:
    """Tells at each race whether it is late this time.

    ``late`` fixes the outcomes: the races in it always come late, the others never. Without it they are
    drawn, the same in every run.
    """

    def __init__(self, late: frozenset[str] | None):
        self._late = late
        self._chance = random.Random(1)

    def is_late(self, race: Race) -> bool:
        return self._chance.random() < 0.5 if self._late is None else race in self._late
