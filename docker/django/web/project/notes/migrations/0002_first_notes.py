"""So that there is something to see."""

from django.db import migrations

NOTES = [
    ("Migrated", "This row was written by a migration, before the application started."),
    ("Collected", "The style of this page was put where nginx finds it by collectstatic, at the same time."),
    ("Behind nginx", "Sign in to the admin to write more: its cookies come through nginx, too."),
]


def write(apps, _):
    note = apps.get_model("notes", "Note")
    for title, text in NOTES:
        note.objects.create(title=title, text=text)


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.RunPython(write, lambda apps, _: None)]
