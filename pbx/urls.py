"""The site's addresses: the admin is the site."""

from django.contrib import admin
from django.urls import include, path

from . import views

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
    path("", admin.site.urls),
]
