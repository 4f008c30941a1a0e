"""Whatever is wished, the commands bring a connection there, with nothing unwanted let through on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eslbridge.protocol import commands as c
from eslbridge.protocol.wishes import EXECUTION_EVENTS, JOB_EVENTS, Wishes

NOTHING = Wishes()


def lines(wishes: Wishes, before: Wishes = NOTHING) -> list[str]:
    return [command.summary for command in wishes.commands_after(before)]


def test_filters_come_before_events() -> None:
    wishes = NOTHING.listening(["TALK", "a::b"]).filtering("Unique-ID", "1").logging(5)
    assert lines(wishes) == [
        "filter Event-Name HEARTBEAT",
        "filter Unique-ID 1",
        "event json TALK CUSTOM a::b",
        "log 5",
    ]
    assert lines(wishes, wishes) == []
    assert lines(NOTHING, wishes) == [
        "nixevent TALK CUSTOM a::b",
        "filter delete Event-Name HEARTBEAT",
        "filter delete Unique-ID 1",
        "nolog",
    ]


def test_what_is_no_list_of_names_cannot_be_wished() -> None:
    for names, why in (("TALK", r"^subscriptions: must be a list"), ([5], r"^names: must be text")):
        with pytest.raises(ValueError, match=why):
            NOTHING.listening(names)


def test_what_we_need_ourselves_passes_the_filters_and_stays_hidden() -> None:
    wishes = NOTHING.filtering("Unique-ID", "1").needing(JOB_EVENTS)
    assert "filter Event-Name BACKGROUND_JOB" in lines(wishes)
    assert wishes.hidden == {"BACKGROUND_JOB"}
    assert wishes.listening(["BACKGROUND_JOB"]).hidden == frozenset()
    assert wishes.listening(["ALL"]).hidden == frozenset()
    more = wishes.needing(EXECUTION_EVENTS)
    assert lines(more, wishes) == [
        *(f"filter Event-Name {name}" for name in EXECUTION_EVENTS),
        "event json " + " ".join(EXECUTION_EVENTS),
    ]


def test_what_we_need_is_not_unsubscribed_with_the_users() -> None:
    wishes = NOTHING.needing(JOB_EVENTS).listening(["BACKGROUND_JOB", "TALK"])
    assert lines(wishes.not_listening(["BACKGROUND_JOB", "TALK"]), wishes) == ["nixevent TALK"]


def test_what_we_need_can_be_given_up() -> None:
    wishes = NOTHING.needing(JOB_EVENTS).needing(EXECUTION_EVENTS)
    assert wishes.not_needing(JOB_EVENTS).internal == EXECUTION_EVENTS


def test_what_is_subscribed_or_ended_by_hand_is_heeded() -> None:
    wishes = NOTHING.needing(JOB_EVENTS).needing(EXECUTION_EVENTS).listening(["TALK"])
    assert wishes.after(c.MyEvents("u")).hidden == {"BACKGROUND_JOB"}
    by_hand = wishes.after(c.Events(("BACKGROUND_JOB",)))
    assert by_hand.hidden == set(EXECUTION_EVENTS)
    assert by_hand.renewed(()).hidden == wishes.hidden
    assert by_hand.after(c.NixEvent(("BACKGROUND_JOB", "TALK"))) == NOTHING.needing(EXECUTION_EVENTS)
    assert wishes.after(c.NixEvent((EXECUTION_EVENTS[0],))) == NOTHING.needing(JOB_EVENTS).listening(["TALK"])
    assert by_hand.after(c.NoEvents()) == by_hand.after(c.NixEvent(("ALL",))) == NOTHING
    assert wishes.after(c.Filter("a", "b")) == wishes


def test_after_all_the_others_are_subscribed_again() -> None:
    wishes = NOTHING.listening(["ALL", "TALK"])
    assert lines(wishes.not_listening(["ALL"]), wishes) == ["nixevent ALL", "event json TALK"]
    assert lines(NOTHING, NOTHING.listening(["ALL"])) == ["nixevent ALL"]
    assert lines(wishes.not_listening(["TALK"]), wishes) == []  # ALL still wants it


def test_heartbeats_are_due_when_subscribed() -> None:
    assert not NOTHING.expects_heartbeats
    assert NOTHING.listening(["HEARTBEAT"]).expects_heartbeats
    assert NOTHING.listening(["ALL"]).expects_heartbeats


def test_filters_are_deleted_by_value_by_header_or_all() -> None:
    wishes = NOTHING.filtering("A", "1").filtering("A", "2").filtering("B", "1")
    assert wishes.not_filtering("A", "1").filters == (("A", "2"), ("B", "1"))
    assert wishes.not_filtering("A", "").filters == (("B", "1"),)
    assert wishes.not_filtering("all", "").filters == ()


def obey(state: dict[str, set[str]], commands: list[str]) -> None:
    """A switch that keeps only names and filters."""
    for command in commands:
        words = command.split(" ")
        if words[0] == "event":
            state["names"] |= set(words[2:])
        elif words[0] == "nixevent":
            state["names"] -= {"ALL", *state["names"]} if "ALL" in words else set(words[1:])
        elif words[:2] == ["filter", "delete"]:
            state["filters"].discard(" ".join(words[2:]))
        elif words[0] == "filter":
            state["filters"].add(" ".join(words[1:]))


WISHES = st.builds(
    lambda names, internal, filters: Wishes(
        names=tuple(names), internal=tuple(internal), filters=tuple(filters)
    ),
    st.lists(st.sampled_from(["TALK", "DTMF", "ALL", "BACKGROUND_JOB"]), unique=True),
    st.lists(st.sampled_from(["BACKGROUND_JOB", "CHANNEL_EXECUTE"]), unique=True),
    st.lists(st.sampled_from([("A", "1"), ("A", "2"), ("Event-Name", "TALK")]), unique=True),
)


@given(st.lists(WISHES, max_size=5))
def test_step_by_step_or_at_once_the_connection_is_the_same(steps: list[Wishes]) -> None:
    state: dict[str, set[str]] = {"names": set(), "filters": set()}
    before = NOTHING
    for wishes in steps:
        obey(state, lines(wishes, before))
        before = wishes
    fresh: dict[str, set[str]] = {"names": set(), "filters": set()}
    obey(fresh, lines(before))
    if "ALL" in before.names:
        state["names"] = fresh["names"] = {"ALL"}
    assert state == fresh
