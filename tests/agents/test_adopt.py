"""`manage.py adopt_xml`: hand-made users become agents with their passwords, all of them or none."""

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.utils import timezone

from agents.adopt import Candidate, HandMade, Place, Unreadable, applying, plan, read
from agents.models import Agent
from agents.switchxml import agent_file
from eslbridge.link import own_switch
from eslbridge.models import PendingChange
from eslbridge.publishing import Target
from eslbridge.publishing.files import ConfDir
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from eslbridge.switchxml import managed_by
from tests.conftest import wait_until

DOMAIN = "127.0.0.1"
USERS = "directory/default"
FOUND = "a secret of Alice's"


@pytest.fixture
def conf(switch_folders: Path, settings: Any) -> Path:
    """Vanilla with three of its users, and no switch to ask."""
    settings.FS_HOST, settings.FS_DOMAIN, settings.DEFAULT_CALLER_ID = "", DOMAIN, ""
    write_vanilla(switch_folders, users=range(1000, 1003))
    return switch_folders


def user(
    number: str = "1005", *, more: str = "", inside: str = "", password: str = FOUND, **names: str
) -> str:
    """A user file as somebody wrote it; `names` are variables, `more` attributes, `inside` elements."""
    variables = {
        "user_context": "default",
        "toll_allow": "local",
        "effective_caller_id_name": "Alice",
    } | names
    lines = [f'      <variable name="{name}" value="{value}"/>' for name, value in variables.items() if value]
    return "\n".join(
        [
            "<include>",
            f'  <user id="{number}"{more}>',
            "    <params>",
            f'      <param name="password" value="{password}"/>',
            '      <param name="vm-password" value="4711"/>',
            "    </params>",
            "    <variables>",
            *lines,
            "    </variables>",
            inside,
            "  </user>",
            "</include>",
            "",
        ]
    )


def add(conf: Path, text: str, name: str = "1005.xml") -> Path:
    file = conf / USERS / name
    file.write_text(text)
    return file


def tree(conf: Path) -> dict[str, bytes]:
    return {str(each.relative_to(conf)): each.read_bytes() for each in conf.rglob("*") if each.is_file()}


def planned(conf: Path, passwords: dict[str, str] | None = None, **place: Any) -> dict[str, Candidate]:
    """The candidates by their user id."""
    found = plan(read(conf), Place(conf, **{"domain": DOMAIN, **place}), passwords or {})
    return {each.user.id: each for each in found}


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("adopt_xml", *arguments, stdout=out, stderr=out)
    return out.getvalue()


# --- reading -------------------------------------------------------------------------------------------


def by_id(users: list[HandMade]) -> dict[str, HandMade]:
    return {each.id: each for each in users}


def test_vanilla_is_read_with_its_variables(conf: Path) -> None:
    found = by_id(read(conf))
    assert list(found) == ["1000", "1001", "1002"]
    alice = found["1000"]
    assert (alice.domain, alice.group, alice.file.name) == (DOMAIN, "default", "1000.xml")
    assert alice.params["password"] == "1234"
    assert alice.variables["outbound_caller_id_number"] == "0000000000"
    assert alice.is_alone


def test_values_of_the_domain_and_the_group_are_inherited(conf: Path) -> None:
    directory = conf / "directory/default.xml"
    group = '<group name="default">\n<params>\n<param name="vm-password" value="9876"/>\n</params>\n'
    group += '<variables>\n<variable name="toll_allow" value="local"/>\n</variables>'
    directory.write_text(directory.read_text().replace('<group name="default">', group))
    add(conf, user(toll_allow=""))
    found = by_id(read(conf))
    assert found["1005"].variables["toll_allow"] == "local"
    assert found["1005"].variables["record_stereo"] == "true"  # of the domain
    assert found["1000"].variables["toll_allow"] == "domestic,international,local"  # its own
    assert "toll_allow" not in found["1005"].own
    assert found["1005"].params["vm-password"] == "4711"


