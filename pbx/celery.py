"""Celery distributes commands: each switch's worker serves the queue `switch.<name>`.

The worker holds that switch's Event Socket connection (eslbridge.link) for as long as it runs."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pbx.settings")

app = Celery("patchbay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.on_after_configure.connect
def _hold_the_link(sender: Celery, **_: object) -> None:
    from eslbridge.link import LinkStep

    sender.steps["worker"].add(LinkStep)
