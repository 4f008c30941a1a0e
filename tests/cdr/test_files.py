"""The switch's own files as the second source: nothing is lost, nothing is counted twice."""

import json
import logging
import os
import shutil
import threading
from pathlib import Path

import pytest
from django.db import DataError, OperationalError, connection

from cdr import files, models
from cdr.files import DONE, UNREADABLE, read
from cdr.models import Call, Leg, record
from tests import recorded_calls
from tests.recorded_calls import load

from .test_record import CALLS, everything, forget, legs_of, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def put(folder: Path, name: str, age: float = 0) -> list[Path]:
    """The files of a recorded call, as the switch wrote them, so many seconds ago."""
    return [write(folder / file, data, age) for file, data in load(name).files.items()]


def write(path: Path, data: bytes, age: float = 0) -> Path:
    path.write_bytes(data)
    moment = path.stat().st_mtime - age
    os.utime(path, (moment, moment))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()


@pytest.mark.parametrize("name", recorded_calls.names())
def test_files_alone_give_the_same_rows_as_events(name: str, folder: Path) -> None:
    record(legs_of(name))
    from_events = everything()
    forget()
    put(folder, name)
    reading = read(folder, "switch-1", set())
    assert everything() == from_events
    assert shown() == CALLS[name]
    assert reading.recorded == reading.done == len(load(name).files)


def test_what_is_recorded_is_moved_away_and_never_counted_again(folder: Path) -> None:
    record(legs_of("did"))
    put(folder, "did")
    reading = read(folder, "switch-1", set())
    assert (reading.recorded, reading.done) == (0, 2)
    assert names(folder) == set()
    assert names(folder / DONE) == set(load("did").files)
    assert read(folder, "switch-1", set()).done == 0
    shutil.copytree(folder / DONE, folder, dirs_exist_ok=True)
    assert read(folder, "switch-1", set()).recorded == 0
    assert shown() == CALLS["did"]


def test_the_legs_that_no_event_told_complete_the_call(folder: Path) -> None:
    record(legs_of("did_transfer")[:1])
    put(folder, "did_transfer")
    assert read(folder, "switch-1", set()).recorded == 2
    assert shown() == CALLS["did_transfer"]


def test_a_half_written_file_waits_and_is_then_read(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, other = put(folder, "did")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    reading = read(folder, "switch-1", set())
    assert (reading.done, reading.waiting, reading.unreadable) == (1, 1, [])
    assert names(folder) == {file.name}
    assert caplog.text == ""
    file.write_bytes(whole)
    assert read(folder, "switch-1", set()).done == 1
    assert names(folder / DONE) == {file.name, other.name}


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"\xff" * 99, b"[" * 100_000], ids=range(5))
def test_an_unreadable_file_is_kept_aside_and_named(
    data: bytes, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder / "bad.cdr.json", data, age=120)
    put(folder, "did")
    reading = read(folder, "switch-1", set())
    assert reading.unreadable == ["bad.cdr.json"]
    assert (folder / UNREADABLE / "bad.cdr.json").read_bytes() == data
    assert "bad.cdr.json cannot be read" in caplog.text
    assert reading.done == 2


def test_a_file_of_any_size_is_not_read_into_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1000)
    put(folder, "did", age=120)
    assert len(read(folder, "switch-1", set()).unreadable) == 2


def test_other_files_are_left_alone(folder: Path) -> None:
    for name in ("a.txt", "b.json", ".c.cdr.json.swp"):
        (folder / name).write_text("mine")
    (folder / "folder.cdr.json").mkdir()
    read(folder, "switch-1", set())
    assert names(folder) == {"a.txt", "b.json", ".c.cdr.json.swp"}
    assert (folder / "folder.cdr.json").is_dir()


def test_without_postgresql_nothing_moves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "did")
    with monkeypatch.context() as away:
        away.setattr(files, "record", _away)
        with pytest.raises(OperationalError):
            read(folder, "switch-1", set())
    assert names(folder) == set(load("did").files)
    assert read(folder, "switch-1", set()).recorded == 2


def _away(*_: object) -> int:
    raise OperationalError("connection refused")


