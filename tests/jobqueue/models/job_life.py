"""Stories of jobs as a state machine: what the model knows, and what people and time do."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import redis
from django.db.models import F
from django.db.models.functions import Now
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    rule,
)

from jobqueue.delivery import rescue, watch
from jobqueue.exceptions import JobTransitionRefused
from jobqueue.jobs import Discard, NewJob, RetryLater, Skipped, enqueue, enqueue_many
from jobqueue.models import Attempt, Job, Queue, Worker
from jobqueue.worker import limits, loops
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.relay import Relay
from jobqueue.worker.telling import Teller
from spendsync_site.demo.processes import LOOPBACK
from tests.examples import examples
from tests.servers import REDIS_DATABASE, main_redis

QUEUES = ("email", "reminders", "settlement")
KEYS = (None, None, "a", "b")
EXAMPLES = int(os.environ.get("JOB_LIFE_EXAMPLES", examples(60)))
LOST_AFTER = timedelta(seconds=30)
# Longer than a story takes: a time comes only where the story says so.
LONG = timedelta(days=1)
MAX_RETRIES = 2

State = Job.State
TRANSITIONS = {
    (State.WAITING, State.ACTIVE): "claim",
    (State.WAITING, State.CANCELLED): "cancel",
    (State.ACTIVE, State.WAITING): "an outcome, a hand-back or a rescue",
    (State.ACTIVE, State.COMPLETED): "an outcome",
    (State.ACTIVE, State.FAILED): "an outcome or a rescue",
    (State.FAILED, State.WAITING): "retry",
    (State.CANCELLED, State.WAITING): "retry",
}
ENDED = (State.COMPLETED, State.FAILED, State.CANCELLED)


@dataclass
class Expected:
    """A job as the model knows it."""

    queue: str
    unique_key: str | None
    is_due: bool
    state: str = State.WAITING
    attempt: int = 1
    failures: int = 0
    has_started: bool = False
    worker_id: uuid.UUID | None = None
    failed_attempts: list[int] = field(default_factory=list)

    @property
    def holds_key(self) -> bool:
        """Whether another job with this key would be this one."""
        return self.unique_key is not None and self.state == State.WAITING and not self.has_started

    def go_back(self, *, is_due: bool, uses_attempt: bool = True) -> None:
        """Wait again."""
        self.state, self.is_due, self.worker_id = State.WAITING, is_due, None
        self.attempt += uses_attempt

    def fail_once(self, *, may_retry: bool) -> None:
        """One more failed attempt; the last one if the budget is used up."""
        self.failed_attempts.append(self.attempt)
        self.failures += 1
        if may_retry and self.failures <= MAX_RETRIES:
            self.go_back(is_due=False)
        else:
            self.state = State.FAILED


@dataclass
class WorkerUnderTest:
    """A worker of the story, with what it believes is its own."""

    name: str
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    claims: list[Claim] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    is_alive: bool = True

    @property
    def identity(self) -> Identity:
        """As the steps know it."""
        return Identity(self.id, self.name, QUEUES)

    @property
    def row(self) -> Worker:
        """As its heartbeat writes it."""
        return Worker(id=self.id, name=self.name, hostname="host", pid=1, queues=list(QUEUES))


def behave(how: str) -> Skipped | None:
    """What the jobs of the story do when they run."""
    if how == "skip":
        return Skipped("nothing to do")
    if how == "fail":
        raise ValueError("broken")
    if how == "discard":
        raise Discard("never possible")
    if how == "later":
        raise RetryLater(LONG, "not yet")
    return None


jobs = Bundle("jobs")
which_worker = st.sampled_from(["first", "second"])
pick = st.integers(0, 7)


class People(RuleBasedStateMachine):
    """Jobs, two workers, and people who interfere."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[int, Expected] = {}
        self.before: dict[int, str] = {}
        self.runs: Counter[tuple[int, int]] = Counter()
        self.handed_back: Counter[tuple[int, int]] = Counter()
        self.settled: Counter[str] = Counter()
        # Messages that a worker took from Redis without claiming a row, not long ago.
        self.in_limbo: set[tuple[str, uuid.UUID]] = set()
        self.was_flushed = False
        self.away: override_settings | None = None
        self.retired: list[WorkerUnderTest] = []
        self.decisions = limits.QueueDecisions()
        self.teller = Teller()
        self.relay = Relay("the story's", self.teller)
        self.rescuer, self.upkeep = loops.rescuer(), loops.upkeep()
        # However long a step took, here the database's clock alone tells who is silent.
        self._judges = patch.multiple(watch, _LONGEST_BREAK=-1e9, _MISSED=0)
        self._judges.start()

    @initialize()
    def begin(self) -> None:
        """Two workers, and nothing else."""
        self.redis = redis.Redis(host=LOOPBACK, port=main_redis().port, db=REDIS_DATABASE)
        self.redis.flushdb()
        for model in (Attempt, Job, Worker, Queue):
            model._base_manager.all().delete()
        self.workers = {name: WorkerUnderTest(name) for name in ("first", "second")}
        for worker in self.workers.values():
            loops.register(worker.row, "default")

    # Enqueue ----------------------------------------------------------------------------------------

    @rule(
        target=jobs,
        queue=st.sampled_from(QUEUES),
        key=st.sampled_from(KEYS),
        days=st.sampled_from([0, 0, 1, 2]),
    )
    def enqueue(self, queue: str, key: str | None, days: int) -> int:
        """One job, at once or later, unique or not."""
        holder = self._holder(key)
        delay = timedelta(days=days) if days else None
        job = enqueue(f"life.{queue}", delay=delay, unique_key=key, how="succeed")
        self._note_enqueued(job, queue, key, days == 0, holder)
        return job.pk

    @rule(wanted=st.lists(st.tuples(st.sampled_from(QUEUES), st.sampled_from(KEYS)), max_size=4))
    def enqueue_many(self, wanted: list[tuple[str, str | None]]) -> None:
        """Some jobs at once; two of them may have one key."""
        requests = [NewJob(f"life.{queue}", {"how": "succeed"}, unique_key=key) for queue, key in wanted]
        jobs = enqueue_many(requests)
        assert len(jobs) == len(wanted)
        for job, (queue, key) in zip(jobs, wanted, strict=True):
            self._note_enqueued(job, queue, key, True, self._holder(key))

    def _holder(self, key: str | None) -> int | None:
        holders = [pk for pk, job in self.expected.items() if job.holds_key and job.unique_key == key]
        return holders[0] if holders and key is not None else None

    def _note_enqueued(self, job: Job, queue: str, key: str | None, is_due: bool, holder: int | None) -> None:
        if holder is None:
            assert job.pk not in self.expected
            self.expected[job.pk] = Expected(queue, key, is_due)
        else:
            assert job.pk == holder
            self.expected[holder].is_due |= is_due

    # People -----------------------------------------------------------------------------------------

    @rule(pk=jobs)
    def cancel(self, pk: int) -> None:
        """Somebody cancels a job."""
        if self._changed(pk, "cancel", [State.WAITING]):
            self.expected[pk].state = State.CANCELLED

    @rule(pk=jobs)
    def retry(self, pk: int) -> None:
        """Somebody retries a job."""
        if self._changed(pk, "retry", [State.FAILED, State.CANCELLED]):
            job = self.expected[pk]
            job.go_back(is_due=True)
            job.failures, job.has_started = 0, True

    @rule(pk=jobs)
    def run_now(self, pk: int) -> None:
        """Somebody makes a job due."""
        if self._changed(pk, "run_now", [State.WAITING]):
            self.expected[pk].is_due = True

    def _changed(self, pk: int, verb: str, allowed: list[Any]) -> bool:
        """Call a verb of the row; whether it was to be allowed, which it must be exactly then."""
        is_allowed = self.expected[pk].state in allowed
        try:
            getattr(Job.objects.get(pk=pk), verb)()
        except JobTransitionRefused:
            assert not is_allowed
        else:
            assert is_allowed
        return is_allowed

    @rule(pk=jobs, verb=st.sampled_from(["release", "fail"]))
    def clear(self, pk: int, verb: str) -> None:
        """An operator clears a job that hangs, as it seems."""
        job = self.expected[pk]
        rows = Job.objects.filter(pk=pk)
        count = rescue.release(rows) if verb == "release" else rescue.fail(rows)
        assert count == (job.state == State.ACTIVE)
        if count and verb == "release":
            job.go_back(is_due=True)
        elif count:
            job.failed_attempts.append(job.attempt)
            job.failures += 1
            job.state = State.FAILED

    @rule(verb=st.sampled_from(["retry_all", "cancel_all", "run_all_now"]), queue=st.sampled_from(QUEUES))
    def change_many(self, verb: str, queue: str) -> None:
        """Somebody changes a whole queue."""
        getattr(Job.objects.filter(queue=queue), verb)()
        for job in self.expected.values():
            if job.queue != queue:
                continue
            if verb == "retry_all" and job.state in (State.FAILED, State.CANCELLED):
                job.go_back(is_due=True)
                job.failures, job.has_started = 0, True
            elif verb == "cancel_all" and job.state == State.WAITING:
                job.state = State.CANCELLED
            elif verb == "run_all_now" and job.state == State.WAITING:
                job.is_due = True

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        """Somebody pauses or resumes a queue."""
        Queue.objects.update_or_create(name=queue, defaults={"paused": paused})

    @rule(queue=st.sampled_from(QUEUES), limit=st.sampled_from([None, None, 1, 2]))
    def limit_concurrency(self, queue: str, limit: int | None) -> None:
        """Somebody limits how many jobs of a queue run at once."""
        Queue.objects.update_or_create(name=queue, defaults={"concurrency_limit": limit})

    # Time -------------------------------------------------------------------------------------------

    @rule(pk=jobs)
    def time_comes(self, pk: int) -> None:
        """The time of a delayed job has come."""
        job = self.expected[pk]
        if job.state == State.WAITING and not job.is_due:
            Job.objects.filter(pk=pk).update(run_at=Now())
            job.is_due = True

    @rule()
    def messages_get_old(self) -> None:
        """So much time passes that what Redis does not know counts as lost."""
        Job.objects.filter(published_at__isnull=False).update(published_at=F("published_at") - 2 * LOST_AFTER)
        for key in self.redis.scan_iter("rq:job:*"):
            if self.redis.hexists(key, "claimed_at"):
                self.redis.hincrby(key, "claimed_at", -2 * int(LOST_AFTER.total_seconds()))
        self.in_limbo.clear()
