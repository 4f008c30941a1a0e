"""The builders of commands that steer calls: each value is one word of its command, or is refused."""

from collections.abc import Callable

import pytest

from eslbridge import control
from eslbridge.control import Request
from eslbridge.originate import Ring

UUID = "9bf71059-0e25-4c53-82a5-6929552292ec"
OTHER = "0d6c8f64-2f4e-4f0b-9a57-6f1f3c2a7b10"


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (control.hang_up(UUID), f"uuid_kill {UUID}"),
        (control.hold(UUID), f"uuid_hold {UUID}"),
        (control.resume(UUID), f"uuid_hold off {UUID}"),
        (control.transfer(UUID, "+1949", "patchbay"), f"uuid_transfer {UUID} +1949 XML patchbay"),
        (control.park(UUID), f"uuid_park {UUID}"),
        (control.record(UUID, "/r/2026-11-27/1.wav"), f"uuid_record {UUID} start /r/2026-11-27/1.wav"),
        (control.stop_recording(UUID, "/r/1.wav"), f"uuid_record {UUID} stop /r/1.wav"),
        (control.play(UUID, "local_stream://moh"), f"uuid_broadcast {UUID} local_stream://moh aleg"),
        (control.play(UUID, "tone.wav", both=True), f"uuid_broadcast {UUID} tone.wav both"),
        (control.send_digits(UUID, "12#*AD"), f"uuid_send_dtmf {UUID} 12#*AD"),
        (control.three_way(UUID), f"uuid_recv_dtmf {UUID} 0"),
        (control.set_variable(UUID, "toll_allow", "a,b"), f"uuid_setvar {UUID} toll_allow a,b"),
        (control.set_variable(UUID, "callgroup", ""), f"uuid_setvar {UUID} callgroup"),
    ],
    ids=lambda value: value.name if isinstance(value, Request) else "",
)  # fmt: skip
def test_what_the_switch_is_asked(request_: Request, text: str) -> None:
    assert str(request_) == text


DESTINATIONS = [
    "system:touch x inline",
    "1000 &system(x)",
    "${system(x)}",
    "-both x",
    "-bleg",
    "1000\nexit",
    "1000\r\n\r\napi system x",
    "1000,1001",
    "{a=b}1000",
    "1000}",
    "'1000'",
    '"1000"',
    "1000 inline",
    "park",
    "",
    "１０２１",
]


@pytest.mark.parametrize("number", DESTINATIONS)
def test_a_destination_is_a_number(number: str) -> None:
    with pytest.raises(ValueError, match="digits, \\* and # only"):
        control.transfer(UUID, number, "patchbay")
    with pytest.raises(ValueError, match="digits, \\* and # only"):
        control.gateways(["carrier1"], number)


WORDS = ["", "a b", "a\nb", "-both", "a'b", 'a"b', "a\\b", "${a}", "a,b", "Zoë", "a" * 200]


@pytest.mark.parametrize("uuid", WORDS)
@pytest.mark.parametrize(
    "build",
    [
        control.hang_up,
        control.hold,
        control.resume,
        control.park,
        lambda uuid: control.transfer(uuid, "1000", "patchbay"),
        lambda uuid: control.record(uuid, "/1.wav"),
        lambda uuid: control.send_digits(uuid, "1"),
        lambda uuid: control.set_variable(uuid, "a", "1"),
        lambda uuid: control.consult(uuid, "user/1000@a"),
    ],
)
def test_a_uuid_is_one_harmless_word(build: Callable[[str], object], uuid: str) -> None:
    with pytest.raises(ValueError, match="no UUID"):
        build(uuid)


@pytest.mark.parametrize("digits", ["", "12 34", "1w", "1\n", "１", "1@500", "1" * 41])
def test_digits_are_keys(digits: str) -> None:
    with pytest.raises(ValueError, match="Digits may be"):
        control.send_digits(UUID, digits)


@pytest.mark.parametrize("path", ["", "a b", "app::arg", "../etc/x", "a'b", "${a}", "a\nb", "!x", "-x", "|x"])
def test_a_file_is_a_name(path: str) -> None:
    with pytest.raises(ValueError, match="may not be"):
        control.play(UUID, path)
    with pytest.raises(ValueError, match="may not be"):
        control.record(UUID, path)


@pytest.mark.parametrize("context", ["", "a b", "inline x", "a\nb", "${a}"])
def test_a_context_is_a_name(context: str) -> None:
    with pytest.raises(ValueError, match="context"):
        control.transfer(UUID, "1000", context)


def test_whom_a_leg_consults() -> None:
    assert control.consult(UUID, control.user("1021", "127.0.0.1")).argument == "user/1021@127.0.0.1"
    through = control.gateways(["carrier1", "carrier2"], "19495431333")
    assert through == "sofia/gateway/carrier1/19495431333|sofia/gateway/carrier2/19495431333"
    for extension, domain in (("1@x", "a"), ("1 x", "a"), ("1021", "a b"), ("1021", "a,b"), ("1021", "")):
        with pytest.raises(ValueError, match="may not be"):
            control.user(extension, domain)
    with pytest.raises(ValueError, match="no gateway"):
        control.gateways([], "1")
    with pytest.raises(ValueError, match="gateway may not be"):
        control.gateways(["a/b"], "1")


def test_a_phone_that_rings_for_a_leg_gets_honest_names_as_they_are() -> None:
    from uuid import UUID as Id

    from tests.eslbridge.test_originate import parsed

    for name in ("Smith, John", "O'Brien", "Zoë ☎", "Alice Martin"):
        ring = Ring(
            "1020", "127.0.0.1", Id(OTHER), "eavesdrop", UUID, 30, {"origination_caller_id_name": name}
        )
        found = parsed(str(ring))
        assert found.variables["origination_caller_id_name"] == name
        assert found.variables["origination_uuid"] == OTHER
        assert found.rest == ["user/1020@127.0.0.1", f"&eavesdrop({UUID})"]
    for name in ("a}b", "${x}", "a\nb", "a\rb"):
        with pytest.raises(ValueError, match="origination_caller_id_name holds"):
            str(Ring("1020", "a", Id(OTHER), "eavesdrop", UUID, 30, {"origination_caller_id_name": name}))
    for application, leg in (("system", UUID), ("eavesdrop", "x) &system(y"), ("eavesdrop", "all x")):
        with pytest.raises(ValueError, match="cannot ring"):
            str(Ring("1020", "a", Id(OTHER), application, leg))
