"""Which objects have a file on the switch, and how that file is made.

    @publishes(Agent, directory="directory/default", path=agent_path)
    def agent_xml(agent: Agent, target: Target) -> Rendered | None: ...

gives the model all there is: queued when saved or deleted, written, reloaded, read back, compared, synced.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any

from django.db import models
from django.db.models.signals import post_delete, post_save

# Objects that are held in memory at a time when all are rendered.
CHUNK = 2000
_BETWEEN_WORDS = re.compile(r'[\s"<>]+')


@dataclass(frozen=True)
class Target:
    """The switch that a file is made for: what a renderer may depend on."""

    name: str
    domain: str


@dataclass(frozen=True)
class Survey:
    """One question that answers many others: a switch with 10,000 users takes a millisecond to find one of
    them, and less than a second to tell them all.

    `read` takes what the switch answers to `command` and gives the answers to other commands. One of which
    it is not certain it leaves out; that is then asked by itself.
    """

    command: str
    read: Callable[[str], Mapping[str, str]] = field(compare=False)


@dataclass(frozen=True)
class Check:
    """A question to the switch after the reload: `expect` must be a word of what `command` answers.

    Words, so that the one answer for thousands of files is read once, and not searched once for each.
    `rival`, a regular expression, is how to know another file that the switch may have read instead.
    `survey` may answer it among many.
    """

    command: str
    expect: str
    failure: str
    rival: str = ""
    survey: Survey | None = None

    def problem(self, answer: "Answer") -> str:
        """The failure in words, with the switch's own answer; empty when the answer is right."""
        if self.expect in answer.words:
            return ""
        return f"{self.failure} (the switch answered “{answer.text.strip()[:200]}” to {self.command})"


class Answer:
    """What the switch answered to one question."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> frozenset[str]:
        """All that stands between spaces, quotes and angle brackets."""
        return frozenset(_BETWEEN_WORDS.split(self.text))


@dataclass(frozen=True)
class Rendered:
    """A file as it should be on the switch, and the questions that prove that the switch has it."""

    content: str
    checks: tuple[Check, ...] = ()

    @property
    def sha256(self) -> str:
        return digest(self.content)


def digest(content: str) -> str:
    """The hash by which a file's content is known; also of one that is not UTF-8."""
    return sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Await:
    """Commands that must wait for the switch: `then` is sent once `command` answers with `until` in it.

    `words` tells the operator meanwhile what is waited for. Other changes do not wait with it. At least
    `seconds` go by after the switch was told.
    """

    command: str
    until: str
    then: tuple[str, ...]
    words: str
    seconds: float = 0


# What to tell the switch after its file changed: (path, old content, new content, target) -> api commands,
# and at the end perhaps one that has to wait.
# Old content is "" when there was no file, and None when nobody can say what the switch had.
AfterReload = Callable[[str, str | None, str | None, Target], Iterable[str | Await]]


# From the text of a file that is not ours, as the switch reads it: the paths of ours that it may shadow.
Shadows = Callable[[str], Iterable[str]]


# From some changed objects of one model to those whose files they change.
Affected = Callable[[list[Any]], Iterable[models.Model]]


# Called with what is done, how much of it so far, and how much there is.
Progress = Callable[[str, int, int], None]


def untold(what: str, done: int, total: int) -> None:
    """The progress of what nobody watches."""


def _nothing(*_: object) -> Iterable[str]:
    return ()


def _is_ready(instances: list[Any]) -> None:
    """Nothing has to be fetched before these are rendered."""


@dataclass(frozen=True)
class Publication:
    """One registered kind of object."""

    kind: str
    directories: tuple[str, ...]
    render: Callable[[Any, Target], Rendered | None]
    path: Callable[[Any], str]
    after_reload: AfterReload = _nothing
    model: type[models.Model] | None = None
    related: tuple[str, ...] = ()
    prepare: Callable[[list[Any]], None] = _is_ready
    constants: tuple[Any, ...] = field(default=())
    shadows: Shadows = _nothing

    def count(self) -> int:
        """How many objects there are."""
        return len(self.constants) if self.model is None else self.model._default_manager.count()

    def objects(self, ids: Iterable[int] | None = None) -> Iterator[tuple[int, str, Any]]:
        """(id, label, object) of all, or of those ids, streamed."""
        if self.model is None:
            yield from ((0, self.kind, constant) for constant in self.constants)
            return
        query = self.model._default_manager.select_related(*self.related)
        is_few = False
        if ids is not None:
            wanted = list(ids)
            query = query.filter(pk__in=wanted)
            is_few = len(wanted) <= CHUNK
        # A cursor on the server is four questions instead of one.
        streamed = iter(query) if is_few else query.iterator(chunk_size=CHUNK)
        while chunk := list(islice(streamed, CHUNK)):
            self.prepare(chunk)
            yield from ((instance.pk, str(instance), instance) for instance in chunk)


