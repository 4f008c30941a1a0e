from django.urls import path

from . import control_views, my_phone, views

urlpatterns = [
    path("calls/active/", views.active, name="active_calls"),
    path("live/calls/", views.rows, name="call_rows"),
    path("live/calls/few/", views.few_rows, name="few_call_rows"),
    # Not <uuid:…>: a dialplan may give a channel any text as its UUID, and the page must show that call too.
    path("calls/<path:uuid>/do/<slug:verb>/", control_views.press, name="control"),
    path("calls/<path:uuid>/hang-up/", views.hang_up, name="hang_up"),
    path("calls/<path:uuid>/controls/", control_views.controls, name="controls"),
    path("live/commands/<uuid:uuid>/", control_views.command_state, name="command_state"),
    path("my-phone/", my_phone.page, name="my_phone"),
    path("live/my-phone/", my_phone.call, name="my_phone_call"),
    path("live/my-phone/dials/", my_phone.dials, name="my_dials"),
    path("live/my-phone/state/", my_phone.state, name="my_phone_state"),
    path("dial/", views.dial, name="dial"),
    path("dial/<uuid:uuid>/", views.dial_state, name="dial_state"),
]
