from django.urls import path

from . import views

urlpatterns = [
    path("gateways/", views.gateways, name="gateways"),
    path("who-rings/", views.who_rings, name="who_rings"),
    path("live/who-rings/", views.who_rings_answer, name="who_rings_answer"),
    path("live/gateways/", views.gateways_table, name="gateways_table"),
    path("live/inbound-routes/", views.rows, name="route_rows"),
]
