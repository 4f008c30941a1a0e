"""The pages about the switch itself, and what every published model's pages have in common."""

import time
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import models
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localtime
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from . import health
from .editing import CarefulAdmin
from .models import PendingChange, Reload, Switch
from .publishing import outbox
from .publishing.history import last_changes
from .publishing.state import changed_lines, preview, sync_states
from .references import references
from .store import StoreError
from .templatetags.eslbridge import moment


class StatefulChangeList(ChangeList):
    """Gives the page's rows their sync state, in a constant number of queries."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        self.model_admin.prepare_rows(self.result_list)


def sync_chip(instance: models.Model, *, oob: bool = False) -> SafeString:
    """The chip of one object; its state must have been put on it by `prepare_rows`."""
    return render_to_string(
        "eslbridge/_sync.html", {"object": instance, "state": instance.sync_state, "oob": oob}
    )


class PublishedAdmin(CarefulAdmin):
    """The admin of a model that is published to the switch: state in the list, state and XML on the page."""

    list_after_template = "eslbridge/_live_rows.html"
    list_per_page = 50
    live_rows_url = ""
    secret_fields: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StatefulChangeList

    def prepare_rows(self, rows: list[Any]) -> None:
        states = sync_states(rows)
        for row in rows:
            row.sync_state = states[row.pk]

    @display(description="On the switch")
    def sync(self, instance: Any) -> SafeString:
        if not instance.pk:
            return format_html("<span>{}</span>", "Not saved yet.")
        if not hasattr(instance, "sync_state"):
            self.prepare_rows([instance])
        return sync_chip(instance)

    @display(description="File on the switch")
    def rendered(self, instance: Any) -> SafeString:
        if not instance.pk:
            return format_html("<span>{}</span>", "Shown after saving.")
        context = {"xml": preview(instance), "changes": last_changes(instance)}
        return render_to_string("eslbridge/_rendered.html", context)

    change_form_after_template = "eslbridge/_preview_button.html"

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_preview"
        view = self.admin_site.admin_view(self.preview_view)
        return [
            path("add/preview/", view, name=f"{name}_new"),
            path("<path:object_id>/change/preview/", view, name=name),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """The file that the posted form would make, beside the one that is there; nothing is saved."""
        current = self.get_object(request, object_id) if object_id else None
        allowed = (
            self.has_change_permission(request, current) if current else self.has_add_permission(request)
        )
        if request.method != "POST" or not allowed:
            raise PermissionDenied
        before = preview(current) if current else ""
        form = self.get_form(request, current, change=current is not None)(request.POST, instance=current)
        if not form.is_valid():
            context = {"errors": form.errors.items(), "form": form}
        else:
            context = {"lines": changed_lines(before, preview(form.save(commit=False)))}
        return render(request, "eslbridge/_preview.html", context)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Who changed what, from what and to what; of secrets only that they changed."""
        if add or not form.changed_data:
            return super().construct_change_message(request, form, formsets, add)
        return "; ".join(self._change(form, name) for name in form.changed_data) + "."

    def _change(self, form: Any, name: str) -> str:
        label = form.fields[name].label or name
        if name in self.secret_fields:
            return f"{label} changed"
        before, after = form.initial.get(name), form.cleaned_data.get(name)
        field = form.fields[name]
        if isinstance(field, ModelChoiceField) and before is not None:
            before = field.queryset.filter(pk=before).first()
        before, after = (field.prepare_value(value) for value in (before, after))
        return f"{label}: “{before if before is not None else ''}” → “{after if after is not None else ''}”"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), "sync", "rendered"]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What else goes with them; and what points to them, which must be changed first."""
        deleted, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, forbidden, [*protected, *map(_linked, references(objs))]


def _linked(instance: models.Model) -> SafeString:
    url = reverse(f"admin:{instance._meta.app_label}_{instance._meta.model_name}_change", args=[instance.pk])
    name = capfirst(instance._meta.verbose_name)
    return format_html('{}: <a href="{}">{}</a>', name, url, instance)


class ReadOnlyAdmin(ModelAdmin):
    """Facts: they can be read by whoever may view them, and changed by nobody."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Switch)
