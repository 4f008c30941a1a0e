"""What a browser hears when it comes, and that the page's script hears all of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from eslbridge.store import StoreError, announce
from pbx import stream
from pbx.stream import RESYNC, Hub, Present, Rows, frame

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


@pytest.mark.usefixtures("redis_client")
def test_pages_hear_that_a_worker_is_gone_which_cannot_say_so_itself(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    monkeypatch.setattr(stream, "PULSE_SECONDS", 0.01)
    troubles = ["", "", "The worker is not running."]

    async def heard() -> list[bytes]:
        hub = Hub({}, lambda: troubles.pop(0) if len(troubles) > 1 else troubles[0])
        browser = hub.watch()
        frames = []
        while frames[-1:] != [frame("news", b"switch")]:
            frames.append(await asyncio.wait_for(anext(browser), 5))
        await browser.aclose()
        return frames

    assert asyncio.run(heard()).count(frame("news", b"switch")) == 1


@pytest.mark.usefixtures("redis_client")
def test_pages_are_told_of_a_redis_that_falls_silent_and_of_its_return(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    """Its connections stay, so that the subscription hears nothing of it."""
    monkeypatch.setattr(stream, "PULSE_SECONDS", 0.01)
    states = [False, False, True, True, False]
    monkeypatch.setattr(stream, "_is_silent", lambda: states.pop(0) if len(states) > 1 else states[0])

    async def heard() -> list[bytes]:
        browser = Hub({}).watch()
        frames = []
        while frames.count(RESYNC) < 4:  # to begin with, Redis is heard, silent, and back
            frames.append(await asyncio.wait_for(anext(browser), 5))
        await browser.aclose()
        return frames

    asyncio.run(heard())


def test_pages_are_told_once_that_redis_is_away(settings: Any, transactional_db: None) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    async def heard() -> list[bytes]:
        browser = Hub({}).watch()
        frames = [await asyncio.wait_for(anext(browser), 5) for _ in range(4)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(browser), 1.5)
        return frames

    assert asyncio.run(heard())[2:] == [RESYNC, RESYNC]


@pytest.mark.usefixtures("redis_client", "transactional_db")
def test_news_of_one_topic_do_not_wait_for_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dial's step comes right behind its call's, which was just told."""
    monkeypatch.setattr(stream, "GATHER_SECONDS", 30.0)

    async def heard() -> list[bytes]:
        browser = Hub({}).watch()
        frames = []
        while frames.count(RESYNC) < 2:  # the second says that Redis is heard
            frames.append(await asyncio.wait_for(anext(browser), 5))
        announce("calls")
        told = [await asyncio.wait_for(anext(browser), 5)]
        announce("calls")  # so soon again: this one is gathered
        announce("dials")
        told.append(await asyncio.wait_for(anext(browser), 5))
        await browser.aclose()
        return told

    assert asyncio.run(heard()) == [frame("news", b"calls"), frame("news", b"dials")]


def test_only_what_news_name_is_read_again_and_after_a_failure_everything() -> None:
    asked: list[list[str] | None] = []

    def render(told: list[str] | None) -> Present:
        asked.append(told)
        if told == ["broken"]:
            raise StoreError
        return {"a": ("1", lambda: "<a>")} if told is None else {"b": ("2", lambda: "<b>"), "a": None}

    rows = Rows(render)
    assert rows.difference(["b"]) == b'{"changed":{"a":"<a>"},"gone":[]}'  # nothing is known yet
    assert rows.difference(["b"]) == b'{"changed":{"b":"<b>"},"gone":["a"]}'
    assert rows.difference(["b"]) is None
    with pytest.raises(StoreError):
        rows.difference(["broken"])
    assert rows.difference(["b"]) == b'{"changed":{"a":"<a>"},"gone":["b"]}'
    assert asked == [None, ["b"], ["b"], ["broken"], None]


def test_no_element_drops_the_last_of_several_news() -> None:
    """htmx's `throttle` forgets what comes within its time; the page's script gathers instead."""
    templates = [path for path in (BASE_DIR / "templates").rglob("*.html") if "throttle:" in path.read_text()]
    assert templates == []
