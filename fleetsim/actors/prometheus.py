"""Plays a cluster's Prometheus: its HTTP API over the computed history, errors in its own JSON.

Expressions beyond the known ones are refused with 422. Nothing after now is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import orjson

from fleetsim.actors import loads
from fleetsim.actors.history import History
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, labels
from fleetsim.load.noise import Floats, Ints
from fleetsim.promql import parse
from fleetsim.promql.evaluate import Source, Vector, evaluate
from fleetsim.promql.parse import Refused, Selector
from fleetsim.store import Response

NAMESPACE, NAME, PORT = "monitoring", "prometheus", 9090
LABELS = {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/instance": "fleetsim"}
LOOKBACK_MS = 300_000
MOST_POINTS = 11_000
MOST_SAMPLES = 4_000_000
_INFOS = ["simulated: computed from a seed and the time, not measured"]
Parameters = dict[str, list[str]]


class Bad(Exception):
    """A parameter cannot be used: 400."""


def objects(node: str) -> list[Obj]:
    """Its namespace, Service and (bare) pod; the pod holds no GPU."""
    ports = [{"name": "web", "containerPort": PORT, "protocol": "TCP"}]
    container = {"name": "prometheus", "image": "quay.io/prometheus/prometheus:v3.5.0"}
    where = {"namespace": NAMESPACE, "labels": LABELS}
    service = [{"name": "web", "port": PORT, "targetPort": PORT, "protocol": "TCP"}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE},
            "status": {"phase": "Active"},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, **where},
            "spec": {"type": "ClusterIP", "selector": LABELS, "ports": service},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{NAME}-0", **where},
            "spec": {
                "nodeName": node,
                "containers": [{**container, "ports": ports, "resources": {}}],
            },
            "status": {},
        },
    ]


def plays(pod: Obj) -> bool:
    """Whether a pod is the Prometheus."""
    return LABELS.items() <= labels(pod).items()


def answer(m: Member, method: str, path: str, body: bytes) -> Response:
    """One request to the API."""
    route, _, query = path.partition("?")
    parameters = parse_qs(query, keep_blank_values=True)
    if method == "POST":
        parameters |= parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    route = route.rstrip("/")
    if route in ("/-/healthy", "/-/ready"):
        return Response(200, b"Prometheus Server is Healthy.\n", "text/plain")
    handler = _ROUTES.get(route)
    if route.startswith("/api/v1/label/") and route.endswith("/values"):
        parameters["label"] = [route.split("/")[4]]
        handler = _values
    if handler is _query_range and loads.millis(m) - m.joined < m.spec.young * 1000:
        return _error(503, "unavailable", "simulated: what lives here since a week is being made")
    if handler is None or method not in ("GET", "POST"):
        return Response(404, b"404 page not found\n", "text/plain")
    try:
        found = handler(m, parameters)
        return Response(200, orjson.dumps({"status": "success", "data": found, "infos": _INFOS}))
    except Bad as error:
        return _error(400, "bad_data", str(error))
    except Refused as error:
        return _error(422, "execution", str(error))


def _error(status: int, kind: str, text: str) -> Response:
    return Response(
        status, orjson.dumps({"status": "error", "errorType": kind, "error": text[:500]})
    )


def _query(m: Member, parameters: Parameters) -> Any:
    now = loads.millis(m)
    at = _moment(parameters, "time", now)
    found = _evaluated(m, _text(parameters), np.array([at]), now)
    if isinstance(found, float):
        return {"resultType": "scalar", "result": [at / 1000, _number(found)]}
    rows = [
        {"metric": labels, "value": [at / 1000, _number(values[0])]} for labels, values in found
    ]
    return {"resultType": "vector", "result": rows}


def _query_range(m: Member, parameters: Parameters) -> Any:
    now = loads.millis(m)
    start, end = _moment(parameters, "start", None), _moment(parameters, "end", None)
    step = _step(parameters)
    if end < start:
        raise Bad('invalid parameter "end": end timestamp must not be before start time')
    if (end - start) // step > MOST_POINTS:
        raise Bad(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
            "query resolution (?step=XX)"
        )
    moments = np.arange(start, end + 1, step, dtype=np.int64)
    found = _evaluated(m, _text(parameters), moments, now)
    if isinstance(found, float):
        found = [({}, np.full(len(moments), found))]
    if len(found) * len(moments) > MOST_SAMPLES:
        raise Refused("query processing would load too many samples into memory in query execution")
    return {"resultType": "matrix", "result": [_matrix(told, moments, v) for told, v in found]}


def _matrix(told: Any, moments: Ints, values: Floats) -> Any:
    """One series without its gaps. Whole numbers, which most are, take the short way."""
    there = ~np.isnan(values)
    kept = values[there]
    if (kept == np.floor(kept)).all() and (np.abs(kept) < 2.0**62).all():
        texts = list(map(str, kept.astype(np.int64).tolist()))
    else:
        texts = list(map(_number, kept.tolist()))
    times = (moments[there] / 1000).tolist()
    return {"metric": told, "values": list(zip(times, texts, strict=True))}


def _number(value: float) -> str:
    """As Prometheus prints it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))


