"""Two people and one form: a save does not silently undo what somebody else saved meanwhile."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import localtime
from unfold.admin import ModelAdmin

# Changes that are told in the error; who wants all of them looks at the history.
MOST_TOLD = 3


class CarefulAdmin(ModelAdmin):
    """A form knows the newest entry of its object's history; what is newer is told before it is undone."""

    change_form_after_template = "eslbridge/_seen.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        newest = _history(self.model, object_id).values_list("pk", flat=True).first() if object_id else None
        context = {"seen": newest or 0, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        seen = request.POST.get("seen", "")
        if obj is None or not (seen.isascii() and seen.isdigit()):
            return form
        newer = list(_history(self.model, obj.pk).filter(pk__gt=seen).select_related("user")[:MOST_TOLD])
        return _refusing(form, newer) if newer else form


def _history(model: type[models.Model], object_id: Any) -> models.QuerySet[LogEntry]:
    """The entries about one object, the newest first."""
    kind = ContentType.objects.get_for_model(model)
    return LogEntry.objects.filter(content_type=kind, object_id=str(object_id)).order_by("-pk")


def _refusing(form: Any, newer: list[LogEntry]) -> Any:
    """The form, which tells what was changed meanwhile; not to a double click, which saves the same twice."""

    class CarefulForm(form):
        def clean(self) -> Any:
            cleaned = super().clean()
            if self.has_changed():
                self.add_error(None, _told(newer))
            return cleaned

    return CarefulForm


def _told(newer: list[LogEntry]) -> str:
    changes = " ".join(
        f"{entry.user} at {localtime(entry.action_time):%H:%M:%S}: {entry.get_change_message()}"
        for entry in newer
    )
    return (
        f"This was changed after you opened it. {changes} What you typed is kept here: look it over and save "
        "again to overwrite that, or open the page anew to begin with it."
    )
