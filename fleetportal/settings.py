"""Settings: one file, every value from the environment, a safe default or a loud failure.

docs/operations.md lists the variables. `FLEETPORTAL_DEMO=1` is set by `manage.py demo` only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleetportal.database import database_from_url
from fleetportal.env import BadEnvironment, env_bool, env_int, env_list, env_secret, env_str

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env_str("DATA_DIR", str(BASE_DIR / "var")))

DEBUG = False
DEMO = env_bool("FLEETPORTAL_DEMO", False)
TESTING = env_bool("FLEETPORTAL_TESTING", False)
UNSAFE_KEY = "not-a-secret-only-for-checks-and-tests"
SECRET_KEY = env_secret("SECRET_KEY") or UNSAFE_KEY
FLEETPORTAL_KEYS = env_secret("FLEETPORTAL_KEYS") or ""
INSTALL_ID = env_str("FLEETPORTAL_INSTALL_ID", "main")
# The simulated fleet listens on loopback; a real installation never talks to itself.
ALLOW_LOOPBACK_CLUSTERS = env_bool("FLEETPORTAL_ALLOW_LOOPBACK_CLUSTERS", DEMO)

# Loopback names stay: health checks of this machine use them, and no stranger's name resolves so.
ALLOWED_HOSTS = [*env_list("ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
HTTPS = env_bool("FLEETPORTAL_HTTPS", False)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "template_partials.apps.SimpleAppConfig",
    "rest_framework",
    "drf_spectacular",
    "fleetportal.kit.apps.KitConfig",
    "fleetportal.pulse.apps.PulseConfig",
    "fleetportal.accounts.apps.AccountsConfig",
    "fleetportal.journal.apps.JournalConfig",
    "fleetportal.rest.apps.RestConfig",
    "fleetportal.web.apps.WebConfig",
    "fleetportal.live.apps.LiveConfig",
    "clusters.apps.ClustersConfig",
    "workspaces.apps.WorkspacesConfig",
    "rollouts.apps.RolloutsConfig",
    "fleetportal.console.apps.ConsoleConfig",
]
AUTH_USER_MODEL = "accounts.User"
ROOT_URLCONF = "fleetportal.urls"
ASGI_APPLICATION = "fleetportal.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "fleetportal.web.middleware.policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "fleetportal.web.sessions.limits",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "fleetportal.web.middleware.guard",
]

_LOADERS = [
    "django.template.loaders.filesystem.Loader",
    "django.template.loaders.app_directories.Loader",
]
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "fleetportal.web.context.shell",
            ],
            "builtins": ["template_partials.templatetags.partials"],
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [("django.template.loaders.cached.Loader", _LOADERS)],
                )
            ],
        },
    }
]

DATABASES = {
    "default": database_from_url(
        env_str("DATABASE_URL", f"sqlite:///{DATA_DIR / 'portal.sqlite3'}")
    )
}

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else f"fleetportal_{INSTALL_ID}"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "fleetportal_csrf"
CSRF_FAILURE_VIEW = "fleetportal.web.errors.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # asked from inside, without the TLS proxy
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

CELERY_BROKER_URL = env_str("REDIS_URL", "")
if CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
    CELERY_BROKER_TRANSPORT = "fleetportal.pulse.broker:Transport"
NEWS_URL = CELERY_BROKER_URL  # of kit.news
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_TASK_TIME_LIMIT = 60
CELERY_VISIBILITY_TIMEOUT = 180
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 180,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 15,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # Of a ring, not of the consumer: one more try at once, then the ticker takes over.
    "max_retries": 1,
    "interval_start": 0.05,
    "interval_step": 0,
    "interval_max": 0.05,
}
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Ending them would end the children with their tickers, which nobody replaces without a broker.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = f"fleetportal-{INSTALL_ID}"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "fleetportal.rest.auth.BearerAuthentication",
        "fleetportal.rest.auth.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["fleetportal.rest.auth.DeclaredVerb"],
    "DEFAULT_RENDERER_CLASSES": ["fleetportal.rest.renderers.Json"],
    "DEFAULT_PARSER_CLASSES": ["fleetportal.rest.parsers.StrictJson"],
    "DEFAULT_PAGINATION_CLASS": "fleetportal.rest.pages.Page",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "fleetportal.rest.problems.handle",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FleetPortal",
    "DESCRIPTION": "LLM inference on a fleet of Kubernetes clusters: plans, rollouts, approvals.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["fleetportal.rest.auth.DeclaredVerb"],
    "SERVE_AUTHENTICATION": None,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "fleetportal.rest.schema.with_problems",
    ],
}

DEMO_SOAK_SECONDS = env_int("FLEETPORTAL_DEMO_SOAK_SECONDS", 10, least=0, most=3600)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "fleetportal.kit.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env_str("LOG_LEVEL", "INFO")},
    "loggers": {"django.server": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}

if not FLEETPORTAL_KEYS and (DEMO or TESTING):
    raise BadEnvironment("FLEETPORTAL_KEYS is needed; run manage.py generate_keys")
