"""`manage.py doctor`: whatever is wrong is named, with its fix, and nothing else is lost over it."""

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from agents.models import Agent
from eslbridge.client import Client
from eslbridge.link import own_switch
from eslbridge.models import PendingChange, Switch
from eslbridge.protocol.errors import Timeout
from eslbridge.publishing.publisher import Publisher
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from pbx import doctor
from pbx.doctor import Finding, Site, Status, files, numbers, ours, safety, switch
from tests.conftest import BASE_DIR
from tests.factories import make_agent, make_hours, make_outbound

pytestmark = pytest.mark.django_db
DOMAIN = "127.0.0.1"
LOCATE = "xml_locate configuration configuration name"


@pytest.fixture
def simulated(switch_folders: Path, settings: Any) -> Iterator[Simulator]:
    """A running switch with a password of its own, to which the settings point."""
    settings.FS_HOST, settings.FS_ESL_PASSWORD, settings.FS_DOMAIN = "127.0.0.1", "a password", ""
    with Simulator(switch_folders, cdr_dir=settings.FS_CDR_DIR, password="a password") as running:
        settings.FS_ESL_PORT = running.esl_port
        yield running


@pytest.fixture
def real_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator passes for somebody's switch."""
    monkeypatch.setattr("eslbridge.simulator.core.Switch.hostname", "pbx1")


@pytest.fixture
def row(simulated: Simulator) -> Switch:
    """The switch as a living worker announces it."""
    row = own_switch()
    row.domain, row.link, row.seen_at, row.worker = DOMAIN, Switch.Link.CONNECTED, timezone.now(), "pbx1:42"
    row.save()
    return row


@pytest.fixture
def publish(row: Switch, settings: Any) -> Callable[[], None]:
    """Brings what waits onto the switch, as its worker does."""

    def now() -> None:
        with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
            client.connect()
            outcome = Publisher(row, client, Path(settings.FS_CONF_DIR)).publish()
        assert not outcome.failed

    return now


def reload(simulated: Simulator) -> None:
    with Client("127.0.0.1", simulated.esl_port, "a password") as client:
        client.connect()
        assert client.api("reloadxml") == "+OK [Success]"


def findings(check: doctor.Check, site: Site | None = None) -> list[Finding]:
    with closing(site or Site()) as asked:
        return list(doctor.carefully(check, asked))


def only(check: doctor.Check, site: Site | None = None) -> Finding:
    found = findings(check, site)
    assert len(found) == 1, found
    return found[0]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class Answering(Site):
    """A site whose switch gives these answers; anything else is a command that it does not know."""

    def __init__(self, **answers: str) -> None:
        super().__init__()
        self.answers = {"hostname": "pbx1", **answers}

    def ask_all(self, commands: list[str]) -> dict[str, str]:
        return {each: self.answers.get(each, f"-ERR {each} Command not found!") for each in commands}


# --- the whole ---------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("doctor", *arguments, stdout=out, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_a_healthy_site_has_no_problem(redis_client: Any, row: Switch, publish: Callable[[], None]) -> None:
    Agent.objects.create(extension="1020", name="Alice")
    publish()
    code, printed = run()
    assert "problem  " not in printed and "warning  " not in printed
    assert code == 0
    for title, _ in doctor.CHECKS:
        assert f" {title}: " in printed


def test_a_problem_ends_with_1_and_says_the_fix(redis_client: Any, row: Switch, settings: Any) -> None:
    settings.FS_ESL_PASSWORD = "another"
    code, printed = run()
    assert code == 1
    assert "problem      Event Socket: 127.0.0.1" in printed
    assert "Fix: Set FS_ESL_PASSWORD" in printed


def test_warnings_alone_end_with_0(redis_client: Any, row: Switch, settings: Any) -> None:
    settings.FS_CDR_DIR = ""
    code, printed = run()
    assert "warning      Call records: " in printed
    assert code == 0


def test_json_holds_the_same(redis_client: Any, row: Switch, settings: Any) -> None:
    code, printed = run("--json")
    report = json.loads(printed)
    assert (code, report["ok"]) == (0, True)
    assert {each["check"] for each in report["checks"]} == {title for title, _ in doctor.CHECKS}
    settings.FS_HOST = ""
    code, printed = run("--json")
    report = json.loads(printed)
    assert (code, report["ok"]) == (1, False)
    socket_line = next(each for each in report["checks"] if each["check"] == "Event Socket")
    assert socket_line["status"] == "problem" and "FS_HOST" in socket_line["said"] and socket_line["fix"]


