"""The ASGI application: which cluster, which user, which fault, which handler; and one log entry
per request.
"""

import asyncio
import logging
from typing import Any

import orjson

from fleetsim.errors import ApiError
from fleetsim.faults import Fault
from fleetsim.http import discovery, mischief, objects, podaccess, reviews
from fleetsim.http.control import control
from fleetsim.http.messages import (
    Gone,
    Receive,
    Reply,
    Request,
    Send,
    cut,
    error_reply,
    read_body,
    request_of,
    send_reply,
    wait_gone,
)
from fleetsim.http.state import Sim
from fleetsim.http.targets import Target, parse
from fleetsim.http.watching import Watch
from fleetsim.requestlog import content_hash, marks
from fleetsim.store import ClusterStore

NOT_FOUND = Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")
PREFIX = "/clusters/"


class App:
    """ASGI entry."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request (lifespan and websockets are not used)."""
        if scope["type"] != "http":
            return
        request = request_of(scope, receive, send)
        try:
            if request.path.startswith(PREFIX):
                await self._cluster(request)
            else:
                await read_body(request)
                await send_reply(request, control(self.sim, request))
        except ApiError as error:
            await send_reply(request, error_reply(error))
        except Gone:
            return

    async def _cluster(self, request: Request) -> None:
        name, _, path = request.path[len(PREFIX) :].partition("/")
        cluster = self.sim.fleet.clusters.get(name)
        if cluster is None:
            await send_reply(request, NOT_FOUND)
            return
        await read_body(request)
        target = parse(request.method, path, request.truth("watch"))
        await Call(self.sim, cluster, request, target, "/" + path).run()


