"""The whole database against one switch's directory and what that switch is known to have."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, InterfaceError

from eslbridge.models import PendingChange, Switch
from eslbridge.switchxml import UnsafeValue

from . import outbox
from .files import ConfDir, owner_of
from .registry import Progress, Publication, Rendered, Target, publications, untold

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """A file that is not as the database says: `what` is "missing", "differs", "not wanted" or "not seen on
    the switch"."""

    path: str
    what: str
    kind: str
    object_id: int
    label: str


def differences(switch: Switch, conf_dir: Path, progress: Progress = untold) -> list[Difference]:
    """Every file that is not as the database says. Changes nothing; `switch` need not be saved.

    Reads every managed file; raises OSError when the directory cannot be read.
    """
    disk = ConfDir(conf_dir)
    disk.require()
    on_disk = dict(disk.managed({place for found in publications() for place in found.directories}))
    published = _published(switch)
    found: list[Difference] = []
    wanted_paths: set[str] = set()
    for publication, pk, label, path, wanted in _wanted(Target(switch.name, switch.domain), progress):
        wanted_paths.add(path)
        _, _, known = published.get(path, ("", 0, None))
        if (what := _what(on_disk.get(path), wanted, known)) != "":
            found.append(Difference(path, what, publication.kind, pk, label))
    for path in sorted({*on_disk, *published} - wanted_paths):
        kind, number = published[path][:2] if path in published else owner_of(on_disk[path]) or ("", 0)
        found.append(Difference(path, "not wanted", kind, number, path))
    return found


def _published(switch: Switch) -> dict[str, tuple[str, int, str]]:
    """The kind, primary key and hash of what the switch was seen to have, by path."""
    if not switch.pk:
        return {}
    rows = switch.published.values_list("path", "kind", "object_id", "sha256")
    return {path: (kind, pk, sha256) for path, kind, pk, sha256 in rows}


def _wanted(
    target: Target, progress: Progress
) -> Iterator[tuple[Publication, int, str, str, Rendered | None]]:
    """(publication, id, label, path, file) of each object that should have one; None for one that cannot be
    made, which the publisher then says."""
    total = sum(found.count() for found in publications())
    done = 0
    for found in publications():
        for pk, label, instance in found.objects():
            done += 1
            progress("Comparing", done, total)
            path = found.path(instance)
            try:
                wanted = found.render(instance, target)
            except UnsafeValue:
                yield found, pk, label, path, None
            except (DatabaseError, InterfaceError):
                raise
            except Exception:  # one object's fault must not hide the others' differences
                log.exception("%s cannot be rendered", path)
                yield found, pk, label, path, None
            else:
                if wanted is not None:
                    yield found, pk, label, path, wanted


def _what(text: str | None, wanted: Rendered | None, known: str | None) -> str:
    if text is None:
        return "missing"
    if wanted is None or text != wanted.content:
        return "differs"
    return "" if known == wanted.sha256 else "not seen on the switch"


def queue_differences(switch: Switch, found: Iterable[Difference]) -> None:
    """Put these files into the outbox, except those that wait there already."""
    outbox.add_missing(
        PendingChange(
            switch=switch, path=each.path, kind=each.kind, object_id=each.object_id, label=each.label[:255]
        )
        for each in found
    )
