"""What the pages say of an object: nothing is live that is not on every switch."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent
from eslbridge.models import PendingChange, PublishedFile, Switch
from eslbridge.publishing import outbox
from eslbridge.publishing.publisher import Publisher
from eslbridge.publishing.state import SyncState, changed_lines, preview, sync_states
from tests.factories import make_agent, make_switch

pytestmark = pytest.mark.django_db


def state(agent: Agent) -> SyncState:
    return sync_states([agent])[agent.pk]


def publish(switch: Switch, agent: Agent) -> None:
    PendingChange.objects.filter(switch=switch, object_id=agent.pk).delete()
    PublishedFile.objects.create(
        switch=switch,
        path=f"directory/default/{agent.extension}.xml",
        kind="agents.agent",
        object_id=agent.pk,
        sha256="0" * 64,
    )


def fail(reason: str, *, refused: bool) -> None:
    changes = list(PendingChange.objects.all())
    outbox.failed(changes, {change.path: outbox.Failure(reason, refused) for change in changes})


def test_what_waits_is_on_its_way() -> None:
    make_switch()
    agent = make_agent()
    assert state(agent) == SyncState("pending", "On its way.", PendingChange.objects.get().since)


@pytest.mark.parametrize(
    ("link", "seen", "why"),
    [
        (Switch.Link.LOST, 0, "The switch does not answer at 10.0.0.9:8021: Connection refused"),
        (
            Switch.Link.REFUSED,
            0,
            "The switch refuses the Event Socket password: set FS_ESL_PASSWORD for the worker.",
        ),
        (Switch.Link.CONNECTING, 0, "Connecting to 10.0.0.9:8021."),
        (
            Switch.Link.CONNECTED,
            60,
            "The worker of this switch is not running, so nothing reaches the switch.",
        ),
    ],
)
def test_what_waits_for_the_link_says_so(link: str, seen: int, why: str) -> None:
    make_switch(
        link=link,
        host="10.0.0.9",
        esl_port=8021,
        reason="Connection refused",
        seen_at=timezone.now() - timedelta(seconds=seen),
    )
    assert (state(make_agent()).name, state(Agent.objects.get()).why) == ("pending", why)


def test_a_fault_that_ends_by_itself_is_pending_and_a_refusal_is_failed() -> None:
    make_switch()
    agent = make_agent()
    fail("The disk is full.", refused=False)
    assert (state(agent).name, state(agent).why) == ("pending", "The disk is full.")
    fail("The switch said no.", refused=True)
    assert (state(agent).name, state(agent).why) == ("failed", "The switch said no.")


def test_the_link_that_is_lost_now_is_told_before_the_disk_that_was_full() -> None:
    switch = make_switch()
    agent = make_agent()
    fail("The disk is full.", refused=False)
    Switch.objects.filter(pk=switch.pk).update(link=Switch.Link.LOST, reason="gone")
    assert "does not answer" in state(agent).why
    fail("The switch said no.", refused=True)
    assert state(agent).why == "The switch said no."


def test_an_object_is_live_only_when_every_switch_has_it() -> None:
    first, second = make_switch(name="first"), make_switch(name="second")
    agent = make_agent()
    publish(first, agent)
    assert state(agent).name == "pending"
    publish(second, agent)
    assert state(agent) == SyncState("live")


def test_an_object_that_no_switch_was_seen_to_have_waits_for_the_comparison() -> None:
    make_switch(name="only")
    agent = make_agent()
    PendingChange.objects.all().delete()
    assert state(agent) == SyncState("pending", "Waiting for the next comparison with only.")


def test_the_file_of_the_old_number_does_not_make_the_new_one_live() -> None:
    switch = make_switch()
    agent = make_agent(1020)
    publish(switch, agent)
    Agent.objects.filter(pk=agent.pk).update(extension="1021")
    assert state(Agent.objects.get()).name == "pending"


def test_an_inactive_agent_is_off_once_its_file_is_gone() -> None:
    switch = make_switch()
    agent = make_agent()
    publish(switch, agent)
    agent.deactivate()
    assert state(agent).name == "pending"
    PendingChange.objects.all().delete()
    assert state(agent) == SyncState("off", "Not active, so not on the switch.")


def test_the_states_of_many_take_three_queries(django_assert_num_queries: Any) -> None:
    make_switch()
    agents = [make_agent() for _ in range(20)]
    with django_assert_num_queries(3):
        sync_states(agents)


def test_the_preview_hides_passwords(publisher: Publisher) -> None:
    agent = make_agent(name="Grace & <Hopper>")
    shown = preview(agent)
    assert agent.password not in shown
    assert agent.voicemail_pin not in shown
    assert "Grace &amp; &lt;Hopper&gt;" in shown


def test_the_preview_of_what_may_not_be_written_is_why() -> None:
    assert "would replace or execute" in preview(make_agent(name="${x}"))
    assert preview(make_agent(is_active=False)) == "Not active: there is no file."


def test_changed_lines_leave_the_revision_out() -> None:
    before = 'a\n<variable name="patchbay_revision" value="1"/>\nb'
    after = 'a\n<variable name="patchbay_revision" value="2"/>\nc'
    assert changed_lines(before, after) == [(" ", "a"), ("-", "b"), ("+", "c")]
