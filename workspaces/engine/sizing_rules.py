"""KAITO's sizing constants per KAITO version.

The numbers changed between releases and nothing on a cluster tells them, so they are a table here,
looked up by the version the cluster reports. Percentages and tenths are integers: the node count
has a cliff at every exact multiple, and floating point would fall off it at random.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

Version = tuple[int, int, int]

# Loaded weights are 2 % larger than the files, and activations take 5 % of them: 1.02 x 1.05.
WEIGHT_PERMILLE = 1071


@dataclass(frozen=True, slots=True)
class Rules:
    """Constants of one KAITO version; the `a10` ones hold for the NVIDIA A10 only.

    `sized` is the share of a GPU's memory the estimate counts on, `launched` the
    `--gpu-memory-utilization` vLLM is really started with, both in percent. `base` is the fixed
    overhead per GPU in tenths of a GiB.
    """

    version: str
    sized: int
    sized_a10: int
    launched: int
    launched_a10: int
    base: int
    base_a10: int

    def sized_percent(self, a10: bool) -> int:
        return self.sized_a10 if a10 else self.sized

    def launched_percent(self, a10: bool) -> int:
        return self.launched_a10 if a10 else self.launched

    def base_tenths(self, a10: bool) -> int:
        return self.base_a10 if a10 else self.base


TABLE: tuple[tuple[Version, Rules], ...] = (
    ((0, 12, 0), Rules("0.12.0", 84, 84, 84, 82, 23, 23)),
    # The change merged a few days after 0.12.0; the next release carries it.
    ((0, 13, 0), Rules("0.13.0", 92, 82, 92, 82, 24, 15)),
)


@lru_cache(maxsize=256)
def rules_for(kaito: str) -> tuple[Rules, str]:
    """The newest row not newer than `kaito`, and the assumption made, in words ("": none).

    An unreadable version is taken as the oldest row; a version outside the table takes the
    nearest row. Neither is an error: the page must still answer, and say what it assumed.
    """
    version = parse_version(kaito)
    oldest, newest = TABLE[0], TABLE[-1]
    if version is None:
        return oldest[
            1
        ], f"KAITO's version is unknown: sized with the constants of {oldest[1].version}."
    if version < oldest[0]:
        return oldest[1], (
            f"The constants of KAITO {kaito} are not known here: sized with those of "
            f"{oldest[1].version}, the oldest known."
        )
    found = next(rules for known, rules in reversed(TABLE) if known <= version)
    if version[:2] > newest[0][:2]:
        return found, (
            f"KAITO {kaito} is newer than the newest constants known here: sized with those of "
            f"{found.version}."
        )
    return found, ""


def parse_version(text: str) -> Version | None:
    """`0.12.0`, `v0.12` and `0.12.0-rc.1` alike; None when no version can be read."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?![\d.]*\d)", text.strip())
    if match is None:
        return None
    return int(match[1]), int(match[2]), int(match[3] or 0)


@lru_cache(maxsize=1024)
def is_a10(gpu_model: str) -> bool:
    """Whether the card is an NVIDIA A10, as a SKU table or a node label spells it; A10G is not."""
    return "A10" in re.split(r"[^A-Z0-9]+", gpu_model.upper())
