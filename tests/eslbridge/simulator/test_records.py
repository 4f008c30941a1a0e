"""The file of each leg, compared with those that a real mod_json_cdr wrote of the same calls."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from eslbridge.simulator import Simulator

from . import scenarios
from .conversation import Conversation, eventually
from .normal import MASKED, Names

ARCHIVE = Path(__file__).with_name("json_cdr.tar.xz")
Record = dict[str, Any]
Call = Callable[[Simulator], None]
# Differences that no reader of the files minds: which flags a channel has, an empty argument,
# and whose call a leg of a voicemail says it is while its two ends go down.
TOLERATED = {"/channel_data/flags", "/switchname"}
ONLY_RECORDED = {"busy_a": {"/app_log/applications[21]/app_data"}, "busy_b": {"/variables/switch_m_sdp"}}
RACING = {"busy_b": {"/variables/call_uuid"}}


@cache
def recorded() -> dict[str, Record]:
    with tarfile.open(ARCHIVE) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        return {name.split(".")[0]: json.load(file) for name, file in members.items() if file}


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf with its path."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from flattened(one, f"{path}/{name}")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from flattened(one, f"{path}[{index}]")
    else:
        yield path, str(value)


def cleaned(record: Record) -> dict[str, str]:
    """Leaves by path; what differs each time is masked."""
    names = Names()
    leaves = {}
    for path, value in flattened(record):
        clean = names.clean(value)
        last = path.rpartition("/")[2]
        masked = MASKED.fullmatch(last) or MASKED.fullmatch("variable_" + last) or "callStats" in path
        leaves[path] = "<*>" if masked else clean
    return leaves


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    scenarios.prepare(tmp_path / "conf")
    late = ("cleaning",)
    options: dict[str, Any] = {"cdr_dir": tmp_path / "cdr", "answer_after": 0.05, "register_delay": 0.0}
    with Simulator(tmp_path / "conf", late=late, **options) as simulator:
        simulator.set_time(scenarios.OFF_HOURS)
        eventually(
            lambda: len(simulator.phones) == 20 and all(p.registered for p in simulator.phones.values())
        )
        simulator.phones["1002"].behaviour = "busy"
        simulator.phones["1003"].behaviour = "no_answer"
        yield simulator
        assert simulator.errors == []


def originate(simulator: Simulator, variables: str, user: str) -> None:
    with Conversation(simulator.esl_port) as client:
        client.command(f"bgapi originate {{{variables}}}user/{user}@127.0.0.1 1001 XML default")
        eventually(lambda: simulator.channels)


def answered(simulator: Simulator) -> None:
    simulator.phones["1000"].place_call("1001")
    eventually(lambda: simulator.calls)
    simulator.phones["1000"].hangup()


def click_to_dial(simulator: Simulator) -> None:
    uuid = "aaaaaaaa-0000-4000-8000-000000000021"
    originate(simulator, f"origination_uuid={uuid},origination_caller_id_number=1001", "1000")
    eventually(lambda: simulator.calls)
    with Conversation(simulator.esl_port) as client:
        client.api(f"uuid_kill {uuid}")


def not_answered(simulator: Simulator) -> None:
    given = "origination_uuid=aaaaaaaa-0000-4000-8000-000000000022,originate_timeout=2"
    originate(simulator, given, "1003")


def busy(simulator: Simulator) -> None:
    simulator.phones["1000"].place_call("1002")


def name_of(record: Record) -> str:
    """``a`` or ``b``, and a number for the legs of the voicemail and of the phone that was busy."""
    kind = "b" if record["channel_data"]["direction"] == "outbound" else "a"
    channel = record["variables"]["channel_name"]
    if "originator" not in record["variables"] and kind == "b":
        return "a"
    return kind + ("2" if channel == "loopback/voicemail-b" or "/1002@" in channel else "")


@pytest.mark.parametrize(
    ("call", "legs"),
    [(answered, 2), (click_to_dial, 2), (not_answered, 1), (busy, 4)],
    ids=["answered", "click_to_dial", "no_answer", "busy"],
)
def test_each_leg_has_the_file_of_the_real_switch(
    simulator: Simulator, tmp_path: Path, request: pytest.FixtureRequest, call: Call, legs: int
) -> None:
    call(simulator)
    folder = tmp_path / "cdr"
    eventually(lambda: folder.exists() and len(list(folder.iterdir())) == legs and not simulator.channels)
    for path in folder.iterdir():
        record = json.loads(path.read_bytes())
        name = f"{request.node.callspec.id}_{name_of(record)}"
        prefix = "" if "originator" in record["variables"] else "a_"
        assert path.name == f"{prefix}{record['variables']['uuid']}.cdr.json"
        ours, theirs = cleaned(record), cleaned(recorded()[name])
        assert set(theirs) - set(ours) == ONLY_RECORDED.get(name, set())
        assert set(ours) - set(theirs) == set()
        ignored = TOLERATED | RACING.get(name, set())
        for leaf in set(ours) - ignored:
            assert (leaf, ours[leaf]) == (leaf, theirs[leaf])


def test_a_folder_that_cannot_be_written_is_an_error_of_the_simulator(tmp_path: Path) -> None:
    scenarios.prepare(tmp_path)
    (tmp_path / "cdr").write_text("a file")
    with Simulator(tmp_path, cdr_dir=tmp_path / "cdr") as simulator:
        simulator.call_from_outside("none")
        eventually(lambda: simulator.errors)
        assert isinstance(simulator.errors[0], OSError)
