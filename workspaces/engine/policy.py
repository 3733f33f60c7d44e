"""A placement policy as people send it (KubeFleet's words in snake case) to `types.Policy`.

Every problem names the path as sent ("required[0].properties[1].operator") and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clusters.engine.types import Toleration
from workspaces.engine.types import Policy, Preference, Requirement, SpreadConstraint, Term

PLACEMENTS = ("PickAll", "PickN", "PickFixed")
LABEL_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
PROPERTY_OPERATORS = ("Gt", "Ge", "Lt", "Le", "Eq", "Ne")
UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
SORT_ORDERS = ("Ascending", "Descending")
LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
LONGEST = 100  # entries of any list

FIELDS = {
    "placement_type",
    "number_of_clusters",
    "cluster_names",
    "required",
    "preferred",
    "spread",
    "tolerations",
    "weights",
    "max_nodes_per_replica",
    "max_price_per_hour",
    "regions",
    "scoring",
    "headroom",
}


class PolicyError(ValueError):
    """One field of a policy cannot be used."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(f"{field}: {message}. {remedy}")
        self.field, self.message, self.remedy = field, message, remedy


def parse_policy(raw: Mapping[str, Any], *, terms: Sequence[str]) -> Policy:
    """Read a policy; `terms` are the score terms that `weights` may name. Raises PolicyError."""
    _only(raw, FIELDS, "policy")
    kind = _choice(raw.get("placement_type", "PickN"), PLACEMENTS, "placement_type")
    names = _strings(raw.get("cluster_names", []), "cluster_names")
    count = _whole(raw.get("number_of_clusters"), "number_of_clusters", 1, 10_000)
    if kind == "PickFixed" and not names:
        raise PolicyError("cluster_names", "is empty", "PickFixed needs the clusters' names.")
    if kind != "PickFixed" and names:
        raise PolicyError("cluster_names", f"{kind} picks by itself", "Use PickFixed, or leave it.")
    if kind != "PickN" and count is not None:
        raise PolicyError(
            "number_of_clusters", f"{kind} takes no number", "Use PickN, or leave it."
        )
    spread = raw.get("spread")
    default = Policy()
    return Policy(
        placement_type=kind,
        number_of_clusters=count,
        cluster_names=tuple(names),
        required=tuple(
            Term(_requirements(item, f"required[{i}]"))
            for i, item in enumerate(_list(raw.get("required", []), "required"))
        ),
        preferred=tuple(
            _preference(item, f"preferred[{i}]")
            for i, item in enumerate(_list(raw.get("preferred", []), "preferred"))
        ),
        spread=default.spread
        if spread is None
        else tuple(_spread(item, f"spread[{i}]") for i, item in enumerate(_list(spread, "spread"))),
        tolerations=tuple(
            _toleration(item, f"tolerations[{i}]")
            for i, item in enumerate(_list(raw.get("tolerations", []), "tolerations"))
        ),
        weights=_weights(raw.get("weights", {}), terms),
        max_nodes_per_replica=_whole(
            raw.get("max_nodes_per_replica"), "max_nodes_per_replica", 1, 1000
        ),
        max_price_per_hour=_positive(raw.get("max_price_per_hour"), "max_price_per_hour"),
        regions=tuple(_strings(raw.get("regions", []), "regions")),
        scoring=_choice(raw.get("scoring", "fleetportal"), ("fleetportal", "kubefleet"), "scoring"),
        headroom=_choice(raw.get("headroom", "spread"), ("spread", "pack"), "headroom"),
    )


def _requirements(raw: object, where: str) -> tuple[Requirement, ...]:
    body = _mapping(raw, where)
    _only(body, {"labels", "properties"}, where)
    found = (
        *(_labels(body["labels"], f"{where}.labels") if "labels" in body else ()),
        *(
            _property(item, f"{where}.properties[{i}]")
            for i, item in enumerate(_list(body.get("properties", []), f"{where}.properties"))
        ),
    )
    if not found:
        raise PolicyError(where, "requires nothing", "Give labels or properties, or leave it out.")
    return found


def _labels(raw: object, where: str) -> tuple[Requirement, ...]:
    body = _mapping(raw, where)
    _only(body, {"match_labels", "match_expressions"}, where)
    exact = _mapping(body.get("match_labels", {}), f"{where}.match_labels")
    expressions = _list(body.get("match_expressions", []), f"{where}.match_expressions")
    return (
        *(
            Requirement(_key(key, f"{where}.match_labels"), "In", (_text(value, f"{where}.{key}"),))
            for key, value in sorted(exact.items())
        ),
        *(
            _expression(item, f"{where}.match_expressions[{i}]")
            for i, item in enumerate(expressions)
        ),
    )


def _expression(raw: object, where: str) -> Requirement:
    body = _mapping(raw, where)
    _only(body, {"key", "operator", "values"}, where)
    operator = _choice(body.get("operator"), LABEL_OPERATORS, f"{where}.operator")
    values = _strings(body.get("values", []), f"{where}.values")
    if operator in ("In", "NotIn") and not values:
        raise PolicyError(f"{where}.values", "is empty", f"{operator} needs at least one value.")
    if operator not in ("In", "NotIn") and values:
        raise PolicyError(f"{where}.values", "must be empty", f"{operator} takes no values.")
    return Requirement(_key(body.get("key"), f"{where}.key"), operator, tuple(values))


