"""Dialling and steering calls in a real browser: on My phone, on Active calls, and by keyboard alone."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from agents.models import Agent
from calls import live
from calls.models import Command, Dial
from eslbridge.models import PendingChange
from eslbridge.simulator import Simulator
from tests.calls.making import an_agent, an_outbound_route
from tests.conftest import BASE_DIR, wait_until

from .test_calls import is_registered, row, toast

pytestmark = pytest.mark.browser

Worker = subprocess.Popen[bytes]
LogIn = Callable[..., Any]
THERE = "https://patchbay.example.com"


def three_phones(simulator: Simulator, user: Any) -> None:
    """The user's own is 1020, Bob's 1021, Carol's 1022; all are registered and answer after a moment."""
    phones = {"1020": "Alice", "1021": "Bob", "1022": "O'Brien, Zoë ☎"}
    for extension, name in phones.items():
        if not Agent.objects.filter(extension=extension).exists():
            an_agent(extension, name, user=user if extension == "1020" else None)
    registered = (lambda: all(is_registered(simulator, each) for each in phones), "registered phones")
    wait_until(*registered, seconds=30)  # the worker starts
    for extension in phones:
        simulator.phones[extension].answer_after = 0.05


def parties() -> list[set[str]]:
    return [{leg.party for leg in call.legs} for call in live.active_calls()]


def test_my_phone_from_the_dial_to_a_transfer_by_name(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn
) -> None:
    user = log_in("alice", is_superuser=False, staff=False, agent=True)
    three_phones(simulator, user)
    expect(page).to_have_url(re.compile("/my-phone/$"))
    page.reload()
    expect(page.locator("#my-state")).to_contain_text("Registered")
    expect(page.locator("#nav-sidebar")).not_to_contain_text("Gateways")

    # A number abroad is refused with the reason; nothing rings.
    an_outbound_route(toll_class="international")
    page.fill("#my-number", "+44 20 7946 0958")
    page.press("#my-number", "Enter")
    expect(toast(page)).to_contain_text("Not allowed: international")
    assert not Dial.objects.exists()

    page.fill("#my-number", "Bob")
    page.press("#my-number", "Enter")
    expect(toast(page)).to_contain_text("1020 → 1021")
    expect(toast(page)).to_contain_text("Answered")
    call = page.locator(".pb-my-call")
    expect(call).to_contain_text("1021")

    call.get_by_role("button", name="Hold").click()
    expect(call).to_have_attribute("data-state", "held")
    call.get_by_role("button", name="Resume").click()
    expect(call).to_have_attribute("data-state", "answered")

    # Typing survives that the call's state is pushed meanwhile.
    target = call.get_by_label("Transfer to an agent or number")
    target.fill("O'Brien, Zoë ☎")
    simulator.phones["1022"].answer_after = 0.2
    call.get_by_role("button", name="Hold").click()
    expect(call).to_have_attribute("data-state", "held")
    expect(target).to_have_value("O'Brien, Zoë ☎")
    call.get_by_role("button", name="Resume").click()
    expect(call).to_have_attribute("data-state", "answered")
    target.press("Enter")
    expect(page.locator("#pb-toasts")).to_contain_text("Transferred to 1022.")
    wait_until(lambda: parties() == [{"1021", "1022"}], "Bob and Zoë")
    expect(page.locator("#my-calls")).to_contain_text("You are not in a call.")
    expect(page.locator("#my-past")).to_contain_text("1021")


