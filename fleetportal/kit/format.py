"""Numbers, money, sizes and times as the words people read.

Plain functions, so that pages, sentences of the API and tests share one spelling. Unknown is the
word "unknown", never 0. No Django here, no HTML, and no clock: the present is an argument.
"""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "unknown"
GIB = 1 << 30
MINUTE, HOUR, DAY = 60, 3600, 86400


def num(value: float | int | None, digits: int | None = None) -> str:
    """Thousands parted by commas: 131072 -> "131,072". Floats keep `digits`, else up to one."""
    if value is None:
        return UNKNOWN
    if digits is not None:
        return f"{value:,.{digits}f}"
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}"


def gib(value: float | None) -> str:
    """GiB to GiB: one decimal below 100, none above."""
    if value is None:
        return UNKNOWN
    return f"{num(value, 0 if value >= 100 or float(value).is_integer() else 1)} GiB"


def gib_of_bytes(value: float | None) -> str:
    return UNKNOWN if value is None else gib(value / GIB)


def gpus(value: int | None) -> str:
    if value is None:
        return f"{UNKNOWN} GPUs"
    return f"{num(value)} GPU" + ("" if value == 1 else "s")


def money(value: float | None, unit: str = "/h") -> str:
    """$ per hour, two decimals; unknown prices say so."""
    if value is None:
        return UNKNOWN
    sign = "-" if value < 0 else ""
    return f"{sign}${abs(value):,.2f}{unit}"


def money_sum(value: float | None, unknown: int, unit: str = "/h") -> str:
    """A sum and how many of its parts nobody knows: "$12.40/h + 1 unknown"."""
    if value is None:
        return UNKNOWN
    return money(value, unit) + (f" + {num(unknown)} unknown" if unknown else "")


def dollars(value: float | None) -> str:
    """An amount: "$41.20"; "$1,240" from a thousand on."""
    if value is None:
        return UNKNOWN
    return f"${value:,.0f}" if abs(value) >= 1000 else money(value, "")


def percent(value: float | None, digits: int = 0) -> str:
    """A ratio as percent: 0.183 -> "18 %"."""
    return UNKNOWN if value is None else f"{value * 100:.{digits}f} %"


def duration(seconds: float | None) -> str:
    """At most two units, rounded down: "45 s", "2 min", "1 h 5 min", "3 d 4 h"."""
    if seconds is None:
        return UNKNOWN
    total = max(0, round(seconds))
    if total < 2 * MINUTE:
        return f"{total} s"
    if total < HOUR:
        return f"{total // MINUTE} min"
    if total < DAY:
        return _two(total // HOUR, "h", total % HOUR // MINUTE, "min")
    return _two(total // DAY, "d", total % DAY // HOUR, "h")


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big} {big_unit}" + (f" {small} {small_unit}" if small else "")


def ago(moment: datetime | None, now: datetime) -> str:
    """How long before `now`, in one unit: "now", "12 s ago", "3 h ago"; "never" for None."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return until(moment, now)
    if seconds < 2:
        return "now"
    return f"{_one(seconds)} ago"


def until(moment: datetime | None, now: datetime) -> str:
    """How long after `now`: "in 9 s"; "due" once it has passed; "no limit" for None."""
    if moment is None:
        return "no limit"
    seconds = (moment - now).total_seconds()
    return "due" if seconds <= 0 else f"in {_one(seconds)}"


def _one(seconds: float) -> str:
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def exact(moment: datetime | None) -> str:
    """The stamp itself, in UTC, to the second."""
    if moment is None:
        return "never"
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short_digest(digest: str | None, length: int = 12) -> str:
    """The head of a digest without its algorithm: "sha256:4f2c..." -> "4f2c..."."""
    if not digest:
        return "none"
    return digest.rpartition(":")[2][:length]
