"""The projection of live calls, against every recorded call: whole, twice, out of order, in halves."""

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis as redis_library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import live
from calls.grouping import Call, grouped
from calls.legs import ANSWERED, GONE, LONGEST, RINGING, Leg
from calls.live import Projection, listed_channels
from eslbridge.link import SUBSCRIPTIONS
from eslbridge.models import Switch
from eslbridge.protocol.events import Event, JsonEvent
from eslbridge.store import StoreError
from tests import recorded_calls, recordings
from tests.eslbridge.simulator import scenarios
from tests.recorded_calls import altered, events_of, load

SWITCH = "switch-1"


@pytest.fixture
def projection(redis_client: "redis_library.Redis") -> Projection:
    return Projection(SWITCH)


def calls_of(projection: Projection) -> list[Call]:
    return grouped(projection.legs.values())


def shown(call: Call) -> str:
    """A call as a person reads it."""
    reached = f" ({call.reached})" if call.reached else ""
    return f"{call.direction}: {call.caller} -> {call.callee}{reached} {call.state}"


def story(events: Iterable[Event]) -> list[list[str]]:
    """What the page shows after each event, without repetitions."""
    projection = Memory(SWITCH)
    told: list[list[str]] = []
    for event in events:
        projection.follow([event])
        now = [shown(call) for call in calls_of(projection)]
        if not told or told[-1] != now:
            told.append(now)
    return told


class Memory(Projection):
    """A projection that writes nowhere."""

    def _write(self, changed: dict[str, Leg | None]) -> None:
        pass

    _write_all = Projection.__repr__


def played(events: Iterable[Event]) -> Projection:
    projection = Memory(SWITCH)
    projection.follow(events)
    return projection


# What the page shows, step by step

# `stories.txt`: the name of each recorded conversation, then a line for each step: the calls, “-” for none.
# Between the ends of two legs the one that is left is shown alone, for as long as the switch takes.
STORIES: dict[str, list[list[str]]] = {}
for line in (Path(__file__).parent / "stories.txt").read_text().splitlines():
    if line.startswith(" "):
        STORIES[next(reversed(STORIES))].append([] if line.strip() == "-" else line.strip().split(" | "))
    else:
        STORIES[line] = []


@pytest.mark.parametrize("name", recorded_calls.every_call())
def test_each_step_of_a_call_is_shown(name: str) -> None:
    assert story(events_of(name)) == STORIES[name]


SIMULATED = [
    "blind_transfer_and_record",
    "call_extension_to_extension_json",
    "click_to_dial_answered",
    "eavesdrop",
    "inbound_did_from_trunk",
]


@pytest.mark.parametrize("name", SIMULATED)
def test_the_simulators_calls_are_shown_as_the_switchs_are(name: str, tmp_path: Path) -> None:
    simulator = scenarios.start(tmp_path, scenarios.SCENARIOS.get(name, scenarios.Scenario()))
    try:
        frames, _ = scenarios.play(recordings.load(name), simulator)
    finally:
        simulator.stop()
    events = [JsonEvent(frame.body) for frame in frames if frame.kind == "text/event-json"]
    assert story(event for event in events if event.name in SUBSCRIPTIONS) == STORIES[name]


# Gateway, recording, voicemail


def test_the_gateway_is_the_trunks_name_where_the_switch_tells_it_else_the_profiles() -> None:
    told = []
    for name in ("outbound", "did", "internal_hold"):
        projection = Memory(SWITCH)
        for event in events_of(name):
            projection.follow([event])
            told += [(name, call.gateway) for call in calls_of(projection) if len(call.legs) > 1]
    assert set(told) == {("outbound", "external"), ("did", "external"), ("internal_hold", "")}
    create = next(event for event in events_of("outbound") if "external" in event.get("Channel-Name", ""))
    (call,) = calls_of(played([altered(create, variable_sip_gateway_name="carrier1")]))
    assert call.gateway == "carrier1"
    (call,) = calls_of(played([altered(events_of("did")[0], variable_sip_gateway="carrier2")]))
    assert call.gateway == "carrier2"


