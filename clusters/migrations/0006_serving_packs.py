from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rows that are there stay: the collector packs those whose span is over, little by little."""

    dependencies = [("clusters", "0005_inventory_notes")]

    operations = [
        migrations.CreateModel(
            name="ServingPack",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(max_length=320)),
                ("resolution", models.PositiveSmallIntegerField()),
                ("start", models.DateTimeField()),
                ("packed", models.BinaryField()),
                (
                    "cluster",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="packs",
                        to="clusters.cluster",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["resolution", "start"], name="pack_age")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("cluster", "subject", "resolution", "start"), name="pack_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(resolution__in=(60, 3600)), name="pack_resolution"
                    ),
                ],
            },
        ),
    ]
