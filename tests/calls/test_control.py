"""The control buttons: who may press which, when, and that nothing is sent otherwise."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis as redis_library
from django.test import Client
from django.utils import timezone

from calls import control, outcomes
from calls.live import Projection
from calls.models import Command
from calls.verbs import VERBS, sides
from eslbridge.models import Switch
from tests.recorded_calls import altered, events_of

from .making import SWITCH, a_switch, a_user, an_agent
from .test_views import a_call, logged_in, press, sent, text_of

pytestmark = pytest.mark.django_db

CONTROL, LISTEN, SEE, HANG_UP = "control_calls", "listen_calls", "view_active_calls", "hang_up_calls"


@pytest.fixture(autouse=True)
def the_switch(redis_client: "redis_library.Redis") -> Switch:
    """A connected switch on which nobody talks."""
    switch = a_switch()
    Projection(SWITCH).take_stock([], lambda commands: [])
    return switch


def talking() -> str:
    """1000 has called 1001, and they talk. Returns the UUID of the A-leg."""
    return a_call(*[event for event in events_of("internal_hold") if event.name != "CHANNEL_HOLD"][:12])


def path(uuid: str, verb: str) -> str:
    return f"/calls/{uuid}/do/{verb}/"


def buttons(client: Client, uuid: str) -> set[str]:
    page = client.get(f"/calls/{uuid}/controls/").content.decode()
    return {name for name in VERBS if f"/do/{name}/" in page}


# Who may


def test_each_button_is_for_those_who_may(redis_client: "redis_library.Redis") -> None:
    uuid = talking()
    an_agent("1000", "Alice", user=(alice := a_user("alice", staff=False)))
    own = {"hang-up", "hold", "transfer", "consult", "park", "record", "digits"}
    assert buttons(logged_in(alice), uuid) == own
    boss = a_user("boss", permissions=(SEE, CONTROL))
    an_agent("1005", "Boss", user=boss)
    assert buttons(logged_in(boss), uuid) == own - {"hang-up"}
    spy = a_user("spy", permissions=(SEE, LISTEN))
    an_agent("1006", "Spy", user=spy)
    assert buttons(logged_in(spy), uuid) == {"listen", "whisper", "barge"}
    seer = a_user("seer", permissions=(SEE,))
    assert buttons(logged_in(seer), uuid) == set()
    stranger = a_user("stranger", staff=False)
    an_agent("1007", "Eve", user=stranger)
    assert "That call is over." in text_of(logged_in(stranger).get(f"/calls/{uuid}/controls/"))

    for user, verbs in ((stranger, VERBS), (seer, VERBS), (alice, ("listen", "whisper", "barge"))):
        for verb in verbs:
            if verb != "retrieve":
                assert press(logged_in(user), path(uuid, verb), number="1002").status_code == 403, verb
    assert sent(redis_client) == 0
    assert not Command.objects.exists()


def test_nobody_else_comes_in(redis_client: "redis_library.Redis") -> None:
    uuid = talking()
    for client in (Client(), logged_in(a_user("guest", staff=False))):
        assert press(client, path(uuid, "hold")).status_code == 302
        assert client.get(f"/calls/{uuid}/controls/").status_code == 302
    alice = a_user("alice", staff=False)
    an_agent("1000", user=alice)
    strict = logged_in(alice, enforce_csrf_checks=True)
    assert press(strict, path(uuid, "hold")).status_code == 403
    client = logged_in(alice)
    for method in (client.get, client.head, client.put, client.delete):
        assert method(path(uuid, "hold")).status_code == 405
    assert press(client, path(uuid, "nosuch")).status_code == 404
    assert sent(redis_client) == 0


def test_what_disturbs_somebody_is_asked_first() -> None:
    uuid = talking()
    boss = a_user("boss", permissions=(SEE, LISTEN, HANG_UP))
    an_agent("1005", "Boss", user=boss)
    page = logged_in(boss).get(f"/calls/{uuid}/controls/").content.decode()
    for verb in ("hang-up", "whisper", "barge"):
        button = page[page.index(f"/do/{verb}/") :].partition(">")[0]
        assert "hx-confirm" in button, verb
    assert "hx-confirm" not in page[page.index("/do/listen/") :].partition(">")[0]


# What is sent, and what is refused before


@pytest.fixture
def alice() -> Client:
    """Logged in as the user of 1000, who talks to 1001."""
    user = a_user("alice", staff=False)
    an_agent("1000", "Alice", user=user)
    an_agent("1002", "O'Brien, Zoë ☎")
    return logged_in(user)


def test_a_command_is_one_row_and_one_message(alice: Client, redis_client: "redis_library.Redis") -> None:
    uuid = talking()
    page = press(alice, path(uuid, "transfer"), number="O'Brien, Zoë ☎")
    command = Command.objects.get()
    assert (command.verb, command.leg, command.target) == ("transfer", uuid, "1002")
    assert command.other not in {"", uuid}
    assert f"command-{command.pk}" in page.content.decode()
    assert sent(redis_client) == 1
    press(alice, path(uuid, "transfer"), number="1002")  # a double click
    assert sent(redis_client) == Command.objects.count() == 1


HOSTILE = [
    "system:touch x inline",
    "1000 &system(x)",
    "${system(x)}",
    "-both x",
    "1\n2",
    "1,2",
    "{a}1",
    "'1'",
    "",
]


@pytest.mark.parametrize("verb", ["transfer", "consult", "digits"])
@pytest.mark.parametrize("value", HOSTILE)
def test_what_is_no_number_is_refused_before_anything_is_sent(
    verb: str, value: str, alice: Client, redis_client: "redis_library.Redis"
) -> None:
    field = VERBS[verb].field
    response = press(alice, path(talking(), verb), **{field: value})
    assert 'role="alert"' in response.content.decode()
    assert "digits, * and # only" in text_of(response) or "Digits may be" in text_of(response)
    assert not Command.objects.exists()
    assert sent(redis_client) == 0


def test_who_is_in_the_call_already_is_no_target(alice: Client, redis_client: "redis_library.Redis") -> None:
    uuid = talking()
    for number in ("1000", "1001"):
        assert "in this call already" in text_of(press(alice, path(uuid, "transfer"), number=number))
    assert sent(redis_client) == 0


def test_what_is_not_possible_now_is_said(alice: Client, redis_client: "redis_library.Redis") -> None:
    uuid = talking()
    for verb in ("resume", "complete", "back", "three-way", "retrieve", "stop-recording"):
        assert "not possible now" in text_of(press(alice, path(uuid, verb))), verb
    assert "over already" in text_of(press(alice, path(str(uuid4()), "hold")))
    assert sent(redis_client) == 0


def test_a_key_makes_one_command(alice: Client, redis_client: "redis_library.Redis") -> None:
    uuid = talking()
    for _ in range(2):
        alice.post(path(uuid, "hold"), headers={"HX-Request": "true", "Idempotency-Key": "k"})
        Command.objects.update(state=Command.State.DONE)
    assert sent(redis_client) == 1
    answer = alice.post(path(uuid, "park"), headers={"HX-Request": "true", "Idempotency-Key": "k"})
    assert "was used for another command" in text_of(answer)


def test_who_consults_is_found_with_whom_waits_in_a_call_of_its_own(
    alice: Client, redis_client: "redis_library.Redis"
) -> None:
    uuid = talking()
    projection = Projection(SWITCH)
    projection.follow(events_of("internal_hold")[:12])
    bridge = next(event for event in events_of("internal_hold") if event.name == "CHANNEL_BRIDGE")
    create = next(event for event in events_of("internal_hold") if "1001@" in event.get("Channel-Name", ""))
    third = str(uuid4())
    projection.follow(
        [altered(create, Unique_ID=third, Channel_Call_State="ACTIVE", Answer_State="answered")]
    )
    projection.follow([altered(bridge, Other_Leg_Unique_ID=third, Event_Sequence="999999")])
    seen = control.seen_by(a_user_of(alice), control.find(uuid))
    assert seen.third is not None
    assert seen.third.uuid == third
    assert seen.other.uuid != third
    names = {name for name, _ in control.possible(a_user_of(alice), seen)}
    assert {"complete", "back", "three-way", "hang-up"} <= names
    assert not names & {"transfer", "consult", "park", "hold"}


def a_user_of(client: Client) -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(pk=client.session["_auth_user_id"])


# What becomes of it


def a_command(**values: Any) -> Command:
    now = timezone.now()
    values = {
        "verb": "hold",
        "leg": "x",
        "switch": SWITCH,
        "state": Command.State.SENT,
        "sent_at": now,
        **values,
    }
    return Command.objects.create(**values)


def test_a_lost_answer_is_unknown_and_the_toast_says_so() -> None:
    user = a_user()
    old = timezone.now() - timedelta(seconds=60)
    lost = a_command(requested_by=user, sent_at=old)
    untaken = a_command(requested_by=user, state=Command.State.QUEUED, sent_at=None, created_at=old)
    client = logged_in(user)
    page = client.get(f"/live/commands/{lost.pk}/").content.decode()
    assert "Unknown" in page
    assert "did not confirm" in page
    assert "hx-get" in page  # it may still turn out to be done
    assert "did not take the command" in text_of(client.get(f"/live/commands/{untaken.pk}/"))
    assert logged_in(a_user("other")).get(f"/live/commands/{lost.pk}/").status_code == 404


def test_what_was_unknown_is_done_when_its_event_comes_late() -> None:
    command = a_command(leg=events_of("internal_hold")[0]["Unique-ID"])
    follower = outcomes.Outcomes(SWITCH)
    follower.watch(command)
    control.fail(command, "lost", Command.State.UNKNOWN)
    hold = next(event for event in events_of("internal_hold") if event.name == "CHANNEL_HOLD")
    command = Command.objects.get()
    follower.watched[str(command.pk)].leg = hold["Unique-ID"]
    follower.watched[str(command.pk)].answered = True
    follower.follow([hold])
    command.refresh_from_db()
    assert (command.state, command.why) == (Command.State.DONE, "")


def test_after_a_lost_connection_the_legs_tell_what_was_done() -> None:
    projection = Projection(SWITCH)
    projection.follow(events_of("internal_hold")[:12])
    uuid, other = list(projection.legs)
    cases = {
        "hold": Command.State.UNKNOWN,
        "resume": Command.State.DONE,
        "hang-up": Command.State.UNKNOWN,
        "park": Command.State.UNKNOWN,
        "record": Command.State.UNKNOWN,
        "stop-recording": Command.State.DONE,
        "listen": Command.State.UNKNOWN,
    }
    commands = {verb: a_command(verb=verb, leg=uuid, other=other) for verb in cases}
    gone = a_command(verb="hang-up", leg=str(uuid4()))
    later = a_command(sent_at=timezone.now() + timedelta(seconds=5))
    outcomes.Outcomes(SWITCH).take_stock(projection.legs, timezone.now())
    for verb, command in commands.items():
        command.refresh_from_db()
        assert command.state == cases[verb], verb
        assert command.why == ("" if command.state == Command.State.DONE else outcomes.LOST)
    gone.refresh_from_db()
    later.refresh_from_db()
    assert (gone.state, later.state) == (Command.State.DONE, Command.State.SENT)


def test_a_task_that_comes_too_late_asks_nothing() -> None:
    from calls.tasks import carry_out

    command = a_command(state=Command.State.QUEUED, created_at=timezone.now() - timedelta(seconds=20))
    carry_out(str(command.pk))
    command.refresh_from_db()
    assert (command.state, command.why) == (Command.State.FAILED, control.NOT_TAKEN)


def test_every_verb_says_what_proves_it() -> None:
    assert outcomes.PROOFS.keys() == VERBS.keys()
    assert (
        outcomes.SHOWN.keys() | {"consult", "three-way", "digits", "listen", "whisper", "barge"}
        == VERBS.keys()
    )


def test_sides_are_seen_from_any_phone_of_the_call() -> None:
    projection = Projection(SWITCH)
    projection.follow(events_of("internal_hold")[:12])
    from calls.grouping import grouped

    (call,) = grouped(projection.legs.values())
    for mine, other in (("1000", "1001"), ("1001", "1000")):
        seen = sides(call, mine)
        assert (seen.mine.user, seen.other.user, seen.third) == (mine, other, None)
