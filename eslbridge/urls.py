from django.urls import path

from . import views

urlpatterns = [
    path("changes/retry/", views.retry, name="retry_change"),
    path("changes/reload/", views.reload_now, name="reload_now"),
    path("changes/compare/", views.compare_now, name="compare_now"),
]
