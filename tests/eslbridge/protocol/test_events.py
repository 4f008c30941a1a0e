"""Events give the right values in the three formats, whether one is read or all, and whatever they hold."""

import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eslbridge.protocol import events
from eslbridge.protocol.errors import InvalidJSON
from eslbridge.protocol.events import Event, JsonEvent, PlainEvent, XmlEvent, url_decode
from eslbridge.protocol.frames import Parser
from tests import recordings

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nm=audio 30954 RTP/AVP 0 101\r\n"


def recorded(name: str) -> list[Event]:
    return [m for m in Parser().feed(recordings.load(name).received) if isinstance(m, Event)]


def as_json(event: Event) -> dict[str, str]:
    """Read by the standard library, for comparison."""
    pairs = json.loads(event.raw.decode(), object_pairs_hook=list)
    expected: dict[str, str] = {}
    for key, value in pairs:
        if key != "_body" and (key not in expected or key.startswith("variable_")):
            expected[key] = "ARRAY::" + "|:".join(value) if isinstance(value, list) else value
    return expected


# Against the recordings


@pytest.mark.parametrize("name", recordings.names())
def test_every_recorded_event_reads_the_same_singly_and_whole(name: str) -> None:
    for event in recorded(name):
        fresh = type(event)(event.raw)
        headers = event.as_dict()
        assert event.name == headers["Event-Name"]
        for key, value in headers.items():
            assert fresh[key] == value == event[key]
            if event.format != "xml":  # looks through all of it each time
                assert fresh.get_list(key) == event.get_list(key)
        assert fresh.get("No-Such-Header") is None
        assert fresh.get("No-Such-Header", "x") == "x"
        if event.format == "json":
            assert headers == as_json(event)


def test_the_formats_agree_on_the_same_kind_of_call() -> None:
    """Three recordings of one scenario."""
    calls = {kind: recorded(f"call_extension_to_extension_{kind}") for kind in ("plain", "json", "xml")}

    def legs(kind: str) -> set[tuple[str, str]]:
        return {(event.name, event.get("Channel-State", "")) for event in calls[kind]}

    assert legs("plain") == legs("json") == legs("xml")

    def bridge(kind: str) -> Event:
        return next(event for event in calls[kind] if event.name == "CHANNEL_BRIDGE")

    plain, as_json_, xml = bridge("plain"), bridge("json"), bridge("xml")
    assert len(set(plain) & set(as_json_) & set(xml)) > 120
    for name in ("Caller-Destination-Number", "Channel-State", "variable_sip_req_user", "FreeSWITCH-IPv6"):
        assert plain[name] == as_json_[name] == xml[name]
    for event in (plain, as_json_, xml):
        assert event["variable_switch_r_sdp"].startswith("v=0\r\no=- ")
        assert event["variable_switch_r_sdp"].count("\r\n") >= 7
        assert event.get_list("variable_DP_MATCH") == ["1001", "1001"]
    assert plain["variable_DP_MATCH"] == as_json_["variable_DP_MATCH"] == "ARRAY::1001|:1001"


@pytest.mark.parametrize("name", ["bgapi", "bgapi_json"])
def test_the_body_of_a_recorded_job(name: str) -> None:
    jobs = [event for event in recorded(name) if event.name == "BACKGROUND_JOB"]
    assert jobs[0].body.startswith("UP 0 years")
    assert jobs[0].body.endswith("240K/8192K\n")
    assert len(jobs[0].body.encode()) == int(jobs[0]["Content-Length"])
    assert "_body" not in jobs[0]
    assert jobs[0].get("_body") is None


def test_a_name_that_occurs_twice_in_a_recording() -> None:
    hangups = [e for e in recorded("click_to_dial_answered") if e.name == "CHANNEL_HANGUP_COMPLETE"]
    assert hangups
    for event in hangups:
        assert event.raw.count(b'"Hangup-Cause":') == 2
        assert event["Hangup-Cause"] == "NORMAL_CLEARING" == event.as_dict()["Hangup-Cause"]


# Traps


