"""The columns of a spreadsheet: how a cell becomes a value, and a value a cell."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from import_export.fields import Field
from import_export.widgets import Widget

_YES = {"yes", "y", "true", "t", "1", "on"}
_NO = {"no", "n", "false", "f", "0", "off"}
_WHOLE = re.compile(r"([+-]?[0-9]+)[.,]0+")
_SCIENTIFIC = re.compile(r"([+-]?[0-9])(?:[.,]([0-9]*))?E\+?([0-9]{1,2})", re.IGNORECASE)


def as_typed(text: str) -> str:
    """A number as it was typed, before a spreadsheet made 1020.0 or 1.02E+03 of it.

    Raises ValueError when digits are lost.
    """
    text = text.strip()
    if found := _WHOLE.fullmatch(text):
        return found[1]
    if found := _SCIENTIFIC.fullmatch(text):
        digits, exponent = found[2] or "", int(found[3])
        if len(digits.rstrip("0")) > exponent or len(digits) < exponent:
            raise ValueError(
                f"The spreadsheet rounded this number to {text}. Format the column as text and type it again."
            )
        return found[1] + digits[:exponent]
    return text


class Text(Widget):
    """Text, exactly as it stands there."""

    def load(self, values: Iterable[str]) -> None:
        """Look up at once what these cells of a file name."""

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        return value

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else str(value)


class Word(Text):
    """Text without the spaces around it."""

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        return value.strip()


class Digits(Text):
    """A number that is dialled, not calculated with."""

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        return as_typed(value)


class Telephone(Text):
    """A telephone number in any form, kept by what `normalize` makes of it."""

    def __init__(self, normalize: Any) -> None:
        super().__init__()
        self.normalize = normalize

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        typed = as_typed(value)
        try:
            return self.normalize(typed) if typed else ""
        except ValidationError as refused:
            raise ValueError(" ".join(refused.messages)) from None


class YesNo(Text):
    """A yes or a no, in the ways that spreadsheets write them."""

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        word = as_typed(value).casefold()
        if word not in _YES | _NO:
            raise ValueError("This is neither yes nor no. Write one of the two.")
        return word in _YES

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "yes" if value else "no"


class OneOf(Text):
    """One of a few words."""

    def __init__(self, choices: Mapping[str, str]) -> None:
        super().__init__()
        self.choices = dict(choices)

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        word = value.strip().casefold()
        if word not in self.choices:
            meanings = ", ".join(f"{name} ({meaning})" for name, meaning in self.choices.items())
            raise ValueError(f"Write one of: {meanings}.")
        return word


class Named(Text):
    """Another object by its name or number. All that a file names are looked up in one query, by `load`."""

    def __init__(self, model: type[models.Model], key: str, missing: str) -> None:
        super().__init__()
        self.model, self.key, self.missing = model, key, missing
        self.found: dict[str, models.Model] = {}

    def load(self, values: Iterable[str]) -> None:
        keys = {self._key(value) for value in values}
        found = self.model._default_manager.filter(**{f"{self.key}__in": keys})
        self.found = {str(getattr(each, self.key)): each for each in found}

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> Any:
        key = self._key(value)
        if key not in self.found:
            raise ValueError(self.missing.format(key[:40]))
        return self.found[key]

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else str(getattr(value, self.key))

    def _key(self, value: str) -> str:
        found = _WHOLE.fullmatch(value.strip())
        return found[1] if found else value.strip()


class Column(Field):
    """A column with a name that people read; `help` says what may stand there.

    An empty cell clears the value, unless the column `keeps` (then it stays, or is the default for a new
    object) or is `required`. A `secret` column is neither exported nor read without permission, nor shown.
    """

    def __init__(
        self,
        attribute: str,
        widget: Widget,
        help: str = "",
        *,
        required: bool = False,
        keeps: bool = False,
        secret: bool = False,
    ) -> None:
        super().__init__(attribute=attribute, widget=widget)
        self.help, self.required, self.keeps, self.secret = help, required, keeps, secret

    @property
    def is_name(self) -> bool:
        """Whether the value is part of what the object is called."""
        return self.required and not isinstance(self.widget, Named)

    def save(self, instance: Any, row: Mapping[str, str], is_m2m: bool = False, **kwargs: Any) -> None:
        """Put the cell's value on the instance; raises ValueError with the fix."""
        if row[self.column_name].strip():
            setattr(instance, self.attribute, self.clean(row))
        elif self.required:
            raise ValueError("This cell is empty. Fill it in, or delete the row.")
        elif not self.keeps:
            setattr(instance, self.attribute, self._nothing(instance))

    def _nothing(self, instance: models.Model) -> Any:
        field = instance._meta.get_field(self.attribute)
        return None if field.null else field.to_python("")

    def names(self, model: type[models.Model]) -> set[str]:
        """All that the column may be called in a file."""
        verbose = str(model._meta.get_field(self.attribute).verbose_name)
        return {_plain(self.column_name), _plain(self.attribute), _plain(verbose)}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().casefold()).strip("_")


def recognized(
    headers: list[str], columns: list[Column], model: type[models.Model]
) -> tuple[list[str], list[str]]:
    """(the columns' own names for these headers, what is wrong with the headers in words)."""
    known = {name: column.column_name for column in columns for name in column.names(model)}
    ours, problems = [], []
    for position, header in enumerate(headers, 1):
        name = known.get(_plain(header))
        if name is None:
            problems.append(_unknown(header, position, known, columns))
        elif name in ours:
            problems.append(f"The column “{name}” stands there twice. Delete one of the two.")
        ours.append(name or "")
    return ours, problems


def _unknown(header: str, position: int, known: Mapping[str, str], columns: list[Column]) -> str:
    if not header:
        return f"Column {position} has no name in the first row. Name it, or delete the column."
    near = get_close_matches(_plain(header[:60]), known, n=1)
    if near:
        return f"The column “{header[:60]}” is unknown. Did you mean “{known[near[0]]}”?"
    names = ", ".join(column.column_name for column in columns)
    return f"The column “{header[:60]}” is unknown. Delete it, or rename it to one of: {names}."
