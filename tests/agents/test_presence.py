"""Who is registered: moved by the switch's events, corrected by its own list, whatever a phone sends."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from agents import presence, receivers
from agents.presence import NoListing, follow, take_stock, users
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.events import Event, JsonEvent
from eslbridge.protocol.frames import Parser
from eslbridge.simulator import Simulator
from eslbridge.store import StoreError
from tests import recordings
from tests.conftest import wait_until

SWITCH = Switch(name="switch-1")


@pytest.fixture(autouse=True)
def empty(redis_client: Any) -> Iterator[None]:
    yield


def event(subclass: str, **headers: str) -> Event:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    values = {"Event-Name": "CUSTOM", "Event-Subclass": f"sofia::{subclass}", **named}
    return JsonEvent(json.dumps(values).encode("utf-8", "surrogateescape"))


def register(user: str = "1020", port: int = 5060, **headers: str) -> Event:
    known = {
        "from_user": user,
        "contact": f'"" <sip:{user}@10.0.0.1:{port};transport=udp>',
        "expires": "600",
        "user_agent": "Phone/1",
        "status": "Registered(UDP)",
        "network_ip": "10.0.0.1",
        "network_port": str(port),
        "call_id": f"call-{port}",
    }
    return event("register", **{**known, **headers})


def registration(user: str = "1020", port: int = 5060, **fields: str) -> str:
    known = {
        "call-id": f"call-{port}",
        "user": f"{user}@127.0.0.1",
        "contact": f"&quot;&quot; &lt;sip:{user}@10.0.0.1:{port};transport=udp&gt;",
        "agent": "Phone/1",
        "status": "Registered(UDP)(unknown) exp(2026-11-21 23:51:50) expsecs(276)",
        "network-ip": "10.0.0.1",
        "network-port": str(port),
    }
    lines = "".join(f"        <{name}>{value}</{name}>\n" for name, value in {**known, **fields}.items())
    return f"    <registration>\n{lines}    </registration>\n"


def listing(*registrations: str) -> str:
    inside = "".join(registrations)
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        f"<profile>\n  <registrations>\n{inside}  </registrations>\n</profile>\n"
    )


def contacts() -> dict[str, list[str]]:
    return {user: sorted(device.contact for device in devices) for user, devices in users("switch-1").items()}


def recorded(name: str) -> list[Event]:
    messages = Parser().feed(recordings.load(name).received)
    return [message for message in messages if isinstance(message, Event)]


# --- events -----------------------------------------------------------------------------------------


def test_following_one_phone_reads_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand phones that register after an import must not read ten thousand phones each."""
    follow(SWITCH, [register("1020"), register("1021")])
    with monkeypatch.context() as patched:
        patched.setattr(presence, "users", lambda name: pytest.fail("all phones were read"))
        assert not follow(SWITCH, [register("1020")])
        assert follow(SWITCH, [register("1020", port=5070)])
    assert contacts().keys() == {"1020", "1021"} and len(contacts()["1020"]) == 2


def test_a_phone_registers_and_unregisters() -> None:
    follow(SWITCH, [register()])
    [device] = users("switch-1")["1020"]
    assert (device.user, device.contact) == ("1020", "sip:1020@10.0.0.1:5060")
    assert (device.agent, device.transport, device.address) == ("Phone/1", "udp", "10.0.0.1:5060")
    assert round(device.expires - device.since) == 600

    follow(SWITCH, [register().__class__(register().raw.replace(b"::register", b"::unregister"))])
    assert users("switch-1") == {}


def test_the_end_of_a_registration_by_flush_or_time_takes_the_device_away() -> None:
    """An expire event names the user in another header."""
    follow(SWITCH, [register("1020"), register("1021")])
    follow(SWITCH, [event("expire", user="1020", contact='"" <sip:1020@10.0.0.1:5060;transport=udp>')])
    assert contacts() == {"1021": ["sip:1021@10.0.0.1:5060"]}


def test_a_phone_that_refreshes_keeps_the_time_since_when_it_is_registered() -> None:
    follow(SWITCH, [register()])
    [before] = users("switch-1")["1020"]
    assert follow(SWITCH, [register(expires="900")]) is False
    [after] = users("switch-1")["1020"]
    assert after.since == before.since
    assert after.expires > before.expires + 200