def test_what_stands_on_the_line_of_an_include_tag_is_not_there(conf: Path) -> None:
    add(
        conf,
        '<include><user id="1005"><params><param name="password" value="x"/></params></user></include>',
    )
    assert "1005" not in by_id(read(conf))


def test_an_include_in_a_comment_is_executed(conf: Path) -> None:
    (conf / "directory/more").mkdir()
    (conf / "directory/more/1005.xml").write_text(user())
    add(
        conf,
        '<include>\n<!-- <X-PRE-PROCESS cmd="include" data="../more/*.xml"/> -->\n</include>\n',
        "more.xml",
    )
    assert by_id(read(conf))["1005"].file == conf / USERS / "../more/1005.xml"


def test_a_line_that_only_names_the_command_is_dropped(conf: Path) -> None:
    text = user().replace('<param name="vm-password"', '<param name="X-PRE-PROCESS"')
    add(conf, text)
    assert "x-pre-process" not in by_id(read(conf))["1005"].params


def test_comments_are_no_users(conf: Path) -> None:
    add(conf, "<include>\n<!--\n" + "\n".join(user("1006").splitlines()[1:-1]) + "\n-->\n</include>\n")
    assert "1006" not in by_id(read(conf))


def test_files_of_any_editor(conf: Path) -> None:
    (conf / USERS / "1005.xml").write_bytes(
        b"\xef\xbb\xbf" + user(password="a&amp;b").replace("\n", "\r\n").encode()
    )
    add(conf, user("1006", password="a&b"), "1006.xml")  # the switch takes a lone & for itself
    found = by_id(read(conf))
    assert found["1005"].params["password"] == found["1006"].params["password"] == "a&b"


def test_a_variable_that_only_the_switch_knows(conf: Path) -> None:
    add(conf, user(password="$${secret_of_the_house}"))
    found = by_id(read(conf, {"secret_of_the_house": "known to it"}))
    assert found["1005"].params["password"] == "known to it"
    assert by_id(read(conf, {}))["1005"].params["password"] == ""  # as the switch has it
    assert "secret_of_the_house" in by_id(read(conf))["1005"].params["password"]


def test_what_the_files_set_wins_over_what_the_switch_still_has(conf: Path) -> None:
    assert by_id(read(conf, {"default_password": "before the edit"}))["1000"].params["password"] == "1234"


