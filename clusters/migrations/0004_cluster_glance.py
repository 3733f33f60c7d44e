from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clusters", "0003_metrics_roads")]

    operations = [
        migrations.AddIndex(
            model_name="cluster",
            index=models.Index(
                fields=["name", "state", "cordoned", "open_to_all", "id"], name="cluster_glance"
            ),
        ),
    ]
