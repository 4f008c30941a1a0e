"""The publisher: nothing is called live that the switch has not been seen to have, and nothing is lost."""

import errno
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from agents.models import Agent
from eslbridge.client import Client
from eslbridge.models import PendingChange, PublishedFile, Reload, Switch
from eslbridge.protocol.errors import ConnectionLost
from eslbridge.publishing import files, outbox, registry
from eslbridge.publishing import publisher as publishing
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.publisher import Publisher, only_publisher
from eslbridge.publishing.state import SyncState, sync_states
from eslbridge.simulator import Simulator
from routes.models import InboundRoute
from tests.conftest import wait_until
from tests.factories import ALWAYS, make_agent, make_route

HANDMADE = '<include>\n  <user id="1020"><params/></user>\n</include>\n'
BROKEN = "[error near line 7027]: unexpected closing tag </users>"


@pytest.fixture(autouse=True)
def no_files_half_written(switch_folders: Path) -> Iterator[None]:
    """Whatever happens, nothing temporary stays behind."""
    yield
    assert [path.name for path in switch_folders.rglob(".*")] == []


def state(instance: Agent | InboundRoute) -> SyncState:
    return sync_states([instance])[instance.pk]


def user_file(conf: Path, extension: int | str) -> Path:
    return conf / f"directory/default/{extension}.xml"


def is_registered(simulator: Simulator, extension: int) -> bool:
    phone = simulator.phones.get(str(extension))
    return phone is not None and phone.registered


def reloads(simulator: Simulator) -> int:
    return sum("reloadxml" in command for _, command in simulator.received)


def told(simulator: Simulator, word: str) -> list[str]:
    return [command.splitlines()[0] for _, command in simulator.received if word in command]


def try_now(switch: Switch) -> None:
    outbox.retry(switch.pending.all())


# --- what a publish does ----------------------------------------------------------------------------


def test_an_agent_becomes_live(publisher: Publisher, simulator: Simulator, switch_folders: Path) -> None:
    agent = make_agent(1020, name="Grace Hopper")
    assert state(agent).name == "pending"

    outcome = publisher.publish()

    assert outcome.written == ["directory/default/1020.xml"]
    assert state(agent) == SyncState("live")
    assert not PendingChange.objects.exists()
    wait_until(lambda: is_registered(simulator, 1020), "the phone to register")
    file = user_file(switch_folders, 1020)
    assert f'value="{agent.password}"' in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_batch_is_one_reload(publisher: Publisher, simulator: Simulator) -> None:
    agents = [make_agent() for _ in range(20)]
    make_route(agents[0])

    outcome = publisher.publish()

    assert (outcome.reloads, reloads(simulator)) == (1, 1)
    assert len(outcome.written) == 21
    assert {each.name for each in sync_states(agents).values()} == {"live"}
    assert list(Reload.objects.values_list("files", "succeeded", "reply")) == [(21, True, "+OK [Success]")]


def test_a_thousand_agents_are_one_reload(publisher: Publisher, simulator: Simulator) -> None:
    Agent.objects.bulk_create([Agent(extension=str(3000 + n), name=f"Agent {n}") for n in range(1000)])
    outbox.queue(*Agent.objects.all())

    outcome = publisher.publish()

    assert (len(outcome.written), outcome.failed, reloads(simulator)) == (1000, {}, 1)
    assert PublishedFile.objects.count() == 1000


def test_what_is_live_already_needs_no_reload(publisher: Publisher, simulator: Simulator) -> None:
    agent = make_agent()
    publisher.publish()
    agent.save()

    outcome = publisher.publish()

    assert outcome.unchanged == [f"directory/default/{agent.extension}.xml"]
    assert reloads(simulator) == 1
    assert state(agent).name == "live"


