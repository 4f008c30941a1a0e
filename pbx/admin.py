"""The pages of API tokens."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from . import people  # noqa: F401 - importing it registers its pages
from .models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    """Everybody with the permission has tokens of his own; of other users only a superuser makes any, since a
    token has its user's rights."""

    empty_sentence = "A token lets a program use the API with your rights: a CRM that dials, a wallboard."
    list_display = ["name", "user", "beginning", "state", "used_at", "created_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username", "beginning"]
    fields = ["name", "user", "expires_at"]
    autocomplete_fields = ["user"]
    actions = ["revoke"]

    @display(description="state", label={"active": "success", "expired": "danger"})
    def state(self, token: ApiToken) -> str:
        return token.state

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[ApiToken]:
        all_tokens = super().get_queryset(request)
        return all_tokens if request.user.is_superuser else all_tokens.filter(user=request.user)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        if obj:
            return ["name", "user", "state", "beginning", "created_at", "used_at", "expires_at"]
        return self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        return self.get_fields(request, obj) if obj else []

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"user": request.user.pk}

    def get_autocomplete_fields(self, request: HttpRequest) -> list[str]:
        return ["user"] if request.user.is_superuser else []

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> Any:
        if not request.user.is_superuser:
            kwargs["queryset"] = get_user_model().objects.filter(pk=request.user.pk)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """A token is made and revoked, never changed."""
        return obj is None and super().has_change_permission(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**only_save, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        request.made_token = obj.give()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: Any = None
    ) -> HttpResponse:
        """Shown here and never again: no redirect, for which the token would have to be kept somewhere."""
        context = {
            **self.admin_site.each_context(request),
            "title": "New API token",
            "opts": self.opts,
            "token": obj,
            "secret": request.made_token,
            "address": request.build_absolute_uri("/api/v1/"),
        }
        return render(request, "pbx/token_made.html", context)  # the admin lets nobody cache its pages

    @action(description="Revoke: refuse them from now on")
    def revoke(self, request: HttpRequest, queryset: models.QuerySet[ApiToken]) -> None:
        for token in queryset.filter(revoked_at=None):
            token.revoke()
            self.log_change(request, token, "Revoked.")
        self.message_user(request, "Revoked.", messages.SUCCESS)