def test_a_command_is_never_run(conf: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    variables = conf / "vars.xml"
    lines = f'<X-PRE-PROCESS cmd="exec-set" data="default_password=touch {witness}"/>\n'
    lines += f'<X-PRE-PROCESS cmd="exec" data="touch {witness}"/>\n</include>'
    variables.write_text(variables.read_text().replace("</include>", lines))
    assert "default_password" in by_id(read(conf))["1000"].params["password"]
    assert by_id(read(conf, {"default_password": "as run"}))["1000"].params["password"] == "1234"
    assert not witness.exists()


def test_a_broken_file_is_named(conf: Path) -> None:
    add(conf, '<include>\n<user id="1005">\n</include>\n')
    with pytest.raises(Unreadable, match=r"1005\.xml"):
        read(conf)


def test_a_folder_of_user_files(conf: Path) -> None:
    assert list(by_id(read(conf / USERS))) == ["1000", "1001", "1002"]
    with pytest.raises(Unreadable):
        read(conf / "dialplan/public")


# --- planning ------------------------------------------------------------------------------------------

pytestmark = pytest.mark.django_db


def test_what_comes_over(conf: Path) -> None:
    text = user(
        callgroup="sales",
        toll_allow="domestic,international",
        effective_caller_id_number="4321",
        outbound_caller_id_number="+12025550110",
        rtp_secure_media="true",
    )
    add(conf, text.replace("</params>", '<param name="vm-mailto" value="alice@example.com"/>\n</params>'))
    found = planned(conf)["1005"]
    assert found.can_be_adopted
    agent = found.agent
    assert (agent.extension, agent.name, agent.password) == ("1005", "Alice", FOUND)
    assert (agent.caller_id_number, agent.outbound_caller_id) == ("4321", "+12025550110")
    assert (agent.may_call_local, agent.may_call_domestic, agent.may_call_international) == (
        False,
        True,
        True,
    )
    assert (agent.call_group, agent.media, agent.email) == ("sales", "webrtc", "alice@example.com")
    assert (agent.voicemail_pin, found.keeps_pin) == ("4711", True)
    assert found.notes == []


def test_vanilla_users_get_a_pin_that_is_not_the_extension(conf: Path) -> None:
    found = planned(conf)["1000"]
    assert found.can_be_adopted and not found.keeps_pin
    assert found.agent.voicemail_pin != "1000"
    assert found.agent.outbound_caller_id == ""  # vanilla's zeros stand for none
    assert any("PIN was the extension" in note for note in found.notes)
    assert any("easy to guess" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (user("100"), "An extension is 4 to 6 digits"),
        (user("brian"), "An extension is 4 to 6 digits"),
        (user("0005"), "An extension is 4 to 6 digits"),
        (user(password=""), "It has no password."),
        (user(password="${system(id)}"), "Its password holds “${”"),
        (user(password="$${nobody_set_this}"), "$${nobody_set_this}"),
        (user(effective_caller_id_name="Alice &quot;Al&quot;"), 'The name holds “"”'),
        (user(effective_caller_id_name="${system(id)}"), "The name holds “${”"),
        (user(user_context="lobby"), "Its user_context is lobby"),
        (user(more=' cidr="192.0.2.0/24"'), "let in by its address"),
        (user(inside='<gateways>\n<gateway name="x"/>\n</gateways>'), "It holds gateways"),
    ],
)
def test_what_cannot_be_an_agent(conf: Path, text: str, reason: str) -> None:
    file = conf / USERS / "1005.xml"
    file.write_text(text)
    found = next(each for each in planned(conf).values() if each.user.file == file)
    assert not found.can_be_adopted
    assert reason in " ".join(found.reasons)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (user(callgroup="sales,support"), "its call group “sales,support” is none for Patchbay: left out"),
        (user(effective_caller_id_number="anonymous"), "its caller ID number “anonymous”"),
        (user(outbound_caller_id_number="12"), "its outbound caller ID “12”"),
        (user(toll_allow="local,satellite"), "toll_allow “satellite” is left out"),
        (user(toll_allow=""), "it has no toll_allow"),
        (user(user_context=""), "it had no user_context"),
        (user(accountcode="99"), "its accountcode becomes the extension"),
        (user(max_calls="2", more=' number-alias="77"'), "left out: max_calls, number-alias"),
        (user(password="short"), "easy to guess"),
        (user().replace("4711", "1111"), "its voicemail PIN is refused"),
        (user().replace("4711", ""), "it had no voicemail PIN"),
    ],
)
def test_what_does_not_come_over_is_said(conf: Path, text: str, note: str) -> None:
    add(conf, text)
    found = planned(conf)["1005"]
    assert found.can_be_adopted
    assert note in " · ".join(found.notes)
    found.agent.full_clean()


def test_a_name_is_made_where_there_is_none(conf: Path) -> None:
    add(conf, user(effective_caller_id_name=""))
    assert planned(conf)["1005"].agent.name == "Extension 1005"


def test_a_file_that_is_not_utf_8(conf: Path) -> None:
    (conf / USERS / "1005.xml").write_bytes(user(effective_caller_id_name="Zoé").encode("latin-1"))
    assert "is not UTF-8" in planned(conf)["1005"].reasons[0]


def hashed(password: str, domain: str = DOMAIN) -> str:
    digest = hashlib.md5(f"1005:{domain}:{password}".encode()).hexdigest()
    return user().replace(f'name="password" value="{FOUND}"', f'name="a1-hash" value="{digest}"')


