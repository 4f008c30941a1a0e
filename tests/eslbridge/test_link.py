"""The link: what a switch's worker does from its start to its end, whatever comes and goes around it."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone

from agents.models import Agent
from eslbridge import link as linking
from eslbridge import signals
from eslbridge.client import Client
from eslbridge.link import Link, LinkIsDown
from eslbridge.models import PendingChange, PublishedFile, Reload, Switch
from eslbridge.publishing.state import SyncState, sync_states
from eslbridge.simulator import Simulator
from pbx.settings import PATIENCE
from tests.conftest import wait_until
from tests.factories import make_agent, make_switch

SAVED_WITHIN = 0.3  # seconds; what a form may take while the switch or Redis is away


@pytest.fixture
def start(transactional_db: None, redis_client: Any, simulator: Simulator) -> Iterator[Callable[[], Link]]:
    """Starts links as workers do; they are stopped after the test."""
    links: list[Link] = []

    def started() -> Link:
        links.append(Link())
        links[-1].start()
        return links[-1]

    yield started
    for each in links:
        each.stop()


@pytest.fixture
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost connections are tried again every tenth of a second."""
    make = linking.Client

    def impatient(*arguments: Any, **options: Any) -> Any:
        return make(*arguments, **options, retry=(0.1, 0.1))

    monkeypatch.setattr(linking, "Client", impatient)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The lines of the link's log."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    for name in ("eslbridge", "django", "psycopg.pool"):
        logging.getLogger(name).addHandler(handler)
    yield lines
    for name in ("eslbridge", "django", "psycopg.pool"):
        logging.getLogger(name).removeHandler(handler)


def state(agent: Agent) -> SyncState:
    return sync_states([agent])[agent.pk]


def saved() -> tuple[Agent, float]:
    """An agent and the seconds that the save took: the least of three, for other work on the machine."""
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        agent = make_agent()
        seconds.append(time.monotonic() - started)
    return agent, min(seconds)


def is_live(agent: Agent) -> bool:
    return state(agent).name == "live"


def row() -> Switch | None:
    return Switch.objects.first()


def is_connected() -> bool:
    switch = row()
    return switch is not None and switch.is_connected


def is_in_step() -> bool:
    """All that a switch needs is there."""
    return is_connected() and PublishedFile.objects.count() >= 2 and not PendingChange.objects.exists()


def a_reload_that_waits(
    monkeypatch: pytest.MonkeyPatch, first: Any
) -> tuple[threading.Event, threading.Event]:
    """Has the next `reloadxml` wait for the second of two events; the first says that it does."""
    begun, ends = threading.Event(), threading.Event()
    reload = linking.Client.api

    def slowly(client: Any, command: str, *arguments: Any, **options: Any) -> Any:
        if command == "reloadxml":
            assert client is not first
            begun.set()
            ends.wait(5)
        return reload(client, command, *arguments, **options)

    monkeypatch.setattr(linking.Client, "api", slowly)
    return begun, ends


# --- the second connection --------------------------------------------------------------------------