def test_a_literal_newline_escape_in_a_caller_id_forges_nothing() -> None:
    event = PlainEvent(
        b"Event-Name: X\nCaller-Caller-ID-Name: evil%0AUnique-ID%3A%20forged\nUnique-ID: real\n\n"
    )
    assert event["Unique-ID"] == "real"
    assert event["Caller-Caller-ID-Name"] == "evil\nUnique-ID: forged"
    assert PlainEvent(event.raw).as_dict() == {
        "Event-Name": "X",
        "Caller-Caller-ID-Name": "evil\nUnique-ID: forged",
        "Unique-ID": "real",
    }


@pytest.mark.parametrize("separator", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_a_newline_ends_a_line(separator: str) -> None:
    event = PlainEvent(f"Event-Name: X\nA: one{separator}B: two\n\n".encode())
    assert event["A"] == f"one{separator}B: two"
    assert event.get("B") is None
    assert set(event.as_dict()) == {"Event-Name", "A"}


def test_a_look_up_does_not_read_on_into_the_body() -> None:
    event = PlainEvent(b"Event-Name: MESSAGE\nContent-Length: 34\n\nUnique-ID: forged\nEvent-Name: Evil\n")
    assert event.get("Unique-ID") is None
    assert event["Event-Name"] == "MESSAGE"
    assert event.body == "Unique-ID: forged\nEvent-Name: Evil\n"
    forged = PlainEvent(b"A: 1\nContent-Length: 37\n\nx\nC: 3\nContent-Length: 5\n\nA: 2\nD: 4\n\n")
    assert [forged.get(name) for name in "ACD"] == ["1", None, None]
    assert forged["Content-Length"] == "37"
    assert forged.body == "x\nC: 3\nContent-Length: 5\n\nA: 2\nD: 4\n\n"
    assert PlainEvent(forged.raw).as_dict() == {"A": "1", "Content-Length": "37"}
    assert PlainEvent(b"Content-Length: 5\n\nA: b\n").get("A") is None
    assert PlainEvent(b"Content-Length: 5\nA: b").body == ""


def test_the_traps_of_json() -> None:
    raw = json.dumps(
        {
            "Event-Name": "X",
            "a": 'quote " and \\"b\\":\\"c\\" and \\',
            "value": "Unique-ID",
            "Unique-ID": "real",
            "text": '","Unique-ID":"forged',
            "empty": "",
            "utf": "Zoë 🎉",
            "percent": "%41",
            ":": ":",
            "list": ["a", ":", 'b"'],
            "_body": '{"Unique-ID":"inner"}',
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    event = JsonEvent(raw)
    assert event["Unique-ID"] == "real"
    assert event.get("b") is None
    assert event["empty"] == ""
    assert event["percent"] == "%41"
    assert event["utf"] == "Zoë 🎉"
    assert event[":"] == ":"
    assert event.get_list("list") == ["a", ":", 'b"']
    assert event.body == '{"Unique-ID":"inner"}'
    assert event.as_dict() == as_json(event)
    assert JsonEvent(raw).as_dict()["Unique-ID"] == "real"


def test_a_name_with_a_quote_in_it_forges_no_other() -> None:
    """Names of variables can come from a caller: `variable_sip_h_X-"Unique-ID`."""
    for members in (
        {'variable_sip_h_X-"Unique-ID': "forged", "Unique-ID": "real"},
        {"Unique-ID": "real", 'variable_sip_h_X-"Unique-ID': "forged"},
        {"Unique-ID": "real", 'variable_sip_h_X-"Unique-ID': ["forged"]},
    ):
        event = JsonEvent(json.dumps(members, separators=(",", ":")).encode())
        assert event["Unique-ID"] == "real"
        assert JsonEvent(event.raw).as_dict()["Unique-ID"] == "real"
    for value in ("forged", ["forged"]):
        raw = json.dumps({'x"A': value, 'x"_body': "forged"}, separators=(",", ":")).encode()
        assert JsonEvent(raw).get("A") is None
        assert JsonEvent(raw).body == ""


def test_plain_text_that_is_undefined_is_empty() -> None:
    event = PlainEvent(b"A: _undef_\nB: x\n\n")
    assert event["A"] == ""
    assert event.as_dict() == {"A": "", "B": "x"}
    assert "A" in event


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"plain", "plain"),
        (b"%41%42", "AB"),
        (b"a%20b", "a b"),
        (b"a+b", "a+b"),
        (b"%zz", "%zz"),
        (b"%4", "%4"),
        (b"%", "%"),
        (b"100%", "100%"),
        (b"%%41", "%A"),
        (b"%25%34%31", "%41"),
        (b"a=b%3Dc", "a=b=c"),
        (b"%\r", "%\r"),
        (b"=%\r=", "=%\r="),
        (b"%c3%ab", "ë"),
        (b"%C3%AB", "ë"),
        (b"%FF", "\udcff"),
        (b"Zo\xc3\xab%20", "Zoë "),
        (b"\xff%41", "\udcffA"),
        (b"%0D%0A", "\r\n"),
        (b"%00", "\0"),
        (b"x %20", "x  "),
    ],
)
def test_url_decoding(raw: bytes, expected: str) -> None:
    assert url_decode(raw) == expected
    event = PlainEvent(b"X: 1\nA: " + raw + b"\n\n")
    assert event["A"] == expected
    assert event.as_dict()["A"] == expected


