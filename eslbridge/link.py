"""The Event Socket connection that a Celery worker holds for its switch, for as long as it runs.

Two threads of our own beside the client's: the *publisher* waits for PostgreSQL's notification that the
outbox has something and publishes it, over a second connection that is for this alone; the *pulse* says in
the table of switches that the worker lives, and compares now and then what was believed with what is. Tasks
of the same worker use `current().client`.
"""

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg
from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.dispatch import Signal
from django.utils import timezone

from eslbridge import health, signals
from eslbridge.client import Client, Connected, Disconnected
from eslbridge.models import BEAT_SECONDS, Switch
from eslbridge.protocol.batches import Fields
from eslbridge.protocol.errors import AuthenticationFailed, ESLError, Rejected
from eslbridge.protocol.events import Event
from eslbridge.publishing import history, outbox
from eslbridge.publishing.comparison import differences, queue_differences
from eslbridge.publishing.files import in_words
from eslbridge.publishing.line import Line
from eslbridge.publishing.publisher import Publisher
from eslbridge.store import StoreError, store
from eslbridge.text import printable

log = logging.getLogger(__name__)

REGISTRATIONS = ("sofia::register", "sofia::unregister", "sofia::expire", "sofia::register_failure")
GATEWAYS = ("sofia::gateway_add", "sofia::gateway_state", "sofia::gateway_delete")
# An event of our own, by way of the switch: it reaches the dispatcher's thread in order with all others.
TAKE_STOCK = "patchbay::take_stock"
SUBSCRIPTIONS = (
    *("CHANNEL_CREATE", "CHANNEL_CALLSTATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER"),
    *("CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_HOLD", "CHANNEL_UNHOLD", "CHANNEL_UUID", "CALL_UPDATE"),
    *("CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY", "RECORD_START", "RECORD_STOP"),
    *("CHANNEL_PARK", "CHANNEL_UNPARK", "MEDIA_BUG_START"),
    *("HEARTBEAT", "SHUTDOWN", "BACKGROUND_JOB"),
    *REGISTRATIONS,
    *GATEWAYS,
    TAKE_STOCK,
)
# How the names of events begin that tell of calls.
CALLS = ("CHANNEL_", "CALL_", "RECORD_", "MEDIA_BUG_", "BACKGROUND_")
KIND = Fields("Event-Name", "Event-Subclass")
# The whole database against the directory, by hashes.
COMPARE_SECONDS = 60
# What is live against the switch's own lists; done with the next HEARTBEAT (every 20 s) after this.
STOCK_SECONDS = 15
# So often Redis is asked whether it still has what was put there.
STORE_WATCH_SECONDS = 1.0
# What the link finds out about its switch, and so stores.
KNOWN_BY_THE_LINK = ("domain", "version", "up_since", "link", "reason", "link_since", "shares_line_because")
# Without a notification (PostgreSQL restarted, a pooler that drops NOTIFY) the outbox is read this often.
POLL_SECONDS = 1.0
# Seconds before a thread that met a fault goes on, doubling.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
# What a stopping worker gives each of its threads to finish.
STOP_SECONDS = 5.0

_current: "Link | None" = None


class LinkIsDown(Exception):
    """There is no connection to the switch; the text says why."""


def _stock_key(switch_name: str) -> str:
    return f"patchbay:stock:{switch_name}"


def current() -> "Link":
    """The link of this worker process; raises LinkIsDown outside of one."""
    if _current is None:
        raise LinkIsDown("This process holds no connection to a switch.")
    return _current


def own_switch() -> Switch:
    """The row of the switch that this process's environment names, made when it is new."""
    switch, _ = Switch.objects.update_or_create(
        name=settings.SWITCH_NAME,
        defaults={
            "host": settings.FS_HOST,
            "esl_port": settings.FS_ESL_PORT,
            "conf_dir": settings.FS_CONF_DIR,
        },
    )
    return switch


