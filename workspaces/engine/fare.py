"""How a deployment fares, from what is known of its workspaces: one word, one tone, one cause.

The worst thing wins, and unknown is never read as well: a deployment with one silent cluster is
not healthy. Pure; the words of states come in as data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STARTING = (
    *("planned", "applying", "getting_nodes"),
    *("pulling_image", "loading_weights", "benchmarking"),
)
SILENT = {  # state of a cluster that tells nothing -> what it does
    "unreachable": "is unreachable",
    "credentials_refused": "refuses the portal's credential",
    "different_cluster": "answers as another cluster",
}


@dataclass(frozen=True, slots=True)
class Look:
    """One workspace, with its state in words (`label`)."""

    cluster: str
    cluster_state: str
    state: str
    label: str
    reason: str
    message: str
    serving: bool
    outside: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Going:
    """What its rollout does, as far as it matters here."""

    label: str
    tone: str
    note: str
    active: bool
    attention: bool


@dataclass(frozen=True, slots=True)
class Fare:
    """`cause` is a sentence with the cluster in it. `ready` of `clusters` serve; `attention`: a
    person should look."""

    word: str
    tone: str
    cause: str
    ready: int
    clusters: int
    attention: bool


def fare(state: str, looks: Sequence[Look], going: Going | None = None) -> Fare:
    """`state`: active, retiring or retired; `looks`: every workspace that is not retired."""
    counted = [look for look in looks if look.state != "retiring"]
    clusters = {look.cluster for look in counted}
    ready = {look.cluster for look in counted if _is_ready(look)}
    word, tone, cause, attention = _judge(state, looks, counted, going)
    return Fare(word, tone, cause, len(ready), len(clusters), attention)


def silent(look: Look) -> bool:
    """Nobody can say how it is there; what was never applied is not missed."""
    if look.state == "planned":
        return False
    return look.cluster_state in SILENT or look.state == "unknown"


def _is_ready(look: Look) -> bool:
    return look.state == "ready" and not silent(look)


Judgement = tuple[str, str, str, bool]


def _judge(
    state: str, looks: Sequence[Look], counted: Sequence[Look], going: Going | None
) -> Judgement:
    if state == "retired":
        return ("Retired", "idle", "Nothing of it is left on any cluster.", False)
    if state == "retiring":
        places = ", ".join(sorted({look.cluster for look in looks}))
        return ("Retiring", "run", f"Being taken off {places or 'the clusters'}.", False)
    return _trouble(counted) or _moving(counted, going)


def _trouble(counted: Sequence[Look]) -> Judgement | None:
    for wanted, word in (("stuck", "Stuck"), ("not_ready", "Not ready")):
        bad = [look for look in counted if look.state == wanted and not silent(look)]
        if bad:
            return (word, "bad", _cause(bad), True)
    away = [look for look in counted if silent(look)]
    if away:
        return ("Unknown", "unknown", _away(away), True)
    changed = [look for look in counted if look.outside]
    if changed:
        return ("Changed outside", "wait", _outside(changed), True)
    return None


def _moving(counted: Sequence[Look], going: Going | None) -> Judgement:
    if going is not None and (going.active or going.attention):
        return (going.label, going.tone, going.note, going.attention)
    if not counted:
        return ("Nothing running", "idle", "It is on no cluster.", False)
    starting = [look for look in counted if look.state in STARTING]
    if starting:
        return ("Starting", "run", _phases(starting), False)
    return ("Healthy", "ok", _all_ready(counted), False)


def _cause(bad: Sequence[Look]) -> str:
    first = bad[0]
    why = first.message or first.reason or "the cluster gives no reason"
    return f"{first.cluster}: {why.rstrip('.')}.{_more(bad)}"


def _away(away: Sequence[Look]) -> str:
    first = away[0]
    if first.cluster_state in SILENT:
        why = SILENT[first.cluster_state]
        return f"{first.cluster} {why}, so nobody knows how it is there.{_more(away)}"
    why = (first.message or "it was not seen there").rstrip(".")
    return f"{first.cluster}: {why}.{_more(away)}"


def _outside(changed: Sequence[Look]) -> str:
    first = changed[0]
    paths = ", ".join(first.outside[:3])
    return f"{first.cluster}: somebody else changed {paths}.{_more(changed)}"


def _phases(starting: Sequence[Look]) -> str:
    return ", ".join(f"{look.cluster} {look.label.lower()}" for look in starting[:3]) + (
        f" and {len(starting) - 3} more." if len(starting) > 3 else "."
    )


def _all_ready(counted: Sequence[Look]) -> str:
    places = sorted({look.cluster for look in counted})
    if len(places) == 1:
        return f"Ready on {places[0]}."
    return f"Ready on all {len(places)} clusters."


def _more(looks: Sequence[Look]) -> str:
    rest = len({look.cluster for look in looks}) - 1
    if rest < 1:
        return ""
    return f" The same on {rest} more cluster{'' if rest == 1 else 's'}."
