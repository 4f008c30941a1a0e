"""Import of a published model: every row is checked, then all are saved with a few queries, or none.

django-import-export walks the rows; here is what it would do with a query or a copy for each of them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models
from import_export.instance_loaders import BaseInstanceLoader
from import_export.resources import Resource
from import_export.results import Result, RowResult

from eslbridge.publishing import outbox

from .columns import Column, Named, recognized
from .sheets import Problem, Sheet

BATCH = 2000


@dataclass(frozen=True)
class Change:
    """One value of an existing object that the import changes, as the spreadsheet writes it."""

    column: str
    before: str
    after: str
    is_secret: bool = False


class ImportRow(RowResult):
    """What becomes of one row: `import_type`, and for an existing object its `changes`."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.changes: list[Change] = []


class ImportResult(Result):
    """What an import did or would do. It `may_be_imported` when nothing at all is wrong."""

    rows: list[ImportRow]

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[Problem] = []
        self.notices: list[str] = []

    @property
    def may_be_imported(self) -> bool:
        return not (self.base_errors or self.problems or self.error_rows)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows are new, changed, unchanged and wrong."""
        found = Counter(row.import_type for row in self.rows)
        return {
            "new": found[RowResult.IMPORT_TYPE_NEW],
            "changed": found[RowResult.IMPORT_TYPE_UPDATE],
            "unchanged": found[RowResult.IMPORT_TYPE_SKIP],
            "wrong": len({problem.row for problem in self.problems}),
        }

    @property
    def moving(self) -> list[ImportRow]:
        """The rows that change anything, in the file's order."""
        types = (RowResult.IMPORT_TYPE_NEW, RowResult.IMPORT_TYPE_UPDATE)
        return [row for row in self.rows if row.import_type in types]

    @property
    def fingerprint(self) -> str:
        """The same for two results that mean the same: so that only what was shown is confirmed."""
        rows = [(row.number, row.import_type, row.changes) for row in self.rows]
        return sha256(repr(rows).encode()).hexdigest()

    def say(self, text: str) -> None:
        """Something is wrong with the file as a whole."""
        self.append_base_error(PublishedResource.get_error_result_class()(ValueError(text)))


