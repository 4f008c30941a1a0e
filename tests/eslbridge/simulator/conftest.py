"""A simulator with a few users for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla

from . import scenarios
from .conversation import Conversation, eventually

DID_FILE = """\
<include>
  <extension name="did">
    <condition field="destination_number" expression="^\\+?(19495431333)$">
      <action application="transfer" data="1000 XML default"/>
    </condition>
  </extension>
</include>
"""


@pytest.fixture
def conf_dir(tmp_path: Path) -> Path:
    write_vanilla(tmp_path / "conf", users=range(1000, 1004))
    (tmp_path / "conf/dialplan/public/did.xml").write_text(DID_FILE)
    return tmp_path / "conf"


@pytest.fixture
def simulator(conf_dir: Path, tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(conf_dir, cdr_dir=tmp_path / "cdr", answer_after=0.05, register_delay=0.01) as started:
        started.set_time(scenarios.OFF_HOURS)
        eventually(lambda: len(started.phones) == 4 and all(p.registered for p in started.phones.values()))
        yield started
        assert started.errors == []


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Conversation]:
    with Conversation(simulator.esl_port) as conversation:
        yield conversation
