"""What may be said of an object: live, pending (why), failed (why) or off. Nothing else is live."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import models

from eslbridge.models import PendingChange, PublishedFile, Switch
from eslbridge.switchxml import UnsafeValue

from .registry import Target, publication_of

LIVE, PENDING, FAILED, OFF = "live", "pending", "failed", "off"
_SECRET = re.compile(r'(name="[^"]*password[^"]*" value=")[^"]*(")')


@dataclass(frozen=True)
class SyncState:
    """`name` is one of live, pending, failed, off; `why` is a sentence for all but live."""

    name: str
    why: str = ""
    since: datetime | None = None

    @property
    def label(self) -> str:
        return self.name.capitalize()


def sync_states(instances: Iterable[models.Model]) -> dict[int, SyncState]:
    """The state of each object (all of one model) over all switches, by primary key, in three queries."""
    instances = list(instances)
    if not instances:
        return {}
    mine = {"kind": instances[0]._meta.label_lower, "object_id__in": [each.pk for each in instances]}
    switches = list(Switch.objects.all())
    waiting: dict[int, list[PendingChange]] = defaultdict(list)
    for change in PendingChange.objects.filter(**mine).select_related("switch"):
        waiting[change.object_id].append(change)
    published: dict[int, set[tuple[int, str]]] = defaultdict(set)
    for pk, switch, path in PublishedFile.objects.filter(**mine).values_list(
        "object_id", "switch_id", "path"
    ):
        published[pk].add((switch, path))
    if publication := publication_of(type(instances[0])):
        publication.prepare(instances)
    return {each.pk: _state(each, switches, waiting[each.pk], published[each.pk]) for each in instances}


def _state(
    instance: models.Model,
    switches: list[Switch],
    waiting: list[PendingChange],
    published: set[tuple[int, str]],
) -> SyncState:
    if not switches:
        return SyncState(PENDING, "No switch is known yet: start its worker.")
    failed = [change for change in waiting if change.refused]
    if waiting:
        change = (failed or waiting)[0]
        return SyncState(FAILED if failed else PENDING, change.why, change.since)
    if not is_wanted(instance):
        return SyncState(OFF, "Not active, so not on the switch.")
    publication = publication_of(type(instance))
    path = publication.path(instance) if publication else ""
    missing = [switch for switch in switches if (switch.pk, path) not in published]
    if missing:
        return SyncState(PENDING, missing[0].trouble or f"Waiting for the next comparison with {missing[0]}.")
    return SyncState(LIVE)


def is_wanted(instance: models.Model) -> bool:
    """Whether this object has a file at all."""
    publication = publication_of(type(instance))
    try:
        return publication is not None and publication.render(instance, Target("", "")) is not None
    except UnsafeValue:
        return True


def preview(instance: models.Model) -> str:
    """The file that this object has on the first switch, passwords hidden; why there is none otherwise."""
    publication = publication_of(type(instance))
    switch = Switch.objects.first()
    try:
        rendered = publication.render(
            instance, Target(switch.name, switch.domain) if switch else Target("", "")
        )
    except UnsafeValue as refused:
        return str(refused)
    if rendered is None:
        return "Not active: there is no file."
    return without_secrets(rendered.content)


def without_secrets(text: str) -> str:
    """A file's text with every password replaced by dots."""
    return _SECRET.sub(r"\1••••••••\2", text)


def comparable_lines(text: str) -> list[str]:
    """A file's lines but for its revision, which differs whenever anything does."""
    return [line for line in text.splitlines() if "patchbay_revision" not in line]


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """Both texts as one, line by line: (" ", kept), ("-", gone) or ("+", new). The revision is left out."""
    compared = difflib.ndiff(comparable_lines(before), comparable_lines(after))
    return [(line[0], line[2:]) for line in compared if line[0] in " -+"]
