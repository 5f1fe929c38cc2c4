"""Settings of the SpendSync site, read from the environment or from `.env` beside manage.py."""

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

from anymail.exceptions import AnymailNotSupportedWarning
from csp import constants as csp
from django.core.exceptions import ImproperlyConfigured

from spendsync_site import api_document
from spendsync_site.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
Environment.read_env(BASE_DIR / ".env")

# Site -------------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set. Put a long random value in the environment or in .env, "
            "or set DEBUG=1 for a development site."
        )
    SECRET_KEY = "development-only-key-that-is-never-used-in-production"  # noqa: S105
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SITE_URL = env.str("SITE_URL", default="").rstrip("/")

INSTALLED_APPS = [
    "jobqueue",  # before django_rq: its rqworker command replaces django-rq's
    "settlements",
    "spendsync_site.apps.BoundedAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_rq",
    "django_prometheus",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "djmoney",
    "django_fsm",
    "anymail",
    "axes",
    "csp",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "spendsync_site.middleware.PagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "spendsync_site.middleware.BoundedMetricsMiddleware",
    "axes.middleware.AxesMiddleware",
    "jobqueue.admin.OutagesMiddleware",
]

ROOT_URLCONF = "spendsync_site.urls"
WSGI_APPLICATION = "spendsync_site.wsgi.application"

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
    },
]

# Databases --------------------------------------------------------------------------------------

_PROMETHEUS_ENGINES = {
    "django.db.backends.sqlite3": "django_prometheus.db.backends.sqlite3",
    "django.db.backends.postgresql": "django_prometheus.db.backends.postgresql",
}