def test_an_attended_transfer_by_keyboard_alone(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn
) -> None:
    user = log_in()
    three_phones(simulator, user)
    page.goto("/calls/active/")
    page.keyboard.press("d")
    page.keyboard.type("1021")
    page.keyboard.press("Enter")
    expect(row(page, "1021 Bob")).to_contain_text("Answered")

    def reach(label: str) -> None:
        """Tab until the button or field of that name has the focus."""
        for _ in range(80):
            page.keyboard.press("Tab")
            name = page.evaluate(
                "(e => e.getAttribute('aria-label') || e.textContent.trim())(document.activeElement)"
            )
            if label in (name or ""):
                return
        pytest.fail(f"{label} cannot be reached")

    reach("More for the call of 1020 and 1021")
    page.keyboard.press("Enter")
    expect(page.locator("#pb-steer")).to_be_visible()
    reach("Transfer to an agent or number")
    page.keyboard.type("1022")
    reach("Ask first")
    page.keyboard.press("Enter")
    expect(page.locator("#pb-toasts")).to_contain_text("the call waits")
    expect(page.locator("#pb-steer").get_by_role("button", name="Transfer now")).to_be_visible()
    reach("Transfer now")
    page.keyboard.press("Enter")
    wait_until(lambda: parties() == [{"1021", "1022"}], "Bob and Zoë")
    page.keyboard.press("Escape")
    expect(page.locator("#pb-steer")).not_to_be_visible()


def test_a_dial_from_the_header_is_answered_and_hung_up_and_a_supervisor_joins(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn
) -> None:
    user = log_in()
    three_phones(simulator, user)
    simulator.phones["1021"].place_call("1022")
    page.goto("/calls/active/")
    expect(row(page, "1021 Bob")).to_contain_text("Answered")
    row(page, "1021 Bob").get_by_role("button", name="More for the call").click()
    page.locator("#pb-steer").get_by_role("button", name="Listen").click()
    expect(page.locator("#pb-toasts")).to_contain_text("Listening.")
    page.keyboard.press("Escape")
    simulator.phones["1020"].hangup()
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    row(page, "1021 Bob").get_by_role("button", name="More for the call").click()
    page.locator("#pb-steer").get_by_role("button", name="Join").click()
    expect(page.locator("#pb-toasts")).to_contain_text("Both sides hear you.")
    assert "Both sides will hear you" in asked[0]
    page.keyboard.press("Escape")
    simulator.phones["1020"].hangup()
    wait_until(lambda: len(live.active_calls()) == 1, "the listener to be gone")

    simulator.phones["1021"].hangup()
    expect(row(page, "1021 Bob")).to_have_count(0)
    page.fill("#pb-number", "1021")
    page.press("#pb-number", "Enter")
    dialled = page.locator("#pb-toasts .pb-toast").filter(has_text="1020 → 1021")
    expect(dialled).to_contain_text("Answered")
    dialled.get_by_role("button", name="Hang up").click()
    expect(dialled).to_contain_text("Ended")
    assert {command.state for command in Command.objects.all()} == {Command.State.DONE}
    a_link_on_another_web_site_dials_after_a_question(page)


def a_link_on_another_web_site_dials_after_a_question(page: Page) -> None:
    """The snippet of the documentation, as it stands there, but for the address of the site."""
    an_outbound_route()
    wait_until(lambda: not PendingChange.objects.exists(), "the route on the switch")
    docs = Path(BASE_DIR, "docs/click-to-dial.md").read_text()
    (snippet,) = re.findall(r"```html\n(.*?)```", docs, re.DOTALL)
    assert snippet.count("\n") <= 15
    site = re.match("https?://[^/]+", page.url)[0]
    crm = page.context.new_page()
    crm.route("http://crm.example/", lambda route: route.fulfill(body=snippet.replace(THERE, site)))
    crm.goto("http://crm.example/")
    before = Dial.objects.count()
    with crm.expect_popup() as opened:
        crm.get_by_role("link").click()
    popup = opened.value
    expect(popup.locator("#content").get_by_role("button", name="Dial")).to_be_visible()
    expect(popup.get_by_text("+1 949-543-1333, United States")).to_be_visible()
    assert Dial.objects.count() == before
    assert crm.url == "http://crm.example/"
    popup.locator("#content").get_by_role("button", name="Dial").click()
    expect(toast(popup)).to_contain_text("1020 → +19495431333")
    expect(toast(popup)).to_contain_text("Answered")
    toast(popup).get_by_role("button", name="Hang up").click()
    expect(toast(popup)).to_contain_text("Ended")
