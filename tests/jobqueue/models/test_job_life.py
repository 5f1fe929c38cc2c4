"""The life of jobs as a state machine: whatever happens in whatever order, rows and model agree.

Hypothesis draws long mixtures of everything that can happen to jobs (people, workers that work, die, come
back and settle late, a Redis that is flushed, forgets or is away) and shrinks what fails to a short story.
JOB_LIFE_EXAMPLES sets how many stories are told.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import hypothesis
import pytest
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings as DjangoSettings
from redis.backoff import NoBackoff

from jobqueue.broker import connections, queues
from jobqueue.broker.counters import completed
from jobqueue.counts.reading import queue_counts
from jobqueue.delivery.publishable import message_of
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import RetryPolicy, processor
from jobqueue.models import Attempt, Job, Queue
from jobqueue.worker import loops
from jobqueue.worker.outcomes import OutcomeStatus
from spendsync_site.demo.processes import free_port
from tests.jobqueue.models.job_life import (
    ENDED,
    EXAMPLES,
    LONG,
    LOST_AFTER,
    MAX_RETRIES,
    QUEUES,
    TRANSITIONS,
    State,
    WorkerUnderTest,
    behave,
    jobs,
)
from tests.jobqueue.models.job_life_workers import Workers


class JobLife(Workers):
    """Jobs, two workers, people who interfere, and a Redis that cannot be trusted."""

    # Redis ------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.away)
    @rule()
    def flush_redis(self) -> None:
        """Redis forgets everything."""
        self.redis.flushdb()
        self.in_limbo.clear()
        self.was_flushed = True

    @precondition(lambda self: not self.away)
    @rule()
    def redis_goes_away(self) -> None:
        """Nothing listens on Redis's port."""
        from django.conf import settings

        port = free_port()
        self.away = override_settings(
            RQ_QUEUES={name: {**config, "PORT": port} for name, config in settings.RQ_QUEUES.items()}
        )
        self.away.enable()

    @precondition(lambda self: self.away)
    @rule()
    def redis_comes_back(self) -> None:
        """Redis is there again, with what it had."""
        assert self.away is not None
        self.away.disable()
        self.away = None

    @rule(pk=jobs, back=st.integers(0, 2))
    def publish_again(self, pk: int, back: int) -> None:
        """A message comes twice, or late: of this attempt or of one before."""
        message = message_of(Job.objects.get(pk=pk), "default")
        with suppress(BrokerUnavailable):
            queues.publish([message._replace(attempt=max(1, message.attempt - back))])

    @rule()
    def relay_publishes(self) -> None:
        """The relay of some worker publishes what is due, and what Redis lost."""
        self.relay.have_leader_look()
        if self.away:
            with pytest.raises(BrokerUnavailable):
                self.relay.look()
            return
        unpublished = Q(published_at__isnull=True) | Q(published_at__lt=Now() - LOST_AFTER)
        waiting = list(Job.objects.due().filter(unpublished))
        self.relay.look()
        alive = {worker.id for worker in self.workers.values() if worker.is_alive}
        in_limbo = {message for message, worker_id in self.in_limbo if worker_id in alive}
        queued = self._queued()
        for job in waiting:
            assert (job.pk, job.attempt) in queued or job.message_id in in_limbo

    # What always holds ------------------------------------------------------------------------------

    @invariant()
    def everything_agrees(self) -> None:
        """After every step."""
        due = ExpressionWrapper(Q(run_at__lte=Now()), BooleanField())
        columns = ("pk", "state", "attempt", "failures", "worker_id", "unique_key", "started_at")
        rows = list(Job.objects.order_by().annotate(is_due=due).values(*columns, "is_due"))
        self._rows_are_as_expected(rows)
        self._states_follow_the_table(rows)
        self._a_key_is_held_at_most_once(rows)
        self._no_attempt_runs_twice()
        self._counts_are_true()

    def _rows_are_as_expected(self, rows: list[dict[str, Any]]) -> None:
        """Every row says what the model says."""
        failed_attempts: dict[int, list[int]] = {pk: [] for pk in self.expected}
        for pk, number in Attempt.objects.order_by("number").values_list("job_id", "number"):
            failed_attempts[pk].append(number)
        assert {row["pk"] for row in rows} == self.expected.keys()
        for row in rows:
            job = self.expected[row["pk"]]
            assert (row["state"], row["attempt"], row["failures"]) == (job.state, job.attempt, job.failures)
            if job.state in (State.WAITING, State.ACTIVE):
                assert row["worker_id"] == job.worker_id
            if job.state == State.WAITING:
                assert row["is_due"] == job.is_due
            assert failed_attempts[row["pk"]] == job.failed_attempts

    def _states_follow_the_table(self, rows: list[dict[str, Any]]) -> None:
        """No step takes a job where the table of transitions does not lead."""
        states = {row["pk"]: row["state"] for row in rows}
        for pk, state in states.items():
            before = self.before.get(pk, State.WAITING)
            assert state == before or (before, state) in TRANSITIONS
        self.before = states

    def _a_key_is_held_at_most_once(self, rows: list[dict[str, Any]]) -> None:
        """While its job waits for its first start."""
        waiting = [row for row in rows if row["state"] == State.WAITING and row["started_at"] is None]
        keys = sorted(row["unique_key"] for row in waiting if row["unique_key"] is not None)
        assert keys == sorted(str(job.unique_key) for job in self.expected.values() if job.holds_key)
        assert len(keys) == len(set(keys))

    def _no_attempt_runs_twice(self) -> None:
        """Unless it was handed back in between: then its number is used again."""
        for attempt, count in self.runs.items():
            assert count <= 1 + self.handed_back[attempt]

    def _counts_are_true(self) -> None:
        """What health, metrics and the admin say."""
        counts = queue_counts()
        for queue in QUEUES:
            jobs = [job for job in self.expected.values() if job.queue == queue]
            waiting = [job for job in jobs if job.state == State.WAITING]
            assert counts[queue].as_dict() == {
                "waiting": sum(job.is_due for job in waiting),
                "delayed": sum(not job.is_due for job in waiting),
                "active": sum(job.state == State.ACTIVE for job in jobs),
                "failed": sum(job.state == State.FAILED for job in jobs),
            }

    def teardown(self) -> None:
        """In the end, with Redis back, whoever lives works everything off, and Redis holds nothing."""
        try:
            self._end()
        finally:
            self._judges.stop()

    def _end(self) -> None:
        if not hasattr(self, "workers"):
            return
        if self.away:
            self.redis_comes_back()
        Queue.objects.update(paused=False)
        for worker in self.retired:
            self._settle(worker, len(worker.outcomes))
        self.workers["last"] = WorkerUnderTest("last")
        loops.register(self.workers["last"].row, "default")
        self.rescue()
        for _ in range(2 * len(self.expected) + 5):
            self._work_off()
            if not Job.objects.unfinished().exists():
                break
        assert {job.state for job in self.expected.values()} <= set(ENDED)
        self._check_redis()

    def _work_off(self) -> None:
        for pk in self.expected:
            self.time_comes(pk)
        self.messages_get_old()
        self.rescue()
        self.relay_publishes()
        self.claim("last", 100)
        for name, worker in self.workers.items():
            while worker.claims:
                self.perform(name, 0, "succeed")
            self._settle(worker, len(worker.outcomes))

    def _check_redis(self) -> None:
        self.teller.tell_untold()
        self.claim("last", 1000)
        assert not self.workers["last"].claims
        assert self._queued() == []
        self.messages_get_old()
        self.rescue()
        assert [self.redis.zrange(f"rq:wip:{queue}", 0, -1) for queue in QUEUES] == [[], [], []]
        if not self.was_flushed:
            done = self.settled[OutcomeStatus.COMPLETED] + self.settled[OutcomeStatus.SKIPPED]
            assert sum(completed().values()) == done


def test_whatever_happens_rows_and_model_agree_and_every_job_ends(
    transactional_db: None, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Redis is away in many stories; between its tries nothing else would happen.
    monkeypatch.setattr(connections, "ExponentialBackoff", lambda **_: NoBackoff())
    settings.JOBQUEUE = {
        "LOST_AFTER": LOST_AFTER.total_seconds(),
        # Whoever is asked to look does so.
        "RELAY_INTERVAL": 0.001,
        "HEARTBEAT_INTERVAL": 0.001,
        "DATABASES": ("default",),
    }
    for queue in QUEUES:
        policy = RetryPolicy(max_retries=MAX_RETRIES, first_delay=LONG, jitter=0)
        processor(f"life.{queue}", queue=queue, retry=policy)(behave)

    run_state_machine_as_test(
        JobLife,
        settings=hypothesis.settings(
            max_examples=EXAMPLES,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
