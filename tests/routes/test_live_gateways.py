"""What is known of the gateways of this moment."""

import orjson
import pytest
from django.test import Client

from calls.live import Projection
from eslbridge.protocol.events import JsonEvent
from eslbridge.store import store
from routes import gateways
from tests.factories import make_gateway, make_switch

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

LISTING = """<gateways><gateway><name>carrier1</name><profile>external</profile><state>{}</state>
<status>{}</status><calls-in>70</calls-in><calls-out>30</calls-out></gateway></gateways>"""


def changed(state: str, ping: str, phrase: str = "") -> JsonEvent:
    said = {"Event-Name": "CUSTOM", "Event-Subclass": "sofia::gateway_state", "Gateway": "carrier1"}
    return JsonEvent(orjson.dumps({**said, "State": state, "Ping-Status": ping, "Phrase": phrase}))


def test_the_last_failure_is_remembered_when_the_gateway_is_up_again() -> None:
    gateways.take_stock("switch-1", LISTING.format("REGED", "UP"))
    assert gateways.gateways_of("switch-1")["carrier1"].failure == ""
    gateways.follow("switch-1", [changed("FAIL_WAIT", "DOWN", "Forbidden")])
    failed = gateways.gateways_of("switch-1")["carrier1"]
    assert (failed.failure, failed.chip) == ("Forbidden", "failed")
    gateways.follow("switch-1", [changed("REGED", "UP", "OK")])
    gateways.take_stock("switch-1", LISTING.format("REGED", "UP"))
    found = gateways.gateways_of("switch-1")["carrier1"]
    assert (found.failure, found.failed_at, found.chip) == ("Forbidden", failed.failed_at, "live")
    gateways.take_stock("switch-1", LISTING.format("NOREG", "DOWN"))
    assert gateways.gateways_of("switch-1")["carrier1"].failure == "Does not answer pings"


def test_the_list_counts_the_calls_of_this_moment_not_those_since_the_gateway_was_loaded(
    admin_client: Client,
) -> None:
    make_switch()
    make_gateway("carrier1", most_calls=30)
    gateways.take_stock("switch-1", LISTING.format("REGED", "UP"))
    projection = Projection("switch-1")
    projection.take_stock([], lambda commands: [])
    assert "0 of 30" in admin_client.get("/routes/gateway/").content.decode()
    answered = {
        "Event-Name": "CHANNEL_ANSWER",
        "Event-Sequence": "7",
        "Unique-ID": "b",
        "Channel-State": "CS_CONSUME_MEDIA",
        "Answer-State": "answered",
        "Call-Direction": "outbound",
        "variable_sip_gateway_name": "carrier1",
    }
    projection.follow([JsonEvent(orjson.dumps(answered))])
    assert "1 of 30" in admin_client.get("/routes/gateway/").content.decode()
    store().flushdb()
    assert "not known" in admin_client.get("/routes/gateway/").content.decode()


def test_a_gateway_that_registers_at_this_moment_is_not_called_down(admin_client: Client) -> None:
    make_switch()
    make_gateway("carrier1")
    gateways.take_stock("switch-1", LISTING.format("NOREG", "UP"))
    gateways.follow("switch-1", [changed("REGISTER", "UP", "OK")])
    page = admin_client.get("/routes/gateway/").content.decode()
    assert "Registering" in page and "1 down" not in page
    assert "REGISTER: OK" not in page
    assert "Gateway down" not in admin_client.get("/").content.decode()
    gateways.follow("switch-1", [changed("FAIL_WAIT", "UP", "Forbidden")])
    page = admin_client.get("/routes/gateway/").content.decode()
    assert "1 down" in page and "FAIL_WAIT: Forbidden" in page
    assert "Gateway down: carrier1" in admin_client.get("/").content.decode()
