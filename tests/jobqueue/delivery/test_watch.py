"""Who is gone is judged by what the judge saw: a clock that steps takes no live worker's jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models import F
from django.db.models.functions import Now

from jobqueue.delivery import rescue
from jobqueue.delivery.watch import Watch
from jobqueue.models import Job, Worker
from tests.jobqueue.clocks import Clock
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, claimed, make_worker

pytestmark = pytest.mark.django_db

STEPS = [timedelta(minutes=1), timedelta(minutes=-1), timedelta(days=2), timedelta(days=-2)]
each_step = pytest.mark.parametrize("step", STEPS, ids=str)


@pytest.fixture
def clock() -> Clock:
    """The clock of the judge."""
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Watch:
    """The judge, with the defaults: heartbeats every 5 s, silence after 20."""
    return Watch("default", clock.monotonic)


def step_the_databases_clock(step: timedelta) -> None:
    """What was written before looks older or younger by so much."""
    Worker.objects.update(heartbeat_at=F("heartbeat_at") - step)


def beat() -> None:
    Worker.objects.filter(pk=IDENTITY.id).update(heartbeat_at=Now())


def seconds_until_gone(watch: Watch, clock: Clock, *, most: int = 200) -> int:
    """How long the worker is watched, every five seconds, until it is taken for gone."""
    begin = clock.now
    while IDENTITY.id not in watch.gone():
        clock.now += 5
        assert clock.now - begin <= most
    return int(clock.now - begin)


def watch_alive(watch: Watch, clock: Clock, seconds: int) -> None:
    """It gives a sign of life every five seconds, as it should."""
    for _ in range(seconds // 5):
        beat()
        assert watch.gone() == []
        clock.now += 5


@each_step
def test_a_live_worker_is_not_gone_whatever_the_databases_clock_does(
    step: timedelta, watch: Watch, clock: Clock
) -> None:
    make_worker()
    watch_alive(watch, clock, 30)

    step_the_databases_clock(step)

    assert watch.gone() == []
    clock.now += 5
    watch_alive(watch, clock, 30)


@each_step
def test_a_live_worker_is_not_gone_for_a_judge_that_begins_right_after_a_step(
    step: timedelta, watch: Watch, clock: Clock
) -> None:
    make_worker()
    step_the_databases_clock(step)

    assert watch.gone() == []
    clock.now += 5
    watch_alive(watch, clock, 30)


@each_step
def test_a_worker_that_computes_in_c_and_is_vouched_for_is_not_gone_after_a_step(
    step: timedelta, watch: Watch, clock: Clock
) -> None:
    make_worker()
    watch.gone()
    for _ in range(2):
        step_the_databases_clock(step)
        clock.now += 6
        assert watch.gone() == []
    beat()  # its supervisor's, after twelve seconds
    assert watch.gone() == []


@each_step
def test_a_dead_worker_is_gone_in_time_whatever_the_databases_clock_does(
    step: timedelta, watch: Watch, clock: Clock
) -> None:
    make_worker()
    watch_alive(watch, clock, 10)
    step_the_databases_clock(step)

    assert seconds_until_gone(watch, clock) <= 20


def test_without_a_step_a_dead_worker_is_gone_after_its_silence_and_not_before(
    watch: Watch, clock: Clock, settings: LazySettings
) -> None:
    make_worker()

    assert seconds_until_gone(watch, clock) == 20


def test_who_has_just_begun_to_watch_takes_the_databases_word_after_three_beats(
    watch: Watch, clock: Clock
) -> None:
    make_worker(silent_for=30)

    assert seconds_until_gone(watch, clock) == 15


def test_after_the_database_was_away_the_watch_begins_anew(watch: Watch, clock: Clock) -> None:
    make_worker()
    watch_alive(watch, clock, 30)

    clock.now += 60
    step_the_databases_clock(timedelta(minutes=1))  # nobody could give a sign of life

    assert seconds_until_gone(watch, clock) == 15


def test_a_worker_that_comes_back_is_watched_anew(watch: Watch, clock: Clock) -> None:
    make_worker()
    seconds_until_gone(watch, clock)
    beat()

    assert seconds_until_gone(watch, clock) == 20


def test_only_the_jobs_of_those_who_are_gone_are_rescued_after_a_step(watch: Watch, clock: Clock) -> None:
    lost, kept = claimed(), claimed(identity=OTHER_IDENTITY)
    for identity in (IDENTITY, OTHER_IDENTITY):
        make_worker(identity)
    step_the_databases_clock(timedelta(days=2))

    assert rescue.rescue_lost("default", []) == 0
    assert rescue.rescue_lost("default", [IDENTITY.id]) == 1
    assert list(Job.objects.active()) == [kept]
    assert list(Job.objects.waiting()) == [lost]


def test_the_row_of_a_live_worker_stays_though_the_databases_clock_steps_by_days() -> None:
    make_worker()
    step_the_databases_clock(timedelta(days=2))

    rescue.rescue_lost("default", [])

    assert Worker.objects.exists()
