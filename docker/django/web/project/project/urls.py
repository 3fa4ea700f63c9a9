"""Where everything is. `re_path` was called `url` before Django 2.0."""

from django.contrib import admin
from notes import views

try:
    from django.urls import re_path
except ImportError:
    from django.conf.urls import url as re_path

urlpatterns = [
    re_path(r"^$", views.index),
    re_path(r"^api/notes$", views.notes),
    re_path(r"^healthz$", views.healthz),
    re_path(r"^admin/", admin.site.urls),
]
handler500 = "notes.views.failed"
