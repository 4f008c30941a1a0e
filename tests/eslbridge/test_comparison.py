"""The whole database against a switch's directory: differences that no signal told."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from agents.models import Agent
from eslbridge.client import Client
from eslbridge.models import PendingChange, PublishedFile, Switch
from eslbridge.publishing import outbox
from eslbridge.publishing.comparison import Difference, differences, queue_differences
from eslbridge.publishing.publisher import Publisher
from eslbridge.publishing.state import sync_states
from tests.factories import ALWAYS, make_agent, make_route


@pytest.fixture
def in_step(publisher: Publisher, switch_folders: Path) -> Publisher:
    make_route(make_agent(1020), did="+19495431333")
    make_agent(1021)
    queue_differences(publisher.switch, differences(publisher.switch, switch_folders))
    publisher.publish()
    return publisher


def found(publisher: Publisher) -> dict[str, str]:
    """What differs, by path."""
    return {each.path: each.what for each in differences(publisher.switch, publisher.disk.root)}


def mend(publisher: Publisher) -> None:
    queue_differences(publisher.switch, differences(publisher.switch, publisher.disk.root))
    assert publisher.publish().failed == {}
    assert found(publisher) == {}


def test_nothing_differs_after_a_publish(in_step: Publisher) -> None:
    assert found(in_step) == {}


def test_a_change_by_sql_is_found_with_all_that_depends_on_it(in_step: Publisher) -> None:
    Agent.objects.filter(extension="1020").update(extension="1099")
    assert found(in_step) == {
        "directory/default/1099.xml": "missing",
        "directory/default/1020.xml": "not wanted",
        "dialplan/public/inbound_19495431333.xml": "differs",
    }
    mend(in_step)


def test_a_file_that_somebody_changed_is_found(in_step: Publisher, switch_folders: Path) -> None:
    file = switch_folders / "directory/default/1021.xml"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert found(in_step) == {"directory/default/1021.xml": "differs"}
    mend(in_step)


def test_a_user_that_was_deleted_by_sql_and_by_hand_is_taken_off_the_switch(
    in_step: Publisher, switch_folders: Path, esl: Client
) -> None:
    """Neither the database nor the disk knows it, but the switch still does."""
    Agent.objects.filter(extension="1021").delete()
    PendingChange.objects.all().delete()
    (switch_folders / "directory/default/1021.xml").unlink()
    assert esl.api("user_exists", "id 1021 127.0.0.1") == "true"

    assert found(in_step) == {"directory/default/1021.xml": "not wanted"}
    mend(in_step)
    assert esl.api("user_exists", "id 1021 127.0.0.1") == "false"


def test_files_of_ours_whose_object_is_unknown_are_not_wanted(
    in_step: Publisher, switch_folders: Path
) -> None:
    for name, owner in (("a", "agents.agent:999"), ("b", "gone.kind:1"), ("c", "agents.agent:x")):
        (switch_folders / f"directory/default/{name}.xml").write_text(
            f"<include>\n  <!-- Managed by Patchbay ({owner}). -->\n</include>\n"
        )
    assert set(found(in_step)) == {f"directory/default/{name}.xml" for name in "abc"}
    mend(in_step)


def test_handmade_files_do_not_matter(in_step: Publisher, switch_folders: Path) -> None:
    (switch_folders / "directory/default/handmade.xml").write_bytes(b"<include>\n\xff\n</include>\n")
    (switch_folders / "directory/default/folder.xml").mkdir()
    assert found(in_step) == {}


def test_what_the_switch_was_not_seen_to_have_is_asked_for(in_step: Publisher) -> None:
    PublishedFile.objects.filter(path="directory/default/1021.xml").delete()
    assert found(in_step) == {"directory/default/1021.xml": "not seen on the switch"}
    mend(in_step)


def test_another_domain_changes_what_names_it(in_step: Publisher) -> None:
    Switch.objects.update(domain="pbx.example")
    in_step.switch.refresh_from_db()
    assert set(found(in_step)) == {
        "dialplan/00_patchbay.xml",
        "dialplan/default/00_patchbay_agents.xml",
        "dialplan/public/inbound_19495431333.xml",
    }


def test_an_object_that_cannot_be_rendered_differs_and_hides_no_other(
    in_step: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = make_agent(1022, name="${x}")
    monkeypatch.setattr(
        Agent, "toll_allow", property(lambda agent: 1 / 0 if agent.extension == "1020" else "local,domestic")
    )
    assert found(in_step) == {
        "directory/default/1020.xml": "differs",
        f"directory/default/{bad.extension}.xml": "missing",
    }


def test_progress_counts_every_object_once(in_step: Publisher) -> None:
    told: list[tuple[str, int, int]] = []
    differences(in_step.switch, in_step.disk.root, lambda *step: told.append(step))
    total = 3 + len(ALWAYS)
    assert told == [("Comparing", done, total) for done in range(1, total + 1)]


def test_a_file_that_waits_already_is_not_queued_again(in_step: Publisher) -> None:
    agent = Agent.objects.get(extension="1021")
    agent.save()
    waiting = PendingChange.objects.get()
    stale = Difference(waiting.path, "not wanted", "agents.agent", agent.pk + 100, "somebody else")

    queue_differences(in_step.switch, [stale])

    again = PendingChange.objects.get()
    assert (again.object_id, again.revision) == (agent.pk, waiting.revision)


OURS = "directory/default/1020.xml"
LONG_AGO = timezone.now() - timedelta(hours=1)


def test_a_file_that_comes_before_ours_later_is_found(in_step: Publisher, switch_folders: Path) -> None:
    in_step.switch.published.update(published_at=LONG_AGO)
    shadow = switch_folders / "directory/default/0_handmade.xml"
    shadow.write_text('<include>\n  <user id="1020">\n  </user>\n</include>\n')

    assert found(in_step) == {OURS: "shadowed"}
    queue_differences(in_step.switch, differences(in_step.switch, switch_folders))
    in_step.publish()
    agent = Agent.objects.get(extension="1020")
    state = sync_states([agent])[agent.pk]
    assert state.name == "failed"
    assert "0_handmade.xml, line 2" in state.why

    shadow.unlink()
    outbox.retry(in_step.switch.pending.all())
    in_step.publish()
    assert sync_states([agent])[agent.pk].name == "live"
    assert found(in_step) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zz_handmade", '<include>\n<user id="1020">\n</user>\n</include>\n'),  # comes after ours
        ("0_other", '<include>\n<user id="1099">\n</user>\n</include>\n'),
        ("0_comment", '<include>\n<!-- <user id="1020">\n</user> -->\n</include>\n'),
        ("0_dropped", '<include><user id="1020"></user></include>\n'),
    ],
)
def test_other_files_of_other_people_shadow_nobody(
    in_step: Publisher, switch_folders: Path, name: str, text: str
) -> None:
    in_step.switch.published.update(published_at=LONG_AGO)
    (switch_folders / f"directory/default/{name}.xml").write_text(text)
    assert found(in_step) == {}


def test_a_file_that_was_there_when_the_switch_answered_with_ours_is_no_news(
    in_step: Publisher, switch_folders: Path
) -> None:
    text = '<include>\n<user id="1020" cidr="10.0.0.0/8">\n</user>\n</include>\n'
    (switch_folders / "directory/default/0_handmade.xml").write_text(text)
    in_step.switch.published.update(published_at=timezone.now() + timedelta(seconds=30))
    assert found(in_step) == {}