def test_a_new_second_place_asks_for_the_switchs_own_list_and_a_refresh_does_not() -> None:
    follow(SWITCH, [register(port=5060)])
    assert follow(SWITCH, [register(port=5061)]) is True
    assert follow(SWITCH, [register(port=5060), register(port=5061)]) is False


def test_registrations_of_other_profiles_are_not_ours() -> None:
    follow(SWITCH, [register(), register("1021", profile_name="external")])
    follow(
        SWITCH,
        [event("unregister", from_user="1020", profile_name="external", contact="<sip:1020@10.0.0.1:5060>")],
    )
    assert contacts() == {"1020": ["sip:1020@10.0.0.1:5060"]}


@pytest.mark.parametrize(
    "name", ["registration_events_json", "registration_events_plain", "registration_events_xml"]
)
def test_what_a_real_switch_sent(name: str) -> None:
    events = recorded(name)
    registers = [each for each in events if each.subclass == "sofia::register"]
    assert registers
    follow(SWITCH, registers)
    [device] = users("switch-1")["1000"]
    assert device.contact.startswith("sip:1000@127.0.0.1:")
    assert device.transport == "udp"

    follow(SWITCH, [each for each in events if each.subclass == "sofia::unregister"])
    assert users("switch-1") == {}


@pytest.mark.parametrize(
    "odd",
    [
        {"user_agent": "Ph\udcffone\udc80 \x01\x00 <b>&"},
        {"expires": "soon"},
        {"expires": ""},
        {"expires": "9" * 400},
        {"contact": "nonsense"},
        {"contact": '"a<b>c" <sip:1020@10.0.0.1:5060>'},
        {"contact": ""},
        {"status": ""},
        {"network_ip": "\udcff"},
        {"call_id": "x" * 9000},
    ],
)
def test_nothing_that_a_phone_sends_hides_the_others(odd: dict[str, str]) -> None:
    follow(SWITCH, [register("1021"), register("1020", **odd), register("1022")])
    assert set(users("switch-1")) == {"1020", "1021", "1022"}


def test_an_event_without_its_headers_hides_nobody() -> None:
    follow(SWITCH, [event("register"), event("unregister"), event("expire"), register("1021")])
    assert "1021" in users("switch-1")


def test_a_display_name_with_brackets_does_not_confuse_the_contact() -> None:
    follow(SWITCH, [register(contact='"a<b>c" <SIP:1020@10.0.0.1:5060;fs_nat=yes>')])
    assert contacts() == {"1020": ["SIP:1020@10.0.0.1:5060"]}


def test_a_user_that_is_not_utf8_can_go_again() -> None:
    follow(SWITCH, [register("10\udcff20")])
    follow(SWITCH, [event("unregister", from_user="10\udcff20", contact='"" <sip:10\udcff20@10.0.0.1:5060>')])
    assert users("switch-1") == {}


# --- the switch's own list --------------------------------------------------------------------------


def test_the_switchs_list_replaces_what_was_believed() -> None:
    follow(SWITCH, [register("1020"), register("1021")])
    [before] = users("switch-1")["1021"]

    take_stock(SWITCH, listing(registration("1021"), registration("1022", port=5061)))

    assert contacts() == {"1021": ["sip:1021@10.0.0.1:5060"], "1022": ["sip:1022@10.0.0.1:5061"]}
    [after] = users("switch-1")["1021"]
    assert after.since == before.since
    assert round(after.expires - after.since) in range(270, 290)
    assert (after.transport, after.address, after.agent, after.call_id) == (
        "udp",
        "10.0.0.1:5060",
        "Phone/1",
        "call-5060",
    )


def test_events_and_the_list_name_a_device_alike() -> None:
    take_stock(SWITCH, listing(registration("1020")))
    assert follow(SWITCH, [register("1020")]) is False
    assert contacts() == {"1020": ["sip:1020@10.0.0.1:5060"]}


def test_an_empty_list_is_a_list() -> None:
    follow(SWITCH, [register()])
    take_stock(SWITCH, listing())
    assert users("switch-1") == {}


