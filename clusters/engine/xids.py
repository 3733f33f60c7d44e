"""What the driver's error numbers (XIDs) mean, and which of them speak of broken hardware.

Facts from NVIDIA's list of XID errors, in our own words. DCGM shows the last one; it stays until
the driver is loaded again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Xid:
    """One error number. `hardware`: the card is suspect, whatever runs on it."""

    number: int
    hardware: bool
    meaning: str
    remedy: str = ""


_REPLACE = "Drain the node and have the card tested; replace it if the error comes back."
_RESET = "Drain the node and reset the card or restart the machine."
_PROGRAM = "Look at the program that ran; other cards would show the same."

_KNOWN = {
    xid.number: xid
    for xid in (
        Xid(13, False, "The graphics engine refused what a program asked of it.", _PROGRAM),
        Xid(31, False, "A program used memory that it does not own (page fault).", _PROGRAM),
        Xid(43, False, "A program stopped working on the card.", _PROGRAM),
        Xid(45, False, "The driver ended what a program had running, often after another error."),
        Xid(48, True, "Memory error that could not be corrected (double bit).", _REPLACE),
        Xid(63, True, "A bad part of memory was retired or remapped.", _RESET),
        Xid(64, True, "A bad part of memory could not be retired or remapped.", _REPLACE),
        Xid(74, True, "NVLink error between cards.", _REPLACE),
        Xid(79, True, "The card fell off the bus: the machine no longer reaches it.", _RESET),
        Xid(92, True, "Many corrected memory errors.", _REPLACE),
        Xid(94, True, "Uncorrectable memory error, contained: one program was ended.", _RESET),
        Xid(95, True, "Uncorrectable memory error, not contained: all programs suffer.", _RESET),
        Xid(119, True, "The card's own processor (GSP) did not answer in time.", _RESET),
        Xid(120, True, "The card's own processor (GSP) failed.", _RESET),
    )
}


def xid_of(number: int | None) -> Xid | None:
    """None: no error (0), or nobody said."""
    if not number:
        return None
    unknown = Xid(number, False, "An error that the portal has no words for.")
    return _KNOWN.get(number, unknown)


def is_hardware(number: int | None) -> bool:
    found = xid_of(number)
    return found is not None and found.hardware
