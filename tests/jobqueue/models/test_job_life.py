"""The life of jobs as a state machine: whatever happens in whatever order, rows and model agree.

Hypothesis draws long mixtures of everything that can happen to jobs (people, workers that work, die, come
back and settle late, a Redis that is flushed, forgets or is away) and shrinks what fails to a short story.
JOB_LIFE_EXAMPLES sets how many stories are told.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest import mock
from unittest.mock import patch

import hypothesis
import pytest
import redis
from django.db import OperationalError
from django.db.models import BooleanField, ExpressionWrapper, F, Q
from django.db.models.functions import Now
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
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
from jobqueue.delivery import rescue, watch
from jobqueue.delivery.publishable import message_of
from jobqueue.exceptions import BrokerUnavailable, JobTransitionRefused
from jobqueue.jobs import Discard, NewJob, RetryLater, RetryPolicy, Skipped, enqueue, enqueue_many, processor
from jobqueue.models import Attempt, Job, Queue, Worker, transitions
from jobqueue.worker import claiming, limits, loops, performing
from jobqueue.worker.claiming import Claim, Identity, Wanted
from jobqueue.worker.in_hand import hand_back
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.relay import Relay
from jobqueue.worker.settling import settle_and_tell
from jobqueue.worker.telling import Teller
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.servers import REDIS_DATABASE, main_redis

QUEUES = ("email", "reminders", "settlement")
KEYS = (None, None, "a", "b")
EXAMPLES = int(os.environ.get("JOB_LIFE_EXAMPLES", "60"))
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


class JobLife(RuleBasedStateMachine):
    """Jobs, two workers, people who interfere, and a Redis that cannot be trusted."""

    jobs = Bundle("jobs")
    which_worker = st.sampled_from(["first", "second"])
    pick = st.integers(0, 7)

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

    # Workers ----------------------------------------------------------------------------------------

    @rule(name=which_worker, count=st.integers(1, 5))
    def claim(self, name: str, count: int) -> None:
        """A worker claims what stands first in the queues that are not paused, as far as limits let it."""
        worker = self.workers[name]
        served = self._served()
        if self.away:
            with pytest.raises(BrokerUnavailable):
                claiming.claim(worker.identity, Wanted(count, QUEUES), self.teller)
            return
        queued = self._queued(served)
        candidates = [pair for pair in queued[:count] if self._is_claimable(*pair)]
        runs_before = self._running()
        wanted = Wanted(count, served, self.decisions.limits, free=count)
        claims = claiming.claim(worker.identity, wanted, self.teller).jobs
        taken = [claimed.key[1:] for claimed in claims]
        if self._is_limited(served):
            assert set(taken) <= {pair for pair in queued if self._is_claimable(*pair)}
        else:
            assert sorted(taken) == sorted(set(candidates))
            if len(candidates) == len(set(candidates)):
                assert taken == candidates
        for claimed in claims:
            job = self.expected[claimed.job.pk]
            job.state, job.worker_id, job.has_started = State.ACTIVE, worker.id, True
        for queue, count in self._running().items():
            limit = self.decisions.limits.get(queue)
            assert (
                not limit or limit.concurrency is None or count <= max(limit.concurrency, runs_before[queue])
            )
        worker.claims += claims

    def _served(self) -> list[str]:
        self.decisions.read()
        return [queue for queue in QUEUES if queue not in self.decisions.paused]

    def _is_limited(self, served: Iterable[str]) -> bool:
        return any(queue in self.decisions.limits for queue in served)

    def _running(self) -> Counter[str]:
        return Counter(job.queue for job in self.expected.values() if job.state == State.ACTIVE)

    def _queued(self, served: Iterable[str] = QUEUES) -> list[tuple[int, int]]:
        """`(job id, attempt)` of the messages in Redis, in the order in which they are taken."""
        messages = [
            item.decode() for queue in served for item in self.redis.lrange(f"rq:queue:{queue}", 0, -1)
        ]
        return [(int(job), int(attempt)) for job, attempt in (message.split("-") for message in messages)]

    def _is_claimable(self, pk: int, attempt: int) -> bool:
        job = self.expected[pk]
        return job.state == State.WAITING and job.attempt == attempt and job.is_due

    @precondition(lambda self: not self.away)
    @rule(name=which_worker, count=st.integers(1, 3))
    def die_between_redis_and_database(self, name: str, count: int) -> None:
        """A claim whose answer is lost: Redis gave the messages away, no row knows of it."""
        worker = self.workers[name]
        taken = queues.claim(QUEUES, count, worker.id.hex, worker.name)
        self.in_limbo |= {(message.id, worker.id) for message in taken.messages}

    @precondition(lambda self: not self.away)
    @rule(name=which_worker, count=st.integers(1, 3))
    def claim_without_database(self, name: str, count: int) -> None:
        """A claim that the database does not take: the messages are back where they were."""
        before = self._queued()
        if not before:
            return
        with (
            mock.patch.object(transitions, "claim", side_effect=OperationalError("the database is away")),
            pytest.raises(OperationalError),
        ):
            claiming.claim(self.workers[name].identity, Wanted(count, QUEUES), self.teller)
        assert self._queued() == before

    @rule(name=which_worker, pick=pick, how=st.sampled_from(["succeed", "skip", "fail", "discard", "later"]))
    def perform(self, name: str, pick: int, how: str) -> None:
        """A worker runs one of its jobs, even one that was taken from it meanwhile."""
        worker = self.workers[name]
        if not worker.claims:
            return
        claimed = worker.claims.pop(pick % len(worker.claims))
        claimed.job.payload = {"how": how}
        self.runs[claimed.job.pk, claimed.job.attempt] += 1
        worker.outcomes.append(performing.perform(claimed))

    @rule(name=which_worker, count=st.integers(1, 4), is_repeated=st.booleans())
    def settle(self, name: str, count: int, is_repeated: bool) -> None:
        """A worker settles outcomes, however late; what it does not hold any more counts for nothing."""
        worker = self.workers[name]
        self._settle(worker, count)
        if is_repeated and worker.outcomes:
            self._settle(worker, 1, keep=True)

    def _settle(self, worker: WorkerUnderTest, count: int, *, keep: bool = False) -> None:
        batch = worker.outcomes[:count]
        if not keep:
            worker.outcomes = worker.outcomes[count:]
        settled = settle_and_tell(batch, worker.identity, self.teller)
        mine = [outcome for outcome in batch if self._is_held_by(worker, outcome.job)]
        assert {id(outcome) for outcome in settled} == {id(outcome) for outcome in mine}
        for outcome in mine:
            self.settled[outcome.status] += 1
            self._apply(outcome)

    def _is_held_by(self, worker: WorkerUnderTest, job: Job) -> bool:
        expected = self.expected[job.pk]
        return (expected.state, expected.worker_id, expected.attempt) == (
            State.ACTIVE,
            worker.id,
            job.attempt,
        )

    def _apply(self, outcome: Outcome) -> None:
        job = self.expected[outcome.job.pk]
        if outcome.status in (OutcomeStatus.COMPLETED, OutcomeStatus.SKIPPED):
            job.state = State.COMPLETED
        elif outcome.failure:
            job.fail_once(may_retry=outcome.failure.error_class != "Discard")
        else:
            job.go_back(is_due=False)

    @rule(name=which_worker, pick=pick)
    def hand_back(self, name: str, pick: int) -> None:
        """A worker gives back a job that it has not started."""
        worker = self.workers[name]
        if worker.claims:
            self._hand_back(worker, [worker.claims.pop(pick % len(worker.claims))])

    def _hand_back(self, worker: WorkerUnderTest, claims: list[Claim]) -> None:
        mine = [claimed for claimed in claims if self._is_held_by(worker, claimed.job)]
        assert hand_back(claims, worker.id) == len(mine)
        for claimed in mine:
            self.handed_back[claimed.job.pk, claimed.job.attempt] += 1
            self.expected[claimed.job.pk].go_back(is_due=True, uses_attempt=False)

    @rule(name=which_worker)
    def stop(self, name: str) -> None:
        """A worker stops and hands back what it holds, also what still runs; its last outcomes come late."""
        worker = self.workers[name]
        held = [*worker.claims, *(Claim(outcome.job, "default") for outcome in worker.outcomes)]
        worker.claims = []
        self._hand_back(worker, held)
        if not self.away:  # else the row stays, for whoever rescues to clean up in Redis
            Worker.objects.filter(pk=worker.id).delete()
        self._replace(worker)

    @rule(name=which_worker)
    def lose_worker(self, name: str) -> None:
        """A worker falls silent for too long."""
        worker = self.workers[name]
        worker.is_alive = False
        Worker.objects.filter(pk=worker.id).update(heartbeat_at=Now() - timedelta(minutes=1))

    @rule(name=which_worker)
    def worker_comes_back(self, name: str) -> None:
        """A silent worker was only asleep: its heart beats on, and it finishes what it began."""
        worker = self.workers[name]
        loops.heartbeat(worker.row)()
        worker.is_alive = True

    @rule(name=which_worker)
    def replace_lost_worker(self, name: str) -> None:
        """Another worker takes the place of a lost one, whose last outcomes come late."""
        worker = self.workers[name]
        if not worker.is_alive:
            self._replace(worker)

    def _replace(self, worker: WorkerUnderTest) -> None:
        self.retired.append(worker)
        self.workers[worker.name] = WorkerUnderTest(worker.name)
        loops.register(self.workers[worker.name].row, "default")

    @precondition(lambda self: any(worker.outcomes for worker in self.retired))
    @rule()
    def settle_late(self) -> None:
        """A worker that is gone for all others settles after all."""
        for worker in self.retired:
            self._settle(worker, 1)

    @rule()
    def rescue(self) -> None:
        """Some worker looks after the others."""
        alive = {worker.id for worker in self.workers.values() if worker.is_alive}
        with suppress(BrokerUnavailable) if self.away else nullcontext():
            self.rescuer()
            self.upkeep()
        for job in self.expected.values():
            if job.state == State.ACTIVE and job.worker_id not in alive:
                job.fail_once(may_retry=True)

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
