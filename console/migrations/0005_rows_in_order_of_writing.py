"""Entries and frames are keyed by the order of writing, and a row knows its last member: one index of what comes, not three."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

import console.models

KEPT = (
    "session_id", "seq", "t_us", "kind", "direction", "leg", "origin", "type", "level", "event_id", "response_id",
    "item_id", "text", "data", "pair", "row", "size", "audio_ms", "added_us", "fold_count", "fold_size", "fold_audio_ms",
    "fold_last_us", "fold_gap_us",
)
COLUMNS = ", ".join(f'"{column}"' for column in KEPT)
LAST = """
CASE WHEN "row" = "seq" THEN (
    SELECT MAX(member."seq") FROM "console_oldentry" member
    WHERE member."session_id" = "console_oldentry"."session_id" AND member."row" = "console_oldentry"."seq"
) ELSE "seq" END
"""
MOVE_ENTRIES = f"""
INSERT INTO "console_entry" ("id", {COLUMNS}, "fold_last")
SELECT ROW_NUMBER() OVER (ORDER BY "session_id", "seq"), {COLUMNS}, {LAST} FROM "console_oldentry"
"""
MOVE_FRAMES = """
INSERT INTO "console_frame" ("entry_id", "text", "audio", "at")
SELECT entry."id", frame."text", frame."audio", frame."at" FROM "console_oldframe" frame
JOIN "console_entry" entry ON entry."session_id" = frame."session_id" AND entry."seq" = frame."seq"
ORDER BY entry."id"
"""


class Migration(migrations.Migration):
    dependencies = [("console", "0004_rows_by_type")]

    operations = [
        migrations.RemoveIndex(model_name="entry", name="entry_rows"),
        migrations.RemoveIndex(model_name="entry", name="entry_types"),
        migrations.RenameModel(old_name="Entry", new_name="OldEntry"),
        migrations.RenameModel(old_name="Frame", new_name="OldFrame"),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", console.models.RowNumber(primary_key=True, serialize=False)),
                ("seq", models.PositiveIntegerField()),
                ("t_us", models.BigIntegerField()),
                ("kind", models.CharField(max_length=8)),
                ("direction", models.CharField(max_length=8)),
                ("leg", models.CharField(max_length=8)),
                ("origin", models.CharField(max_length=8)),
                ("type", models.CharField(max_length=128)),
                ("level", models.CharField(blank=True, max_length=8)),
                ("event_id", models.CharField(blank=True, max_length=512)),
                ("response_id", models.CharField(blank=True, max_length=128)),
                ("item_id", models.CharField(blank=True, max_length=128)),
                ("text", models.TextField(blank=True)),
                ("data", models.JSONField(blank=True, default=dict)),
                ("pair", models.PositiveIntegerField(blank=True, null=True)),
                ("row", models.PositiveIntegerField()),
                ("size", models.PositiveIntegerField(default=0)),
                ("audio_ms", models.FloatField(default=0)),
                ("added_us", models.PositiveIntegerField(blank=True, null=True)),
                ("fold_last", models.PositiveIntegerField(default=0)),
                ("fold_count", models.PositiveIntegerField(default=1)),
                ("fold_size", models.PositiveBigIntegerField(default=0)),
                ("fold_audio_ms", models.FloatField(default=0)),
                ("fold_last_us", models.BigIntegerField(default=0)),
                ("fold_gap_us", models.BigIntegerField(default=0)),
                ("session", models.ForeignKey(
                    db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="entries",
                    to="console.session",
                )),
            ],
            options={"ordering": ["session_id", "seq"]},
        ),
        migrations.CreateModel(
            name="Frame",
            fields=[
                ("entry", models.OneToOneField(
                    on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name="+", serialize=False,
                    to="console.entry",
                )),
                ("text", models.TextField()),
                ("audio", models.BinaryField(null=True)),
                ("at", models.IntegerField(default=-1)),
            ],
        ),
        migrations.RunSQL(MOVE_ENTRIES, elidable=True),
        migrations.AddConstraint(
            model_name="entry", constraint=models.UniqueConstraint(fields=["session", "seq"], name="entry_place")
        ),
        migrations.RunSQL(MOVE_FRAMES, elidable=True),
        migrations.DeleteModel(name="OldFrame"),
        migrations.DeleteModel(name="OldEntry"),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(condition=Q(row=F("seq")), fields=["session", "seq"], name="entry_rows"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(condition=Q(row=F("seq")), fields=["session", "type", "seq"], name="entry_types"),
        ),
    ]
