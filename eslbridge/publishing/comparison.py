"""The whole database against one switch's directory and what that switch is known to have."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, InterfaceError

from eslbridge.models import PendingChange, Switch
from eslbridge.switchxml import UnsafeValue, managed_by

from . import outbox
from .diagnosis import as_the_switch_sees
from .files import ConfDir, owner_of
from .registry import Progress, Publication, Rendered, Target, publications, untold

log = logging.getLogger(__name__)

# Seconds by which the clocks of the disk and of PostgreSQL may differ. Being wrong costs one reload.
CLOCKS_DIFFER = 5.0


@dataclass(frozen=True)
class Difference:
    """A file that is not as the database says: `what` is "missing", "differs", "not wanted", "not seen on
    the switch" or "shadowed" (by somebody else's file)."""

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
    texts = dict(disk.texts({place for found in publications() for place in found.directories}))
    on_disk = {path: text for path, text in texts.items() if managed_by(text) is not None}
    published = _published(switch)
    shadowed = _shadowed(switch, disk, {path: texts[path] for path in texts.keys() - on_disk.keys()})
    found: list[Difference] = []
    wanted_paths: set[str] = set()
    for publication, pk, label, path, wanted in _wanted(Target(switch.name, switch.domain), progress):
        wanted_paths.add(path)
        _, _, known = published.get(path, ("", 0, None))
        what = _what(on_disk.get(path), wanted, known) or ("shadowed" if path in shadowed else "")
        if what:
            found.append(Difference(path, what, publication.kind, pk, label))
    for path in sorted({*on_disk, *published} - wanted_paths):
        kind, number = published[path][:2] if path in published else owner_of(on_disk[path]) or ("", 0)
        found.append(Difference(path, "not wanted", kind, number, path))
    return found


def _shadowed(switch: Switch, disk: ConfDir, strangers: Mapping[str, str]) -> set[str]:
    """Our files that a file of somebody else has come before since the switch was last asked for them.

    Of two files that say the same the switch takes the first in the order of their names.
    """
    found: dict[str, float] = {}
    for stranger, text in strangers.items():
        seen = as_the_switch_sees(text)
        ours = {path for each in publications() for path in each.shadows(seen) if stranger < path}
        came = disk.came_at(stranger) if ours else 0
        found |= {path: max(came, found.get(path, 0)) for path in ours}
    if not found or not switch.pk:
        return set()
    asked = switch.published.filter(path__in=found).values_list("path", "published_at")
    return {path for path, at in asked if found[path] > at.timestamp() - CLOCKS_DIFFER}


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
    found = list(found)
    # Not known any more to be there: then the publisher reloads and asks, though the file is as it should be.
    switch.published.filter(path__in=[each.path for each in found if each.what == "shadowed"]).delete()
    outbox.add_missing(
        PendingChange(
            switch=switch, path=each.path, kind=each.kind, object_id=each.object_id, label=each.label[:255]
        )
        for each in found
    )
