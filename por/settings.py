"""The settings, read from the environment (.env.example lists all variables). No secret has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ

from por import brokers

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# --- What this run is -------------------------------------------------------------------------------------------
DEMO = env.bool("DEMO", default=False)  # fictional data, sign-ins on the sign-in page; check --deploy refuses it
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])  # what older keys signed is still valid
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
SITE_URL = env.str("SITE_URL", default="http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = [SITE_URL]
HTTPS = urlsplit(SITE_URL).scheme == "https"
#: How many proxies of ours a request passes. So many entries of X-Forwarded-For, from the right, are believed.
TRUSTED_PROXIES = int(env.str("TRUSTED_PROXIES", default="") or 0)

# --- Rooms ------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "por",
    "por.history",
    "por.accounts",
    "por.imports",
    "por.notifications",
    "por.directory",
    "por.breaches",
    "associations",
    "associations.claims",
    "competencies",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "template_partials",
    "csp",
    "django_prometheus",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django.forms",
]
MIDDLEWARE = [
    "por.ops.middleware.RequestMiddleware",
    "por.api.middleware.ProblemMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "por.ops.middleware.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "por.ops.middleware.LocaleMiddleware",
    "por.ops.middleware.CommonMiddleware",
    "por.web.bounds.BoundsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "por.web.refusals.RefusalMiddleware",
    "por.ops.middleware.PageMiddleware",
    "por.ops.middleware.CountMiddleware",
]
#: Not for probes, nor for calls of the API with a token: they have no session.
PAGE_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "por.accounts.middleware.ActorMiddleware",
]
ROOT_URLCONF = "por.urls"
WSGI_APPLICATION = "por.wsgi.application"
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
                "por.portal.navigation.page",
            ],
            "builtins": ["django.templatetags.i18n", "por.web.templatetags.ui", "por.directory.templatetags"],
            "libraries": {
                "claims": "associations.claims.templatetags",
                "gaps": "associations.gaps.templatetags",
                "happened": "por.portal.templatetags.happened",
                "legacy": "associations.legacy_forms.templatetags",
                "organisations": "por.portal.templatetags.organisations",
                "page": "por.web.templatetags.page",
                "rows": "associations.subscriptions.templatetags",
            },
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- Database, cache, broker ------------------------------------------------------------------------------------


def database(name: str) -> dict[str, Any]:
    """Return the database of a URL in the environment, with our options and those of the URL.

    A socket's directory is percent-encoded in the URL, as in libpq.
    """
    parts: dict[str, Any] = env.db_url(name)
    return parts | {
        "ENGINE": "por.db",
        "HOST": unquote(parts["HOST"]),
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=600),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": database_options | parts.get("OPTIONS", {}),
    }


database_options: dict[str, Any] = {
    # If the server hangs, requests are answered 503. If its machine is gone, that is noticed within half a minute.
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25000,
    # What a session begins with is set on the database (por/db/defaults.py): a pooler would not pass it on.
}
#: A process that has DATABASE_WORKER_URL works as the worker, whose role alone may change the rows of queues. The web
#: server must not have it.
DATABASES = {"default": database("DATABASE_WORKER_URL" if "DATABASE_WORKER_URL" in env.ENVIRON else "DATABASE_URL")}
#: The roles to which `migrate` gives rights. If they are the same, it has the rights of both.
WEB_ROLE: str = database("DATABASE_URL")["USER"]
WORKER_ROLE: str = DATABASES["default"]["USER"]
#: Seconds after which a request that still waits for the database is answered 503.
REQUEST_SECONDS = env.int("REQUEST_SECONDS", default=30)
#: The role that owns the tables and migrates; the other roles can then neither change nor drop history.
DATABASE_OWNER = database("DATABASE_OWNER_URL" if "DATABASE_OWNER_URL" in env.ENVIRON else "DATABASE_URL")
DATABASE_OWNER["NAME"] = DATABASE_OWNER["NAME"] or DATABASES["default"]["NAME"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Broker and cache can be apart. By default they are the databases 0 and 1 of one Redis server. The file holds the
# certificates of the authority that signed theirs; without it, the system says whom to trust.
broker_url = env.str("BROKER_URL", default="")
cache_url = env.str("CACHE_URL", default="") or brokers.numbered(env.str("REDIS_URL"), 1)
ca_file = env.str("TLS_CA_FILE", default="")

CACHES = {
    "default": brokers.cache(cache_url, ca_file),
    # Figures that take long to add up, kept by each process for itself. A key changes with what its figures show. But
    # transactions that overlap may commit in another order than their numbers, so figures can be old for a minute.
    "local": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "TIMEOUT": 60,
        "OPTIONS": {"MAX_ENTRIES": 500},
    },
}
# Only the limits of sign-in use the cache on the server, and each process counts for itself while that is away.
SESSION_ENGINE = "por.accounts.sessions"

CELERY_BROKER_URL, CELERY_BROKER_USE_SSL, CELERY_BROKER_TRANSPORT_OPTIONS = brokers.broker(
    broker_url or brokers.numbered(env.str("REDIS_URL"), 0), ca_file
)
if broker_url:  # Celery's command reads that variable too, and would use the address as it is
    CELERY_BROKER_READ_URL = CELERY_BROKER_WRITE_URL = CELERY_BROKER_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_DB_REUSE_MAX = 10**9  # por.celery decides when a connection to the database is closed
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
# A connection that the broker has ended is replaced once, or the scheduler would never send again. No request waits for
# it: wakes are sent by a thread of their own.
CELERY_TASK_PUBLISH_RETRY_POLICY = brokers.AT_ONCE | {"max_retries": 1}
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 270
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 2
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BEAT_SCHEDULE = {
    # A task that waits too long for a worker is dropped: the next one does all that is due.
    "relay": {"task": "por.history.tasks.relay", "schedule": 2.0, "options": {"expires": 2}},
    "deliver": {"task": "por.notifications.tasks.deliver", "schedule": 5.0, "options": {"expires": 5}},
    "run-jobs": {"task": "associations.tasks.run_jobs", "schedule": 10.0, "options": {"expires": 10}},
    # Due times are in rows: it is seven in the morning at another time in each time zone.
    "put-digests-together": {
        "task": "por.notifications.tasks.put_digests_together",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "run-imports": {"task": "por.imports.tasks.run", "schedule": 10.0, "options": {"expires": 10}},
    # The due time is in a row, not in the scheduler's memory: the task checks whether an hour has passed.
    "seal": {"task": "por.history.tasks.seal", "schedule": 60.0, "options": {"expires": 60}},
    "purge-idempotency-keys": {
        "task": "por.accounts.tasks.purge_idempotency_keys",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    # Due times are in the rows of change requests and others: after a stop, all that is overdue is done once.
    "keep-time": {"task": "associations.tasks.keep_time", "schedule": 60.0, "options": {"expires": 60}},
    "keep-sums": {"task": "associations.tasks.keep_sums", "schedule": 60.0, "options": {"expires": 60}},
    "check-associations": {
        "task": "associations.tasks.check_associations",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "forget-uploads": {"task": "por.imports.tasks.forget", "schedule": 60.0, "options": {"expires": 60}},
    "examine-proofs": {
        "task": "associations.claims.tasks.examine_proofs",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "remove-unnamed-files": {
        "task": "associations.claims.tasks.remove_unnamed_files",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "recompute": {"task": "competencies.tasks.recompute", "schedule": 10.0, "options": {"expires": 10}},
    "recompute-all": {"task": "competencies.tasks.recompute_all", "schedule": 60.0, "options": {"expires": 60}},
    "purge-sessions": {"task": "por.accounts.tasks.purge_sessions", "schedule": 60.0, "options": {"expires": 60}},
}

# --- Sign-in ----------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "name"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "por.accounts.password_rules.CommonWordValidator"},
    {"NAME": "por.accounts.password_rules.RepeatedPasswordValidator"},
    {"NAME": "por.accounts.password_rules.NamesValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "por.notifications.adapter.Adapter"
ACCOUNT_FORMS = {
    "change_password": "por.accounts.password_forms.ChangeForm",
    "reset_password_from_key": "por.accounts.password_forms.ResetForm",
}
#: Days after which a new API token ends: as proposed, and at most.
TOKEN_LONGEST_DAYS = env.int("TOKEN_LONGEST_DAYS", default=365)
TOKEN_DAYS = min(env.int("TOKEN_DAYS", default=90), TOKEN_LONGEST_DAYS)
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # people are invited, no one signs up
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
# por/accounts/limits.py has our own limits of these. The library's would lock out everyone at an address.
ACCOUNT_RATE_LIMITS = dict.fromkeys(["login", "login_failed", "reset_password", "reset_password_from_key"])
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", default=12) * 3600  # no session becomes older
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_MINUTES", default=120) * 60
#: Whether the database has the keys of new sessions as hashes only. The release before this one cannot read those, so
#: they are written from the next release on, or once no process of an older one runs.
SESSION_KEYS_HASHED = env.bool("SESSION_KEYS_HASHED", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
DEVICES_COOKIE_NAME = "__Host-devices" if HTTPS else "devices"

# --- What a browser may do --------------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
#: The product uses none of these, and no script that gets into a page may.
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "autoplay",
        "camera",
        "display-capture",
        "encrypted-media",
        "fullscreen",
        "geolocation",
        "gyroscope",
        "hid",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "picture-in-picture",
        "screen-wake-lock",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        # Not `report-to`: browsers that know it then ignore this one, and do not send those reports without https.
        "report-uri": ["/csp-reports"],
    }
}

# --- API --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "por.accounts.authentication.TokenAuthentication",
        "por.accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["por.api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["por.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "por.api.schema.Schema",
    "EXCEPTION_HANDLER": "por.api.problems.handler",
    "URL_FORMAT_OVERRIDE": None,  # the product itself reads ?format=csv
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Partner of Record",
    "DESCRIPTION": "Who is the partner of record of a subscription, since when, and why.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SERVERS": [{"url": SITE_URL}],
    "TAGS": [
        {"name": "associations", "description": "All associations of the caller, of every kind."},
        {"name": "bulk", "description": "One thing done to many subscriptions."},
        {"name": "change-requests", "description": "Which of several partners is doing the work."},
        {"name": "claims", "description": "What partners claim to work for, with their files and comments."},
        {"name": "competencies", "description": "What a company has reached in the programmes of a day."},
        {"name": "conflicts", "description": "What several partners claim, until a reviewer has decided."},
        {"name": "customers", "description": "Customers, with the numbers of their subscriptions."},
        {"name": "invitations", "description": "Partners that ask to be the partner of record."},
        {"name": "jobs", "description": "What is done row by row."},
        {"name": "me", "description": "The caller."},
        {"name": "notifications", "description": "The inbox of the caller."},
        {"name": "partners", "description": "Partners, and finding one by its MPN ID."},
        {"name": "receipts", "description": "Links that prove who is the partner of record."},
        {"name": "recomputations", "description": "How far the competencies of many companies have been computed."},
        {"name": "subscriptions", "description": "Subscriptions, and who is their partner of record."},
    ],
    "POSTPROCESSING_HOOKS": ["por.api.schema.add_components"],
    "PATH_CONVERTER_OVERRIDES": {"guid": {"type": "string", "format": "uuid"}},
}

# --- Mail -------------------------------------------------------------------------------------------------------
vars().update(env.email_url("EMAIL_URL"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Partner of Record <no-reply@partner-of-record.example>")
#: The maildir of the demo's own sink, readable on a page for administrators.
MAIL_SINK = env.str("MAIL_SINK", default="")

# --- Words and times --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("sv", "Svenska")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "language"
FORMAT_MODULE_PATH = ["por.web.formats"]
TIME_ZONE = "UTC"
USE_THOUSAND_SEPARATOR = True

# --- Files ------------------------------------------------------------------------------------------------------
#: The directory of files, used if no bucket is named.
FILES_ROOT = env.str("FILES_ROOT", default=str(BASE_DIR / "var" / "files"))
FILES: dict[str, Any] = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": FILES_ROOT}}
if BUCKET := env.str("AWS_STORAGE_BUCKET_NAME", default=""):
    # Without a key, the role of the machine is used, as is usual on AWS.
    FILES = {
        "BACKEND": "por.files.bucket.Bucket",
        "OPTIONS": {
            "bucket_name": BUCKET,
            "endpoint_url": env.str("AWS_S3_ENDPOINT_URL", default="") or None,
            "access_key": env.str("AWS_ACCESS_KEY_ID", default="") or None,
            "secret_key": env.str("AWS_SECRET_ACCESS_KEY", default="") or None,
        },
    }

# The bounds of every other request: bytes of the body, fields of a form or an address, files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 50
#: The most bytes that the files of one uploaded estate may have in total, unpacked.
LARGEST_UPLOAD = env.int("LARGEST_UPLOAD_MB", default=2048) * 1024 * 1024

#: The daemon of ClamAV that scans proofs: unix:///path or tcp://host:port. Without it they are shown as not scanned.
CLAMAV_URL = env.str("CLAMAV_URL", default="")

# --- Static files -----------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder", "por.web.staticfiles.UsedFiles"]
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "var" / "static"))
STORAGES = {
    "default": FILES,
    "staticfiles": {
        "BACKEND": "por.web.storage.StaticFiles"
        if not DEBUG
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- Metrics ----------------------------------------------------------------------------------------------------
#: The port on which each process of web, worker and scheduler shows its metrics; 0 opens none.
METRICS_PORT = int(env.str("METRICS_PORT", default="") or 0)
#: Who sends this as a bearer token may read metrics, there and at /metrics.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- Logs -------------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "por.ops.logs.Formatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django.server": {"handlers": [], "propagate": True},
        # Tasks that look for work run every few seconds. Metrics count them; only what goes wrong has a line.
        **{name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.beat", "celery.worker.strategy")},
        "fontTools": {"level": "WARNING"},  # has a line for each table of a typeface in a PDF
    },
}

SILENCED_SYSTEM_CHECKS: list[str] = []
