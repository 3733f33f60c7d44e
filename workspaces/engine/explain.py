"""The sentences people read: why a cluster was selected, kept spare or rejected, and the plan in
one line. Only wording: every number comes from the evaluation or from the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workspaces.engine.pool_filters import count, money
from workspaces.engine.types import FilterResult, Verdict

_STAGES = {"dev": 0, "development": 0, "test": 1, "staging": 2, "production": 3}
_NAMED = 6  # clusters named in the summary before "and n more"


def rejected(filters: Iterable[FilterResult]) -> str:
    """The reason of the first filter that failed."""
    for one in filters:
        if one.passed is False:
            return one.reason
    raise ValueError("a rejected cluster has a failed filter")


def selected(replicas: int, nodes: int, instance: str, price: float | None, place: str) -> str:
    """ "1 replica on 1 node of g6.xlarge, $0.80/h. First of 2 that fit in test." """
    each = " each" if replicas > 1 else ""
    where = f" of {instance}" if instance else ""
    where = f"{count(nodes, 'node')}{each}{where}"
    return f"{count(replicas, 'replica')} on {where}, {money(price)}. {place}".strip()


def first_of(able: int, taken: int, domain: str | None) -> str:
    """`able` clusters fit in the domain, `taken` of them are selected."""
    if able == 1:
        return f"The only one that fits in {domain}." if domain else "The only one that fits."
    if not domain:
        return f"One of {able} that fit."
    if taken == 1:
        return f"First of {able} that fit in {domain}."
    if taken == able:
        return f"All {able} that fit in {domain} are taken."
    return f"Among the first {taken} of {able} that fit in {domain}."


def spare(
    price: float | None, points: float, against: tuple[str, float | None, float] | None
) -> str:
    """ "Fits, $3.20/h against $0.80/h." `against`: name, price of one replica, points."""
    if against is None:
        return f"Fits, {money(price)}."
    name, other, best = against
    if price is not None and other is not None and round(price, 2) > round(other, 2):
        return f"Fits, {money(price)} against {money(other)}."
    return f"Fits, {money(price)}; {points:.2f} points against {best:.2f} of {name}."


def spare_unknown(instance: str) -> str:
    return f"May fit: no quota declared for {instance}, so clusters with known room come first."


def breaks_spread(keys: Sequence[str]) -> str:
    return f"Fits, but one more here would break the spread over {', '.join(keys)}."


def by_stage(environment: str, name: str) -> tuple[int, str]:
    """Test before staging before production, then by name."""
    return (_STAGES.get(environment, 4), name)


def summary(
    verdicts: Sequence[Verdict], order: Sequence[Verdict], price: str, blocked: str, note: str
) -> str:
    """ "3 replicas: test-use1, stg-weu, prod-weu. 3 spare, 3 rejected. $8.15/h." """
    counts = {"spare": 0, "rejected": 0}
    for verdict in verdicts:
        if verdict.verdict in counts:
            counts[verdict.verdict] += 1
    rest = f"{counts['spare']} spare, {counts['rejected']} rejected."
    if blocked:
        return f"Cannot be placed: {blocked} {rest}"
    names = [v.cluster if v.replicas == 1 else f"{v.cluster} \u00d7 {v.replicas}" for v in order]
    shown = ", ".join(names[:_NAMED])
    if len(names) > _NAMED:
        shown += f" and {len(names) - _NAMED} more"
    replicas = count(sum(v.replicas for v in order), "replica")
    return " ".join(part for part in (f"{replicas}: {shown}.", rest, price, note) if part)


def total_price(price: float | None, partial: bool) -> str:
    if price is None:
        return "Price unknown."
    return f"{money(price)} without those of unknown price." if partial else f"{money(price)}."
