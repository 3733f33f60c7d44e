"""Names of what changed, told to whoever looks: open pages hear of it within moments.

A topic is "<model>:<primary key>" ("cluster:4f...", "rollout:9a...") or one of the lists ("fleet",
"deployments", "rollouts", "approvals", "clusters"). News is a hint like a ring: losing it costs
delay (pages poll, cached parts grow old), doubling it costs nothing. Content never travels here.
Every topic has a version in Redis: an opaque word, new with every change, so that a server that
was emptied can never bring back one that was used before.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

QUIET = 5.0  # seconds without another try after Redis did not answer
LISTS = frozenset({"fleet", "clusters", "deployments", "rollouts", "approvals"})
KEEP = 7 * 86400  # seconds that a version is kept; a lost one is made up anew
TIMEOUT = 1.0  # seconds for one answer


class _Line:
    """Whether Redis answered last time: a dead one must not cost every request its timeout."""

    quiet_until = 0.0


def changed(*topics: str) -> None:
    """Tell, once the current transaction has committed, that these topics changed. Never raises."""
    if topics and enabled():
        transaction.on_commit(lambda: tell(topics))


def changed_row(obj: Any) -> None:
    """Tell of a model's row under every name that shows it."""
    if enabled():
        changed(*topics_of(obj))


def tell(topics: Iterable[str]) -> bool:
    """Tell now. False when Redis is out of reach or not used."""
    names = sorted(set(topics))
    if not names or not _may_try():
        return False
    word = uuid.uuid4().hex[:16]
    try:
        with connection(settings.NEWS_URL).pipeline(transaction=False) as line:
            for place in keys(names):
                line.set(place, word, ex=KEEP)
            line.publish(channel(), json.dumps(names))
            line.execute()
    except failures() as error:
        _be_quiet(error)
        return False
    return True


def versions(topics: Iterable[str]) -> str | None:
    """One word that changes whenever one of the topics does; None: nobody can tell.

    Read it before the rows: what is stored under it is then never older than it says.
    """
    names = sorted(set(topics))
    if not names or not _may_try():
        return None
    try:
        return _read(connection(settings.NEWS_URL), keys(names))
    except failures() as error:
        _be_quiet(error)
        return None


def _read(client: redis.Redis, places: list[str]) -> str | None:
    found: Any = client.mget(places)
    missing = [key for key, value in zip(places, found, strict=True) if value is None]
    if missing:
        with client.pipeline(transaction=False) as line:
            for key in missing:
                line.set(key, uuid.uuid4().hex[:16], ex=KEEP, nx=True)
            line.execute()
        found = client.mget(places)
    return joined(found)


def joined(found: Sequence[bytes | None]) -> str | None:
    """The versions of several topics as one word; None where one is missing."""
    words = [value.decode() for value in found if value is not None]
    return ".".join(words) if len(words) == len(found) else None


def keys(topics: Iterable[str]) -> list[str]:
    """Where the versions of the topics are, in the order in which `joined` wants them."""
    return [f"{channel()}:{topic}" for topic in sorted(set(topics))]


def topics_of(obj: Any) -> tuple[str, ...]:
    """The names under which a model's row is shown: its own, its list, its scope, `news_topics`."""
    model = obj._meta.model_name
    scope = str(getattr(obj, "journal_scope", ""))
    listed = (f"{model}s",) if f"{model}s" in LISTS else ()
    scopes = (scope,) if scope else ()
    return (f"{model}:{obj.pk}", *listed, *scopes, *getattr(obj, "news_topics", ()))


def enabled() -> bool:
    return str(settings.NEWS_URL).startswith(("redis://", "rediss://"))


def channel() -> str:
    """Installations that share a Redis do not hear each other."""
    return f"fleetportal-{settings.INSTALL_ID}:news"


def failures() -> tuple[type[Exception], ...]:
    """What Redis raises when it is out of reach. Imported late: not every process tells news."""
    from redis import RedisError

    return (RedisError, OSError)


@lru_cache(maxsize=4)
def connection(url: str) -> redis.Redis:
    """One pool for each process; it notices a fork by itself."""
    import redis

    return redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=0.5)


def _may_try() -> bool:
    return enabled() and time.monotonic() >= _Line.quiet_until


def _be_quiet(error: Exception) -> None:
    _Line.quiet_until = time.monotonic() + QUIET
    log.warning("news.silent", extra={"error": str(error)})
