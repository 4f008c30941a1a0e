"""Redis, for what is live: projections of the switch that can be rebuilt at any time, and their news."""

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")
log = logging.getLogger(__name__)

# Every browser's stream hears this channel; a message is the name of what changed ("calls", "agents"), and
# after a space perhaps which part of it.
NEWS = "patchbay:news"
# A page must not hang because Redis does: it says so instead.
_TIMEOUT_SECONDS = 2.0
# A Redis that did not answer in that time is asked again only after this: a page with five questions would
# wait for each, and the worker with each event.
_PAUSE_SECONDS = 1.0
# Nor must a form that is saved: whoever misses this news asks anyway.
_NEWS_TIMEOUT_SECONDS = 0.1

StoreError = redis.RedisError


class StoreIsEmpty(StoreError):
    """Redis has no projection of a connected switch: it was emptied, and will be filled again."""


class _Store(redis.Redis):
    """Refuses for a moment to wait once more for a Redis that did not answer."""

    _silent_until = 0.0  # monotonic

    def patiently(self, ask: Callable[[], T]) -> T:
        if time.monotonic() < self._silent_until:
            raise redis.TimeoutError("Redis did not answer a moment ago")
        try:
            return ask()
        except redis.TimeoutError:
            self._silent_until = time.monotonic() + _PAUSE_SECONDS
            raise

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return self.patiently(lambda: super(_Store, self).execute_command(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "_Pipeline":
        return _Pipeline(self, transaction)


class _Pipeline(redis.client.Pipeline):
    def __init__(self, of: _Store, transaction: bool) -> None:
        super().__init__(of.connection_pool, of.response_callbacks, transaction, None)
        self._of = of

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        return self._of.patiently(lambda: super(_Pipeline, self).execute(raise_on_error))


@lru_cache(maxsize=8)
def _client(kind: type[redis.Redis], url: str, timeout: float) -> redis.Redis:
    return kind.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=30,
        # Once more at once, for a connection that died unseen. The library itself waits seconds in between.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


def store() -> redis.Redis:
    """The shared, thread-safe client; str in, str out. Its calls raise StoreError."""
    return _client(_Store, settings.REDIS_URL, _TIMEOUT_SECONDS)


def known(read: Callable[[], T]) -> T | None:
    """What it returns, or None when Redis does not have it."""
    try:
        return read()
    except StoreError:
        return None


_is_deaf = False


def announce(*topics: str, detail: str = "") -> None:
    """Tell the open pages what changed, and with `detail` which part of it, in the words of those who render
    the topic; without it all of it may have. Without Redis they find out by asking: nothing is lost."""
    global _is_deaf  # noqa: PLW0603 - so that a day without Redis is one line in the log
    try:
        client = _client(redis.Redis, settings.REDIS_URL, _NEWS_TIMEOUT_SECONDS)
        pipeline = client.pipeline(transaction=False)
        for topic in topics:
            pipeline.publish(NEWS, f"{topic} {detail}" if detail else topic)
        pipeline.execute()
    except StoreError as problem:
        log.log(logging.DEBUG if _is_deaf else logging.WARNING, "Redis does not take news: %s", problem)
        _is_deaf = True
    else:
        _is_deaf = False