def test_with_everything_down_each_check_still_has_its_line(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{closed_port()}"
    environment = os.environ | {
        "DATABASE_URL": f"postgres://nobody:secret-word@{nowhere}/none",
        "REDIS_URL": f"redis://:secret-word@{nowhere}/0",
        "FS_HOST": "127.0.0.1",
        "FS_ESL_PORT": nowhere.rpartition(":")[2],
        "FS_ESL_PASSWORD": "secret-word",
        "FS_CONF_DIR": str(tmp_path / "missing"),
    }
    command = [sys.executable, "manage.py", "doctor"]
    done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "secret-word" not in done.stdout + done.stderr
    for title, _ in doctor.CHECKS:
        assert f" {title}: " in done.stdout
    for title in ("Database", "Broker", "Event Socket", "Directory"):
        assert f"problem      {title}: " in done.stdout
    assert done.stderr == ""


def test_a_check_that_fails_itself_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(site: Site) -> Iterator[Finding]:
        yield Finding(Status.OK, "first")
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(
        doctor, "CHECKS", [("One", fails), ("Two", lambda site: iter([Finding(Status.OK, "")]))]
    )
    found = list(doctor.examine())
    assert [(title, finding.status) for title, finding in found] == [
        ("One", Status.OK),
        ("One", Status.UNKNOWN),
        ("Two", Status.OK),
    ]
    assert "ZeroDivisionError" in found[1][1].said


def test_a_deaf_switch_is_waited_for_once(simulated: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def wait(client: Client, commands: list[str], **_: object) -> list[str]:
        asked.append(commands)
        raise Timeout("no answer in time")

    monkeypatch.setattr(Client, "api_many", wait)
    with closing(Site()) as site:
        for check in (switch.check_version, switch.check_modules, files.check_same_directory):
            found = only(check, site)
            assert found.status is Status.UNKNOWN and "no answer in time" in found.said
    assert asked == [["version"]]


def test_a_switch_that_is_lost_in_between(simulated: Simulator) -> None:
    with closing(Site()) as site:
        assert only(switch.check_modules, site).status is Status.OK
        simulated.stop()
        assert only(switch.check_modules, site).status is Status.UNKNOWN


# --- the site's own parts ----------------------------------------------------------------------------


def test_settings() -> None:
    assert only(ours.check_settings).status is Status.OK


def test_a_setting_that_a_system_check_refuses(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = []
    found = only(ours.check_settings)
    assert found.status is Status.PROBLEM and "FIELD_ENCRYPTION_KEYS" in found.said and found.fix


def test_database() -> None:
    assert only(ours.check_database).status is Status.OK
    newest = MigrationLoader(connection).graph.leaf_nodes("cdr")[0]
    MigrationRecorder(connection).record_unapplied(*newest)
    found = only(ours.check_database)
    assert found.status is Status.PROBLEM and found.fix == "python manage.py migrate"


def test_keys_that_cannot_read_the_passwords(settings: Any) -> None:
    Agent.objects.create(extension="1020", name="Alice")
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    found = only(ours.check_database)
    assert found.status is Status.PROBLEM and "FIELD_ENCRYPTION_KEYS" in found.said


def test_broker(redis_client: Any, settings: Any) -> None:
    assert only(ours.check_broker).status is Status.OK
    settings.REDIS_URL = f"redis://127.0.0.1:{closed_port()}/0"
    found = only(ours.check_broker)
    assert found.status is Status.PROBLEM and "REDIS_URL" in found.fix


def test_no_worker_yet() -> None:
    found = only(ours.check_worker)
    assert found.status is Status.PROBLEM and "switch-1" in found.said


def test_worker(row: Switch) -> None:
    found = only(ours.check_worker)
    assert found.status is Status.OK and "pbx1:42" in found.said


def test_worker_that_died(row: Switch) -> None:
    Switch.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    assert only(ours.check_worker).status is Status.PROBLEM


def test_worker_with_another_password(row: Switch) -> None:
    Switch.objects.update(link=Switch.Link.REFUSED)
    found = only(ours.check_worker)
    assert found.status is Status.PROBLEM and "FS_ESL_PASSWORD" in found.said


def test_worker_with_one_connection_only(row: Switch) -> None:
    Switch.objects.update(shares_line_because="Access Denied, go away.")
    (_, found) = findings(ours.check_worker)
    assert found.status is Status.WARNING and "go away" in found.said and "firewalls" in found.fix


def test_worker_that_writes_elsewhere(row: Switch) -> None:
    Switch.objects.update(conf_dir="/srv/other")
    assert [each.status for each in findings(ours.check_worker)] == [Status.OK, Status.WARNING]


def test_another_switch_in_trouble_is_a_warning(row: Switch) -> None:
    Switch.objects.create(name="paris")
    found = findings(ours.check_worker)
    assert found[1].status is Status.WARNING and found[1].said.startswith("paris: ")


def test_changes(row: Switch) -> None:
    assert only(ours.check_changes).said == "nothing waits"
    Agent.objects.create(extension="1020", name="Alice")
    found = only(ours.check_changes)
    assert found.status is Status.OK and found.said.startswith("1 change on the way")
    PendingChange.objects.update(since=timezone.now() - timedelta(minutes=5))
    assert only(ours.check_changes).status is Status.WARNING
    PendingChange.objects.update(error="The switch refused the configuration: line 7")
    found = only(ours.check_changes)
    assert found.status is Status.PROBLEM
    assert "directory/default/1020.xml" in found.said and "line 7" in found.said


def test_failed_and_waiting_changes_are_two_lines(row: Switch) -> None:
    Agent.objects.create(extension="1020", name="Alice")
    Agent.objects.create(extension="1021", name="Bob")
    PendingChange.objects.filter(path__contains="1020").update(error="no")
    assert [each.status for each in findings(ours.check_changes)] == [Status.PROBLEM, Status.OK]


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (0, Status.OK),
        (1.5, Status.OK),
        (-1.5, Status.OK),
        (5, Status.WARNING),
        (-5, Status.WARNING),
        (60, Status.PROBLEM),
        (-60, Status.PROBLEM),
    ],
)
def test_clocks(
    simulated: Simulator, monkeypatch: pytest.MonkeyPatch, seconds: float, status: Status
) -> None:
    real = time.time
    monkeypatch.setattr(ours, "time", SimpleNamespace(time=lambda: real() + seconds))
    found = findings(ours.check_clocks)
    assert [each.status for each in found] == [status, status]
    if status is not Status.OK:
        assert ("behind" if seconds > 0 else "ahead") in found[0].said


def test_the_database_clock_is_read_without_the_switch(settings: Any) -> None:
    settings.FS_HOST = ""
    assert [each.status for each in findings(ours.check_clocks)] == [Status.UNKNOWN, Status.OK]


# --- the switch --------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_event_socket(simulated: Simulator) -> None:
    assert only(switch.check_event_socket).status is Status.OK


def test_event_socket_that_is_not_named(settings: Any) -> None:
    settings.FS_HOST = ""
    found = only(switch.check_event_socket)
    assert found.status is Status.PROBLEM and found.said == "FS_HOST is not set"
    assert only(switch.check_version).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("fault", "said"),
    [("refuse_auth", "refuses the password"), ("reject_acl", "refuses this host's address")],
)
def test_event_socket_that_refuses(simulated: Simulator, fault: str, said: str) -> None:
    getattr(simulated.faults, fault)()
    found = only(switch.check_event_socket)
    assert found.status is Status.PROBLEM and said in found.said and "event_socket.conf.xml" in found.fix