def test_a_record_that_postgresql_refuses_costs_only_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = put(folder, "did", age=120)[0].name
    refused = Path(bad).name.removeprefix("a_").removesuffix(".cdr.json")
    put(folder, "internal_hold", age=120)

    def picky(legs: object) -> int:
        legs = list(legs)
        if any(str(leg["uuid"]) == refused for leg in legs):
            raise DataError("value out of range")
        return models.record(legs)

    monkeypatch.setattr(files, "record", picky)
    reading = read(folder, "switch-1", set())
    assert reading.unreadable == [bad]
    assert reading.done == 3
    assert "value out of range" in caplog.text


def test_a_folder_that_cannot_be_written_is_read_all_the_same_and_only_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    put(folder, "did")
    monkeypatch.setattr(os, "replace", refuse)
    passed_over: set[str] = set()
    reading = read(folder, "switch-1", passed_over)
    assert (reading.recorded, reading.done) == (2, 0)
    assert "Permission denied" in str(reading.trouble)
    assert passed_over == set(load("did").files) == names(folder)
    assert read(folder, "switch-1", passed_over).trouble is None


def test_a_file_that_may_not_be_opened_does_not_stop_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = put(folder, "did")[0].name
    open_file = Path.open

    def opened(path: Path, *arguments: object, **options: object) -> object:
        if path.name == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    reading = read(folder, "switch-1", set())
    assert (reading.recorded, locked in str(reading.trouble)) == (1, True)
    assert names(folder) == {locked}


def test_a_folder_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        read(folder / "nowhere", "switch-1", set())


def test_done_files_go_after_a_month_and_unreadable_ones_stay(folder: Path) -> None:
    (folder / DONE).mkdir()
    (folder / UNREADABLE).mkdir()
    for age in (29, 31):
        write(folder / DONE / f"{age}.cdr.json", b"{}", age * 24 * 3600)
        write(folder / UNREADABLE / f"{age}.cdr.json", b"{", age * 24 * 3600)
    read(folder, "switch-1", set())
    assert names(folder / DONE) == {"29.cdr.json"}
    assert names(folder / UNREADABLE) == {"29.cdr.json", "31.cdr.json"}


def test_an_old_file_has_its_month_from_when_it_was_recorded(folder: Path) -> None:
    put(folder, "did", age=90 * 24 * 3600)
    read(folder, "switch-1", set())
    assert names(folder / DONE) == set(load("did").files)


def test_many_files_are_recorded_in_portions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PORTION", 3)
    for name in recorded_calls.names():
        put(folder, name)
    expected = sum(len(load(name).files) for name in recorded_calls.names())
    assert read(folder, "switch-1", set()).recorded == expected == Leg.objects.count()


@pytest.mark.django_db(transaction=True)
def test_the_reader_works_beside_the_events_one_at_a_time(
    folder: Path, redis_client: object, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "cdr")
    go = threading.Event()
    monkeypatch.setattr(files, "read", lambda *arguments: go.wait(10) and read(*arguments))
    put(folder, "did")
    reader = files._Reader()
    thread = reader.read_soon(str(folder), "switch-1")
    assert reader.read_soon(str(folder), "switch-1") is None
    go.set()
    thread.join(10)
    assert shown() == CALLS["did"]
    assert "2 legs of which no event had told" in caplog.text
    again = reader.read_soon(str(folder), "switch-1")
    again.join(10)


def test_the_readers_trouble_is_logged_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "close", lambda: None)
    reader = files._Reader()
    for _ in range(3):
        reader.read_soon(str(folder / "nowhere"), "switch-1").join(10)
    assert caplog.text.count("nowhere is not a folder") == 1


def test_a_files_values_and_an_events_are_one_row_also_side_by_side(folder: Path) -> None:
    put(folder, "dial_answered")
    file = folder / sorted(load("dial_answered").files)[0]
    parsed = json.loads(file.read_bytes())
    assert parsed["variables"]["hangup_cause"] == "NORMAL_CLEARING"
    record(legs_of("dial_answered"))
    before = everything()
    read(folder, "switch-1", set())
    assert everything() == before
    assert Call.objects.count() == 1
