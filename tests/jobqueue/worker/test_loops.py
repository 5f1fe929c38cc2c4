"""The background threads of an executor: what an outage of one thing does to the others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connections

from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Worker
from jobqueue.sql.clock import database_now
from jobqueue.sql.databases import for_each_database
from jobqueue.worker import loops
from spendsync_site.demo.processes import free_port
from tests.jobqueue.steps import claimed, make_worker


def test_one_database_that_is_away_does_not_keep_the_others_from_their_step() -> None:
    seen = []

    def step(alias: str) -> None:
        seen.append(alias)
        if alias == "default":
            raise OperationalError("it is away")

    with pytest.raises(OperationalError, match="it is away"):
        for_each_database(step)

    assert seen == ["default", "other"]


def test_a_wait_that_fails_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def wait(seconds: float) -> None:
        raise ValueError("a file number above what can be waited for")

    loop = loops.Loop("tested", lambda: calls.append(1) or 0.0, wait=wait, wake=lambda: None)
    loop._pause(loop._call())
    loop._pause(loop._call())

    assert len(calls) == 2
    assert "tested failed" in caplog.text


# What is looked after -----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [OperationalError("it is away"), None, 5], ids=["error", "none", "number"])
def test_a_reconciler_that_fails_does_not_keep_the_others_from_running(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    ran = []

    def broken(*, full: bool) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def good(*, full: bool) -> dict[str, int]:
        ran.append(full)
        return {}

    monkeypatch.setattr(loops, "all_reconcilers", lambda: {"a broken one": broken, "one behind it": good})
    with pytest.raises((OperationalError, AttributeError)):
        loops.reconcile()()

    assert ran == [False]


def test_a_database_that_is_away_does_not_keep_redis_from_being_looked_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []

    def away(interval: float, each: object) -> None:
        raise OperationalError("it is away")

    monkeypatch.setattr(loops.rescue, "sweep", away)
    monkeypatch.setattr(loops.plain_rq, "look_after_strays", lambda queues: taken.append("strays"))
    monkeypatch.setattr(loops.strange_keys, "look_over", lambda: taken.append("keys"))
    with pytest.raises(OperationalError, match="it is away"):
        loops.upkeep(["email"])()

    assert taken == ["strays", "keys"]


def test_a_redis_that_is_away_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def away(interval: float, each: object) -> None:
        taken.append("sweep")
        raise BrokerUnavailable("it hangs")

    monkeypatch.setattr(loops.rescue, "sweep", away)
    monkeypatch.setattr(loops.plain_rq, "look_after_strays", lambda queues: taken.append("strays"))
    with pytest.raises(BrokerUnavailable, match="it hangs"):
        loops.upkeep(["email"])()

    assert taken == ["sweep"]


def test_one_redis_of_several_that_is_away_does_not_keep_the_others_from_being_looked_after(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    another = {**settings.RQ_QUEUES["email"], "PORT": free_port()}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "email": another}
    taken = []

    def away(interval: float, each: object) -> None:
        raise BrokerUnavailable("it is away")

    monkeypatch.setattr(loops.rescue, "sweep", away)
    monkeypatch.setattr(loops.plain_rq, "look_after_strays", lambda queues: taken.append("strays"))
    with pytest.raises(BrokerUnavailable):
        loops.upkeep(["reminders"])()

    assert taken == ["strays"]


@pytest.mark.django_db(databases=["default", "other"])
def test_the_jobs_of_silent_workers_come_back_without_redis(redis_closed: object) -> None:
    job = claimed()

    loops.rescuer()()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 2)


# Signs of life ------------------------------------------------------------------------------------


@pytest.mark.django_db(databases=["default", "other"])
def test_a_sign_of_life_in_one_database_is_one_though_another_is_away() -> None:
    worker, written = make_worker(), []
    make_worker(using="other", silent_for=60)

    def away(*_: Any) -> Any:
        raise OperationalError("it is away")

    with connections["default"].execute_wrapper(away), pytest.raises(OperationalError, match="it is away"):
        loops.heartbeat(worker, lambda: written.append("alive"))()

    assert written == ["alive"]
    assert database_now("other") - Worker.objects.using("other").get().heartbeat_at < timedelta(seconds=30)