def test_event_socket_where_nobody_listens(settings: Any) -> None:
    settings.FS_HOST, settings.FS_ESL_PORT = "127.0.0.1", closed_port()
    found = only(switch.check_event_socket)
    assert found.status is Status.PROBLEM and "cannot connect" in found.said and "FS_HOST" in found.fix


def test_event_socket_that_is_a_web_server(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.FS_HOST, settings.FS_ESL_PORT = listener.getsockname()

        def serve() -> None:
            with listener.accept()[0] as visitor:
                visitor.sendall(b"HTTP/1.1 400 Bad Request\nConnection: close\n\n")

        thread = threading.Thread(target=serve)
        thread.start()
        found = only(switch.check_event_socket)
        thread.join(5)
    assert found.status is Status.PROBLEM and "is no Event Socket" in found.said


def test_a_password_that_cannot_be_sent(simulated: Simulator, settings: Any) -> None:
    settings.FS_ESL_PASSWORD = "two\nlines"
    found = only(switch.check_event_socket)
    assert found.status is Status.PROBLEM and "lines" not in found.said


def test_the_password_that_everybody_knows(
    switch_folders: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(switch_folders, password="ClueCon") as running:
        settings.FS_HOST, settings.FS_ESL_PORT = "127.0.0.1", running.esl_port
        settings.FS_ESL_PASSWORD = "ClueCon"
        assert only(switch.check_event_socket).status is Status.OK  # a simulator has nothing to lose
        monkeypatch.setattr("eslbridge.simulator.core.Switch.hostname", "pbx1")
        found = findings(switch.check_event_socket)
    assert [each.status for each in found] == [Status.OK, Status.PROBLEM]
    assert "FS_ESL_PASSWORD" in found[1].fix


def test_version(simulated: Simulator) -> None:
    assert only(switch.check_version).said.endswith(", simulated")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("FreeSWITCH Version 1.10.12-release~64bit (-release 64bit)", Status.OK),
        ("FreeSWITCH Version 1.8.7~64bit", Status.OK),
        ("FreeSWITCH Version 1.6.20~64bit (git)", Status.WARNING),
        ("something else", Status.UNKNOWN),
    ],
)
def test_versions(answer: str, status: Status) -> None:
    assert only(switch.check_version, Answering(version=answer)).status is status