def marks(events: Iterable[Event]) -> list[bool]:
    """Whether a recording mark is shown, each time that this changes."""
    projection, told = Memory(SWITCH), []
    for event in events:
        projection.follow([event])
        told.append(any(call.is_recorded for call in calls_of(projection)))
    return [mark for mark, _ in itertools.groupby(told)]


def test_a_call_is_marked_as_recorded_from_the_start_of_the_recording_to_its_end() -> None:
    assert marks(events_of("blind_transfer_and_record")) == [False, True, False]


def recording_events() -> tuple[Event, Event, Event]:
    events = events_of("blind_transfer_and_record")
    start, stop = (event for event in events if event.name.startswith("RECORD_"))
    return events[0], start, stop


def test_a_recordings_events_may_come_in_any_order_and_twice() -> None:
    create, start, stop = recording_events()
    for events in ([create, stop, start], [create, start, stop, start], [create, start, start, stop, stop]):
        assert not marks(events)[-1]


def test_one_of_two_recordings_may_end() -> None:
    create, start, stop = recording_events()
    other = altered(start, Record_File_Path="/other.wav")
    assert marks([create, start, other, stop]) == [False, True]
    assert marks([create, start, other, stop, altered(stop, Record_File_Path="/other.wav")])[-1] is False


def test_what_a_caller_says_to_voicemail_is_no_recorded_call() -> None:
    create, start, _ = recording_events()
    assert marks([create, altered(start, variable_current_application="voicemail")]) == [False]


BUGS = """<media-bugs>
 <media-bug>
  <function>session_record</function>
  <target>{}</target>
  <thread-locked>0</thread-locked>
 </media-bug>
</media-bugs>
"""


def test_a_worker_that_comes_later_asks_what_is_recorded() -> None:
    stock = load("did").stock("answered")
    recorded = {f"uuid_buglist {uuid}": BUGS.format("/var/a.wav") for uuid in stock.dumps}

    def ask(commands: list[str]) -> list[str]:
        return [recorded.get(command) or Answers(stock.dumps)([command])[0] for command in commands]

    projection = Memory(SWITCH)
    projection.take_stock(listed_channels(stock.channels), ask)
    assert [call.is_recorded for call in calls_of(projection)] == [True]
    recorded.clear()  # it ended while nobody listened
    projection.take_stock(listed_channels(stock.channels), ask)
    assert [call.is_recorded for call in calls_of(projection)] == [False]


def test_what_comparisons_correct_is_counted(projection: Projection) -> None:
    call = load("did")
    stock = call.stock("answered")
    projection.follow(call.events[: stock.after])
    projection.take_stock(listed_channels(stock.channels), Answers(stock.dumps), events_were_missed=False)
    assert live.corrections(SWITCH) == 0
    projection.take_stock([], Answers({}), events_were_missed=False)
    assert live.corrections(SWITCH) == 2


@pytest.mark.parametrize("name", recorded_calls.every_call())
def test_no_leg_is_left_when_all_have_ended(name: str) -> None:
    projection = played(events_of(name))
    assert projection.legs == {}


def test_a_did_is_kept_when_the_caller_is_transferred_on() -> None:
    told = [line for lines in story(events_of("did_transfer")) for line in lines]
    assert "in: +15557654321 -> 5551212 (1002) answered" in told
    assert all("-> 5551212" in line for line in told if line.startswith("in:"))


def test_the_number_that_the_route_tells_is_shown_as_the_route_writes_it() -> None:
    told = [line for lines in story(events_of("did_voicemail")) for line in lines]
    assert told[-1].startswith("in: +15557654321 -> +19495431333")


def test_the_callee_of_a_transferred_b_leg_becomes_the_caller() -> None:
    told = story(events_of("transfer_of_the_b_leg"))
    assert ["internal: 1001 -> 1003 answered"] in told
    assert all(len(calls) <= 2 for calls in told)


