"""The command that brings a switch's directory in step with the database, or only says what is not."""

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from agents.models import Agent
from eslbridge.client import Client
from eslbridge.link import Link
from eslbridge.management.commands.sync_xml import Bar
from eslbridge.models import PendingChange, PublishedFile, Switch
from eslbridge.publishing import publisher as publishing
from eslbridge.publishing.publisher import only_publisher
from eslbridge.simulator import Simulator
from tests.conftest import wait_until
from tests.factories import ALWAYS, make_agent, make_route


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def sync(*arguments: str, **streams: Any) -> list[str]:
    """The lines that it prints; raises what the command raises."""
    out = io.StringIO()
    call_command("sync_xml", *arguments, **{"stdout": out, "stderr": io.StringIO(), **streams})
    return out.getvalue().splitlines()


def check() -> tuple[int, list[str]]:
    """The exit code and the lines of --check."""
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("sync_xml", "--check", stdout=out, stderr=io.StringIO())
    return ended.value.code, out.getvalue().splitlines()


@pytest.fixture
def reloads(simulator: Simulator) -> Callable[[], int]:
    return lambda: sum("reloadxml" in command for _, command in simulator.received)


@pytest.fixture
def folder(switch_folders: Path) -> Callable[[], dict[str, bytes]]:
    return lambda: {
        str(path.relative_to(switch_folders)): path.read_bytes()
        for path in switch_folders.rglob("*")
        if path.is_file()
    }


# --- writing ----------------------------------------------------------------------------------------


def test_it_writes_all_with_one_reload_and_prints_it(
    db: None, reloads: Callable[[], int], switch_folders: Path
) -> None:
    make_route(make_agent(1020), did="+19495431333")
    make_agent(1021, is_active=False)

    lines = sync()

    assert sorted(lines[:-1]) == sorted(
        f"wrote {path}"
        for path in (*ALWAYS, "directory/default/1020.xml", "dialplan/public/inbound_19495431333.xml")
    )
    assert lines[-1].startswith("5 written, 0 removed, 0 failed, 1 reload (")
    assert reloads() == 1
    assert (switch_folders / "directory/default/1020.xml").exists()
    assert check() == (0, ["In step: nothing differs."])


def test_again_it_has_nothing_to_do(db: None, reloads: Callable[[], int]) -> None:
    make_agent()
    sync()
    assert sync() == ["0 written, 0 removed, 0 failed, 0 reloads (0 ms)."]
    assert reloads() == 1


def test_it_mends_what_differs_and_removes_what_is_ours_and_not_wanted(
    db: None, simulator: Simulator, switch_folders: Path
) -> None:
    make_agent(1020), make_agent(1021), make_agent(1022)
    sync()
    directory = switch_folders / "directory/default"
    (directory / "1020.xml").write_text((directory / "1020.xml").read_text().replace("Agent 1020", "Changed"))
    (directory / "1021.xml").unlink()
    Agent.objects.filter(extension="1022").delete()
    PendingChange.objects.all().delete()
    (directory / "handmade.xml").write_text("<include>\n</include>\n")

    lines = sync()

    assert set(lines[:-1]) == {
        "wrote directory/default/1020.xml",
        "wrote directory/default/1021.xml",
        "removed directory/default/1022.xml",
    }
    assert sorted(path.name for path in directory.iterdir()) == ["1020.xml", "1021.xml", "handmade.xml"]


def test_what_failed_is_printed_and_ends_with_an_error(
    db: None, simulator: Simulator, switch_folders: Path
) -> None:
    (switch_folders / "directory/default/1020.xml").write_text("<include>\n</include>\n")
    make_agent(1020)
    out = io.StringIO()
    with pytest.raises(CommandError, match="Not everything is on the switch"):
        call_command("sync_xml", stdout=out, stderr=io.StringIO())
    assert "failed directory/default/1020.xml: directory/default/1020.xml exists and is not" in out.getvalue()
    assert "3 written, 0 removed, 1 failed" in out.getvalue()


def test_what_waited_for_its_next_try_is_tried_now(db: None, simulator: Simulator) -> None:
    make_agent(1020)
    simulator.faults.reload_error("[error near line 1]: unclosed tag <x>")
    with pytest.raises(CommandError):
        sync()
    simulator.faults.clear()
    assert sync()[-1].startswith("4 written, 0 removed, 0 failed, 1 reload (")


# --- only looking -----------------------------------------------------------------------------------


def test_check_lists_the_differences_and_changes_nothing(
    db: None, simulator: Simulator, switch_folders: Path, folder: Callable[[], dict[str, bytes]]
) -> None:
    make_agent(1020), make_agent(1021), make_agent(1022)
    sync()
    directory = switch_folders / "directory/default"
    Agent.objects.filter(extension="1020").update(name="By SQL")
    (directory / "1021.xml").unlink()
    Agent.objects.filter(extension="1022").delete()
    PendingChange.objects.all().delete()
    PublishedFile.objects.filter(path=ALWAYS[0]).delete()
    before = folder()

    code, lines = check()

    assert code == 1
    assert lines == [
        "differs: directory/default/1020.xml (1020 By SQL)",
        "missing: directory/default/1021.xml (1021 Agent 1021)",
        f"not seen on the switch: {ALWAYS[0]} (routes.context)",
        "not wanted: directory/default/1022.xml (directory/default/1022.xml)",
        "4 differences.",
    ]
    assert folder() == before
    assert not PendingChange.objects.exists()


