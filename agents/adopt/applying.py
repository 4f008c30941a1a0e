"""Makes the agents and puts their files in the place of the hand-made ones; all of it or nothing.

At no moment is a user missing from the directory: the agent's file is written beside its place, the hand-made
one gets its second name, and then the one replaces the other in one step, with the same password. If this
process is killed in between, the phones work on, and the next run does what was left.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, transaction

from agents.models import Agent
from agents.switchxml import agent_file, agent_path
from eslbridge.models import Switch
from eslbridge.publishing import Target
from eslbridge.publishing.files import ConfDir
from eslbridge.publishing.outbox import queue_saved, retry
from eslbridge.publishing.publisher import only_publisher

from .planning import Candidate, Place, is_kept, set_aside

STAGED = ".patchbay-new"  # not *.xml: the switch does not include it


class NotAdopted(Exception):
    """It failed, and what had been done was undone; the text says what failed, and what is left to do."""


def adopt(candidates: Sequence[Candidate], place: Place) -> list[str]:
    """Adopt these candidates (all of them can be); returns the paths of the files that were put aside.

    Raises NotAdopted. Waits until the switch's publisher has finished what it is at.
    """
    switch = Switch.objects.filter(name=settings.SWITCH_NAME).first()
    swap = _Swap(place)
    with only_publisher(switch, wait=True) if switch else nullcontext():
        try:
            created = _create(candidates)
        except DatabaseError as problem:
            raise NotAdopted(f"The agents could not be saved: {problem}") from problem
        try:
            if place.is_read:
                swap.make(candidates)
        except BaseException as problem:
            left = [*swap.undo(), *_delete(created)]
            raise NotAdopted(" ".join([_in_words(problem), *left])) from problem
    if switch:
        retry(switch.pending.filter(path__in=[agent_path(each.agent) for each in candidates]))
    return [place.path_of(original) for original, _ in swap.kept]


def _create(candidates: Sequence[Candidate]) -> list[Agent]:
    new = [each.agent for each in candidates if each.is_new]
    with transaction.atomic():
        Agent.objects.bulk_create(new)
        queue_saved(new)
    return new


def _delete(agents: list[Agent]) -> list[str]:
    try:
        Agent.objects.filter(pk__in=[agent.pk for agent in agents]).delete()
    except DatabaseError:
        names = ", ".join(agent.extension for agent in agents)
        return [f"The database does not answer, so these agents are left: {names}. Run this again."]
    return []


def _in_words(problem: BaseException) -> str:
    if isinstance(problem, OSError) and problem.filename:
        return f"{problem.filename}: {problem.strerror}."
    return f"{type(problem).__name__} {problem}".strip() + "."


class _Swap:
    """Puts hand-made files aside and the agents' in their place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.disk = ConfDir(place.conf_dir)
        self.staged: list[str] = []
        self.kept: list[tuple[Path, Path]] = []
        self.placed: list[str] = []

    def make(self, candidates: Sequence[Candidate]) -> None:
        for each in candidates:
            self._stage(each)
        for original in dict.fromkeys(each.user.file for each in candidates):
            self._keep(original)
        for path in self.staged:
            (self.place.conf_dir / (path + STAGED)).replace(self.place.conf_dir / path)
            self.placed.append(path)
        for original, _ in self.kept:
            if self.place.path_of(original) not in self.placed:
                original.unlink()
        originals = [self.place.path_of(original) for original, _ in self.kept]
        for directory in {os.path.dirname(path) for path in [*self.placed, *originals]}:
            self.disk.settle(directory)

    def _stage(self, candidate: Candidate) -> None:
        """Write the agent's file beside its place: a full disk is found before anything has changed."""
        rendered = agent_file(candidate.agent, Target("", self.place.domain))
        if rendered is not None:
            path = agent_path(candidate.agent)
            self.staged.append(path)
            self.disk.write(path + STAGED, rendered.content)

    def _keep(self, original: Path) -> None:
        """Give the file its second name. It keeps its owner, mode and time."""
        kept = set_aside(original)
        try:
            os.link(original, kept, follow_symlinks=False)
        except FileExistsError:
            if not is_kept(original):
                raise
        except OSError:  # no links on this file system, or not to somebody else's file
            self._copy(original, kept)
        self.kept.append((original, kept))

    @staticmethod
    def _copy(original: Path, kept: Path) -> None:
        try:
            shutil.copy2(original, kept, follow_symlinks=False)
        except OSError:
            kept.unlink(missing_ok=True)
            raise

    def undo(self) -> list[str]:
        """Put everything back; returns a sentence for each file that could not be."""
        left = []
        originals = {self.place.path_of(original) for original, _ in self.kept}
        new = [path for path in self.placed if path not in originals]
        for path in [*new, *(path + STAGED for path in self.staged)]:
            try:
                self.disk.write(path, None)
            except OSError:
                left.append(f"Remove {path} by hand.")
        for original, kept in self.kept:
            try:
                _put_back(kept, original)
            except OSError:
                left.append(f"Rename {kept} to {original.name} by hand.")
        return left


def _put_back(kept: Path, original: Path) -> None:
    # Of two names of one file, rename would keep both.
    if os.path.lexists(original) and os.path.samestat(original.lstat(), kept.lstat()):
        kept.unlink()
    else:
        kept.replace(original)
