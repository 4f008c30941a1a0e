"""Brings what waits in the outbox onto one switch: write, reload once, read back, and only then "live"."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from django.db import connection, transaction

from eslbridge import signals
from eslbridge.models import PendingChange, PublishedFile, Reload, Switch
from eslbridge.protocol.errors import ESLError
from eslbridge.switchxml import UnsafeValue, managed_by
from eslbridge.text import printable

from . import history, outbox
from .diagnosis import broken_files
from .files import ConfDir, NotOurs
from .registry import Check, Publication, Rendered, Target, publication, publications

log = logging.getLogger(__name__)

# A batch is one reload. 20,000 files are some 30 MB: beyond that memory, not the switch, is the limit.
BATCH = 20_000
# What an api reload may take: 10,000 users need about a second on a small machine.
RELOAD_TIMEOUT = 60.0
READ_BACK_TIMEOUT = 30.0
RELOADED = "+OK [Success]"


class Commands(Protocol):
    """The part of eslbridge.client.Client that a publisher needs."""

    def bgapi(self, command: str, arguments: str = ""): ...
    def api_many(self, commands: list[str], *, timeout: float | None = None) -> list[str]: ...


@dataclass
class _Item:
    """One waiting file on its way."""

    change: PendingChange
    publication: Publication | None
    wanted: Rendered | None = None
    before: str | None = None
    known: str | None = None  # the hash that the switch was last seen to have
    error: str = ""

    @property
    def content(self) -> str | None:
        return self.wanted.content if self.wanted else None

    @property
    def is_live(self) -> bool:
        """The file is as wanted, and the switch has been seen to have read it so."""
        return self.before == self.content and self.known == (self.wanted.sha256 if self.wanted else None)

    @property
    def replaces(self) -> bool:
        """The switch had something else here before (also when a worker died in between)."""
        return not self.is_live and (self.before is not None or self.known is not None)


@dataclass
class Outcome:
    """What one call of `publish` did: paths written, removed and failed (with the reason)."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    reloads: int = 0
    milliseconds: int = 0


