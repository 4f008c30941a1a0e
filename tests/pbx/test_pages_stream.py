"""What a browser hears when it comes, and that the page's script hears all of it."""

import asyncio
from pathlib import Path

import pytest

from pbx.stream import RESYNC, Hub, frame

BASE_DIR = Path(__file__).resolve().parents[2]


@pytest.mark.usefixtures("redis_client")
def test_each_browser_that_comes_is_told_to_fetch_the_present() -> None:
    """What changed between the rendering of its page and its coming would be missed otherwise."""

    async def first_frames() -> list[list[bytes]]:
        hub = Hub({})
        heard = []
        browsers = [hub.watch() for _ in range(3)]
        for browser in browsers:
            heard.append([await asyncio.wait_for(anext(browser), 5) for _ in range(3)])
        for browser in browsers:
            await browser.aclose()
        return heard

    for frames in asyncio.run(first_frames()):
        assert frames == [b"retry: 2000\n\n", frame("hello", b"1"), RESYNC]


def test_no_element_drops_the_last_of_several_news() -> None:
    """htmx's `throttle` forgets what comes within its time; the page's script gathers instead."""
    templates = [path for path in (BASE_DIR / "templates").rglob("*.html") if "throttle:" in path.read_text()]
    assert templates == []
