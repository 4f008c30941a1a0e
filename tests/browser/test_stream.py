"""The page's script and the stream of news, when things come in an unlucky order."""

import time

import pytest
import redis as redis_library
from playwright.sync_api import Page, Route, expect

from calls.live import Projection
from eslbridge.store import announce
from tests.calls.making import SWITCH, a_switch
from tests.recorded_calls import events_of

from .test_calls import LogIn, row

pytestmark = pytest.mark.browser


def test_a_list_that_comes_late_does_not_bring_back_a_call_that_has_ended(
    page: Page, log_in: LogIn, redis_client: "redis_library.Redis"
) -> None:
    a_switch()
    projection, events = Projection(SWITCH), events_of("internal_hold")
    projection.take_stock([], lambda commands: [])
    log_in()
    page.goto("/calls/active/")
    expect(page.locator("#active-calls")).to_contain_text("Nobody is talking")
    projection.follow(events[:12])
    announce("calls")
    expect(row(page, "1001")).to_have_count(1)

    held: list[Route] = []
    answers = []

    def hold(route: Route) -> None:
        answers.append(route.fetch())
        held.append(route)

    page.route("**/live/calls/", hold)
    announce("switch")  # everything is asked for anew; the answer has the call
    deadline = time.monotonic() + 10
    while not held and time.monotonic() < deadline:
        page.wait_for_timeout(10)  # Playwright's own loop: it calls `hold`
    projection.follow(events[12:])
    announce("calls")
    expect(row(page, "1001")).to_have_count(0)
    assert "1001" in answers[0].text()
    with page.expect_response("**/live/calls/"):
        held[0].fulfill(response=answers[0])
    page.unroute("**/live/calls/")
    expect(page.locator("#active-calls")).to_contain_text("Nobody is talking")
    expect(row(page, "1001")).to_have_count(0)
