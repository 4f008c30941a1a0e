"""The publisher against a real FreeSWITCH: FS_HOST, FS_ESL_PORT, FS_ESL_PASSWORD and FS_CONF_DIR name it.

For a switch that nobody works with: it gets agents from 987000 on, broken files and reloads, and at the end
whatever is new in its directory is removed.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agents import presence
from agents.presence import take_stock
from eslbridge.client import Client
from eslbridge.models import PendingChange, Switch
from eslbridge.originate import Originate
from eslbridge.publishing import outbox
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.publisher import Publisher
from eslbridge.publishing.state import sync_states
from tests.factories import make_agent, make_route, make_switch

pytestmark = [pytest.mark.real_switch, pytest.mark.django_db]

NAMES = [
    "Grace Hopper",
    "O'Neil",
    "Smith, John",
    "A & B <sales>",
    "Zoë Ångström",
    "🦊 fox",
    "שלום עולם",
    "x-pre-process",
    "X-PRE-PROCESS cmd=set",
    "<include>",
    "</include>",
    "<?xml?>",
    "<!--#set a=b-->",
    "-->",
    "$name",
    "&amp;",
    "&#x24;&#x24;",
    "50% = $5; a|b",
    "n" * 80,
]


@pytest.fixture
def esl() -> Iterator[Client]:
    environment = os.environ
    port, password = (
        int(environment.get("FS_ESL_PORT", "8021")),
        environment.get("FS_ESL_PASSWORD", "ClueCon"),
    )
    with Client(environment["FS_HOST"], port, password) as client:
        client.connect()
        yield client


@pytest.fixture
def conf_dir() -> Path:
    return Path(os.environ["FS_CONF_DIR"])


@pytest.fixture
def switch(conf_dir: Path, esl: Client) -> Switch:
    return make_switch(conf_dir=str(conf_dir), domain=esl.api("global_getvar", "domain"))


@pytest.fixture
def publisher(switch: Switch, esl: Client, conf_dir: Path) -> Iterator[Publisher]:
    before = set(conf_dir.rglob("*"))
    yield Publisher(switch, esl, conf_dir)
    new = [path for path in conf_dir.rglob("*") if path not in before]
    for path in new:
        path.unlink()
    assert not any(path.suffix == ".patchbay-tmp" for path in new)
    assert esl.api("reloadxml") == "+OK [Success]"


def test_every_name_arrives_as_it_was_typed(publisher: Publisher, switch: Switch) -> None:
    agents = [make_agent(987000 + number, name=name) for number, name in enumerate(NAMES)]

    outcome = publisher.publish()

    assert outcome.failed == {}
    assert outcome.reloads == 1
    asked = [f"user_data {agent.extension}@{switch.domain} var effective_caller_id_name" for agent in agents]
    assert publisher.client.api_many(asked) == NAMES


def test_everything_that_a_new_switch_gets_is_read_back(publisher: Publisher, switch: Switch) -> None:
    make_route(make_agent(987001), did="+19495431333")
    queue_differences(switch, differences(switch, publisher.disk.root))
    assert publisher.publish().failed == {}
    assert differences(switch, publisher.disk.root) == []


def test_an_agent_that_goes_is_unknown_at_once(publisher: Publisher, switch: Switch, esl: Client) -> None:
    agent = make_agent(987001)
    publisher.publish()
    assert esl.api("user_exists", f"id 987001 {switch.domain}") == "true"
    agent.delete()
    assert publisher.publish().failed == {}
    assert esl.api("user_exists", f"id 987001 {switch.domain}") == "false"


def test_a_shadowed_user_is_found_out(publisher: Publisher, conf_dir: Path) -> None:
    shadow = conf_dir / "directory/default/0_shadow.xml"
    shadow.write_text('<include>\n  <user id="987001"><params/></user>\n</include>\n')
    agent = make_agent(987001)
    publisher.publish()
    assert "look for a second file with this user id" in sync_states([agent])[agent.pk].why


def test_somebody_elses_broken_file_is_named_and_ours_are_put_back(
    publisher: Publisher, switch: Switch, conf_dir: Path, esl: Client
) -> None:
    agent = make_agent(987001, name="Before")
    publisher.publish()
    file = conf_dir / "directory/default/987001.xml"
    before = file.read_bytes()
    broken = conf_dir / "directory/default/zz_broken.xml"
    broken.write_text('<include>\n  <user id="987999">\n</users>\n</include>\n')
    agent.name = "After"
    agent.save()

    publisher.publish()

    why = sync_states([agent])[agent.pk].why
    assert why.startswith("The switch refused the configuration: +OK [[error near line")
    assert "directory/default/zz_broken.xml, line " in why
    assert file.read_bytes() == before
    broken.unlink()
    outbox.retry(switch.pending.all())
    assert publisher.publish().failed == {}
    assert not PendingChange.objects.exists()
    name = esl.api("user_data", f"987001@{switch.domain} var effective_caller_id_name")
    assert name == "After"


def test_a_thousand_agents_are_one_reload_and_read_back(publisher: Publisher) -> None:
    for number in range(1000):
        make_agent(988000 + number)
    outcome = publisher.publish()
    assert (len(outcome.written), outcome.failed, outcome.reloads) == (1000, {}, 1)


@pytest.mark.parametrize(
    "values",
    [
        ["O'Neil", "D'Arcy, J"],
        ["a=b,c=d", "\\", "'", '"'],
        ["it's, \\'quoted\\'", "two  blanks", "\\s\\n"],
        ["Zoë 🦊", "[leg=1]", "<all=1>", "^^:a:b"],
    ],
)
def test_values_arrive_through_originate(esl: Client, switch: Switch, values: list[str]) -> None:
    """On a channel of the switch's own, which `user/` does not lead to: the dial string is exchanged."""
    uuid = uuid4()
    variables = {f"patchbay_{number}": value for number, value in enumerate(values)}
    command = str(Originate("1000", switch.domain, "9664", "default", uuid, 5, variables))
    command = command.replace(f"user/1000@{switch.domain}", "loopback/9664/default")
    esl.bgapi("originate", command).result(20)
    try:
        found = [esl.api("uuid_getvar", f"{uuid} {name}") for name in variables]
    finally:
        esl.api_many([f"uuid_kill {uuid}"])
    assert found == values


def test_the_switchs_list_of_registrations_can_be_read(
    esl: Client, switch: Switch, redis_client: object
) -> None:
    take_stock(switch, esl.api(*presence.listing_command().split(" ", 1)))
