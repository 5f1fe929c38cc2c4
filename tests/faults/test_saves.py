"""Who saves a payment notices nothing of a Redis that is down or hangs, and its jobs run afterwards."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.db.models.functions import Now
from moneyed import Money

from jobqueue.models import Job
from settlements.models import EmailDelivery, Payment, Settlement
from spendsync_site.demo.redis_server import RedisServer
from spendsync_site.settings import JOBQUEUE as SITE_JOBQUEUE
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import last_for
from tests.settlements.smtp import Mailbox, smtp_server
from tests.settlements.steps import NOTIFICATION
from tests.workload.fixtures import Workload

MINUTE = timedelta(minutes=1)


def own_time() -> float:
    """Seconds on a clock that stands still while this thread waits for a core that other tests have.

    Waiting for Redis, for the disk or for a lock counts. Where the system does not tell, all of it counts.
    """
    try:
        waited_for_a_core = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        waited_for_a_core = 0.0
    return time.perf_counter() - waited_for_a_core


@contextmanager
def no_garbage_looked_for() -> Iterator[None]:
    """As `timeit` does: what the tests before this one left is no part of what a save takes."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Saves:
    """Saves payments, each in a transaction of its own, and takes the time."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement
        self.took: list[float] = []
        self.took_after_commit: list[float] = []
        """What came after the commit, by save: Redis is not spoken to before."""

    def save(self, count: int, *, every: float) -> None:
        """Save so many, each of them so many seconds after the one before."""
        for _ in range(count):
            last_for(every)
            self.took_after_commit.append(0)
            with no_garbage_looked_for():
                started = own_time()
                Payment.objects.create(
                    settlement=self._settlement, amount=Money(1, "EUR"), status=Payment.Status.COMPLETED
                )
                self.took.append(own_time() - started)

    def count_after_commit(self, callback: Callable[[], object]) -> Callable[[], None]:
        """The callback, its time counted for the save that is under way."""

        def run() -> None:
            started = own_time()
            try:
                callback()
            finally:
                self.took_after_commit[-1] += own_time() - started

        return run


@pytest.fixture
def saves(
    transactional_db: None, make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> Saves:
    """Saves payments of a settlement that they do not cover."""
    saves = Saves(make_settlement(amount=Money(100_000, "EUR")))
    on_commit = transaction.on_commit

    def timed_on_commit(callback: Callable[[], object], *arguments: Any, **options: Any) -> None:
        on_commit(saves.count_after_commit(callback), *arguments, **options)

    monkeypatch.setattr(transaction, "on_commit", timed_on_commit)
    return saves


@pytest.fixture
def every_save_tries(settings: LazySettings) -> None:
    """Saves that come 0.3 seconds apart all ask Redis, however it answered the last one."""
    settings.JOBQUEUE = SITE_JOBQUEUE | {"PUBLISH_PAUSE": 0.2}


@pytest.fixture(params=["black hole", "paused"])
def silence_redis(
    request: pytest.FixtureRequest,
    settings: LazySettings,
    blackhole: tuple[str, int],
    queue_redis: RedisServer,
) -> Callable[[], None]:
    """Gives saves a Redis that never answers: a new one, or the one that they are connected to."""

    def use_a_black_hole() -> None:
        host, port = blackhole
        settings.RQ_QUEUES = {
            name: config | {"HOST": host, "PORT": port} for name, config in settings.RQ_QUEUES.items()
        }

    return use_a_black_hole if request.param == "black hole" else queue_redis.pause


def all_due_jobs_are_done() -> bool:
    """Whether nothing waits or runs but what is planned for another day."""
    return not Job.objects.unfinished().exclude(run_at__gt=Now() + MINUTE).exists()


def test_100_payments_saved_in_30_seconds_without_redis_take_no_longer_and_are_processed_once(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer, saves: Saves
) -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox) as (host, port):
        rqworker(redis=queue_redis, EMAIL_URL=f"smtp://{host}:{port}")
        saves.save(20, every=0.3)
        wait_until(all_due_jobs_are_done)

        queue_redis.stop()
        saves.save(100, every=0.3)
        queue_redis.start()
        wait_until(all_due_jobs_are_done, 30)

    usual, without_redis = saves.took_after_commit[:20], saves.took_after_commit[20:]
    assert 0 < max(without_redis) <= max(usual) + 0.05
    assert median(saves.took[20:]) <= median(saves.took[:20]) + 0.05
    assert Payment.objects.count() == 120
    assert Job.objects.filter(processor=NOTIFICATION, payload__event="payment_received").count() == 120
    assert not Job.objects.failed().exists()
    # Each of them once, at the first try.
    received = EmailDelivery.objects.filter(template_type="payment_received")
    assert set(received.values_list("status", "tries")) == {("sent", 1)}
    assert len({message["Message-ID"] for message in mailbox.messages}) == len(mailbox.messages)
    assert len(mailbox.messages) == EmailDelivery.objects.count()


def test_a_payment_saved_while_redis_never_answers_takes_at_most_100_ms_longer(
    every_save_tries: None, silence_redis: Callable[[], None], saves: Saves
) -> None:
    saves.save(20, every=0)
    silence_redis()
    saves.save(20, every=0.3)

    usual, silent = saves.took_after_commit[:20], saves.took_after_commit[20:]
    assert max(silent) <= max(usual) + 0.1
    assert median(silent) > 0.02  # they did wait for Redis
    assert Payment.objects.count() == 40


def test_most_payments_saved_while_redis_never_answers_do_not_wait_for_it(
    silence_redis: Callable[[], None], saves: Saves
) -> None:
    silence_redis()

    saves.save(100, every=0)

    assert median(saves.took_after_commit) < 0.02
