"""Many events at once give the same values as one by one, and as whole dictionaries, whatever they hold."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eslbridge.protocol.batches import Batch, Fields
from eslbridge.protocol.errors import InvalidJSON
from eslbridge.protocol.events import Event, JsonEvent, PlainEvent, XmlEvent
from eslbridge.protocol.frames import Parser
from tests import recordings

FIVE = ("Event-Name", "Unique-ID", "Caller-Caller-ID-Name", "variable_switch_r_sdp", "variable_DP_MATCH")
MORE = (
    "Event-Subclass",
    "Job-UUID",
    "Content-Length",
    "variable_sip_req_user",
    "Hangup-Cause",
    "No-Such-Header",
)


def batch(kind: type[Event], raws: Sequence[bytes]) -> Batch:
    """As it comes from the parser: one behind another in what was read."""
    head = b"Content-Length: 9\n\n"
    data = head + head.join(raws)
    spans, begin = [], len(head)
    for raw in raws:
        spans.append((data, begin - 1, begin + len(raw)))
        begin += len(raw) + len(head)
    return Batch(kind, spans)


def one_by_one(events: Sequence[Event], names: Sequence[str]) -> list[tuple[str | None, ...]]:
    return [tuple(type(event)(event.raw).get(name) for name in names) for event in events]


def check(kind: type[Event], raws: Sequence[bytes], *names: str) -> list[tuple[str | None, ...]]:
    """The values, after all ways to read them were compared."""
    events = [kind(raw) for raw in raws]
    values = Fields(*names).read(batch(kind, raws))
    assert values == Fields(*names).read(events) == one_by_one(events, names)
    assert values == [tuple(map(kind(raw).as_dict().get, names)) for raw in raws]
    return values


@pytest.mark.parametrize("name", recordings.names())
def test_the_events_of_the_recordings(name: str) -> None:
    events = [m for m in Parser().feed(recordings.load(name).received) if isinstance(m, Event)]
    for names in (FIVE, MORE, FIVE + MORE):
        assert Fields(*names).read(events) == one_by_one(events, names)
    for kind in (JsonEvent, PlainEvent):
        raws = [event.raw for event in events if type(event) is kind]
        if raws:
            check(kind, raws, *FIVE)


def test_what_is_written_in_another_way_is_read_too() -> None:
    raws = [
        b'{"Event-Name":"X","A":"1","B":["2","3"],"variable_c":"4"}',
        b'{ "Event-Name" : "X", "A" : "1", "B": ["2"], "variable_c": "4" }',
        b'{"A":"\\"","B":["\\""],"variable_c":"\\\\","Event-Name":"\\u0041"}',
        b'{"A":"","B":[""],"variable_c":"Event-Name","A\\"B":"x"}',
        b'{"x\\"A":"forged","A":"real","B":[",","],"],"variable_c":"1","variable_c":"2"}',
        b'{"A":["]"],"B":[],"variable_c":["a\\"]","b"]}',
        b'{"A":"Zo\xc3\xab","B":"caf\xe9","variable_c":"tab\there"}',
        b'{"value":"A","other":"B","more":"variable_c"}',
        b"{}",
    ]
    for raw in raws:
        check(JsonEvent, [raw], "A", "B", "variable_c", "Event-Name", "value")
    check(JsonEvent, raws, "A", "B", "variable_c", "Event-Name")
    assert check(JsonEvent, raws, "A")[:4] == [("1",), ("1",), ('"',), ("",)]


@pytest.mark.parametrize("following", [b'[",","]b"]', b'["],[","]b"]', b'["c"]'])
def test_an_item_that_begins_with_a_bracket_is_no_end_of_an_array(following: bytes) -> None:
    """Whoever calls can send a header twice, and what is in it: it must not end up in another event."""
    raws = [b'{"x":"1","A":' + array + b"}" for array in (b'["a","]b"]', following, b'["d","e"]')]
    assert check(JsonEvent, raws, "A")[::2] == [("ARRAY::a|:]b",), ("ARRAY::d|:e",)]


def test_plain_events() -> None:
    raws = [
        b"Event-Name: X\nA: 1\nB: %41\nvariable_c: _undef_\nA: 2\nvariable_c: 3\n\n",
        b"Event-Name: X\nA: _undef_\nB: %5Fundef_\nvariable_c: Zo%C3%AB\n\n",
        b"Event-Name: X\nContent-Length: 24\n\nA: forged\nvariable_c: x\n",
        b"Event-Subclass: a\nEvent-Name: CUSTOM\nA: 100%\nB: \xff\n\n",
        b"Event-Name: X\nA: 1%00\nB: a=b\r%41",
        b"Event-Name: X\nA: 1%002\nB: a%00=b\n\n",
        b"Event-Name: _undef_\nodd line\n\n",
        b"",
    ]
    for raw in raws:
        check(PlainEvent, [raw], "A", "B", "variable_c", "Event-Name", "Content-Length")
    values = check(PlainEvent, raws, "A", "B", "variable_c")
    assert values[:3] == [("1", "A", "3"), ("", "_undef_", "Zoë"), (None, None, None)]


LONG = b"x" * 60


@pytest.mark.parametrize(
    "others",
    [
        [b'{"A":"b"}', b'{"A":"c","A":"d"}'],
        [b'{"A":"' + LONG + b'"}', b'{"A":"' + LONG + b'","A":"d"}'],
        [b'{"A":"\\"","A":"d"}', b'{"A":"\\\\","A":"d"}', b'{"A":["c"],"A":"d"}', b'{"A":"\xff","A":"d"}'],
        [b'{"Event-Subclass":"a","A":"b"}', b'{"Event-Subclass":"a","A":["b"]}', b'{"B":"","A":"1"}', b"{}"],
    ],
)
def test_json_events_that_begin_with_what_is_asked_for(others: list[bytes]) -> None:
    """The first of two values counts, however it is written and wherever it ends."""
    for raws in (others, [b'{"A":"1"}', *others], [*others, b'{"A":"1"}'], [*others, b'{"x":"1","A":["2"]}']):
        check(JsonEvent, raws, "A", "Event-Subclass")


@pytest.mark.parametrize(
    "others",
    [
        [b"A: b\n\n", b"A: c\nA: d\n\n"],
        [b"A: " + LONG + b"\n\n", b"A: " + LONG + b"\nA: d\n\n"],
        [b"A: %41\nA: d\n\n", b"A: _undef_\nA: d\n\n", b"A: \xff\n\n", b"A: \n\n", b"A: %\n\n", b"A: b"],
        [b"Event-Subclass: a\nA: b\n\n", b"B: 1\nA: b\n\n", b"B: 1\n\n", b"Content-Length: 6\n\nA: b\n\n"],
    ],
)
def test_plain_events_that_begin_with_what_is_asked_for(others: list[bytes]) -> None:
    for raws in (others, [b"A: 1\n\n", *others], [*others, b"A: 1\n\n"]):
        check(PlainEvent, raws, "A", "Event-Subclass")


@pytest.mark.parametrize(
    "name", ["_body", "Zoë", "a b", "", ":", '"', "\\", "x\ny", "x: y", "1", "variable_a.b"]
)
def test_names_that_are_hard_to_look_for(name: str) -> None:
    written = json.dumps({"A": "1", name: "2", "_body": "3"}, separators=(",", ":"))
    check(JsonEvent, [written.encode(), b'{"A":"1"}'], "A", name)
    check(PlainEvent, [b"Event-Name: X\nA: 1\n" + name.encode() + b": 2\n\n"], "A", name)


def test_fields_need_names() -> None:
    with pytest.raises(ValueError, match="names"):
        Fields()
    assert Fields("A").read([]) == []


def test_events_of_different_formats() -> None:
    events = [JsonEvent(b'{"A":"1"}'), PlainEvent(b"Event-Name: X\nA: 2\n\n"), XmlEvent(b"<A>3</A>")]
    assert Fields("A", "B").read(events) == [("1", None), ("2", None), ("3", None)]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"Event-Name":"X","A":"b',
        b'{"A":"\\q"}',
        b'{"A":["b',
        b'{"A":["b",5]}',
        b'{"A":5}',
        b'{"A":',
        b'"A":"b"',
        b'{"A":"b\\"',
        b'{"B":"c","A"',
    ],
)
def test_one_that_is_malformed_is_told_as_by_itself(raw: bytes) -> None:
    good = b'{"Event-Name":"X","A":"1"}'
    try:
        expected = [("1",), (JsonEvent(raw).get("A"),)]
    except InvalidJSON:
        for raws in ([good, raw], [good, raw, good]):
            with pytest.raises(InvalidJSON):
                Fields("A").read(batch(JsonEvent, raws))
    else:
        assert Fields("A").read(batch(JsonEvent, [good, raw])) == expected
        assert Fields("A").read(batch(JsonEvent, [good, raw, good])) == [*expected, ("1",)]


# Properties

JSON_NAMES = st.sampled_from(["A", "B", "variable_A", "Event-Name", "é", '"', "A B"])
TEXTS = st.text(st.characters(codec="utf-8"))
JSON_VALUES = st.one_of(
    TEXTS, st.lists(TEXTS, max_size=3), st.sampled_from(['"', "\\", "A", ',"A":"', '"]', '","'])
)
JSON_EVENTS = st.lists(st.tuples(JSON_NAMES, JSON_VALUES), max_size=5)


@given(
    st.lists(st.tuples(JSON_EVENTS, st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans()), max_size=4)
)
def test_json_events_are_read_the_same_at_once_and_one_by_one(
    events: list[tuple[list[tuple[str, str | list[str]]], tuple[str, str], bool]],
) -> None:
    raws = []
    for members, (comma, colon), as_ascii in events:
        written = [
            json.dumps(name, ensure_ascii=as_ascii)
            + colon
            + json.dumps(value, ensure_ascii=as_ascii, separators=(comma, colon))
            for name, value in members
        ]
        raws.append(("{" + comma.join(written) + "}").encode())
    names = ("A", "B", "variable_A", "Event-Name")
    fields = Fields(*names)
    assert fields.read(batch(JsonEvent, raws)) == [
        tuple(map(JsonEvent(raw).as_dict().get, names)) for raw in raws
    ]
    check(JsonEvent, raws, "é", "A")


PIECES = [b"A", b": ", b"B", b"\n", b"\n\n", b"1", b"%41", b"%", b"=", b"\r", b"%00", b"\xff", b"_undef_"]
PIECES += [b"Content-Length", b"variable_", b"\nContent-Length: 5\n\n", b"\nA: ", b"\nvariable_A: "]
LINES = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@given(st.lists(st.tuples(st.sampled_from([b"Event-Name: X", b"Event-Name: ", b""]), LINES), max_size=4))
@example([(b"Event-Name: X", b"\nA: %"), (b"Event-Name: X", b"\nA: 41")])
def test_plain_events_are_read_the_same_at_once_and_one_by_one(events: list[tuple[bytes, bytes]]) -> None:
    check(PlainEvent, [first + rest for first, rest in events], "A", "B", "variable_A", "Event-Name")


@given(st.lists(st.binary(max_size=60), max_size=3), st.sampled_from(["A", "Event-Name", "", "B: c", "x\n"]))
def test_any_bytes_are_read_or_invalid(raws: list[bytes], name: str) -> None:
    for kind in (PlainEvent, JsonEvent, XmlEvent):
        try:
            expected = [(kind(raw).get(name),) for raw in raws]
        except InvalidJSON:
            with pytest.raises(InvalidJSON):
                Fields(name).read(batch(kind, raws))
        else:
            assert Fields(name).read(batch(kind, raws)) == expected


# A batch


def test_a_batch_is_a_sequence_of_events() -> None:
    raws = [b"Event-Name: A\n\n", b"Event-Name: BB\n\n", b"Event-Name: C\n\n"]
    events = batch(PlainEvent, raws)
    assert len(events) == 3
    assert [event.raw for event in events] == raws
    assert list(events) == [PlainEvent(raw) for raw in raws] == events
    assert events != [PlainEvent(raws[0])]
    assert events != 5
    assert events[1].name == "BB"
    assert events[-1] == events[2]
    assert [event.name for event in events[1:]] == ["BB", "C"]
    assert isinstance(events[1:], Batch)
    assert events.size == sum(map(len, raws))
    assert repr(events) == "<Batch of 3 PlainEvents>"
    with pytest.raises(IndexError):
        events[3]
    with pytest.raises(TypeError):
        hash(events)