def test_two_callees_that_are_joined_are_one_call() -> None:
    told = story(events_of("attended"))
    assert ["internal: 1000 -> 1001 answered", "internal: 1000 -> 1002 answered"] in told
    assert told[-3] in (["internal: 1001 -> 1002 answered"], ["internal: 1002 -> 1001 answered"])


def a_leg(uuid: str, created: float, **values: object) -> Leg:
    return Leg(uuid, SWITCH, "outbound", ANSWERED, "1", "", uuid, user=uuid, created=created, **values)


def test_a_leg_whose_maker_talks_to_somebody_else_is_a_call_of_its_own() -> None:
    """A made B and is connected with C now; B waits, parked or on hold, and still names A."""
    a, b, c = a_leg("a", 1, other="c"), a_leg("b", 2, origin="a", other="a"), a_leg("c", 3, other="a")
    assert [[leg.uuid for leg in call.legs] for call in grouped([c, b, a])] == [["a", "c"], ["b"]]
    ringing = replace(b, state=RINGING)
    assert [len(call.legs) for call in grouped([c, ringing, a])] == [3]


def test_a_parked_caller_is_shown_and_found_again() -> None:
    told = story(events_of("park"))
    assert ["internal: 1000 -> 1003 answered"] in told
    assert all(len(calls) <= 1 for calls in told)


def test_the_one_who_listens_is_a_call_of_its_own() -> None:
    told = story(events_of("eavesdrop"))
    assert max(len(calls) for calls in told) == 2


def test_all_phones_that_ring_are_in_one_call() -> None:
    projection = Memory(SWITCH)
    most = 0
    for event in events_of("ring_group"):
        projection.follow([event])
        calls = calls_of(projection)
        assert len(calls) <= 1
        most = max([most, *(len(call.legs) for call in calls)])
    assert most == 3


@pytest.mark.parametrize(
    "name", ["internal_busy_voicemail", "dial_busy_voicemail", "dial_callee_unregistered", "inbound_did"]
)
def test_vanillas_loopback_to_voicemail_is_part_of_the_call_and_no_phone(name: str) -> None:
    events = events_of(name)
    loopback = {
        event["Unique-ID"] for event in events if event.get("Channel-Name", "").startswith("loopback/")
    }
    projection = Memory(SWITCH)
    for event in events:
        if event.name in GONE and event["Unique-ID"] in loopback:
            break
        projection.follow([event])
        calls = calls_of(projection)
        assert len(calls) <= 1, [shown(call) for call in calls]
        assert all(call.reached in {"", "1000", "1002"} for call in calls)
    assert loopback & set(projection.legs)


def test_a_call_that_the_switch_itself_began_names_the_number_that_it_gave() -> None:
    told = story(events_of("inbound_did"))
    assert ["in: +15551230000 -> 5551212 answered"] in told


def test_a_number_that_the_switch_escaped_is_shown_plain() -> None:
    legs = [
        leg
        for leg in played(events_of("outbound")[:-8]).legs.values()
        if leg.channel.startswith("sofia/external")
    ]
    assert [leg.destination for leg in legs] == ["+15550001111"]


# Out of order, twice, in halves


def copy_of(projection: Projection) -> Projection:
    return Memory(SWITCH, dict(projection.legs), dict(projection.ended))


@pytest.mark.parametrize("name", recorded_calls.every_call())
def test_events_that_come_twice_change_nothing(name: str) -> None:
    events = events_of(name)
    once = Memory(SWITCH)
    for at, event in enumerate(events, 1):
        once.follow([event])
        twice = copy_of(once)
        twice.follow(events[max(0, at - 10) : at])
        assert twice.legs == once.legs
    once.follow(events)
    assert once.legs == {}


@pytest.mark.parametrize("name", recorded_calls.every_call())
def test_a_late_event_never_brings_a_leg_back(name: str) -> None:
    events = events_of(name)
    projection = played(events)
    for late in events:
        projection.follow([late])
        assert projection.legs == {}, late.name


