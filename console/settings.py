"""Django's settings; everything the environment can change stands in one block at the top."""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path

import environ

from console.private_files import private_file, private_folder

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

# ── The environment (README, "Environment"): every name read anywhere stands here ──────────────────────────────────
OPENAI_API_KEY = env.str("OPENAI_API_KEY", default="")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="https://api.openai.com/v1")
AZURE_OPENAI_ENDPOINT = env.str("AZURE_OPENAI_ENDPOINT", default="")
AZURE_OPENAI_API_KEY = env.str("AZURE_OPENAI_API_KEY", default="")
REALTIME_UPSTREAM_URL = env.str("REALTIME_UPSTREAM_URL", default="")
REALTIME_UPSTREAM_KEY = env.str("REALTIME_UPSTREAM_KEY", default="")
REALTIME_UPSTREAM_DIALECT = env.str("REALTIME_UPSTREAM_DIALECT", default="ga")
REALTIME_PROVIDER = env.str("REALTIME_PROVIDER", default="")
OPEN_METEO_URL = env.str("OPEN_METEO_URL", default="https://api.open-meteo.com/v1/forecast")
CONSOLE_DATA_DIR = Path(env.str("CONSOLE_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATABASE_URL = env.str("DATABASE_URL", default="")
CONSOLE_TOKEN = env.str("CONSOLE_TOKEN", default="")
CONSOLE_TLS_CERT = env.str("CONSOLE_TLS_CERT", default="")
CONSOLE_TLS_KEY = env.str("CONSOLE_TLS_KEY", default="")
CONSOLE_TLS_PORT = env.str("CONSOLE_TLS_PORT", default="8443")
CONSOLE_ALLOWED_HOSTS = env.list("CONSOLE_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]", "::1"])
CONSOLE_PUBLIC_URL = env.str("CONSOLE_PUBLIC_URL", default="")
RELAY_ALLOWED_ORIGINS = [origin.rstrip("/") for origin in env.list("RELAY_ALLOWED_ORIGINS", default=[])]
CONSOLE_KEEP_DAYS = env.str("CONSOLE_KEEP_DAYS", default="")
CONSOLE_MAX_DISK = env.str("CONSOLE_MAX_DISK", default="")
RELAY_IDLE_SECONDS = env.float("RELAY_IDLE_SECONDS", default=None)
RELAY_MAX_SECONDS = env.float("RELAY_MAX_SECONDS", default=None)
# ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

DEBUG = False
ALLOWED_HOSTS = CONSOLE_ALLOWED_HOSTS + re.findall(r"(?i)^https?://(\[[^\]]*\]|[^/:?#@\s]+)", CONSOLE_PUBLIC_URL)


def _secret_key() -> str:
    """A key of this installation's own, made at the first start and kept beside the database."""
    from django.core.management.utils import get_random_secret_key

    file = CONSOLE_DATA_DIR / "secret_key"
    if not file.exists():
        private_folder(CONSOLE_DATA_DIR)
        private_file(file)
        file.write_text(get_random_secret_key())
    return file.read_text()


SECRET_KEY = _secret_key()
INSTALLATION = hashlib.sha256(f"installation {SECRET_KEY}".encode()).hexdigest()[:8]
"""In the names of cookies: those of consoles at several ports of one host would else replace each other."""

INSTALLED_APPS = [
    "console",  # first: its runserver is the one that counts
    "daphne",  # before staticfiles, so that runserver speaks WebSocket
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_htmx",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "console.middleware.PageMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.outages.OutageMiddleware",
]

ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"

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
                "console.outages.trouble",
            ],
        },
    },
]

DATABASES = {
    "default": {**environ.Env.db_url_config(DATABASE_URL), "CONN_HEALTH_CHECKS": True}  # it may be started anew meanwhile
    if DATABASE_URL
    else {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": CONSOLE_DATA_DIR / "console.sqlite3",
        "OPTIONS": {
            # WAL lets pages read while the recorder writes; with it, NORMAL syncs at checkpoints and cannot corrupt.
            # A frame of sound takes 5 KB, which leaves half of an 8 KiB page empty, and little of 16 KiB;
            # 16 MB between checkpoints save writing hot pages anew.
            "init_command": "PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
            "PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=1000",
            "transaction_mode": "IMMEDIATE",  # take the write lock at once: a deferred upgrade cannot wait for it
            "timeout": 5,  # seconds a writer waits for another
        },
        "TEST": {"NAME": CONSOLE_DATA_DIR / "test.sqlite3"},  # a file: several threads read it
    }
}
if not DATABASE_URL:
    private_file(CONSOLE_DATA_DIR / "console.sqlite3")  # before SQLite makes it, with modes that follow the umask
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = CONSOLE_DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "console.static.HashedStatic"},
}

# A newcomer's uploads are event logs; they are streamed to a file, never held in memory.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024  # bytes of a body that are held before the rest goes to a file
FILE_UPLOAD_TEMP_DIR = CONSOLE_DATA_DIR / "uploads"  # on the disk that has room for it, and emptied at each start
with contextlib.suppress(OSError):  # a directory that cannot be written to is refused, with a sentence, at the start
    FILE_UPLOAD_TEMP_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024  # bytes; the largest event the API takes, plus its form encoding

SESSION_COOKIE_NAME = f"console_session_{INSTALLATION}"
CSRF_COOKIE_NAME = f"console_csrf_{INSTALLATION}"
CSRF_COOKIE_HTTPONLY = True  # pages have the token in their HTML
CSRF_USE_SESSIONS = False
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "https://tile.openstreetmap.org"],  # the only thing from outside: map tiles
        "connect-src": ["'self'", "ws:", "wss:"],  # Safari does not count ws: to the own origin as 'self'
        "media-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"terminal": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["terminal"], "level": "WARNING"},
    "loggers": {
        "console": {"level": "INFO"},
        "realtime": {"level": "INFO"},
        # A page that is not there is told to the browser; the terminal stays for what the operator must know.
        "django.request": {"level": "ERROR"},
        "django.server": {"level": "ERROR"},
        "daphne": {"level": "WARNING"},
    },
}