class Publisher:
    """Publishes to one switch. Only one publisher works on a switch at a time, over all processes."""

    def __init__(self, switch: Switch, client: Commands, conf_dir: Path) -> None:
        self.switch = switch
        self.client = client
        self.target = Target(switch.name, switch.domain)
        self.disk = ConfDir(conf_dir)

    def publish(self, *, wait: bool = False) -> Outcome:
        """Publish what is due now, as one batch; while another publisher is at it, leave it to that one,
        or `wait` for it.

        Never raises for the switch's or the disk's faults: those are kept on the changes, as the reason why
        they are not live.
        """
        outcome = Outcome()
        with only_publisher(self.switch, wait=wait) as mine:
            changes = outbox.due(self.switch, BATCH) if mine else []
            if changes:
                self._publish(changes, outcome)
        if changes:
            kinds = {change.kind for change in changes}
            signals.published.send_robust(sender=Publisher, switch=self.switch, kinds=kinds)
        return outcome

    def _publish(self, changes: list[PendingChange], outcome: Outcome) -> None:
        items = self._render(changes)
        self._compare(items)
        moved = [item for item in items if not item.error and not item.is_live]
        self._write(moved)
        written = [item for item in moved if not item.error]
        if written:
            self._reload(written, outcome)
        self._settle(items, moved, outcome)

    def reload(self, files: int = 0) -> Reload:
        """Have the switch read its files, and keep what it said. `bgapi`: commands need not wait for it."""
        started = time.monotonic()
        try:
            reply = self.client.bgapi("reloadxml").result(RELOAD_TIMEOUT)
        except ESLError as lost:
            reply = f"The switch did not answer the reload: {lost}"
        else:
            if reply.strip() != RELOADED and (broken := broken_files(self.disk.root)):
                reply = f"{reply.strip()} ({'; '.join(broken)})"
        return Reload.objects.create(
            switch=self.switch,
            files=files,
            milliseconds=round((time.monotonic() - started) * 1000),
            succeeded=reply.strip() == RELOADED,
            reply=printable(reply, 2000),
        )

    # --- what should be there -----------------------------------------------------------------------

    def _render(self, changes: list[PendingChange]) -> list[_Item]:
        items = [_Item(change, publication(change.kind)) for change in changes]
        by_kind: dict[str, dict[int, list[_Item]]] = defaultdict(lambda: defaultdict(list))
        for item in items:
            by_kind[item.change.kind][item.change.object_id].append(item)
        for kind, of_kind in by_kind.items():
            if found := publication(kind):
                self._render_kind(found, of_kind)
        return items

    def _render_kind(self, found: Publication, items: dict[int, list[_Item]]) -> None:
        for pk, _, instance in found.objects(items):
            path = found.path(instance)
            for item in items[pk]:
                if item.change.path == path:
                    try:
                        item.wanted = found.render(instance, self.target)
                    except UnsafeValue as refused:
                        item.error = str(refused)

    def _compare(self, items: list[_Item]) -> None:
        paths = [item.change.path for item in items]
        known = dict(self.switch.published.filter(path__in=paths).values_list("path", "sha256"))
        for item in items:
            item.known = known.get(item.change.path)
            try:
                self.disk.require()
                item.before = self.disk.read(item.change.path)
            except NotOurs as refused:
                # Nothing of ours is wanted there: then nothing of ours is missing.
                item.error = item.error or (str(refused) if item.wanted else "")
            except OSError as problem:
                item.error = item.error or in_words(problem)

    # --- putting it there ---------------------------------------------------------------------------

    def _write(self, items: list[_Item]) -> None:
        for item in items:
            try:
                self.disk.write(item.change.path, item.content)
            except OSError as problem:
                item.error = in_words(problem)
        self.disk.settle({item.change.path for item in items if not item.error})

    def _reload(self, items: list[_Item], outcome: Outcome) -> None:
        done = self.reload(len(items))
        outcome.reloads += 1
        outcome.milliseconds += done.milliseconds
        if done.succeeded:
            self._tell_and_ask(items)
        else:
            self._take_back(items, done.reply)

    def _take_back(self, items: list[_Item], reply: str) -> None:
        """The switch kept its old configuration: a restart must not come up with worse than before."""
        for item in items:
            item.error = f"The switch refused the configuration: {reply.strip()}"
            try:
                self.disk.write(item.change.path, item.before)
            except OSError as problem:
                item.error += f" And its old file could not be put back: {in_words(problem)}"
        self.disk.settle({item.change.path for item in items})

    def _tell_and_ask(self, items: list[_Item]) -> None:
        after = [
            command
            for item in items
            if item.publication and item.replaces
            for command in item.publication.after_reload(
                item.change.path, item.before, item.content, self.target
            )
        ]
        asked: list[tuple[_Item, Check]] = [
            (item, check) for item in items if item.wanted for check in item.wanted.checks
        ]
        commands = list(dict.fromkeys([*after, *(check.command for _, check in asked)]))
        try:
            answers = dict(
                zip(commands, self.client.api_many(commands, timeout=READ_BACK_TIMEOUT), strict=True)
            )
        except ESLError as lost:
            for item in items:
                item.error = f"Written and reloaded, but the switch was lost before it could be asked: {lost}"
            return
        for item, check in asked:
            item.error = item.error or check.problem(answers[check.command])

    # --- what is known now --------------------------------------------------------------------------

    @transaction.atomic
    def _settle(self, items: list[_Item], moved: list[_Item], outcome: Outcome) -> None:
        failed = [item for item in items if item.error]
        arrived = [item for item in items if not item.error]
        outcome.failed = {item.change.path: item.error for item in failed}
        outbox.failed([item.change for item in failed], outcome.failed)
        self._remember([item for item in arrived if item.wanted])
        gone = [item.change.path for item in [*arrived, *failed] if not item.wanted or item.error]
        self.switch.published.filter(path__in=gone).delete()
        outbox.done([item.change for item in arrived])
        history.remember(
            self.switch,
            [
                (item.change.path, item.change.kind, item.change.object_id, item.before, item.content)
                for item in arrived
                if item.before and item.content and item.before != item.content
            ],
        )
        fresh = {id(item) for item in moved}
        for item in arrived:
            changed = id(item) in fresh and item.before != item.content
            kind = (outcome.written if item.wanted else outcome.removed) if changed else outcome.unchanged
            kind.append(item.change.path)

    def _remember(self, items: list[_Item]) -> None:
        PublishedFile.objects.bulk_create(
            [
                PublishedFile(
                    switch=self.switch,
                    path=item.change.path,
                    kind=item.change.kind,
                    object_id=item.change.object_id,
                    sha256=item.wanted.sha256,
                )
                for item in items
                if item.wanted
            ],
            update_conflicts=True,
            unique_fields=["switch", "path"],
            update_fields=["kind", "object_id", "sha256", "published_at"],
            batch_size=2000,
        )


