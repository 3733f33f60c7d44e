"""Label and property selectors, and KubeFleet's preference score.

Formulas of KubeFleet's ClusterAffinity plugin. A property that a cluster does not have matches
nothing; it is never read as 0. Pure: selectors and clusters in, answers out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from clusters.engine.types import ClusterFacts, Taint, Toleration
from workspaces.engine.types import Preference, Requirement, Term

_SUFFIXES = {
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "Ki": Decimal(1 << 10),
    "Mi": Decimal(1 << 20),
    "Gi": Decimal(1 << 30),
    "Ti": Decimal(1 << 40),
    "Pi": Decimal(1 << 50),
}
_COMPARE: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "Gt": lambda have, want: have > want,
    "Ge": lambda have, want: have >= want,
    "Lt": lambda have, want: have < want,
    "Le": lambda have, want: have <= want,
    "Eq": lambda have, want: have == want,
    "Ne": lambda have, want: have != want,
}
_WORDS = {"Gt": ">", "Ge": ">=", "Lt": "<", "Le": "<=", "Eq": "=", "Ne": "!="}


@dataclass(frozen=True, slots=True)
class Extent:
    """Least and greatest value of one property over all clusters that report it."""

    least: float
    greatest: float


def labels_of(cluster: ClusterFacts) -> Mapping[str, str]:
    """The cluster's labels; its name, environment and region answer where no label does."""
    own = {"name": cluster.name}
    if cluster.environment:
        own["environment"] = cluster.environment
    if cluster.region:
        own["region"] = cluster.region
    return {**own, **cluster.labels}


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity ("1500m", "2Gi", "0.25") as a number; ValueError names the text."""
    digits = text.rstrip("kKMGTPmi")
    suffix = text[len(digits) :]
    try:
        number = Decimal(digits)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a quantity, such as 4, 0.5 or 2Gi") from None
    if suffix and suffix not in _SUFFIXES:
        raise ValueError(f"{text!r} has the unknown unit {suffix!r}; use k, M, G, Ki, Mi, Gi or m")
    return number * _SUFFIXES.get(suffix, Decimal(1))


def matches(requirement: Requirement, cluster: ClusterFacts, labels: Mapping[str, str]) -> bool:
    """Whether one requirement holds; ValueError for an operator nobody knows."""
    if requirement.is_property:
        return _property_matches(requirement, cluster)
    present = requirement.key in labels
    value = labels.get(requirement.key)
    if requirement.operator == "In":
        return present and value in requirement.values
    if requirement.operator == "NotIn":
        return not present or value not in requirement.values
    if requirement.operator == "Exists":
        return present
    if requirement.operator == "DoesNotExist":
        return not present
    raise ValueError(
        f"{requirement.key}: unknown operator {requirement.operator!r}; "
        "use In, NotIn, Exists or DoesNotExist"
    )


def _property_matches(requirement: Requirement, cluster: ClusterFacts) -> bool:
    if requirement.operator not in _COMPARE:
        known = ", ".join(_COMPARE)
        raise ValueError(
            f"{requirement.key}: unknown operator {requirement.operator!r}; use {known}"
        )
    if len(requirement.values) != 1:
        raise ValueError(f"{requirement.key}: a property is compared with exactly one value")
    have = cluster.properties.get(requirement.key)
    if have is None:
        return False
    want = quantity(requirement.values[0])
    return _COMPARE[requirement.operator](Decimal(repr(have)), want)


def all_match(requirements: Iterable[Requirement], cluster: ClusterFacts) -> bool:
    labels = labels_of(cluster)
    return all(matches(requirement, cluster, labels) for requirement in requirements)


def any_term_matches(terms: Sequence[Term], cluster: ClusterFacts) -> bool:
    """No term at all asks for nothing."""
    return not terms or any(all_match(term.requirements, cluster) for term in terms)


def in_words(requirement: Requirement) -> str:
    """One requirement as people read it: `gpu in (a100, h100)`, `nodes >= 4`."""
    if requirement.is_property:
        sign = _WORDS.get(requirement.operator, requirement.operator)
        return f"{requirement.key} {sign} {', '.join(requirement.values)}"
    if requirement.operator == "Exists":
        return f"{requirement.key} is set"
    if requirement.operator == "DoesNotExist":
        return f"{requirement.key} is not set"
    if len(requirement.values) == 1:
        sign = "=" if requirement.operator == "In" else "!="
        return f"{requirement.key} {sign} {requirement.values[0]}"
    word = "in" if requirement.operator == "In" else "not in"
    return f"{requirement.key} {word} ({', '.join(requirement.values)})"


def terms_in_words(terms: Sequence[Term]) -> str:
    return " or ".join(" and ".join(in_words(r) for r in term.requirements) for term in terms)


def extents(
    preferences: Sequence[Preference], clusters: Sequence[ClusterFacts]
) -> dict[str, Extent]:
    """Least and greatest of every sorted property, over all clusters, as KubeFleet takes them:
    not only over those that passed the filters."""
    found: dict[str, Extent] = {}
    for name in {p.property_sorter[0] for p in preferences if p.property_sorter}:
        values = [c.properties[name] for c in clusters if name in c.properties]
        if values:
            found[name] = Extent(min(values), max(values))
    return found


def preference_score(
    preference: Preference, cluster: ClusterFacts, known: Mapping[str, Extent]
) -> int:
    """KubeFleet's score of one preferred term, -100..100, rounded half away from zero."""
    if preference.weight == 0 or not all_match(preference.requirements, cluster):
        return 0
    if preference.property_sorter is None:
        return preference.weight
    name, order = preference.property_sorter
    value, extent = cluster.properties.get(name), known.get(name)
    if value is None or extent is None or extent.least == extent.greatest:
        return 0
    share = (value - extent.least) / (extent.greatest - extent.least)
    if order not in ("Ascending", "Descending"):
        raise ValueError(f"{name}: unknown sort order {order!r}; use Ascending or Descending")
    return _half_away((share if order == "Descending" else 1 - share) * preference.weight)


def affinity_score(
    preferences: Sequence[Preference], cluster: ClusterFacts, known: Mapping[str, Extent]
) -> int:
    """Sum over all preferred terms."""
    return sum(preference_score(preference, cluster, known) for preference in preferences)


def _half_away(value: float) -> int:
    """Go's math.Round."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Kubernetes' rule; a PreferNoSchedule taint repels nobody."""
    if taint.effect == "PreferNoSchedule":
        return True
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint.key)
    return toleration.key == taint.key and toleration.value == taint.value


def taint_in_words(taint: Taint) -> str:
    return (
        f"{taint.key}={taint.value}:{taint.effect}"
        if taint.value
        else (f"{taint.key}:{taint.effect}")
    )
