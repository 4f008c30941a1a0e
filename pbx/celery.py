"""Celery distributes commands: each switch's worker serves the queue `switch.<name>`.

The worker holds that switch's Event Socket connection (eslbridge.link) for as long as it runs."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pbx.settings")

app = Celery("patchbay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# By name: the step needs Django's apps, which are ready when the worker starts and not when this is read.
app.steps["worker"].add("eslbridge.link:LinkStep")
