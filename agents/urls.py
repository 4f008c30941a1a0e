from django.urls import path

from . import views

urlpatterns = [
    path("phones/", views.phones, name="phones"),
    path("live/phones/", views.phones_table, name="phones_table"),
    path("phones/<str:switch>/ask/", views.ask_phone, name="ask_phone"),
    path("live/agents/", views.rows, name="agent_rows"),
]
