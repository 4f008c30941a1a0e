"""The live pages' script: what each page makes of the rows that are pushed to all."""

from collections.abc import Callable
from typing import Any
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


def a_call(user: str, number: str, **headers: str) -> Event:
    """The first event of a call from a phone."""
    create, *_ = events_of("internal_hold")
    told = {"Channel_Presence_ID": f"{user}@127.0.0.1", "Caller_Destination_Number": number, **headers}
    return altered(create, Unique_ID=str(uuid4()), Caller_ANI=user, **told)


def test_who_may_not_hang_up_others_still_sees_the_button_on_the_own_call(
    page: Page, log_in: LogIn, projection: Projection
) -> None:
    user = log_in("alice", is_superuser=False, permissions=("view_active_calls",))
    an_agent("1020", "Alice", user=user)
    follow(projection, a_call("1020", "5001"), a_call("1021", "5002"))
    page.goto("/calls/active/")
    expect(row(page, "5001").get_by_role("button", name="Hang up")).to_be_visible()
    expect(row(page, "5002").get_by_role("button", name="Hang up")).to_be_hidden()
    with page.expect_response("**/live/calls/"):
        announce("switch")
    page.wait_for_timeout(100)  # htmx settles what it fetched
    expect(row(page, "5001").get_by_role("button", name="Hang up")).to_be_visible()
    follow(projection, a_call("1020", "5003"), a_call("1021", "5004"))
    expect(row(page, "5003").get_by_role("button", name="Hang up")).to_be_visible()
    expect(row(page, "5004")).to_be_visible()
    expect(row(page, "5004").get_by_role("button", name="Hang up")).to_be_hidden()