def _evaluated(m: Member, text: str, moments: Ints, now: int) -> Vector | float:
    """Values; a moment after now has the last one for five minutes, and then none."""
    seen = np.minimum(moments, now)
    found = evaluate(parse.parse(text), Source(History(m).collect), seen)
    if isinstance(found, float):
        return found
    late = moments > now + LOOKBACK_MS
    if late.any():
        found = [(told, np.where(late, np.nan, values)) for told, values in found]
    kept = [row for row in found if not np.isnan(row[1]).all()]
    return sorted(kept, key=lambda row: sorted(row[0].items()))


def _series(m: Member, parameters: Parameters) -> Any:
    return [dict(labels) for labels, _ in _matching(m, parameters, needed=True)]


def _labels(m: Member, parameters: Parameters) -> Any:
    return sorted({key for labels, _ in _matching(m, parameters) for key in labels})


def _values(m: Member, parameters: Parameters) -> Any:
    name = parameters["label"][0]
    if name == "__name__" and "match[]" not in parameters:
        return History(m).names()
    return sorted({labels[name] for labels, _ in _matching(m, parameters) if name in labels})


def _matching(m: Member, parameters: Parameters, needed: bool = False) -> Vector:
    """Series with a sample at the end of the asked time, or at its start."""
    texts = parameters.get("match[]", [])
    if not texts and needed:
        raise Bad("no match[] parameter provided")
    now = loads.millis(m)
    span = [_moment(parameters, "start", now), _moment(parameters, "end", now)]
    found: dict[str, Any] = {}
    for text in texts or ['{__name__=~".+"}']:
        node = parse.parse(text)
        if not isinstance(node, Selector) or node.window:
            raise Bad('invalid parameter "match[]": not a selector')
        for row in History(m).collect(node.matchers, np.minimum(span, now), 0):
            if not np.isnan(row[1]).all():
                found[str(sorted(row[0].items()))] = row
    return list(found.values())


def _text(parameters: Parameters) -> str:
    text = parameters.get("query", [""])[0]
    if not text.strip():
        raise Bad('invalid parameter "query": 1:1: parse error: no expression found in input')
    return text


def _moment(parameters: Parameters, name: str, default: int | None) -> int:
    """ms since 1970 from unix seconds or RFC 3339."""
    text = parameters.get(name, [""])[0]
    if not text and default is not None:
        return default
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        text = f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp'
        raise Bad(text) from error


def _step(parameters: Parameters) -> int:
    text = parameters.get("step", [""])[0]
    try:
        found = round(float(text) * 1000)
    except (ValueError, OverflowError):
        try:
            found = parse.duration(text)
        except Refused:
            raise Bad(f'invalid parameter "step": cannot parse "{text}"') from None
    if found <= 0:
        raise Bad('invalid parameter "step": zero or negative query resolution step widths')
    return found


def _build(m: Member, parameters: Parameters) -> Any:
    return {"version": "3.5.0", "revision": "simulated", "goVersion": ""}


_ROUTES: dict[str, Callable[[Member, Parameters], Any]] = {
    "/api/v1/query": _query,
    "/api/v1/query_range": _query_range,
    "/api/v1/series": _series,
    "/api/v1/labels": _labels,
    "/api/v1/status/buildinfo": _build,
}
