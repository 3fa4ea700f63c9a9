"""Makes ADMIN_USER with ADMIN_PASSWORD a superuser, unless there is somebody of that name already."""

import os

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Makes the superuser that ADMIN_USER, ADMIN_EMAIL and ADMIN_PASSWORD tell of, once."

    def handle(self, *args, **options):
        users = get_user_model().objects
        name = os.environ.get("ADMIN_USER", "admin")
        if users.filter(username=name).exists():
            print("{} is there already: left as it is".format(name))
            return
        users.create_superuser(name, os.environ.get("ADMIN_EMAIL", ""), os.environ["ADMIN_PASSWORD"])
        print("made the superuser {}".format(name))
