"""Much at once, and twice: what the worker's receivers make of it, on real PostgreSQL and Redis."""

import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import redis as redis_library

from agents import presence
from calls import live, receivers
from calls.legs import ANSWERED
from calls.models import Dial
from cdr.models import Call as Record
from eslbridge import signals
from eslbridge.models import Switch
from eslbridge.protocol.events import Event
from eslbridge.simulator import Simulator
from eslbridge.store import NEWS
from tests.conftest import start_worker, stop_worker, wait_until
from tests.recorded_calls import altered, events_of

from .making import SWITCH, a_dial, a_switch, an_agent

# A worker is a process that imports much; on a busy machine that takes its time.
START_SECONDS = 30.0


@pytest.fixture(autouse=True)
def new_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "_projections", {})


def tell(switch: Switch, events: list[Event]) -> None:
    """What the link does with a batch; a receiver that fails must fail the test."""
    for receiver, result in signals.channel_events.send_robust(sender=None, switch=switch, events=events):
        assert not isinstance(result, Exception), (receiver, result)


@pytest.mark.django_db
def test_a_thousand_hang_ups_at_once(redis_client: "redis_library.Redis") -> None:
    switch = a_switch()
    receivers.projection(SWITCH).take_stock([], lambda commands: [])
    create, *_, end, _ = events_of("did_unknown")
    assert (create.name, end.name) == ("CHANNEL_CREATE", "CHANNEL_HANGUP_COMPLETE")
    uuids = [str(UUID(int=n)) for n in range(1000)]
    with redis_client.pubsub(ignore_subscribe_messages=True) as news:
        news.subscribe(NEWS)
        tell(switch, [altered(create, Unique_ID=uuid, variable_uuid=uuid) for uuid in uuids])
        assert len(live.active_calls()) == 1000
        tell(switch, [altered(end, Unique_ID=uuid, variable_uuid=uuid) for uuid in uuids])
        assert live.active_calls() == []
        assert Record.objects.count() == 1000
        messages = [news.get_message(timeout=0.05) for _ in range(10)]
        heard = [message["data"].partition(b" ")[0] for message in messages if message]
    assert sorted(heard) == [b"calls", b"calls", b"records"]  # once a batch, not once a call


@pytest.mark.django_db
def test_who_sees_a_step_of_a_dial_sees_it_in_the_live_call_too(
    redis_client: "redis_library.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    switch, events = a_switch(), events_of("dial_answered")
    uuid = next(event["Unique-ID"] for event in events if event.name == "CHANNEL_CREATE")
    receivers.projection(SWITCH).take_stock([], lambda commands: [])
    monkeypatch.setattr(receivers, "_followers", {})
    receivers.follower(SWITCH).watch(a_dial(uuid))
    with redis_client.pubsub(ignore_subscribe_messages=True) as news:
        news.subscribe(NEWS)
        news.get_message(timeout=5)  # the answer to it
        tell(switch, events[: 1 + max(n for n, event in enumerate(events) if event.name == "CHANNEL_ANSWER")])
        heard = [news.get_message(timeout=5)["data"].partition(b" ")[0] for _ in range(2)]
    assert Dial.objects.get().state == Dial.State.ANSWERED
    assert heard == [b"calls", b"dials"]  # each is said once it can be read


@pytest.fixture
def second_worker(simulator: Simulator, worker: Any, settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Started for the same switch, by mistake."""
    is_up = Switch.objects.filter(link=Switch.Link.CONNECTED).exists
    wait_until(is_up, "the first worker", START_SECONDS)
    process = start_worker(settings)
    yield process
    stop_worker(process)


def test_a_second_worker_of_the_same_switch_does_no_harm(
    simulator: Simulator, second_worker: subprocess.Popen[bytes]
) -> None:
    for extension in ("1020", "1021"):
        an_agent(extension, f"Agent {extension}")
    wait_until(lambda: simulator.connections == 4, "both workers, each of which has two", START_SECONDS)
    wait_until(lambda: {"1020", "1021"} <= presence.users(SWITCH).keys(), "the phones")
    for _ in range(3):
        simulator.phones["1020"].place_call("1021")
        wait_until(lambda: [call.state for call in live.active_calls()] == [ANSWERED], "one call, answered")
        simulator.phones["1020"].hangup()
        wait_until(lambda: live.active_calls() == [], "its end")
    wait_until(lambda: Record.objects.count() == 3, "three records")
    stop_worker(second_worker)
    wait_until(lambda: Switch.objects.get().is_connected, "the first one's next beat")
    simulator.phones["1020"].place_call("1021")
    wait_until(
        lambda: [call.state for call in live.active_calls()] == [ANSWERED], "a call without the second"
    )
