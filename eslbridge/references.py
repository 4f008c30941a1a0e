"""Which objects point to others without a foreign key, so that deleting those can name and refuse them."""

from collections.abc import Callable, Iterable

from django.db import models

# From objects that somebody wants to delete to those that point to them.
Pointing = Callable[[Iterable[models.Model]], Iterable[models.Model]]

_found_by: dict[type[models.Model], list[Pointing]] = {}


def refers_to(model: type[models.Model], find: Pointing) -> None:
    """Register what finds the objects that point to some of `model`."""
    if find not in (known := _found_by.setdefault(model, [])):
        known.append(find)


def references(instances: Iterable[models.Model]) -> list[models.Model]:
    """Every object that points to any of these, all of one model."""
    instances = list(instances)
    finders = _found_by.get(type(instances[0]), []) if instances else []
    return [each for find in finders for each in find(instances)]
