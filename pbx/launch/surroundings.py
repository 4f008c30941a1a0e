"""What the processes of `./run` find in their environment: secrets, the switch, the engines' addresses.

Secrets that `./run` made are in var/secrets.env and stay; var/env says where the running site's services are,
for every `manage.py` beside it, and is removed when the site stops."""

import base64
import binascii
import os
import re
import secrets
import socket
import zoneinfo
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from urllib.parse import quote

from .bootstrap import Problem, make_private

NAMES = (  # noqa: SIM905 - a list of fifteen lines reads worse
    "DATABASE_URL REDIS_URL SECRET_KEY FIELD_ENCRYPTION_KEYS SWITCH_NAME FS_HOST FS_ESL_PORT FS_ESL_PASSWORD "
    "FS_CONF_DIR FS_CDR_DIR FS_DOMAIN FS_TIME_ZONE DEFAULT_CALLER_ID DEFAULT_CALLER_NAME DEFAULT_REGION "
    "EMERGENCY_CALLER_ID FS_GATEWAY_PROFILES TIME_ZONE"
).split()
GENERATED = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "FIELD_ENCRYPTION_KEYS": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
}
HOW_TO_MAKE = {
    "SECRET_KEY": "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
    "FIELD_ENCRYPTION_KEYS": "head -c 32 /dev/urandom | base64 | tr +/ -_",
}
SECRET = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "FS_ESL_PASSWORD")


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without variables that are set to nothing: `FS_HOST= ./run` means unset."""
    return {name: value for name, value in environ.items() if value or name not in NAMES}


def adopt(var: Path, environ: MutableMapping[str, str]) -> None:
    """Adds what a running ./run wrote into var/env. The environment wins, and it wins whole: another database
    is another site, with other keys, and another switch has another port, password and folder."""
    for name in [name for name in NAMES if environ.get(name) == ""]:
        del environ[name]
    found = read(var / "env")
    if environ.get("DATABASE_URL", found.get("DATABASE_URL")) != found.get("DATABASE_URL"):
        return
    other_switch = environ.get("FS_HOST", found.get("FS_HOST")) != found.get("FS_HOST")
    for name, value in found.items():
        if name in NAMES and not (other_switch and name.startswith("FS_")):
            environ.setdefault(name, value)


def stand_in(var: Path, environ: MutableMapping[str, str]) -> None:
    """Points to where ./run would have its engines. Without a database any keys will do."""
    environ["DATABASE_URL"] = f"postgres:///{quote(str(var / 'sockets' / 'pg'))}/patchbay"
    environ.setdefault("REDIS_URL", f"unix://{quote(str(var / 'sockets'))}/redis.sock")
    for name in HOW_TO_MAKE:
        environ.setdefault(name, GENERATED[name]())


def require_keys(environ: Mapping[str, str]) -> None:
    """Raises Problem if a database of the user's own would be opened with keys that only this folder has.

    A key generated here would be lost with the folder, and with it every SIP password in that database."""
    for name, how in HOW_TO_MAKE.items():
        if "DATABASE_URL" in environ and name not in environ:
            raise Problem(f"DATABASE_URL is set, so {name} must be set too, and kept. Make one with: {how}")


def require_all(environ: Mapping[str, str]) -> None:
    """Raises Problem for the first variable without which the site cannot be: none of them has a default."""
    if "DATABASE_URL" not in environ:
        raise Problem("DATABASE_URL is not set: start ./run, which brings a database, or set it to yours.")
    require_keys(environ)


def require_sense(environ: Mapping[str, str]) -> None:
    """Raises Problem for the first variable whose value cannot be what it is meant to be."""
    for name, (is_good, meaning) in MEANINGS.items():
        value = environ.get(name, "")
        if value and not is_good(value):
            shown = "" if name in SECRET else f" is {value!r}, which"
            raise Problem(f"{name}{shown} is not {meaning}.")


def _is_port(value: str) -> bool:
    return value.isascii() and value.isdecimal() and 0 < int(value) < 65536


def _is_time_zone(value: str) -> bool:
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _are_fernet_keys(value: str) -> bool:
    return all(_is_fernet_key(key.strip()) for key in value.split(",") if key.strip())


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
    except binascii.Error:
        return False


MEANINGS = {
    "DATABASE_URL": (
        re.compile(r"(postgres|postgresql|psql|pgsql)://\S*/\S+").fullmatch,
        "the address of a PostgreSQL database, as in postgres://user:password@host:5432/patchbay",
    ),
    "REDIS_URL": (
        re.compile(r"(rediss?://[^/\s]+(/\d+)?(\?\S*)?|unix://\S*/\S+)").fullmatch,
        "the address of a Redis, as in redis://:password@host:6379/0",
    ),
    "FIELD_ENCRYPTION_KEYS": (
        _are_fernet_keys,
        "a list of keys, each 32 bytes in URL-safe base64, separated by commas. "
        f"Make one with: {HOW_TO_MAKE['FIELD_ENCRYPTION_KEYS']}",
    ),
    "FS_ESL_PORT": (_is_port, "a port: a number from 1 to 65535"),
    **dict.fromkeys(
        ("TIME_ZONE", "FS_TIME_ZONE"), (_is_time_zone, "the name of a time zone, as Europe/Paris")
    ),
    **dict.fromkeys(
        ("DEFAULT_CALLER_ID", "EMERGENCY_CALLER_ID"),
        (re.compile(r"\+?[0-9]{3,15}").fullmatch, "a telephone number in digits, as +19495431333"),
    ),
    "DEFAULT_REGION": (re.compile(r"[A-Za-z]{2}").fullmatch, "the two letters of a country, as US"),
    "FS_GATEWAY_PROFILES": (
        re.compile(r"[a-z0-9_-]+(,[a-z0-9_-]+)*").fullmatch,
        "a list of SIP profiles separated by commas, as external,carriers",
    ),
    "SWITCH_NAME": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}").fullmatch,
        "a name of up to 50 letters, digits, dots, dashes and underscores",
    ),
}


def own_secrets(var: Path, *, database_exists: bool, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the generated secrets, made on the first run.

    Raises Problem if they are gone but their database is there: new keys could not read its passwords."""
    path = var / "secrets.env"
    names = ["ADMIN_PASSWORD"] if "DATABASE_URL" in environ else list(GENERATED)
    kept = read(path)
    missing = [name for name in names if name not in kept and name not in environ]
    if missing and kept.keys().isdisjoint(names) and database_exists and "DATABASE_URL" not in environ:
        raise Problem(
            f"{path} is gone or empty, and the database in {var / 'postgres'} was made with the keys in it: "
            f"put the file back, or start anew without that data (rm -r {var})."
        )
    if missing:
        kept |= {name: GENERATED[name]() for name in missing}
        write_private(path, kept, "Made by ./run. Without these keys the database's passwords are lost.")
    return {name: kept[name] for name in names if name in kept}


def simulated_switch(var: Path) -> dict[str, str]:
    """Returns the switch's variables for the simulator that ./run starts: a free port, a new password."""
    make_private(var / "switch")  # the agents' passwords are in it
    return {
        "FS_HOST": "127.0.0.1",
        "FS_ESL_PORT": str(_free_port()),
        "FS_ESL_PASSWORD": secrets.token_urlsafe(18),
        "FS_CONF_DIR": str(var / "switch" / "conf"),
        "FS_CDR_DIR": str(var / "switch" / "cdr"),
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def read(path: Path) -> dict[str, str]:
    """Returns the NAME=value lines of a file; nothing if there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def write_private(path: Path, values: Mapping[str, str], about: str) -> None:
    """Writes NAME=value lines, readable for this user only, whole or not at all."""
    lines = [f"{name}={value}" for name, value in sorted(values.items()) if "\n" not in value]
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join([f"# {about}", *lines, ""]))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
