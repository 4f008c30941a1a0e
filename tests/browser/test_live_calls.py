"""Pages that stay open, on the real site, with a real worker process and the simulated switch."""

import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from calls.live import Projection
from eslbridge.simulator import Simulator
from tests.calls.making import SWITCH, a_switch, an_agent
from tests.conftest import start_worker, stop_worker, wait_until

from .test_calls import LogIn, Worker, is_registered, row, two_phones

pytestmark = pytest.mark.browser


def test_a_call_appears_is_held_recorded_transferred_by_its_phone_and_hung_up_on_one_open_page(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn
) -> None:
    two_phones(simulator, log_in())
    an_agent("1022", "Carol")
    wait_until(lambda: is_registered(simulator, "1022"), "Carol's phone")
    page.goto("/calls/active/")
    expect(page.get_by_text("Nobody is talking")).to_be_visible()
    page.evaluate("window.stayed = true")
    alice, bob = simulator.phones["1020"], simulator.phones["1021"]
    bob.answer_after = 1.0

    uuid = alice.place_call("1021")
    call = row(page, "1020 Alice")
    expect(call).to_have_attribute("data-state", re.compile("ringing|early media"))
    expect(call).to_contain_text("1021 Bob")
    expect(call).to_contain_text("Answered")
    expect(call.locator("time")).to_have_text("0:02")  # it ticks

    bob.hold()
    expect(call).to_contain_text("Held")
    bob.resume()
    expect(call).to_contain_text("Answered")

    simulator.switch.in_loop(simulator.switch.start_recording, simulator.channels[uuid], "/tmp/a.wav")
    expect(call).to_contain_text("Recorded")
    simulator.switch.in_loop(simulator.switch.stop_recording, simulator.channels[uuid], "all")
    expect(call).not_to_contain_text("Recorded")

    bob.transfer("1022")
    expect(call).to_contain_text("1022 Carol")
    expect(call).to_contain_text("Answered")
    expect(row(page, "1021 Bob")).to_have_count(0)

    page.once("dialog", lambda dialog: dialog.accept())
    call.get_by_role("button", name="Hang up").click()
    expect(call).to_have_count(0)
    expect(page.get_by_text("Nobody is talking")).to_be_visible()
    assert simulator.calls == []
    assert page.evaluate("window.stayed")


def test_a_phone_registers_and_goes_and_a_wrong_password_is_told(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn
) -> None:
    two_phones(simulator, log_in())
    page.goto("/phones/")
    agents = page.context.new_page()
    agents.goto("/agents/agent/")
    bob = page.locator("#phones tr").filter(has_text="1021 Bob")
    expect(bob).to_contain_text("patchbay-softphone")
    expect(row(agents, "1021")).to_contain_text("Registered")

    simulator.phones["1021"].behaviour = "offline"
    expect(bob).to_contain_text("Not registered")
    expect(bob).to_contain_text("Last seen")
    expect(row(agents, "1021")).to_contain_text("Not registered")
    expect(agents.locator("#badge-phones")).to_have_text("1/2")
    simulator.phones["1021"].behaviour = "answer"
    expect(bob).to_contain_text("patchbay-softphone")
    expect(row(agents, "1021").locator(".pb-dot.pb-registered")).to_be_visible()

    simulator.phones["1020"].password = "guessed"
    simulator.phones["1020"].register()
    refused = page.locator(".pb-block", has_text="Refused registrations").locator("tr", has_text="1020")
    expect(refused).to_contain_text("127.0.0.1")

    bob.get_by_role("button", name="Read settings").click()
    expect(page.get_by_text("asked to read its settings")).to_be_visible()
    page.wait_for_function("true")
    for question, button in (("Restart", "Restart"), ("End this registration", "End")):
        asked: list[str] = []
        page.once("dialog", lambda dialog, asked=asked: (asked.append(dialog.message), dialog.accept()))
        bob.get_by_role("button", name=button).click()
        expect(page.locator("#pb-toasts .pb-toast").first).to_be_visible()
        assert question in asked[0]


@pytest.fixture
def workers(settings: Any) -> Iterator[Callable[[], Worker]]:
    started: list[Worker] = []
    yield lambda: started.append(start_worker(settings)) or started[-1]
    for process in started:
        stop_worker(process)


def test_a_page_that_stays_open_while_the_link_is_cut_and_the_worker_restarts(
    simulator: Simulator, live_site: str, page: Page, log_in: LogIn, workers: Callable[[], Worker]
) -> None:
    first = workers()
    two_phones(simulator, log_in())
    page.goto("/calls/active/")
    page.evaluate("window.stayed = true")
    simulator.phones["1020"].place_call("1021")
    expect(row(page, "1020 Alice")).to_contain_text("Answered")
    old = page.locator("#active-calls .pb-old")

    simulator.faults.refuse_auth()
    simulator.faults.drop_connections()
    expect(page.locator("#active-calls")).to_contain_text("Last update")
    expect(old).to_be_visible()
    expect(row(page, "1020 Alice")).to_have_count(1)  # it goes on; nobody knows
    simulator.phones["1020"].hangup()
    simulator.faults.clear()
    expect(old).to_have_count(0)
    expect(page.get_by_text("Nobody is talking")).to_be_visible()

    simulator.phones["1020"].place_call("1021")
    expect(row(page, "1020 Alice")).to_contain_text("Answered")
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    expect(page.locator("#active-calls")).to_contain_text("worker of this switch is not running")
    expect(old).to_be_visible()
    simulator.phones["1021"].hold()  # while nobody listens
    workers()
    expect(old).to_have_count(0)
    expect(row(page, "1020 Alice")).to_contain_text("Held")
    simulator.phones["1020"].hangup()
    expect(page.get_by_text("Nobody is talking")).to_be_visible()
    assert page.evaluate("window.stayed")


def test_a_page_says_since_when_the_site_does_not_answer(
    page: Page, log_in: LogIn, redis_client: Any
) -> None:
    a_switch()
    Projection(SWITCH).take_stock([], lambda commands: [])
    log_in()
    page.goto("/calls/active/")
    expect(page.get_by_text("Nobody is talking")).to_be_visible()

    def refuse(route: Route) -> None:
        route.abort() if is_away else route.continue_()

    is_away = True
    page.route("**/live/**", refuse)
    page.evaluate("htmx.trigger(document.body, 'news:resync')")
    expect(page.locator("#pb-away")).to_contain_text("the site does not answer")
    expect(page.locator(".pb-calls")).to_have_css("opacity", "0.55")
    is_away = False
    page.evaluate("htmx.trigger(document.body, 'news:resync')")
    expect(page.locator("#pb-away")).to_have_count(0)
    expect(page.locator(".pb-calls")).to_have_css("opacity", "1")