def test_filters_are_kept_in_the_address_and_hold_for_pushed_rows_too(
    page: Page, log_in: LogIn, projection: Projection
) -> None:
    log_in()
    an_agent("1020", "Alice")
    by_carrier = a_call("1021", "5002", variable_sip_gateway_name="carrier1")
    follow(projection, a_call("1020", "5001"), by_carrier)
    page.goto("/calls/active/")
    expect(row(page, "5002")).to_contain_text("carrier1")
    page.select_option("select[name=gateway]", "carrier1")
    expect(row(page, "5001")).to_be_hidden()
    expect(row(page, "5002")).to_be_visible()
    page.select_option("select[name=state]", "ringing")
    assert page.url.endswith("?gateway=carrier1&state=ringing")

    # A pushed row that does not match is not shown; one that matches is, and one that matches no more goes.
    follow(projection, a_call("1020", "5003"), a_call("1022", "5004", variable_sip_gateway_name="carrier1"))
    expect(row(page, "5004")).to_be_visible()
    expect(row(page, "5003")).to_be_hidden()
    values = {"Event_Name": "CHANNEL_ANSWER", "Channel_Call_State": "ACTIVE", "Event_Sequence": "900001"}
    answered = altered(by_carrier, **values)
    follow(projection, answered)
    expect(row(page, "5002")).to_be_hidden()
    follow(projection, altered(by_carrier, Event_Sequence="900002"))
    expect(row(page, "5002")).to_be_visible()

    page.reload()  # the address is a bookmark
    expect(row(page, "5002")).to_be_visible()
    expect(row(page, "5001")).to_be_hidden()
    page.fill("input[name=agent]", "alice")
    expect(page.get_by_text("No call matches.")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(row(page, "5001")).to_be_visible()
    assert page.url.endswith("/calls/active/")
    page.fill("input[name=agent]", "alice")
    expect(row(page, "5001")).to_be_visible()
    expect(row(page, "5002")).to_be_hidden()
    page.goto("/calls/active/?gateway=gone")  # one that is not known any more
    expect(page.get_by_text("No call matches.")).to_be_visible()
    expect(page.locator("select[name=gateway]")).to_have_value("gone")


@pytest.mark.parametrize("how", ["refused", "held back by a proxy"])
def test_a_page_without_a_stream_asks_every_five_seconds(
    how: str, page: Page, log_in: LogIn, projection: Projection
) -> None:
    page.route("**/live/", lambda route: route.abort() if how == "refused" else None)
    page.clock.install()
    log_in()
    page.goto("/calls/active/")
    expect(page.get_by_text("Nobody is talking")).to_be_visible()
    follow(projection, a_call("1020", "5001"))
    page.clock.run_for(4_000)
    expect(row(page, "5001")).to_have_count(0)
    page.clock.run_for(2_000)
    expect(row(page, "5001")).to_be_visible()


def restyled(page: Page, act: Callable[[], None]) -> int:
    """Of how many elements, at once, the browser works out the style anew while `act` runs."""
    session = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    ended: list[Any] = []

    def end(told: Any) -> None:  # a method of a list is not taken
        ended.append(told)

    session.on("Tracing.dataCollected", lambda told: events.extend(told["value"]))
    session.on("Tracing.tracingComplete", end)
    session.send("Tracing.start", {"categories": "devtools.timeline", "transferMode": "ReportEvents"})
    act()
    session.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(10)
    return max(each["args"]["elementCount"] for each in events if each["name"] == "UpdateLayoutTree")


def test_a_row_that_comes_costs_no_more_than_itself(
    page: Page, log_in: LogIn, projection: Projection
) -> None:
    log_in()
    page.goto("/calls/active/")
    expect(page.get_by_text("Nobody is talking")).to_be_visible()
    follow(projection, *(a_call("1020", f"50{n:02}") for n in range(30)))
    expect(page.locator(".pb-calls tbody tr")).to_have_count(30)
    page.wait_for_timeout(300)  # what the list itself asked for

    def one_more() -> None:
        follow(projection, a_call("1020", "5100"))
        expect(row(page, "5100")).to_be_visible()

    of_one_row = page.locator(".pb-calls tbody tr:last-child *").count()
    assert 0 < restyled(page, one_more) < 3 * of_one_row  # `:root:has(…)` made it all 862 of the page


def test_two_tabs_share_one_stream_and_the_second_inherits_it(
    page: Page, log_in: LogIn, projection: Projection
) -> None:
    opened: list[str] = []
    page.context.on("request", lambda request: opened.append(request.url))
    log_in()
    page.goto("/calls/active/")
    expect(page.get_by_text("Nobody is talking")).to_be_visible()
    page.wait_for_function("performance.getEntriesByType('resource').length > 0")
    opened.clear()
    other = page.context.new_page()
    other.goto("/calls/active/")
    follow(projection, a_call("1020", "5001"))
    for tab in (page, other):
        expect(row(tab, "5001")).to_be_visible()
    assert not [url for url in opened if url.endswith("/live/")]
    page.close()
    follow(projection, a_call("1020", "5002"))
    expect(row(other, "5002")).to_be_visible()
    assert len([url for url in opened if url.endswith("/live/")]) == 1


def test_the_dashboard_shows_the_first_eight_calls_and_others_when_those_end(
    page: Page, log_in: LogIn, projection: Projection
) -> None:
    log_in()
    page.goto("/")
    expect(page.get_by_text("Nobody is talking.")).to_be_visible()
    began = [
        a_call("1020", f"50{n:02}", Caller_Channel_Created_Time=f"179530909612{n:04}") for n in range(10)
    ]
    follow(projection, *began)
    expect(page.locator(".pb-calls tbody tr")).to_have_count(8)
    expect(row(page, "5000")).to_be_visible()
    follow(projection, altered(began[0], Event_Name="CHANNEL_DESTROY", Event_Sequence="900001"))
    expect(row(page, "5000")).to_have_count(0)
    expect(row(page, "5008")).to_be_visible()
    expect(page.locator(".pb-calls tbody tr")).to_have_count(8)
    expect(page.locator("#tile-calls")).to_contain_text("9")


def test_a_refused_number_stays_in_the_dial_box_to_be_corrected(page: Page, log_in: LogIn) -> None:
    a_switch()
    log_in(agent=True)
    page.goto("/my-phone/")
    page.fill("#pb-number", "+1949x")
    page.press("#pb-number", "Enter")
    expect(page.locator(".pb-toast.pb-error")).to_contain_text("+1949x")
    expect(page.locator("#pb-number")).to_have_value("+1949x")
