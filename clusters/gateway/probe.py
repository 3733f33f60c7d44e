"""Asks a cluster what it is and what it serves. The judgement is engine.capabilities'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from clusters.engine.access import QUESTIONS
from clusters.engine.capabilities import ProbeAnswers
from clusters.engine.raw import mapping, mappings, text
from clusters.gateway import kinds
from clusters.gateway.client import Gateway
from clusters.gateway.decoding import clock_skew, json_object
from clusters.gateway.errors import Forbidden, NotFound

KAITO_NAMESPACE = "kaito-workspace"
SUPPORTED_MODELS = "kaito-supported-models"
_DISCOVERY = "/apis/kaito.sh/v1beta1"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probe:
    """`uid` is that of namespace kube-system, None if it may not be read; skew is in seconds."""

    answers: ProbeAnswers
    uid: str | None
    clock_skew: float | None


def probe(gateway: Gateway, *, team_namespace: str = "") -> Probe:
    """All raw answers. What may not be asked is None; an unreachable cluster raises at once."""
    version = gateway.read("/version")
    skew = clock_skew(version.headers, datetime.now(UTC))
    system = _allowed(lambda: gateway.get(kinds.NAMESPACE, "", "kube-system"))
    answers = ProbeAnswers(
        version=json_object(version),
        kaito_kinds=_allowed(lambda: _kaito_kinds(gateway)),
        webhooks=_allowed(lambda: gateway.list_raw(kinds.VALIDATING_WEBHOOK)[0]),
        deployments=_allowed(lambda: gateway.list_raw(kinds.DEPLOYMENT)[0]),
        supported_models=_allowed(
            lambda: gateway.get(kinds.CONFIG_MAP, KAITO_NAMESPACE, SUPPORTED_MODELS)
        ),
        access=gateway.self_access_reviews(QUESTIONS, namespace=team_namespace),
    )
    return Probe(answers, _uid(system), skew)


def kube_system_uid(gateway: Gateway) -> str | None:
    """What tells this cluster from any other; None if it may not be read."""
    return _uid(_allowed(lambda: gateway.get(kinds.NAMESPACE, "", "kube-system")))


def _uid(namespace: dict[str, Any] | None) -> str | None:
    return text(mapping(mapping(namespace).get("metadata")).get("uid")) or None


def _kaito_kinds(gateway: Gateway) -> frozenset[str]:
    try:
        found = json_object(gateway.read(_DISCOVERY))
    except NotFound:
        return frozenset()
    return frozenset(text(kind.get("name")) for kind in mappings(found.get("resources")))


def _allowed(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (Forbidden, NotFound):
        return None
