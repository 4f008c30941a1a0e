"""What objects that send calls on have in common: nothing they point to may be off, gone, or lead back."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connection, models

from ..destinations import GROUP, NUMBER, ROUTE, Destination, Targets, fetch, typed


class Pointing(models.Model):
    """An object with destinations in the columns `pointing_fields`."""

    pointing_fields: tuple[str, ...] = ()

    class Meta:
        abstract = True

    def destinations(self) -> Iterator[tuple[str, Destination]]:
        """(where, destination) of all that it points to."""
        for name in self.pointing_fields:
            if destination := getattr(self, name):
                yield name, destination

    @property
    def targets(self) -> Targets:
        """The objects that it points to; fetched once, for many objects by `fetch_targets`."""
        if not hasattr(self, "_targets"):
            self._targets = fetch(each for _, each in self.destinations())
        return self._targets

    def point_among(self, targets: Targets) -> None:
        """All that it may point to has been fetched already: an import does so for thousands."""
        self._targets = self._all_targets = targets

    def target(self, destination: Destination | None) -> Any:
        return destination and self.targets.get((destination.kind, destination.target))

    @classmethod
    def fetch_targets(cls, instances: Iterable["Pointing"]) -> None:
        """All that these objects point to, in one query a model."""
        instances = list(instances)
        found = fetch(each for instance in instances for _, each in instance.destinations())
        for instance in instances:
            instance._targets = found

    def pointing_errors(self) -> dict[str, str]:
        """What is wrong with where it points, by field."""
        if not hasattr(self, "_all_targets"):
            self.__dict__.pop("_targets", None)  # the form may have put others there
        errors = {}
        for where, destination in self.destinations():
            if problem := self._problem(destination):
                errors["members" if where.startswith("member ") else where] = problem
        return errors

    def _problem(self, destination: Destination) -> str:
        if destination.kind == NUMBER:
            return self._number_problem(destination.target)
        if destination.model is None:
            return ""
        target = self.target(destination)
        if target is None:
            return "What was chosen here does not exist any more. Choose another destination."
        if not target.is_active:
            return f"{target} is not active, so nobody would be called. Choose another, or activate it first."
        if circle := self._circle(destination):
            return (
                f"A circle: {' → '.join(circle)}. A call could go round for ever; choose another destination."
            )
        return ""

    def _number_problem(self, number: str) -> str:
        from .. import outbound

        try:
            outbound.plan(number)
        except outbound.NotAllowed as refused:
            return (
                f"No outbound route takes {number} for forwarded calls: {refused}. "
                "Add one under Outbound routes, for every call group, or choose another destination."
            )
        return ""

    def _circle(self, destination: Destination) -> list[str]:
        """The way from that destination back to this object, in words; empty when there is none."""
        me = Destination.to(self) if self.pk else None
        return _way(destination, me, [str(self)]) if me else []

    @classmethod
    def pointing_to(cls, destinations: Iterable[Destination]) -> models.QuerySet[Any]:
        """The objects of this model that point to any of these."""
        statement, conditions = _pointing(cls)
        wanted = [str(each) for each in destinations]
        with connection.cursor() as cursor:  # asked at each save of an agent, and nearly always in vain
            cursor.execute(statement, [wanted] * conditions)
            found = [pk for (pk,) in cursor.fetchall()]
        return cls._default_manager.filter(pk__in=found) if found else cls._default_manager.none()


@cache
def _pointing(model: type[Pointing]) -> tuple[str, int]:
    """The question for the objects that point to some destinations, and how often it asks for these."""
    name = connection.ops.quote_name
    conditions = [f"{name(column)} = ANY(%s)" for column in model.pointing_fields]
    if hasattr(model, "members"):
        conditions.append("members ?| %s")
    return f"SELECT id FROM {name(model._meta.db_table)} WHERE {' OR '.join(conditions)}", len(conditions)  # noqa: S608


def _way(destination: Destination, to: Destination, so_far: list[str]) -> list[str]:
    if len(so_far) > 50 or destination.kind not in {GROUP, ROUTE}:
        return []
    target = fetch([destination]).get((destination.kind, destination.target))
    if target is None:
        return []
    way = [*so_far, str(target)]
    if destination == to:
        return way
    for _, following in target.destinations():
        if found := _way(following, to, way):
            return found
    return []


def pointing_models() -> list[type[Pointing]]:
    return [apps.get_model("routes", name) for name in ("InboundRoute", "RingGroup")]


__all__ = ["Pointing", "pointing_models", "typed"]