def test_modules(simulated: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(switch.check_modules).status is Status.OK
    loaded = {f"module_exists {name}": "true" for name in switch.WITHOUT}
    found = only(switch.check_modules, Answering(**loaded | {"module_exists mod_voicemail": "false"}))
    assert found.status is Status.PROBLEM and "voicemail" in found.said and "modules.conf.xml" in found.fix


def test_domain(simulated: Simulator, settings: Any) -> None:
    assert only(switch.check_domain) == Finding(Status.OK, DOMAIN)
    settings.FS_DOMAIN = DOMAIN
    assert only(switch.check_domain).status is Status.OK
    settings.FS_DOMAIN = "pbx.example.com"
    found = only(switch.check_domain)
    assert found.status is Status.PROBLEM and DOMAIN in found.fix


def test_time_zones_of_business_hours() -> None:
    zone = '<zone name="Europe/Berlin" value="CET-1CEST,M3.5.0,M10.5.0/3"/>'
    there = Answering(**{f"{LOCATE} timezones.conf": f"<configuration>{zone}</configuration>"})
    assert only(switch.check_time_zones, there).said == "no business hours"
    make_hours(time_zone="Europe/Berlin")
    assert only(switch.check_time_zones, there) == Finding(Status.OK, "Europe/Berlin")
    make_hours(name="South", time_zone="America/Coyhaique")
    found = only(switch.check_time_zones, there)
    assert found.status is Status.PROBLEM and "“South”" in found.said and "reload" in found.fix


def test_a_wrong_domain_is_one_problem_and_no_other(
    simulated: Simulator, publish: Callable[[], None], settings: Any
) -> None:
    Agent.objects.create(extension="1020", name="Alice")
    publish()
    write_vanilla(simulated.conf_dir, users=[1003])
    reload(simulated)
    settings.FS_DOMAIN = "pbx.example.com"
    assert only(switch.check_domain).status is Status.PROBLEM
    assert only(files.check_same_directory).status is Status.OK
    assert findings(files.check_includes)[0].status is Status.OK
    assert "like 1003" in only(safety.check_default_password).said


def test_a_directory_without_any_domain(simulated: Simulator) -> None:
    (simulated.conf_dir / "directory/default.xml").unlink()
    reload(simulated)
    assert only(switch.check_domain).status is Status.PROBLEM
    assert only(files.check_includes).status is Status.UNKNOWN


def test_a_domain_beside_the_switchs_own(simulated: Simulator, settings: Any) -> None:
    edit(simulated.conf_dir / "directory/default.xml", 'name="$${domain}"', 'name="pbx.example.com"')
    reload(simulated)
    settings.FS_DOMAIN = "pbx.example.com"
    assert only(switch.check_domain).status is Status.WARNING


def test_profile(simulated: Simulator) -> None:
    found = only(switch.check_profile)
    assert found.status is Status.OK and "0 registrations" in found.said


def test_profile_that_keeps_phones_in_another_domain(simulated: Simulator) -> None:
    profile = simulated.conf_dir / "sip_profiles/internal.xml"
    edit(profile, 'domain" value="$${domain}"', 'domain" value="pbx.example.com"')
    reload(simulated)
    found = only(switch.check_profile)
    assert found.status is Status.PROBLEM and "pbx.example.com" in found.said and DOMAIN in found.fix


def test_profile_that_does_not_run() -> None:
    found = only(
        switch.check_profile, Answering(**{"sofia xmlstatus profile internal reg": "Invalid Profile!"})
    )
    assert found.status is Status.PROBLEM and "not running" in found.said


def test_phones_that_registered_elsewhere(settings: Any) -> None:
    settings.FS_DOMAIN = "pbx.example.com"
    rows = "".join(
        f"<registration><user>{user}</user></registration>"
        for user in ("1000@pbx.example.com", "1001@10.0.0.7")
    )
    listing = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
    listing += f"<profile><registrations>{rows}</registrations></profile>"
    found = only(switch.check_profile, Answering(**{"sofia xmlstatus profile internal reg": listing}))
    assert (
        found.status is Status.WARNING and found.said.startswith("1 phone ") and "1001@10.0.0.7" in found.said
    )


# --- its files ---------------------------------------------------------------------------------------


def test_directory(switch_folders: Path, settings: Any) -> None:
    before = sorted(switch_folders.rglob("*"))
    assert only(files.check_directory).status is Status.OK
    assert sorted(switch_folders.rglob("*")) == before
    (switch_folders / "freeswitch.xml").unlink()
    assert "freeswitch.xml" in only(files.check_directory).said
    settings.FS_CONF_DIR = str(switch_folders / "missing")
    found = only(files.check_directory)
    assert found.status is Status.PROBLEM and "FS_CONF_DIR" in found.fix


def test_a_folder_that_is_made_with_its_first_file(switch_folders: Path) -> None:
    (switch_folders / "dialplan/public").rmdir()
    assert only(files.check_directory).status is Status.OK


def test_a_file_where_a_folder_should_be(switch_folders: Path) -> None:
    (switch_folders / "dialplan/public").rmdir()
    (switch_folders / "dialplan/public").touch()
    assert only(files.check_directory).status is Status.PROBLEM


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("mode", "said"), [(0o755, "may not be written"), (0o700, "may not be read")])
def test_a_directory_of_somebody_elses(settings: Any, mode: int, said: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        write_vanilla(folder)
        os.chmod(folder, mode)
        settings.FS_CONF_DIR = folder
        os.seteuid(65534)
        try:
            found = findings(files.check_directory)
        finally:
            os.seteuid(0)
    assert {each.status for each in found} == {Status.PROBLEM}
    assert all(said in each.said for each in found)


def test_same_directory_by_its_path(simulated: Simulator) -> None:
    found = only(files.check_same_directory)
    assert found.status is Status.OK and "by its path" in found.said


def test_same_directory_by_a_file_that_the_switch_has(
    simulated: Simulator, publish: Callable[[], None], settings: Any, tmp_path: Path
) -> None:
    Agent.objects.create(extension="1020", name="Alice")
    publish()
    assert "1020.xml" in only(files.check_same_directory).said
    # as in a container: other names for the same files
    (tmp_path / "mounted").mkdir()
    for name in ("directory", "dialplan", "freeswitch.xml"):
        (tmp_path / "mounted" / name).symlink_to(simulated.conf_dir / name)
    settings.FS_CONF_DIR = str(tmp_path / "mounted")
    found = only(files.check_same_directory)
    assert found.status is Status.OK and "1020.xml" in found.said and str(simulated.conf_dir) in found.said


def test_same_directory_among_many_hand_made_files(simulated: Simulator, publish: Callable[[], None]) -> None:
    write_vanilla(simulated.conf_dir, users=range(1000, 1030))
    Agent.objects.create(extension="1900", name="Alice")
    publish()
    assert "1900.xml" in only(files.check_same_directory).said


def test_another_directory_of_this_host(simulated: Simulator, settings: Any, tmp_path: Path) -> None:
    write_vanilla(tmp_path / "other")
    settings.FS_CONF_DIR = str(tmp_path / "other")
    found = only(files.check_same_directory)
    assert found.status is Status.PROBLEM and found.fix == f"Set FS_CONF_DIR={simulated.conf_dir}"


def test_the_same_path_in_another_namespace(simulated: Simulator, publish: Callable[[], None]) -> None:
    Agent.objects.create(extension="1020", name="Alice")
    publish()
    ours_now = simulated.conf_dir / "directory/default/1020.xml"
    edit(ours_now, 'patchbay_revision" value="', 'patchbay_revision" value="0')
    found = only(files.check_same_directory)
    assert found.status is Status.PROBLEM and "sync_xml" in found.fix


def test_a_switch_elsewhere_is_not_judged_by_a_path(settings: Any, switch_folders: Path) -> None:
    settings.FS_HOST, settings.FS_DOMAIN = "192.0.2.9", DOMAIN
    answers = {"global_getvar conf_dir": str(switch_folders), f"domain_exists {DOMAIN}": "true"}
    assert only(files.check_same_directory, Answering(**answers)).status is Status.UNKNOWN


def test_includes_of_an_empty_switch(simulated: Simulator) -> None:
    found = {each.said.partition("/*")[0]: each.status for each in findings(files.check_includes)}
    assert found == {
        "directory/default": Status.UNKNOWN,
        "dialplan": Status.OK,
        "dialplan/default": Status.UNKNOWN,
        "dialplan/public": Status.UNKNOWN,
    }


DID = """\
<include>
  <extension name="by hand">
    <condition field="destination_number" expression="^5551$"/>
  </extension>
</include>
"""


def test_includes(simulated: Simulator, publish: Callable[[], None]) -> None:
    Agent.objects.create(extension="1020", name="Alice")
    call_command("sync_xml", stdout=io.StringIO())
    (simulated.conf_dir / "dialplan/public/by_hand.xml").write_text(DID)
    reload(simulated)
    assert [each.status for each in findings(files.check_includes)] == [Status.OK] * 4


def test_an_example_in_a_comment_is_not_looked_for(simulated: Simulator) -> None:
    write_vanilla(simulated.conf_dir, users=[1000])
    edit(
        simulated.conf_dir / "directory/default/1000.xml",
        "<include>\n",
        '<include>\n<!-- <user id="joe"> -->\n',
    )
    reload(simulated)
    assert findings(files.check_includes)[0].status is Status.OK


@pytest.mark.parametrize(
    ("file", "line", "directory"),
    [
        ("directory/default.xml", '<X-PRE-PROCESS cmd="include" data="default/*.xml"/>', "directory/default"),
        ("dialplan/default.xml", '<X-PRE-PROCESS cmd="include" data="default/*.xml"/>', "dialplan/default"),
        ("dialplan/public.xml", '<X-PRE-PROCESS cmd="include" data="public/*.xml"/>', "dialplan/public"),
    ],
)
def test_an_include_that_is_missing(simulated: Simulator, file: str, line: str, directory: str) -> None:
    write_vanilla(simulated.conf_dir, users=[1000])
    for folder in ("default", "public"):
        (simulated.conf_dir / f"dialplan/{folder}/by_hand.xml").write_text(DID)
    edit(simulated.conf_dir / file, line, "")
    reload(simulated)
    found = findings(files.check_includes)
    bad = [each for each in found if each.status is Status.PROBLEM]
    assert len(found) == 4 and len(bad) == 1
    assert bad[0].said.startswith(f"{directory}/*.xml is not read") and "X-PRE-PROCESS" in bad[0].fix


def test_records_of_the_simulator(simulated: Simulator, settings: Any) -> None:
    assert only(files.check_records).status is Status.OK
    Path(settings.FS_CDR_DIR).rmdir()
    assert only(files.check_records).status is Status.OK  # it is made with the first call
    Path(settings.FS_CDR_DIR).touch()
    assert only(files.check_records).status is Status.PROBLEM
    settings.FS_CDR_DIR = ""
    assert only(files.check_records).status is Status.WARNING


def records(log_dir: str | None, **params: str) -> Answering:
    """A real switch's mod_json_cdr with this log-dir and these parameters."""
    found = {**params, **({} if log_dir is None else {"log-dir": log_dir})}
    conf = "".join(f'<param name="{name}" value="{value}"/>' for name, value in found.items())
    return Answering(
        **{
            "module_exists mod_json_cdr": "true",
            "global_getvar log_dir": "/nowhere/log",
            f"{LOCATE} json_cdr.conf": f"<configuration>{conf}</configuration>",
        }
    )


@pytest.fixture
def cdr_dir(tmp_path: Path, settings: Any) -> str:
    settings.FS_HOST, settings.FS_CDR_DIR = "127.0.0.1", str(tmp_path / "cdr")
    (tmp_path / "cdr").mkdir()
    return settings.FS_CDR_DIR


def test_records_where_the_switch_writes_them(cdr_dir: str, settings: Any, tmp_path: Path) -> None:
    assert only(files.check_records, records(cdr_dir)).status is Status.OK
    settings.FS_CDR_DIR = str(tmp_path)
    found = only(files.check_records, records(cdr_dir))
    assert found.status is Status.PROBLEM and found.fix == f"Set FS_CDR_DIR={cdr_dir}"
    settings.FS_CDR_DIR = ""
    found = only(files.check_records, records(cdr_dir))
    assert found.status is Status.WARNING and found.fix == f"Set FS_CDR_DIR={cdr_dir}"


@pytest.mark.parametrize(("log_dir", "place"), [("", "/nowhere/log/json_cdr"), ("cdr", "/nowhere/log/cdr")])
def test_records_in_a_folder_that_is_not_here(cdr_dir: str, log_dir: str, place: str) -> None:
    found = only(files.check_records, records(log_dir))
    assert found.status is Status.UNKNOWN and f"{place}," in found.said


@pytest.mark.parametrize(
    "site",
    [
        records(None),
        records("", url="http://127.0.0.1/cdr"),
        records("", rotate="true"),
        records("", **{"log-b-leg": "false"}),
        Answering(**{"module_exists mod_json_cdr": "false"}),
        Answering(**{"module_exists mod_json_cdr": "true"}),
    ],
    ids=["no log-dir", "url only", "rotate", "A-legs only", "not loaded", "no configuration"],
)
def test_records_that_are_not_written(cdr_dir: str, settings: Any, site: Site) -> None:
    found = only(files.check_records, site)
    assert found.status is Status.PROBLEM and "missing from the records" in found.said
    settings.FS_CDR_DIR = ""  # who never asked for them is only told
    assert only(files.check_records, site).status is Status.WARNING


def test_records_kept_beside_a_url(cdr_dir: str) -> None:
    kept = {"url": "http://127.0.0.1/cdr", "log-http-and-disk": "true"}
    assert only(files.check_records, records(cdr_dir, **kept)).status is Status.OK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("mode", "said"), [(0o755, "may not be written"), (0o700, "may not be read")])