def _database(variable: str, default: str, test_name_variable: str) -> dict[str, Any]:
    config: dict[str, Any] = env.db_url(variable, default=default)
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"] == "django.db.backends.sqlite3":
        # Readers never wait for a writer (WAL); a writer takes its lock at the start of the
        # transaction, because SQLite cannot wait for a lock in the middle of one.
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("timeout", 20)
        options.setdefault("init_command", "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
    elif config["ENGINE"] == "django.db.backends.postgresql":
        options.setdefault("connect_timeout", 2)
        if env.bool("PREPARED_STATEMENTS", default=True):
            # Concerns the job queue's statements for single jobs; those of the ORM stay as they are.
            options.setdefault("prepare_threshold", 0)
        config.setdefault("CONN_MAX_AGE", 60)
        config.setdefault("CONN_HEALTH_CHECKS", True)
    config["ENGINE"] = _PROMETHEUS_ENGINES.get(config["ENGINE"], config["ENGINE"])
    test_name = env.str(test_name_variable, default="")
    if test_name:
        config["TEST"] = {"NAME": test_name}
    return config


DATABASES = {
    "default": _database("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}", "TEST_DATABASE_NAME")
}
if env.str("OTHER_DATABASE_URL", default=""):
    DATABASES["other"] = _database("OTHER_DATABASE_URL", "", "TEST_OTHER_DATABASE_NAME")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Queues -----------------------------------------------------------------------------------------


def _redis() -> dict[str, Any]:
    """Where Redis is: REDIS_URL, or REDIS_HOST, REDIS_PORT and REDIS_PASSWORD; and its database number."""
    url = env.str("REDIS_URL", default="")
    database = env.int("REDIS_JOB_QUEUE_DB", default=1)
    if url.startswith("unix:"):
        return {"UNIX_SOCKET_PATH": url.removeprefix("unix://"), "DB": database}
    if url:
        return {"URL": url, "DB": database}
    return {
        "HOST": env.str("REDIS_HOST", default="localhost"),
        "PORT": env.int("REDIS_PORT", default=6379, most=65_535),
        "PASSWORD": env.str("REDIS_PASSWORD", default="") or None,
        "DB": database,
    }


RQ_QUEUES = {
    name: {**_redis(), "DEFAULT_TIMEOUT": 180, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name in ("email", "reminders", "settlement")
}
# django-rq's own pages let every staff user empty a queue; jobs are managed in this site's admin.
RQ_SHOW_ADMIN_LINK = False

JOBQUEUE: dict[str, Any] = {"ENVIRONMENT": env.str("JOBQUEUE_ENVIRONMENT", default="")}

# Settlements ------------------------------------------------------------------------------------


def _seconds(variable: str) -> list[timedelta]:
    try:
        return [timedelta(seconds=float(value)) for value in env.list(variable)]
    except (ValueError, OverflowError) as error:
        raise ImproperlyConfigured(f"{variable} must be seconds, separated by commas: {error}.") from None


def _settlements() -> dict[str, Any]:
    """The domain's settings; only what the environment names differs from the defaults."""
    reminders: dict[str, Any] = {}
    if "REMINDER_FOLLOW_UP_AFTER" in env:
        reminders["FOLLOW_UP_AFTER"] = _seconds("REMINDER_FOLLOW_UP_AFTER")
    if "REMINDER_OVERDUE_AFTER" in env:
        reminders["OVERDUE_AFTER"] = _seconds("REMINDER_OVERDUE_AFTER")
    if "REMINDER_MINIMUM_GAP" in env:
        reminders["MINIMUM_GAP"] = env.float("REMINDER_MINIMUM_GAP")
    if "REMINDER_TIME_ZONE" in env:
        reminders["TIME_ZONE"] = env.str("REMINDER_TIME_ZONE")
    if "REMINDER_QUIET_HOURS" in env:
        hours = env.str("REMINDER_QUIET_HOURS")
        reminders["QUIET_HOURS"] = None if hours in ("", "off") else tuple(hours.split("-"))
    configured: dict[str, Any] = {"REMINDERS": reminders}
    if "PAYMENT_CHECK_FIRST_DELAY" in env:
        configured["PAYMENT_CHECK"] = {"FIRST_DELAY": env.float("PAYMENT_CHECK_FIRST_DELAY")}
    if "NOTIFICATION_DELAY" in env:
        configured["NOTIFICATION_DELAY"] = env.float("NOTIFICATION_DELAY")
    if "EMAIL_RETRY_FOR" in env:
        configured["EMAIL_RETRY_FOR"] = env.float("EMAIL_RETRY_FOR")
    if env.str("GATEWAY_URL", default=""):
        configured["GATEWAY"] = "settlements.gateways.HttpGateway"
        configured["GATEWAY_OPTIONS"] = {
            "base_url": env.str("GATEWAY_URL"),
            "token": env.str("GATEWAY_TOKEN", default=""),
        }
    return configured


SETTLEMENTS = _settlements()
DEFAULT_CURRENCY = env.currency("DEFAULT_CURRENCY", default="EUR")

# E-mail -----------------------------------------------------------------------------------------

vars().update(env.email_url("EMAIL_URL", default="consolemail://" if DEBUG else "smtp://localhost:25"))
if env.str("EMAIL_BACKEND", default=""):
    EMAIL_BACKEND = env.str("EMAIL_BACKEND")
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT", default=15, least=0.1)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="SpendSync <noreply@spendsync.example>")
EMAIL_MESSAGE_ID_DOMAIN = env.str("EMAIL_MESSAGE_ID_DOMAIN", default="")
# SendGrid, Mailgun and others: EMAIL_BACKEND=anymail.backends.<provider>.EmailBackend and ANYMAIL as JSON.
ANYMAIL = {"REQUESTS_TIMEOUT": EMAIL_TIMEOUT, **env.json("ANYMAIL", default={})}
# Anymail's authors no longer try SendGrid themselves, and say so at each start, e-mail and webhook. We do:
# tests/settlements/ drives it against a server that answers as SendGrid documents.
SILENCED_SYSTEM_CHECKS = ["anymail.W003"]
warnings.filterwarnings(
    "ignore",
    message=r"django-anymail has dropped official support for SendGrid\.",
    category=AnymailNotSupportedWarning,
)

# Languages, time, static files ------------------------------------------------------------------

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
FORMAT_MODULE_PATH = ["spendsync_site.formats"]
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedStaticFilesStorage"
    },
}

