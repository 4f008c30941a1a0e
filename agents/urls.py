from django.urls import path

from . import views

urlpatterns = [path("live/agents/", views.rows, name="agent_rows")]