def test_an_a1_hash_is_no_password(conf: Path) -> None:
    add(conf, hashed("what only the phone has"))
    assert "cannot be turned back" in planned(conf)["1005"].reasons[0]
    assert "is not the one" in planned(conf, {"1005": "a guess"})["1005"].reasons[0]
    found = planned(conf, {"1005": "what only the phone has"})["1005"]
    assert found.can_be_adopted and found.agent.password == "what only the phone has"


def test_another_domain_is_another_switch(conf: Path) -> None:
    found = planned(conf, domain="pbx.example.com")
    assert all("belongs to the domain 127.0.0.1" in each.reasons[0] for each in found.values())


def test_several_domains_need_to_know_which(conf: Path) -> None:
    included = '<X-PRE-PROCESS cmd="include" data="other/*.xml"/>'
    text = f'<include>\n<domain name="other.example.com">\n{included}\n</domain>\n</include>\n'
    (conf / "directory/other.xml").write_text(text)
    (conf / "directory/other").mkdir()
    (conf / "directory/other/1005.xml").write_text(user())
    assert not any(each.can_be_adopted for each in planned(conf, domain="").values())
    found = planned(conf)
    assert found["1000"].can_be_adopted and not found["1005"].can_be_adopted


def test_who_is_an_agent_already(conf: Path) -> None:
    Agent.objects.create(extension="1001", name="Bob")
    found = planned(conf)
    assert "There is an agent 1001 Bob already" in found["1001"].reasons[0]
    assert found["1000"].can_be_adopted


def test_files_of_patchbay_are_left_out(conf: Path) -> None:
    agent = Agent.objects.create(extension="1005", name="Alice")
    rendered = agent_file(agent, Target("", DOMAIN))
    assert rendered is not None
    add(conf, rendered.content)
    assert "1005" not in planned(conf)


def test_two_users_with_one_id(conf: Path) -> None:
    add(conf, user("1000"), "0000.xml")
    found = [each for each in plan(read(conf), Place(conf, DOMAIN), {}) if each.user.id == "1000"]
    assert len(found) == 2
    assert all("a second user 1000: 0000.xml, 1000.xml" in each.reasons[0] for each in found)


def test_a_file_with_several_users_goes_whole_or_not(conf: Path) -> None:
    both = user("1005").replace("</include>\n", "") + user("1006").replace("<include>\n", "")
    add(conf, both, "team.xml")
    found = planned(conf)
    assert found["1005"].can_be_adopted and found["1006"].can_be_adopted
    add(conf, both.replace('"1006"', '"fax"'), "team.xml")
    found = planned(conf)
    assert found["1005"].reasons == ["team.xml also holds fax, which cannot be adopted."]


@pytest.mark.parametrize(
    "line",
    [
        '<X-PRE-PROCESS cmd="set" data="needed=elsewhere"/>',
        '<X-PRE-PROCESS cmd="include" data="nothing/*.xml"/>',
        '<user id="1000" type="pointer"/>',
        "<params/>",
    ],
)
def test_a_file_that_does_more_than_its_user(conf: Path, line: str) -> None:
    add(conf, user().replace("</include>", f"{line}\n</include>"))
    assert "holds more than users" in planned(conf)["1005"].reasons[0]


def test_a_user_in_the_midst_of_the_directory(conf: Path) -> None:
    directory = conf / "directory/default.xml"
    inline = "\n".join(user().splitlines()[1:-1])
    directory.write_text(directory.read_text().replace("<users>", f"<users>\n{inline}", 1))
    assert "default.xml holds more than users" in planned(conf)["1005"].reasons[0]


def test_another_file_in_the_way(conf: Path) -> None:
    add(conf, user("1005"), "alice.xml")
    add(conf, user("fax"), "1005.xml")
    assert planned(conf)["1005"].reasons == [f"A hand-made file stands in the way: {USERS}/1005.xml."]