@pytest.mark.parametrize("name", recorded_calls.every_call())
def test_any_order_leads_to_the_same_end(name: str) -> None:
    events = events_of(name)
    for seed in range(3):
        shuffled = random.Random(seed).sample(events, len(events))
        assert played(shuffled).legs == {}


@pytest.mark.parametrize("name", recorded_calls.names())
def test_a_few_events_in_another_order_lead_to_the_same_picture(name: str) -> None:
    """Sessions report in threads of their own: neighbours change places on a busy switch."""
    events = events_of(name)
    before = Memory(SWITCH)
    for first, second in itertools.pairwise(events):
        told, swapped = copy_of(before), copy_of(before)
        told.follow([first, second])
        swapped.follow([second, first])
        assert picture(swapped) == picture(told), (first, second)
        before.follow([first])


def picture(projection: Projection) -> list[str]:
    return [shown(call) for call in calls_of(projection)]


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_half_of_the_events_never_leave_a_ghost_whose_end_was_told(data: st.DataObject) -> None:
    events = events_of(data.draw(st.sampled_from(recorded_calls.every_call())))
    kept = [event for event in events if data.draw(st.booleans())]
    told = {event["Unique-ID"] for event in kept if event.name in GONE}
    assert not told & set(played(kept).legs)


@given(st.lists(st.integers(0, 10_000), max_size=30), st.sampled_from(recorded_calls.names()))
@settings(max_examples=40, deadline=None)
def test_any_mixture_of_events_can_be_grouped(picks: list[int], name: str) -> None:
    events = events_of(name)
    projection = played(events[pick % len(events)] for pick in picks)
    calls = calls_of(projection)
    assert sorted(leg.uuid for call in calls for leg in call.legs) == sorted(projection.legs)


def test_legs_that_name_each_other_in_a_ring_can_be_grouped() -> None:
    legs = [
        Leg(uuid, SWITCH, "inbound", ANSWERED, "1", "", "2", origin=origin)
        for uuid, origin in ("ab", "bc", "ca")
    ]
    assert sum(len(call.legs) for call in grouped(legs)) == 3


def test_a_uuid_may_be_used_again_after_its_end() -> None:
    events = events_of("odd_uuid")
    projection = played(events)
    again = altered(events[0], Event_Sequence="999999")
    projection.follow([again])
    assert list(projection.legs) == ["my-own.id"]


def test_a_channel_that_changes_its_uuid_leaves_no_ghost() -> None:
    create = events_of("did")[0]
    projection = played([create])
    projection.follow(
        [altered(create, Event_Name="CHANNEL_UUID", Unique_ID="new", Old_Unique_ID=create["Unique-ID"])]
    )
    assert list(projection.legs) == ["new"]


def test_only_so_many_ended_legs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "REMEMBERED", 10)
    end = events_of("did_unknown")[-1]
    projection = played(altered(end, Unique_ID=f"leg-{n}") for n in range(50))
    assert list(projection.ended) == [f"leg-{n}" for n in range(40, 50)]


# Hostile


