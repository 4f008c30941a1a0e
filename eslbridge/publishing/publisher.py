"""Brings what waits in the outbox onto one switch: write, reload once, read back, and only then "live"."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from eslbridge import signals
from eslbridge.models import PendingChange, Reload, Switch
from eslbridge.protocol.errors import CommandFailed, ESLError
from eslbridge.switchxml import UnsafeValue
from eslbridge.text import printable

from . import history, outbox
from .diagnosis import broken_files, files_that_hold
from .files import ConfDir, NotOurs, in_words, owner_of
from .outbox import Failure
from .registry import (
    Answer,
    Await,
    Check,
    Progress,
    Publication,
    Rendered,
    Survey,
    Target,
    digest,
    publication,
    publications,
    untold,
)

log = logging.getLogger(__name__)

# A batch is one reload. 20,000 files are some 30 MB: beyond that memory, not the switch, is the limit.
BATCH = 20_000
# What an api reload may take: 10,000 users need about a second on a small machine.
RELOAD_TIMEOUT = 60.0
# Questions to the switch in one go, and the seconds that their answers may take.
QUESTIONS = 250
READ_BACK_TIMEOUT = 30.0
RELOADED = "+OK [Success]"
# So many questions that a survey can answer are worth it; so many files may have been published, of which
# each is some 2 kB of its answer (which may have 64 MB, see the client).
SURVEY_FROM, SURVEY_TO = 500, 20_000
# Files for whose rivals the whole directory is searched: what shadows more is one file, and named by then.
MOST_SEARCHES = 5
# Files that are written at the same time. More than these are made durable all at once.
WRITERS = 16

# Seconds, questions and milliseconds; the same as settings.PATIENCE at our end. A Unix socket ignores them.
_ASK_WHETHER_WE_LIVE = """
    SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '3', false),
           set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '20000', false),
"""
_LOCK = _ASK_WHETHER_WE_LIVE + "pg_advisory_lock(hashtext(%s)) IS NOT NULL"
_LOCK_IF_FREE = _ASK_WHETHER_WE_LIVE + "pg_try_advisory_lock(hashtext(%s))"
# One statement for one file or ten thousand.
_PUT_PUBLISHED = """
    INSERT INTO eslbridge_publishedfile (switch_id, published_at, path, kind, object_id, sha256)
    SELECT %s, %s, path, kind, object_id, sha256
    FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[]) AS file (path, kind, object_id, sha256)
    ON CONFLICT (switch_id, path) DO UPDATE SET
        kind = excluded.kind, object_id = excluded.object_id,
        sha256 = excluded.sha256, published_at = excluded.published_at