def test_records_that_belong_to_somebody_else(settings: Any, mode: int, said: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, mode)
        settings.FS_HOST, settings.FS_CDR_DIR = "127.0.0.1", folder
        os.seteuid(65534)
        try:
            found = only(files.check_records, records(folder))
        finally:
            os.seteuid(0)
    assert found.status is Status.PROBLEM and said in found.said


# --- its safety --------------------------------------------------------------------------------------


def test_exposure(simulated: Simulator) -> None:
    assert only(safety.check_exposure).status is Status.OK
    edit(
        simulated.conf_dir / "autoload_configs/event_socket.conf.xml",
        'listen-ip" value="127.0.0.1',
        'listen-ip" value="::',
    )
    reload(simulated)
    assert only(safety.check_exposure).status is not Status.OK


def listening(address: str, *acl: str, lets_in: str = "") -> Answering:
    """A switch with this listen-ip and these ACLs; strangers are let in by those in `lets_in`."""
    params = f'<param name="listen-ip" value="{address}"/>'
    params += "".join(f'<param name="apply-inbound-acl" value="{name}"/>' for name in acl)
    answers = {
        f"acl 203.0.113.1 {name}": str(name in lets_in.split()).lower() for name in (*acl, "loopback.auto")
    }
    found = f"<configuration>{params}</configuration>"
    return Answering(**answers | {f"{LOCATE} event_socket.conf": found})


