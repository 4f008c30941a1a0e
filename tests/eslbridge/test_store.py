"""Redis when it is not there: nobody waits long, and nothing is lost."""

import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from eslbridge import store as module
from eslbridge.store import NEWS, StoreError, announce, store


@pytest.fixture
def unanswering() -> Iterator[int]:
    """A port where connections are made, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_news_reach_who_listens(redis_client: Any) -> None:
    with redis_client.pubsub(ignore_subscribe_messages=True) as pages:
        pages.subscribe(NEWS)
        pages.get_message(timeout=5)
        announce("calls", "agents")
        heard = [pages.get_message(timeout=5)["data"] for _ in range(2)]
    assert heard == [b"calls", b"agents"]


def test_a_connection_that_died_unseen_is_made_again(redis_client: Any) -> None:
    store().set("key", "value")
    redis_client.client_kill_filter(_type="normal", skipme=True)
    assert store().get("key") == "value"


def test_a_redis_that_refuses_is_told_at_once(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    started = time.monotonic()
    with pytest.raises(StoreError):
        store().get("key")
    assert time.monotonic() - started < 0.2


def test_a_silent_redis_does_not_hold_up_a_page_for_long(settings: Any, unanswering: int) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{unanswering}/0"
    started = time.monotonic()
    with pytest.raises(StoreError):
        store().get("key")
    assert time.monotonic() - started < 3


def test_a_silent_redis_is_not_waited_for_again_and_again(
    settings: Any, unanswering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{unanswering}/1"
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 5.0)
    with pytest.raises(StoreError, match=r"(?i)timeout"):
        store().get("key")
    started = time.monotonic()
    for _ in range(10):
        with pytest.raises(StoreError, match="a moment ago"):
            store().get("key")
        with pytest.raises(StoreError, match="a moment ago"):
            store().pipeline().get("key").execute()
    assert time.monotonic() - started < 0.3
    monkeypatch.setattr(store(), "_silent_until", 0.0)
    with pytest.raises(StoreError, match=r"(?i)timeout"):
        store().pipeline().get("key").execute()


def test_a_pipeline_gives_its_answers(redis_client: Any) -> None:
    pipeline = store().pipeline()
    pipeline.set("key", "value")
    pipeline.get("key")
    assert pipeline.execute() == [True, "value"]


def test_a_silent_redis_does_not_hold_up_a_save(settings: Any, unanswering: int) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{unanswering}/0"
    started = time.monotonic()
    announce("changes")
    assert time.monotonic() - started < 0.3


def test_a_day_without_redis_is_one_line_in_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture, redis_client: Any
) -> None:
    caplog.set_level(logging.INFO, "eslbridge.store")
    working = settings.REDIS_URL
    announce("changes")
    for _ in range(2):
        settings.REDIS_URL = "unix:///nowhere/redis.sock"
        for _ in range(3):
            announce("changes")
        settings.REDIS_URL = working
        announce("changes")
    assert len([record for record in caplog.records if "does not take news" in record.message]) == 2