"""

_swept: set[Path] = set()
_in_vain: set[str] = set()  # surveys that a switch did not answer: they are not tried again


class Commands(Protocol):
    """The part of eslbridge.client.Client that a publisher needs: a connection that nothing else has to use
    meanwhile. A reload takes the switch a second for 10,000 users, in which it answers nothing else there."""

    def api(self, command: str, arguments: str = "", *, timeout: float | None = None) -> str: ...
    def api_many(self, commands: list[str], *, timeout: float | None = None) -> list[str]: ...


@dataclass
class _Item:
    """One waiting file on its way."""

    change: PendingChange
    kind: str
    object_id: int
    wanted: Rendered | None = None
    before: str | None = None
    handmade: str = ""  # why the file that stands there is not ours
    failure: Failure | None = None
    told: list[str] = field(default_factory=list)  # commands after the reload
    awaited: Await | None = None
    is_unsure: bool = False  # reloaded, but the switch has something else, or could not be asked

    @property
    def path(self) -> str:
        return self.change.path

    @property
    def known(self) -> str | None:
        """The hash that the switch was last seen to have."""
        return self.change.published

    @property
    def content(self) -> str | None:
        return self.wanted.content if self.wanted else None

    @property
    def hash(self) -> str | None:
        return self.wanted.sha256 if self.wanted else None

    @property
    def must_move(self) -> bool:
        """The file is not as wanted, or the switch has not been seen to have read it so."""
        if self.failure or self.handmade:
            return False
        return self.before != self.content or self.known != self.hash

    @property
    def old(self) -> str | None:
        """What the switch had; "" when nothing, None when that is not known: a worker died in between."""
        if self.before is None and self.known is None:
            return ""
        is_sure = self.before is not None and self.known in (None, digest(self.before))
        return self.before if is_sure else None

    def tell(self, target: Target) -> None:
        """Find out what to tell the switch after the reload; what it was told before is not said again."""
        if found := publication(self.kind):
            steps = list(found.after_reload(self.path, self.old, self.content, target))
            self.awaited = next((step for step in steps if isinstance(step, Await)), None)
            self.told = [] if self.change.told_at else [step for step in steps if isinstance(step, str)]

    @property
    def waited_seconds(self) -> float:
        """Since the switch was told; 0 when it has just been."""
        return self.change.told_for.total_seconds() if self.change.told_at else 0

    def fails(self, reason: str, *, refused: bool = True) -> None:
        """Keep why; the first reason is the one to tell."""
        self.failure = self.failure or Failure(reason, refused)

    def stumbles(self, problem: OSError) -> None:
        self.fails(in_words(problem), refused=False)

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.wanted.checks if self.wanted else ()


@dataclass
class Outcome:
    """What one call of `publish` did: paths written, removed and failed (with the reason)."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    reloads: int = 0
    milliseconds: int = 0
    waiting: int = 0  # files that the switch was told of and must let go of something for