def test_publishing_has_a_connection_of_its_own(
    start: Callable[[], Link], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    begun, ends = a_reload_that_waits(monkeypatch, link.client)

    agent = make_agent()
    assert begun.wait(5)
    assert link.client.api("status").startswith("UP ")
    ends.set()

    wait_until(lambda: is_live(agent), "the agent to be live")


def test_the_second_connection_is_made_again_when_it_is_lost(
    start: Callable[[], Link], simulator: Simulator
) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    before = link._line._second
    assert before is not None
    before.close()

    agent = make_agent()

    wait_until(lambda: is_live(agent), "the agent to be live")
    assert link._line._second is not before


def test_a_switch_that_takes_no_second_connection_gets_everything_over_the_first(
    start: Callable[[], Link], simulator: Simulator, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    def refused(client: Any, timeout: float | None = None) -> None:
        raise linking.Rejected("Access Denied, go away.")

    monkeypatch.setattr(linking, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(linking.Client, "connect", refused)
    start()
    agent = make_agent()

    wait_until(lambda: is_live(agent), "the agent to be live")
    assert said.count("The switch takes no second connection: Access Denied, go away.") == 1
    wait_until(lambda: Switch.objects.exclude(shares_line_because=""), "the page to know")
    assert "Access Denied, go away." in Switch.objects.get().line


def test_a_second_connection_that_can_be_had_again_is_said(
    start: Callable[[], Link], simulator: Simulator, monkeypatch: pytest.MonkeyPatch, quick_retry: None
) -> None:
    def refused(client: Any, timeout: float | None = None) -> None:
        raise linking.Rejected("Access Denied, go away.")

    monkeypatch.setattr(linking, "BEAT_SECONDS", 0.05)
    with monkeypatch.context() as refusing:
        refusing.setattr(Client, "connect", refused)
        start()
        wait_until(lambda: Switch.objects.exclude(shares_line_because=""), "the page to know")

    simulator.faults.drop_connections()

    wait_until(lambda: Switch.objects.filter(shares_line_because="", link="connected"), "the page to know")
    assert Switch.objects.get().line == "Over a connection of their own."


def test_a_second_connection_that_was_refused_is_not_tried_with_each_save(
    start: Callable[[], Link], simulator: Simulator, monkeypatch: pytest.MonkeyPatch, quick_retry: None
) -> None:
    """Each attempt may take seconds, in which nothing is published, and a line of the switch's log."""
    tried: list[Any] = []

    def refused(client: Any, timeout: float | None = None) -> None:
        tried.append(client)
        raise linking.Rejected("Access Denied, go away.")

    monkeypatch.setattr(linking, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(Client, "connect", refused)
    start()
    for _ in range(2):
        agent = make_agent()
        wait_until(lambda agent=agent: is_live(agent), "the agent to be live")
    assert len(tried) == 1

    simulator.faults.drop_connections()
    wait_until(lambda: len(tried) == 2, "another attempt with the next connection")


@pytest.fixture
def silent(settings: Any) -> Iterator[Callable[[], socket.socket]]:
    """From its call on a new connection to the switch is taken, but never greeted; returns that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def falls_silent() -> socket.socket:
            settings.FS_ESL_PORT = server.getsockname()[1]
            taken.append(server.accept()[0])
            return taken[0]

        taken: list[socket.socket] = []
        yield falls_silent
        for each in taken:
            each.close()


def test_a_lost_switch_is_said_although_the_second_connection_is_still_being_made(
    start: Callable[[], Link], simulator: Simulator, silent: Callable[[], socket.socket]
) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    link._line._second.close()
    silent()

    simulator.faults.reject_acl()
    simulator.faults.drop_connections()

    wait_until(lambda: not is_connected(), "the loss to be said", 3)


def test_stop_does_not_wait_for_a_second_connection_that_is_being_made(
    start: Callable[[], Link], silent: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "STOP_SECONDS", 1.0)
    link = start()
    wait_until(is_in_step, "the start")
    link._line._second.close()
    silent()

    started = time.monotonic()
    link.stop()

    assert time.monotonic() - started < 5
    assert not link._publisher.is_alive()


def test_after_the_stop_no_connection_is_made(start: Callable[[], Link]) -> None:
    """A task may come between, and wants to reload."""
    link = start()
    wait_until(is_in_step, "the start")
    link.stop()
    assert not link.publisher().client.is_connected


def test_with_the_first_connection_the_second_is_given_up(
    start: Callable[[], Link], simulator: Simulator, quick_retry: None
) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    before = link._line._second
    simulator.faults.drop_connections()

    agent = make_agent()

    wait_until(lambda: is_live(agent), "the agent to be live")
    assert before is not None
    assert not before.is_connected
    assert link._line._second is not before


# --- from the start ---------------------------------------------------------------------------------


def test_a_new_switch_is_announced_and_gets_everything(start: Callable[[], Link], settings: Any) -> None:
    agent = make_agent(1020)

    start()

    wait_until(lambda: is_live(agent), "the agent to be live")
    wait_until(is_in_step, "the dialplan")
    switch = row()
    assert switch is not None
    assert (switch.name, switch.host, switch.esl_port) == ("switch-1", "127.0.0.1", settings.FS_ESL_PORT)
    assert (switch.link, switch.reason, switch.trouble) == ("connected", "", "")
    assert (switch.domain, switch.version) == ("127.0.0.1", "1.11.3-dev")
    assert switch.up_since <= timezone.now()
    assert switch.compared_at is not None


def test_a_save_wakes_the_publisher(start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for the next look."""
    monkeypatch.setattr(linking, "POLL_SECONDS", 60.0)
    start()
    wait_until(is_in_step, "the start")

    agent = make_agent(1020)

    wait_until(lambda: is_live(agent), "the agent to be live")


def test_without_a_notification_the_publisher_looks_by_itself(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking.outbox, "CHANNEL", "nobody_listens")
    start()
    wait_until(is_in_step, "the start")
    monkeypatch.setattr(linking.outbox, "CHANNEL", "nobody_notifies")

    agent = make_agent(1020)

    wait_until(lambda: is_live(agent), "the agent to be live")


def test_nothing_is_published_before_it_is_known_to_which_switch(
    start: Callable[[], Link], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files hold the switch's domain, which is asked for after the login."""
    goes_on = threading.Event()
    connected = Link._connected

    def slowly(link: Link) -> None:
        goes_on.wait(5)
        connected(link)

    monkeypatch.setattr(Link, "_connected", slowly)
    monkeypatch.setattr(linking, "POLL_SECONDS", 0.01)
    make_switch(link=Switch.Link.CONNECTING, domain="old.example")
    agent = make_agent(1020)
    link = start()
    wait_until(lambda: link.client.is_connected, "the login")
    with pytest.raises(LinkIsDown):
        link.wait_until_ready(0.1)
    assert not any("reloadxml" in command for _, command in simulator.received)

    goes_on.set()
    link.wait_until_ready()
    wait_until(lambda: is_live(agent), "the agent to be live")
    assert link.row().domain == "127.0.0.1"


def test_a_worker_that_starts_does_not_repeat_what_the_last_one_said_of_the_switch(
    start: Callable[[], Link], simulator: Simulator
) -> None:
    """The last one was killed while it was connected; now the switch is gone."""
    simulator.stop()
    make_switch(link=Switch.Link.CONNECTED, seen_at=timezone.now() - timedelta(days=1))

    start()

    wait_until(lambda: not row().worker_is_gone, "the first beat")
    assert row().link in (Switch.Link.CONNECTING, Switch.Link.LOST)


# --- the switch comes and goes ----------------------------------------------------------------------


def test_an_agent_saved_while_the_switch_is_away_is_live_by_itself_when_it_is_back(
    start: Callable[[], Link], simulator: Simulator, quick_retry: None
) -> None:
    start()
    wait_until(is_in_step, "the start")
    simulator.stop()
    wait_until(lambda: row().link == "lost", "the loss to be noticed")

    agent, seconds = saved()
    assert seconds < SAVED_WITHIN

    assert state(agent).name == "pending"
    assert state(agent).why.startswith(f"The switch does not answer at 127.0.0.1:{simulator.esl_port}: ")
    simulator.start()
    wait_until(lambda: is_live(agent), "the agent to be live")


def test_a_refused_password_is_said_and_tried_again_and_does_not_flood_the_log(
    start: Callable[[], Link], simulator: Simulator, quick_retry: None, said: list[str]
) -> None:
    simulator.faults.refuse_auth()
    agent = make_agent(1020)
    start()
    wait_until(lambda: row() and row().link == "refused", "the refusal")
    assert row().trouble == (
        "The switch refuses the Event Socket password: set FS_ESL_PASSWORD for the worker."
    )
    assert state(agent).why == row().trouble
    attempts = lambda: sum("auth " in command for _, command in simulator.received)  # noqa: E731
    wait_until(lambda: attempts() > 4, "more attempts")
    assert len([line for line in said if "Refused by" in line]) == 1
    assert not any("ClueCon" in line for line in said)

    simulator.faults.clear()
    wait_until(lambda: is_live(agent), "the agent to be live")
    assert row().trouble == ""
    assert len(said) < 12, said


def test_an_address_that_the_switch_rejects_is_said(
    start: Callable[[], Link], simulator: Simulator, quick_retry: None
) -> None:
    simulator.faults.reject_acl()
    link = start()

    wait_until(lambda: row() and row().link == "lost", "the rejection")

    assert "does not answer" in row().trouble
    with pytest.raises(LinkIsDown, match="Refused by"):
        link.wait_until_ready(0.01)


def test_what_was_refused_is_tried_at_once_when_the_switch_comes_back(
    start: Callable[[], Link], simulator: Simulator, quick_retry: None
) -> None:
    start()
    wait_until(is_in_step, "the start")
    simulator.faults.reload_error("[error near line 1]: unclosed tag <x>")
    agent = make_agent(1020)
    wait_until(lambda: state(agent).name == "failed", "the refusal")
    PendingChange.objects.update(retry_at=timezone.now() + timedelta(seconds=60), attempts=6)

    simulator.restart()  # whoever broke it has mended it, and restarted the switch

    wait_until(lambda: is_live(agent), "the agent to be live")


def test_link_up_and_link_down_are_told_once_each(
    start: Callable[[], Link], simulator: Simulator, quick_retry: None
) -> None:
    told: list[str] = []
    up = lambda sender, **_: told.append("up")  # noqa: E731
    down = lambda sender, reason, **_: told.append(reason)  # noqa: E731
    signals.link_up.connect(up)
    signals.link_down.connect(down)
    link = start()
    wait_until(lambda: told == ["up"], "the link")
    simulator.stop()
    wait_until(lambda: len(told) == 2, "the loss")
    simulator.start()
    wait_until(lambda: "up" in told[2:], "the link again")
    losses = [reason for reason in told if reason != "up"]
    assert len(losses) == len(set(losses)), "the same is not told twice"
    link.stop()
    assert told[-1] == "The worker of this switch was stopped."
    signals.link_up.disconnect(up)
    signals.link_down.disconnect(down)


def test_another_domain_is_taken_over(
    start: Callable[[], Link], simulator: Simulator, switch_folders: Path, quick_retry: None
) -> None:
    start()
    wait_until(is_in_step, "the start")
    variables = switch_folders / "vars.xml"
    variables.write_text(variables.read_text().replace("domain=127.0.0.1", "domain=pbx.example"))

    simulator.restart()

    wait_until(lambda: row().domain == "pbx.example", "the new domain")
    dialplan = switch_folders / "dialplan/00_patchbay.xml"
    wait_until(lambda: "@pbx.example" in dialplan.read_text(), "the new dialplan")
    wait_until(is_in_step, "the end")


# --- Redis comes and goes ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["refuses", "is silent"])
def test_an_agent_saved_without_redis_is_live_all_the_same(
    start: Callable[[], Link], settings: Any, fault: str, said: list[str], unanswering: int
) -> None:
    start()
    wait_until(is_in_step, "the start")
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    if fault == "is silent":
        settings.REDIS_URL = f"redis://127.0.0.1:{unanswering}/0"

    agent, seconds = saved()
    assert seconds < SAVED_WITHIN

    wait_until(lambda: is_live(agent), "the agent to be live")
    for _ in range(3):
        agent.save()
    assert len([line for line in said if "Redis does not take news" in line]) == 1


def test_a_redis_that_comes_back_empty_is_filled_again_within_five_seconds(
    start: Callable[[], Link], redis_client: Any
) -> None:
    from agents import presence
    from calls import live

    start()
    agent = make_agent(1020)
    wait_until(row, "the switch to be announced")
    wait_until(lambda: presence.users(row().name).get(agent.extension), "the phone to register")
    link = linking.Client("127.0.0.1", settings_port(), "ClueCon")
    link.connect()
    link.bgapi("originate", f"user/1020@{row().domain} &park")
    wait_until(live.active_calls, "the call")

    redis_client.flushdb()
    wait_until(lambda: presence.users(row().name).get(agent.extension), "the phone again", seconds=5)
    wait_until(lambda: live.legs_of(row().name), "the call again", seconds=5)
    link.close()


def settings_port() -> int:
    from django.conf import settings

    return settings.FS_ESL_PORT


@pytest.fixture
def unanswering() -> Iterator[int]:
    """A port where connections are made, and nothing is ever said."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_day_without_redis_does_not_fill_the_log(
    start: Callable[[], Link], simulator: Simulator, settings: Any, said: list[str]
) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    make_agent(1020)
    wait_until(lambda: "1020" in simulator.phones and simulator.phones["1020"].registered, "the phone")
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    handled = count_of(link, "_sort")

    for _ in range(5):
        seen = handled()
        simulator.phones["1020"].register()
        simulator.heartbeat()
        wait_until(lambda seen=seen: handled() > seen, "the events")

    assert len([line for line in said if "Redis" in line or "send_robust" in line]) <= 4, said


def count_of(link: Link, name: str) -> Callable[[], int]:
    """How often the link's method has been called."""
    calls: list[None] = []
    method = getattr(link, name)

    def counted(*arguments: Any) -> None:
        method(*arguments)
        calls.append(None)

    setattr(link, name, counted)
    return lambda: len(calls)


# --- PostgreSQL comes and goes ----------------------------------------------------------------------


def cut_all_database_connections() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_the_link_survives_the_loss_of_all_its_database_connections(
    start: Callable[[], Link], simulator: Simulator
) -> None:
    link = start()
    wait_until(is_in_step, "the start")

    cut_all_database_connections()
    simulator.heartbeat()
    agent = make_agent(1020)

    wait_until(lambda: is_live(agent), "the agent to be live")
    beat = timezone.now()
    link._compare_now.set()
    wait_until(lambda: row().seen_at > beat, "the next beat")


def test_a_link_that_could_not_be_stored_is_stored_with_the_next_beat(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(linking, "BEAT_SECONDS", 0.05)
    store = Link._store
    faults = iter([False, True, True])  # the first beat, the news of the connection, and one more

    def stumbling(link: Link) -> None:
        if next(faults, False):
            raise OperationalError("the database is starting up")
        store(link)

    monkeypatch.setattr(Link, "_store", stumbling)
    start()

    wait_until(is_connected, "the link to be known")
    assert "PostgreSQL does not answer: the database is starting up" in said
    wait_until(lambda: "PostgreSQL: all is well again" in said, "the good news")


def test_a_database_that_is_away_at_the_start_is_waited_for(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    announce = linking.own_switch
    faults = iter([True])

    def own_switch() -> Switch:
        if next(faults, False):
            raise OperationalError("")
        return announce()

    monkeypatch.setattr(linking, "own_switch", own_switch)
    start()

    wait_until(is_connected, "the link")


# --- the row of the switch --------------------------------------------------------------------------


def test_the_worker_says_again_and_again_that_it_lives(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "BEAT_SECONDS", 0.05)
    start()
    wait_until(is_connected, "the link")
    first = row().seen_at
    wait_until(lambda: row().seen_at > first, "the next beat")
    assert row().worker.endswith(f":{linking.os.getpid()}")


@pytest.mark.parametrize(("seconds", "is_gone"), [(0, False), (14, False), (16, True), (None, True)])
def test_a_worker_that_missed_three_beats_is_gone(seconds: int | None, is_gone: bool) -> None:
    seen_at = None if seconds is None else timezone.now() - timedelta(seconds=seconds)
    switch = Switch(name="one", link=Switch.Link.CONNECTED, seen_at=seen_at)

    assert switch.worker_is_gone is is_gone
    assert switch.is_connected is not is_gone
    assert ("worker of this switch is not running" in switch.trouble) is is_gone


@pytest.mark.django_db
def test_a_worker_is_not_taken_for_gone_by_a_host_whose_clock_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers are seen by PostgreSQL's clock."""
    make_switch(link=Switch.Link.CONNECTED)
    Switch.objects.update(seen_at=Now())
    for hours in (-1, 1):
        wrong = timezone.now() + timedelta(hours=hours)
        with monkeypatch.context() as patching:
            patching.setattr(timezone, "now", lambda wrong=wrong: wrong)
            assert Switch.objects.get().is_connected
            Switch.objects.update(seen_at=Now() - timedelta(minutes=1))
            assert Switch.objects.get().worker_is_gone
        Switch.objects.update(seen_at=Now())


def test_a_switch_that_is_deleted_while_its_worker_runs_comes_back_with_everything(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(linking, "BEAT_SECONDS", 0.05)
    start()
    agent = make_agent(1020)
    wait_until(lambda: is_live(agent) and is_in_step(), "the start")

    Switch.objects.all().delete()

    wait_until(Switch.objects.exists, "the switch to come back")
    wait_until(lambda: is_live(agent) and is_in_step(), "all to be live")
    assert row().version == "1.11.3-dev"
    other = make_agent(1021)
    wait_until(lambda: is_live(other), "another agent to be live")


def test_stop_ends_all_threads_at_once_and_says_so(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for the publisher's next look."""
    monkeypatch.setattr(linking, "POLL_SECONDS", 60.0)
    link = start()
    wait_until(is_in_step, "the start")
    names = {"publisher", "pulse", "esl-client", "esl-client-ahead"}
    threads = [thread for thread in threading.enumerate() if thread.name in names]
    assert len(threads) == 6

    started = time.monotonic()
    link.stop()

    assert time.monotonic() - started < linking.STOP_SECONDS - 1
    assert not any(thread.is_alive() for thread in threads)
    assert row().worker_is_gone
    assert row().trouble == "The worker of this switch is not running, so nothing reaches the switch."


def test_stop_lets_a_batch_that_is_on_its_way_arrive(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    reloading, goes_on = a_reload_that_waits(monkeypatch, link.client)
    agent = make_agent(1020)
    assert reloading.wait(5)

    def stop() -> None:
        link.stop()
        connection.close()

    stopping = threading.Thread(target=stop)
    stopping.start()
    wait_until(link._stopping.is_set, "the stop to begin")
    goes_on.set()
    stopping.join()

    assert PublishedFile.objects.filter(object_id=agent.pk).exists()
    assert not PendingChange.objects.exists()


def test_two_workers_of_one_switch_reload_once(start: Callable[[], Link], simulator: Simulator) -> None:
    """A new one may start before the old one has ended."""
    for link in (start(), start()):
        link.wait_until_ready()
    wait_until(is_in_step, "the start")
    Reload.objects.all().delete()

    for _ in range(5):
        agent = make_agent()
        wait_until(lambda agent=agent: is_live(agent), "the agent to be live")

    assert list(Reload.objects.values_list("files", "succeeded")) == [(1, True)] * 5


# --- comparisons ------------------------------------------------------------------------------------


def test_what_no_signal_told_is_found_by_comparing(
    start: Callable[[], Link], switch_folders: Path, esl: Any
) -> None:
    link = start()
    changed, removed, gone = make_agent(1020), make_agent(1021), make_agent(1022)
    wait_until(lambda: is_in_step() and is_live(changed) and is_live(removed) and is_live(gone), "the start")
    wait_until(lambda: row().compared_at, "the comparison of the start, which finds more")
    wait_until(is_in_step, "what that found to be published")
    Agent.objects.filter(pk=changed.pk).update(name="By SQL")
    (switch_folders / "directory/default/1021.xml").unlink()
    Agent.objects.filter(pk=gone.pk).delete()
    PendingChange.objects.all().delete()
    (switch_folders / "directory/default/1022.xml").write_bytes(
        (switch_folders / "directory/default/1020.xml").read_bytes()
    )

    link.compare()

    wait_until(is_in_step, "the differences to be published")
    assert row().differences == 3
    assert esl.api("user_data", "1020@127.0.0.1 var effective_caller_id_name") == "By SQL"
    assert (switch_folders / "directory/default/1021.xml").exists()
    assert not (switch_folders / "directory/default/1022.xml").exists()


def test_a_directory_that_is_missing_is_said_once(
    start: Callable[[], Link], switch_folders: Path, said: list[str]
) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    switch_folders.rename(switch_folders.with_name("away"))

    for _ in range(3):
        link.compare()

    assert len([line for line in said if "set FS_CONF_DIR" in line]) == 1


def test_reloads_are_forgotten_after_some_months(start: Callable[[], Link]) -> None:
    link = start()
    wait_until(is_in_step, "the start")
    for days in (1, 100):
        Reload.objects.create(
            switch=row(), at=timezone.now() - timedelta(days=days), files=days, milliseconds=1, succeeded=True
        )

    link.compare()

    kept = set(Reload.objects.values_list("files", flat=True))
    assert 1 in kept
    assert 100 not in kept


# --- receivers --------------------------------------------------------------------------------------


def test_a_receiver_that_fails_is_logged_and_harms_nobody(
    start: Callable[[], Link], simulator: Simulator, said: list[str]
) -> None:
    def broken(sender: object, **_: object) -> None:
        raise ZeroDivisionError

    signals.link_up.connect(broken, dispatch_uid="broken")
    try:
        start()
        wait_until(lambda: any("broken" in line for line in said), "the fault to be logged")
        wait_until(is_in_step, "the start")
    finally:
        signals.link_up.disconnect(broken, dispatch_uid="broken")


def test_outside_of_a_worker_there_is_no_link() -> None:
    with pytest.raises(LinkIsDown, match="holds no connection"):
        linking.current()


def test_without_a_host_a_worker_holds_no_link(settings: Any, said: list[str]) -> None:
    settings.FS_HOST = ""
    step = linking.LinkStep(None)
    step.start(None)
    assert said == ["FS_HOST is not set: this worker holds no connection to a switch."]
    step.stop(None)


@pytest.mark.parametrize(
    ("answer", "short"),
    [
        ("FreeSWITCH Version 1.11.3-dev+git~2026 (git 12ab 64bit)", "1.11.3-dev"),
        ("FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f (git)", "1.10.12-release"),
        ("something else", "something else"),
    ],
)
def test_the_version_is_shown_short(answer: str, short: str) -> None:
    assert linking.short_version(answer) == short


def test_the_connection_that_listens_is_given_up_like_any_other(db: None) -> None:
    listening = linking._connection_parameters()
    assert PATIENCE.items() <= listening.items()
    assert "pool" not in listening


def test_another_worker_of_the_same_switch_is_said(
    start: Callable[[], Link], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    link = start()
    wait_until(lambda: link.is_ready, "the link")
    link._store()
    assert not [line for line in said if "Another worker" in line]
    Switch.objects.update(worker="elsewhere:42", seen_at=timezone.now())
    link._store()
    assert "Another worker serves switch-1 too: elsewhere:42. One is enough." in said