# API --------------------------------------------------------------------------------------------

# A token is sent in the header `Authorization: Token …` and kept as a hash; a session needs the CSRF token.
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "spendsync_site.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    # Of one user, counted by each web process for itself.
    "DEFAULT_THROTTLE_RATES": {
        "api-read": env.rate("API_READ_RATE", default="1200/min"),
        "api-change": env.rate("API_CHANGE_RATE", default="240/min"),
    },
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=env.float("API_TOKEN_DAYS", default=90, least=0.001, most=36_500)),
    "TOKEN_PREFIX": "spendsync_",
    "AUTO_REFRESH": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SpendSync: jobs, settlements, payments, e-mails",
    "DESCRIPTION": api_document.DESCRIPTION,
    "TAGS": api_document.TAGS,
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/api",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "SettlementStatus": "settlements.api.bodies.SETTLEMENT_STATES",
        "PaymentStatus": "settlements.api.bodies.PAYMENT_STATES",
        "FirstPaymentStatus": "settlements.api.bodies.FIRST_STATES",
        "EmailStatus": "settlements.api.bodies.EMAIL_STATES",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None, "persistAuthorization": False},
}

# Security ---------------------------------------------------------------------------------------

# With DEBUG off the site speaks HTTPS; what ends TLS in front of it says so (TRUST_X_FORWARDED_PROTO).
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
# Probes and scrapers inside the cluster speak plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics/?$"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if DEBUG else 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=False)
# Other subdomains are not this site's to decide on, and a preloaded list forgets nothing for months.
SILENCED_SYSTEM_CHECKS += ["security.W005", "security.W021"]
SESSION_COOKIE_SECURE = env.bool("SESSION_COOKIE_SECURE", default=not DEBUG)
CSRF_COOKIE_SECURE = env.bool("CSRF_COOKIE_SECURE", default=not DEBUG)
if env.bool("TRUST_X_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
PROMETHEUS_EXPORT_MIGRATIONS = False

# The pages load what this site serves, and nothing runs that stands in a page itself.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [csp.NONE],
        "script-src": [csp.SELF],
        "style-src": [csp.SELF],
        "img-src": [csp.SELF, "data:"],
        "font-src": [csp.SELF],
        "connect-src": [csp.SELF],
        "form-action": [csp.SELF],
        "frame-src": [csp.SELF],  # the preview of a letter, which is served with a policy of its own
        "frame-ancestors": [csp.NONE],
        "base-uri": [csp.NONE],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    feature: []
    for feature in (
        "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen",
        "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment", "usb",
    )
}  # fmt: skip

# Who fails to log in five times from one address waits for a quarter of an hour.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "spendsync_site.permissions.PermissionsAtOnce",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=5, least=1)
AXES_COOLOFF_TIME = timedelta(minutes=env.float("LOGIN_COOLOFF_MINUTES", default=15, most=1e6))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "spendsync_site.clients.address_of"
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_RESET_ON_SUCCESS = True
# Or whoever goes on trying would keep the one out for ever who has the password.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# Behind a proxy that appends the client's address to X-Forwarded-For; otherwise anybody could invent one.
TRUST_X_FORWARDED_FOR = env.bool("TRUST_X_FORWARDED_FOR", default=False)
REST_FRAMEWORK["NUM_PROXIES"] = int(TRUST_X_FORWARDED_FOR)  # so are requests without a login counted

# Logs -------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.log_level("LOG_LEVEL", default="INFO")},
    # Of logins only who is locked out: it would tell of each step otherwise.
    "loggers": {"axes": {"level": "WARNING"}},
}