@given(st.binary())
@example(b"%%%\r")
@example(b"%=%\n")
@example(b"%a%aa%%\r=%0")
def test_url_decoding_is_what_the_standard_library_says(raw: bytes) -> None:
    from urllib.parse import unquote_to_bytes

    if b"\n" not in raw:
        assert url_decode(raw) == unquote_to_bytes(raw).decode("utf-8", "surrogateescape")


def test_bytes_that_are_no_utf8_survive_in_every_format() -> None:
    for event in (
        PlainEvent(b"A: ca\xff\nB: %FE\nUnique-ID: u\n\n"),
        JsonEvent(b'{"A":"ca\xff","B":"\xfe","Unique-ID":"u"}'),
        XmlEvent(b"<event><headers><A>ca\xff</A><B>%FE</B><Unique-ID>u</Unique-ID></headers></event>"),
    ):
        assert event["A"] == "ca\udcff"
        assert type(event)(event.raw).as_dict() == {"A": "ca\udcff", "B": "\udcfe", "Unique-ID": "u"}
        assert event["Unique-ID"] == "u"
        assert event["A"].encode("utf-8", "surrogateescape") == b"ca\xff"


def test_a_lone_surrogate_in_json_ends_nobody() -> None:
    event = JsonEvent(rb'{"Event-Name":"X","A":"\ud83d","B":"\ud83d\ude00"}')
    assert event["A"] == "\ufffd"
    assert event["B"] == "😀"
    assert event.as_dict() == {"Event-Name": "X", "A": "\ufffd", "B": "😀"}
    event.as_dict()["A"].encode()


def test_control_characters_in_json_are_borne() -> None:
    event = JsonEvent(b'{"Event-Name":"X","A":"tab\there","B":"\\u0007 \\/ \\n"}')
    assert event["A"] == "tab\there"
    assert event["B"] == "\x07 / \n"
    assert event.as_dict()["A"] == "tab\there"


def test_json_with_spaces_is_read_too() -> None:
    event = JsonEvent(b'{ "Event-Name" : "X",\n "A": "b", "L": ["1", "2"], "_body": "text" }')
    assert event["A"] == "b"
    assert event.name == "X"
    assert event.get_list("L") == ["1", "2"]
    assert event.get("Absent") is None
    assert event.body == "text"
    assert JsonEvent(b'{"a": "b"}').body == ""


