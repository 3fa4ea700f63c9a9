"""What people leave for each other."""

from django.conf import settings
from django.db import models


class Note(models.Model):
    """A few words, and who said them."""

    title = models.CharField(max_length=80)
    text = models.TextField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created", "-id"]

    def __str__(self):
        return self.title