_publications: dict[str, Publication] = {}
_affected: dict[type[models.Model], dict[str, Affected]] = {}  # changed model -> why -> which
_always_affected: dict[type[models.Model], set[str]] = {}  # changed model -> kinds without objects


def publications() -> list[Publication]:
    return list(_publications.values())


def publication(kind: str) -> Publication | None:
    return _publications.get(kind)


def publication_of(model: type[models.Model]) -> Publication | None:
    return _publications.get(model._meta.label_lower)


def affected_by(model: type[models.Model]) -> list[Affected]:
    """For changed objects of this model: what finds the objects, of it and of others, to publish again."""
    return list(_affected.get(model, {}).values())


def always_affected_by(model: type[models.Model]) -> list[Publication]:
    """The files that every switch needs and that are made again when an object of this model changes."""
    return [_publications[kind] for kind in sorted(_always_affected.get(model, ()))]


def publishes(
    model: type[models.Model],
    *,
    directory: str | Iterable[str],
    path: Callable[[Any], str],
    related: Iterable[str] = (),
    prepare: Callable[[list[Any]], None] = _is_ready,
    after_reload: AfterReload = _nothing,
    depends_on: Mapping[type[models.Model], str | Affected] | None = None,
    shadows: Shadows = _nothing,
) -> Callable[[Callable[[Any, Target], Rendered | None]], Callable[[Any, Target], Rendered | None]]:
    """Register how one object of `model` becomes one file in `directory` of the switch's configuration.

    `prepare` gets some objects before they are rendered: what they need is fetched once, not for each.
    The decorated function returns the file, or None when the object has none (an inactive one).
    `depends_on` names other models, and for some instances of one the objects whose files must be made
    again when those are saved or deleted: by the field that leads to it (`{Agent: "agent"}`), or a function.
    `shadows` tells which of our files somebody else's file, when it comes first, takes the place of.
    """

    def register(
        render: Callable[[Any, Target], Rendered | None],
    ) -> Callable[[Any, Target], Rendered | None]:
        kind = model._meta.label_lower
        places = (directory,) if isinstance(directory, str) else tuple(directory)
        own = Publication(
            kind, places, render, path, after_reload, model, tuple(related), prepare, shadows=shadows
        )
        _publications[kind] = own
        _affected.setdefault(model, {})[kind] = lambda instances: instances
        _queue_when_changed(model)
        for source, how in (depends_on or {}).items():
            find = _through(own, how) if isinstance(how, str) else how
            _affected.setdefault(source, {})[f"{kind} by {source._meta.label_lower}"] = find
            _queue_when_changed(source)
        return render

    return register


def _through(own: Publication, lookup: str) -> Affected:
    def find(sources: list[Any]) -> Iterable[models.Model]:
        query = own.model._default_manager.select_related(*own.related)
        return query.filter(**{f"{lookup}__in": sources}).distinct()

    return find


def _queue_when_changed(source: type[models.Model]) -> None:
    from . import outbox

    def queue(sender: type[models.Model], instance: models.Model, **kwargs: object) -> None:
        outbox.queue_saved([instance])

    for signal, what in ((post_save, "saved"), (post_delete, "deleted")):
        uid = f"publish what depends on {source._meta.label_lower} when {what}"
        signal.connect(queue, sender=source, weak=False, dispatch_uid=uid)


def publishes_always(
    kind: str, *, directory: str, paths: Iterable[str], depends_on: Iterable[type[models.Model]] = ()
) -> Callable[[Callable[[str, Target], Rendered]], Callable[[str, Target], Rendered]]:
    """Register files that every switch needs, whatever the database holds: `render(path, target)`.

    They are made again when an object of a model in `depends_on` is saved or deleted.
    """

    def register(render: Callable[[str, Target], Rendered]) -> Callable[[str, Target], Rendered]:
        _publications[kind] = Publication(kind, (directory,), render, str, constants=tuple(paths))
        for source in depends_on:
            _always_affected.setdefault(source, set()).add(kind)
            _queue_when_changed(source)
        return render

    return register
