"""The chart in Redis: what ended, by five minutes."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import pytest
import redis

from jobqueue.broker import chart, queues
from jobqueue.broker.chart import OTHER, Group
from jobqueue.broker.tallies import BUCKETS, Tally
from jobqueue.exceptions import BrokerUnavailable
from tests.jobqueue.broker.steps import WORKER

SENT = Group("email", "email.notification", "completed")


def tally(jobs: int, run: int = 0, wait: int = 0) -> Tally:
    """So many jobs in one bucket of each."""
    counted = Tally(jobs)
    counted.runs[run] = counted.waits[wait] = jobs
    return counted


def tell(period: int, group: Group, counted: Tally, batch: str | None = None) -> None:
    """Have the script add it."""
    queues.finish([], WORKER, {}, batch, chart.records_of({(period, group): counted}))


def test_what_ended_adds_up_by_period_and_group() -> None:
    tell(5, SENT, tally(2, run=3, wait=1))
    tell(5, SENT, tally(1, run=4, wait=1))
    tell(6, SENT._replace(outcome="failed"), tally(1))

    found = chart.read([5, 6, 7])

    assert set(found) == {5, 6}
    assert found[5][SENT].jobs == 3
    assert (found[5][SENT].runs[3], found[5][SENT].runs[4], found[5][SENT].waits[1]) == (2, 1, 3)


def test_a_batch_counts_once_in_the_chart_however_often_it_is_told() -> None:
    for _ in range(3):
        tell(5, SENT, tally(2), "batch")

    assert chart.read([5])[5][SENT].jobs == 2


def test_a_period_is_kept_for_two_days(redis_client: redis.Redis) -> None:
    tell(5, SENT, tally(1))

    assert 48 * 3600 < redis_client.ttl("rq:jobqueue:chart:5") <= 49 * 3600


def test_a_period_has_room_for_so_many_groups_and_counts_the_others_with_the_rest(
    redis_client: redis.Redis,
) -> None:
    for number in range(200):
        tell(5, Group("email", f"made-up-{number}", "completed"), tally(1))

    found = chart.read([5])[5]

    assert sum(counted.jobs for counted in found.values()) == 200
    assert len(found) == 129
    assert found[Group("email", OTHER, "completed")].jobs == 72


@pytest.mark.parametrize("name", ["x]n", '["a","b"]n', "n", "[[[[", '["a","b","c"]r999', '["a","b","c"]q1'])
def test_fields_that_are_not_ours_are_left_out(redis_client: redis.Redis, name: str) -> None:
    tell(5, SENT, tally(1))
    redis_client.hset("rq:jobqueue:chart:5", name, "7")

    found = chart.read([5])[5]

    assert found[SENT].jobs == 1
    assert sum(counted.jobs + sum(counted.runs) for counted in found.values()) == 2


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "text", "1e400"])
def test_what_is_no_number_counts_nothing(redis_client: redis.Redis, value: str) -> None:
    tell(5, SENT, tally(1))
    redis_client.hset("rq:jobqueue:chart:5", '["a","b","c"]n', value)

    assert set(chart.read([5])[5]) == {SENT}


def test_a_key_that_somebody_else_wrote_is_set_aside_and_the_period_goes_on(
    redis_client: redis.Redis,
) -> None:
    redis_client.set("rq:jobqueue:chart:5", "mine")
    assert chart.read([5]) == {}

    tell(5, SENT, tally(1))

    assert chart.read([5])[5][SENT].jobs == 1


def test_a_tally_has_a_place_for_what_took_longer_than_any_bound() -> None:
    tell(5, SENT, tally(1, run=BUCKETS - 1, wait=BUCKETS - 1))

    assert chart.read([5])[5][SENT].runs[-1] == 1


def test_a_redis_that_is_away_is_said_to_be(redis_outage: str) -> None:
    with pytest.raises(BrokerUnavailable):
        chart.read([5], "probe")  # as pages read it: workers wait longer


def test_what_is_told_late_of_a_period_that_was_read_is_shown() -> None:
    tell(5, SENT, tally(2))
    assert chart.read([5])[5][SENT].jobs == 2
    tell(5, SENT, tally(1))
    assert chart.read([5])[5][SENT].jobs == 3


def test_a_period_of_which_nothing_was_told_since_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for period in (5, 6):
        tell(period, SENT, tally(1))
    first, read, hashes = chart.read([5, 6]), [], chart._hashes
    tell(6, SENT, tally(1))

    def noting(client: redis.Redis, periods: list[int]) -> Any:
        read.extend(periods)
        return hashes(client, periods)

    monkeypatch.setattr(chart, "_hashes", noting)
    assert chart.read([5, 6])[5] == first[5]
    assert read == [6]


def test_what_redis_lost_is_shown_no_more(redis_client: redis.Redis) -> None:
    tell(5, SENT, tally(2))
    assert 5 in chart.read([5])
    redis_client.flushdb()
    assert chart.read([5]) == {}
    tell(5, SENT, tally(1))
    assert chart.read([5])[5][SENT].jobs == 1


def test_what_an_older_release_told_is_read_every_time(redis_client: redis.Redis) -> None:
    tell(5, SENT, tally(1))
    redis_client.hdel("rq:jobqueue:chart:5", "told")
    assert chart.read([5])[5][SENT].jobs == 1
    redis_client.hincrby("rq:jobqueue:chart:5", '["email","email.notification","completed"]n', 1)
    assert chart.read([5])[5][SENT].jobs == 2


def test_what_several_servers_tell_is_added_up_each_time_anew(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(5, SENT, tally(2))
    monkeypatch.setattr(chart, "clients", lambda _purpose: [redis_client, redis_client])
    assert [chart.read([5])[5][SENT].jobs for _ in range(3)] == [4, 4, 4]


def test_no_more_is_kept_than_a_process_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart, "_MOST_KEPT", 1)
    monkeypatch.setattr(chart, "_kept", WeakKeyDictionary())  # the limit is one of each server
    for period in (5, 6):
        tell(period, SENT, tally(1))
    assert set(chart.read([5, 6])) == {5, 6}
    assert sum(len(kept) for kept in chart._kept.values()) <= 1
