"""Frames are cut in the same way however the bytes arrive, and a bad stream ends in one of our errors."""

import random

import pytest

from eslbridge.protocol.errors import (
    FrameTooLarge,
    MissingContentType,
    ProtocolError,
    UnhandledContentType,
)
from eslbridge.protocol.events import JsonEvent, PlainEvent, XmlEvent
from eslbridge.protocol.frames import (
    ApiResponse,
    AuthRequest,
    ChannelData,
    DisconnectNotice,
    LogLine,
    Message,
    Parser,
    Rejection,
    Reply,
)
from tests import recordings

REPLY = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"


def parse(*chunks: bytes, **limits: int) -> tuple[list[Message], Parser]:
    parser = Parser(**limits)
    return [message for chunk in chunks for message in parser.feed(chunk)], parser


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def random_chunks(data: bytes, seed: int) -> list[bytes]:
    choose = random.Random(seed)
    chunks = []
    while data:
        size = choose.choice((1, 2, 3, 7, 50, 333, 2000, 9000, 70_000))
        chunks.append(data[:size])
        data = data[size:]
    return chunks


@pytest.mark.parametrize("name", recordings.names())
def test_a_recording_gives_the_same_messages_however_it_is_cut(name: str) -> None:
    recording = recordings.load(name)
    whole, parser = parse(recording.received)
    assert whole
    assert parser.error is None
    assert parser.buffered == 0
    assert parse(*recording.chunks)[0] == whole
    assert parse(*byte_by_byte(recording.received))[0] == whole
    for seed in range(3):
        assert parse(*random_chunks(recording.received, seed))[0] == whole
    assert parse(recording.received + b"Content-Type: comm")[0] == whole


@pytest.mark.parametrize("name", recordings.names())
def test_no_byte_of_a_recording_is_lost(name: str) -> None:
    """Counted without the parser: every Content-Type line that begins a line outside of a body."""
    data = recordings.load(name).received
    count = 0
    while data:
        head, _, rest = data.partition(b"\n\n")
        lines = [line for line in head.split(b"\n") if line.startswith(b"Content-Length: ")]
        size = int(lines[0].split()[1]) if lines else 0
        data = rest[size:]
        count += 1
    assert len(parse(recordings.load(name).received)[0]) == count


def test_every_kind_of_message_is_recognised() -> None:
    stream = (
        b"Content-Type: auth/request\n\n"
        + REPLY
        + b"Content-Type: api/response\nContent-Length: 4\n\n+OK\n"
        + b"Content-Length: 18\nContent-Type: text/event-plain\n\nEvent-Name: TALK\n\n"
        + b'Content-Length: 21\nContent-Type: text/event-json\n\n{"Event-Name":"TALK"}'
        + b"Content-Length: 15\nContent-Type: text/event-xml\n\n<event></event>"
        + b"Content-Type: log/data\nContent-Length: 6\nLog-Level: 7\nText-Channel: 0\nLog-File: a.c\n"
        + b"Log-Func: f\nLog-Line: 12\nUser-Data: 1-2\n\nhello\n"
        + b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u\nContent-Disposition: linger\n"
        + b"Channel-Name: c\nLinger-Time: 30\nContent-Length: 0\n\n"
        + b"Content-Type: text/disconnect-notice\nContent-Length: 5\n\nBye.\n"
        + b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
    )
    messages, parser = parse(stream)
    assert parser.error is None
    assert messages == [
        AuthRequest(),
        Reply(REPLY[:-2]),
        ApiResponse(b"+OK\n"),
        PlainEvent(b"Event-Name: TALK\n\n"),
        JsonEvent(b'{"Event-Name":"TALK"}'),
        XmlEvent(b"<event></event>"),
        LogLine(7, "a.c", "f", 12, "1-2", "hello"),
        DisconnectNotice("", linger=True, linger_seconds=30, call="u"),
        DisconnectNotice("Bye."),
        Rejection("Access Denied, go away."),
    ]
    assert parse(*byte_by_byte(stream))[0] == messages


