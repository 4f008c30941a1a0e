"""Demo calls: somebody calls a DID now and then, and phones call each other."""

from __future__ import annotations

import random
import re
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .simulator import Simulator

# Seconds that demo calls last.
SHORTEST, LONGEST = 8.0, 45.0
NAMES = ("Ada Byron", "Grace Hopper", "Alan Turing", "Hedy Lamarr", "Claude Shannon", "Mary Jackson")


class Traffic:
    """Places calls at random, ``calls_per_minute`` on average; 0 places none."""

    def __init__(self, simulator: Simulator, calls_per_minute: float, chance: random.Random):
        self.simulator = simulator
        self.calls_per_minute = calls_per_minute
        self.chance = chance

    def run(self, stop: threading.Event) -> None:
        """Goes on until ``stop`` is set."""
        if self.calls_per_minute <= 0:
            stop.wait()
            return
        while not stop.wait(self.chance.expovariate(self.calls_per_minute / 60)):
            self.place_one()

    def place_one(self) -> str | None:
        """Places one call. Returns its UUID, or None when there is nobody to call."""
        dids = self.dids()
        phones = [
            phone for phone in list(self.simulator.phones.values()) if phone.registered and not phone.channels
        ]
        if dids and (len(phones) < 2 or self.chance.random() < 0.5):
            uuid = self._from_outside(self.chance.choice(dids))
        elif len(phones) >= 2:
            caller, callee = self.chance.sample(phones, 2)
            try:
                uuid = caller.place_call(callee.user)
            except PermissionError:
                return None
        else:
            return None
        self._hang_up_later(uuid)
        return uuid

    def place_steadily(self, calls_per_second: float, seconds: float, lasting: float = 1.0) -> list[str]:
        """A load: calls from outside at even distances, each hung up by its caller after a while.

        Returns the UUIDs of the calls once all are placed. Raises ValueError when no DID is routed.
        """
        dids = self.dids()
        if not dids:
            raise ValueError("no extension of context public matches a number")
        began = time.monotonic()
        uuids: list[str] = []
        for index in range(round(calls_per_second * seconds)):
            time.sleep(max(began + index / calls_per_second - time.monotonic(), 0))
            uuid = self._from_outside(dids[index % len(dids)])
            self.simulator.hang_up_later(uuid, lasting)
            uuids.append(uuid)
        return uuids

    def dids(self) -> list[str]:
        """Numbers that extensions of context public match literally."""
        context = self.simulator.switch.configuration.context("public")
        if context is None:
            return []
        found = []
        for condition in context.iter("condition"):
            expression = condition.get("expression", "")
            number = re.fullmatch(r"\^?\(?(?:\\?\+\??)?\(?(\+?\d{5,15})\)?\$?", expression)
            if condition.get("field") == "destination_number" and number:
                found.append(number[1])
        return found

    def _from_outside(self, did: str) -> str:
        caller = f"+1555{self.chance.randrange(10**7):07d}"
        return self.simulator.call_from_outside(did, caller, self.chance.choice(NAMES))

    def _hang_up_later(self, uuid: str) -> None:
        seconds = self.chance.uniform(SHORTEST, LONGEST)
        self.simulator.hang_up_later(uuid, seconds)
