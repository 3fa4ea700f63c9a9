"""The page, its data, and what is said when there is none."""

import json
import sys

from django.db import OperationalError
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie

from .models import Note


@ensure_csrf_cookie
def index(request):
    """The page; what is on it comes from `notes`."""
    return render(request, "index.html")


def notes(request):
    """All notes; who is signed in may add one."""
    if request.method == "POST":
        # AnonymousUser has no key, in all versions.
        if request.user.pk is None:
            return JsonResponse({"error": "sign in first"}, status=403)
        new = json.loads(request.body.decode("utf-8"))
        Note.objects.create(title=new["title"][:80], text=new["text"], author=request.user)
    rows = [
        {
            "title": note.title,
            "text": note.text,
            "author": note.author.get_username() if note.author else None,
            "created": note.created.isoformat(),
        }
        for note in Note.objects.select_related("author")
    ]
    user = request.user.get_username() if request.user.pk else None
    return JsonResponse({"notes": rows, "user": user})


def healthz(request):
    """Whether the app is there. The database has a health of its own: restarting us would not help it."""
    return HttpResponse("ok\n", content_type="text/plain")


def failed(request):
    """A database that is away comes back: that is no error of ours."""
    if isinstance(sys.exc_info()[1], OperationalError):
        response = HttpResponse("The database is away. Try again in a moment.\n", content_type="text/plain", status=503)
        response["Retry-After"] = "2"
        return response
    return HttpResponse("Something is wrong here.\n", content_type="text/plain", status=500)
