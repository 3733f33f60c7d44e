"""Wall-clock time. Stamps are never compressed: only durations are (`Fleet.seconds`)."""

from datetime import UTC, datetime


class Clock:
    """The time of every cluster of a fleet."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)

    def stamp(self) -> str:
        """Now in the form of Kubernetes timestamps (whole seconds)."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
