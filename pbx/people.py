"""The pages of users and roles: Django's own rules, in the look and the words of the other pages."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

# Called what the navigation calls them.
apps.get_app_config("auth").verbose_name = "Site"
Group._meta.verbose_name = "role"
Group._meta.verbose_name_plural = "roles"

admin.site.unregister([User, Group])

# Label and help of what Django words for a site that has no My phone.
WORDS = {
    "is_active": ("Active", "Off: cannot log in. Better than deleting: what was done keeps its name."),
    "is_staff": (
        "Staff",
        "Sees these pages, as far as roles allow. Off: only My phone, if an agent is theirs.",
    ),
    "is_superuser": ("Administrator", "May do everything, whatever the roles say."),
    "groups": ("Roles", "What staff may see and do: the rights of all of them together."),
    "user_permissions": ("Single rights", "Beside those of the roles."),
}
RIGHTS = ["is_staff", "is_superuser", "groups", "user_permissions"]


@admin.register(User)
class PersonAdmin(UserAdmin, ModelAdmin):
    """Only an administrator gives rights: who could give them to others could give them to himself."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser"]
    autocomplete_fields = ["groups"]
    filter_horizontal = ["user_permissions"]
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        ("Who", {"fields": ["username", "password", "first_name", "last_name", "email"]}),
        ("What they may", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Single rights", {"fields": ["user_permissions"], "classes": ["collapse"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name in WORDS:
            field.label, field.help_text = WORDS[db_field.name]
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        return [*self.readonly_fields, *([] if request.user.is_superuser else RIGHTS)]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _is_below(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_below(request, obj)


def _is_below(request: HttpRequest, user: User | None) -> bool:
    """Whether `user` has no rights that the one who asks lacks: a new password would hand them over."""
    mine = request.user
    return (
        user is None
        or mine.is_superuser
        or (not user.is_superuser and user.get_all_permissions() <= mine.get_all_permissions())
    )


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    """Changed by administrators only: whoever has a role could add to it."""

    empty_sentence = "A role is a set of rights, like “listen to calls”, that several users have."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser
