"""Sessions can be pinned; imported ones know since when they are here; what rules have removed is kept for the pages."""

from django.db import migrations, models
from django.utils import timezone


def imported_now(apps, schema_editor):
    """When earlier imports came is not known: their age counts from now, so that no rule removes them at once."""
    apps.get_model("console", "Session").objects.filter(source="import").update(imported_at=timezone.now())


class Migration(migrations.Migration):

    dependencies = [
        ("console", "0005_rows_in_order_of_writing"),
    ]

    operations = [
        migrations.AddField("session", "pinned", models.BooleanField(default=False)),
        migrations.AddField("session", "imported_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField(
            "session",
            "status",
            models.CharField(
                choices=[(s, s) for s in ("idle", "connecting", "ready", "closing", "closed", "importing", "deleting")],
                default="idle",
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            "Removal",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("rule", models.CharField(max_length=80)),
                ("sessions", models.PositiveIntegerField()),
            ],
            options={"ordering": ["-at"]},
        ),
        migrations.RunPython(imported_now, migrations.RunPython.noop, elidable=True),
    ]
