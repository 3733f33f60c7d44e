"""Wall-clock time. Stamps are never compressed: only durations are (`Fleet.seconds`)."""

from datetime import UTC, datetime


class Clock:
    """The time of every cluster of a fleet."""

    def __init__(self) -> None:
        self._stamp = (0, "")

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)

    def stamp(self) -> str:
        """Now in the form of Kubernetes timestamps (whole seconds)."""
        now = self.now()
        second = int(now.timestamp())
        if self._stamp[0] != second:
            self._stamp = (second, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return self._stamp[1]