def test_what_a_real_switch_listed() -> None:
    text = recordings.load("api_queries").received.decode()
    start = text.index("<profile>\n  <registrations>")
    take_stock(SWITCH, text[start : text.index("</profile>", start)])
    assert set(users("switch-1")) == {"1014", "1015", "1000", "1001", "1002", "1003"}
    assert contacts()["1014"] == ["sip:1014@127.0.0.1:40291"]


@pytest.mark.parametrize(
    "odd",
    [
        {"agent": "Zo\udce9 phone"},
        {"agent": "control \x01\x02\x1f characters"},
        {"agent": "&lt;b&gt;&amp;&quot;"},
        {"agent": "a & b < c"},
        {"call-id": "not<encoded&at=all"},
        {"call-id": "]]><!--"},
        {"host": "<a>&b;"},
        {"status": "Registered"},
        {"contact": ""},
    ],
)
def test_one_phones_fields_do_not_hide_the_others(odd: dict[str, str]) -> None:
    take_stock(SWITCH, listing(registration("1021"), registration("1020", **odd), registration("1022")))
    assert set(users("switch-1")) == {"1020", "1021", "1022"}


def test_a_call_id_cannot_make_another_registration() -> None:
    """The switch writes it as it came, and RFC 3261 allows all of these characters."""
    forged = "x</call-id></registration><registration><user>1000@127.0.0.1</user></registration><call-id>"
    take_stock(SWITCH, listing(registration("1020", **{"call-id": forged})))
    assert set(users("switch-1")) == {"1020"}
    assert users("switch-1")["1020"][0].call_id == forged


@pytest.mark.parametrize("answer", ["Invalid Profile!\n", "Invalid Profile [internal]", "", "-ERR no reply"])
def test_where_there_is_no_such_profile_nobody_is_registered(answer: str) -> None:
    follow(SWITCH, [register()])
    with pytest.raises(NoListing, match="does not list"):
        take_stock(SWITCH, answer)
    assert users("switch-1") == {}


def test_a_missing_profile_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoProfile:
        def api(self, *_: str) -> str:
            return "Invalid Profile!\n"

    monkeypatch.setattr(receivers, "_complained", set())
    for _ in range(3):
        receivers._take_stock(None, SWITCH, NoProfile())  # type: ignore[arg-type]
    assert len([record for record in caplog.records if "does not list" in record.message]) == 1


def test_when_a_phone_was_last_seen_is_kept_when_it_goes_by_event_or_from_the_list(db: None) -> None:
    Switch.objects.create(name="switch-1")
    follow(SWITCH, [register("1020"), register("1021")])
    assert presence.last_seen(["1020"]) == {}
    follow(SWITCH, [event("unregister", from_user="1020", contact="<sip:1020@10.0.0.1:5060;transport=udp>")])
    take_stock(SWITCH, "<registrations>\n</registrations>\n")
    seen = presence.last_seen(["1020", "1021", "1022"])
    assert seen.keys() == {"1020", "1021"}
    assert all(abs(at - time.time()) < 30 for at in seen.values())


def test_an_emptied_redis_is_not_known_rather_than_nobody(db: None) -> None:
    switch = Switch.objects.create(name="switch-1", link=Switch.Link.CONNECTED, seen_at=timezone.now())
    with pytest.raises(StoreError):
        presence.registered()
    follow(switch, [register("1020")])  # of the others nothing is known yet
    with pytest.raises(StoreError):
        presence.registered()
    take_stock(switch, f"<registrations>\n{registration('1021')}</registrations>\n")
    assert presence.registered().keys() == {"1021"}
    Switch.objects.update(link=Switch.Link.LOST)
    assert presence.registered(["1021", "1022"])["1021"]


# --- with a switch ----------------------------------------------------------------------------------


def test_the_simulated_switchs_list_can_be_read(simulator: Simulator) -> None:
    (simulator.conf_dir / "directory/default/1020.xml").write_text(
        '<include>\n<user id="1020"><params><param name="password" value="x"/></params></user>\n</include>\n'
    )
    with Client("127.0.0.1", simulator.esl_port, "ClueCon") as client:
        client.connect()
        client.api("reloadxml")
        wait_until(lambda: "1020" in simulator.phones and simulator.phones["1020"].registered, "the phone")
        take_stock(SWITCH, client.api(*presence.listing_command().split(" ", 1)))
    assert set(users("switch-1")) == {"1020"}