def test_names_beyond_ascii_may_be_escaped() -> None:
    assert JsonEvent(rb'{"Zo\u00eb":"1"}')["Zoë"] == "1"
    assert JsonEvent('{"Zoë":"1"}'.encode())["Zoë"] == "1"
    assert PlainEvent("Zoë: 1\n\n".encode())["Zoë"] == "1"
    assert JsonEvent(b'{"\xff":"1","A":"2"}')["\udcff"] == "1"
    assert PlainEvent(b"\xff: 1\n\n")["\udcff"] == "1"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x",
        b"{",
        b'{"Event-Name":"X"',
        b'["Event-Name"]',
        b"[" * 100_000,
        b'"Event-Name"',
        b'["\xff"]',
        b'{"a":5}',
        b'{"a":null,"b":"c"}',
        b'{"a":{"b":"c"}}',
        b'{"a":["b",["c"]]}',
        b'{"a":["b",5],"c":"d"}',
        b"5" * 5000,
        b'{"a":' + b"5" * 5000 + b"}",
    ],
)
def test_what_is_no_event_in_json_is_invalid(raw: bytes) -> None:
    event = JsonEvent(raw)
    with pytest.raises(InvalidJSON):
        event.as_dict()
    assert "JsonEvent" in repr(event)


def test_a_string_without_an_end_is_invalid() -> None:
    for raw in (b'{"A":"b', b'{"A":"b\\"'):
        with pytest.raises(InvalidJSON, match="no end"):
            JsonEvent(raw).get("A")
    with pytest.raises(InvalidJSON):
        JsonEvent(b'{"A":"\\q"}').get("A")
    with pytest.raises(InvalidJSON):
        JsonEvent(b'{"Event-Name":5}').name  # noqa: B018
    assert repr(JsonEvent(b'{"Event-Name":5}')) == "<JsonEvent malformed 16 bytes>"


def test_the_traps_of_xml() -> None:
    event = XmlEvent(
        b"<event>\n  <headers>\n    <Event-Name>MESSAGE</Event-Name>\n    <A>%3Cx%3E%20%26</A>\n"
        b"    <B>1</B>\n    <B>2</B>\n    <C></C>\n  </headers>\n  <Content-Length>9</Content-Length>\n"
        b"  <body>&lt;B&gt;&amp;&#65;&#x42;&quot;&apos;&unknown;&#xD800;&#9999999; %41\n</body>\n</event>"
    )
    assert event.name == "MESSAGE"
    assert event["A"] == "<x> &"
    assert event["B"] == "1"
    assert event.get_list("B") == ["1", "2"]
    assert event["C"] == ""
    assert event["Content-Length"] == "9"
    assert event.body == "<B>&AB\"'&unknown;&#xD800;&#9999999; %41\n"
    assert XmlEvent(b"<event></event>").body == ""
    assert XmlEvent(b"<event></body><body></event>").body == ""
    assert XmlEvent(b"not xml at all").as_dict() == {}


def test_odd_lines_of_a_plain_event_are_skipped() -> None:
    event = PlainEvent(b"nonsense\nA: 1\nA: 2\nB:3\n\n: 4")
    assert event.as_dict() == {"A": "1", "": "4"}
    assert event["A"] == "1"
    fresh = PlainEvent(event.raw)
    assert fresh["A"] == "1"
    assert fresh[""] == "4"
    assert fresh.get("a\nb") is None
    assert fresh.get("a: b") is None
    assert fresh.get("B") is None
    assert fresh.body == ""


# As a mapping


def test_an_event_is_a_read_only_mapping() -> None:
    event = PlainEvent(b"Event-Name: CUSTOM\nEvent-Subclass: sofia%3A%3Aregister\n\n")
    assert dict(event.as_dict()) == {name: event[name] for name in event}
    assert len(event) == 2
    assert "Event-Name" in event
    assert "Nothing" not in event
    assert 5 not in event
    assert event.subclass == "sofia::register"
    assert event.get_list("Nothing") == []
    assert event.get_list("Event-Name") == ["CUSTOM"]
    with pytest.raises(KeyError, match="Nothing"):
        event["Nothing"]
    assert repr(event) == "<PlainEvent sofia::register 56 bytes>"
    assert event == PlainEvent(event.raw)
    assert event != XmlEvent(event.raw)
    assert event != "x"
    assert len({event, PlainEvent(event.raw)}) == 1
    assert event.as_dict() is event.as_dict()
    assert event["Event-Name"] == "CUSTOM"
    assert event.get("Nothing") is None


def test_names_may_be_empty_but_an_event_without_one_has_the_empty_name() -> None:
    assert PlainEvent(b"\n").name == ""
    assert PlainEvent(b"Content-Length: 9\n\nEvent-Name: X").name == ""
    assert PlainEvent(b"\nEvent-Name: X").name == "X"
    assert JsonEvent(b"{}").name == ""


