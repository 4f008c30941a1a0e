"""Calls in a real browser, on the real site, with a real worker process and the simulated switch."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from agents.models import Agent
from calls.models import Dial
from cdr.models import Call, Leg
from eslbridge.simulator import Simulator
from tests.calls.making import an_agent, an_outbound_route
from tests.conftest import wait_until

pytestmark = pytest.mark.browser

Worker = subprocess.Popen[bytes]
LogIn = Callable[..., Any]


def toast(page: Page) -> Locator:
    return page.locator("#pb-toasts .pb-toast").first


def row(page: Page, text: str) -> Locator:
    return page.locator("#result_list tbody tr, #calls-table tbody tr, .pb-calls tbody tr").filter(
        has_text=text
    )


def add_agent(page: Page, extension: str, name: str) -> Agent:
    page.goto("/agents/agent/add/")
    page.fill("input[name=extension]", extension)
    page.fill("input[name=name]", name)
    page.click("[name=_save]")
    expect(row(page, extension)).to_contain_text("Live")
    expect(row(page, extension)).to_contain_text("Registered")
    return Agent.objects.get(extension=extension)


def is_registered(simulator: Simulator, extension: str) -> bool:
    return extension in simulator.phones and simulator.phones[extension].registered


def two_phones(simulator: Simulator, user: Any) -> None:
    """The user's own is 1020, Bob's 1021; both are registered."""
    an_agent("1020", "Alice", user=user)
    an_agent("1021", "Bob")
    both = ("1020", "1021")
    wait_until(lambda: all(is_registered(simulator, each) for each in both), "two registered phones", 30)


def test_from_the_form_of_an_agent_to_the_record_of_a_call(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn, settings: Any
) -> None:
    user = log_in()
    alice = add_agent(page, "1020", "Alice Martin")
    add_agent(page, "3001", "Zoë ☎")
    assert "Alice Martin" in Path(settings.FS_CONF_DIR, "directory/default/1020.xml").read_text()
    assert simulator.phones["1020"].password == alice.password
    assert len(alice.password) == 24
    Agent.objects.filter(pk=alice.pk).update(user=user)

    # The button beside an agent.
    row(page, "3001").get_by_role("button", name="Call").click()
    expect(toast(page)).to_contain_text("1020 → 3001")
    expect(toast(page)).to_contain_text("Answered")
    toast(page).get_by_role("button", name="Hang up").click(trial=True, timeout=3000)  # nothing covers it
    other = page.context.new_page()
    other.goto("/calls/active/")
    expect(row(other, "3001 Zoë ☎")).to_have_attribute("data-legs", "2")
    expect(row(other, "3001 Zoë ☎")).to_contain_text("1020 Alice Martin")
    expect(row(other, "3001 Zoë ☎")).to_contain_text("Answered")

    # Hang up, asked first.
    asked: list[str] = []
    other.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    row(other, "3001").get_by_role("button", name="Hang up").click()
    wait_until(lambda: asked, "the question")
    assert "1020" in asked[0]
    expect(row(other, "3001")).to_contain_text("Answered")
    other.once("dialog", lambda dialog: dialog.accept())
    row(other, "3001").get_by_role("button", name="Hang up").click()
    expect(row(other, "3001")).to_have_count(0)
    expect(toast(page)).to_contain_text("Ended")
    assert simulator.calls == []

    # Its record, with both legs.
    other.goto("/cdr/call/")
    expect(row(other, "3001")).to_contain_text("answered")
    row(other, "3001").get_by_role("link").first.click()
    expect(other.get_by_text("NORMAL_CLEARING").first).to_be_visible()
    expect(other.locator(".pb-table tbody tr")).to_have_count(2)
    call = Call.objects.get()
    assert (call.kind, call.caller, call.callee, call.reached) == ("click_to_dial", "1020", "3001", "3001")
    assert Leg.objects.filter(call=call.uuid).count() == 2


def test_a_number_is_dialled_from_the_header_by_keyboard_and_why_it_fails_is_said(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn
) -> None:
    user = log_in()
    an_agent("1020", "Alice", user=user)
    an_agent("1021", "Bob")
    wait_until(lambda: {"1020", "1021"} <= simulator.phones.keys(), "the phones", 30)
    wait_until(
        lambda: all(simulator.phones[each].registered for each in ("1020", "1021")), "registered phones"
    )
    page.goto("/")

    page.keyboard.press("d")
    expect(page.locator("#pb-number")).to_be_focused()

    def dial(number: str, *, is_refused: bool = False) -> None:
        page.fill("#pb-number", number)
        page.keyboard.press("Enter")
        if is_refused:
            expect(toast(page)).to_have_attribute("role", "alert")
        expect(page.locator("#pb-number")).to_have_value(number if is_refused else "")

    for refused, hostile in enumerate(("1000 &system(x)", "${system(x)}", "１０２１"), start=1):
        dial(hostile, is_refused=True)
        expect(page.locator(".pb-toast[role=alert]")).to_have_count(refused)
        expect(toast(page)).to_contain_text("digits, * and # only")
        expect(toast(page)).to_have_attribute("role", "alert")
    assert not Dial.objects.exists()

    an_outbound_route(toll_class="international")
    dial("+44 20 7946 0958", is_refused=True)
    expect(toast(page)).to_contain_text("+442079460958: Not allowed: international.")
    expect(toast(page)).to_have_attribute("role", "alert")
    assert not Dial.objects.exists()

    simulator.phones["1021"].behaviour = "busy"
    dial("1021")
    expect(toast(page)).to_contain_text("1020 → 1021")
    expect(toast(page)).to_contain_text("Busy.")
    toast(page).get_by_role("button", name="Hang up").click()
    expect(page.locator("#pb-toasts").get_by_text("Failed")).to_be_visible()

    simulator.phones["1020"].behaviour = "reject"
    dial("*98")
    expect(page.locator("#pb-toasts").get_by_text("Phone 1020 rejected the call.")).to_be_visible()
    assert not [command for _, command in simulator.received if "system" in command]
    assert simulator.executed_commands == []


def test_a_did_rings_its_agent_and_a_deactivated_agent_is_gone(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn, settings: Any
) -> None:
    log_in()
    add_agent(page, "1020", "Alice Martin")
    page.goto("/routes/inboundroute/add/")
    page.fill("input[name=did]", "(949) 543-1333")
    page.fill("input[name=destination]", "1020")
    expect(page.get_by_text("Rings 1020 Alice Martin")).to_be_visible()
    page.click("[name=_save]")
    expect(row(page, "949-543-1333")).to_contain_text("Live")

    page.goto("/calls/active/")
    simulator.phones["1020"].answer_after = 0.2
    simulator.call_from_outside("+19495431333", "+15551230000", "<b>Mallory</b>")
    expect(row(page, "+15551230000")).to_contain_text("+19495431333")
    expect(row(page, "+15551230000")).to_contain_text("1020 Alice Martin")
    expect(row(page, "+15551230000")).to_contain_text("<b>Mallory</b>")
    expect(row(page, "+15551230000")).to_contain_text("Answered")
    simulator.phones["1020"].hangup()
    expect(row(page, "+15551230000")).to_have_count(0)
    wait_until(
        lambda: Call.objects.filter(kind="inbound", callee="+19495431333", reached="1020").exists(), "record"
    )

    file = Path(settings.FS_CONF_DIR, "directory/default/1020.xml")
    assert file.exists()
    page.goto("/agents/agent/")
    row(page, "1020").get_by_role("link", name="1020").click()
    page.locator("[name=is_active]").uncheck(force=True)
    page.click("[name=_save]")
    expect(row(page, "1020")).to_contain_text(re.compile("Off|Not registered"))
    wait_until(lambda: not file.exists(), "the file to go")
    wait_until(
        lambda: "1020" not in simulator.phones or not simulator.phones["1020"].registered, "it to be off"
    )


def test_a_page_says_that_the_switch_is_away_and_recovers_by_itself(
    simulator: Simulator, worker: Worker, page: Page, log_in: LogIn
) -> None:
    user = log_in()
    an_agent("1020", "Alice", user=user)
    an_agent("1021", "Bob")
    wait_until(lambda: {"1020", "1021"} <= simulator.phones.keys(), "the phones", 30)
    wait_until(
        lambda: all(simulator.phones[each].registered for each in ("1020", "1021")), "registered phones"
    )
    page.goto("/calls/active/")
    simulator.phones["1021"].place_call("1020")
    expect(row(page, "1021 Bob")).to_contain_text("Answered")

    simulator.stop()
    expect(page.locator("#active-calls")).to_contain_text("does not answer")
    expect(page.locator("#active-calls .pb-old")).to_be_visible()
    expect(page.locator("#active-calls")).to_contain_text("Last update")
    expect(row(page, "1021 Bob")).to_have_count(1)  # what was seen last, greyed
    page.fill("#pb-number", "1021")
    page.press("#pb-number", "Enter")
    expect(toast(page)).to_contain_text("does not answer")

    simulator.start()
    expect(page.locator("#active-calls .pb-old")).to_have_count(0)
    expect(row(page, "1021 Bob")).to_have_count(0)
    expect(page.locator("#active-calls")).not_to_contain_text("does not answer")