class SwitchAdmin(ReadOnlyAdmin):
    list_display = ["name", "state", "version", "load", "domain", "conf_dir", "up_since", "seen_at"]
    empty_sentence = "No switch is known yet: it appears here when its worker starts."
    fields = [
        "name",
        "state",
        "trouble",
        "load",
        "link_since",
        "version",
        "up_since",
        "host",
        "esl_port",
        "domain",
    ]
    fields += ["conf_dir", "changes", "worker", "seen_at"]

    @display(description="Changes reach it")
    def changes(self, switch: Switch) -> str:
        return switch.line if switch.is_connected else ""

    @display(description="Load")
    def load(self, switch: Switch) -> str:
        """As the last heartbeat said; with when, if that was not just now."""
        try:
            beat = health.last(switch.name)
        except StoreError:
            return "not known: Redis does not answer"
        if beat is None:
            return "no heartbeat yet"
        when = (
            ""
            if time.time() - beat.at < 45
            else f" at {localtime(datetime.fromtimestamp(beat.at, UTC)):%H:%M:%S}"
        )
        return (
            f"{beat.sessions} of {beat.most_sessions} sessions (peak {beat.peak_sessions}), "
            f"{beat.sessions_per_second} a second, CPU {100 - beat.idle_cpu:.0f} %{when}"
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A switch that is gone for good leaves nothing waiting; a running worker announces itself again."""
        return request.user.has_perm("eslbridge.delete_switch")

    @display(description="Link", label={"connected": "success", "no worker": "danger"})
    def state(self, switch: Switch) -> str:
        return "no worker" if switch.worker_is_gone else switch.get_link_display()


def _page_of(change: PendingChange) -> str:
    """The address of the changed object's page; empty for a file that belongs to no object."""
    try:
        options = apps.get_model(change.kind)._meta
        return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[change.object_id])
    except (LookupError, ValueError, NoReverseMatch):
        return ""


@admin.register(PendingChange)
class PendingChangeAdmin(ReadOnlyAdmin):
    list_display = [
        "what",
        "path",
        "switch",
        "waiting_since",
        "state",
        "why",
        "attempts",
        "next_try",
        "retry",
    ]
    list_display_links = None
    empty_sentence = "Everything is on the switch."
    list_select_related = ["switch"]
    list_filter = ["switch"]
    search_fields = ["label", "path"]
    actions = ["try_again"]
    list_before_template = "eslbridge/_changes.html"
    list_after_template = "eslbridge/_reloads.html"

    def get_list_display(self, request: HttpRequest) -> list[str]:
        may_retry = request.user.has_perm("eslbridge.change_pendingchange")
        return [name for name in self.list_display if may_retry or name != "retry"]

    @display(description="What", ordering="label")
    def what(self, change: PendingChange) -> SafeString:
        return render_to_string("eslbridge/_what.html", {"change": change, "page": _page_of(change)})

    @display(description="Since", ordering="since")
    def waiting_since(self, change: PendingChange) -> str:
        return moment(change.since)

    @display(description="Next try", ordering="retry_at")
    def next_try(self, change: PendingChange) -> str:
        return moment(change.retry_at)

    @display(description="")
    def retry(self, change: PendingChange) -> SafeString:
        return render_to_string("eslbridge/_retry.html", {"kind": change.kind, "pk": change.object_id})

    @display(description="State", label={"failed": "danger", "pending": "warning"})
    def state(self, change: PendingChange) -> str:
        return "failed" if change.refused else "pending"

    @action(description="Try again now")
    def try_again(self, request: HttpRequest, queryset: models.QuerySet[PendingChange]) -> None:
        count = outbox.retry(queryset)
        self.message_user(request, f"{count} changes are tried again now.", messages.SUCCESS)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {
            "title": "Changes",
            "reloads": Reload.objects.select_related("switch")[:10],
            "switches": Switch.objects.all(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})