class Link:
    """Holds one switch's connection. `start` returns at once; `stop` waits for its threads."""

    def __init__(self) -> None:
        self.conf_dir = Path(settings.FS_CONF_DIR)
        self.switch: Switch | None = None
        self._stopping = threading.Event()
        self._compare_now = threading.Event()
        self._storing = threading.Lock()
        self._ready = threading.Event()  # connected, and it is known to which switch
        self._trouble = "The switch does not answer."
        self._said: dict[str, str] = {}
        self._has_stored = False
        self._stock_taken = time.monotonic()
        self.client = Client(
            settings.FS_HOST,
            settings.FS_ESL_PORT,
            settings.FS_ESL_PASSWORD,
            subscriptions=SUBSCRIPTIONS,
            on_events=self._events,
            on_state=self._state,
        )
        self._line = Line(self.client, self._line_changed)
        self._publisher, self._pulse = (
            threading.Thread(target=self._keep, args=(body,), name=name, daemon=True)
            for name, body in (("publisher", self._publish_for_ever), ("pulse", self._pulse_for_ever))
        )

    def start(self) -> None:
        self._publisher.start()
        self._pulse.start()

    def stop(self) -> None:
        """A batch that is on its way may arrive first, if that does not take long."""
        self._stopping.set()
        self._line.end()
        self._compare_now.set()
        self._wake_the_publisher()
        self._publisher.join(STOP_SECONDS)
        self.client.close()
        self._line.hang_up()
        for thread in (self._publisher, self._pulse):
            thread.join(STOP_SECONDS)
        self._take_leave()

    def wait_until_ready(self, timeout: float = 10.0) -> None:
        """Return when the switch is connected; raises LinkIsDown with the reason after `timeout` seconds."""
        if not self._ready.wait(timeout):
            raise LinkIsDown(self._trouble)

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and self.client.is_connected

    def row(self) -> Switch:
        """The switch as this link knows it; raises LinkIsDown before it is announced."""
        if self.switch is None:
            raise LinkIsDown("The switch is not announced yet.")
        return self.switch

    # --- threads ------------------------------------------------------------------------------------

    def _keep(self, body: Callable[[], None]) -> None:
        """Run a thread's body again after a fault: PostgreSQL or the disk may come back."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                body()
            except (DatabaseError, InterfaceError, psycopg.Error) as problem:
                self._complain("PostgreSQL", _in_words(problem))
            except Exception:
                log.exception("The %s stopped; it starts again.", threading.current_thread().name)
            finally:
                connection.close()
            pause = FIRST_PAUSE if time.monotonic() - started > LONGEST_PAUSE else pause
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _pulse_for_ever(self) -> None:
        if self.switch is None:
            self.switch = own_switch()
            self.switch.link, self.switch.reason = Switch.Link.CONNECTING, ""
            self.switch.shares_line_because = ""
        self.client.start()
        compared = time.monotonic()
        while not self._stopping.is_set():
            self._store()
            asked = self._wait_a_beat()
            if self._stopping.is_set():
                return
            if asked or time.monotonic() - compared > COMPARE_SECONDS:
                self._compare_now.clear()
                compared = time.monotonic()
                self.compare()

    def _wait_a_beat(self) -> bool:
        """True when somebody asks for a comparison meanwhile."""
        until = time.monotonic() + BEAT_SECONDS
        while time.monotonic() < until:
            if self._compare_now.wait(STORE_WATCH_SECONDS):
                return True
            self._watch_the_store()
        return False

    def _watch_the_store(self) -> None:
        """A Redis that came back empty gets everything again at once, not with the next heartbeat."""
        if not self.is_ready:
            return
        try:
            if not store().exists(_stock_key(self.row().name)):
                self.client.sendevent("CUSTOM", {"Event-Subclass": TAKE_STOCK, "Patchbay-Worker": _worker()})
            self._all_is_well("Redis")
        except (StoreError, ESLError, LinkIsDown) as problem:
            log.debug("Redis is not watched: %s", problem)

    def _store(self) -> None:
        """Say that the worker lives, and all that the link knows: what could not be stored once comes with
        the next beat. The time is PostgreSQL's, so that nobody is taken for gone whose clock is wrong."""
        with self._storing:
            switch = self.row()
            known = {name: getattr(switch, name) for name in KNOWN_BY_THE_LINK}
            mine = Switch.objects.filter(pk=switch.pk)
            self._notice_another(mine)
            if not mine.update(**known, seen_at=Now(), worker=_worker()):
                # Somebody deleted it while its worker runs: then it is announced as a new one.
                self.switch = own_switch()
                Switch.objects.filter(pk=self.switch.pk).update(**known, seen_at=Now(), worker=_worker())
                self.switch.refresh_from_db()
                self._compare_now.set()
        self._all_is_well("PostgreSQL")

    def _notice_another(self, row: QuerySet[Switch]) -> None:
        """Two workers of one switch do no harm, but twice the work; each says so in its log."""
        recently = Now() - timedelta(seconds=2 * BEAT_SECONDS)
        others = row.filter(seen_at__gte=recently).exclude(worker__in=["", _worker()])
        if self._has_stored and (other := others.values_list("worker", flat=True).first()):
            self._say("other worker", f"Another worker serves {self.row()} too: {other}. One is enough.")
        self._has_stored = True

    def _wake_the_publisher(self) -> None:
        with suppress(DatabaseError, InterfaceError):  # then it ends with its next look
            outbox.wake()

    def _take_leave(self) -> None:
        """The pages need not wait for three beats that do not come."""
        switch = self.switch
        try:
            if switch and Switch.objects.filter(pk=switch.pk, worker=_worker()).update(seen_at=None):
                self._tell(signals.link_down, switch=switch, reason="The worker of this switch was stopped.")
        except (DatabaseError, InterfaceError) as problem:
            self._complain("PostgreSQL", _in_words(problem))

    def reload(self) -> None:
        """One reload for its own sake, kept among the reloads with the switch's words."""
        self.publisher().reload()

    def publisher(self) -> Publisher:
        """One for now, with a connection of its own if it can be had."""
        return Publisher(self.row(), self._line.client(), self.conf_dir)

    def _line_changed(self, trouble: str) -> None:
        self.row().shares_line_because = printable(trouble)  # stored with the next beat
        if trouble:
            self._say("second connection", f"The switch takes no second connection: {trouble}")
        else:
            self._all_is_well("second connection")

    def compare(self) -> None:
        """Compare the database with the directory, queue what differs, and keep how much it was."""
        if not self.is_ready:
            return
        switch = self.row()
        try:
            found = differences(switch, self.conf_dir)
        except OSError as problem:
            self._complain("directory", in_words(problem))
            return
        self._all_is_well("directory")
        queue_differences(switch, found)
        Switch.objects.filter(pk=switch.pk).update(compared_at=Now(), differences=len(found))
        history.forget_old()

    def _publish_for_ever(self) -> None:
        with psycopg.connect(**_connection_parameters(), autocommit=True) as listener:
            listener.execute(f"LISTEN {outbox.CHANNEL}")
            while not self._stopping.is_set():
                pause = POLL_SECONDS
                if self.is_ready and self.publisher().publish().waiting:
                    pause = outbox.AWAIT.total_seconds()
                for _ in listener.notifies(timeout=pause, stop_after=1):
                    pass

    # --- called by the client's dispatcher thread -----------------------------------------------------

    def _state(self, state: Connected | Disconnected) -> None:
        try:
            if isinstance(state, Connected):
                self._connected()
            else:
                self._disconnected(state.error)
        except (DatabaseError, InterfaceError) as problem:
            self._complain("PostgreSQL", _in_words(problem))
        except ESLError as lost:
            log.info("Lost again while taking stock: %s", lost)
        finally:
            connection.close()

    def _connected(self) -> None:
        switch, client = self.row(), self.client
        switch.domain = settings.FS_DOMAIN or client.api("global_getvar", "domain")
        switch.version = short_version(client.api("version"))
        switch.up_since = timezone.now() - timedelta(seconds=int(client.api("uptime") or 0))
        switch.link, switch.reason, switch.link_since = Switch.Link.CONNECTED, "", timezone.now()
        self._line.allow()
        self._ready.set()
        self._say(
            "link",
            f"Connected to FreeSWITCH {switch.version} at {switch.host}:{switch.esl_port}",
            logging.INFO,
        )
        try:
            self._store()
            outbox.retry(self.row().pending.all())  # what it refused or lost before is worth another try
        finally:
            self._tell(signals.link_up, switch=switch, client=client)
            self._mark_the_store(switch)
            self._compare_now.set()

    def _disconnected(self, error: ESLError) -> None:
        switch = self.row()
        self._ready.clear()
        self._line.hang_up()  # whose end may not have been noticed yet
        refused = isinstance(error, (AuthenticationFailed, Rejected))
        link = Switch.Link.REFUSED if isinstance(error, AuthenticationFailed) else Switch.Link.LOST
        what = "Refused by" if refused else "No connection to"
        self._trouble = f"{what} {switch.host}:{switch.esl_port}: {error}"
        self._say("link", f"{self._trouble}; trying on")
        if (switch.link, switch.reason) != (link, printable(str(error))):
            switch.link, switch.reason, switch.link_since = link, printable(str(error)), timezone.now()
            try:
                self._store()
            finally:
                self._tell(signals.link_down, switch=switch, reason=self._trouble)

    def _events(self, events: Sequence[Event]) -> None:
        try:
            self._sort(self.row(), events)
        finally:
            connection.close()

    def _sort(self, switch: Switch, events: Sequence[Event]) -> None:
        kinds = zip(events, KIND.read(events), strict=True)
        named = [(name or "", subclass, event) for event, (name, subclass) in kinds]
        for heartbeat in (event for name, _, event in named if name == "HEARTBEAT"):
            self._heartbeat(switch, heartbeat)
        if any(subclass == TAKE_STOCK for _, subclass, _ in named):
            self._take_stock(switch, at_once=True)
        channels = [event for name, _, event in named if name.startswith(CALLS)]
        registrations = [event for _, subclass, event in named if subclass in REGISTRATIONS]
        gateways = [event for _, subclass, event in named if subclass in GATEWAYS]
        if registrations:
            self._tell(signals.registration_events, switch=switch, client=self.client, events=registrations)
        if gateways:
            self._tell(signals.gateway_events, switch=switch, client=self.client, events=gateways)
        if channels:
            self._tell(signals.channel_events, switch=switch, events=channels)

    def _heartbeat(self, switch: Switch, heartbeat: Event) -> None:
        try:
            health.note(switch.name, heartbeat)
        except StoreError as problem:
            self._complain("Redis", f"A heartbeat was not kept: {problem}")
        except ValueError as problem:
            log.info("A heartbeat was not kept: %s", problem)
        self._take_stock(switch)

    def _take_stock(self, switch: Switch, *, at_once: bool = False) -> None:
        """Here, on the dispatcher's thread, the switch's answer and its events cannot overtake each other."""
        if at_once or time.monotonic() - self._stock_taken > STOCK_SECONDS:
            self._stock_taken = time.monotonic()
            self._tell(signals.compare, switch=switch, client=self.client)
            self._mark_the_store(switch)

    def _mark_the_store(self, switch: Switch) -> None:
        try:
            store().set(_stock_key(switch.name), _worker())
        except StoreError as problem:
            self._complain("Redis", f"Redis does not answer: {problem}")

    def _tell(self, signal: Signal, **arguments: object) -> None:
        """A receiver's defect is logged by Django; that something is away is said once, and not by each."""
        for receiver, result in signal.send_robust(sender=Link, **arguments):
            if isinstance(result, (OperationalError, InterfaceError)):
                self._complain("PostgreSQL", _in_words(result))
            elif isinstance(result, StoreError):
                self._complain("Redis", f"Redis does not answer: {result}")
            elif isinstance(result, ESLError):
                log.info("%s: the switch was lost: %s", receiver.__qualname__, result)

    def _say(self, about: str, text: str, level: int = logging.WARNING) -> None:
        """Log what changed, once: a switch that is away for a day must not fill the disk."""
        if text != self._said.get(about):
            self._said[about] = text
            log.log(level, text)

    def _complain(self, about: str, text: str) -> None:
        """Log that something is away, once until it is back: each of those who miss it has other words."""
        if about not in self._said:
            self._say(about, text)

    def _all_is_well(self, about: str) -> None:
        if self._said.pop(about, ""):
            log.info("%s: all is well again", about)


