from django.urls import path

from . import views

urlpatterns = [
    path("calls/active/", views.active, name="active_calls"),
    path("live/calls/", views.rows, name="call_rows"),
    path("live/calls/few/", views.few_rows, name="few_call_rows"),
    # Not <uuid:…>: a dialplan may give a channel any text as its UUID, and the page must show that call too.
    path("calls/<path:uuid>/hang-up/", views.hang_up, name="hang_up"),
    path("dial/", views.dial, name="dial"),
    path("dial/<uuid:uuid>/", views.dial_state, name="dial_state"),
]
