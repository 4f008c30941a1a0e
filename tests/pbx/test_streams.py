"""Many streams at once, on the real server."""

import contextlib
import http.client
from urllib.parse import urlsplit

from django.test import Client

from tests.calls.making import a_user


def test_a_stream_keeps_no_connection_to_the_database(live_site: str) -> None:
    """The pool has twenty, and people leave pages open all day: the site would stand still."""
    user = Client()
    user.force_login(a_user("admin", is_superuser=True))
    cookie = user.cookies["sessionid"].value
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stream = http.client.HTTPConnection(urlsplit(live_site).netloc, timeout=10)
            stack.callback(stream.close)
            stream.request("GET", "/live/", headers={"Cookie": f"sessionid={cookie}"})
            answer = stream.getresponse()
            assert answer.status == 200
            assert answer.getheader("Content-Type") == "text/event-stream"
            assert answer.getheader("X-Accel-Buffering") == "no"  # or nginx would hold the stream back
            assert answer.readline() == b"retry: 2000\n"
        page = http.client.HTTPConnection(urlsplit(live_site).netloc, timeout=10)
        stack.callback(page.close)
        page.request("GET", "/healthz")
        assert page.getresponse().status == 200
