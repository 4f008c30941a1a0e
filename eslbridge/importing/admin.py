"""The pages: upload, preview, confirm; and export."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import slugify
from django.utils.timezone import localdate
from django.views.decorators.debug import sensitive_variables
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import Format
from unfold.contrib.import_export.forms import ExportForm
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldBooleanSwitchWidget

from . import sheets, uploads
from .resource import BATCH, Change, ImportResult, PublishedResource

SHOWN_ROWS = 300
SHOWN_PROBLEMS = 200


class CSV(Format):
    """Export as CSV."""

    def get_title(self) -> str:
        return "CSV"

    def can_export(self) -> bool:
        return True

    def get_extension(self) -> str:
        return "csv"

    def get_content_type(self) -> str:
        return "text/csv; charset=utf-8"

    def export_data(self, dataset: Any, **kwargs: Any) -> bytes:
        return sheets.to_csv(dataset.headers, dataset)


class XLSX(CSV):
    """Export as XLSX."""

    def get_title(self) -> str:
        return "XLSX (Excel, LibreOffice)"

    def get_extension(self) -> str:
        return "xlsx"

    def get_content_type(self) -> str:
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def export_data(self, dataset: Any, **kwargs: Any) -> bytes:
        return sheets.to_xlsx("Patchbay", dataset.headers, dataset)


class UploadForm(forms.Form):
    """One file of any kind that `sheets.read` knows."""

    import_file = forms.FileField(
        label="File",
        help_text=(
            f"CSV or XLSX, at most {sheets.MAX_ROWS:,} rows and {sheets.MAX_BYTES // 2**20} MB. "
            "Nothing is changed before you have seen what would be."
        ),
        error_messages={"empty": "The file is empty. The first row must hold the names of the columns."},
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.xlsx,.tsv,.txt"}),
    )

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > sheets.MAX_BYTES:  # before it is read into memory
            raise forms.ValidationError(sheets.too_big(file.size))
        return file


class SecretsExportForm(ExportForm):
    """The format, and for those who may: whether secrets are in the file."""

    secrets = forms.BooleanField(
        label="With passwords and voicemail PINs",
        help_text="Whoever has the file can use these phones. The export is noted in the history.",
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
    )


class SpreadsheetAdmin(ImportExportMixin):
    """Import and export for a ModelAdmin. `resource_classes` holds one PublishedResource."""

    export_form_class = SecretsExportForm
    secrets_permission = ""

    def may_see_secrets(self, request: HttpRequest) -> bool:
        return bool(self.secrets_permission) and request.user.has_perm(self.secrets_permission)

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    # --- import ---------------------------------------------------------------------------------------

    @sensitive_variables()
    def import_action(self, request: HttpRequest) -> HttpResponse:
        """The page with the upload; on POST the preview of what the file would change."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
        context: dict[str, Any] = {}
        if form.is_valid():
            file = form.cleaned_data["import_file"]
            try:
                context = self._preview(request, file.read(), file.name)
            except sheets.Unreadable as problem:
                form.add_error("import_file", str(problem))
        return self._import_page(request, form, context)

    @sensitive_variables()
    def process_import(self, request: HttpRequest) -> HttpResponse:
        """Import what was shown; when that is not what would happen any more, show it anew."""
        if not self.has_import_permission(request) or request.method != "POST":
            raise PermissionDenied
        try:
            token = signing.loads(
                request.POST.get("token", ""), salt=self._salt(request), max_age=uploads.KEPT_SECONDS
            )
            content = uploads.take(token["file"])
        except (signing.BadSignature, FileNotFoundError):
            messages.error(
                request,
                "Nothing was imported: this preview was confirmed already, or is older than an hour. "
                "Upload the file again.",
            )
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_import")
        with transaction.atomic():
            result = self._import(request, content, dry_run=False, expected=token["fingerprint"])
            if result.may_be_imported:
                self._log(request, result, token["name"])
        if not result.may_be_imported:
            context = {"refused": result.base_errors, **self._preview(request, content, token["name"])}
            return self._import_page(request, UploadForm(), context)
        told = ", ".join(f"{count:,} {what}" for what, count in result.counts.items() if what != "wrong")
        messages.success(request, f"{token['name']} was imported: {told}.")
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def _import(self, request: HttpRequest, content: bytes, **options: Any) -> ImportResult:
        return self._resource(request).import_data(
            sheets.read(content), retain_instance_in_row_result=True, **options
        )

    def _resource(self, request: HttpRequest) -> PublishedResource:
        return self.resource_classes[0](secrets=self.may_see_secrets(request))

    def _preview(self, request: HttpRequest, content: bytes, name: str) -> dict[str, Any]:
        result = self._import(request, content, dry_run=True)
        moving = result.moving
        context = {
            "result": result,
            "file_name": name,
            "rows": moving[:SHOWN_ROWS],
            "more_rows": max(0, len(moving) - SHOWN_ROWS),
            "problems": result.problems[:SHOWN_PROBLEMS],
            "more_problems": max(0, len(result.problems) - SHOWN_PROBLEMS),
        }
        if result.may_be_imported and moving:
            token = {"file": uploads.keep(content), "name": name, "fingerprint": result.fingerprint}
            context["token"] = signing.dumps(token, salt=self._salt(request))
        return context

    def _salt(self, request: HttpRequest) -> str:
        """A preview belongs to one user and one model."""
        return f"import {self.opts.label} {request.user.pk}"

    def _import_page(self, request: HttpRequest, form: forms.Form, context: dict[str, Any]) -> HttpResponse:
        page = {
            **self.admin_site.each_context(request),
            "title": f"Import {self.opts.verbose_name_plural}",
            "opts": self.opts,
            "form": form,
            "columns": self._resource(request).shown_columns(),
            **context,
        }
        return TemplateResponse(request, ["admin/import_export/import.html"], page)

    def _log(self, request: HttpRequest, result: ImportResult, name: str) -> None:
        content_type = ContentType.objects.get_for_model(self.model)
        LogEntry.objects.bulk_create(
            [
                LogEntry(
                    user=request.user,
                    content_type=content_type,
                    object_id=str(row.instance.pk),
                    object_repr=str(row.instance)[:200],
                    action_flag=ADDITION if row.is_new() else CHANGE,
                    change_message=f"Imported from {name}{_in_words(row.changes)}.",
                )
                for row in result.moving
            ],
            batch_size=BATCH,
        )

    # --- export ---------------------------------------------------------------------------------------

    def get_export_formats(self) -> list[type[Format]]:
        return [CSV, XLSX]

    def export_action(self, request: HttpRequest) -> HttpResponse:
        self._check_secrets(request)
        return super().export_action(request)

    def _check_secrets(self, request: HttpRequest) -> None:
        if request.POST.get("secrets") and not self.may_see_secrets(request):
            raise PermissionDenied

    def init_request_context_data(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        if not self.may_see_secrets(request):
            form.fields.pop("secrets", None)
        form.fields["format"].initial = "0"
        return {
            **self.admin_site.each_context(request),
            "title": f"Export {self.opts.verbose_name_plural}",
            "opts": self.opts,
            "form": form,
            "count": self.get_export_queryset(request).count(),
            "columns": self.resource_classes[0]().shown_columns(),
        }

    def get_export_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        form = kwargs.get("export_form")
        asked = form is not None and form.cleaned_data.get("secrets", False)
        return {"secrets": asked and self.may_see_secrets(request)}

    def get_data_for_export(self, request: HttpRequest, queryset: Any, **kwargs: Any) -> Any:
        dataset = super().get_data_for_export(request, queryset, **kwargs)
        if self.get_export_resource_kwargs(request, **kwargs)["secrets"]:
            LogEntry.objects.create(
                user=request.user,
                content_type=ContentType.objects.get_for_model(self.model),
                object_repr=f"{len(dataset):,} {self.opts.verbose_name_plural}",
                action_flag=CHANGE,
                change_message="Exported with passwords and voicemail PINs.",
            )
        return dataset

    def get_export_filename(self, request: HttpRequest, queryset: Any, file_format: Format) -> str:
        name = slugify(str(self.opts.verbose_name_plural))
        return f"{name}-{localdate():%Y-%m-%d}.{file_format.get_extension()}"


def _in_words(changes: list[Change]) -> str:
    told = [
        f"{each.column} changed" if each.is_secret else f"{each.column}: “{each.before}” → “{each.after}”"
        for each in changes
    ]
    return f": {'; '.join(told)}" if told else ""
