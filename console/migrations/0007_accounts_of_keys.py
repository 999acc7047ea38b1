"""Keys remember their dearest response: what is reserved for each that is under way."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("console", "0006_pins_and_removals"),
    ]

    operations = [
        migrations.AddField(
            model_name="relaykey",
            name="dearest_usd",
            field=models.FloatField(default=0),
        ),
    ]
