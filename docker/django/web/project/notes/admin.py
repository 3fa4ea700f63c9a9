"""Notes in the admin."""

from django.contrib import admin

from .models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    """What is shown of each."""

    list_display = ("title", "author", "created")
    search_fields = ("title", "text")
