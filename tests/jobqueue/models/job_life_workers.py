"""Stories of jobs as a state machine: what workers do that work, die, come back and settle late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from datetime import timedelta
from unittest import mock

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from jobqueue.broker import queues
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, Worker, transitions
from jobqueue.worker import claiming, loops, performing
from jobqueue.worker.claiming import Claim, Wanted
from jobqueue.worker.in_hand import hand_back
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.settling import settle_and_tell
from tests.jobqueue.models.job_life import (
    QUEUES,
    People,
    State,
    WorkerUnderTest,
    pick,
    which_worker,
)


class Workers(People):
    """People, and workers."""

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