@pytest.mark.parametrize(
    ("site", "status"),
    [
        (listening("127.0.0.1"), Status.OK),
        (listening("::1"), Status.OK),
        (listening("localhost"), Status.OK),
        (listening("0.0.0.0"), Status.WARNING),
        (listening("::"), Status.WARNING),
        (listening("10.0.0.5"), Status.WARNING),
        (listening("::", ""), Status.WARNING),
        (listening("::", "lan"), Status.OK),
        (listening("::", "any.auto", lets_in="any.auto"), Status.PROBLEM),
        (listening("0.0.0.0", "any.auto", "lan", lets_in="any.auto"), Status.OK),
        (listening("0.0.0.0", "0.0.0.0/0", lets_in="0.0.0.0/0"), Status.PROBLEM),
        (Answering(), Status.UNKNOWN),
    ],
)
def test_who_may_reach_the_event_socket(site: Site, status: Status) -> None:
    found = only(safety.check_exposure, site)
    assert found.status is status
    assert bool(found.fix) == (status in (Status.WARNING, Status.PROBLEM))


def test_default_password_that_nothing_uses(simulated: Simulator) -> None:
    assert only(safety.check_default_password).status is Status.OK


def test_default_password_of_a_phone(simulated: Simulator) -> None:
    write_vanilla(simulated.conf_dir, users=[1003, 1004])
    reload(simulated)
    found = only(safety.check_default_password)
    assert found.status is Status.WARNING
    assert found.said.startswith("2 phones, like 1003") and "vars.xml" in found.fix