def _property(raw: object, where: str) -> Requirement:
    body = _mapping(raw, where)
    _only(body, {"name", "operator", "value", "values"}, where)
    operator = _choice(body.get("operator"), PROPERTY_OPERATORS, f"{where}.operator")
    values = body.get("values", [body["value"]] if "value" in body else [])
    texts = [str(value) for value in _list(values, f"{where}.values")]
    if len(texts) != 1 or not NUMBER.fullmatch(texts[0]):
        raise PolicyError(f"{where}.value", "is not one number", "Give a number such as 4 or 0.5.")
    return Requirement(_text(body.get("name"), f"{where}.name"), operator, tuple(texts), True)


def _preference(raw: object, where: str) -> Preference:
    body = _mapping(raw, where)
    _only(body, {"weight", "labels", "properties", "property_sorter"}, where)
    weight = _whole(body.get("weight"), f"{where}.weight", -100, 100)
    if weight is None:
        raise PolicyError(f"{where}.weight", "is missing", "Give a number from -100 to 100.")
    chosen = {key: body[key] for key in ("labels", "properties") if key in body}
    sorter = body.get("property_sorter")
    if not chosen and sorter is None:
        raise PolicyError(where, "prefers nothing", "Give labels, properties or property_sorter.")
    return Preference(
        weight,
        _requirements(chosen, where) if chosen else (),
        None if sorter is None else _sorter(sorter, f"{where}.property_sorter"),
    )


def _sorter(raw: object, where: str) -> tuple[str, str]:
    body = _mapping(raw, where)
    _only(body, {"name", "sort_order"}, where)
    order = _choice(body.get("sort_order", "Descending"), SORT_ORDERS, f"{where}.sort_order")
    return _text(body.get("name"), f"{where}.name"), order


def _spread(raw: object, where: str) -> SpreadConstraint:
    body = _mapping(raw, where)
    _only(body, {"topology_key", "max_skew", "when_unsatisfiable"}, where)
    skew = _whole(body.get("max_skew", 1), f"{where}.max_skew", 1, 1000)
    rule = _choice(
        body.get("when_unsatisfiable", "ScheduleAnyway"),
        UNSATISFIABLE,
        f"{where}.when_unsatisfiable",
    )
    return SpreadConstraint(
        _key(body.get("topology_key"), f"{where}.topology_key"), skew or 1, rule
    )


def _toleration(raw: object, where: str) -> Toleration:
    body = _mapping(raw, where)
    _only(body, {"key", "operator", "value", "effect"}, where)
    operator = _choice(body.get("operator", "Equal"), ("Equal", "Exists"), f"{where}.operator")
    effect = body.get("effect", "")
    if effect:
        _choice(effect, ("NoSchedule", "PreferNoSchedule", "NoExecute"), f"{where}.effect")
    key = _text(body.get("key", ""), f"{where}.key")
    if not key and operator != "Exists":
        raise PolicyError(f"{where}.key", "is empty", "Only Exists tolerates every key.")
    return Toleration(key, operator, _text(body.get("value", ""), f"{where}.value"), str(effect))


def _weights(raw: object, terms: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in _mapping(raw, "weights").items():
        if name not in terms:
            raise PolicyError(f"weights.{name}", "is no score term", f"Use {', '.join(terms)}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise PolicyError(f"weights.{name}", "is no weight", "Give a number from 0 to 100.")
        found[name] = float(value)
    return found


def _only(body: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in body:
        if name not in known:
            raise PolicyError(f"{where}.{name}", "is not known", f"Use {', '.join(sorted(known))}.")


def _mapping(raw: object, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise PolicyError(where, "is not an object", "Give names with values.")
    return raw


def _list(raw: object, where: str) -> Sequence[Any]:
    if not isinstance(raw, list | tuple) or len(raw) > LONGEST:
        raise PolicyError(where, "is not a list", f"Give a list of at most {LONGEST} entries.")
    return raw


def _strings(raw: object, where: str) -> list[str]:
    return [_text(item, f"{where}[{i}]") for i, item in enumerate(_list(raw, where))]


def _text(raw: object, where: str) -> str:
    if not isinstance(raw, str) or len(raw) > 253:
        raise PolicyError(where, "is not text", "Give text of at most 253 characters.")
    return raw


def _key(raw: object, where: str) -> str:
    if not isinstance(raw, str) or not LABEL_KEY.fullmatch(raw):
        raise PolicyError(where, "is no label key", "Use a key such as environment.")
    return raw


def _choice(raw: object, allowed: Sequence[str], where: str) -> str:
    if not isinstance(raw, str) or raw not in allowed:
        raise PolicyError(where, f"{raw!r} is not possible", f"Use {', '.join(allowed)}.")
    return raw


def _whole(raw: object, where: str, least: int, most: int) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
        raise PolicyError(where, "is out of range", f"Give a whole number, {least} to {most}.")
    return raw


def _positive(raw: object, where: str) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw < 1e6:
        raise PolicyError(where, "is out of range", "Give an amount above 0, in $/h.")
    return float(raw)
