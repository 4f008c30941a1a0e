from django.urls import path

from . import views

urlpatterns = [
    path("gateways/", views.gateways, name="gateways"),
    path("who-rings/", views.who_rings, name="who_rings"),
    path("live/who-rings/", views.who_rings_answer, name="who_rings_answer"),
    path("live/gateways/", views.gateways_table, name="gateways_table"),
    path("live/gateway-rows/", views.gateway_rows, name="gateway_rows"),
    path("live/inbound-routes/", views.rows, name="route_rows"),
    path("live/ring-groups/", views.group_rows, name="group_rows"),
    path("live/outbound-routes/", views.outbound_rows, name="outbound_rows"),
    path("routing/destinations/", views.destinations, name="destinations"),
    path("routing/number/", views.understood_number, name="understood_number"),
]
