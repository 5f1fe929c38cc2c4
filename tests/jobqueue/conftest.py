"""Fixtures of the job queue's tests: sample processors, and a Redis that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings
from django.db.models.signals import post_save, pre_save

from jobqueue import conf, registry, rules
from spendsync_site.demo.processes import LOOPBACK, free_port
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue import processors_for_tests
from tests.jobqueue.steps import TELLER

UseRedis = Callable[[str, int], None]


@pytest.fixture(autouse=True)
def sample_processors(monkeypatch: pytest.MonkeyPatch) -> processors_for_tests.Calls:
    """Registers the sample processors for one test; returns what steers `sample.call`."""
    monkeypatch.setattr(registry, "_processors", dict(registry._processors))
    return processors_for_tests.register()


@pytest.fixture(autouse=True)
def _nothing_untold() -> Iterator[None]:
    """What one test could not tell Redis must not be told in the next."""
    TELLER._untold.clear()
    yield
    TELLER._untold.clear()


@pytest.fixture
def nothing_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOST_AFTER may be 0, which no project is allowed: so that a test need not wait."""
    monkeypatch.setitem(conf._checks(), "lost_after", float)


@pytest.fixture
def only_rules_of_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No rule of the site listens, and none of a test goes on listening."""
    monkeypatch.setattr(rules, "_watchers", {})
    for signal in (pre_save, post_save):
        monkeypatch.setattr(signal, "receivers", [])
        signal.sender_receivers_cache.clear()
    yield
    for signal in (pre_save, post_save):
        signal.sender_receivers_cache.clear()


@pytest.fixture
def use_redis(settings: LazySettings) -> UseRedis:
    """Points every queue at another address until the end of the test."""

    def use(host: str, port: int) -> None:
        settings.RQ_QUEUES = {
            name: {**config, "HOST": host, "PORT": port} for name, config in settings.RQ_QUEUES.items()
        }

    return use


@pytest.fixture(params=["closed", "paused", "black hole"])
def redis_outage(
    request: pytest.FixtureRequest,
    use_redis: UseRedis,
    private_redis: Callable[..., RedisServer],
    blackhole: tuple[str, int],
    settings: LazySettings,
) -> str:
    """A Redis that nobody can use: its port is closed, it is stopped in its tracks, or it never answers."""
    # As long as a site waits.
    settings.JOBQUEUE = settings.JOBQUEUE | {"PUBLISH_TIMEOUT": conf.Settings().publish_timeout}
    if request.param == "closed":
        use_redis(LOOPBACK, free_port())
    elif request.param == "black hole":
        use_redis(*blackhole)
    else:
        server = private_redis()
        use_redis(server.host, server.port)
        server.pause()
    return str(request.param)


@pytest.fixture
def redis_closed(use_redis: UseRedis) -> UseRedis:
    """Nothing listens at Redis's port; the return value points the queues somewhere else again."""
    use_redis(LOOPBACK, free_port())
    return use_redis