def test_default_password_of_an_adopted_agent(
    simulated: Simulator, row: Switch, publish: Callable[[], None]
) -> None:
    for extension in ("1003", "1004"):
        Agent.objects.create(extension=extension, name="Adopted", password="1234")
    Agent.objects.create(extension="1005", name="New")
    publish()
    found = only(safety.check_default_password)
    assert found.status is Status.WARNING
    assert found.said.startswith("2 agents, like 1003") and "New passwords" in found.fix
    edit(simulated.conf_dir / "vars.xml", "default_password=1234", "default_password=long and unknown")
    reload(simulated)
    assert only(safety.check_default_password) == found, "their password is their own by now"


def test_default_password_that_delays_calls(simulated: Simulator) -> None:
    rule = '<condition field="${default_password}" expression="^1234$" break="never">\n'
    rule += '<action application="sleep" data="10000"/>\n</condition>\n'
    edit(
        simulated.conf_dir / "dialplan/default.xml",
        '<extension name="unloop">',
        f'<extension name="unloop">\n{rule}',
    )
    reload(simulated)
    found = only(safety.check_default_password)
    assert found.status is Status.WARNING and "waits 10 s" in found.said


def test_default_password_that_was_changed(simulated: Simulator) -> None:
    write_vanilla(simulated.conf_dir, users=[1003])
    edit(simulated.conf_dir / "vars.xml", "default_password=1234", "default_password=long and unknown")
    reload(simulated)
    found = only(safety.check_default_password)
    assert found.status is Status.OK and "long and unknown" not in found.said


