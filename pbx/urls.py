"""The site's addresses: the admin is the site."""

from django.contrib import admin
from django.urls import include, path

from . import login, views
from .api import api

admin.autodiscover()
urlpatterns = [
    path("live/", views.news, name="news"),
    path("live/dashboard/", views.dashboard_tiles, name="dashboard_tiles"),
    path("live/chart/", views.dashboard_chart, name="dashboard_chart"),
    path("live/banner/", views.banner, name="banner"),
    path("live/badges/", views.badges_now, name="badges"),
    path("live/link/", views.link_state, name="link_state"),
    path("healthz", views.health, name="health"),
    path("", include("eslbridge.urls")),
    path("", include("agents.urls")),
    path("", include("routes.urls")),
    path("", include("calls.urls")),
    path("", include("cdr.urls")),
    path("api/v1/", api.urls),
    path("login/", login.login, name="login"),
    path("", admin.site.urls),
]