def test_files_that_trade_places(conf: Path) -> None:
    """The file in the way is put aside, too; unless its user cannot be adopted."""
    add(conf, user("1005"), "1006.xml")
    add(conf, user("1006"), "1005.xml")
    found = planned(conf)
    assert found["1005"].can_be_adopted and found["1006"].can_be_adopted
    add(conf, user("1006", user_context="lobby"), "1005.xml")
    assert not planned(conf)["1005"].can_be_adopted


def test_one_in_whose_way_a_file_stands_keeps_its_file(conf: Path) -> None:
    both = user("1005").replace("</include>\n", "") + user("1006").replace("<include>\n", "")
    add(conf, both, "team.xml")
    add(conf, user("fax"), "1006.xml")
    found = planned(conf)
    assert "stands in the way" in found["1006"].reasons[0]
    assert found["1005"].reasons == ["team.xml also holds 1006, which cannot be adopted."]


def test_a_file_that_was_put_aside_before(conf: Path) -> None:
    add(conf, "kept", "1000.xml.before-patchbay")
    assert "is there already" in planned(conf)["1000"].reasons[0]


# --- applying ------------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing(conf: Path) -> None:
    before = tree(conf)
    printed = run()
    assert tree(conf) == before and not Agent.objects.exists()
    assert "3 can be adopted, 0 cannot." in printed and "--apply" in printed
    assert "Extension 1002" in printed and "techsupport" in printed


def test_no_secret_is_shown(conf: Path) -> None:
    add(conf, user())
    printed = run() + run("--apply")
    assert FOUND not in printed and "4711" not in printed
    assert Agent.objects.get(extension="1005").voicemail_pin not in printed


def test_apply(conf: Path) -> None:
    add(conf, user("fax"), "fax.xml")
    own_switch()
    before = tree(conf)
    printed = run("--apply")
    after = tree(conf)
    assert "3 can be adopted, 1 cannot." in printed and "3 adopted" in printed
    assert sorted(Agent.objects.values_list("extension", flat=True)) == ["1000", "1001", "1002"]
    for agent in Agent.objects.all():
        path = f"{USERS}/{agent.extension}.xml"
        assert agent.password == "1234"
        assert after.pop(f"{path}.before-patchbay") == before.pop(path)
        written = after.pop(path).decode()
        assert managed_by(written) == f"agents.agent:{agent.pk}"
        assert written == agent_file(agent, Target("", DOMAIN)).content
    assert after == before  # nothing else
    assert PendingChange.objects.filter(path__startswith=USERS).count() == 3
    assert "0 can be adopted, 1 cannot." in run("--apply")


def test_what_the_hand_made_file_held_up_is_tried_at_once(conf: Path) -> None:
    switch = own_switch()
    applying._create(list(planned(conf).values()))
    later = timezone.now() + timedelta(minutes=1)
    PendingChange.objects.update(error="1000.xml exists and is not managed by Patchbay.", retry_at=later)
    run("--apply")
    assert switch.pending.filter(retry_at__lte=timezone.now()).count() == 3


def test_a_file_by_another_name(conf: Path) -> None:
    add(conf, user(), "alice.xml")
    run("--apply")
    assert not (conf / USERS / "alice.xml").exists()
    assert (conf / USERS / "alice.xml.before-patchbay").read_text() == user()
    assert managed_by((conf / USERS / "1005.xml").read_text())


def test_an_a1_hash_with_its_password_in_a_file(conf: Path, tmp_path: Path) -> None:
    add(conf, hashed("what only the phone has"))
    passwords = tmp_path / "passwords"
    passwords.write_text("# of the desk phones\n1005  what only the phone has\n")
    run("--apply", "--password-from-file", str(passwords))
    assert Agent.objects.get(extension="1005").password == "what only the phone has"
    passwords.write_text("1005\n")
    with pytest.raises(CommandError, match="no password after 1005"):
        run("--password-from-file", str(passwords))
    with pytest.raises(CommandError, match="cannot be read"):
        run("--password-from-file", str(tmp_path / "missing"))


