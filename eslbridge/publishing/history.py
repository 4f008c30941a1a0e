"""What the publisher changed in a file that was there already, line by line, passwords hidden."""

from collections.abc import Iterable
from datetime import timedelta

from django.db import models
from django.utils import timezone

from eslbridge.models import FileChange, Reload, Switch

from .state import changed_lines, without_secrets

# Lines of a difference that are kept; a file of an agent has thirty.
MOST_LINES = 200
KEPT = timedelta(days=90)


def remember(switch: Switch, changes: Iterable[tuple[str, str, int, str, str]]) -> None:
    """Keep (path, kind, object id, old text, new text) as differences; nothing for those without one."""
    rows = []
    for path, kind, object_id, old, new in changes:
        lines = changed_lines(without_secrets(old), without_secrets(new))
        different = [f"{mark} {line.strip()}" for mark, line in lines if mark != " "][:MOST_LINES]
        secret = not different and old != new
        text = "\n".join(different) or ("A password was changed." if secret else "")
        if text:
            rows.append(FileChange(switch=switch, path=path, kind=kind, object_id=object_id, difference=text))
    FileChange.objects.bulk_create(rows, batch_size=2000)


def last_changes(instance: models.Model, most: int = 5) -> list[FileChange]:
    """The last differences of this object's files, newest first."""
    mine = FileChange.objects.filter(kind=instance._meta.label_lower, object_id=instance.pk)
    return list(mine.select_related("switch")[:most])


def forget_old() -> None:
    """Take away what is older than KEPT: differences, and the list of reloads."""
    for model in (FileChange, Reload):
        model.objects.filter(at__lt=timezone.now() - KEPT).delete()