@pytest.mark.parametrize("distance", [0, 100, 1550, 1590, 1600, 1610, 3000])
def test_the_first_value_counts_however_far_behind_it_stands(distance: int) -> None:
    """Of a variable, the last."""
    filler = {f"F{number}": "x" * 10 for number in range(distance // 20)} | {"G": "x" * (distance % 20)}
    for kind in (PlainEvent, JsonEvent):
        for name, value in (("Name", "first"), ("variable_name", "last"), ("Absent", None)):
            pairs = [*filler.items(), ("Name", "first"), ("variable_name", "first"), *filler.items()]
            pairs += [("Name", "last"), ("variable_name", "last"), *filler.items()]
            if kind is PlainEvent:
                raw = "".join(f"{key}: {text}\n" for key, text in pairs) + "\n"
            else:
                raw = "{" + ",".join(f'"{key}":"{text}"' for key, text in pairs) + "}"
            assert kind(raw.encode()).get(name) == value
            assert kind(raw.encode()).as_dict().get(name) == value


def test_the_base_class_has_no_format() -> None:
    event = Event(b"")
    for read in (lambda: event.get("A"), event.as_dict, lambda: event.body):
        with pytest.raises(NotImplementedError):
            read()


def test_the_cache_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_CACHED_NAMES", 10)
    event, other = PlainEvent(b"A: 1\n\n"), JsonEvent(b'{"A":"1"}')
    for i in range(50):
        assert event.get(f"name-{i}") is None
        assert other.get(f"name-{i}") is None
    assert len(events._plain_patterns) <= 10
    assert len(events._json_patterns) <= 10


# Properties: what the switch would write is what we read

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r:\0<>/ ", exclude_categories=["Cc", "Zs"]),
    min_size=1,
).filter(lambda name: name not in ("_body", "body"))
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def switch_quote(value: str) -> str:
    """As FreeSWITCH's plain format: an empty value is a word of its own."""
    return quote(value, safe="/!$'()*,-.~_0123456789") or "_undef_"


@given(st.dictionaries(NAMES, VALUES, min_size=1), VALUES)
def test_what_is_written_is_read_in_every_format(headers: dict[str, str], body: str) -> None:
    lines = "".join(f"{name}: {switch_quote(value)}\n" for name, value in headers.items())
    length = f"Content-Length: {len(body.encode())}\n" if body else ""
    whole = json.dumps(headers | {"_body": body}, separators=(",", ":"), ensure_ascii=False)
    escaped = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    elements = "".join(f"    <{name}>{quote(value, safe='')}</{name}>\n" for name, value in headers.items())
    for event in (
        PlainEvent(f"{lines}{length}\n{body}".encode()),
        JsonEvent(whole.encode()),
        XmlEvent(
            f"<event>\n  <headers>\n{elements}  </headers>\n  <body>{escaped}</body>\n</event>".encode()
        ),
    ):
        expected = {
            name: "" if event.format == "plain" and value == "_undef_" else value
            for name, value in headers.items()
        }
        fresh = type(event)(event.raw)
        assert {name: fresh.get(name) for name in headers} == expected
        assert {name: event.as_dict()[name] for name in headers} == expected
        assert event.body == body


@given(
    st.lists(st.tuples(st.sampled_from(["A", "B", "variable_A", ":", ",", "", '"', "\\", "é"]), VALUES)),
    st.dictionaries(st.sampled_from(["L", "variable_L"]), st.lists(VALUES, min_size=1)),
)
def test_of_names_that_occur_twice_in_json_the_first_counts(
    pairs: list[tuple[str, str]], arrays: dict[str, list[str]]
) -> None:
    members = [(name, value) for name, value in pairs] + list(arrays.items())
    if not members:
        return
    written = ",".join(
        f"{json.dumps(name, ensure_ascii=False)}:"
        + json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in members
    )
    event = JsonEvent(f"{{{written}}}".encode())
    expected: dict[str, str] = {}
    for name, value in members:
        if name not in expected or name.startswith("variable_"):
            expected[name] = value if isinstance(value, str) else "ARRAY::" + "|:".join(value)
    assert {name: event.get(name) for name in expected} == expected
    assert JsonEvent(event.raw).as_dict() == expected


@given(st.binary(max_size=300), st.sampled_from(["A", "Event-Name", "", "B: c", "x\n"]))
def test_any_bytes_are_an_event_or_invalid(raw: bytes, name: str) -> None:
    for kind in (PlainEvent, JsonEvent, XmlEvent):
        event = kind(raw)
        for read in (
            lambda e=event: e.get(name),
            lambda e=event: e.body,
            event.as_dict,
            lambda e=event: repr(e),
        ):
            try:
                read()
            except InvalidJSON:
                assert kind is JsonEvent


@given(
    st.lists(
        st.sampled_from(
            [b"A", b": ", b"B", b"\n", b"\n\n", b"1", b"%41", b"Content-Length", b"_undef_", b"variable_"]
        ),
        max_size=12,
    ).map(b"".join)
)
def test_single_values_and_the_dictionary_agree_on_any_lines(raw: bytes) -> None:
    whole = PlainEvent(raw).as_dict()
    for name in ("A", "B", "AB", "", "1", "variable_A"):
        assert PlainEvent(raw).get(name) == whole.get(name)


def test_a_value_with_a_nul_does_not_shift_the_others() -> None:
    """Values are decoded together; `%00` is what they are joined with."""
    raw = b"Event-Name: X\nA: 1%20a\nCaller-Caller-ID-Name: x%00y%00z\nB: 2%20b\n\n"
    assert PlainEvent(raw).as_dict() == {
        "Event-Name": "X",
        "A": "1 a",
        "Caller-Caller-ID-Name": "x\0y\0z",
        "B": "2 b",
    }


def test_an_encoded_undef_is_text() -> None:
    event = PlainEvent(b"Event-Name: X\nA: %5Fundef_\nB: _undef_\n\n")
    assert event["A"] == event.as_dict()["A"] == "_undef_"
    assert event["B"] == ""


def test_headers_behind_an_event_that_does_not_begin_with_its_name() -> None:
    """As of `sendevent`: the sender's headers come first."""
    raw = b"Colour: red\nEvent-UUID: u\nX-Event-Name: no\nEvent-Name: CUSTOM\nColour: blue\n\n"
    assert PlainEvent(raw).name == "CUSTOM"
    assert PlainEvent(raw)["Colour"] == "red"
    event = JsonEvent(b'{"Colour":"red","Event-UUID":"u","Event-Name":"CUSTOM","Colour":"blue"}')
    assert (event.name, event["Colour"], event.as_dict()["Colour"]) == ("CUSTOM", "red", "red")


@pytest.mark.parametrize(
    "value", [b"[" * 300 + b"]" * 300, b'{"a":' * 300 + b'""' + b"}" * 300, b'["a', b"["]
)
def test_json_that_is_nested_or_has_no_end_is_invalid(value: bytes) -> None:
    raw = b'{"Event-Name":"X","variable_a":' + value + b"}"
    for read in (lambda: JsonEvent(raw)["variable_a"], lambda: JsonEvent(raw).as_dict()):
        with pytest.raises(InvalidJSON):
            read()


def test_arrays_are_read_the_same_singly_and_whole() -> None:
    for value, expected in {
        '["1","2"]': "ARRAY::1|:2",
        '[""]': "ARRAY::",
        "[]": "ARRAY::",
        '["a\\"]b","c"]': 'ARRAY::a"]b|:c',
        '["Zoë"]': "ARRAY::Zoë",
    }.items():
        raw = f'{{"Event-Name":"X","A":{value},"variable_a":{value}}}'.encode()
        for name in ("A", "variable_a"):
            assert JsonEvent(raw)[name] == JsonEvent(raw).as_dict()[name] == expected


def test_a_plain_value_that_is_no_utf8_is_read_alone() -> None:
    event = PlainEvent(b"Event-Name: X\nA: caf\xe9\n\n")
    assert event["A"] == event.as_dict()["A"] == "caf\udce9"