# --- caller ID ---------------------------------------------------------------------------------------


def test_calls_that_would_go_out_with_the_extension_are_told_with_the_fix(settings: Any) -> None:
    settings.DEFAULT_CALLER_ID = settings.EMERGENCY_CALLER_ID = ""

    def said() -> list[tuple[str, str]]:
        return [(each.said, each.fix) for each in findings(numbers.check_caller_id)]

    assert said() == [("no calls go out: there is no route", "")]
    alice = make_agent(1020, name="Alice")
    make_agent(1021, is_active=False)
    route = make_outbound(name="all")
    (agents, fix), (emergency, _) = said()
    assert "1 agent, like 1020 Alice, would call out with the extension" in agents
    assert "DEFAULT_CALLER_ID" in fix
    assert "route all" in fix
    assert "emergency services would see the extension" in emergency

    settings.EMERGENCY_CALLER_ID = "+19495550000"
    Agent.objects.filter(pk=alice.pk).update(outbound_caller_id="+19495431333")
    assert said() == [("each call that can go out has a caller ID", "")]
    route.caller_id = "site"
    route.save()
    ((site_wide, _),) = said()
    assert "by the outbound route all go out with the extension" in site_wide
    settings.DEFAULT_CALLER_ID = "+19495550000"
    assert [each.status for each in findings(numbers.check_caller_id)] == [Status.OK]
