"""What an operator types about a cluster's metrics. The token is never given back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clusters.models import Cluster
from clusters.selectors.metrics import MetricsSettings, metrics_of
from fleetportal.kit.errors import Invalid

ROADS = (
    ("direct", "Directly, from each pod"),
    ("prometheus", "From its Prometheus"),
    ("off", "Not at all"),
)
VERBS = ("is", "has", "are", "was", "cannot")  # begin what is said of a field without naming it
NAMES = ("road", "service", "url", "ca", "prefix", "matchers")


@dataclass(slots=True)
class MetricsForm:
    """`token` None: the stored one is kept. `errors`: field -> words."""

    values: dict[str, str] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    errors: dict[str, str] = field(default_factory=dict)
    matchers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: Cluster) -> MetricsForm:
        held = metrics_of(cluster)
        lines = "\n".join(f"{key}={value}" for key, value in held.matchers.items())
        texts = (held.road, held.service, held.url, held.ca_pem, held.prefix, lines)
        return cls(dict(zip(NAMES, texts, strict=True)))

    @classmethod
    def sent(cls, data: Mapping[str, Any]) -> MetricsForm:
        form = cls({name: str(data.get(name, "")).strip() for name in NAMES})
        typed = str(data.get("token", "")).strip()
        form.token = typed or ("" if data.get("forget_token") else None)
        form.matchers, wrong = read_matchers(form.values["matchers"])
        if wrong:
            form.errors["matchers"] = f"{wrong[:60]!r} is none. Write label=value."
        return form

    def settings(self) -> MetricsSettings:
        values = self.values
        return MetricsSettings(
            road=values["road"],
            service=values["service"],
            url=values["url"],
            ca_pem=values["ca"],
            prefix=values["prefix"],
            matchers=self.matchers,
        )

    def refuse(self, error: Invalid) -> None:
        """Take in what the service refused."""
        for one in error.problems:
            verb = one.message.partition(" ")[0] in VERBS
            self.errors[one.field] = f"It {one}" if verb else str(one)


def read_matchers(text: str) -> tuple[dict[str, str], str]:
    """One label=value a line; the first line that is none."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, equals, value = line.partition("=")
        if not equals:
            return found, line
        found[key.strip()] = value.strip().strip('"')
    return found, ""
