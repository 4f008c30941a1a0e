"""What the settings make of the environment, and that it takes effect."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import psycopg
import pytest

from pbx.settings import PATIENCE
from tests.conftest import BASE_DIR


def told_by(code: str, **environment: str) -> str:
    """What a process with the site's own settings prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE_DIR,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "pbx.settings"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def options_of(url: str) -> dict[str, object]:
    """The connection's options that a process started with this DATABASE_URL has."""
    code = (
        "import json; from django.conf import settings; "
        "print(json.dumps(settings.DATABASES['default']['OPTIONS']))"
    )
    return json.loads(told_by(code, DATABASE_URL=url))


ADMIN = """
import sys, django
django.setup()
from django.contrib import admin
from django.core.checks import Tags, run_checks
print("agents.admin" in sys.modules)
class Broken(admin.ModelAdmin):
    list_display = ["no_such_column"]
from eslbridge.models import Reload
admin.site.register(Reload, Broken)
print([each.id for each in run_checks(tags=[Tags.admin])], "agents.admin" in sys.modules)
"""


def test_commands_start_without_the_admins_pages_and_check_them_all_the_same() -> None:
    assert told_by(ADMIN).splitlines() == ["False", "['admin.E108'] True"]


def test_a_silent_database_is_given_up_soon_unless_its_url_says_otherwise() -> None:
    options = options_of("postgres://u:p@db.example.org/patchbay?tcp_user_timeout=60000&sslmode=require")
    assert options.pop("pool")
    assert options == PATIENCE | {"tcp_user_timeout": 60000, "sslmode": "require"}


@pytest.fixture
def polite_postgresql() -> Iterator[int]:
    """The port of a server that lets everybody in and then never says a word."""
    welcome = b"R\x00\x00\x00\x08\x00\x00\x00\x00" + b"Z\x00\x00\x00\x05I"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as client:
                client.recv(1000)
                client.sendall(welcome)
                client.recv(1000)  # until the client goes

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_the_system_is_told_when_to_give_a_connection_up(polite_postgresql: int) -> None:
    with (
        psycopg.connect(
            host="127.0.0.1",
            port=polite_postgresql,
            user="u",
            sslmode="disable",
            gssencmode="disable",
            **PATIENCE,
        ) as connection,
        socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours,
    ):
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        told = [
            ours.getsockopt(socket.IPPROTO_TCP, each)
            for each in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        ]
    assert told == [10, 3, 3, 20_000]
