"""Every recorded conversation, held again with the simulator in the state that the real switch was in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import recordings

from . import normal, scenarios
from .normal import Line

# Here the switch's own order between two legs that go down was another; each leg for itself is in order.
OTHER_INTERLEAVING = {"inbound_did", "park_and_retrieve", "transfer_of_the_b_leg"}
# Bodies that depend on how the recorded switch was installed and what it had done before.
OTHER_BODIES = {"api_queries", "reloadxml_error"}
# A leg that goes down names itself or its former caller as its call, whichever thread was first.
RACING_VALUES = {"Channel-Call-UUID", "variable_call_uuid"}


@pytest.mark.parametrize("name", recordings.names())
def test_the_simulator_answers_as_the_recorded_switch_did(name: str, tmp_path: Path) -> None:
    recording = recordings.load(name)
    simulator = scenarios.start(tmp_path, scenarios.SCENARIOS.get(name, scenarios.Scenario()))
    try:
        frames, ended = scenarios.play(recording, simulator)
    finally:
        simulator.stop()
    assert simulator.errors == []
    assert simulator.executed_commands == []
    wanted = normal.lines_of([frame for group in scenarios.recorded_frames(recording) for frame in group])
    given = normal.lines_of(frames)
    if name not in OTHER_INTERLEAVING:
        assert [line.key for line in given] == [line.key for line in wanted]
    for ours, theirs in zip(normal.by_leg(given), normal.by_leg(wanted), strict=True):
        assert [line.key for line in ours] == [line.key for line in theirs]
        for our, their in zip(ours, theirs, strict=True):
            assert_same(our, their, bodies=name not in OTHER_BODIES)
    recorded_end = bool(recording.steps[-1].by_switch and not recording.steps[-1].data)
    assert ended == recorded_end


def assert_same(ours: Line, theirs: Line, bodies: bool) -> None:
    """Same headers with the same values; those that are no variables in the same order, too."""
    assert sorted(ours.header_names) == sorted(theirs.header_names), ours.key
    assert _without_variables(ours) == _without_variables(theirs), ours.key
    known = dict(theirs.headers)
    for header, value in ours.headers:
        if not (ours.free and header in RACING_VALUES):
            assert (header, value) == (header, known[header]), ours.key
    if bodies:
        assert ours.body == theirs.body, ours.key


def _without_variables(line: Line) -> list[str]:
    return [name for name in line.header_names if not name.startswith("variable_")]