def test_the_answer_to_connect_is_the_channels_data() -> None:
    messages, _ = parse(recordings.load("outbound_async_full").received)
    data = messages[0]
    assert isinstance(data, ChannelData)
    assert data.text == "+OK"
    assert not data.is_error
    assert data.event["Channel-Channel-Name"] == "sofia/internal/1000@127.0.0.1:32813"
    assert data.event["Control"] == "full"
    assert data.event["Socket-Mode"] == "async"
    assert "Content-Type" in data.event


def test_content_length_counts_bytes_not_characters() -> None:
    body = "Zoë 🎉\n".encode()
    messages, _ = parse(b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(body), body) + REPLY)
    assert messages[0].text == "Zoë 🎉"
    assert messages[1] == Reply(REPLY[:-2])


def test_a_body_that_is_not_utf8_is_delivered_and_the_stream_goes_on() -> None:
    messages, parser = parse(b"Content-Type: api/response\nContent-Length: 4\n\nca\xff\xfe" + REPLY)
    assert messages[0].text.encode("utf-8", "surrogateescape") == b"ca\xff\xfe"
    assert len(messages) == 2
    assert parser.error is None


def test_a_body_with_blank_lines_and_headers_in_it_is_not_cut() -> None:
    body = b"a\n\nContent-Type: auth/request\n\nContent-Length: 99\n\nb"
    messages, _ = parse(b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(body), body) + REPLY)
    assert messages[0] == ApiResponse(body)
    assert len(messages) == 2


def test_an_inner_content_length_is_no_header_of_the_frame() -> None:
    body = b"Event-Name: BACKGROUND_JOB\nContent-Length: 5000\n\nshort"
    messages, parser = parse(
        b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(body), body) + REPLY
    )
    assert len(messages) == 2
    assert messages[0].body == "short"
    assert parser.buffered == 0


def test_newlines_between_frames_mean_nothing() -> None:
    for count in range(6):
        messages, parser = parse(*byte_by_byte(REPLY + b"\n" * count + REPLY))
        assert len(messages) == 2
        assert parser.error is None
        assert parse(REPLY + b"\n" * count + REPLY)[0] == messages


def test_a_variable_of_several_lines_is_a_whole_reply() -> None:
    messages, _ = parse(
        b"Content-Type: command/reply\nReply-Text: v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n\n\n" + REPLY
    )
    assert messages[0].value == "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r"
    assert len(messages) == 2


def test_the_headers_of_a_reply_are_kept() -> None:
    (reply,) = parse(b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: 1\nJob-UUID: 1\n\n")[0]
    assert reply.text == "+OK Job-UUID: 1"
    assert reply.headers["Job-UUID"] == "1"


def test_header_names_may_lack_the_space_and_odd_lines_are_skipped() -> None:
    (answer,) = parse(b"Content-Type:api/response\nnonsense\nContent-Length:3\n\n+OK")[0]
    assert answer.text == "+OK"
    (reply,) = parse(b"X: y\nContent-Type: command/reply\nReply-Text: -ERR no\nContent-Length: 2\n\nhi")[0]
    assert (reply.text, reply.is_error) == ("-ERR no", True)
    (reply,) = parse(b"Content-Type: command/reply\n\n")[0]
    assert (reply.text, reply.is_error, reply.headers) == ("", False, {"Content-Type": "command/reply"})


def test_an_empty_output_is_no_error() -> None:
    (answer,) = parse(b"Content-Type: api/response\nContent-Length: 14\n\n-ERR no reply\n")[0]
    assert answer.text == ""
    assert not answer.is_error


@pytest.mark.parametrize("output", ["-ERR No such channel!\n", "-USAGE: <uuid> [cause]\n"])
def test_err_and_usage_are_errors(output: str) -> None:
    assert ApiResponse(output.encode()).is_error


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (b"Reply-Text: +OK\n\n", MissingContentType),
        (b"garbage\n\n", MissingContentType),
        (b"Content-Type: text/html\n\n", UnhandledContentType),
        (b"Content-Type: \n\n", UnhandledContentType),
        (b"Content-Type: api/response\nContent-Length: many\n\n", ProtocolError),
        (b"Content-Type: api/response\nContent-Length: -5\n\n", ProtocolError),
        (b"Content-Type: api/response\nContent-Length: \xc2\xb2\n\n", ProtocolError),
        (b"Content-Type: api/response\nContent-Length: 1001\n\n", FrameTooLarge),
        (b"Content-Type: api/response\nContent-Length: " + b"9" * 300 + b"\n\n", FrameTooLarge),
        (b"X: " + b"y" * 1000 + b"\n\n", FrameTooLarge),
        (b"X: " + b"y" * 1001, FrameTooLarge),
    ],
)
def test_a_bad_frame_is_an_error_after_what_came_before(block: bytes, error: type[ProtocolError]) -> None:
    for chunks in ([REPLY + block + REPLY], byte_by_byte(REPLY + block + REPLY), [REPLY, block, REPLY]):
        messages, parser = parse(*chunks, max_header=1000, max_body=1000)
        assert len(messages) == 1
        assert type(parser.error) is error
        assert parser.buffered == 0
        assert parser.feed(REPLY) == []