def test_a_change_made_while_the_publisher_works_is_not_lost(
    publisher: Publisher, esl: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(1020, name="Before")
    reload = esl.api

    def saved_meanwhile(*arguments: Any, **options: Any) -> Any:
        agent.name = "After"
        agent.save()
        return reload(*arguments, **options)

    monkeypatch.setattr(esl, "api", saved_meanwhile)
    publisher.publish()
    assert state(agent).name == "pending"

    monkeypatch.undo()
    publisher.publish()
    assert state(agent).name == "live"
    assert esl.api("user_data", "1020@127.0.0.1 var effective_caller_id_name") == "After"


def test_another_extension_moves_the_file(publisher: Publisher, switch_folders: Path, esl: Client) -> None:
    agent = make_agent(1020)
    publisher.publish()
    agent.extension = "1021"
    agent.save()

    outcome = publisher.publish()

    assert (outcome.written, outcome.removed) == (
        ["directory/default/1021.xml"],
        ["directory/default/1020.xml"],
    )
    assert not user_file(switch_folders, 1020).exists()
    assert esl.api("user_exists", "id 1020 127.0.0.1") == "false"
    assert esl.api("user_exists", "id 1021 127.0.0.1") == "true"
    assert list(PublishedFile.objects.values_list("path", flat=True)) == ["directory/default/1021.xml"]


def test_two_agents_can_change_numbers(publisher: Publisher, esl: Client) -> None:
    first, second = make_agent(1020, name="First"), make_agent(1021, name="Second")
    publisher.publish()
    for agent, extension in ((first, "1099"), (second, "1020"), (first, "1021")):
        agent.extension = extension
        agent.save()

    outcome = publisher.publish()

    assert (outcome.failed, outcome.reloads) == ({}, 1)
    names = [
        esl.api("user_data", f"{extension}@127.0.0.1 var effective_caller_id_name")
        for extension in (1020, 1021)
    ]
    assert names == ["Second", "First"]
    assert esl.api("user_exists", "id 1099 127.0.0.1") == "false"
    assert state(first).name == state(second).name == "live"


def test_a_number_is_handed_over_between_publishings(publisher: Publisher, esl: Client) -> None:
    """The old owner's change is published when the new owner has the number already."""
    old = make_agent(1020)
    publisher.publish()
    old.delete()
    publisher.publish()
    new = make_agent(1020, name="New")
    publisher.publish()
    stale = PendingChange(
        switch=publisher.switch,
        path="directory/default/1020.xml",
        kind="agents.agent",
        object_id=new.pk - 1,
        label="the old owner",
    )
    outbox.add_missing([stale])

    outcome = publisher.publish()

    assert outcome.unchanged == ["directory/default/1020.xml"]
    assert state(new).name == "live"
    assert esl.api("user_exists", "id 1020 127.0.0.1") == "true"


@pytest.mark.parametrize("how", ["deactivate", "delete"])
def test_an_agent_that_goes_takes_its_file_and_its_registration_along(
    publisher: Publisher, simulator: Simulator, switch_folders: Path, how: str
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    wait_until(lambda: is_registered(simulator, 1020), "the phone to register")

    getattr(agent, how)()
    publisher.publish()

    assert not user_file(switch_folders, 1020).exists()
    assert told(simulator, "flush_inbound_reg") == [
        "api sofia profile internal flush_inbound_reg 1020@127.0.0.1"
    ]
    assert not PublishedFile.objects.exists()
    if how == "deactivate":
        assert state(agent) == SyncState("off", "Not active, so not on the switch.")


def test_a_new_password_ends_the_registration_and_a_new_name_does_not(
    publisher: Publisher, simulator: Simulator
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    agent.name = "Another name"
    agent.save()
    publisher.publish()
    assert told(simulator, "flush_inbound_reg") == []

    agent.rotate_password()
    publisher.publish()
    assert len(told(simulator, "flush_inbound_reg")) == 1


def test_a_route_goes_and_comes_back_with_its_agent(publisher: Publisher, switch_folders: Path) -> None:
    agent = make_agent()
    route = make_route(agent, did="+19495431333")
    file = switch_folders / "dialplan/public/inbound_19495431333.xml"
    publisher.publish()
    assert file.exists()

    agent.deactivate()
    publisher.publish()
    assert not file.exists()
    assert state(InboundRoute.objects.get(pk=route.pk)).name == "off"

    agent.activate()
    publisher.publish()
    assert file.exists()
    assert state(InboundRoute.objects.get(pk=route.pk)).name == "live"


def test_a_new_switch_gets_everything_and_then_nothing_differs(
    publisher: Publisher, switch_folders: Path
) -> None:
    agents = [make_agent() for _ in range(3)]
    make_route(agents[0])
    PendingChange.objects.all().delete()

    queue_differences(publisher.switch, differences(publisher.switch, switch_folders))
    outcome = publisher.publish()

    assert (len(outcome.written), outcome.reloads) == (4 + len(ALWAYS), 1)
    assert differences(publisher.switch, switch_folders) == []


def test_files_are_the_same_whatever_the_locale(
    publisher: Publisher, switch_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    monkeypatch.setattr("locale.getencoding", lambda: "ascii")
    agent = make_agent(1020, name="Zoë 🦊 שלום")

    assert publisher.publish().failed == {}

    assert "Zoë 🦊 שלום" in user_file(switch_folders, 1020).read_bytes().decode()
    assert state(agent).name == "live"


# --- the switch says no -----------------------------------------------------------------------------


def test_a_refused_reload_puts_every_file_back_and_says_why(
    publisher: Publisher, simulator: Simulator, switch_folders: Path
) -> None:
    kept, gone = make_agent(1020, name="Before"), make_agent(1021)
    publisher.publish()
    known = set(PublishedFile.objects.values_list("path", "sha256"))
    before = {path: path.read_bytes() for path in switch_folders.rglob("*.xml")}
    kept.name = "After"
    kept.save()
    gone.delete()
    new = make_agent(1022)
    simulator.faults.reload_error(BROKEN)

    outcome = publisher.publish()

    assert {path: path.read_bytes() for path in switch_folders.rglob("*.xml")} == before
    assert set(PublishedFile.objects.values_list("path", "sha256")) == known
    assert set(outcome.failed) == {f"directory/default/{number}.xml" for number in (1020, 1021, 1022)}
    for agent in (kept, new):
        assert state(agent).name == "failed"
        assert state(agent).why == f"The switch refused the configuration: +OK [{BROKEN}]"
    assert Reload.objects.first().reply == f"+OK [{BROKEN}]"


def test_a_refused_change_is_live_by_itself_when_the_switch_takes_it(
    publisher: Publisher, simulator: Simulator
) -> None:
    agent = make_agent(1020)
    simulator.faults.reload_error(BROKEN)
    publisher.publish()
    assert publisher.publish().failed == {}, "it must wait before it is tried again"

    simulator.faults.clear()
    try_now(publisher.switch)
    publisher.publish()

    assert state(agent).name == "live"


def test_a_new_name_refused_first_and_taken_later_does_not_end_the_registration(
    publisher: Publisher, simulator: Simulator
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    agent.name = "Another"
    agent.save()
    simulator.faults.reload_error(BROKEN)
    publisher.publish()
    simulator.faults.clear()
    try_now(publisher.switch)
    publisher.publish()

    assert state(agent).name == "live"
    assert told(simulator, "flush_inbound_reg") == []


def test_files_that_are_not_utf8_are_put_back_byte_for_byte(
    publisher: Publisher, simulator: Simulator, switch_folders: Path
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    file = user_file(switch_folders, 1020)
    odd = file.read_bytes().replace(b"\n", b"\r\n").replace(b"Agent", b"Ag\xe9nt")
    file.write_bytes(odd)
    simulator.faults.reload_error(BROKEN)
    agent.save()
    try_now(publisher.switch)

    publisher.publish()

    assert file.read_bytes() == odd


def test_a_shadowed_user_is_not_called_live(
    publisher: Publisher, simulator: Simulator, switch_folders: Path
) -> None:
    shadow = user_file(switch_folders, "0_handmade")
    shadow.write_text(HANDMADE)
    agent = make_agent(1020)

    publisher.publish()

    assert state(agent).name == "failed"
    assert "look for a second file with this user id" in state(agent).why
    assert "Found in: directory/default/0_handmade.xml, line 2." in state(agent).why
    assert not PublishedFile.objects.exists()

    shadow.unlink()
    try_now(publisher.switch)
    publisher.publish()
    assert state(agent).name == "live"


def test_a_shadow_that_appears_later_is_found_with_the_next_change(
    publisher: Publisher, switch_folders: Path
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    user_file(switch_folders, "0_handmade").write_text(HANDMADE)
    agent.name = "Another"
    agent.save()
    publisher.publish()
    try_now(publisher.switch)

    publisher.publish()

    assert state(agent).name == "failed"


def test_a_switch_that_does_not_read_the_files_directory_is_found_out(
    publisher: Publisher, switch_folders: Path
) -> None:
    dialplan = switch_folders / "dialplan/public.xml"
    dialplan.write_text(dialplan.read_text().replace("public/*.xml", "elsewhere/*.xml"))
    route = make_route()

    publisher.publish()

    assert state(route).name == "failed"
    assert "its context public must include the files of that directory" in state(route).why


# --- files that are not ours ------------------------------------------------------------------------


def test_a_handmade_file_is_never_touched(
    publisher: Publisher, simulator: Simulator, switch_folders: Path
) -> None:
    file = user_file(switch_folders, 1020)
    file.write_text(HANDMADE)
    agent = make_agent(1020)

    publisher.publish()

    assert file.read_text() == HANDMADE
    assert state(agent).name == "failed"
    assert "is not managed by Patchbay" in state(agent).why
    assert reloads(simulator) == 0

    agent.delete()
    assert publisher.publish().failed == {}
    assert file.read_text() == HANDMADE
    assert not PendingChange.objects.exists()


def test_a_handmade_file_in_place_of_a_live_one_outlives_the_agent(
    publisher: Publisher, switch_folders: Path
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    file = user_file(switch_folders, 1020)
    file.write_text(HANDMADE)

    agent.delete()
    publisher.publish()

    assert file.read_text() == HANDMADE
    assert not PendingChange.objects.exists()
    assert not PublishedFile.objects.exists()


def test_a_handmade_file_that_appears_at_the_last_moment_is_not_overwritten(
    publisher: Publisher, switch_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = user_file(switch_folders, 1020)
    read = files.ConfDir.read

    def read_and_then_it_appears(self: files.ConfDir, path: str) -> str | None:
        text = read(self, path)
        file.write_text(HANDMADE)
        return text

    agent = make_agent(1020)
    monkeypatch.setattr(files.ConfDir, "read", read_and_then_it_appears)

    publisher.publish()

    assert file.read_text() == HANDMADE
    assert state(agent).name == "failed"


@pytest.mark.parametrize("extension", ["../x", "/etc", "a/../b", "a/b"])
def test_a_path_cannot_lead_out_of_the_directory(
    publisher: Publisher, switch_folders: Path, extension: str
) -> None:
    """Not from a form, which refuses it; from an import gone wrong."""
    before = set(switch_folders.parent.rglob("*"))
    agent = make_agent(extension[:6])

    publisher.publish()

    assert state(agent).name == "failed"
    assert set(switch_folders.parent.rglob("*")) == before


# --- the disk says no -------------------------------------------------------------------------------


def test_a_missing_directory_is_the_reason_and_its_return_the_cure(
    publisher: Publisher, switch_folders: Path
) -> None:
    away = switch_folders.with_name("away")
    switch_folders.rename(away)
    agent = make_agent(1020)

    publisher.publish()

    assert state(agent).name == "pending"
    assert state(agent).why == (
        f"The configuration directory {switch_folders} does not exist where the worker runs: set FS_CONF_DIR."
    )
    assert not switch_folders.exists()

    away.rename(switch_folders)
    try_now(publisher.switch)
    publisher.publish()
    assert state(agent).name == "live"


Edge = Callable[..., Any]


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int, *, when: str = "") -> None:
    """The operating system's `name` fails with this code for paths that hold `when`."""
    real: Edge = getattr(os, name)

    def edge(path: Any, *arguments: Any, **options: Any) -> Any:
        place = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fspath(path)
        if "/conf/" in place and when in place:
            raise OSError(code, os.strerror(code), place)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, name, edge)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("open", errno.EACCES, "The worker may not write"),
        ("open", errno.EROFS, "Read-only file system"),
        ("open", errno.ENOSPC, "No space left on device"),
        ("fsync", errno.ENOSPC, "No space left on device"),
        ("fsync", errno.EIO, "Input/output error"),
        ("replace", errno.EACCES, "The worker may not write"),
    ],
)
def test_a_disk_that_does_not_take_files_is_the_reason_and_nothing_half_written_stays(
    publisher: Publisher,
    simulator: Simulator,
    switch_folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    code: int,
    words: str,
) -> None:
    agent = make_agent(1020)
    failing(monkeypatch, name, code)
    publisher.publish()
    assert state(agent).name == "pending"
    assert words in state(agent).why
    assert "1020.xml" in state(agent).why
    assert reloads(simulator) == 0
    assert not user_file(switch_folders, 1020).exists()

    monkeypatch.undo()
    try_now(publisher.switch)
    publisher.publish()
    assert state(agent).name == "live"


@pytest.mark.parametrize("others", [1, 2 * publishing.WRITERS])
def test_one_file_that_cannot_be_written_does_not_hold_up_the_others(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    held, free = make_agent(1020), [make_agent() for _ in range(others)]
    failing(monkeypatch, "open", errno.EACCES, when="1020")

    publisher.publish()

    assert state(held).name == "pending"
    assert {each.name for each in sync_states(free).values()} == {"live"}


def test_a_quota_that_ends_in_the_middle_of_a_file_leaves_nothing_of_it(
    publisher: Publisher, switch_folders: Path
) -> None:
    agent = make_agent(1020)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # half an agent
    try:
        publisher.publish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert state(agent).name == "pending"
    assert "1020.xml" in state(agent).why and "File too large" in state(agent).why
    assert list(switch_folders.rglob("*1020*")) == []


def test_many_files_that_cannot_be_made_durable_replace_none(
    publisher: Publisher, simulator: Simulator, switch_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = [make_agent(1020 + number, name="Before") for number in range(publishing.WRITERS + 1)]
    publisher.publish()
    for agent in agents:
        agent.name = "After"
        agent.save()
    before = reloads(simulator)

    def full(self: files.ConfDir) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.root))

    with monkeypatch.context() as patched:
        patched.setattr(files.ConfDir, "flush", full)
        publisher.publish()

    assert "No space left on device" in state(agents[0]).why
    assert {each.name for each in sync_states(agents).values()} == {"pending"}
    assert list(switch_folders.rglob(".*")) == []
    assert "Before" in user_file(switch_folders, 1020).read_text()
    assert reloads(simulator) == before

    try_now(publisher.switch)
    publisher.publish()
    assert {each.name for each in sync_states(agents).values()} == {"live"}


def test_a_directory_that_cannot_be_made_durable_is_a_reason_too(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(1020)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("directory/default"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    publisher.publish()
    assert state(agent).name == "pending"
    assert "Input/output error" in state(agent).why

    monkeypatch.undo()
    try_now(publisher.switch)
    publisher.publish()
    assert state(agent).name == "live"


def test_a_file_in_place_of_the_directory_is_a_reason(publisher: Publisher, switch_folders: Path) -> None:
    (switch_folders / "directory/default").rmdir()
    (switch_folders / "directory/default").write_text("in the way")
    agent = make_agent(1020)

    publisher.publish()

    assert state(agent).name == "pending"
    assert "Not a directory" in state(agent).why


def test_an_old_file_that_cannot_be_put_back_is_said(
    publisher: Publisher, simulator: Simulator, esl: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    agent.name = "After"
    agent.save()
    simulator.faults.reload_error(BROKEN)
    reload = esl.api

    def reload_and_the_disk_is_full(*arguments: Any, **options: Any) -> Any:
        failing(monkeypatch, "open", errno.ENOSPC)
        return reload(*arguments, **options)

    monkeypatch.setattr(esl, "api", reload_and_the_disk_is_full)
    publisher.publish()

    assert BROKEN in state(agent).why
    assert "could not be put back: Writing" in state(agent).why
    assert "No space left on device" in state(agent).why


def test_what_a_killed_worker_left_half_written_is_swept_away(
    publisher: Publisher, switch_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = switch_folders / "directory/default/.1099.xml.patchbay-tmp"
    left.write_text("half a file with a password")
    handmade = switch_folders / "directory/default/1098.xml.bak"
    handmade.write_text("somebody's")
    monkeypatch.setattr(publishing, "_swept", set())
    make_agent(1020)

    publisher.publish()

    assert not left.exists()
    assert handmade.exists()


# --- the link says no -------------------------------------------------------------------------------


def test_a_switch_lost_during_the_reload_leaves_the_change_waiting(
    publisher: Publisher, esl: Client, switch_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(1020)

    def lost(*arguments: Any, **options: Any) -> Any:
        raise ConnectionLost("the connection was lost")

    monkeypatch.setattr(esl, "api", lost)
    publisher.publish()
    assert state(agent) == SyncState(
        "pending",
        "The switch did not answer the reload: the connection was lost",
        PendingChange.objects.get().since,
    )
    assert not user_file(switch_folders, 1020).exists()
    assert [reload.succeeded for reload in Reload.objects.all()] == [False]

    monkeypatch.undo()
    try_now(publisher.switch)
    publisher.publish()
    assert state(agent).name == "live"


def test_a_real_connection_that_breaks_during_the_reload_is_the_reason(
    publisher: Publisher, esl: Client, simulator: Simulator
) -> None:
    agent = make_agent(1020)
    simulator.faults.half_open()
    breaks = threading.Timer(0.1, simulator.faults.clear)
    breaks.start()
    publisher.publish()
    breaks.join()

    assert state(agent).name == "pending"
    assert "did not answer the reload" in state(agent).why


def test_a_switch_lost_after_the_reload_is_asked_again_before_anything_is_called_live(
    publisher: Publisher, esl: Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(1020)
    publisher.publish()
    agent.rotate_password()

    def lost(*arguments: Any, **options: Any) -> Any:
        raise ConnectionLost("the connection was lost")

    monkeypatch.setattr(esl, "api_many", lost)
    publisher.publish()
    assert state(agent).name == "pending"
    assert "could not be asked: the connection was lost" in state(agent).why
    assert told(simulator, "flush_inbound_reg") == []

    monkeypatch.undo()
    try_now(publisher.switch)
    publisher.publish()
    assert state(agent).name == "live"
    assert len(told(simulator, "flush_inbound_reg")) == 1, "the old password's registration must still end"


def test_many_questions_are_asked_in_portions(
    publisher: Publisher, esl: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost in the middle: what was answered is live, the rest waits."""
    agents = [make_agent() for _ in range(6)]
    monkeypatch.setattr(publishing, "QUESTIONS", 4)
    ask, portions = esl.api_many, []

    def asked(commands: list[str], **options: Any) -> list[str]:
        portions.append(len(commands))
        if len(portions) == 2:
            raise ConnectionLost("the connection was lost")
        return ask(commands, **options)

    monkeypatch.setattr(esl, "api_many", asked)
    publisher.publish()

    assert portions == [4, 2]
    assert sorted(each.name for each in sync_states(agents).values()) == ["live"] * 4 + ["pending"] * 2


SURVEY = "xml_locate directory domain name 127.0.0.1"


@pytest.fixture
def surveyed(esl: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions to a switch that is surveyed from three files on."""
    monkeypatch.setattr(publishing, "SURVEY_FROM", 3)
    monkeypatch.setattr(publishing, "_in_vain", set())
    ask, asked = esl.api_many, []

    def note(commands: list[str], **options: Any) -> list[str]:
        asked.extend(each for each in commands if SURVEY in each or "patchbay_revision" in each)
        return ask(commands, **options)

    monkeypatch.setattr(esl, "api_many", note)
    return asked


def test_many_files_are_proven_by_one_question(publisher: Publisher, surveyed: list[str]) -> None:
    agents = [make_agent(number) for number in (1030, 1031, 1032, 1033)]
    publisher.publish()
    assert surveyed == [SURVEY]
    assert {each.name for each in sync_states(agents).values()} == {"live"}

    surveyed.clear()
    agents[0].save()
    agents[1].rotate_password()
    publisher.publish()
    assert surveyed == ["user_data 1031@127.0.0.1 var patchbay_revision"]


def test_a_survey_proves_nothing_of_a_name_that_occurs_twice(
    publisher: Publisher, surveyed: list[str], switch_folders: Path
) -> None:
    """Which of two the switch finds, it is asked; so it is for 1000, to which a group of vanilla's points."""
    for number in (1000, 1001, 1002):
        user_file(switch_folders, number).unlink(missing_ok=True)
    agents = [make_agent(number) for number in (1000, 1020, 1030, 1031, 1032)]
    user_file(switch_folders, "0_handmade").write_text(HANDMADE)
    alias = HANDMADE.replace('id="1020"', 'id="7777" number-alias="1031"')
    user_file(switch_folders, "zz_alias").write_text(alias)

    publisher.publish()

    revision = "user_data {}@127.0.0.1 var patchbay_revision".format
    assert surveyed == [SURVEY, revision(1000), revision(1020), revision(1031)]
    states = {agent.extension: state(agent).name for agent in agents}
    assert states == {"1000": "live", "1020": "failed", "1030": "live", "1031": "live", "1032": "live"}
    assert "0_handmade.xml" in state(agents[1]).why


@pytest.mark.parametrize("fault", ["lost", "too many files"])
def test_without_a_survey_each_file_is_asked_for(
    fault: str, publisher: Publisher, esl: Client, surveyed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = [make_agent(number) for number in (1030, 1031, 1032)]
    note = esl.api_many
    if fault == "too many files":
        monkeypatch.setattr(publishing, "SURVEY_TO", -1)

    def lost(commands: list[str], **options: Any) -> list[str]:
        if commands == [SURVEY]:
            surveyed.append("lost")
            raise ConnectionLost("a frame was too large")
        return note(commands, **options)

    monkeypatch.setattr(esl, "api_many", lost)
    publisher.publish()
    assert {each.name for each in sync_states(agents).values()} == {"live"}
    for agent in agents:
        agent.rotate_password()
    publisher.publish()
    assert {each.name for each in sync_states(agents).values()} == {"live"}
    assert surveyed.count("lost") == (1 if fault == "lost" else 0)  # not again in this process
    assert len(surveyed) - surveyed.count("lost") == 6


# --- objects that cannot be rendered ----------------------------------------------------------------


def test_a_name_that_may_not_be_written_is_refused_and_holds_up_nobody(
    publisher: Publisher, switch_folders: Path
) -> None:
    """Not from a form, which refuses it; from SQL."""
    bad, good = make_agent(1020, name="${system(id)}"), make_agent(1021)

    publisher.publish()

    assert state(bad).name == "failed"
    assert "which the switch would replace or execute" in state(bad).why
    assert not user_file(switch_folders, 1020).exists()
    assert state(good).name == "live"


def test_one_object_whose_rendering_is_broken_holds_up_nobody(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = make_agent(1020), make_agent(1021)
    shown = Agent.toll_allow.fget
    broken = property(lambda agent: 1 / 0 if agent.pk == bad.pk else shown(agent))
    with monkeypatch.context() as patched:
        patched.setattr(Agent, "toll_allow", broken)
        publisher.publish()
    assert (state(bad).name, state(good).name) == ("failed", "live")
    assert state(bad).why == "Its file cannot be made: division by zero"


def test_agents_whose_key_is_gone_do_not_hold_up_other_kinds_and_say_why(
    publisher: Publisher, settings: Any
) -> None:
    agent = make_agent(1020)
    queue_differences(publisher.switch, differences(publisher.switch, Path(settings.FS_CONF_DIR)))
    settings.FIELD_ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItMTI="]

    outcome = publisher.publish()

    assert sorted(outcome.written) == list(ALWAYS)
    assert "add it" in outcome.failed["directory/default/1020.xml"]
    change = PendingChange.objects.get(object_id=agent.pk, kind="agents.agent")
    assert (change.refused, change.attempts) == (True, 1)


def test_a_kind_that_is_not_registered_any_more_loses_its_files(
    publisher: Publisher, switch_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = make_route(did="+19495431333")
    publisher.publish()
    file = switch_folders / "dialplan/public/inbound_19495431333.xml"
    assert file.exists()
    monkeypatch.delitem(registry._publications, "routes.inboundroute")
    outbox.add_missing(
        [
            PendingChange(
                switch=publisher.switch,
                path="dialplan/public/inbound_19495431333.xml",
                kind="routes.inboundroute",
                object_id=route.pk,
                label="gone",
            )
        ]
    )

    assert publisher.publish().removed == ["dialplan/public/inbound_19495431333.xml"]
    assert not file.exists()


def test_an_answer_that_is_not_text_can_be_kept_as_a_reason(
    publisher: Publisher, esl: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(1020)
    monkeypatch.setattr(esl, "api_many", lambda commands, **_: ["\udcff\0 nonsense" for _ in commands])

    publisher.publish()

    assert state(agent).name == "failed"
    assert "nonsense" in state(agent).why


# --- one publisher a switch -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_only_one_publishes_at_a_time(publisher: Publisher, simulator: Simulator) -> None:
    agent = make_agent(1020)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_lock(hashtext(%s))", [f"patchbay publisher {publisher.switch.pk}"]
            )
            assert publisher.publish() == publishing.Outcome()
            assert reloads(simulator) == 0
    finally:
        other.close()
        other.close_pool()
    wait_until(lambda: publisher.publish().written, "the other one's lock to end with its connection")
    assert state(agent).name == "live"


def test_the_lock_can_be_held_around_several_publishings(publisher: Publisher) -> None:
    with only_publisher(publisher.switch) as mine:
        assert mine
        make_agent(1020)
        assert publisher.publish(wait=True).written == ["directory/default/1020.xml"]


def test_switches_do_not_wait_for_each_other(publisher: Publisher) -> None:
    make_agent(1020)
    with only_publisher(Switch(pk=publisher.switch.pk + 1)):
        assert publisher.publish().written == ["directory/default/1020.xml"]
