"""What a new or updated site needs before it serves: tables, static files, an administrator, demo data."""

import hashlib
import json
import os
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, call_command
from django.db import transaction
from redis import Redis


class Command(BaseCommand):
    """Brings tables and static files up to date and makes the first administrator.

    That is `admin`, or DJANGO_SUPERUSER_USERNAME, with the password in ADMIN_PASSWORD. Without that variable,
    or where a superuser exists, nobody is added. Demo data comes with the first administrator of a site whose
    switch is simulated. The last line of the output is JSON, for ./run."""

    help = "Bring tables and static files up to date and make the first administrator (ADMIN_PASSWORD)"

    def handle(self, **options: Any) -> None:
        # What is down is said now, not by every process later.
        Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5).ping()
        call_command("migrate", interactive=False, verbosity=0)
        collect_static()
        with transaction.atomic():
            is_new = not _superusers().exists()
            admin = ensure_admin(os.environ.get("ADMIN_PASSWORD", ""))
            if is_new and os.environ.get("PATCHBAY_SIMULATES"):
                call_command("demo", stdout=self.stderr)
        self.stdout.write(json.dumps(admin))


def ensure_admin(password: str) -> dict[str, Any]:
    """Makes the first administrator. Returns their name and whether `password` is (still) theirs."""
    user_model = get_user_model()
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME") or "admin"
    if password and not _superusers().exists():
        user_model.objects.create_superuser(name, password=password)  # type: ignore[attr-defined]
    admin = _superusers().filter(username=name).first() or _superusers().order_by("pk").first()
    if admin is None:
        return {"username": "", "password_is_generated": False}
    return {"username": admin.get_username(), "password_is_generated": admin.check_password(password)}


def _superusers() -> Any:
    return get_user_model()._default_manager.filter(is_superuser=True, is_active=True)


def collect_static() -> None:
    """Collects the static files unless the same ones were collected before (it takes seconds)."""
    stamp = Path(settings.STATIC_ROOT) / ".patchbay-collected"
    wanted = _static_fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    call_command("collectstatic", interactive=False, verbosity=0, clear=stamp.is_file())
    stamp.write_text(wanted)


def _static_fingerprint() -> str:
    """Changes with every installed package and every file in the site's own static folders."""
    folders = [
        *map(Path, settings.STATICFILES_DIRS),
        *(Path(app.path) / "static" for app in apps.get_app_configs()),
    ]
    own = [
        folder
        for folder in folders
        if folder.is_relative_to(settings.BASE_DIR) and "site-packages" not in folder.parts
    ]
    files = [path for folder in own for path in sorted(folder.rglob("*")) if path.is_file()]
    parts = [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in files]
    parts += sorted(f"{package.name} {package.version}" for package in distributions())
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
