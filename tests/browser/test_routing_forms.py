"""Routing's forms: what is typed is understood while it is typed; a carrier fills a gateway in."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.factories import make_agent, make_gateway, make_group, make_outbound, make_switch

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def office(live_site: str, log_in: Callable[..., Any]) -> None:
    make_switch()
    alice = make_agent(1020, name="Alice")
    make_outbound(make_gateway("carrier1"))
    make_group(alice, "+12025550123", extension=6000)
    log_in()


def test_a_route_says_how_its_number_and_destination_are_understood(page: Page) -> None:
    page.goto("/routes/inboundroute/add/")
    page.fill("#id_did", "(949) 543-1333")
    expect(page.get_by_text("+1 949-543-1333, United States")).to_be_visible()
    page.fill("#id_destination", "1020")
    expect(page.get_by_text("Rings 1020 Alice")).to_be_visible()
    page.fill("#id_destination", "1099")
    expect(page.get_by_text("There is no agent and no ring group 1099.")).to_be_visible()


def test_a_group_says_it_of_each_line_as_soon_as_it_is_opened(page: Page) -> None:
    page.goto("/routes/ringgroup/")
    page.get_by_role("link", name="6000", exact=True).click()
    expect(page.get_by_text("Rings 1020 Alice", exact=True)).to_be_visible()
    expect(page.get_by_text("Calls +1 202-555-0123, United States", exact=True)).to_be_visible()


def test_a_carrier_fills_a_new_gateway_in(page: Page) -> None:
    page.goto("/routes/gateway/add/")
    page.select_option("#pb-carrier", label="Twilio")
    expect(page.locator("#id_proxy")).to_have_value("example.pstn.twilio.com")
    expect(page.locator("#id_registers")).not_to_be_checked()
    expect(page.locator("#pb-carrier-advice")).to_contain_text("trunk's name")


def test_an_outbound_route_shows_what_it_sends_and_only_the_fields_that_count(page: Page) -> None:
    page.goto("/routes/outboundroute/add/")
    expect(page.locator("#route-example")).to_contain_text("is sent as +1")
    page.fill("#id_strip", "1")
    page.fill("#id_prepend", "9")
    expect(page.locator("#route-example")).to_contain_text("is sent as 9201")
    expect(page.locator("#id_prefixes")).to_be_visible()
    page.locator("#id_match").select_option("region")
    expect(page.locator("#id_countries")).to_be_visible()
    expect(page.locator("#id_prefixes")).not_to_be_visible()


def test_on_a_telephone_the_page_says_which_it_is_and_leads_to_the_dial_box(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/routes/ringgroup/")
    title = page.locator("h1").get_by_role("link", name="Ring groups")
    expect(title).to_be_visible()
    assert title.evaluate("e => e.clientWidth") > 60, "the name is cut to a letter"
    page.get_by_role("link", name="Dial a number").click()
    expect(page.get_by_label("Number", exact=True)).to_be_focused()
