"""The admin's forms without their pages, for the many values that a form has to judge."""

from django.contrib import admin
from django.db.models import Model
from django.http import QueryDict
from django.test import RequestFactory

import pbx.urls  # noqa: F401 - it registers the admin's classes
from tests.factories import make_user


def form_errors(model: type[Model], fields: dict[str, object]) -> dict[str, list[str]]:
    """What the form of the page that adds one says to these fields; saves and returns {} when all is well."""
    request = RequestFactory().post("/")
    request.user = make_user()
    model_admin = admin.site._registry[model]
    data = QueryDict(mutable=True)
    data.update(fields)
    form = model_admin.get_form(request)(data)
    if not form.is_valid():
        return {name: [str(error) for error in found] for name, found in form.errors.items()}
    form.save()
    return {}
