"""Static files under ASGI."""

import logging
import urllib.request
import warnings
from typing import Any

import pytest

FILE = "/static/pbx/live.js"


def fetch(address: str, **headers: str) -> Any:
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers))


def test_a_static_file_is_sent_without_a_warning(live_site: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with fetch(live_site + FILE) as answer:
            whole = answer.read()
            assert "javascript" in answer.headers["Content-Type"]
            assert int(answer.headers["Content-Length"]) == len(whole) > 1000
        with fetch(live_site + FILE, Range="bytes=3-9") as part:
            assert (part.status, part.read()) == (206, whole[3:10])
        head = urllib.request.Request(live_site + FILE, method="HEAD")
        with urllib.request.urlopen(head) as answer:
            assert int(answer.headers["Content-Length"]) == len(whole)
            assert answer.read() == b""
        modified = answer.headers["Last-Modified"]
        with pytest.raises(urllib.error.HTTPError, match="304"):
            fetch(live_site + FILE, **{"If-Modified-Since": modified})
    assert [str(each.message) for each in warned if "iterators" in str(each.message)] == []
    assert caplog.records == []
