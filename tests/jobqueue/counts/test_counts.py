"""Counts of jobs by queue and state: true after every change."""

from __future__ import annotations

import random

import pytest
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobqueue.counts.reading import queue_counts
from jobqueue.jobs import enqueue
from jobqueue.models import Job, JobTally
from tests.examples import examples
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.counts.steps import (
    ACTIONS,
    WAYS,
    assert_counts_are_true,
    counts_of_open,
    rolled_back,
    some_jobs,
    sql,
)
from tests.jobqueue.counts.truth import counts_of_rows
from tests.jobqueue.processors_for_tests import (
    SUCCEED,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


with_commits = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.mark.parametrize("way", WAYS)
def test_whatever_changes_jobs_keeps_their_counts_true(way: str) -> None:
    some_jobs()

    WAYS[way]()

    assert_counts_are_true()


def test_the_counts_follow_a_redis_that_is_away(use_redis: UseRedis, redis_closed: object) -> None:
    with transaction.atomic():
        enqueue(SUCCEED)
    some_jobs()

    assert_counts_are_true()


def test_emptying_the_table_leaves_nothing_behind() -> None:
    some_jobs()
    sql("DELETE FROM jobqueue_attempt")
    sql("DELETE FROM jobqueue_job")

    assert counts_of_open(queue_counts()) == {}


@with_commits
@pytest.mark.parametrize("command", [["flush"], ["flush", "--database=other"]])
def test_a_flush_leaves_nothing_behind(command: list[str]) -> None:
    some_jobs()
    enqueue(SUCCEED, using="other")

    call_command(*command, interactive=False, verbosity=0)

    assert counts_of_open(queue_counts()) == counts_of_rows("default") | counts_of_rows("other")


def test_a_rollback_leaves_no_trace() -> None:
    some_jobs()
    before = list(JobTally.objects.values())

    with rolled_back():
        some_jobs()

    assert list(JobTally.objects.values()) == before


@hypothesis_settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, len(ACTIONS) - 1), max_size=25), st.randoms(use_true_random=False))
def test_any_sequence_of_changes_keeps_the_counts_true(actions: list[int], chance: random.Random) -> None:
    with rolled_back():
        some_jobs()
        for action in actions:
            jobs = list(Job.objects.order_by("pk"))
            ACTIONS[action](chance.sample(jobs, chance.randint(0, min(4, len(jobs)))), chance)
        # A published job whose time lies ahead counts as waiting: none of these verbs makes one.
        Job.objects.delayed().filter(published_at__isnull=False).delete()

        assert_counts_are_true()