class PublishedResource(Resource):
    """The spreadsheet of one published model. Its `Meta` names `model` and `import_id_fields`: one column.

    `secrets` allows the secret columns, out and in.
    """

    class Meta:
        instance_loader_class = BaseInstanceLoader  # not asked: all are loaded at once, in `before_import`
        use_bulk = True
        batch_size = None  # nothing is saved before the last row was checked
        skip_unchanged = True
        skip_diff = True  # the differences are told by `ImportRow.changes`, without copies of every object
        chunk_size = BATCH

    def __init__(self, *, secrets: bool = False) -> None:
        super().__init__()
        self.secrets = secrets
        self.columns: list[Column] = list(self.fields.values())
        self.key_column: Column = self.fields[self._meta.import_id_fields[0]]
        self.dry_run = True
        self.expected = ""

    @classmethod
    def get_display_name(cls) -> str:
        return str(cls._meta.model._meta.verbose_name_plural)

    @classmethod
    def get_result_class(cls) -> type[ImportResult]:
        return ImportResult

    @classmethod
    def get_row_result_class(cls) -> type[ImportRow]:
        return ImportRow

    # --- what subclasses may say ----------------------------------------------------------------------

    def others_wrong(self) -> Iterable[Problem]:
        """What is wrong between the rows of `self.given`, or with objects that the file does not name."""
        return ()

    def wrong(self, instance: Any, changed: set[str]) -> Mapping[str, str]:
        """What is wrong with the values of these changed columns, beside what the model itself says."""
        return {}

    def before_saving(self, changed: list[Any]) -> None:
        """Before existing objects get their new values, when nothing is wrong."""

    # --- export ---------------------------------------------------------------------------------------

    def shown_columns(self) -> list[Column]:
        """The columns that this user may have."""
        return [column for column in self.columns if self.secrets or not column.secret]

    def get_export_fields(self, selected_fields: Any = None) -> list[Column]:
        return self.shown_columns()

    def filter_export(self, queryset: models.QuerySet[Any], **kwargs: Any) -> models.QuerySet[Any]:
        hidden = [column.attribute for column in self.columns if column not in self.shown_columns()]
        return queryset.select_related(*self._related()).defer(*hidden)

    def _related(self) -> list[str]:
        return [column.attribute for column in self.columns if isinstance(column.widget, Named)]

    # --- import ---------------------------------------------------------------------------------------

    def import_data(self, dataset: Sheet, dry_run: bool = False, expected: str = "", **kwargs: Any) -> Any:
        """Import the sheet, or with `dry_run` only say what would change.

        With `expected`, the fingerprint of a result, it is imported only if that is still what happens.
        """
        self.dry_run, self.expected = dry_run, expected
        result = ImportResult()
        for problem in self._name_columns(dataset):
            result.say(problem)
        if not result.base_errors:
            try:
                result = super().import_data(dataset, dry_run, rollback_on_validation_errors=True, **kwargs)
            except IntegrityError:
                result.say("Somebody else saved one of these rows at the same moment. Upload the file again.")
        result.notices = dataset.notices
        return result

    def _name_columns(self, sheet: Sheet) -> list[str]:
        headers, problems = recognized(sheet.headers, self.columns, self._meta.model)
        if problems:
            return problems
        self._renamed = dict(zip(sheet.headers, headers, strict=True))
        sheet.headers = headers
        if self.key_column.column_name not in headers:
            return [
                f"The column “{self.key_column.column_name}” is missing: it says which "
                f"{self._meta.model._meta.verbose_name} a row is about."
            ]
        return [self._refused(column) for column in self.columns if self._holds_forbidden(sheet, column)]

    def _holds_forbidden(self, sheet: Sheet, column: Column) -> bool:
        if not column.secret or self.secrets or column.column_name not in sheet.headers:
            return False
        return any(value.strip() for value in sheet[column.column_name])

    @staticmethod
    def _refused(column: Column) -> str:
        return (
            f"The column “{column.column_name}” may be imported only by somebody who may see the passwords "
            "of phones. Delete the column: then new objects get values of their own, and others keep theirs."
        )

    def before_import(self, dataset: Sheet, **kwargs: Any) -> None:
        self._sheet = dataset
        self._present = [column for column in self.columns if column.column_name in dataset.headers]
        self._allowed = [column for column in self._present if self.secrets or not column.secret]
        self._cells: dict[int, list[Problem]] = {}
        for problem in dataset.problems:
            found = problem._replace(column=self._renamed[problem.column])
            self._cells.setdefault(problem.row, []).append(found)
        # What a field's own check would ask the database for, and what the file says nothing about.
        unasked = {column.attribute for column in self.columns if column not in self._present}
        self._passed_over = {*self._related(), *unasked}
        for column in self._present:
            column.widget.load(set(dataset[column.column_name]))
        keys = [self._key(value) for value in dataset[self.key_column.column_name]]
        self._existing = self._load({key for key in keys if key})
        self._row_of: dict[str, int] = {}
        self.given: list[tuple[int, Any]] = []
        self._before: list[Any] | None = None
        self._changed: set[str] = set()

    def _load(self, keys: set[str]) -> dict[str, Any]:
        name = self.key_column.attribute
        query = self._meta.model._default_manager.filter(**{f"{name}__in": keys})
        query = query.select_related(*self._related())
        if not self.dry_run:
            query = query.select_for_update(of=("self",)).order_by(name)
        return {getattr(instance, name): instance for instance in query}

    def _key(self, value: str) -> str:
        """The key as the database has it; empty when it is none (the row's own check says why)."""
        try:
            return self.key_column.widget.clean(value)
        except ValueError:
            return ""

    def get_or_init_instance(self, instance_loader: Any, row: Mapping[str, str]) -> tuple[Any, bool]:
        instance = self._existing.get(self._key(row[self.key_column.column_name]))
        if instance is None:
            self._before = None
            return self._meta.model(), True
        self._before = [column.get_value(instance) for column in self._present]
        return instance, False

    def import_instance(self, instance: Any, row: Mapping[str, str], **kwargs: Any) -> None:
        number = self._sheet.numbers[kwargs["row_number"] - 1]
        errors: dict[str, list[ValidationError]] = {}
        for column in self._allowed:
            try:
                column.save(instance, row)
            except ValueError as refused:
                errors[column.attribute] = [ValidationError(str(refused))]
        for problem in self._cells.get(number, []):
            errors.setdefault(self._attribute(problem.column), []).append(ValidationError(problem.text))
        key = getattr(instance, self.key_column.attribute)
        if key and (first := self._row_of.setdefault(key, number)) != number:
            text = f"Row {first} has the same. Delete one of the two rows."
            errors.setdefault(self.key_column.attribute, []).append(ValidationError(text))
        self.given.append((number, instance))
        if errors:
            raise ValidationError(errors)

    def _attribute(self, column: str) -> str:
        return next(each.attribute for each in self.columns if each.column_name == column)

    def skip_row(self, instance: Any, original: Any, row: Any, import_validation_errors: Any = None) -> bool:
        after = [column.get_value(instance) for column in self._present]
        before = [None] * len(after) if self._before is None else self._before
        moved = zip(self._present, before, after, strict=True)
        self._changes = [each for each in moved if each[1] != each[2]]
        if self._before is None:
            return False
        self._changed |= {column.attribute for column, _, _ in self._changes}
        return not self._changes and not import_validation_errors

    def validate_instance(
        self, instance: Any, import_validation_errors: Any = None, validate_unique: bool = True
    ) -> None:
        """Everything that the model's own forms check, without a query: relations were looked up before."""
        errors = dict(import_validation_errors or {})
        for check in (
            partial(instance.clean_fields, exclude=self._passed_over | set(errors)),
            instance.clean,
        ):
            try:
                check()
            except ValidationError as refused:
                found = refused.update_error_dict({})
                errors |= {name: found[name] for name in found if name not in errors}
        changed = {column.attribute for column, _, _ in self._changes}
        for name, text in self.wrong(instance, changed - set(errors)).items():
            errors.setdefault(name, []).append(ValidationError(text))
        if errors:
            raise ValidationError(errors)

    def after_import_row(self, row: Mapping[str, str], row_result: ImportRow, **kwargs: Any) -> None:
        row_result.number = self._sheet.numbers[kwargs["row_number"] - 1]
        changes = self._changes
        if row_result.is_new():  # what its cells say beside its name
            changes = [each for each in changes if row[each[0].column_name].strip() and not each[0].is_name]
        if not row_result.is_skip():
            row_result.changes = [self._told(*change) for change in changes]

    @staticmethod
    def _told(column: Column, before: Any, after: Any) -> Change:
        if column.secret:
            return Change(column.column_name, "", "", is_secret=True)
        return Change(column.column_name, column.widget.render(before), column.widget.render(after))

    # --- after the last row ---------------------------------------------------------------------------

    def bulk_create(self, *args: Any, result: ImportResult, **kwargs: Any) -> None:
        """Called after the last row: save all, and queue what that changes, when nothing is wrong."""
        self._collect(result)
        if result.may_be_imported and self.expected and result.fingerprint != self.expected:
            result.say("Something was changed since this preview was made. Look at what would change now.")
        if result.may_be_imported and not self.dry_run:
            self._save()

    def bulk_update(self, *args: Any, **kwargs: Any) -> None:
        """Done by `bulk_create`."""

    def _collect(self, result: ImportResult) -> None:
        missing = [
            column.column_name for column in self.columns if column.required and column not in self._present
        ]
        new = next((row for row in result.rows if row.is_new()), None)
        if missing and new:
            result.say(
                f"The column “{missing[0]}” is missing. Without it only existing "
                f"{self._meta.model._meta.verbose_name_plural} can be changed, but row {new.number} is new."
            )
        for invalid in result.invalid_rows:
            result.problems += self._problems(invalid.number, invalid.error_dict)
        for failed in result.error_rows:  # a defect of ours: say it, rather than import the rest
            number = self._sheet.numbers[failed.number - 1]
            result.problems.append(Problem(number, "", "", f"Could not be checked: {failed.errors[0].error}"))
        if not result.problems:
            result.problems += self.others_wrong()

    def _problems(self, index: int, errors: Mapping[str, list[str]]) -> Iterable[Problem]:
        number = self._sheet.numbers[index - 1]
        row = dict(zip(self._sheet.headers, self._sheet[index - 1], strict=True))
        for attribute, texts in errors.items():
            column = next((each for each in self.columns if each.attribute == attribute), None)
            name = column.column_name if column else ("" if attribute == NON_FIELD_ERRORS else attribute)
            value = "" if column is None or column.secret else row.get(name, "")
            yield Problem(number, name, value, texts[0])

    def _save(self) -> None:
        manager = self._meta.model._default_manager
        if self.update_instances:
            self.before_saving(self.update_instances)
        manager.bulk_create(self.create_instances, batch_size=BATCH)
        if self.update_instances:
            manager.bulk_create(
                self.update_instances,
                batch_size=BATCH,
                update_conflicts=True,
                unique_fields=["pk"],
                update_fields=sorted(self._changed),
            )
        outbox.queue_saved([*self.create_instances, *self.update_instances])