def test_check_needs_no_switch_and_announces_none(
    db: None, switch_folders: Path, settings: Any, folder: Callable[[], dict[str, bytes]]
) -> None:
    """On a machine whose worker never ran."""
    settings.FS_HOST, settings.FS_ESL_PORT = "127.0.0.1", 1
    make_agent(1020)
    code, lines = check()
    assert code == 1
    assert "missing: directory/default/1020.xml (1020 Agent 1020)" in lines
    assert not Switch.objects.exists()


def test_check_counts_an_object_that_cannot_be_rendered(db: None, simulator: Simulator) -> None:
    make_agent(1020, name="${x}")
    with pytest.raises(CommandError):
        sync()
    assert check() == (1, ["missing: directory/default/1020.xml (1020 ${x})", "1 difference."])


# --- what can be wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_missing_directory_is_said(
    db: None, simulator: Simulator, settings: Any, arguments: list[str]
) -> None:
    settings.FS_CONF_DIR = "/nowhere/freeswitch"
    with pytest.raises(CommandError, match=r"/nowhere/freeswitch does not exist .* set FS_CONF_DIR"):
        sync(*arguments)


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_without_a_host_it_is_said_what_to_set(db: None, settings: Any, arguments: list[str]) -> None:
    settings.FS_HOST = ""
    with pytest.raises(CommandError, match="FS_HOST is not set"):
        sync(*arguments)


def test_a_switch_that_does_not_answer_is_said(db: None, simulator: Simulator) -> None:
    simulator.stop()
    with pytest.raises(CommandError, match=f"does not answer at 127.0.0.1:{simulator.esl_port}: "):
        sync()


def test_a_refused_password_is_said(db: None, simulator: Simulator, settings: Any) -> None:
    settings.FS_ESL_PASSWORD = "wrong"
    with pytest.raises(CommandError, match="refuses the password: set FS_ESL_PASSWORD"):
        sync()


# --- beside a worker --------------------------------------------------------------------------------


@pytest.fixture
def link(transactional_db: None, redis_client: Any, simulator: Simulator) -> Iterator[Link]:
    held = Link()
    held.start()
    held.wait_until_ready()
    wait_until(
        lambda: PublishedFile.objects.count() == len(ALWAYS) and not PendingChange.objects.exists(),
        "the worker's start",
    )
    yield held
    held.stop()


def test_beside_a_worker_it_waits_and_prints_all_that_was_done(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is in the middle of a reload."""
    reloading, goes_on = threading.Event(), threading.Event()
    reload = Client.api

    def slowly(client: Client, command: str, *arguments: Any, **options: Any) -> Any:
        if command == "reloadxml":
            reloading.set()
            goes_on.wait(5)
        return reload(client, command, *arguments, **options)

    monkeypatch.setattr(Client, "api", slowly)
    first = make_agent(1020)
    assert reloading.wait(5)
    Agent.objects.bulk_create([Agent(extension="1021", name="By import")])
    printed: list[str] = []

    def run() -> None:
        printed.extend(sync())
        connection.close()

    command = threading.Thread(target=run)
    command.start()
    wait_until(someone_waits_for_the_lock, "the command to wait")
    assert printed == []
    goes_on.set()
    command.join(10)

    assert printed[0] == "wrote directory/default/1021.xml"
    assert printed[1].startswith("1 written, 0 removed, 0 failed, 1 reload (")
    assert not PendingChange.objects.exists()
    assert PublishedFile.objects.filter(object_id=first.pk).exists()


def someone_waits_for_the_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


def test_the_worker_keeps_out_meanwhile(link: Link, simulator: Simulator) -> None:
    with only_publisher(Switch.objects.get()):
        agent = make_agent(1020)
        link.client.api("status")
        assert PendingChange.objects.filter(object_id=agent.pk).exists()
    wait_until(lambda: not PendingChange.objects.exists(), "the worker to go on")


# --- the bar ----------------------------------------------------------------------------------------


def test_on_a_terminal_a_bar_shows_how_far_it_is_and_goes_at_the_end(
    db: None, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "QUESTIONS", 3)
    for _ in range(10 - len(ALWAYS)):
        make_agent()
    terminal = Terminal()

    sync(stderr=terminal)

    shown = [part.removesuffix("\x1b[K") for part in terminal.getvalue().split("\r")]
    assert "Comparing         [###############...............]  50 % of 10" in shown
    assert "Writing           [##############################] 100 % of 10" in shown
    # Two files are asked for with one question: both are in the same context.
    assert "Asking the switch [##############################] 100 % of 9" in shown
    assert shown[-1] == ""


def test_elsewhere_there_is_no_bar(db: None, simulator: Simulator) -> None:
    make_agent()
    stream = io.StringIO()
    sync(stderr=stream)
    assert stream.getvalue() == ""


def test_the_bar_writes_only_what_changed() -> None:
    from django.core.management.base import OutputWrapper

    terminal = Terminal()
    bar = Bar(OutputWrapper(terminal))
    for done in range(1, 10_001):
        bar.show("Comparing", done, 10_000)
    assert terminal.getvalue().count("\r") <= 101
    bar.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")
