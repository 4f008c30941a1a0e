from django.urls import path

from . import views

urlpatterns = [path("live/inbound-routes/", views.rows, name="route_rows")]