def test_users_of_another_switch_come_without_a_file_being_touched(conf: Path, tmp_path: Path) -> None:
    write_vanilla(tmp_path / "old", users=[1000, 1007], default_password="of the old switch")
    before, old = tree(conf), tree(tmp_path / "old")
    printed = run(str(tmp_path / "old"), "--apply")
    assert f"A hand-made file stands in the way: {USERS}/1000.xml." in printed
    assert Agent.objects.get().extension == "1007"
    assert Agent.objects.get().password == "of the old switch"
    assert tree(conf) == before and tree(tmp_path / "old") == old


def test_a_folder_of_the_switch_by_another_path(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(conf)
    (conf / "directory/elsewhere.xml").write_text(user())
    printed = run(str(tmp_path / "link" / USERS), "--apply")
    assert f"renamed {USERS}/1000.xml to {USERS}/1000.xml.before-patchbay" in printed
    assert "3 can be adopted, 0 cannot." in printed


def test_a_directory_that_is_not_there(conf: Path) -> None:
    with pytest.raises(CommandError, match="no directory here"):
        run(str(conf / "missing"))


def no_links(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_where_files_cannot_be_linked_they_are_copied(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying.os, "link", no_links)
    before = (conf / USERS / "1000.xml").read_bytes()
    run("--apply")
    assert (conf / USERS / "1000.xml.before-patchbay").read_bytes() == before


NO_SPACE = OSError(errno.ENOSPC, "No space left on device", "somewhere")


def fails(at: int, error: BaseException = NO_SPACE) -> Any:
    """Stands in for a function: raises at its n-th call, and else does what it should."""

    def patch(real: Any) -> Any:
        calls = iter(range(1, 100))

        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) == at:
                raise error
            return real(*arguments, **options)

        return call

    return patch


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (applying.shutil, "copy2", 1),
        (applying.shutil, "copy2", 3),
        (ConfDir, "write", 1),
        (ConfDir, "write", 4),
        (ConfDir, "settle", 1),
        (Path, "replace", 2),
        (Path, "replace", 7),
        (Path, "unlink", 1),
    ],
)
def test_when_the_disk_fails_nothing_was_done(
    conf: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int
) -> None:
    add(conf, user(), "alice.xml")
    own_switch()
    before = tree(conf)
    if name == "copy2":
        monkeypatch.setattr(applying.os, "link", no_links)
    monkeypatch.setattr(owner, name, fails(at)(getattr(owner, name)))
    with pytest.raises(CommandError, match="No space left on device"):
        run("--apply")
    monkeypatch.undo()
    assert tree(conf) == before
    assert not Agent.objects.exists()
    assert "4 can be adopted" in run("--apply") and Agent.objects.count() == 4


