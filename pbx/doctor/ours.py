"""The site's own parts: settings, database, broker, worker, changes, and the clocks that must agree."""

import time
from collections.abc import Callable

from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from agents.models import Agent
from eslbridge.models import PendingChange, Switch
from eslbridge.store import StoreError, store

from .findings import CannotTell, Findings, first_line, many, ok, problem, unknown, warning
from .site import Site, is_same

# The switch tells its clock in whole seconds. A press of the call button expires after 10 s.
SKEW_NOTED, SKEW_HARMFUL = 2.0, 10.0
PENDING_SECONDS = 30


def check_settings(site: Site) -> Findings:
    try:
        found = [each for each in run_checks() if each.level >= ERROR and not each.is_silenced()]
    except ImproperlyConfigured as missing:
        yield problem(str(missing), "Set it. ./run makes the secrets of its own data by itself.")
        return
    for each in found:
        yield problem(str(each.msg), str(each.hint or "python manage.py check tells more."))
    if not found:
        yield ok("all that must be set is set")


def check_database(site: Site) -> Findings:
    if site.database_error is not None:
        yield problem(
            f"PostgreSQL does not answer: {first_line(site.database_error)}",
            "Start ./run in another terminal, or set DATABASE_URL.",
        )
        return
    executor = MigrationExecutor(connection)
    if missing := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield problem(f"{many(len(missing), 'migration')} not made", "python manage.py migrate")
        return
    try:
        Agent.objects.first()
    except ImproperlyConfigured as refused:
        yield problem(str(refused), "Put the key with which the passwords were kept after the newest one.")
        return
    version = ".".join(str(part) for part in connection.get_database_version())
    yield ok(f"PostgreSQL {version} with all its tables, and the keys to its passwords")


def check_broker(site: Site) -> Findings:
    try:
        store().ping()
    except (StoreError, ValueError) as error:
        yield problem(
            f"Redis does not answer: {first_line(error)}",
            "Start ./run in another terminal, or set REDIS_URL. Without it changes still reach the switch, "
            "but no call can be started from here and nothing is shown live.",
        )
        return
    yield ok("Redis answers")


def check_worker(site: Site) -> Findings:
    start = "Start ./run, or this switch's worker as the Procfile does."
    row = site.row
    if row is None:
        yield problem(f"no worker has ever announced {settings.SWITCH_NAME}", start)
        return
    if row.worker_is_gone:
        yield problem(row.trouble, start)
    elif row.trouble:
        yield problem(row.trouble, "Set FS_HOST, FS_ESL_PORT and FS_ESL_PASSWORD for the worker, too.")
    else:
        seconds = max(0, round(row.seen_ago.total_seconds()))
        yield ok(f"{row.worker} holds the connection; last seen {seconds} s ago")
        if row.shares_line_because:
            yield warning(
                f"the switch takes no second connection from the worker ({row.shares_line_because}), so "
                "events and calls wait while it reloads",
                "Let the worker's host have two connections to the Event Socket: look at firewalls, proxies.",
            )
    if row.conf_dir and not is_same(row.conf_dir, settings.FS_CONF_DIR):
        yield warning(
            f"the worker writes to {row.conf_dir}, but here FS_CONF_DIR is {settings.FS_CONF_DIR}",
            "Run doctor with the worker's environment, on its host.",
        )
    for other in Switch.objects.exclude(pk=row.pk):
        if other.trouble:
            yield warning(f"{other}: {other.trouble}", "Run doctor with that switch's environment.")


def check_changes(site: Site) -> Findings:
    site.require_database()
    waiting = PendingChange.objects.select_related("switch")
    failed = waiting.exclude(error="")
    if first := failed.first():
        yield problem(
            f"{many(failed.count(), 'change')} failed; {first}: {first.error}",
            "Do what the reason says, then press Retry on the page Changes, or python manage.py sync_xml.",
        )
    oldest = waiting.filter(error="").first()
    if oldest is None:
        if not first:
            yield ok("nothing waits")
        return
    seconds = round((timezone.now() - oldest.since).total_seconds())
    said = f"{many(waiting.filter(error='').count(), 'change')} on the way, the oldest for {seconds} s"
    if seconds > PENDING_SECONDS:
        yield warning(f"{said}: {oldest.why}", "Make the worker's line here ok.")
    else:
        yield ok(said)


def check_clocks(site: Site) -> Findings:
    for whose, ask in (("switch", _switch_clock), ("database", _database_clock)):
        try:
            skew = _skew(ask, site)
        except CannotTell as reason:
            yield unknown(f"the {whose}'s: {reason}")
            continue
        said = f"the {whose}'s is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this host's"
        fix = "Set both by NTP: records, and how long a press of the call button is good for, go by them."
        if abs(skew) > SKEW_HARMFUL:
            yield problem(said, fix)
        elif abs(skew) > SKEW_NOTED:
            yield warning(said, fix)
        else:
            yield ok(f"the {whose}'s agrees with this host's")


def _skew(clock: Callable[[Site], tuple[float, float]], site: Site) -> float:
    """By how many seconds another clock is ahead at least, given its resolution and the way there."""
    before = time.time()
    theirs, resolution = clock(site)
    after = time.time()
    if theirs > after:
        return theirs - after
    return min(0.0, theirs + resolution - before)


def _switch_clock(site: Site) -> tuple[float, float]:
    return float(site.ask("strepoch")), 1.0


def _database_clock(site: Site) -> tuple[float, float]:
    site.require_database()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0]), 0.0
