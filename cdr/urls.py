from django.urls import path

from .my_calls import my_calls

urlpatterns = [path("live/my-calls/", my_calls, name="my_calls")]