HOSTILE = [
    "\udcff\udcfe",
    "a\0b",
    "<script>alert(1)</script>",
    "x" * 100_000,
    "𝕏☎",
    "' OR 1=1 --",
    "${system(id)}",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_callers_name_reaches_redis(name: str, projection: Projection) -> None:
    projection.follow(
        [altered(events_of("did")[0], Caller_Caller_ID_Name=name, Caller_Caller_ID_Number=name)]
    )
    (leg,) = live.legs_of(SWITCH)
    assert len(leg.caller_name) <= LONGEST
    leg.caller_name.encode()
    assert "\0" not in leg.caller_name


def test_one_event_that_cannot_be_read_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    first, *others = events_of("did")
    broken = [JsonEvent(b'{"Event-Name":"CHANNEL_CREATE","Unique-ID":"x'), JsonEvent(b"nonsense")]
    broken.append(altered(first, Unique_ID="y", Caller_Channel_Created_Time="soon"))
    projection = played([first, *broken, *others[:2]])
    assert first["Unique-ID"] in projection.legs
    assert "left out" in caplog.text


# Taking stock


class Answers:
    """The switch's answers to uuid_dump and uuid_exists at one moment of a recorded call."""

    def __init__(self, dumps: dict[str, str]) -> None:
        self.dumps = dumps
        self.asked: list[str] = []

    def __call__(self, commands: list[str]) -> list[str]:
        self.asked += commands
        return list(map(self._answer, commands))

    def _answer(self, command: str) -> str:
        verb, uuid, *_ = command.split()
        dump = self.dumps.get(uuid, "-ERR No such channel!")
        return dump if verb == "uuid_dump" else str(dump.startswith("{")).lower()


def stocks() -> Iterator[tuple[str, str]]:
    for name in recorded_calls.names():
        for stock in load(name).stocks:
            yield name, stock.label


@pytest.mark.parametrize(("name", "label"), list(stocks()))
def test_stock_and_events_agree(name: str, label: str, projection: Projection) -> None:
    """A worker that comes to a running call shows what one shows that saw it begin."""
    call = load(name)
    stock = call.stock(label)
    newcomer, witness = Memory(SWITCH), played(call.events)
    newcomer.take_stock(listed_channels(stock.channels), Answers(stock.dumps))
    alive = {uuid for uuid, dump in stock.dumps.items() if dump.startswith("{")}
    assert set(newcomer.legs) == alive
    newcomer.follow(call.events)
    assert newcomer.legs == witness.legs == {}


def test_stock_tells_did_and_click_to_dial_of_calls_that_began_before() -> None:
    for name, label, expected in (
        ("dial_answered", "answered", "internal: 1000 -> 1001 answered"),
        ("did_transfer", "transferred", "in: +15557654321 -> 5551212 (1002) answered"),
        ("did_voicemail", "voicemail", "in: +15557654321 -> +19495431333 voicemail"),
        ("dial_cancelled", "ringing", "internal: 1000 -> 1001 ringing"),
    ):
        stock = load(name).stock(label)
        projection = Memory(SWITCH)
        projection.take_stock(listed_channels(stock.channels), Answers(stock.dumps))
        assert picture(projection) == [expected]
    (call,) = calls_of(projection)
    assert call.is_click_to_dial


def test_the_list_lags_behind_and_is_not_believed() -> None:
    """On a real switch the list said early media and ringing when both legs were answered."""
    stock = load("internal_ringing").stock("answered0")
    rows = listed_channels(stock.channels)
    assert {row["callstate"] for row in rows} == {"EARLY", "RINGING"}
    projection = Memory(SWITCH)
    projection.take_stock(rows, Answers(stock.dumps))
    assert picture(projection) == ["internal: 1000 -> 1001 answered"]


def test_the_list_names_the_dead() -> None:
    stock = load("dial_callee_unregistered").stock("voicemail")
    rows = listed_channels(stock.channels)
    assert len(rows) == 3
    projection = Memory(SWITCH)
    projection.take_stock(rows, Answers(stock.dumps))
    assert projection.legs == {}


def test_the_list_misses_the_newborn() -> None:
    call = load("did")
    stock = call.stock("answered")
    projection = played(call.events[:15])
    before = set(projection.legs)
    projection.take_stock([], Answers(stock.dumps), events_were_missed=False)
    assert set(projection.legs) == before != set()


def test_between_two_comparisons_only_what_differs_is_asked_in_full() -> None:
    call = load("did")
    stock = call.stock("answered")
    projection = played(call.events[: stock.after])
    answers = Answers(stock.dumps)
    projection.take_stock(listed_channels(stock.channels), answers, events_were_missed=False)
    assert {command.split()[0] for command in answers.asked} == {"uuid_exists"}
    held = [{**row, "callstate": "HELD"} for row in listed_channels(stock.channels)]
    answers = Answers(stock.dumps)
    projection.take_stock(held, answers, events_were_missed=False)
    assert {command.split()[0] for command in answers.asked} == {"uuid_dump", "uuid_buglist"}
    assert picture(projection) == ["in: +15557654321 -> 5551212 (1000) answered"]


def test_an_end_that_was_missed_is_found_and_stays() -> None:
    call = load("did")
    stock = call.stock("answered")
    projection = played(call.events[: stock.after])
    projection.take_stock(listed_channels(stock.channels), Answers({}), events_were_missed=False)
    assert projection.legs == {}
    projection.follow(event for event in call.events if event.name == "CALL_UPDATE")
    assert projection.legs == {}


def test_events_older_than_the_stock_do_not_turn_it_back() -> None:
    call = load("internal_ringing")
    stock = call.stock("answered0")
    projection = Memory(SWITCH)
    projection.take_stock(listed_channels(stock.channels), Answers(stock.dumps))
    projection.follow(call.events[: stock.after])
    assert picture(projection) == ["internal: 1000 -> 1001 answered"]


def test_a_name_that_is_not_utf_8_does_not_stop_the_stock(projection: Projection) -> None:
    stock = load("did_hostile_name").stock("answered")
    assert "\udcff" in stock.channels
    projection.take_stock(listed_channels(stock.channels), Answers(stock.dumps))
    names = {leg.caller_name for leg in live.legs_of(SWITCH)}
    assert "<script>alert(1)</script> \ufffd\ufffd %{system(x)}" in names


def test_a_channel_whose_uuid_is_no_word_is_not_asked_about() -> None:
    answers = Answers({})
    Memory(SWITCH).take_stock([{"uuid": "a\nexit"}, {"uuid": "a b"}, {"uuid": "fine"}], answers)
    assert answers.asked == ["uuid_dump fine json"]


def test_many_channels_are_asked_about_in_portions() -> None:
    portions = []

    def ask(commands: list[str]) -> list[str]:
        portions.append(len(commands))
        return ["-ERR No such channel!"] * len(commands)

    Memory(SWITCH).take_stock([{"uuid": f"leg-{n}"} for n in range(250)], ask)
    assert portions == [100, 100, 50]


# Redis


def test_what_redis_missed_is_written_when_it_is_back(
    projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = events_of("did")
    projection.follow(events[:3])
    with monkeypatch.context() as broken:
        broken.setattr(redis_library.client.Pipeline, "execute", _refuse)
        projection.follow(events[3:8])
    assert {leg.uuid: leg for leg in live.legs_of(SWITCH)} != projection.legs
    projection.follow(events[8:9])
    assert {leg.uuid: leg for leg in live.legs_of(SWITCH)} == projection.legs


def _refuse(*_: object, **__: object) -> None:
    raise redis_library.ConnectionError("refused")


def test_a_redis_that_was_emptied_is_filled_with_the_next_event(
    projection: Projection, redis_client: "redis_library.Redis"
) -> None:
    events = events_of("did")
    projection.follow(events[:8])
    redis_client.flushdb()
    projection.follow(events[8:9])
    assert {leg.uuid: leg for leg in live.legs_of(SWITCH)} == projection.legs
    assert len(projection.legs) == 2


def test_events_that_change_nothing_write_nothing(
    projection: Projection, redis_client: "redis_library.Redis"
) -> None:
    events = events_of("did")[:8]
    assert projection.follow(events)
    redis_client.flushdb()
    assert not projection.follow([event for event in events if event.name == "BACKGROUND_JOB"])
    assert live.last_update(SWITCH) == 0


@pytest.mark.django_db
def test_an_emptied_redis_is_not_known_rather_than_nobody(redis_client: "redis_library.Redis") -> None:
    from django.utils import timezone

    Switch.objects.create(name=SWITCH, link=Switch.Link.CONNECTED, seen_at=timezone.now())
    with pytest.raises(StoreError):
        live.active_calls()
    Projection(SWITCH).take_stock([], lambda commands: [])
    assert live.active_calls() == []
