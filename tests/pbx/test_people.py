"""The pages of users and roles: usable, in the words of the site, and nobody gives himself rights."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from tests.calls.making import a_user

pytestmark = pytest.mark.django_db
USERS, ROLES = "/auth/user/", "/auth/group/"


def of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def the_administrator() -> User:
    return a_user("admin", is_superuser=True)


def the_clerk() -> User:
    """May change users, and nothing else."""
    permissions = ("change_user", "view_user", "delete_user", "change_group", "view_group")
    return a_user("clerk", permissions=permissions)


def form_of(client: Client, user: User) -> dict[str, Any]:
    names = ["username", "first_name", "last_name", "email"]
    return {name: getattr(user, name) for name in names} | {"is_active": "on"}


def test_the_list_leads_to_a_form_with_visible_fields() -> None:
    client = of(the_administrator())
    assert f'href="{USERS}add/"' in client.get(USERS).content.decode()
    field = re.search(r'<input[^>]*name="username"[^>]*>', client.get(f"{USERS}add/").content.decode())
    assert field and "border" in field[0]


def test_a_user_is_added_and_given_a_role() -> None:
    client = of(the_administrator())
    new = {
        "username": "vera",
        "usable_password": "true",
        "password1": "horse-battery",
        "password2": "horse-battery",
    }
    assert client.post(f"{USERS}add/", new).status_code == 302
    vera, role = User.objects.get(username="vera"), Group.objects.create(name="Supervisors")
    client.post(f"{USERS}{vera.pk}/change/", form_of(client, vera) | {"is_staff": "on", "groups": [role.pk]})
    vera.refresh_from_db()
    assert vera.is_staff and list(vera.groups.all()) == [role] and vera.check_password("horse-battery")


def test_they_are_called_what_the_navigation_calls_them() -> None:
    page = of(the_administrator()).get(f"{ROLES}add/").content.decode()
    assert "<title>Add role" in re.sub(r">\s+", ">", page)
    assert "Authentication and Authorization" not in page


def test_nobody_but_an_administrator_gives_rights() -> None:
    clerk, other = the_clerk(), a_user("other", staff=False)
    role, right = Group.objects.create(name="All"), Permission.objects.get(codename="change_agent")
    client, wishes = of(clerk), {"is_superuser": "on", "is_staff": "on", "groups": [role.pk]}
    for user in (clerk, other):
        client.post(
            f"{USERS}{user.pk}/change/",
            form_of(client, user) | wishes | {"first_name": "Changed", "user_permissions": [right.pk]},
        )
        user.refresh_from_db()
        assert user.first_name == "Changed"
        assert not user.is_superuser and not user.groups.exists()
        assert right not in user.user_permissions.all()
    assert not other.is_staff


def test_nobody_takes_over_one_who_may_more() -> None:
    clerk, admin = the_clerk(), the_administrator()
    above = a_user("above", permissions=("change_agent",))
    new = {"usable_password": "true", "password1": "horse-battery", "password2": "horse-battery"}
    for user in (admin, above):
        assert of(clerk).post(f"{USERS}{user.pk}/password/", new).status_code == 403
        assert of(clerk).post(f"{USERS}{user.pk}/change/", form_of(of(clerk), user)).status_code == 403
        assert of(clerk).post(f"{USERS}{user.pk}/delete/", {"post": "yes"}).status_code == 403
        user.refresh_from_db()
        assert not user.check_password("horse-battery")


def test_a_role_is_changed_by_administrators_only() -> None:
    role = Group.objects.create(name="Supervisors")
    for user, said in ((the_clerk(), 403), (the_administrator(), 302)):
        answer = of(user).post(f"{ROLES}{role.pk}/change/", {"name": "Renamed"})
        assert answer.status_code == said
    role.refresh_from_db()
    assert role.name == "Renamed"
