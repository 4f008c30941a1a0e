"""The Event Socket connection that a Celery worker holds for its switch, for as long as it runs.

Two threads of our own beside the client's: the *publisher* waits for PostgreSQL's notification that the
outbox has something and publishes it; the *pulse* says in the table of switches that the worker lives,
and compares now and then what was believed with what is. Tasks of the same worker use `current().client`.
"""

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import psycopg
from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from eslbridge import health, signals
from eslbridge.client import Client, Connected, Disconnected
from eslbridge.models import BEAT_SECONDS, Switch
from eslbridge.protocol.errors import AuthenticationFailed, ESLError, Rejected
from eslbridge.protocol.events import Event
from eslbridge.publishing import history, outbox
from eslbridge.publishing.publisher import Publisher, differences, in_words, queue_differences
from eslbridge.store import StoreError

log = logging.getLogger(__name__)

REGISTRATIONS = ("sofia::register", "sofia::unregister", "sofia::expire", "sofia::register_failure")
GATEWAYS = ("sofia::gateway_add", "sofia::gateway_state", "sofia::gateway_delete")
SUBSCRIPTIONS = (
    *("CHANNEL_CREATE", "CHANNEL_CALLSTATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER"),
    *("CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_HOLD", "CHANNEL_UNHOLD", "CHANNEL_UUID", "CALL_UPDATE"),
    *("CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY", "HEARTBEAT", "SHUTDOWN", "BACKGROUND_JOB"),
    *REGISTRATIONS,
    *GATEWAYS,
)
# The whole database against the directory, by hashes.
COMPARE_SECONDS = 60
# What is live against the switch's own lists; done with the next HEARTBEAT (every 20 s) after this.
STOCK_SECONDS = 15
# Without a notification (PostgreSQL restarted, a pooler that drops NOTIFY) the outbox is read this often.
POLL_SECONDS = 1.0

_current: "Link | None" = None


class LinkIsDown(Exception):
    """There is no connection to the switch; the text says why."""


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
        self._wake = threading.Event()
        self._compare_now = threading.Event()
        self._said = ""
        self._stock_taken = time.monotonic()
        self.client = Client(
            settings.FS_HOST,
            settings.FS_ESL_PORT,
            settings.FS_ESL_PASSWORD,
            subscriptions=SUBSCRIPTIONS,
            on_events=self._events,
            on_state=self._state,
        )
        self._threads = [
            threading.Thread(target=self._keep, args=(body,), name=name, daemon=True)
            for name, body in (("publisher", self._publish_for_ever), ("pulse", self._pulse_for_ever))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self.client.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def wait_until_ready(self, timeout: float = 10.0) -> None:
        """Return when the switch is connected; raises LinkIsDown with the reason after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.client.is_connected:
            if time.monotonic() > deadline:
                raise LinkIsDown(self._said or "The switch does not answer.")
            time.sleep(0.02)

    # --- threads ------------------------------------------------------------------------------------

    def _keep(self, body: Callable[[], None]) -> None:
        """Run a thread's body again after a fault: PostgreSQL or the disk may come back."""
        pause = 0.5
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                body()
            except (DatabaseError, InterfaceError, psycopg.Error) as problem:
                self._say(f"PostgreSQL does not answer: {str(problem).splitlines()[0]}")
            except Exception:
                log.exception("The %s stopped; it starts again.", threading.current_thread().name)
            finally:
                connection.close()
            pause = 0.5 if time.monotonic() - started > 60 else min(pause * 2, 10)
            self._stopping.wait(pause)

    def _pulse_for_ever(self) -> None:
        self.switch = own_switch()
        self.client.start()
        compared = time.monotonic()
        while not self._stopping.is_set():
            self._beat()
            if self._compare_now.wait(BEAT_SECONDS) or time.monotonic() - compared > COMPARE_SECONDS:
                self._compare_now.clear()
                compared = time.monotonic()
                self.compare()

    def _beat(self) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}"
        Switch.objects.filter(pk=self.row().pk).update(seen_at=timezone.now(), worker=worker)

    def reload(self) -> None:
        """One reload for its own sake, kept among the reloads with the switch's words."""
        Publisher(self.row(), self.client, self.conf_dir).reload()

    def compare(self) -> None:
        """Compare the database with the directory, queue what differs, and keep how much it was."""
        if not self.client.is_connected:
            return
        switch = self.row()
        try:
            found = differences(switch, self.conf_dir)
        except OSError as problem:
            self._say(in_words(problem))
            return
        queue_differences(switch, found)
        history.forget_old()
        Switch.objects.filter(pk=switch.pk).update(compared_at=timezone.now(), differences=len(found))

    def _publish_for_ever(self) -> None:
        with psycopg.connect(**_connection_parameters(), autocommit=True) as listener:
            listener.execute(f"LISTEN {outbox.CHANNEL}")
            while not self._stopping.is_set():
                if self.switch is not None and self.client.is_connected:
                    Publisher(self.row(), self.client, self.conf_dir).publish()
                for _ in listener.notifies(timeout=POLL_SECONDS, stop_after=1):
                    pass

    def row(self) -> Switch:
        if self.switch is None:
            raise LinkIsDown("The switch is not announced yet.")
        return self.switch

    # --- called by the client's dispatcher thread -----------------------------------------------------

    def _state(self, state: Connected | Disconnected) -> None:
        close_old_connections()
        try:
            if isinstance(state, Connected):
                self._connected()
            else:
                self._disconnected(state.error)
        except (DatabaseError, InterfaceError):
            log.exception("The state of the link could not be stored")
        except ESLError as lost:
            log.info("Lost again while taking stock: %s", lost)

    def _connected(self) -> None:
        switch = self.row()
        client = self.client
        switch.domain = settings.FS_DOMAIN or client.api("global_getvar", "domain")
        switch.version = short_version(client.api("version"))
        switch.up_since = timezone.now() - timedelta(seconds=int(client.api("uptime") or 0))
        switch.link, switch.reason, switch.link_since = Switch.Link.CONNECTED, "", timezone.now()
        switch.save(update_fields=["domain", "version", "up_since", "link", "reason", "link_since"])
        self._say(
            f"Connected to FreeSWITCH {switch.version} at {switch.host}:{switch.esl_port}", logging.INFO
        )
        _tell(signals.link_up, switch=switch, client=client)
        self._compare_now.set()

    def _disconnected(self, error: ESLError) -> None:
        switch = self.row()
        refused = isinstance(error, (AuthenticationFailed, Rejected))
        link = Switch.Link.REFUSED if isinstance(error, AuthenticationFailed) else Switch.Link.LOST
        what = "Refused by" if refused else "No connection to"
        self._say(f"{what} {switch.host}:{switch.esl_port}: {error}; trying on")
        if (switch.link, switch.reason) != (link, str(error)):
            switch.link, switch.reason, switch.link_since = link, str(error), timezone.now()
            switch.save(update_fields=["link", "reason", "link_since"])
            _tell(signals.link_down, switch=switch, reason=switch.trouble or str(error))

    def _events(self, events: list[Event]) -> None:
        close_old_connections()
        switch = self.row()
        for heartbeat in (event for event in events if event.name == "HEARTBEAT"):
            self._heartbeat(switch, heartbeat)
        channels = [event for event in events if event.name.startswith(("CHANNEL_", "CALL_", "BACKGROUND_"))]
        registrations = [event for event in events if event.subclass in REGISTRATIONS]
        gateways = [event for event in events if event.subclass in GATEWAYS]
        if registrations:
            _tell(signals.registration_events, switch=switch, client=self.client, events=registrations)
        if gateways:
            _tell(signals.gateway_events, switch=switch, client=self.client, events=gateways)
        if channels:
            _tell(signals.channel_events, switch=switch, events=channels)

    def _heartbeat(self, switch: Switch, heartbeat: Event) -> None:
        try:
            health.note(switch.name, heartbeat)
        except (StoreError, ValueError) as problem:
            log.info("A heartbeat was not kept: %s", problem)
        self._take_stock(switch)

    def _take_stock(self, switch: Switch) -> None:
        """Here, on the dispatcher's thread, the switch's answer and its events cannot overtake each other."""
        if time.monotonic() - self._stock_taken > STOCK_SECONDS:
            self._stock_taken = time.monotonic()
            _tell(signals.compare, switch=switch, client=self.client)

    def _say(self, text: str, level: int = logging.WARNING) -> None:
        """Log what changed, once: a switch that is away for a day must not fill the disk."""
        if text != self._said:
            self._said = text
            log.log(level, text)


def _tell(signal, **arguments: object) -> None:
    for receiver, result in signal.send_robust(sender=Link, **arguments):
        if isinstance(result, OperationalError):
            log.error("%s: PostgreSQL does not answer: %s", receiver.__qualname__, result)
        elif isinstance(result, Exception):
            log.error("%s failed", receiver.__qualname__, exc_info=result)


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
