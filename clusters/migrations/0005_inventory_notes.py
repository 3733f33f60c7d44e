from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clusters", "0004_cluster_glance")]

    operations = [
        migrations.AddField(
            model_name="cluster",
            name="inventory_notes",
            field=models.TextField(blank=True, default=""),
        ),
    ]
