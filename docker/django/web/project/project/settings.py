"""All of it comes from the environment; for Django 1.8 (Ubuntu 16.04) to today's.

minisup puts SECRET_KEY and DATABASE_PASSWORD there, from the files that SECRET_KEY_FILE and
DATABASE_PASSWORD_FILE name.
"""

import os

import django

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def words(name, otherwise=""):
    return [word.strip() for word in os.environ.get(name, otherwise).split(",") if word.strip()]


SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
# The readiness probe comes as localhost.
ALLOWED_HOSTS = ["localhost"] + words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if django.VERSION < (1, 10):
    MIDDLEWARE_CLASSES = MIDDLEWARE

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [os.path.join(BASE_DIR, "templates")],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# A connection for each request: a database that was away is found again by the next one.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql" + ("_psycopg2" if django.VERSION < (1, 9) else ""),
        "HOST": os.environ.get("DATABASE_HOST", "127.0.0.1"),
        "PORT": os.environ.get("DATABASE_PORT", "5432"),
        "NAME": os.environ.get("DATABASE_NAME", "django"),
        "USER": os.environ.get("DATABASE_USER", "django"),
        "PASSWORD": os.environ["DATABASE_PASSWORD"],
        "OPTIONS": {"connect_timeout": 3},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = os.environ.get("TZ", "UTC")
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [os.path.join(BASE_DIR, "static")]
# Where nginx.conf looks.
STATIC_ROOT = os.environ.get("STATIC_ROOT", "/run/web/static")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("LOG_LEVEL", "WARNING")},
}
