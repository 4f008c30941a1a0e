"""Places a call in the simulator and writes down what really happened, in the words of `told`."""

import asyncio
import selectors
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eslbridge.dialplan.steps import (
    HungUp,
    Message,
    Refused,
    Ring,
    Step,
    Talks,
    Target,
    Transferred,
    Voicemail,
)
from eslbridge.simulator import Simulator
from tests.eslbridge.simulator.conversation import DEADLINE, Conversation, eventually

# How long the simulator waits for what comes from outside of it before it lets the next timer be due.
PATIENCE = 0.003
BEHAVIOURS = {
    "answer": "answer",
    "busy": "busy",
    "no_answer": "no_answer",
    "NORMAL_TEMPORARY_FAILURE": "congested",
    "UNALLOCATED_NUMBER": "unallocated",
}


@dataclass
class Rung:
    """Legs that rang at once: extensions, or gateways with the digits that they were sent."""

    names: tuple[str, ...]
    caller: tuple[str, str]


def told(steps: Iterable[Step]) -> list[object]:
    """The steps that a simulator shows too."""
    said: list[object] = []
    for step in steps:
        match step:
            case Ring() if step.ringing:
                names = tuple(_name(target) for target in step.ringing)
                said.append(Rung(names, (step.caller_name, step.caller_number)))
            case Transferred():
                said.append(("transfer", step.number, step.context))
            case Voicemail():
                said.append(("voicemail", step.mailbox))
            case Message():
                said.append(("playback", step.what))
            case Refused():
                said.append(("refused", step.status))
            case HungUp():
                said.append(("end", step.cause))
            case Talks(goes_on=False):
                said.append(("end", "NORMAL_CLEARING"))
    return said


def _name(target: Target) -> str:
    return f"{target.name}/{target.digits}" if target.kind == "gateway" else target.name


def compared(happened: list[object]) -> list[object]:
    """What both can know: how voicemail and a refusal end is the caller's affair."""
    kept: list[object] = []
    for item in happened:
        kept.append(item)
        if isinstance(item, tuple) and item[0] in ("refused", "voicemail"):
            break
    return kept


class _Hurried(asyncio.SelectorEventLoop):
    """A loop for which time jumps to the next timer when there is nothing to do.

    So phones ring for as long as they are told, and no busy machine makes one time out before it answers.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return super().time() + self.ahead


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: _Hurried) -> None:
        super().__init__()
        self._hurried = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= PATIENCE:
            return super().select(timeout)
        found = super().select(PATIENCE)
        if not found:
            self._hurried.ahead += timeout - PATIENCE
        return found


class _Simulator(Simulator):
    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_Hurried) as runner:
            runner.run(self._serve())


class Office:
    """A simulator with phones and lines that do as told, and a clock that stands still."""

    def __init__(self, root: Path, moment: datetime, zone: str = "UTC") -> None:
        self.simulator = _Simulator(root, now=lambda: moment, zone=zone, answer_after=0.5, register_delay=0)

    def __enter__(self) -> "Office":
        self.simulator.start()
        self.conversation = Conversation(self.simulator.esl_port)
        self.conversation.command("event json CHANNEL_CREATE CHANNEL_EXECUTE CHANNEL_HANGUP CHANNEL_BRIDGE")
        return self

    def __exit__(self, *_: object) -> None:
        self.conversation.__exit__()
        self.simulator.stop()

    def behave(self, said: Mapping[str, str], users: Iterable[str]) -> None:
        """What phones (by extension) and gateways (by name) do from now on; those not named ring in vain."""
        simulator = self.simulator
        eventually(lambda: all(user in simulator.phones for user in users))
        for name, phone in simulator.phones.items():
            outcome = said.get(name, "no_answer")
            phone.behaviour = BEHAVIOURS.get(outcome, "offline")
            if outcome == "unregistered" and phone.registered:
                phone.unregister()
        simulator.outside.behaviour = "no_answer"
        simulator.outside.gateways.clear()
        for name, outcome in said.items():
            simulator.outside.gateways[name] = BEHAVIOURS.get(outcome, "no_answer")
        eventually(
            lambda: all(
                phone.registered != (said.get(name) == "unregistered")
                for name, phone in simulator.phones.items()
            )
        )

    def call(
        self, number: str, *, user: str = "", caller: str = "+15551230000", name: str = "Ada"
    ) -> list[object]:
        """Everything that happened to one call, until it was over."""
        since = len(self.conversation.frames)
        if user:
            uuid = self.simulator.phones[user].place_call(number)
        else:
            uuid = self.simulator.call_from_outside(number, caller, name)
        self._until_over(uuid, since)
        return self._happened(uuid, since)

    def _until_over(self, uuid: str, since: int) -> None:
        """Whoever is called hangs up when they talk."""
        looked, is_over = since, False
        deadline = time.monotonic() + DEADLINE
        while not is_over:
            assert time.monotonic() < deadline, "the call did not end"
            self.conversation.receive(0.5)
            for frame in self.conversation.frames[looked:]:
                if not frame.kind.startswith("text/event"):
                    continue
                event = frame.event
                if event["Event-Name"] == "CHANNEL_BRIDGE":
                    self.conversation.send(f"bgapi uuid_kill {event['Bridge-B-Unique-ID']}\n\n")
                elif event["Event-Name"] == "CHANNEL_HANGUP" and event["Unique-ID"] == uuid:
                    is_over = True
            looked = len(self.conversation.frames)
        eventually(lambda: not self.simulator.channels)

    def _happened(self, uuid: str, since: int) -> list[object]:
        received = {invite.uuid: ("", invite) for invite in self.simulator.outside.received}
        for extension, phone in self.simulator.phones.items():
            received |= {invite.uuid: (extension, invite) for invite in phone.received}
        said: list[object] = []
        alive: set[str] = set()
        for event in self.conversation.events(since):
            leg, name = event["Unique-ID"], event["Event-Name"]
            if leg == uuid:
                said += _own(event)
            elif name == "CHANNEL_CREATE":
                extension, invite = received[leg]
                who = extension or f"{invite.gateway}/{invite.number}"
                if alive and isinstance(said[-1], Rung):
                    said[-1].names += (who,)
                else:
                    said.append(Rung((who,), (invite.caller_name, invite.caller_number)))
                alive.add(leg)
            elif name == "CHANNEL_HANGUP":
                alive.discard(leg)
        return said


def _own(event: dict[str, Any]) -> list[object]:
    """What the caller's own channel does."""
    data = event.get("Application-Data", "").split(" ")
    match event["Event-Name"], event.get("Application", ""):
        case "CHANNEL_EXECUTE", "transfer":
            return [("transfer", data[0], data[2])]
        case "CHANNEL_EXECUTE", "voicemail":
            return [("voicemail", data[-1])]
        case "CHANNEL_EXECUTE", "playback":
            return [("playback", " ".join(data))]
        case "CHANNEL_EXECUTE", "respond":
            return [("refused", int(data[0]))]
        case "CHANNEL_HANGUP", _:
            return [("end", event["Hangup-Cause"])]
    return []