def test_when_it_is_interrupted_nothing_was_done(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = tree(conf)
    monkeypatch.setattr(ConfDir, "settle", interrupt)
    with pytest.raises(CommandError, match="KeyboardInterrupt"):
        run("--apply")
    assert tree(conf) == before and not Agent.objects.exists()


def test_when_the_database_fails_nothing_was_done(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(agents: object) -> None:
        raise DatabaseError("the connection was lost")

    before = tree(conf)
    monkeypatch.setattr(applying, "queue_saved", refuse)
    with pytest.raises(CommandError, match="the connection was lost"):
        run("--apply")
    assert tree(conf) == before and not Agent.objects.exists()


def test_what_cannot_be_put_back_is_said(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConfDir, "settle", fails(1)(ConfDir.settle))
    monkeypatch.setattr(applying, "_put_back", fails(2)(applying._put_back))
    with pytest.raises(CommandError, match=r"Rename .*1001\.xml\.before-patchbay to 1001\.xml by hand"):
        run("--apply")


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (applying, "_Swap", 1),
        (ConfDir, "write", 3),
        (applying.os, "link", 1),
        (applying.os, "link", 3),
        (Path, "replace", 5),
        (Path, "replace", 7),
        (Path, "unlink", 1),
        (ConfDir, "settle", 1),
    ],
)
def test_a_run_that_was_killed_is_finished_by_the_next(
    conf: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int
) -> None:
    add(conf, user(), "alice.xml")
    kept = {
        f"{each}.before-patchbay": text for each, text in tree(conf).items() if each.startswith(f"{USERS}/")
    }
    with monkeypatch.context() as patch:  # who is killed undoes nothing
        patch.setattr(applying._Swap, "undo", lambda swap: [])
        patch.setattr(applying, "_delete", lambda agents: [])
        if name == "_Swap":
            patch.setattr(applying._Swap, "make", fails(1, KeyboardInterrupt())(None))
        else:
            patch.setattr(owner, name, fails(at, KeyboardInterrupt())(getattr(owner, name)))
        with pytest.raises(CommandError, match="KeyboardInterrupt"):
            run("--apply")
    assert {each.id for each in read(conf)} == {"1000", "1001", "1002", "1005"}  # no phone is lost
    run("--apply")
    assert Agent.objects.count() == 4
    files = {each: text for each, text in tree(conf).items() if each.startswith(f"{USERS}/")}
    assert {each: text for each, text in files.items() if each in kept} == kept
    ours = {each for each in files if managed_by(files[each].decode())}
    assert ours == {f"{USERS}/{number}.xml" for number in (1000, 1001, 1002, 1005)}
    assert len(files) == 8


# --- with a switch -------------------------------------------------------------------------------------


@pytest.fixture
def simulated(conf: Path, settings: Any) -> Iterator[Simulator]:
    """A switch whose three phones are registered."""
    settings.FS_HOST, settings.FS_ESL_PASSWORD = "127.0.0.1", "a password"
    with Simulator(conf, password="a password", register_delay=0.01) as running:
        settings.FS_ESL_PORT = running.esl_port
        wait_until(
            lambda: len(running.phones) == 3 and all(phone.registered for phone in running.phones.values()),
            "the phones",
        )
        yield running


def test_phones_stay_registered(simulated: Simulator, conf: Path) -> None:
    run("--apply")
    out = io.StringIO()
    call_command("sync_xml", stdout=out)
    assert "0 failed, 1 reload" in out.getvalue()
    user_now = simulated.switch.configuration.user("1000", DOMAIN)
    assert user_now is not None and user_now.variables["user_context"] == "patchbay"
    assert all(phone.registered for phone in simulated.phones.values())
    assert not [command for _, command in simulated.received if "flush_inbound_reg" in command]
    assert "In step" in checked()


def checked() -> str:
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("sync_xml", "--check", stdout=out)
    return out.getvalue()


def test_the_switch_is_asked_for_what_the_files_do_not_say(simulated: Simulator, conf: Path) -> None:
    simulated.switch.in_loop(simulated.switch.variables.__setitem__, "secret_of_the_house", FOUND)
    add(conf, user(password="$${secret_of_the_house}"))
    run("--apply")
    assert Agent.objects.get(extension="1005").password == FOUND


def test_a_switch_that_does_not_answer_is_said(conf: Path, settings: Any) -> None:
    settings.FS_HOST, settings.FS_ESL_PORT = "127.0.0.1", 1
    assert "cannot be asked" in run()


def test_the_mode_of_a_hand_made_file_is_kept(conf: Path) -> None:
    os.chmod(conf / USERS / "1000.xml", 0o600)
    run("--apply")
    assert (conf / USERS / "1000.xml.before-patchbay").stat().st_mode & 0o777 == 0o600
