"""A real Redis for the tests of live pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from fleetportal.kit import fragments, news
from tests.process.stack import Redis


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis(redis_process: Redis, settings: Settings) -> Redis:
    """The portal uses this Redis; nothing of an earlier test is in it."""
    settings.NEWS_URL = redis_process.url
    news.connection(redis_process.url).flushall()
    news._Line.quiet_until = 0.0
    fragments.shelf.clear()
    return redis_process


@pytest.fixture
def no_redis(settings: Settings) -> Iterator[None]:
    """An address where nobody answers."""
    settings.NEWS_URL = "redis://127.0.0.1:1/0"
    news._Line.quiet_until = 0.0
    yield
    news._Line.quiet_until = 0.0
