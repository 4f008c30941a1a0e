"""The parts that tests of the whole product stand on do what their names say."""

import subprocess
import urllib.request
from typing import Any

import pytest
import redis

from eslbridge.models import Switch
from eslbridge.simulator import Simulator
from tests.conftest import wait_until


def test_the_site_is_served_on_the_test_database(live_site: str, django_user_model: Any) -> None:
    django_user_model.objects.create_superuser("root", password="x")
    with urllib.request.urlopen(f"{live_site}/login/") as page:
        assert page.status == 200
        assert b"csrfmiddlewaretoken" in page.read()


@pytest.mark.django_db(transaction=True)
def test_the_worker_connects_to_the_simulated_switch(
    simulator: Simulator, worker: "subprocess.Popen[bytes]", redis_client: "redis.Redis"
) -> None:
    wait_until(lambda: Switch.objects.filter(link=Switch.Link.CONNECTED).exists(), "the link", 30)
    assert worker.poll() is None
    assert redis_client.ping()
