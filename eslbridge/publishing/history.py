"""What the publisher changed in a file that was there already, line by line, passwords hidden."""

from collections.abc import Iterable
from datetime import timedelta
from difflib import unified_diff

from django.db import models
from django.utils import timezone

from eslbridge.models import FileChange, Reload, Switch
from eslbridge.text import printable

from .state import comparable_lines, without_secrets

# Lines of a difference that are kept; a file of an agent has thirty.
MOST_LINES = 200
# Comparing takes long when many lines differ: somebody may have put anything into our file.
MOST_COMPARED = 1000
KEPT = timedelta(days=90)


def remember(switch: Switch, changes: Iterable[tuple[str, str, int, str, str]]) -> None:
    """Keep (path, kind, object id, old text, new text) as differences; nothing for those without one."""
    rows = [
        FileChange(switch=switch, path=path, kind=kind, object_id=object_id, difference=text)
        for path, kind, object_id, old, new in changes
        if (text := difference(old, new))
    ]
    FileChange.objects.bulk_create(rows, batch_size=2000)


def difference(old: str, new: str) -> str:
    """The lines that went (-) and came (+), without passwords; empty when only the revision differs."""
    before, after = (_lines(without_secrets(printable(text))) for text in (old, new))
    if max(len(before), len(after)) > MOST_COMPARED:
        return "A file of so many lines is not one that Patchbay wrote: it was replaced."
    compared = list(unified_diff(before, after, n=0, lineterm=""))[2:]
    different = [f"{line[0]} {line[1:]}" for line in compared if line[0] in "-+"]
    if not different and _lines(old) != _lines(new):
        return "A password was changed."
    return "\n".join(different[:MOST_LINES])


def _lines(text: str) -> list[str]:
    """How far a line is indented says nothing."""
    return [line.strip() for line in comparable_lines(text)]


def last_changes(instance: models.Model, most: int = 5) -> list[FileChange]:
    """The last differences of this object's files, newest first."""
    mine = FileChange.objects.filter(kind=instance._meta.label_lower, object_id=instance.pk)
    return list(mine.select_related("switch")[:most])


def forget_old() -> None:
    """Take away what is older than KEPT: differences, and the list of reloads."""
    for model in (FileChange, Reload):
        model.objects.filter(at__lt=timezone.now() - KEPT).delete()
