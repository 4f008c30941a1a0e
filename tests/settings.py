"""The site's settings, on services of the tests' own."""

import os

from tests import services

services.name_in(os.environ)

from pbx.settings import *  # noqa: E402, F403
from pbx.settings import STORAGES, VAR_DIR  # noqa: E402

ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
# Served from where they lie, without collectstatic
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
STATIC_ROOT = str(VAR_DIR / "static")
os.makedirs(STATIC_ROOT, exist_ok=True)
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = True
