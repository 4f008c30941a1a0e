"""A real Chromium on the real site. One for the tests of this folder; each has its own profile in it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.calls.making import a_user, an_agent

# A second --disable-features replaces Playwright's: what that turns off is here, too. The last three are
# ours: the suggestions below the address, which nobody sees, cost as much as our page in each window.
NEEDLESS = [
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "MediaRouter",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PaintHolding",
    "PreconnectToSearch",
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(NEEDLESS)}",
]
# Milliseconds; a page on a busy machine may take its time, but never this long.
PATIENCE = 10_000


@pytest.fixture(scope="package")  # while it is open its event loop runs in this thread, and no other can
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        # Playwright runs an event loop in this thread; Django would take the tests for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        expect.set_options(timeout=PATIENCE)
        yield playwright.chromium.launch(executable_path=chromium, args=FLAGS)


@pytest.fixture
def page(browser: Browser, live_site: str) -> Iterator[Page]:
    """An empty tab; a relative address is one of the site. Fails the test for an error of a script."""
    context = browser.new_context(base_url=live_site, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert errors == []


@pytest.fixture
def log_in(page: Page) -> Callable[..., Any]:
    """Makes a user and logs in as that one, through the form. Returns the user."""

    def log_in(name: str = "admin", *, agent: bool = False, **values: Any) -> Any:
        user = a_user(name, **{"is_superuser": True, **values})
        if agent:  # who has no other rights needs a phone to come in
            an_agent("1020", "Alice", user=user)
        page.goto("/")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", "secret")
        page.click("form button[type=submit]")
        expect(page.locator("#pb-number")).to_be_visible()
        return user

    return log_in
