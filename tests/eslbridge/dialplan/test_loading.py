"""A configuration is read as the switch reads it, and again when something changed."""

import os
from pathlib import Path

import pytest

from eslbridge.dialplan import Unreadable, load
from tests.eslbridge.dialplan.making import DOMAIN, condition, context, file, rule, user, write

AGE = 10_000_000_000  # ns: files that changed this long ago are not looked into again


def names(root: Path, where: str = "public") -> list[str]:
    return [each.name for each in load(root).contexts[where]]


def grow_old(root: Path) -> None:
    for path in [*root.rglob("*"), root]:
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns - AGE, found.st_mtime_ns - AGE))


INCLUDED = '<X-PRE-PROCESS cmd="include" data="public/*.xml"/>'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        **context(rule(condition("")) + f"\n{INCLUDED}\n" + rule(condition(""), "last")),
        "dialplan/public/a.xml": file(rule(condition(""), "a")),
        "dialplan/public/b.xml": file(rule(condition(""), "b")),
    }
    return write(tmp_path, files)


def test_included_files_stand_where_the_include_stands(root: Path) -> None:
    found = load(root).contexts["public"]
    assert [(each.name, each.file) for each in found] == [
        ("rule", "dialplan/public.xml"),
        ("a", "dialplan/public/a.xml"),
        ("b", "dialplan/public/b.xml"),
        ("last", "dialplan/public.xml"),
    ]


def test_a_missing_folder_is_no_error(root: Path) -> None:
    for path in (root / "dialplan/public").glob("*"):
        path.unlink()
    (root / "dialplan/public").rmdir()
    assert names(root) == ["rule", "last"]


def test_what_did_not_change_is_not_read_again(root: Path) -> None:
    grow_old(root)
    first = load(root)
    assert load(root) is first


@pytest.mark.parametrize("is_old", [True, False])
def test_what_changed_is_read_again(root: Path, is_old: bool) -> None:
    if is_old:
        grow_old(root)
    folder = root / "dialplan/public"
    assert names(root) == ["rule", "a", "b", "last"]
    (folder / "a.xml").write_text(file(rule(condition(""), "z")))
    assert names(root) == ["rule", "z", "b", "last"]
    (folder / "b.xml").unlink()
    assert names(root) == ["rule", "z", "last"]
    (folder / "c.xml").write_text(file(rule(condition(""), "c")))
    assert names(root) == ["rule", "z", "c", "last"]
    (root / "dialplan/public.xml").write_text(context(INCLUDED)["dialplan/public.xml"])
    assert names(root) == ["z", "c"]


def test_a_change_within_one_tick_of_the_clock_is_seen(root: Path) -> None:
    path = root / "dialplan/public/a.xml"
    before = path.stat()
    for name in "xyz":
        path.write_text(file(rule(condition(""), name)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert names(root)[1] == name


def test_a_file_that_is_no_xml_is_said_and_forgotten_when_it_is_repaired(root: Path) -> None:
    path = root / "dialplan/public/a.xml"
    path.write_text("<extension>\n")
    with pytest.raises(Unreadable, match="no XML together"):
        load(root)
    path.write_text(file(rule(condition(""), "a")))
    assert names(root) == ["rule", "a", "b", "last"]


def test_a_folder_without_a_configuration_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"holds no freeswitch\.xml"):
        load(tmp_path)


def test_an_include_in_a_comment_is_executed_as_on_the_switch(tmp_path: Path) -> None:
    """The included file's own comment ends the outer one."""
    commented = f"<!-- \n{INCLUDED}\n -->"
    managed = "<!-- Managed by Patchbay (x) -->\n" + rule(condition(""), "a")
    root = write(tmp_path, {**context(commented), "dialplan/public/a.xml": file(managed)})
    assert names(root) == ["a"]
    (root / "dialplan/public/a.xml").write_text(file(rule(condition(""), "a")))
    assert names(root) == []


def test_of_two_contexts_and_two_users_the_first_counts(tmp_path: Path) -> None:
    twice = {
        "dialplan/a.xml": file(f'<context name="public">{rule(condition(""), "a")}</context>'),
        "dialplan/b.xml": file(f'<context name="public">{rule(condition(""), "b")}</context>'),
        "directory/default/0.xml": user("1020", callgroup="first"),
    }
    root = write(tmp_path, twice)
    assert names(root) == ["a"]
    found = load(root).user("1020", DOMAIN)
    assert found is not None
    assert (found.file, found.variables["callgroup"]) == ("directory/default/0.xml", "first")


def test_a_domain_that_only_the_switch_knows_is_given(tmp_path: Path) -> None:
    root = write(tmp_path, {"vars.xml": file('<X-PRE-PROCESS cmd="set" data="domain=$${local_ip_v4}"/>')})
    assert load(root).default_domain == ""
    assert load(root, {"domain": "pbx.example"}).user("1020", "pbx.example") is not None
    assert load(root, {"domain": "pbx.example"}).default_domain == "pbx.example"


def test_a_user_has_what_its_domain_and_group_add(tmp_path: Path) -> None:
    found = load(write(tmp_path, {})).user("1020", DOMAIN)
    assert found is not None
    assert found.variables["default_areacode"] == "918"
    assert "dial-string" in found.params
