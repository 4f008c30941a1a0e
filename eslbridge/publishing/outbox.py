"""Queues changes in the transaction that makes them, so that what is saved always arrives.

PostgreSQL itself wakes the workers: NOTIFY is delivered when, and only when, the transaction commits,
and needs no broker. A burst in one transaction is one notification, and one batch.

All times here are PostgreSQL's: the clocks of the site and of the workers may differ.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, models, transaction
from django.db.models import Func
from django.db.models.functions import Now

from eslbridge import signals
from eslbridge.models import PendingChange, Switch
from eslbridge.text import printable

from .registry import Publication, affected_by, always_affected_by, publication_of

CHANNEL = "patchbay_outbox"
# A change that failed is tried again after 2 s, then 4, up to this.
LONGEST_DELAY = timedelta(seconds=60)
# What the switch must let go of is asked for again so soon.
AWAIT = timedelta(milliseconds=100)
BATCH = 2000  # rows in one statement
_TRIED = ("attempts", "error", "refused", "told_at")
_NEW_UUID = Func(function="gen_random_uuid", output_field=models.UUIDField())

# In SQL, where a form is waited for and where an import brings ten thousand rows: one statement each, with
# arrays, and none of the objects that an ORM makes of them.
_PATHS = """
    WITH wanted AS (SELECT * FROM unnest(%s::text[], %s::bigint[]) AS object (kind, object_id))
    SELECT kind, object_id, path FROM eslbridge_publishedfile JOIN wanted USING (kind, object_id)
    UNION
    SELECT kind, object_id, path FROM eslbridge_pendingchange JOIN wanted USING (kind, object_id)
"""
_PUT = """
    WITH put AS (
        INSERT INTO eslbridge_pendingchange AS waiting
            (switch_id, path, kind, object_id, label, revision, since, retry_at, attempts, error, refused)
        SELECT switch_id, path, kind, object_id, label, gen_random_uuid(), statement_timestamp(),
            statement_timestamp(), 0, '', false
        FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[])
            AS change (switch_id, path, kind, object_id, label)
        ON CONFLICT (switch_id, path) {}
    ) SELECT pg_notify(%s, '')
"""
_PUT_MISSING = _PUT.format("DO NOTHING")
# Another object may be waiting to take over a path that is left here: then that one decides what is there.
_PUT_ANEW = _PUT.format(
    """DO UPDATE SET
        kind = excluded.kind, object_id = excluded.object_id, label = excluded.label,
        revision = excluded.revision, retry_at = excluded.retry_at,
        told_at = NULL, attempts = 0, error = '', refused = false
    WHERE excluded.path = ANY(%s)
        OR (waiting.kind, waiting.object_id) = (excluded.kind, excluded.object_id)"""
)
# Nothing is put off for longer than that: the clock was set back since.
_DUE = """
    SELECT waiting.*, statement_timestamp() - told_at AS told_for, sha256 AS published
    FROM eslbridge_pendingchange AS waiting LEFT JOIN eslbridge_publishedfile USING (switch_id, path)
    WHERE switch_id = %s AND (retry_at <= statement_timestamp() OR retry_at > statement_timestamp() + %s)
    ORDER BY since LIMIT %s
"""
# What somebody holds is being changed: see _unchanged.
_DELETE_UNCHANGED = """
    DELETE FROM eslbridge_pendingchange WHERE id IN (
        SELECT id FROM eslbridge_pendingchange AS mine
        JOIN unnest(%s::bigint[], %s::uuid[]) AS read (id, revision) USING (id, revision)
        FOR UPDATE OF mine SKIP LOCKED
    )
