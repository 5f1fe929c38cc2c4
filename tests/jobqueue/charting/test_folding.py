"""Folding: from five minutes in Redis to hours in the database."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
import redis
from django.core.management import call_command
from django.db import connections

from jobqueue.broker import chart, folded, queues
from jobqueue.broker.chart import PERIOD, Group, records_of
from jobqueue.broker.tallies import Tally
from jobqueue.charting.folding import HOUR, fold
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import ChartHour, VersionStart
from jobqueue.models.chart import note_version
from jobqueue.sql.clock import database_now
from jobqueue.worker.chart_folder import EVERY, folder
from tests.jobqueue.broker.steps import WORKER

SENT = Group("email", "email.notification", "completed")


@pytest.fixture
def hour(db: None) -> datetime:
    """The hour before this one, by the database's clock."""
    now = database_now("default")
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)


def count(hour: datetime, jobs: int, period: int = 0, group: Group = SENT) -> None:
    """So many jobs ended in one of the five minutes of that hour."""
    tally = Tally(jobs)
    tally.runs[2] = tally.waits[4] = jobs
    number = int(hour.timestamp()) // PERIOD + period
    queues.finish([], WORKER, {}, None, records_of({(number, group): tally}))


def test_the_periods_of_an_hour_become_one_row_for_each_group(hour: datetime) -> None:
    count(hour, 3, period=0)
    count(hour, 4, period=11)
    count(hour, 1, period=11, group=SENT._replace(outcome="failed"))

    fold(2)

    assert set(ChartHour.objects.values_list("hour", "outcome", "jobs")) == {
        (hour, "completed", 7),
        (hour, "failed", 1),
    }
    row = ChartHour.objects.get(outcome="completed")
    assert (row.queue, row.processor, row.runs[2], row.waits[4]) == ("email", "email.notification", 7, 7)


def test_folding_twice_changes_nothing(hour: datetime) -> None:
    count(hour, 3)
    fold(2)
    before = list(ChartHour.objects.values())

    assert fold(2) == 0
    assert list(ChartHour.objects.values()) == before


def test_what_was_told_late_is_added(hour: datetime) -> None:
    count(hour, 3)
    fold(2)
    count(hour, 2)
    fold(2)

    assert ChartHour.objects.get().jobs == 5


def test_an_hour_does_not_become_less_where_redis_was_emptied(
    hour: datetime, redis_client: redis.Redis
) -> None:
    count(hour, 3)
    fold(2)
    redis_client.flushdb()
    count(hour, 1)
    fold(2)

    assert ChartHour.objects.get().jobs == 3


def test_two_days_are_folded_and_no_more(hour: datetime) -> None:
    count(hour - timedelta(hours=46), 1)
    count(hour - timedelta(hours=60), 1)
    fold(48)

    assert ChartHour.objects.get().hour == hour - timedelta(hours=46)


def test_a_redis_that_is_away_folds_nothing(
    hour: datetime, redis_outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = chart.read  # as probes read it: who folds waits for 45 s
    monkeypatch.setattr(chart, "read", lambda periods: read(periods, "probe"))
    with pytest.raises(BrokerUnavailable):
        fold(2)


@pytest.mark.django_db(transaction=True)
def test_two_that_fold_at_once_write_each_hour_once(hour: datetime) -> None:
    for period in range(12):
        count(hour, 5, period)
        count(hour, 1, period, SENT._replace(outcome="failed"))
    errors: list[Exception] = []

    def work() -> None:
        try:
            fold(2)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not errors
    assert sorted(ChartHour.objects.values_list("jobs", flat=True)) == [12, 60]


@pytest.mark.django_db(transaction=True)
def test_a_fold_that_ended_half_way_is_done_by_the_next(
    hour: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        count(hour, number + 1, group=Group("email", f"p{number}", "completed"))
    fold(2)
    for number in range(3):
        count(hour, 10, group=Group("email", f"p{number}", "completed"))

    class Killed(BaseException):
        pass

    update = ChartHour.objects.get_queryset().__class__.update

    def killed(rows: object, **values: object) -> int:
        if values.get("jobs") == 12:
            raise Killed
        return update(rows, **values)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("jobqueue.sql.tolerant.TolerantQuerySet.update", killed, raising=False)
        with pytest.raises(Killed):
            fold(2)
    fold(2)

    assert sorted(ChartHour.objects.values_list("jobs", flat=True)) == [11, 12, 13]


def test_one_worker_folds_at_a_time(hour: datetime, redis_client: redis.Redis) -> None:
    assert folded.take_turn("one", EVERY)
    assert not folded.take_turn("two", EVERY)
    assert 0 < redis_client.ttl("rq:jobqueue:chart-folded") <= EVERY


def test_the_loop_of_a_worker_folds_and_prunes(hour: datetime) -> None:
    count(hour, 3)
    old = ChartHour.objects.create(
        hour=hour - timedelta(days=91), queue="q", processor="p", outcome="failed", jobs=1
    )

    folder("one")()

    assert ChartHour.objects.get().jobs == 3
    assert not ChartHour.objects.filter(pk=old.pk).exists()


@pytest.mark.django_db(databases=["default", "other"])
def test_the_pruning_command_keeps_ninety_days(hour: datetime) -> None:
    for days in (89, 91):
        ChartHour.objects.create(
            hour=hour - timedelta(days=days), queue="q", processor="p", outcome="failed", jobs=1
        )
    call_command("jobqueue_prune")

    assert ChartHour.objects.get().hour == hour - timedelta(days=89)


def test_a_version_is_noted_when_it_is_another(db: None) -> None:
    assert [note_version(version, "default") for version in ("1", "1", "2", "1")] == [True, False, True, True]
    assert list(VersionStart.objects.order_by("pk").values_list("version", flat=True)) == ["1", "2", "1"]


def test_hours_begin_where_the_databases_clock_says(hour: datetime) -> None:
    assert int(hour.timestamp()) % HOUR == 0