@contextmanager
def only_publisher(switch: Switch, *, wait: bool = False) -> Iterator[bool]:
    """True while this process alone may publish to that switch (a PostgreSQL advisory lock)."""
    key = f"patchbay publisher {switch.pk}"
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s)) IS NOT NULL", [key])
        else:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [key])
        mine = cursor.fetchone()[0]
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [key])


@dataclass(frozen=True)
class Difference:
    """A file that is not as the database says: `what` is "missing", "differs" or "not wanted"."""

    path: str
    what: str
    kind: str
    object_id: int
    label: str


def differences(
    switch: Switch, conf_dir: Path, progress: Callable[[int], None] = lambda done: None
) -> list[Difference]:
    """Compare the whole database with the directory and with what the switch is known to have.

    Reads every managed file; changes nothing. Raises OSError when the directory cannot be read.
    `progress` is called with the number of objects compared so far.
    """
    disk = ConfDir(conf_dir)
    disk.require()
    on_disk = dict(disk.managed({found.directory for found in publications()}))
    known = dict(switch.published.values_list("path", "sha256"))
    target = Target(switch.name, switch.domain)
    found: list[Difference] = []
    wanted_paths: set[str] = set()
    compared = 0
    for each in publications():
        for pk, label, instance in each.objects():
            compared += 1
            progress(compared)
            path = each.path(instance)
            try:
                wanted = each.render(instance, target)
            except UnsafeValue:
                wanted = Rendered("")
            if wanted is None:
                continue
            wanted_paths.add(path)
            if (what := _what(on_disk.get(path), wanted, known.get(path))) != "":
                found.append(Difference(path, what, each.kind, pk, label))
    for path in sorted(set(on_disk) - wanted_paths):
        kind, _, pk = (managed_by(on_disk[path]) or "").partition(":")
        number = int(pk) if pk.isdigit() else 0
        found.append(Difference(path, "not wanted", kind, number, path))
    return found


def _what(text: str | None, wanted: Rendered, known: str | None) -> str:
    if text is None:
        return "missing"
    if text != wanted.content:
        return "differs"
    return "" if known == wanted.sha256 else "not seen on the switch"


def queue_differences(switch: Switch, found: Iterable[Difference]) -> int:
    """Put these files into the outbox, except those that wait there already; returns how many were put."""
    waiting = set(switch.pending.values_list("path", flat=True))
    rows = [
        PendingChange(
            switch=switch, path=each.path, kind=each.kind, object_id=each.object_id, label=each.label[:255]
        )
        for each in found
        if each.path not in waiting
    ]
    return outbox.add(rows)


def in_words(problem: OSError) -> str:
    """An operating-system error as a sentence that says what to do."""
    if isinstance(problem, NotADirectoryError) and not problem.filename:
        return str(problem)
    where = problem.filename or "the configuration directory"
    match problem:
        case PermissionError():
            return (
                f"The worker may not write {where}: give its user the right to, "
                "or run it as the switch's user."
            )
        case FileNotFoundError():
            return f"{where} does not exist where the worker runs: set FS_CONF_DIR."
    return f"Writing {where} failed: {problem.strerror or problem}"
