"""Moments as the database makes numbers of them: thousands of rows then need no conversion."""

from __future__ import annotations

from typing import Any

from django.db.models import Field, Func


class Seconds(Func):
    """A moment in whole unix seconds."""

    output_field = Field()
    template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint"

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="UNIXEPOCH(%(expressions)s)", **extra)