def _is_a_defect(record: logging.LogRecord) -> bool:
    """False for what Link._tell says, once: in an outage every receiver fails with every event."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (OperationalError, InterfaceError, StoreError, ESLError))


logging.getLogger("django.dispatch").addFilter(_is_a_defect)


def _in_words(problem: Exception) -> str:
    first = next(iter(str(problem).splitlines()), "") or type(problem).__name__
    if isinstance(problem, (OperationalError, InterfaceError, psycopg.OperationalError)):
        return f"PostgreSQL does not answer: {first}"
    return f"PostgreSQL refused something: {first}"


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _connection_parameters() -> dict[str, object]:
    parameters = dict(connection.get_connection_params())
    return {
        name: value
        for name, value in parameters.items()
        if name not in {"context", "cursor_factory", "prepare_threshold", "pool"}
    }


def short_version(answer: str) -> str:
    """“1.10.12” out of the switch's long answer to `version`."""
    words: Iterable[str] = answer.split()
    number = next((word for word in words if word[:1].isdigit()), answer)
    return re.split(r"[+~]", number)[0][:120]


class LinkStep(bootsteps.StartStopStep):
    """Holds the link for as long as the Celery worker runs."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, parent: object, **_: object) -> None:
        self.link: Link | None = None

    def start(self, parent: object) -> None:
        global _current  # noqa: PLW0603 - one link a process, made when the worker starts
        if not settings.FS_HOST:
            log.warning("FS_HOST is not set: this worker holds no connection to a switch.")
            return
        _current = self.link = Link()
        self.link.start()

    def stop(self, parent: object) -> None:
        if self.link is not None:
            self.link.stop()

    terminate = stop
