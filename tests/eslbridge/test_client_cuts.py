"""A click-to-dial whose connection is cut after every frame, and inside of frames: everyone is told, and the
client comes back as it was."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

from eslbridge.client import Client, Connected, Disconnected
from eslbridge.protocol.errors import CallEnded, ConnectionLost, ESLError
from eslbridge.protocol.events import Event
from tests import recordings

from .scripted_switch import Line, ScriptedSwitch, reply, until

CALL = "aaaaaaaa-0000-4000-8000-000000000001"
RECORDING = recordings.load("click_to_dial_answered")


def frames(data: bytes) -> list[bytes]:
    """Cut without the parser that is tested."""
    found = []
    while data:
        head, _, rest = data.partition(b"\n\n")
        length = re.search(rb"(?m)^Content-Length: (\d+)$", head)
        size = int(length[1]) if length else 0
        found.append(head + b"\n\n" + rest[:size])
        data = rest[size:]
    return found


def after_originate() -> tuple[list[bytes], list[str]]:
    """What the switch sent from its answer to originate on, and what was asked meanwhile."""
    begin = next(i for i, step in enumerate(RECORDING.steps) if step.data.startswith(b"bgapi"))
    steps = RECORDING.steps[begin + 1 :]
    sent = frames(b"".join(step.data for step in steps if step.by_switch))
    asked = [step.data.decode().removeprefix("api ").strip() for step in steps if not step.by_switch]
    return sent, [request for request in asked if request != "exit\n\n" and not request.startswith("exit")]


SENT, ASKED = after_originate()
JOB_UUID = SENT[0].split(b"\nJob-UUID: ")[1][:36].decode()
STREAM = [SENT[0], reply("+OK"), *(frame for frame in SENT[1:] if b"disconnect-notice" not in frame)]
SUBSCRIPTIONS = ["CHANNEL_CREATE", "CHANNEL_HANGUP_COMPLETE", "BACKGROUND_JOB", "sofia::register"]
RESTORED = [
    "filter Event-Name HEARTBEAT",
    "filter Event-Name BACKGROUND_JOB",
    "filter Event-Name CHANNEL_EXECUTE",
    "filter Event-Name CHANNEL_EXECUTE_COMPLETE",
    "filter Event-Name CHANNEL_HANGUP_COMPLETE",
    f"filter Unique-ID {CALL}",
    "event json CHANNEL_CREATE CHANNEL_HANGUP_COMPLETE BACKGROUND_JOB CHANNEL_EXECUTE"
    " CHANNEL_EXECUTE_COMPLETE CUSTOM sofia::register",
    "log 5",
]


class CutSwitch(ScriptedSwitch):
    """Answers a click-to-dial with `stream` and hangs up."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = b""
        self.answer = self.cut_answer

    def cut_answer(self, line: Line, command: str) -> bytes | None:
        last = command == f"api {ASKED[-1]}"
        if last:
            line.send(self.stream)
            line.drop()
        elif not command.startswith(("api ", "bgapi ", "sendmsg ")):
            return self.usual_answer(line, command)
        return None


class Watcher:
    def __init__(self) -> None:
        self.seen: list[Event | Connected | Disconnected] = []
        self.connections = 0

    def on_state(self, state: Connected | Disconnected) -> None:
        self.connections += isinstance(state, Connected)
        self.seen.append(state)


def click_to_dial(client: Client) -> tuple[object, object, object]:
    """One click-to-dial with all that can wait: the outcomes of the job, the execution, the questions."""
    job = client.bgapi("originate", "user/1000", job_uuid=JOB_UUID)
    execution = client.execute(CALL, "park")
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(client.api_many, ASKED, timeout=5)
        outcomes = []
        for wait in (lambda: job.result(5), lambda: execution.result(5), lambda: asking.result(5)):
            try:
                outcomes.append(wait())
            except ESLError as error:
                outcomes.append(error)
    return outcomes[0], outcomes[1], outcomes[2]


def test_wherever_the_connection_is_cut_everyone_is_told_and_the_client_comes_back() -> None:
    watcher = Watcher()
    responses = [number for number, frame in enumerate(STREAM) if b"api/response" in frame[:60]]
    job_done = next(number for number, frame in enumerate(STREAM) if b'"BACKGROUND_JOB"' in frame)
    ended = next(
        number
        for number, frame in enumerate(STREAM)
        if b"CHANNEL_HANGUP_COMPLETE" in frame and f'"Unique-ID":"{CALL}"'.encode() in frame
    )
    assert len(ASKED) == len(responses) >= 5
    assert job_done < ended < len(STREAM)
    with (
        CutSwitch() as switch,
        Client(
            "127.0.0.1",
            switch.port,
            subscriptions=SUBSCRIPTIONS,
            on_events=watcher.seen.extend,
            on_state=watcher.on_state,
            retry=(0.005, 0.01),
        ) as client,
    ):
        client.connect()
        client.filter("Unique-ID", CALL)
        client.log(5)
        for cut in range(len(STREAM) + 1):
            until(lambda count=cut + 1: watcher.connections == count)
            watcher.seen.clear()
            inside = STREAM[cut][: len(STREAM[cut]) // 2] if cut < len(STREAM) and cut % 2 else b""
            switch.stream = b"".join(STREAM[:cut]) + inside
            job, execution, answers = click_to_dial(client)

            assert isinstance(job, str if cut > job_done else ConnectionLost)
            assert isinstance(execution, CallEnded if cut > ended else ConnectionLost)
            assert isinstance(answers, list if cut > responses[-1] else ConnectionLost)
            until(lambda count=cut + 2: watcher.connections == count)
            events = [item for item in watcher.seen if isinstance(item, Event)]
            wanted = [frame for frame in STREAM[:cut] if is_shown(frame)]
            assert [event.raw for event in events] == [frame.partition(b"\n\n")[2] for frame in wanted]
            assert [type(item) for item in watcher.seen[len(events) :]] == [Disconnected, Connected]
            assert watcher.seen[-1] == Connected(gap=True, reply="+OK accepted")
            assert switch.lines[-1].commands[1:] == RESTORED
            assert client._session is not None
            assert client._session.connection.unanswered == client._session.connection.under_way == 0
    assert threading.active_count() < 10


def is_shown(frame: bytes) -> bool:
    """Of the recorded events, all but those that only executions need reach the callback."""
    hidden = (b'"Event-Name":"CHANNEL_EXECUTE"', b'"Event-Name":"CHANNEL_EXECUTE_COMPLETE"')
    return b"text/event-json" in frame[:60] and not any(name in frame for name in hidden)
