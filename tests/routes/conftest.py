"""The publisher and what it needs, as in the tests of the bridge; an office to call."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eslbridge.client import Client
from eslbridge.publishing.publisher import Publisher
from tests.eslbridge.conftest import esl, publisher, switch  # noqa: F401
from tests.routes.office import Office, open_office


@pytest.fixture
def office(db: None, switch_folders: Path, settings: Any) -> Iterator[Office]:
    """An office on a switch of its own, in the United States, whose number is +19495550000."""
    from tests.factories import make_switch

    settings.DEFAULT_CALLER_ID = "+19495550000"
    variables = switch_folders / "vars.xml"  # with its own password vanilla keeps callers waiting ten seconds
    variables.write_text(variables.read_text().replace("default_password=1234", "default_password=changed"))
    with open_office(switch_folders, Path(settings.FS_CDR_DIR)) as running:
        with Client("127.0.0.1", running.esl_port, "ClueCon") as client:
            client.connect()
            row = make_switch(domain="127.0.0.1")
            yield Office(running, Publisher(row, client, switch_folders), client)
        assert not running.errors
        assert not running.switch.executed_commands
