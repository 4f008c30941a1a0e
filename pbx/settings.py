"""The one settings file: everything comes from the environment.

`./run` writes what it chose by itself (services, secrets, the simulator's address) to var/env; the
environment wins over that file, so that every variable can be set by hand."""

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from pbx.launch import surroundings

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
VAR_DIR = Path(env("PATCHBAY_VAR_DIR", default=str(BASE_DIR / "var")))
surroundings.adopt(VAR_DIR, os.environ)
try:
    surroundings.require_sense(os.environ)
    surroundings.require_all(os.environ)
except surroundings.Problem as problem:
    raise ImproperlyConfigured(str(problem)) from None

DEBUG = env.bool("DEBUG", default=False)
DEFAULT_EXCEPTION_REPORTER_FILTER = "pbx.errors.NoValues"
# Required above, with the fix: a key that everybody knows would protect nothing.
SECRET_KEY = env("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
if env.bool("BEHIND_HTTPS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

# --- the switch ------------------------------------------------------------------------------------
SWITCH_NAME = env("SWITCH_NAME", default="switch-1")
FS_HOST = env("FS_HOST", default="")
FS_ESL_PORT = env.int("FS_ESL_PORT", default=8021)
FS_ESL_PASSWORD = env("FS_ESL_PASSWORD", default="ClueCon")
FS_CONF_DIR = env("FS_CONF_DIR", default="/etc/freeswitch")
FS_DOMAIN = env("FS_DOMAIN", default="")
FS_TIME_ZONE = env("FS_TIME_ZONE", default="")
FS_CDR_DIR = env("FS_CDR_DIR", default="")
DEFAULT_CALLER_ID = env("DEFAULT_CALLER_ID", default="")
DEFAULT_CALLER_NAME = env("DEFAULT_CALLER_NAME", default="")
# Who is called back by the emergency services; without it the site's number.
EMERGENCY_CALLER_ID = env("EMERGENCY_CALLER_ID", default="")
# SIP profiles of the switch whose files include those of a folder of their own name: there gateways can be.
FS_GATEWAY_PROFILES = env.list("FS_GATEWAY_PROFILES", default=["external"])
DEFAULT_REGION = env("DEFAULT_REGION", default="US").upper()
# A sound file on the switch that both sides hear when a recording begins; empty for none.
RECORDING_ANNOUNCEMENT = env("RECORDING_ANNOUNCEMENT", default="")
FIELD_ENCRYPTION_KEYS = env.list("FIELD_ENCRYPTION_KEYS", default=[])

# --- engines ---------------------------------------------------------------------------------------
# connect_timeout: a form that is saved while PostgreSQL is unreachable must answer, not hang.
# The others: a connection whose other end is gone without a word (a cut cable, a firewall that forgot it) is
# given up after about 20 seconds, not after the quarter of an hour or more that TCP takes by itself.
# DATABASE_URL may say otherwise: …/patchbay?tcp_user_timeout=60000. Unix sockets pay no attention.
DATABASES = {"default": env.db("DATABASE_URL")}
PATIENCE = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 10,  # seconds without a word until the other end is asked whether it is there
    "keepalives_interval": 3,  # seconds between questions
    "keepalives_count": 3,  # questions
    "tcp_user_timeout": 20_000,  # milliseconds that what was sent may stay unconfirmed
}
DATABASES["default"]["OPTIONS"] = PATIENCE | DATABASES["default"].get("OPTIONS", {})
# Each request of an ASGI site runs in another thread: a pool spares each of them a new connection.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# reconnect_timeout: for longer than that the pool would wait longer and longer between its attempts, so that
# the site would stay away for minutes after a PostgreSQL that is back; now each request makes an attempt.
POOL = {"min_size": 1, "max_size": 20, "timeout": 5, "reconnect_timeout": 1}
DATABASES["default"]["OPTIONS"].setdefault("pool", POOL)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env("REDIS_URL", default="redis://localhost:6379/0")
CELERY_BROKER_URL = f"redis+socket{REDIS_URL[4:]}" if REDIS_URL.startswith("unix://") else REDIS_URL
# A nudge to a broker that is down fails at once: what must arrive is in PostgreSQL (the outbox).
# So does one that takes connections and then says nothing (a frozen Redis): no button waits two seconds.
# Without `interval_start` a first attempt that fails is followed by a sleep of two seconds.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 1.5,
    "max_retries": 0,
    "interval_start": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = f"switch.{SWITCH_NAME}"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True

# --- the site --------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "pbx.apps.PbxConfig",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "pbx.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "import_export",
    "ninja",
    "eslbridge.apps.EslBridgeConfig",
    "agents.apps.AgentsConfig",
    "routes.apps.RoutesConfig",
    "calls.apps.CallsConfig",
    "cdr.apps.CdrConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "pbx.staticfiles.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "pbx.urls"
ASGI_APPLICATION = "pbx.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = ["pbx.formats"]
USE_TZ = True
TIME_ZONE = env("TIME_ZONE", default="UTC")

STATIC_URL = "static/"
STATIC_ROOT = env("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        # The pool repeats every second what the failed query says once.
        "psycopg.pool": {"level": "CRITICAL"},
        **{
            name: {"level": env("LOG_LEVEL", default="INFO")}
            for name in ("pbx", "agents", "routes", "calls", "cdr", "eslbridge")
        },
    },
}

from pbx.unfold import UNFOLD  # noqa: E402, F401 - the look is long and has its own file