class Call:
    """One request to one cluster."""

    def __init__(
        self, sim: Sim, cluster: ClusterStore, request: Request, target: Target, path: str
    ) -> None:
        self.sim = sim
        self.cluster = cluster
        self.request = request
        self.target = target
        self.path = path
        verb, resource = target.verb, target.full
        self.faults = {
            fault.kind: fault for fault in sim.faults.met_by(cluster.name, verb, resource)
        }

    async def run(self) -> None:
        """Meet the faults, do the work, answer, log."""
        if await self._troubled():
            return
        reply = self._reply()
        if reply is None:
            self._log(200)
            await self._watch()
            return
        if "lost_answer" in self.faults:
            self._log(reply.status, "lost_answer")
            await self._cut()
            return
        reply = self._spoilt(reply)
        self._log(reply.status, ",".join(kind for kind in _SPOILING if kind in self.faults))
        await send_reply(self.request, reply)

    async def _cut(self) -> None:
        cut(self.request)
        await wait_gone(self.request)

    def _spoilt(self, reply: Reply) -> Reply:
        """The answer as the faults leave it."""
        if "other_uid" in self.faults:
            uid = self.cluster.uid
            reply.body = reply.body.replace(uid.encode(), _other(uid).encode())
        if fault := self.faults.get("garbage"):
            reply = mischief.garbage(reply, fault, self.sim.faults.rng)
        if fault := self.faults.get("slow"):
            reply = mischief.trickled(reply, fault)
        return reply

    def _reply(self) -> Reply | None:
        """The answer, errors included; a bug of the simulator is logged and answered with 500."""
        try:
            return self._answer()
        except ApiError as error:
            return error_reply(error)
        except Exception as error:
            logging.getLogger("fleetsim").exception("%s %s", self.request.method, self.path)
            return error_reply(ApiError(500, f"Internal error occurred: {error}"))

    async def _troubled(self) -> bool:
        """Live through the faults that come before any work; True when one of them is the end."""
        if fault := self.faults.get("latency"):
            await asyncio.sleep(fault.seconds)
        if "blackhole" in self.faults:
            self._log(0, "blackhole")
            await wait_gone(self.request)
            return True
        if "reset" in self.faults:
            self._log(0, "reset")
            await self._cut()
            return True
        fault = self.faults.get("status")
        if fault is None and "gone" in self.faults and self.target.verb == "list":
            fault = Fault("status", code=410, message=_EXPIRED)
        if fault is None:
            return False
        self._log(fault.code, "status")
        await send_reply(self.request, error_reply(_refusal(fault)))
        return True

    def _answer(self) -> Reply | None:
        """The reply, or None for a watch (which is authorised and ready to stream). Raises
        ApiError.
        """
        target, request, cluster = self.target, self.request, self.cluster
        if self.path.rstrip("/") in ("/healthz", "/livez", "/readyz"):
            return Reply(200, b"ok", "text/plain")
        user = request.user = reviews.authenticate(self.sim, cluster, request)
        found = discovery.reply(cluster, self.path)
        if found is not None and request.method == "GET":
            return found
        if target.plural in _REVIEWS and request.method == "POST":
            return reviews.review(cluster, user, target.plural, request)
        kind = cluster.routes.get((target.group, target.version, target.plural))
        if kind is None:
            return NOT_FOUND
        reviews.authorise(user, target)
        if target.subresource in ("log", "proxy", "token") and not target.group:
            return self._subresource()
        if target.verb == "watch":
            self._open = Watch(cluster, kind, target, request, self.sim.bookmark_seconds)
            return None
        return objects.handle(cluster, kind, target, request)

    def _subresource(self) -> Reply:
        target, request, cluster = self.target, self.request, self.cluster
        if (target.plural, target.subresource) == ("pods", "log"):
            return podaccess.log_reply(cluster, target, request)
        if (target.plural, target.subresource) == ("serviceaccounts", "token"):
            return reviews.token_request(self.sim, cluster, target, request)
        if target.plural in ("pods", "services") and target.subresource == "proxy":
            return podaccess.proxy_reply(cluster, target, request)
        return NOT_FOUND

    async def _watch(self) -> None:
        if fault := self.faults.get("garbage"):
            await self._open.say(mischief.line(fault, self.sim.faults.rng))
        elif "gone" in self.faults:
            body = orjson.dumps({"type": "ERROR", "object": ApiError(410, _EXPIRED).status()})
            await self._open.say(body + b"\n")
        else:
            await self._open.run(self.faults.get("watch_drop"), self.faults.get("watch_stall"))

    def _log(self, code: int, fault: str = "") -> None:
        request, target = self.request, self.target
        written = target.verb not in ("get", "list", "watch")
        self.sim.log.add(
            cluster=self.cluster.name,
            method=request.method,
            path=self.path,
            verb=target.verb,
            resource=target.full,
            namespace=target.namespace,
            name=target.name or _name_in(request.document),
            user=request.user.name if request.user else "",
            manager=request.query.get("fieldManager", ""),
            dry_run=request.query.get("dryRun", "") == "All",
            hash=content_hash(request.body) if written else "",
            marks=marks(_quietly(request)) if written else {},
            code=code,
            fault=fault,
        )


_SPOILING = ("other_uid", "garbage", "slow")
_EXPIRED = "too old resource version: 1 (simulated)"
_REVIEWS = tuple(entry[2] for entry in discovery.REVIEWS)


def _name_in(document: Any) -> str:
    meta = document.get("metadata") if isinstance(document, dict) else None
    return str(meta.get("name", "")) if isinstance(meta, dict) else ""


def _quietly(request: Request) -> Any:
    """The parsed body, or None where it cannot be parsed."""
    try:
        return request.parse()
    except ApiError:
        return None


def _other(uid: str) -> str:
    """A uid of the same length that is not this one."""
    return uid[:-1] + ("0" if uid[-1] != "0" else "1")


def _refusal(fault: Fault) -> ApiError:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    details = None if fault.retry_after is None else {"retryAfterSeconds": fault.retry_after}
    text = fault.message or _WORDS.get(fault.code, "the server is simulating a fault")
    return ApiError(fault.code, text, details=details, headers=headers)


_WORDS = {
    401: "Unauthorized",
    429: "the server has received too many requests and has asked us to try again later",
    500: "Internal error occurred: simulated fault",
    503: "the server is currently unable to handle the request",
}
