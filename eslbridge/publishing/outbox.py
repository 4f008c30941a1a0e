"""Queues changes in the transaction that makes them, so that what is saved always arrives.

PostgreSQL itself wakes the workers: NOTIFY is delivered when, and only when, the transaction commits,
and needs no broker. A burst in one transaction is one notification, and one batch.
"""

from collections.abc import Iterable

from django.db import connection, models, transaction
from django.db.models import F, Func
from django.utils import timezone

from eslbridge import signals
from eslbridge.models import PendingChange, PublishedFile, Switch

from .registry import publication_of

CHANNEL = "patchbay_outbox"
_NEW_UUID = Func(function="gen_random_uuid", output_field=models.UUIDField())


def queue(*instances: models.Model) -> None:
    """Queue each object's file on every switch; and its old file, when its path has changed."""
    switches = list(Switch.objects.all())
    current, old = [], []
    for instance in instances:
        path = _path(instance)
        _again(instance)
        current += [_row(switch, path, instance) for switch in switches]
        old += [_row(switch, known, instance) for known in _known(instance) - {path} for switch in switches]
    # Another object may be waiting to take over an old path: then that one decides what is there.
    PendingChange.objects.bulk_create(old, ignore_conflicts=True)
    add(current)
    kinds = {instance._meta.label_lower for instance in instances}
    transaction.on_commit(lambda: signals.queued.send_robust(sender=None, kinds=kinds))


def _path(instance: models.Model) -> str:
    publication = publication_of(type(instance))
    if publication is None:
        raise LookupError(f"{type(instance)} is not published: register it with @publishes.")
    return publication.path(instance)


def _mine(instance: models.Model) -> dict[str, object]:
    return {"kind": instance._meta.label_lower, "object_id": instance.pk}


def _row(switch: Switch, path: str, instance: models.Model) -> PendingChange:
    return PendingChange(switch=switch, path=path, label=str(instance)[:255], **_mine(instance))


def _known(instance: models.Model) -> set[str]:
    """The files of this object that are, or were about to be, on a switch."""
    published = PublishedFile.objects.filter(**_mine(instance)).values_list("path", flat=True)
    waiting = PendingChange.objects.filter(**_mine(instance)).values_list("path", flat=True)
    return {*published, *waiting}


def _again(instance: models.Model) -> None:
    """A publisher that holds an older state of this object must not take its rows away."""
    PendingChange.objects.filter(**_mine(instance)).update(revision=_NEW_UUID, retry_at=timezone.now())


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
            batch_size=2000,
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
