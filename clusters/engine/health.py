"""When a cluster changes state, from what the last contacts said. Pure and steady.

One lost packet must not make a red row, and one lucky answer must not make it green: a state flips
only after several contacts in a row, or when nothing was heard for too long. An answer from another
cluster flips at once, since applying there is never right. Draining and retired are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Contact(StrEnum):
    """How one attempt to talk to a cluster ended."""

    OK = "ok"
    PARTIAL = "partial"  # it answers, but with errors, garbage, or not to everything we need
    UNREACHABLE = "unreachable"  # no connection or no answer in time
    REFUSED = "refused"  # TLS does not verify, or the credential is not accepted
    DIFFERENT = "different"  # the kube-system namespace has another UID than the pinned one


@dataclass(frozen=True, slots=True)
class Health:
    """`failures` and `successes` count contacts in a row that speak against `state`."""

    state: str
    reason: str = ""
    failures: int = 0
    successes: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many contacts in a row flip a state; how old (seconds) the last good one may be."""

    failures: int = 3
    refusals: int = 2
    successes: int = 2
    stale_seconds: float = 90.0


_TARGETS = {
    Contact.OK: "ready",
    Contact.PARTIAL: "degraded",
    Contact.UNREACHABLE: "unreachable",
    Contact.REFUSED: "credentials_refused",
    Contact.DIFFERENT: "different_cluster",
}
_RANKS = {
    "ready": 0,
    "degraded": 1,
    "joining": 2,
    "unreachable": 2,
    "credentials_refused": 2,
    "different_cluster": 2,
}


def next_health(
    current: Health,
    contact: Contact | None,
    reason: str = "",
    *,
    age_seconds: float | None,
    limits: Limits = Limits(),
) -> Health:
    """The state after one contact; `contact` None is a tick on which nothing was heard.

    `age_seconds` is the time since the last good contact, None if there never was one. `reason` is
    a sentence for people; it is kept as long as the state that it explains.
    """
    if current.state not in _RANKS:
        return current
    if contact is None:
        return _silent(current, age_seconds, limits)
    target = _TARGETS[contact]
    if target == current.state:
        return Health(current.state, reason)
    if _RANKS[target] < _RANKS[current.state]:
        return _better(current, target, reason, limits)
    if contact is Contact.UNREACHABLE and _is_stale(age_seconds, limits):
        return Health(target, reason)
    return _worse(current, contact, reason, limits)


def _silent(current: Health, age_seconds: float | None, limits: Limits) -> Health:
    if current.state in ("ready", "degraded") and _is_stale(age_seconds, limits):
        return Health("unreachable", f"Nothing was heard for {round(age_seconds or 0)} s.")
    return current


def _is_stale(age_seconds: float | None, limits: Limits) -> bool:
    return age_seconds is not None and age_seconds > limits.stale_seconds


def _better(current: Health, target: str, reason: str, limits: Limits) -> Health:
    successes = current.successes + 1
    needed = 1 if current.state == "joining" else limits.successes
    if successes >= needed:
        return Health(target, reason)
    return replace(current, successes=successes, failures=0)


def _worse(current: Health, contact: Contact, reason: str, limits: Limits) -> Health:
    failures = current.failures + 1
    needed = {Contact.DIFFERENT: 1, Contact.REFUSED: limits.refusals}
    if failures >= needed.get(contact, limits.failures):
        return Health(_TARGETS[contact], reason)
    return replace(current, failures=failures, successes=0)
