from django.urls import path

from . import views

urlpatterns = [
    path("gateways/", views.gateways, name="gateways"),
    path("live/gateways/", views.gateways_table, name="gateways_table"),
    path("live/inbound-routes/", views.rows, name="route_rows"),
]