"""


_Key = tuple[str, int]  # an object: its kind and primary key


@transaction.atomic(savepoint=False)
def queue(*instances: models.Model) -> None:
    """Queue each object's file on every switch; and its old files, when its path has changed.

    The number of queries does not depend on the number of objects.
    """
    if not instances:
        return
    switches = _switches()
    paths = _paths(instances)
    current, old = [], []
    for instance in instances:
        path = _path(instance)
        current += [_row(switch, path, instance) for switch in switches]
        gone = paths[_key(instance)] - {path}
        old += [_row(switch, each, instance) for each in gone for switch in switches]
    # In one statement: who held some rows and then wanted others could wait for somebody who waits for him.
    add(current, old)
    kinds = {instance._meta.label_lower for instance in instances}
    transaction.on_commit(lambda: signals.queued.send_robust(sender=None, kinds=kinds))


def queue_saved(instances: Iterable[models.Model]) -> None:
    """Queue objects that were written without signals (bulk_create), and what is rendered from them.

    Like the signals, it belongs into the transaction that writes.
    """
    instances = list(instances)
    affected = [
        dependent
        for kind in _by_kind(instances).values()
        for find in affected_by(type(kind[0]))
        for dependent in find(kind)
    ]
    if affected:
        queue(*affected)
    always = {
        found.kind: found
        for each in _by_kind(instances).values()
        for found in always_affected_by(type(each[0]))
    }
    if always:
        _queue_constants(always.values())


@transaction.atomic(savepoint=False)
def _queue_constants(publications: Iterable[Publication]) -> None:
    switches = _switches()
    add(
        PendingChange(switch_id=switch, path=path, label=found.kind, kind=found.kind, object_id=0)
        for found in publications
        for path in found.constants
        for switch in switches
    )


def _by_kind(instances: Iterable[models.Model]) -> dict[str, list[models.Model]]:
    found: dict[str, list[models.Model]] = {}
    for instance in instances:
        found.setdefault(instance._meta.label_lower, []).append(instance)
    return found


def _path(instance: models.Model) -> str:
    publication = publication_of(type(instance))
    if publication is None:
        raise LookupError(f"{type(instance)} is not published: register it with @publishes.")
    return publication.path(instance)


def _key(instance: models.Model) -> _Key:
    return instance._meta.label_lower, instance.pk


def _switches() -> list[int]:
    return list(Switch.objects.values_list("pk", flat=True))


def _row(switch: int, path: str, instance: models.Model) -> PendingChange:
    kind, pk = _key(instance)
    return PendingChange(switch_id=switch, path=path, label=str(instance)[:255], kind=kind, object_id=pk)


def _paths(instances: Iterable[models.Model]) -> dict[_Key, set[str]]:
    """The files of these objects that are on a switch, or wait."""
    kinds, ids = zip(*map(_key, instances), strict=True)
    paths: dict[_Key, set[str]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(_PATHS, [list(kinds), list(ids)])
        for kind, pk, path in cursor.fetchall():
            paths[kind, pk].add(path)
    return paths


def _at_once(changes: models.QuerySet[PendingChange]) -> int:
    return changes.update(revision=_NEW_UUID, retry_at=Now(), told_at=None)


def add(rows: Iterable[PendingChange], old: Iterable[PendingChange] = ()) -> None:
    """Put rows into the outbox and wake the workers. `old` are for paths that their objects have left: they
    leave alone what somebody else has waiting there.

    A row that is waiting already gets a new revision (so that a publisher that has read the old one
    does not take it away), keeps the time since when it waits, and is due at once, as if never tried.
    """
    current = list(rows)
    _put(_PUT_ANEW, [*old, *current], [row.path for row in current])


def add_missing(rows: Iterable[PendingChange]) -> None:
    """Put rows into the outbox where nothing waits for that file yet, and wake the workers."""
    _put(_PUT_MISSING, rows)


def _put(statement: str, rows: Iterable[PendingChange], *more: list[str]) -> None:
    """One row a switch and file, the last one; in one order everywhere: no two savers wait for each other."""
    latest = {(row.switch_id, row.path): row for row in rows}
    if latest:
        ordered = [latest[key] for key in sorted(latest)]
        values = [(row.switch_id, row.path, row.kind, row.object_id, row.label) for row in ordered]
        with connection.cursor() as cursor:
            cursor.execute(statement, [*map(list, zip(*values, strict=True)), *more, CHANNEL])


def wake() -> None:
    """Wake the publishers when this transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


@transaction.atomic
def retry(changes: models.QuerySet[PendingChange]) -> int:
    """Make waiting changes due now; returns how many."""
    # What somebody holds is being saved, and so due anyway: see _unchanged.
    free = changes.select_for_update(skip_locked=True, of=("self",))
    count = _at_once(PendingChange.objects.filter(pk__in=[change.pk for change in free]))
    wake()
    return count


def due(switch: Switch, limit: int) -> list[PendingChange]:
    """What waits for this switch and may be tried now, longest waiting first; `told_for` is how long ago the
    switch was told of it, `published` the hash of the file that it was last seen to have."""
    return list(PendingChange.objects.raw(_DUE, [switch.pk, 2 * LONGEST_DELAY, limit]))


def done(changes: Iterable[PendingChange]) -> None:
    """Take away what has arrived, unless it was changed again in the meantime."""
    rows = list(changes)
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_UNCHANGED, [[row.pk for row in rows], [row.revision for row in rows]])


@dataclass(frozen=True)
class Failure:
    """Why a change is not live. `refused`: the switch or a rule said no, and a person has to look; else the
    disk or the link was away, and comes back. `waits`: the switch was told, and needs a moment."""

    reason: str
    refused: bool = True
    waits: bool = False


@transaction.atomic(savepoint=False)
def failed(changes: Iterable[PendingChange], failures: Mapping[str, Failure]) -> None:
    """Keep the failure (by path) on each change, and try again later: 2 s doubling to a minute."""
    rows = _unchanged(changes)
    for row in rows:
        failure = failures[row.path]
        delay = min(timedelta(seconds=2 ** min(row.attempts + 1, 10)), LONGEST_DELAY)
        row.error, row.refused = printable(failure.reason), failure.refused
        row.told_at = (row.told_at or Now()) if failure.waits else None
        row.attempts += not failure.waits
        row.retry_at = Now() + (AWAIT if failure.waits else delay)
    PendingChange.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["switch", "path"],
        update_fields=["retry_at", *_TRIED],
        batch_size=BATCH,
    )


def _unchanged(changes: Iterable[PendingChange]) -> list[PendingChange]:
    """These rows, locked, as far as they are still as they were read.

    A row that somebody else holds is being changed: it is left alone, and never waited for. A publisher
    that waited could make a user's save fail (both waiting for each other).
    """
    revisions = {change.pk: change.revision for change in changes}
    rows = PendingChange.objects.filter(pk__in=revisions).select_for_update(skip_locked=True)
    return [row for row in rows if row.revision == revisions[row.pk]]
