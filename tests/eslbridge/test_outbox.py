"""The outbox: what is saved is queued in the same transaction, and nothing that was queued is lost."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from agents.models import Agent
from eslbridge.link import _connection_parameters
from eslbridge.models import PendingChange, PublishedFile, Switch
from eslbridge.publishing import outbox
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.state import sync_states
from tests.conftest import wait_until
from tests.factories import ALWAYS, make_agent, make_route, make_switch


@pytest.fixture
def committed(transactional_db: None) -> None:
    """For what needs real transactions: other connections, and PostgreSQL's notifications."""


def paths() -> set[str]:
    return set(PendingChange.objects.values_list("path", flat=True))


def in_thread(body: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            body()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextmanager
def listening() -> Any:
    with psycopg.connect(**_connection_parameters(), autocommit=True) as listener:
        listener.execute(f"LISTEN {outbox.CHANNEL}")
        yield lambda seconds: list(listener.notifies(timeout=seconds, stop_after=1))


def publish(switch: Switch) -> None:
    """As if all that waits had arrived."""
    for change in switch.pending.all():
        PublishedFile.objects.update_or_create(
            switch=switch,
            path=change.path,
            defaults={"kind": change.kind, "object_id": change.object_id, "sha256": "0"},
        )
    switch.pending.all().delete()


# --- one transaction --------------------------------------------------------------------------------


def test_a_save_is_queued_for_every_switch(switch: Switch) -> None:
    make_switch(name="second")

    make_agent(1020)

    assert {str(change) for change in PendingChange.objects.all()} == {
        f"directory/default/1020.xml on {switch}",
        "directory/default/1020.xml on second",
    }


def test_a_save_that_is_rolled_back_leaves_nothing_and_wakes_nobody(committed: None, switch: Switch) -> None:
    with listening() as notifications:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            make_agent(1020)
            assert paths() == {"directory/default/1020.xml"}
            raise ZeroDivisionError

        assert not Agent.objects.exists()
        assert paths() == set()
        assert notifications(0.2) == []


def test_an_object_is_not_saved_when_it_cannot_be_queued(
    committed: None, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also outside of any transaction, as in an action on a list: both or neither."""

    def dies(*args: object) -> None:
        raise ZeroDivisionError

    agent = make_agent(1020)
    publish(switch)
    monkeypatch.setattr(outbox, "_put", dies)

    with pytest.raises(ZeroDivisionError):
        agent.deactivate()
    with pytest.raises(ZeroDivisionError):
        make_agent(1021)
    with pytest.raises(ZeroDivisionError):
        Agent.objects.get(extension="1020").delete()

    assert list(Agent.objects.values_list("extension", "is_active")) == [("1020", True)]
    assert paths() == set()


def test_a_commit_wakes_the_workers_and_not_before(committed: None, switch: Switch) -> None:
    with listening() as notifications:
        with transaction.atomic():
            make_agent()
            make_agent()
            assert notifications(0.2) == []
        assert len(notifications(5)) == 1
        assert notifications(0.2) == []


def test_two_saves_at_once_both_arrive(committed: None, switch: Switch) -> None:
    both_saved = threading.Barrier(2)

    def save(extension: int) -> None:
        with transaction.atomic():
            make_agent(extension)
            both_saved.wait(5)

    for thread in [in_thread(lambda number=number: save(number)) for number in (1020, 1021)]:
        thread.join()

    assert paths() == {"directory/default/1020.xml", "directory/default/1021.xml"}


def test_two_saves_of_one_agent_at_once_leave_one_change_that_no_earlier_publisher_takes_away(
    committed: None,
    switch: Switch,
) -> None:
    agent = make_agent(1020)
    read = outbox.due(switch, 10)
    threads = [
        in_thread(lambda name=name: Agent.objects.get(pk=agent.pk).save())
        for name in ("First", "Second", "Third")
    ]
    for thread in threads:
        thread.join()

    outbox.done(read)

    assert paths() == {"directory/default/1020.xml"}


def test_two_who_save_the_same_objects_do_not_wait_for_each_other(committed: None, switch: Switch) -> None:
    """The second row waits already, the first one not: it must not be held before the first one is."""
    first, second = make_agent(1020), make_agent(1021)
    publish(switch)
    second.save()
    begun, problems = threading.Event(), []

    def both() -> None:
        begun.set()
        try:
            outbox.queue(first, second)
        except DatabaseError as problem:
            problems.append(problem)

    with transaction.atomic():
        outbox.queue(first)
        other = in_thread(both)
        assert begun.wait(5)
        wait_until(someone_waits_for_a_row, "the other one to wait for the first row")
        outbox.queue(second)
    other.join()

    assert problems == []
    assert paths() == {"directory/default/1020.xml", "directory/default/1021.xml"}


def someone_waits_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
        return bool(cursor.fetchone()[0])


def test_a_save_never_waits_for_a_publisher_nor_fails_because_of_one(committed: None, switch: Switch) -> None:
    """A long transaction holds the first row and wants the second, the publisher the other way round."""
    first, second = make_agent(1020), make_agent(1021)
    publishing = outbox.due(switch, 10)
    done = threading.Event()

    def settle() -> None:
        with transaction.atomic():
            outbox.done(publishing[1:])
            outbox.done(publishing[:1])
        done.set()

    with transaction.atomic():
        first.save()
        publisher = in_thread(settle)
        assert done.wait(5), "the publisher waits for a save"
        second.save()
    publisher.join()

    assert paths() == {"directory/default/1020.xml", "directory/default/1021.xml"}


# --- which file belongs to whom ---------------------------------------------------------------------


def test_another_extension_queues_the_old_file_and_the_new_one(switch: Switch) -> None:
    agent = make_agent(1020)
    publish(switch)

    agent.extension = "1021"
    agent.save()

    assert paths() == {"directory/default/1020.xml", "directory/default/1021.xml"}


def test_an_agent_that_moves_twice_before_it_is_published_leaves_no_file_behind(switch: Switch) -> None:
    agent = make_agent(1020)
    for extension in ("1021", "1022"):
        agent.extension = extension
        agent.save()

    assert paths() == {f"directory/default/{number}.xml" for number in (1020, 1021, 1022)}


def test_a_number_that_is_taken_over_belongs_to_the_one_who_has_it_now(switch: Switch) -> None:
    old = make_agent(1020)
    publish(switch)
    old.extension = "1021"
    old.save()
    new = make_agent(1020)

    old.name = "Saved once more"
    old.save()

    owners = dict(PendingChange.objects.values_list("path", "object_id"))
    assert owners == {"directory/default/1020.xml": new.pk, "directory/default/1021.xml": old.pk}


def test_a_deleted_agents_number_can_be_used_at_once(switch: Switch) -> None:
    old = make_agent(1020)
    publish(switch)
    old.delete()
    new = make_agent(1020)

    assert list(PendingChange.objects.values_list("path", "object_id")) == [
        ("directory/default/1020.xml", new.pk)
    ]


def test_whatever_depends_on_an_agent_is_queued_with_it(switch: Switch) -> None:
    agent = make_agent(1020)
    route = make_route(agent, did="+19495431333")
    make_route(make_agent(1021), did="+19495431334")
    publish(switch)

    agent.deactivate()

    assert paths() == {"directory/default/1020.xml", "dialplan/public/inbound_19495431333.xml"}
    assert PendingChange.objects.get(path__startswith="dialplan").object_id == route.pk


def test_two_objects_of_one_file_in_one_call_are_one_change(switch: Switch) -> None:
    agent = make_agent(1020)
    same = Agent(pk=agent.pk + 1, extension="1020", name="Same file")

    outbox.queue(agent, agent, same)

    assert PendingChange.objects.get().object_id == same.pk


def test_the_number_of_queries_does_not_depend_on_the_number_of_objects(
    switch: Switch, django_assert_num_queries: Any
) -> None:
    agents = [make_agent() for _ in range(30)]
    publish(switch)
    with django_assert_num_queries(3):
        outbox.queue(*agents)
    assert len(paths()) == 30


# --- switches come and go ---------------------------------------------------------------------------


def test_without_a_switch_a_save_succeeds_and_the_state_says_what_is_missing(db: None) -> None:
    agent = make_agent()

    state = sync_states([agent])[agent.pk]

    assert (state.name, state.why) == ("pending", "No switch is known yet: start its worker.")


def test_a_switch_that_comes_later_gets_everything(db: None, switch_folders: Any) -> None:
    make_route(make_agent(1020), did="+19495431333")
    make_agent(1021, is_active=False)
    switch = make_switch()

    queue_differences(switch, differences(switch, switch_folders))

    assert paths() == {
        "directory/default/1020.xml",
        "dialplan/public/inbound_19495431333.xml",
        *ALWAYS,
    }


def test_a_switch_that_is_removed_leaves_nothing_waiting(switch: Switch) -> None:
    make_agent(1020)
    publish(switch)
    make_agent(1021)

    switch.delete()

    assert not PendingChange.objects.exists()
    assert not PublishedFile.objects.exists()


def test_a_comparison_does_not_take_a_file_away_from_who_was_saved_meanwhile(switch: Switch) -> None:
    """The comparison read the directory before the number changed hands."""
    old = make_agent(1020)
    publish(switch)
    Agent.objects.filter(pk=old.pk).delete()
    switch.pending.all().delete()
    stale = differences(switch, switch_conf(switch))
    new = make_agent(1020)

    queue_differences(switch, stale)

    assert PendingChange.objects.get(path="directory/default/1020.xml").object_id == new.pk


def switch_conf(switch: Switch) -> Any:
    from pathlib import Path

    return Path(switch.conf_dir)


# --- failing and trying again -----------------------------------------------------------------------


def fail(switch: Switch, reason: str = "no", *, refused: bool = True) -> PendingChange:
    """Fail what is due, or will be."""
    changes = list(switch.pending.all())
    outbox.failed(changes, {change.path: outbox.Failure(reason, refused) for change in changes})
    return switch.pending.get()


def test_a_change_that_failed_keeps_its_reason_and_is_tried_later_and_later(switch: Switch) -> None:
    make_agent()
    assert len(outbox.due(switch, 10)) == 1

    delays = []
    for _ in range(8):
        change = fail(switch, "the reason")
        delays.append(round((change.retry_at - timezone.now()).total_seconds()))

    assert delays == [2, 4, 8, 16, 32, 60, 60, 60]
    assert (change.error, change.refused, change.attempts) == ("the reason", True, 8)
    assert outbox.due(switch, 10) == []


def test_a_retry_is_due_at_once_and_wakes_the_workers(committed: None, switch: Switch) -> None:
    make_agent()
    fail(switch)
    with listening() as notifications:
        assert outbox.retry(switch.pending.all()) == 1
        assert len(notifications(5)) == 1
    assert len(outbox.due(switch, 10)) == 1


def test_saving_again_starts_anew(switch: Switch) -> None:
    agent = make_agent(1020)
    since = fail(switch).since

    agent.save()

    change = switch.pending.get()
    assert (change.error, change.refused, change.attempts, change.since) == ("", False, 0, since)
    assert outbox.due(switch, 10) == [change]


def test_a_failure_of_what_was_saved_meanwhile_is_not_kept(switch: Switch) -> None:
    agent = make_agent()
    read = outbox.due(switch, 10)
    agent.save()

    outbox.failed(read, {change.path: outbox.Failure("of the old state") for change in read})

    assert switch.pending.get().error == ""


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_site_whose_clock_is_wrong_does_not_hold_its_changes_back(
    switch: Switch, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    wrong = timezone.now() + timedelta(hours=hours)
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    agent = make_agent()
    agent.save()
    monkeypatch.undo()

    change = outbox.due(switch, 10)[0]
    assert abs((timezone.now() - change.since).total_seconds()) < 60


def test_a_clock_that_was_set_back_does_not_put_a_retry_off_for_hours(switch: Switch) -> None:
    make_agent()
    fail(switch)
    switch.pending.update(retry_at=timezone.now() + timedelta(hours=5))

    assert len(outbox.due(switch, 10)) == 1
