"""A small office on a simulated switch: routes are published, calls are placed, and it is seen who rings."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from eslbridge.client import Client
from eslbridge.publishing import outbox
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.publisher import Publisher
from eslbridge.simulator import Simulator
from tests.conftest import wait_until

# How long a second of ringing takes here.
SECOND = 0.02


class Office:
    """The switch, its publisher, and what came of a call."""

    def __init__(self, switch: Simulator, publisher: Publisher, esl: Client) -> None:
        self.switch, self.publisher, self.esl = switch, publisher, esl

    def publish(self) -> None:
        """Everything that waits is on the switch, or the test fails with the reason."""
        deadline = time.monotonic() + 15
        queue_differences(self.publisher.switch, differences(self.publisher.switch, self.publisher.disk.root))
        while True:
            outcome = self.publisher.publish()
            if not self.publisher.switch.pending.exists():
                break
            assert not [why for why in outcome.failed.values() if "Calls under way go on" not in why], (
                outcome.failed
            )
            assert time.monotonic() < deadline, outcome
            time.sleep(outbox.AWAIT.total_seconds())

    def registered(self, *extensions: str) -> None:
        """These phones have registered with what the switch has read."""
        wait_until(
            lambda: all(
                self.switch.phones.get(each) and self.switch.phones[each].registered for each in extensions
            ),
            f"the phones {extensions}",
        )

    def outside_calls(self, did: str, caller: str = "+15551230000", name: str = "Zoë") -> dict[str, int]:
        """How often each phone and gateway rang for a call from outside, until it was answered or over."""
        return self._watch(lambda: self.switch.call_from_outside(did, caller, name))

    def phone_calls(self, extension: str, number: str) -> dict[str, int]:
        """The same for a call from a phone."""
        return self._watch(lambda: self.switch.phones[extension].place_call(number))

    def _watch(self, place: Callable[[], Any]) -> dict[str, int]:
        before = self._rung()
        placed = place()
        uuid = getattr(placed, "uuid", placed)
        wait_until(lambda: self._is_settled(uuid), "the call to be answered or over")
        found = {who: count - before.get(who, 0) for who, count in self._rung().items()}
        self.hang_up()
        return {who: count for who, count in found.items() if count}

    def _is_settled(self, uuid: str) -> bool:
        channel = self.switch.channels.get(uuid)
        return channel is None or bool(channel.answered)

    def _rung(self) -> dict[str, int]:
        rung = {extension: len(phone.received) for extension, phone in self.switch.phones.items()}
        for invite in self.switch.outside.received:
            if invite.gateway:
                rung[invite.gateway] = rung.get(invite.gateway, 0) + 1
        return rung

    def hang_up(self) -> None:
        """Everybody."""
        self.esl.api("hupall", "NORMAL_CLEARING")
        wait_until(lambda: not self.switch.channels, "the end of all calls")

    def at(self, moment: str) -> None:
        """It is that time (with its zone) on the switch."""
        self.switch.set_time(datetime.fromisoformat(moment))

    def behave(self, behaviour: str, *extensions: str) -> None:
        for extension in extensions:
            self.switch.phones[extension].behaviour = behaviour

    @property
    def sent(self) -> list[tuple[str, str, str]]:
        """(gateway, digits, caller ID) of all calls that went out."""
        return [
            (each.gateway, each.number, each.caller_number)
            for each in self.switch.outside.received
            if each.gateway
        ]


def open_office(folder: Path, cdr_dir: Path) -> Simulator:
    """A switch in a hurry."""
    return Simulator(folder, cdr_dir=cdr_dir, password="ClueCon", answer_after=0.01, ring_second=SECOND)
