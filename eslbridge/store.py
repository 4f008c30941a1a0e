"""Redis, for what is live: projections of the switch that can be rebuilt at any time, and their news."""

import logging
from functools import lru_cache

import redis
from django.conf import settings

log = logging.getLogger(__name__)

# Every browser's stream hears this channel; a message is the name of what changed ("calls", "agents").
NEWS = "patchbay:news"
# A page must not hang because Redis does: it says so instead.
_TIMEOUT_SECONDS = 2.0

StoreError = redis.RedisError


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        health_check_interval=30,
    )


def store() -> redis.Redis:
    """The shared, thread-safe client; str in, str out. Its calls raise StoreError."""
    return _client(settings.REDIS_URL)


def announce(*topics: str) -> None:
    """Tell the open pages what changed. Without Redis they find out by asking: nothing is lost."""
    try:
        pipeline = store().pipeline(transaction=False)
        for topic in topics:
            pipeline.publish(NEWS, topic)
        pipeline.execute()
    except StoreError as problem:
        log.info("Redis does not take news: %s", problem)
