"""The live pages' script: what each page makes of the rows that are pushed to all."""

from uuid import uuid4

import pytest
import redis as redis_library
from playwright.sync_api import Page, expect

from calls.live import Projection
from eslbridge.protocol.events import Event
from eslbridge.store import announce
from tests.calls.making import SWITCH, a_switch, an_agent
from tests.recorded_calls import altered, events_of

from .test_calls import LogIn, row

pytestmark = pytest.mark.browser


@pytest.fixture
def projection(transactional_db: None, redis_client: "redis_library.Redis") -> Projection:
    """A connected switch on which nobody talks."""
    a_switch()
    empty = Projection(SWITCH)
    empty.take_stock([], lambda commands: [])
    return empty


def follow(projection: Projection, *events: Event) -> None:
    """What the worker does with events."""
    projection.follow(events)
    announce("calls")


def a_call(user: str, number: str) -> Event:
    """The first event of a call from a phone."""
    create, *_ = events_of("internal_hold")
    headers = {"Channel_Presence_ID": f"{user}@127.0.0.1", "Caller_Destination_Number": number}
    return altered(create, Unique_ID=str(uuid4()), Caller_ANI=user, **headers)


def test_who_may_not_hang_up_others_still_sees_the_button_on_the_own_call(
    page: Page, log_in: LogIn, projection: Projection
) -> None:
    user = log_in("alice", is_superuser=False, permissions=("view_active_calls",))
    an_agent("1020", "Alice", user=user)
    follow(projection, a_call("1020", "5001"), a_call("1021", "5002"))
    page.goto("/calls/active/")
    expect(row(page, "5001").get_by_role("button", name="Hang up")).to_be_visible()
    expect(row(page, "5002").get_by_role("button", name="Hang up")).to_be_hidden()
    follow(projection, a_call("1020", "5003"), a_call("1021", "5004"))
    expect(row(page, "5003").get_by_role("button", name="Hang up")).to_be_visible()
    expect(row(page, "5004")).to_be_visible()
    expect(row(page, "5004").get_by_role("button", name="Hang up")).to_be_hidden()
