"""What tests of the configuration flow share: a switch's row, a connection to it, and its publisher."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from eslbridge.client import Client
    from eslbridge.models import Switch
    from eslbridge.publishing.publisher import Publisher
    from eslbridge.simulator import Simulator


@pytest.fixture
def switch(db: None, switch_folders: Path) -> "Switch":
    """The row of the switch that the settings name. Ask for `simulator` too to have it running."""
    from tests.factories import make_switch

    return make_switch()


@pytest.fixture
def esl(simulator: "Simulator") -> Iterator["Client"]:
    """A connection to the simulated switch."""
    from eslbridge.client import Client

    with Client("127.0.0.1", simulator.esl_port, "ClueCon") as client:
        client.connect()
        yield client


@pytest.fixture
def publisher(switch: "Switch", esl: "Client", settings: Any) -> "Publisher":
    """Publishes to the simulated switch, in this thread."""
    from eslbridge.publishing.publisher import Publisher

    return Publisher(switch, esl, Path(settings.FS_CONF_DIR))
