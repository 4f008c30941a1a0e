"""The box “Who rings if …”: it asks by itself on the page of a route, and again when a question changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from eslbridge.simulator.conf import write_vanilla
from routes.models import InboundRoute
from tests.factories import make_agent, make_route, make_switch

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

RULE = """\
<include>
  <extension name="inbound_19495431333">
    <condition field="destination_number" expression="^\\+?19495431333$">
      <action application="set" data="patchbay_did=+19495431333"/>
      <action application="set" data="call_timeout=20"/>
      <action application="bridge" data="user/1000@127.0.0.1"/>
    </condition>
  </extension>
</include>
"""


@pytest.fixture
def route(live_site: str, settings: Any, tmp_path: Path) -> InboundRoute:
    write_vanilla(tmp_path, users=range(1000, 1002))
    (tmp_path / "dialplan/public/inbound_19495431333.xml").write_text(RULE)
    settings.FS_CONF_DIR = str(tmp_path)
    make_switch()
    return make_route(make_agent(1000, name="Ada"), did="+19495431333")


def test_the_box_asks_by_itself_and_again(
    page: Page, log_in: Callable[..., Any], route: InboundRoute
) -> None:
    log_in()
    page.goto(f"/routes/inboundroute/{route.pk}/change/")
    steps = page.locator(".pb-steps")
    expect(steps).to_contain_text("Rings 1000 Ada for 20 s.")
    expect(steps).to_contain_text("If busy: the call ends")
    page.fill(".pb-who-rings input[name=number]", "1001")
    page.fill(".pb-who-rings input[name=caller]", "1000")
    page.keyboard.press("Enter")
    expect(steps).to_contain_text("Rings 1001 for 30 s.")
    assert page.url.endswith("/change/")
    page.fill(".pb-who-rings input[name=number]", "${x}")
    page.keyboard.press("Enter")
    expect(page.locator(".pb-answer")).to_contain_text("cannot be dialled")


def test_without_scripts_the_page_answers_all_the_same(
    page: Page, log_in: Callable[..., Any], route: InboundRoute
) -> None:
    log_in()
    page.goto("/who-rings/?number=%2B19495431333")
    expect(page.locator(".pb-steps")).to_contain_text("Rings 1000 Ada for 20 s.")
