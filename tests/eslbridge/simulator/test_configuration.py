"""What the line rules make of the files, before they are XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from eslbridge.simulator.conf import write_vanilla
from eslbridge.simulator.configuration import Configuration, ConfigurationError, load
from eslbridge.simulator.userfiles import digest_secret

DOMAIN = "127.0.0.1"


def user_file(user: str = "1500", params: str = '<param name="password" value="secret"/>') -> str:
    lines = ["<include>", f'<user id="{user}">', "<params>", params, "</params>", "</user>", "</include>"]
    return "\n".join(lines) + "\n"


@pytest.fixture
def conf_dir(tmp_path: Path) -> Path:
    write_vanilla(tmp_path, default_password="4711")
    return tmp_path


def write(conf_dir: Path, text: str, name: str = "directory/default/1500.xml") -> None:
    (conf_dir / name).write_text(text, encoding="utf-8")


def read(conf_dir: Path) -> Configuration:
    return load(conf_dir, {"domain": DOMAIN})


def test_a_user_has_the_params_of_its_file_and_of_its_domain(conf_dir: Path) -> None:
    write(conf_dir, user_file())
    user = read(conf_dir).user("1500", DOMAIN)
    assert user is not None
    assert user.params["password"] == "secret"
    assert "sofia_contact" in user.params["dial-string"]
    assert user.variables["default_gateway"] == "example.com"
    assert user.file == conf_dir / "directory/default/1500.xml"


@pytest.mark.parametrize(
    "text",
    [
        user_file().replace("\n", " ") + "\n",
        user_file().replace('<user id="1500">', '<?x?><user id="1500">', 1).replace("</user>", "", 1),
    ],
    ids=["everything on the line of the include", "a processing instruction before the user"],
)
def test_a_line_with_an_include_or_an_instruction_vanishes_whole(conf_dir: Path, text: str) -> None:
    write(conf_dir, text)
    assert read(conf_dir).user("1500", DOMAIN) is None


@pytest.mark.parametrize("word", ["X-PRE-PROCESS", "x-pre-process", "X-Pre-Process"])
def test_a_line_with_the_word_of_the_preprocessor_is_lost(conf_dir: Path, word: str) -> None:
    lost = f'<param name="caller" value="an {word} of course"/>\n'
    write(conf_dir, user_file(params=lost + '<param name="password" value="secret"/>'))
    user = read(conf_dir).user("1500", DOMAIN)
    assert user is not None
    assert "caller" not in user.params
    assert user.params["password"] == "secret"


def test_a_global_in_a_value_is_replaced_unless_its_dollars_are_references(conf_dir: Path) -> None:
    params = (
        '<param name="told" value="$${default_password}"/>\n'
        '<param name="kept" value="&#x24;&#x24;{default_password}"/>\n'
        '<param name="unknown" value="[$${no_such_variable}]"/>'
    )
    write(conf_dir, user_file(params=params))
    user = read(conf_dir).user("1500", DOMAIN)
    assert user is not None
    assert user.params["told"] == "4711"
    assert user.params["kept"] == "$${default_password}"
    assert user.params["unknown"] == "[]"


def test_set_lines_count_from_where_they_stand(conf_dir: Path) -> None:
    both = '<X-PRE-PROCESS cmd="set" data="colour=red"/>\n<param name="colour" value="$${colour}"/>'
    write(conf_dir, user_file("1500", '<param name="colour" value="[$${colour}]"/>'))
    write(conf_dir, user_file("1501", both), "directory/default/1501.xml")
    loaded = read(conf_dir)
    assert loaded.user("1500", DOMAIN).params["colour"] == "[]"  # type: ignore[union-attr]
    assert loaded.user("1501", DOMAIN).params["colour"] == "red"  # type: ignore[union-attr]


def test_declarations_comments_utf8_and_references_are_fine(conf_dir: Path) -> None:
    params = '<!-- <user id="1"> -->\n<param name="name" value="Zo&#xEB; &amp; Jürgen 東京"/>'
    write(conf_dir, '<?xml version="1.0" encoding="utf-8"?>\n' + user_file(params=params))
    user = read(conf_dir).user("1500", DOMAIN)
    assert user is not None
    assert user.params["name"] == "Zoë & Jürgen 東京"


def test_the_first_file_in_name_order_wins(conf_dir: Path) -> None:
    write(conf_dir, user_file(params='<param name="password" value="second"/>'), "directory/default/b.xml")
    write(conf_dir, user_file(params='<param name="password" value="first"/>'), "directory/default/a.xml")
    loaded = read(conf_dir)
    assert loaded.user("1500", DOMAIN).params["password"] == "first"  # type: ignore[union-attr]
    assert loaded.credentials["1500"] == ("first", "")


def test_broken_files_say_where(conf_dir: Path) -> None:
    write(conf_dir, "<include>\n<user id='1500'>\n</include>\n")
    with pytest.raises(
        ConfigurationError, match=r"^\[error near line \d+\]: unexpected closing tag </users>$"
    ):
        read(conf_dir)
    (conf_dir / "freeswitch.xml").unlink()
    with pytest.raises(ConfigurationError, match="Cannot Open"):
        read(conf_dir)


def test_gateways_belong_to_their_profile(conf_dir: Path) -> None:
    text = (
        '<include>\n<gateway name="trunk">\n<param name="proxy" value="a.example"/>\n</gateway>\n</include>\n'
    )
    write(conf_dir, text, "sip_profiles/external/trunk.xml")
    gateway = read(conf_dir).gateways["external", "trunk"]
    assert (gateway.params["proxy"], gateway.registers) == ("a.example", True)


def test_vanilla_is_written_once_and_never_over_anything(conf_dir: Path) -> None:
    write(conf_dir, "mine", "vars.xml")
    write_vanilla(conf_dir, users=[1000])
    assert (conf_dir / "vars.xml").read_text() == "mine"
    assert (conf_dir / "directory/default/1000.xml").exists()


def test_our_own_rules_come_after_vanillas(conf_dir: Path) -> None:
    rule = '<include>\n<extension name="ours">\n<condition/>\n</extension>\n</include>\n'
    write(conf_dir, rule, "dialplan/default/00_ours.xml")
    context = read(conf_dir).context("default")
    assert context is not None
    names = [extension.get("name") for extension in context]
    assert names.index("Local_Extension") < names.index("echo") < names.index("ours") < names.index("enum")


def test_the_secret_of_a_phone_is_the_a1_hash() -> None:
    assert digest_secret("1000", "example.org", "secret") == "175a0349e95c068fc6e6552d453d3b6b"
