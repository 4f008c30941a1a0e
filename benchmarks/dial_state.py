"""A dial's state shown in Chromium after its event at the socket.

./run                                            # in another terminal
.venv/bin/python benchmarks/dial_state.py [http://127.0.0.1:8000] [40]

The time of an event is when a listener of our own hears it; the page's when its toast says the state.
"""

import os
import sys
import time

import site_under_test as site

site.set_up()
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright runs an event loop in this thread

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from agents import presence  # noqa: E402
from agents.models import Agent  # noqa: E402
from eslbridge.client import Client  # noqa: E402
from pbx.launch.check import chromium  # noqa: E402

WATCH = """() => {
  window.seen = [];
  const note = () => {
    for (const toast of document.querySelectorAll("#pb-toasts [id^=dial-]")) {
      const state = [...toast.querySelector(".pb-chip").classList].find((name) => name !== "pb-chip");
      const key = `${toast.id.slice(5)} ${state.slice(3)}`;
      const now = performance.timeOrigin + performance.now();
      if (!window.seen.some(([known]) => known === key)) window.seen.push([key, now]);
    }
  };
  const toasts = document.getElementById("pb-toasts");
  new MutationObserver(note).observe(toasts, { childList: true, subtree: true });
}"""
# Event, whether it is of the A-leg, and the state that it means.
STATES = {
    ("CHANNEL_PROGRESS", True): "ringing_agent",
    ("CHANNEL_ANSWER", True): "agent_answered",
    ("CHANNEL_PROGRESS", False): "ringing",
    ("CHANNEL_ANSWER", False): "answered",
    ("CHANNEL_HANGUP_COMPLETE", True): "ended",
}


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    told: dict[str, float] = {}

    def note(events: list) -> None:
        now = time.time() * 1000
        for event in events:
            origin = event.get("variable_originator") or event.get("Other-Leg-Unique-ID", "")
            uuid = event["Unique-ID"]
            is_a_leg = bool(event.get("variable_patchbay_dial")) and not event.get("variable_originator")
            if state := STATES.get((event.name, is_a_leg)):
                told.setdefault(f"{uuid if is_a_leg else origin} {state}", now)

    names = sorted({name for name, _ in STATES})
    session = site.Session(address)
    session.log_in_as_superuser()
    user = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
    had = Agent.objects.filter(user=user).first()
    own = had or Agent.objects.create(extension="7720", name="Bench", user=user)
    other = Agent.objects.create(extension="7721", name="Bench other")
    where = (settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD)
    try:
        site.until(lambda: {own.extension, other.extension} <= presence.registered().keys())
        with Client(*where, subscriptions=names, on_events=note) as client, sync_playwright() as playwright:
            client.connect()
            browser = playwright.chromium.launch(
                executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
            )
            context = browser.new_context()
            name, _, value = session.session_cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": address}])
            page = context.new_page()
            page.goto(f"{address}/my-phone/")
            page.wait_for_timeout(1500)
            page.evaluate(WATCH)
            for _ in range(count):
                page.fill("#pb-number", other.extension)
                page.press("#pb-number", "Enter")
                page.wait_for_selector("#pb-toasts .pb-chip.pb-answered", timeout=20_000)
                page.wait_for_timeout(200)
                client.api("hupall", "NORMAL_CLEARING")
                page.wait_for_function("!document.querySelector('#pb-toasts .pb-chip.pb-answered')")
                page.evaluate(
                    "document.querySelectorAll('#pb-toasts .pb-toast').forEach((each) => each.remove())"
                )
            seen = page.evaluate("window.seen")
            browser.close()
    finally:
        other.delete()
        if not had:
            own.delete()
    lags = [(at - told[key]) / 1000 for key, at in seen if key in told]
    site.report("Event to the dial's state in Chromium", [max(0.0, lag) for lag in lags])


main()
