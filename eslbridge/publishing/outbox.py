"""Queues changes in the transaction that makes them, so that what is saved always arrives.

PostgreSQL itself wakes the workers: NOTIFY is delivered when, and only when, the transaction commits,
and needs no broker. A burst in one transaction is one notification, and one batch.
"""

from collections import defaultdict
from collections.abc import Iterable

from django.db import connection, models, transaction
from django.db.models import F, Func
from django.utils import timezone

from eslbridge import signals
from eslbridge.models import PendingChange, PublishedFile, Switch

from .registry import affected_by, publication_of

CHANNEL = "patchbay_outbox"
BATCH = 2000  # rows an insert: some 600 KB of SQL
_NEW_UUID = Func(function="gen_random_uuid", output_field=models.UUIDField())


def queue(*instances: models.Model) -> None:
    """Queue each object's file on every switch; and its old file, when its path has changed.

    Any number of objects takes the same few queries (a further insert for every 2,000 files).
    """
    switches = list(Switch.objects.all())
    current: dict[tuple[int, str], PendingChange] = {}
    old: dict[tuple[int, str], PendingChange] = {}
    for kind, of_kind in _by_kind(instances).items():
        _again(kind, of_kind)
        known = _known(kind, of_kind)
        for instance in of_kind:
            path = _path(instance)
            current |= {(switch.pk, path): _row(switch, path, instance) for switch in switches}
            for gone in known[instance.pk] - {path}:
                old |= {(switch.pk, gone): _row(switch, gone, instance) for switch in switches}
    # Another object may be waiting to take over an old path: then that one decides what is there.
    PendingChange.objects.bulk_create([*old.values()], ignore_conflicts=True, batch_size=BATCH)
    add(current.values())
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


def _row(switch: Switch, path: str, instance: models.Model) -> PendingChange:
    kind = instance._meta.label_lower
    return PendingChange(
        switch=switch, path=path, label=str(instance)[:255], kind=kind, object_id=instance.pk
    )


def _known(kind: str, instances: list[models.Model]) -> dict[int, set[str]]:
    """The files of these objects that are, or were about to be, on a switch, by primary key."""
    found: dict[int, set[str]] = defaultdict(set)
    for table in (PublishedFile, PendingChange):
        for pk, path in _of(table, kind, instances).values_list("object_id", "path"):
            found[pk].add(path)
    return found


def _again(kind: str, instances: list[models.Model]) -> None:
    """A publisher that holds an older state of these objects must not take their rows away."""
    _of(PendingChange, kind, instances).update(revision=_NEW_UUID, retry_at=timezone.now())


def _of(table: type[models.Model], kind: str, instances: list[models.Model]) -> models.QuerySet:
    return table.objects.filter(kind=kind, object_id__in=[each.pk for each in instances])


def add(rows: Iterable[PendingChange]) -> int:
    """Put rows into the outbox and wake the workers; returns how many.

    A row that is waiting already gets a new revision (so that a publisher that has read the old one
    does not take it away), keeps the time since when it waits, and is due at once.
    """
    rows = list(rows)
    if rows:
        PendingChange.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["switch", "path"],
            update_fields=["kind", "object_id", "label", "revision", "retry_at"],
            batch_size=BATCH,
        )
        wake()
    return len(rows)


def wake() -> None:
    """Wake the publishers when this transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def retry(changes: models.QuerySet[PendingChange]) -> int:
    """Make waiting changes due now; returns how many."""
    count = changes.update(retry_at=timezone.now(), revision=_NEW_UUID)
    wake()
    return count


def due(switch: Switch, limit: int) -> list[PendingChange]:
    """What waits for this switch and may be tried now, longest waiting first."""
    return list(switch.pending.filter(retry_at__lte=timezone.now()).order_by("since")[:limit])


def done(changes: Iterable[PendingChange]) -> None:
    """Take away what has arrived, unless it was changed again in the meantime."""
    PendingChange.objects.filter(
        pk__in=[change.pk for change in changes], revision__in=[change.revision for change in changes]
    ).delete()


def failed(changes: Iterable[PendingChange], errors: dict[str, str]) -> None:
    """Keep the reason (by path) on each change, and try again later: 2 s doubling to a minute."""
    now = timezone.now()
    for change in changes:
        delay = timezone.timedelta(seconds=min(2 ** min(change.attempts + 1, 6), 60))
        PendingChange.objects.filter(pk=change.pk, revision=change.revision).update(
            error=errors[change.path], attempts=F("attempts") + 1, retry_at=now + delay
        )