class Publisher:
    """Publishes to one switch. Only one publisher works on a switch at a time, over all processes."""

    def __init__(self, switch: Switch, client: Commands, conf_dir: Path, progress: Progress = untold) -> None:
        self.progress = progress
        self.switch = switch
        self.client = client
        self.target = Target(switch.name, switch.domain)
        self.disk = ConfDir(conf_dir)
        self._searches = 0

    def publish(self, *, wait: bool = False) -> Outcome:
        """Publish what is due now, as one batch; while another publisher is at it, leave it to that one,
        or `wait` for it.

        Never raises for the switch's or the disk's faults: those are kept on the changes, as the reason why
        they are not live. It may die between any two steps: a change is taken away only when all is done,
        and who publishes next starts from what is on the disk and what the switch is known to have.
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
        items = [_Item(change, change.kind, change.object_id) for change in changes]
        self._sweep()
        self._read(items)
        self._render(items)
        self._ask_the_owners(items)
        moved = [item for item in items if item.must_move]
        resumed = [item for item in moved if item.change.told_at and item.before == item.content]
        fresh = [item for item in moved if item not in resumed]
        self._write(fresh)
        written = [item for item in fresh if not item.failure]
        reload = self._reload(written, outcome) if written else None
        if arrived := [item for item in written if not item.failure] + resumed:
            self._tell_and_ask(arrived)
        self._settle(items, moved, outcome, reload)

    def reload(self, files: int = 0) -> Reload:
        """Have the switch read its files, and keep what it said."""
        done, _ = self._ask_to_reload(files)
        done.save()
        return done

    def _ask_to_reload(self, files: int) -> tuple[Reload, bool]:
        """What came of it, not yet stored, and whether the switch answered.

        `api`, not `bgapi`: the end of a job is an event, and for those mod_event_socket looks every 20 ms.
        """
        is_answered = True
        done = Reload(switch=self.switch, files=files, at=timezone.now(), succeeded=False)
        started = time.monotonic()
        try:
            reply = self.client.api("reloadxml", timeout=RELOAD_TIMEOUT)
            done.succeeded = reply.strip() == RELOADED
        except CommandFailed as refused:
            reply = refused.reply
        except ESLError as lost:
            reply, is_answered = f"The switch did not answer the reload: {lost}", False
        done.milliseconds = round((time.monotonic() - started) * 1000)
        if is_answered and not done.succeeded and (broken := broken_files(self.disk.root)):
            reply = f"{reply.strip()} ({'; '.join(broken)})"
        done.reply = printable(reply.strip(), 2000)
        return done, is_answered

    # --- what there is, and what should be there ------------------------------------------------------

    def _sweep(self) -> None:
        """Once a process: what one that was killed left. Here, because only who publishes writes."""
        if self.disk.root not in _swept:
            with suppress(OSError):
                self.disk.sweep({place for found in publications() for place in found.directories})
            _swept.add(self.disk.root)

    def _read(self, items: list[_Item]) -> None:
        for item in items:
            try:
                self.disk.require()
                item.before = self.disk.read(item.path)
            except NotOurs as refused:
                item.handmade = str(refused)
            except OSError as problem:
                item.stumbles(problem)

    def _render(self, items: Iterable[_Item]) -> None:
        by_kind: dict[str, dict[int, list[_Item]]] = defaultdict(lambda: defaultdict(list))
        for item in items:
            by_kind[item.kind][item.object_id].append(item)
        for kind, of_kind in by_kind.items():
            if found := publication(kind):
                try:
                    self._render_kind(found, of_kind)
                except (DatabaseError, InterfaceError):
                    raise
                except Exception as defect:  # a key that is gone, say: the other kinds must still travel
                    log.exception("%s cannot be read", kind)
                    for item in (each for some in of_kind.values() for each in some):
                        item.fails(f"It cannot be read from the database: {defect}")

    def _render_kind(self, found: Publication, items: dict[int, list[_Item]]) -> None:
        for pk, _, instance in found.objects(items):
            path = found.path(instance)
            for item in items[pk]:
                if item.path == path and not item.failure:
                    self._render_one(found, instance, item)

    def _render_one(self, found: Publication, instance: object, item: _Item) -> None:
        if item.path.rpartition("/")[0] not in found.directories:
            item.fails(f"{item.path} is not directly in {' or '.join(found.directories)}.")
            return
        try:
            item.wanted = found.render(instance, self.target)
        except UnsafeValue as refused:
            item.fails(str(refused))
        except Exception as defect:  # one object's fault must not stop the others
            log.exception("%s cannot be rendered", item.path)
            item.fails(f"Its file cannot be made: {defect}")
        if item.wanted and item.handmade:
            item.fails(item.handmade)

    def _ask_the_owners(self, items: list[_Item]) -> None:
        """Where the change's own object wants no file, the one that the file there names may still want it:
        a change can be older than what stands there."""
        others = []
        for item in items:
            if item.wanted or item.failure or item.before is None:
                continue
            owner = owner_of(item.before)
            if owner and owner != (item.kind, item.object_id):
                item.kind, item.object_id = owner
                others.append(item)
        self._render(others)

    # --- putting it there ---------------------------------------------------------------------------

    def _write(self, items: list[_Item]) -> None:
        self._put([(item, item.content) for item in items])
        self._make_durable(items)

    def _put(self, contents: list[tuple[_Item, str | None]]) -> None:
        """All beside their places first, then into them: nothing is replaced before its successor is safe."""
        is_few = len(contents) <= WRITERS
        with ThreadPoolExecutor(WRITERS) as writers:
            each = map if is_few else writers.map
            for done, _ in enumerate(each(lambda one: self._stage(*one, durable=is_few), contents), start=1):
                self.progress("Writing", done, len(contents))
            if not is_few:
                self._flush([item for item, _ in contents])
            for done, _ in enumerate(each(lambda one: self._place(*one), contents), start=1):
                self.progress("Putting into place", done, len(contents))

    def _stage(self, item: _Item, content: str | None, *, durable: bool) -> None:
        try:
            self.disk.stage(item.path, content, durable=durable)
        except NotOurs as refused:
            item.fails(str(refused))
        except OSError as problem:
            item.stumbles(problem)

    def _flush(self, items: list[_Item]) -> None:
        try:
            self.disk.flush()
        except OSError as problem:
            for item in items:
                item.stumbles(problem)
                self.disk.unstage(item.path)

    def _place(self, item: _Item, content: str | None) -> None:
        if item.failure:
            return
        try:
            self.disk.place(item.path, content)
        except NotOurs as refused:
            item.fails(str(refused))
        except OSError as problem:
            item.stumbles(problem)

    def _make_durable(self, items: list[_Item]) -> None:
        by_directory: dict[str, list[_Item]] = defaultdict(list)
        for item in items:
            by_directory[item.path.rpartition("/")[0]].append(item)
        for directory, inside in by_directory.items():
            try:
                self.disk.settle(directory)
            except OSError as problem:
                for item in inside:
                    item.stumbles(problem)

    def _reload(self, items: list[_Item], outcome: Outcome) -> Reload:
        done, is_answered = self._ask_to_reload(len(items))
        if not done.succeeded:
            self._take_back(items, done.reply, refused=is_answered)
        outcome.reloads += 1
        outcome.milliseconds += done.milliseconds
        return done

    def _take_back(self, items: list[_Item], reply: str, *, refused: bool) -> None:
        """The switch kept its old configuration: a restart must not come up with worse than before."""
        self._put([(item, item.before) for item in items])
        self._make_durable(items)
        says = f"The switch refused the configuration: {reply}" if refused else reply
        for item in items:
            stays = f" And its old file could not be put back: {item.failure.reason}" if item.failure else ""
            item.failure = Failure(says + stays, refused)

    def _tell_and_ask(self, items: list[_Item]) -> None:
        """Tell the switch what the reload did not do, then ask it whether it has what was published.

        What it must let go of first is not waited for here: such a change comes back in a moment.
        """
        for item in items:
            item.tell(self.target)
        slow = [item for item in items if item.awaited]
        quick = [item for item in items if not item.awaited]
        answers = self._hear(
            {item.path: [*item.told, *([item.awaited.command] if item.awaited else [])] for item in items},
            quick,
        )
        free = [item for item in slow if self._is_free(item, answers)]
        if free:
            self._hear({item.path: list(item.awaited.then) for item in free}, free)

    def _hear(self, said: dict[str, list[str]], judged: list[_Item]) -> dict[str, Answer]:
        """Say each item's commands and judge these items; an item that was not answered fails."""
        asked = {item.path: [check.command for check in item.checks] for item in judged}
        known = self._surveyed([check for item in judged for check in item.checks])
        commands = [command for some in (said, asked) for each in some.values() for command in each]
        answers, lost = self._answers([each for each in dict.fromkeys(commands) if each not in known])
        answers |= known
        for item in judged:
            if answers.keys() >= {*said[item.path], *asked[item.path]}:
                self._judge(item, answers)
            else:
                self._was_lost(item, lost)
        return answers | {"": Answer(lost)}

    def _is_free(self, item: _Item, answers: dict[str, Answer]) -> bool:
        """Whether the switch has let go of what this item waits for."""
        if item.awaited.command not in answers:
            self._was_lost(item, answers[""].text)
        elif (
            item.waited_seconds < item.awaited.seconds
            or item.awaited.until not in answers[item.awaited.command].text
        ):
            item.failure = Failure(item.awaited.words, refused=False, waits=True)
        return item.failure is None

    def _was_lost(self, item: _Item, lost: str) -> None:
        item.fails(f"Written and reloaded, but the switch could not be asked: {lost}", refused=False)
        item.is_unsure = item.known == item.hash

    def _judge(self, item: _Item, answers: dict[str, Answer]) -> None:
        for check in item.checks:
            if problem := check.problem(answers[check.command]):
                item.fails(problem + self._rivals(check, item.path))
                item.is_unsure = True

    def _rivals(self, check: Check, path: str) -> str:
        """The files that the switch may have read instead of ours, for the first few that failed."""
        if not check.rival or self._searches == MOST_SEARCHES:
            return ""
        self._searches += 1
        found = files_that_hold(self.disk.root, check.rival, but=path)
        return f" Found in: {'; '.join(found)}." if found else ""

    def _surveyed(self, checks: list[Check]) -> dict[str, Answer]:
        """The answers to those of the checks of which a survey is certain."""
        known: dict[str, Answer] = {}
        wanted = {check.command for check in checks}
        for survey, count in Counter(check.survey for check in checks if check.survey).items():
            if count >= SURVEY_FROM and survey.command not in _in_vain:
                told = self._survey(survey)
                known |= {command: Answer(told[command]) for command in wanted & told.keys()}
        return known

    def _survey(self, survey: Survey) -> Mapping[str, str]:
        if self.switch.published.count() > SURVEY_TO:
            return {}
        self.progress("Asking the switch", 0, 1)
        try:
            [text] = self.client.api_many([survey.command], timeout=READ_BACK_TIMEOUT)
        except ESLError as lost:
            log.warning("%s was asked in vain, so each file is asked for by itself: %s", survey.command, lost)
            _in_vain.add(survey.command)
            return {}
        return survey.read(text)

    def _answers(self, commands: list[str]) -> tuple[dict[str, Answer], str]:
        """The answers that came, and why no more did."""
        answers: dict[str, Answer] = {}
        try:
            for first in range(0, len(commands), QUESTIONS):
                some = commands[first : first + QUESTIONS]
                texts = self.client.api_many(some, timeout=READ_BACK_TIMEOUT)
                answers |= {command: Answer(text) for command, text in zip(some, texts, strict=True)}
                self.progress("Asking the switch", len(answers), len(commands))
        except ESLError as lost:
            return answers, str(lost)
        return answers, ""

    # --- what is known now --------------------------------------------------------------------------

    @transaction.atomic
    def _settle(
        self, items: list[_Item], moved: list[_Item], outcome: Outcome, reload: Reload | None
    ) -> None:
        if reload:
            reload.save()
        failures = {item.path: item.failure for item in items if item.failure}
        outcome.waiting = sum(failure.waits for failure in failures.values())
        arrived = [item for item in items if not item.failure]
        outcome.failed = {path: failure.reason for path, failure in failures.items()}
        outbox.failed([item.change for item in items if item.failure], failures)
        self._remember([item for item in arrived if item.wanted])
        gone = [item.path for item in items if item.is_unsure or not (item.wanted or item.failure)]
        self.switch.published.filter(path__in=gone).delete()
        outbox.done([item.change for item in arrived])
        history.remember(
            self.switch,
            [
                (item.path, item.kind, item.object_id, item.before, item.content)
                for item in arrived
                if item.before and item.content and item.before != item.content
            ],
        )
        fresh = {id(item) for item in moved}
        for item in arrived:
            changed = id(item) in fresh and item.before != item.content
            kind = (outcome.written if item.wanted else outcome.removed) if changed else outcome.unchanged
            kind.append(item.path)

    def _remember(self, items: list[_Item]) -> None:
        """What the switch has been seen to have."""
        if items:
            values = [(item.path, item.kind, item.object_id, item.hash) for item in items]
            with connection.cursor() as cursor:
                columns = map(list, zip(*values, strict=True))
                cursor.execute(_PUT_PUBLISHED, [self.switch.pk, timezone.now(), *columns])


@contextmanager
def only_publisher(switch: Switch, *, wait: bool = False) -> Iterator[bool]:
    """True while this process alone may publish to that switch (a PostgreSQL advisory lock).

    The lock is the connection's: it may be taken again inside, and ends with the process. So that it also
    ends with its machine, PostgreSQL is told to ask whether that is still there (else after two hours).
    """
    key = f"patchbay publisher {switch.pk}"
    with connection.cursor() as cursor:
        cursor.execute(_LOCK if wait else _LOCK_IF_FREE, [key])
        mine = cursor.fetchone()[-1]
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [key])
