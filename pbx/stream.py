"""What open pages hear: one stream a browser, one Redis subscription a process, each change rendered once.

The link's worker publishes the names of what changed. The hub of this process gathers them for a moment,
renders the rows that are not as they were, and hands the same bytes to every browser. What needs no row of
its own ("dials", "changes", …) goes out as its name, and the page asks for it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from redis.asyncio.client import PubSub

from eslbridge.store import NEWS, StoreError, store

log = logging.getLogger(__name__)

# News that follow what was sent of their topic sooner than this are gathered: twenty changes a second are all
# an eye sees. News of one topic do not wait for another's: a dial's step comes right behind its call's.
GATHER_SECONDS = 0.05
# A word now and then keeps proxies from closing a silent stream, and finds browsers that are gone.
KEEP_ALIVE_SECONDS = 15
# Frames that wait for a browser that does not read; beyond that it is told to fetch the present instead.
MOST_WAITING = 100
RETRY_SECONDS = 1.0
# So often it is looked whether a worker or switch is gone: who was killed cannot say so.
PULSE_SECONDS = 5.0

# What a topic consists of by the id of its element: what it is (to compare), and how to render it (only when
# it differs); None for what is gone. Called in a thread, not twice at once; may use the database and Redis.
# Its argument are the details of the news that came, and it may leave out what they do not touch; with None
# all of the topic is asked for.
Present = Mapping[str, tuple[object, Callable[[], str]] | None]
Renderer = Callable[[list[str] | None], Present]


def frame(event: str, data: bytes) -> bytes:
    """One Server-Sent Event; `data` has no line ends (JSON or a word)."""
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


RESYNC = frame("news", b"resync")
# A comment for the proxies, and what a page's script can hear.
BEAT = b": still here\n" + frame("beat", b"1")
_NAME = b"event: news\n"


@dataclass
class Rows:
    """What was last sent of one topic, to send only differences."""

    render: Renderer
    known: dict[str, object] = field(default_factory=dict)
    is_whole: bool = False  # nothing was missed, so that a part is enough

    def difference(self, details: list[str] | None) -> bytes | None:
        """{"changed": {id: html}, "gone": [id]} as JSON, or None when nothing is different."""
        details, self.is_whole = details if self.is_whole else None, False
        now = self.render(details)
        changed, gone = {}, [key for key, part in now.items() if part is None and key in self.known]
        for key, (what, html) in ((key, part) for key, part in now.items() if part):
            if self.known.get(key) != what:
                changed[key] = html()
                self.known[key] = what
        if details is None:
            gone += self.known.keys() - now.keys()
        for key in gone:
            del self.known[key]
        self.is_whole = True
        return orjson.dumps({"changed": changed, "gone": gone}) if changed or gone else None


class Hub:
    """The one subscription of this process and the queues of its browsers. Runs while somebody watches."""

    def __init__(self, renderers: dict[str, Renderer], pulse: Callable[[], object] = lambda: None) -> None:
        """`pulse` returns what is wrong with the switches; when that changes the pages hear “switch”."""
        self.topics = {topic: Rows(render) for topic, render in renderers.items()}
        self._pulse = pulse
        self.browsers: set[asyncio.Queue[bytes]] = set()
        self._task: asyncio.Task[None] | None = None
        self._told_at: dict[str, float] = {}  # by topic

    async def watch(self, *, names_only: bool = False) -> AsyncIterator[bytes]:
        """Frames for one browser, for ever; the first tells it to fetch the present.

        `names_only` leaves the rows out: that browser hears only what changed.
        """
        queue: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
        self.browsers.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield b"retry: 2000\n\n"
            yield frame("hello", b"1")
            yield RESYNC  # what changed after the page was rendered and before this browser was heard of
            while True:
                try:
                    data = await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
                    if not names_only or data.startswith(_NAME):
                        yield data
                except TimeoutError:
                    yield BEAT
        finally:
            self.browsers.discard(queue)

    def _send(self, data: bytes) -> None:
        for queue in self.browsers:
            if queue.full():  # it was away: it gets the present, not a replay
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(RESYNC)
            else:
                queue.put_nowait(data)

    async def _run(self) -> None:
        pulse = asyncio.create_task(self._feel_the_pulse())
        was_heard = True
        try:
            while self.browsers:
                try:
                    await self._follow()
                    was_heard = True
                except (redis.RedisError, OSError) as problem:
                    if was_heard:  # the pages find out what is not known now
                        log.info("No news from Redis: %s", problem)
                        self._send(RESYNC)
                    was_heard = False
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            pulse.cancel()

    async def _feel_the_pulse(self) -> None:
        before = was_silent = None
        in_thread = sync_to_async(_in_thread, thread_sensitive=False)
        while True:
            is_silent = await in_thread(_is_silent)
            if was_silent not in (None, is_silent):
                self._send(RESYNC)
            was_silent = is_silent
            try:
                now = await in_thread(self._pulse)
            except DatabaseError as problem:
                now = str(problem)
            if before not in (None, now):
                self._send(frame("news", b"switch"))
            before = now
            await asyncio.sleep(PULSE_SECONDS)

    async def _follow(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as subscription:
                await subscription.subscribe(NEWS)
                await self._tell(dict.fromkeys(self.topics), first=True)
                self._send(RESYNC)  # whatever came before the subscription
                waiting: dict[str, list[str] | None] = {}
                while self.browsers:
                    await self._hear(subscription, waiting)
                    if due := {topic: waiting[topic] for topic in waiting if self._due_in(topic) <= 0}:
                        await self._tell(due)
                        self._told_at |= dict.fromkeys(due, time.monotonic())
                        for topic in due:
                            del waiting[topic]
        finally:
            await client.aclose()

    async def _hear(self, subscription: PubSub, waiting: dict[str, list[str] | None]) -> None:
        """Adds what comes until some of what waits is due: the details of the news by topic, None when one of
        them had none."""
        patience = min(map(self._due_in, waiting), default=KEEP_ALIVE_SECONDS)
        message = await subscription.get_message(timeout=max(0.0, patience))
        while message:
            _add(waiting, message)
            message = await subscription.get_message(timeout=0)

    def _due_in(self, topic: str) -> float:
        """Seconds until the next news of it may go out; not more than 0: now."""
        return self._told_at.get(topic, 0.0) + GATHER_SECONDS - time.monotonic()

    async def _tell(self, topics: dict[str, list[str] | None], *, first: bool = False) -> None:
        for topic, details in sorted(topics.items()):
            rows = self.topics.get(topic)
            try:
                render = sync_to_async(_in_thread, thread_sensitive=False)
                data = await render(rows.difference, details) if rows else None
            except (DatabaseError, StoreError) as problem:
                log.info("%s could not be rendered: %s", topic, problem)
                self._send(RESYNC)
                continue
            if first:
                continue
            if data:
                self._send(frame(topic, data))
            if not rows or data:
                self._send(frame("news", topic.encode()))


def _add(topics: dict[str, list[str] | None], message: dict[str, bytes]) -> None:
    topic, _, detail = message["data"].decode().partition(" ")
    known = topics.setdefault(topic, [])
    topics[topic] = [*known, detail] if detail and known is not None else None


def _is_silent() -> bool:
    """Whether Redis keeps its connections and does not answer: no news come then, and no error."""
    try:
        store().ping()
    except redis.TimeoutError:
        return True
    except StoreError:
        pass
    return False


def _in_thread(read: Callable[..., Any], *arguments: object) -> Any:
    close_old_connections()
    try:
        return read(*arguments)
    finally:
        close_old_connections()  # this thread must not keep a connection of the pool