def test_a_frame_of_exactly_the_limits_passes() -> None:
    head = b"Content-Type: api/response\nContent-Length: 1000\nX: "
    data = head + b"y" * (1000 - len(head)) + b"\n\n" + b"z" * 1000
    for chunks in ([data], byte_by_byte(data)):
        messages, parser = parse(*chunks, max_header=1000, max_body=1000)
        assert len(messages) == 1
        assert parser.error is None


def test_numbers_that_are_none_are_minus_one() -> None:
    (line,) = parse(b"Content-Type: log/data\nLog-Level: x\nLog-Line: " + b"9" * 40 + b"\n\n")[0]
    assert (line.level, line.line) == (-1, -1)


def test_a_body_in_many_small_reads_is_not_copied_again_and_again() -> None:
    body = b"x" * 4_000_000
    parser = Parser()
    parser.feed(b"Content-Type: api/response\nContent-Length: %d\n\n" % len(body))
    for start in range(0, len(body), 100):
        messages = parser.feed(body[start : start + 100])
    assert messages == [ApiResponse(body)]


def test_the_cache_of_header_blocks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eslbridge.protocol.frames.MAX_CACHED_HEADERS", 10)
    parser = Parser()
    for size in range(100):
        (event,) = parser.feed(
            b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (size, b"x" * size)
        )
        assert len(event.raw) == size
        assert len(parser._known) <= 10
    long_block = b"Content-Length: 0\nContent-Type: text/event-plain\nX: " + b"y" * 100 + b"\n\n"
    parser.feed(long_block)
    assert long_block[:-2] not in parser._known


CUT_LOGIN = (
    b"Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-Events: all\nAllowed-API: "
    + b",".join(b"command_%03d" % number for number in range(60))
)[:538]


@pytest.mark.parametrize("size", [1, 100, 537, 538, 10_000])
def test_a_login_whose_answer_the_switch_cut_off_is_taken(size: int) -> None:
    """Seen: with more than some 450 characters of `esl-allowed-api` even the blank line is missing."""
    stream = CUT_LOGIN + b"Content-Type: command/reply\nReply-Text: +OK\n\n"
    parser = Parser()
    messages = []
    for start in range(0, len(CUT_LOGIN), size):
        messages += parser.feed(CUT_LOGIN[start : start + size])
    assert [type(message) for message in messages] == [Reply]
    assert messages[0].text == "+OK accepted"  # type: ignore[union-attr]
    assert parser.feed(stream[len(CUT_LOGIN) :]) == [Reply(b"Content-Type: command/reply\nReply-Text: +OK")]
    assert len(Parser().feed(stream)) == 2


def test_a_login_whose_answer_is_on_its_way_is_waited_for() -> None:
    parser = Parser()
    assert parser.feed(CUT_LOGIN[:537]) == []
    assert [type(message) for message in parser.feed(b"\n\n")] == [Reply]
