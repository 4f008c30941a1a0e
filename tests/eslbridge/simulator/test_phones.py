"""Phones: what they find in their files, and what becomes of their registrations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eslbridge.simulator import Simulator
from eslbridge.simulator.userfiles import digest_secret

from .conversation import Conversation, eventually

DOMAIN = "127.0.0.1"


def write_user(conf_dir: Path, user: str, param: str = "password", value: str = "secret") -> Path:
    path = conf_dir / f"directory/default/{user}.xml"
    lines = ["<include>", f'<user id="{user}">', "<params>", f'<param name="{param}" value="{value}"/>']
    path.write_text("\n".join([*lines, "</params>", "</user>", "</include>", ""]))
    return path


def rows(client: Conversation) -> set[str]:
    """Users in ``show registrations``."""
    listed = json.loads(client.api("show registrations as json"))
    return {row["reg_user"] for row in listed.get("rows", [])}


def held(client: Conversation) -> set[str]:
    """Users in the profile's own list."""
    text = client.api("sofia xmlstatus profile internal reg")
    return {part.split("@")[0] for part in text.split("<user>")[1:]}


def test_a_new_user_registers_with_the_password_of_its_file(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    write_user(conf_dir, "1020")
    client.command("event json CUSTOM sofia::register")
    assert client.api("reloadxml") == "+OK [Success]\n"
    event = client.wait_for("CUSTOM", username="1020")
    assert event["Event-Subclass"] == "sofia::register"
    assert simulator.phones["1020"].password == "secret"
    assert client.api(f"sofia_contact 1020@{DOMAIN}").startswith("sofia/internal/sip:1020@")


def test_an_a1_hash_serves_instead_of_the_password(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    write_user(conf_dir, "1020", "a1-hash", digest_secret("1020", DOMAIN, "secret"))
    client.api("reloadxml")
    eventually(lambda: "1020" in simulator.phones and simulator.phones["1020"].registered)
    assert simulator.phones["1020"].password == ""


def test_a_phone_that_reads_another_password_is_refused(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    client.command("event json CUSTOM sofia::register_failure")
    write_user(conf_dir, "1020")
    shadow = write_user(conf_dir, "0999", value="other")
    shadow.write_text(shadow.read_text().replace('id="0999"', 'id="1020"'))
    client.api("reloadxml")
    eventually(lambda: simulator.phones.get("1020"))
    simulator.phones["1020"].password = "mistyped"
    simulator.phones["1020"].register()
    assert client.wait_for("CUSTOM", to_user="1020")["registration-type"] == "REGISTER"


def test_a_removed_user_keeps_its_registration_and_gets_no_calls(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    (conf_dir / "directory/default/1003.xml").unlink()
    client.api("reloadxml")
    assert client.api(f"user_exists id 1003 {DOMAIN}") == "false"
    assert "1003" in held(client)
    answer = client.api(f"originate user/1003@{DOMAIN} &park()")
    assert answer == "-ERR SUBSCRIBER_ABSENT\n"
    with pytest.raises(PermissionError):
        simulator.phones["1003"].place_call("1000")


def test_a_flush_ends_it_and_the_list_of_the_core_keeps_it(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    client.command("event json CUSTOM sofia::expire sofia::register_failure")
    eventually(lambda: "1003" in rows(client))
    (conf_dir / "directory/default/1003.xml").unlink()
    client.api("reloadxml")
    assert client.api(f"sofia profile internal flush_inbound_reg 1003@{DOMAIN}").startswith("+OK flushing")
    assert client.wait_for("CUSTOM", user="1003")["Event-Subclass"] == "sofia::expire"
    assert "1003" not in held(client)
    assert client.api(f"sofia_contact 1003@{DOMAIN}") == "error/user_not_registered"
    assert "1003" in rows(client)
    client.wait_for("CUSTOM", to_user="1003")
    eventually(lambda: "1003" not in simulator.phones)


def test_a_flush_of_an_unknown_user_is_fine_with_the_switch(client: Conversation) -> None:
    assert client.api(f"sofia profile internal flush_inbound_reg 9@{DOMAIN}").startswith("+OK")
    assert len(held(client)) == 4


def test_after_a_flush_a_phone_comes_back(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CUSTOM sofia::expire sofia::register")
    client.api(f"sofia profile internal flush_inbound_reg 1000@{DOMAIN}")
    gone = client.wait_for("CUSTOM", user="1000")
    back = client.wait_for("CUSTOM", username="1000", Event_Subclass="sofia::register")
    assert int(gone["Event-Sequence"]) < int(back["Event-Sequence"])
    assert simulator.phones["1000"].registered


def test_a_changed_password_reaches_the_phone_with_its_file(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    write_user(conf_dir, "1000", value="new")
    client.command("event json CUSTOM sofia::register")
    client.api("reloadxml")
    client.wait_for("CUSTOM", username="1000")
    assert simulator.phones["1000"].password == "new"


def test_a_password_that_only_the_file_knows_is_refused_until_a_reload(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    client.command("event json CUSTOM sofia::register sofia::register_failure")
    write_user(conf_dir, "1000", value="new")
    client.api(f"sofia profile internal check_sync 1000@{DOMAIN}")
    client.wait_for("CUSTOM", to_user="1000", Event_Subclass="sofia::register_failure")
    assert simulator.phones["1000"].notified == ["check-sync"]
    client.api("reloadxml")
    client.wait_for("CUSTOM", username="1000", Event_Subclass="sofia::register")


def test_the_list_of_the_core_lags(simulator: Simulator, client: Conversation, conf_dir: Path) -> None:
    client.command("event json CUSTOM sofia::register")
    write_user(conf_dir, "1020")
    client.api("reloadxml")
    client.wait_for("CUSTOM", username="1020")
    assert "1020" in held(client)
    assert "1020" not in rows(client)
    eventually(lambda: "1020" in rows(client))


def test_an_offline_phone_says_goodbye_and_is_not_registered(
    simulator: Simulator, client: Conversation
) -> None:
    client.command("event json CUSTOM sofia::unregister")
    simulator.phones["1001"].behaviour = "offline"
    assert client.wait_for("CUSTOM", username="1001")["expires"] == "0"
    assert client.api(f"originate user/1001@{DOMAIN} &park()") == "-ERR USER_NOT_REGISTERED\n"
    simulator.phones["1001"].behaviour = "answer"
    eventually(lambda: simulator.phones["1001"].registered)


def test_a_broken_file_leaves_the_old_configuration_until_a_restart(
    simulator: Simulator, client: Conversation, conf_dir: Path
) -> None:
    broken = conf_dir / "directory/default/0000.xml"
    broken.write_text("<include>\n<user id='1'>\n</include>\n")
    write_user(conf_dir, "1020")
    assert client.api("reloadxml").startswith("+OK [[error near line ")
    assert client.api(f"user_exists id 1000 {DOMAIN}") == "true"
    assert client.api(f"user_exists id 1020 {DOMAIN}") == "false"
    port = simulator.esl_port
    simulator.restart()
    assert simulator.esl_port == port
    with Conversation(port) as after:
        assert after.api(f"user_exists id 1000 {DOMAIN}") == "false"
        assert simulator.phones == {}
        broken.unlink()
        assert after.api("reloadxml") == "+OK [Success]\n"
        eventually(lambda: len(simulator.phones) == 5)


def test_keys_that_a_phone_presses_are_events(simulator: Simulator, client: Conversation) -> None:
    client.command("event json DTMF")
    client.api(f"originate {{origination_uuid=keys}}user/1000@{DOMAIN} &park()")
    simulator.phones["1000"].press("4*")
    assert client.wait_for("DTMF", DTMF_Digit="4")["Unique-ID"] == "keys"
    client.wait_for("DTMF", DTMF_Digit="*")


def test_a_phone_that_is_asked_to_restart_comes_back(simulator: Simulator, client: Conversation) -> None:
    client.command("event json CUSTOM sofia::register")
    client.api(f"sofia profile internal flush_inbound_reg 1000@{DOMAIN} reboot")
    client.wait_for("CUSTOM", username="1000")
    assert simulator.phones["1000"].notified == ["reboot"]


def test_a_behaviour_that_no_phone_has(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="dance"):
        simulator.phones["1000"].behaviour = "dance"
