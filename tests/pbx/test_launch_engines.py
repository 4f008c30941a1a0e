"""The embedded PostgreSQL and Redis: what a kill leaves behind never keeps them from starting."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from pbx.launch import engines
from pbx.launch.bootstrap import Problem
from pbx.launch.engines import PostgreSQL, Redis
from tests.conftest import BASE_DIR, wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(engines.socket_folder(tmp_path))  # which may lie elsewhere


@pytest.fixture
def postgres(folder: Path) -> Iterator[PostgreSQL]:
    server = _postgres(folder)
    server.start()
    yield server
    server.stop()


def _postgres(folder: Path) -> PostgreSQL:
    return PostgreSQL(
        folder / "postgres", engines.socket_folder(folder), folder / "postgres.log", fleeting=True
    )


def test_the_database_is_utf8_and_knows_letters_on_a_machine_without_locales(postgres: PostgreSQL) -> None:
    with psycopg.connect(host=str(postgres.socket_folder), user="patchbay", dbname="patchbay") as session:
        found = session.execute(
            "SELECT pg_encoding_to_char(encoding), upper('é') FROM pg_database LIMIT 1"
        ).fetchone()
    assert found == ("UTF8", "É")


def test_postgres_starts_again_after_a_kill_though_its_number_went_to_another_process(
    postgres: PostgreSQL,
) -> None:
    pid_file = postgres.folder / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    wait_until(lambda: not postgres.is_running(), "the end of the server")
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:], ""]))
    postgres.start()
    assert postgres.is_running()


def test_a_server_that_a_killed_run_left_is_ended(postgres: PostgreSQL) -> None:
    left = int((postgres.folder / "postmaster.pid").read_text().split()[0])
    second = _postgres(postgres.folder.parent)
    second.start()
    try:
        wait_until(lambda: not postgres.is_running(), "the end of the first server")
        assert int((postgres.folder / "postmaster.pid").read_text().split()[0]) != left
    finally:
        second.stop()


def test_half_a_database_is_made_anew(folder: Path) -> None:
    half = folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = _postgres(folder)
    server.start()
    server.stop()
    assert not half.exists()


def test_a_database_of_another_version_is_not_touched(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(Problem, match="was made by PostgreSQL 15, and installed is 18"):
        _postgres(folder).start()


def test_a_server_that_does_not_start_is_reported_in_its_own_words(folder: Path) -> None:
    server = _postgres(folder)
    server.start()
    server.stop()
    with (server.folder / "postgresql.conf").open("a") as configuration:
        configuration.write("nonsense = on\n")
    with pytest.raises(Problem, match=r"PostgreSQL does not start: FATAL: .*postgresql\.conf"):
        server.start()


def test_redis_starts_over_a_stale_socket_and_keeps_nothing(folder: Path) -> None:
    (engines.socket_folder(folder) / "redis.sock").touch()
    server = Redis(folder / "redis", engines.socket_folder(folder), folder / "redis.log")
    server.start()
    assert server.answers()
    server.stop()
    assert not server.answers()
    assert list((folder / "redis").iterdir()) == []


def test_the_engines_end_with_a_process_that_is_killed(folder: Path) -> None:
    program = f"""
        from pathlib import Path
        from tests.pbx.test_launch_engines import Redis, _postgres, engines
        folder = Path({str(folder)!r})
        sockets = engines.socket_folder(folder)
        servers = [_postgres(folder), Redis(folder / "redis", sockets, folder / "redis.log")]
        for server in servers:
            server.start()
        print(*(server._process.pid for server in servers), flush=True)
        input()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(
        command, cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        left = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
        assert len(left) == 2
        starter.kill()
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not alive


@pytest.mark.parametrize("name", ["d" * 90, "with space", "naïve", "50%"])
def test_sockets_lie_elsewhere_when_the_folders_path_is_no_place_for_them(tmp_path: Path, name: str) -> None:
    folder = engines.socket_folder(tmp_path / name)
    try:
        assert not folder.is_relative_to(tmp_path)
        assert folder.stat().st_mode & 0o066 == 0
        assert engines.socket_folder(tmp_path / name) == folder
    finally:
        folder.rmdir()


def test_a_socket_folder_that_others_can_open_is_refused(tmp_path: Path) -> None:
    folder = engines.socket_folder(tmp_path / ("d" * 90))
    folder.chmod(0o755)
    try:
        with pytest.raises(Problem, match="is not this user's alone"):
            engines.socket_folder(tmp_path / ("d" * 90))
    finally:
        folder.rmdir()
