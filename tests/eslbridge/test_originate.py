"""`originate {…}`: what was typed arrives as it was typed, or is refused; it is never grammar.

The oracle below cuts the text as the switch does: first at blanks, then at commas, then at equals signs. Each
time one level of backslashes and every pair of single quotes is taken away (switch_utils.c).
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eslbridge.originate import Originate, check_destination, escaped
from eslbridge.simulator import dialstring

NAMED_BY_A_LETTER = {"n": "\n", "r": "\r", "t": "\t", "s": " "}


# --- the oracle -------------------------------------------------------------------------------------


def cut(text: str, delimiter: str, most: int) -> list[str]:
    """At most so many parts, the last with all the rest; none of them cleaned."""
    parts, start, index, in_quotes = [], 0, 0, False
    while index < len(text) and len(parts) < most - 1:
        letter = text[index]
        if letter == "\\":
            index += 1
        elif letter == "'" and (delimiter == " " or in_quotes or "'" in text[index + 1 :]):
            in_quotes = not in_quotes
        elif letter == delimiter and not in_quotes:
            parts.append(text[start:index])
            while delimiter == " " and text[index + 1 : index + 2] == " ":
                index += 1
            start = index + 1
        index += 1
    return parts + ([text[start:]] if start < len(text) else [])


def cleaned(part: str, delimiter: str) -> str:
    """Without leading and trailing blanks, one level of backslashes, and quotes that have a partner."""
    part = part.lstrip(" ")
    kept, length, index, in_quotes = "", 0, 0, False
    while index < len(part):
        letter, following = part[index], part[index + 1 : index + 2]
        if letter == "\\" and following and following in f"'\"\\{delimiter.strip()}nrts":
            kept += NAMED_BY_A_LETTER.get(following, following)
            length, index = len(kept), index + 2
            continue
        if letter == "'" and (in_quotes or "'" in part[index + 1 :]):
            in_quotes = not in_quotes
            length = len(kept) if in_quotes else length
        else:
            kept += letter
            length = len(kept) if letter != " " or in_quotes else length
        index += 1
    return kept[:length] if length else kept


def separate(text: str, delimiter: str, most: int = 1024) -> list[str]:
    return [cleaned(part, delimiter) for part in cut(text, delimiter, most)]


@dataclass
class Parsed:
    variables: dict[str, str]
    rest: list[str]


def parsed(arguments: str) -> Parsed:
    """What the switch makes of the arguments of originate."""
    dial_string, *rest = separate(arguments, " ", 10)
    assert ":_:" not in dial_string, "the switch would take this for several originates"
    depth = end = 0
    while end < len(dial_string) and (depth := depth + {"{": 1, "}": -1}.get(dial_string[end], 0)):
        end += 1
    pairs = [separate(part, "=", 2) for part in separate(dial_string[1:end], ",")]
    variables = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    return Parsed(variables, [dial_string[end + 1 :], *rest])


def originate(**variables: str) -> Originate:
    return Originate("1020", "pbx.example", "+19495431333", "patchbay", uuid4(), 25, variables)


# --- the oracle itself ------------------------------------------------------------------------------


def test_the_oracle_knows_what_a_real_switch_was_seen_to_do() -> None:
    assert parsed("{a='Smith\\, John'}user/1 2").variables == {"a": "Smith, John"}
    assert parsed("{a='O\\'Neil'}user/1 2").variables == {"a": "O'Neil"}
    # The quoting that is advised everywhere does not survive a second apostrophe.
    assert parsed("{a='O\\'Neil',b='D\\'Arcy'}user/1 2").variables == {"a": "ONeil,b=DArcy"}
    # A blank ends the argument.
    assert parsed("{a=b c}user/1 2").rest[0] != "user/1"


@given(st.text("ab'\"\\ ,=ns\u00e9", max_size=12), st.sampled_from(" ,="))
def test_the_oracle_and_the_simulator_agree(text: str, delimiter: str) -> None:
    if text.startswith(" ") or text.endswith("\\"):
        return  # the switch reads past the end of a text that ends in a backslash
    assert separate(text, delimiter) == dialstring.separate(text, delimiter)


# --- values -----------------------------------------------------------------------------------------


def is_carried(text: str) -> bool:
    return text == text.strip() and not any(each in text for each in ("${", ":_:"))


CARRIED = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="{}"), max_size=30
).filter(is_carried)
TRICKY = st.text("ab'\"\\ ,=nrts$()[]<>^|:", max_size=14).filter(is_carried)


@given(st.lists(CARRIED | TRICKY, min_size=1, max_size=4))
@example(["O'Neil", "Smith, John"])
@example(["'", "'"])
@example(["\\", "a=b,c=d"])
@example(["\\\\s", "it's, \\'quoted\\'"])
@example(["^^:a=b:c=d"])
@example(["a  b   c"])
def test_every_value_arrives_as_it_was_typed(values: list[str]) -> None:
    variables = {f"v{number}": value for number, value in enumerate(values) if value}

    found = parsed(str(originate(**variables)))

    assert {name: value for name, value in found.variables.items() if name.startswith("v")} == variables
    assert found.rest == ["user/1020@pbx.example", "+19495431333", "XML", "patchbay"]
    assert found.variables["originate_timeout"] == "25"
    assert set(found.variables) == {"origination_uuid", "originate_timeout", "ignore_early_media", *variables}


@given(CARRIED | TRICKY)
def test_the_simulator_reads_it_as_the_oracle_does(value: str) -> None:
    words = dialstring.separate(str(originate(name=value)), " ", 10)
    variables, rest = dialstring.take_variables(words[0], "{", "}")
    assert variables.get("name", "") == value
    assert rest == "user/1020@pbx.example"


@pytest.mark.parametrize(
    "value",
    [
        "${system(touch x)}",
        "$${default_password}",
        "}&system(touch x)",
        "a{b",
        "line\nbreak",
        "carriage\rreturn",
        "nul\0",
        "tab\t",
        "del\x7f",
        " before",
        "after ",
        "\u00a0",
        "one:_:two",
        "ARRAY::a|:b",
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(value: str) -> None:
    with pytest.raises(ValueError, match="caller_name"):
        escaped(value, "caller_name")
    with pytest.raises(ValueError, match="caller_name"):
        str(originate(caller_name=value))


def test_an_empty_value_is_left_out() -> None:
    assert "empty" not in str(originate(empty=""))


# --- the parts that are grammar ---------------------------------------------------------------------

HOSTILE = [
    "",
    " ",
    "1 2",
    "1000 XML default",
    "system:touch x inline",
    "&park",
    "-both ${x}",
    "1000|1001",
    "1000,1001",
    "a}b",
    "1\n2",
    "１０００",
    "٣",
    "1000'",
    "../x",
    "sip:x@y",
    "1" * 40,
]


@pytest.mark.parametrize("destination", [*HOSTILE, "+", "++1", "1+1", "abc"])
def test_a_destination_is_digits_and_nothing_else(destination: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        Originate("1020", "pbx.example", destination, "patchbay", uuid4())


@pytest.mark.parametrize("destination", ["1000", "+19495431333", "*98", "#1", "0"])
def test_what_can_be_dialled_is_taken(destination: str) -> None:
    assert check_destination(destination) == destination


@pytest.mark.parametrize("text", [*HOSTILE[:-1], "a b", "x" * 300])
@pytest.mark.parametrize("part", ["user", "domain", "context"])
def test_user_domain_and_context_are_words(part: str, text: str) -> None:
    with pytest.raises(ValueError, match=part):
        Originate(
            **{"user": "1", "domain": "d", "destination": "1", "context": "c", "uuid": uuid4(), part: text}
        )


@pytest.mark.parametrize("domain", ["pbx.example", "127.0.0.1", "[2001:db8::1]", "a-b_c"])
def test_domains_are_taken(domain: str) -> None:
    assert f"@{domain} " in str(Originate("1", domain, "2", "c", uuid4()))


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a,b", "A", "1a", "a}", "ä", "a\n"])
def test_a_variables_name_is_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a variable"):
        originate(**{name: "value"})


def test_the_whole_is_as_the_switch_wants_it() -> None:
    uuid = UUID("6e2cdb3e-0f5c-4c7a-8d6c-3f5a1b2c3d4e")
    command = Originate("1020", "pbx.example", "1021", "patchbay", uuid, 25, {"caller": "Zoë O'Neil"})
    assert str(command) == (
        f"{{origination_uuid={uuid},originate_timeout=25,ignore_early_media=true,"
        "caller=Zoë\\sO\\\\\\\\\\\\\\'Neil}user/1020@pbx.example 1021 XML patchbay"
    )


def test_one_device_is_called_as_the_switch_names_it() -> None:
    contact = "sofia/internal/sip:1020@10.0.0.5:5060;transport=ws;fs_nat=yes;fs_path=sip%3A1020%40192.0.2.7"
    sent = str(Originate("1020", "a.example", "1021", "patchbay", UUID(int=7), contact=contact))
    assert sent.endswith(f"}}{contact} 1021 XML patchbay")
    assert "user/" not in sent


def test_legs_to_several_devices_are_named_and_have_no_uuid_in_common() -> None:
    one, several = (
        str(Originate("1020", "a.example", "1021", "patchbay", UUID(int=7), several=each))
        for each in (False, True)
    )
    assert f"origination_uuid={UUID(int=7)}" in one
    assert "patchbay_asked" not in one
    assert f"patchbay_asked={UUID(int=7)}" in several
    assert "origination_uuid" not in several


@pytest.mark.parametrize(
    "contact",
    [
        "error/user_not_registered",
        "user/1021",
        "sofia/gateway/carrier1/1900",
        "sofia/internal/sip:1@a,sofia/gateway/carrier1/1900",
        "sofia/internal/sip:1@a|sofia/gateway/carrier1/1900",
        "sofia/internal/sip:1@a &system(x)",
        "sofia/internal/sip:1@${system(x)}",
        "sofia/internal/sip:1@a'",
        "sofia/internal/sip:1@a\napi x",
    ],
)
def test_what_a_phone_calls_itself_is_never_more_than_one_address(contact: str) -> None:
    with pytest.raises(ValueError, match="no device"):
        Originate("1020", "a.example", "1021", "patchbay", UUID(int=7), contact=contact)
