"""Whatever verbs are called in whatever order, rows and diagram agree."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import hypothesis
import pytest
from django.db import IntegrityError, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, Sum
from django.db.models.functions import Now
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobqueue.models import Job, JobTally, transitions
from jobqueue.sql.clock import database_now
from tests.examples import examples
from tests.jobqueue.models.transition_steps import ARROWS, State

EXAMPLES = int(os.environ.get("TRANSITIONS_EXAMPLES", examples(30)))


STEPS = 40


# Few, so that much happens to each.
MOST_JOBS = 4


Rows = dict[int, dict[str, Any]]


NEXT_ATTEMPT = {"run_again", "retry"}


FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)


LONG = timedelta(days=1)


@dataclass
class Expected:
    """A job as the model knows it."""

    queue: str
    unique_key: str | None
    is_due: bool
    is_published: bool
    state: str = State.WAITING
    attempt: int = 1
    failures: int = 0
    has_started: bool = False
    is_set_aside: bool = False
    is_to_stop: bool = False
    worker_id: uuid.UUID | None = None

    @property
    def holds_key(self) -> bool:
        """Whether no other job may wait with this key."""
        return self.unique_key is not None and self.state == State.WAITING and not self.has_started

    def wait(self, *, is_due: bool, is_published: bool = False) -> None:
        """Wait, for whoever takes it first."""
        self.state, self.is_due, self.is_published = State.WAITING, is_due, is_published

    @property
    def kind(self) -> str | None:
        """As what it is counted, if at all."""
        if self.state == State.WAITING:
            return "published" if self.is_published else "unpublished"
        return "failed" if self.state == State.FAILED else None


class Held(NamedTuple):
    """What a worker believes is its own: it may have been taken from it meanwhile."""

    job: Job
    worker_id: uuid.UUID


class Verbs(RuleBasedStateMachine):
    """Jobs, two workers, and people."""

    jobs = Bundle("jobs")
    some_jobs = st.sets(jobs, min_size=1, max_size=2)
    claims = Bundle("claims")
    workers = st.sampled_from([FIRST, SECOND])
    # Who ends a claim: the one that made it, or a certain one.
    by = st.sampled_from([None, None, FIRST, SECOND])
    queues = st.sampled_from(["email", "reminders"])
    keys = st.sampled_from([None, "a", "b"])

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[int, Expected] = {}
        self.before: dict[int, tuple[str, int]] = {}
        self.called = ""

    @initialize(target=jobs)
    def begin(self) -> Any:
        """Nothing but two jobs, one of which has a key."""
        Job.objects.all().delete()
        return multiple(self.insert("email", None, True), self.insert("email", "a", True))

    # Written ----------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.expected) < MOST_JOBS)
    @rule(target=jobs, queue=queues, key=keys, is_due=st.booleans())
    def insert(self, queue: str, key: str | None, is_due: bool) -> Any:
        """One job; the database refuses it if its key is held."""
        job = self._new(queue, key, is_due)
        try:
            with transaction.atomic():
                transitions.insert(Job.objects, [job])
        except IntegrityError:
            assert self._holder(key) is not None
            return multiple()
        assert self._holder(key) is None
        return self._note_written(job, is_due)

    @precondition(lambda self: len(self.expected) < MOST_JOBS)
    @rule(target=jobs, queue=queues, wanted=st.lists(keys, unique=True, min_size=1), is_due=st.booleans())
    def insert_or_lock(self, queue: str, wanted: list[str | None], is_due: bool) -> Any:
        """Some jobs at once: those whose key is free are written, and no others."""
        new = [self._new(queue, key, is_due) for key in wanted]
        written = transitions.insert_or_lock(Job.objects, new)
        assert written == [job for job in new if self._holder(job.unique_key) is None]
        return multiple(*(self._note_written(job, is_due) for job in written))

    def _new(self, queue: str, key: str | None, is_due: bool) -> Job:
        job = Job.unsaved(processor="sample", queue=queue, payload={}, timeout=60)
        job.unique_key = key
        if is_due:
            job.published_at = Now()
        else:
            job.run_at = database_now("default") + LONG
        return job

    def _holder(self, key: str | None) -> Expected | None:
        if key is None:
            return None
        return next((job for job in self.expected.values() if job.holds_key and job.unique_key == key), None)

    def _note_written(self, job: Job, is_due: bool) -> int:
        assert job.pk not in self.expected
        self.called = "insert"
        self.expected[job.pk] = Expected(job.queue, job.unique_key, is_due, is_published=is_due)
        return job.pk

    # Started and ended ------------------------------------------------------------------------------

    @rule(target=claims, of_another_attempt=st.sets(jobs, max_size=1), worker_id=workers)
    def claim(self, of_another_attempt: set[int], worker_id: uuid.UUID) -> Any:
        """A worker gets a message of every job, of which some are of another attempt."""
        wanted = [(pk, job.attempt + (pk in of_another_attempt)) for pk, job in self.expected.items()]
        due = [
            pk
            for pk, job in self.expected.items()
            if job.state == State.WAITING and job.is_due and pk not in of_another_attempt
        ]
        claimed = transitions.claim(Job.objects, wanted, worker_id)
        self.called = "claim"
        assert [job.pk for job in claimed] == due
        for job in claimed:
            expected = self.expected[job.pk]
            assert (job.attempt, job.failures) == (expected.attempt, expected.failures)
            expected.state, expected.worker_id, expected.has_started = State.ACTIVE, worker_id, True
        return multiple(*(Held(job, worker_id) for job in claimed))

    @rule(held=st.lists(claims, min_size=1, max_size=2), worker_id=workers)
    def complete(self, held: list[Held], worker_id: uuid.UUID) -> None:
        """A worker completes what it holds, held or never had."""
        done = {(claim.job.pk, claim.job.attempt, "") for claim in held}
        expected = {claim.job.pk for claim in held if self._is_held(claim.job, worker_id)}
        assert transitions.complete(Job.objects, list(done), worker_id) == expected
        self.called = "complete"
        for pk in expected:
            self.expected[pk].state = State.COMPLETED

    @rule(claim=claims, by=by)
    def fail(self, claim: Held, by: uuid.UUID | None) -> None:
        """A worker, or somebody in its place, fails a job."""
        if self._end("fail", claim, by, failures=claim.job.failures + 1, reason="broken"):
            job = self.expected[claim.job.pk]
            job.state, job.failures = State.FAILED, claim.job.failures + 1

    @rule(claim=claims, by=by, delay=st.sampled_from([timedelta(0), LONG]), counts=st.booleans())
    def run_again(self, claim: Held, by: uuid.UUID | None, delay: timedelta, counts: bool) -> None:
        """A worker, or somebody in its place, has a job run again."""
        failures = claim.job.failures + counts
        if self._end("run_again", claim, by, failures=failures, reason="again", delay=delay):
            job = self.expected[claim.job.pk]
            job.wait(is_due=not delay)
            job.attempt, job.failures, job.worker_id = claim.job.attempt + 1, failures, None

    @rule(claim=claims, by=by)
    def hand_back(self, claim: Held, by: uuid.UUID | None) -> None:
        """A worker, or somebody in its place, hands a job back."""
        if self._end("hand_back", claim, by, reason="stopped"):
            job = self.expected[claim.job.pk]
            job.wait(is_due=True)
            job.worker_id = None

    @rule(claim=claims, by=by)
    def hand_on(self, claim: Held, by: uuid.UUID | None) -> None:
        """A worker, or somebody in its place, leaves a job to others who may know it."""
        worker_id = by or claim.worker_id
        is_held = self._may_go_on(claim.job, worker_id)
        changed = transitions.hand_on(Job.objects, [claim.job], worker_id, reason="unknown", delay=LONG)
        assert changed == is_held
        self.called = "hand_on"
        if is_held:
            job = self.expected[claim.job.pk]
            job.wait(is_due=False)
            job.worker_id = None

    @rule(claim=claims, by=by)
    def end_stopped(self, claim: Held, by: uuid.UUID | None) -> None:
        """A worker, or somebody in its place, ends a job that is to stop; no other."""
        worker_id = by or claim.worker_id
        is_ended = self._is_held(claim.job, worker_id) and self.expected[claim.job.pk].is_to_stop
        assert transitions.end_stopped(Job.objects, claim.job, worker_id) == is_ended
        self.called = "end_stopped"
        if is_ended:
            self.expected[claim.job.pk].state = State.CANCELLED

    def _end(self, verb: str, claim: Held, by: uuid.UUID | None, **details: Any) -> bool:
        """Call a verb that ends a claim; whether it was to change the row, which it must exactly then."""
        worker_id = by or claim.worker_id
        is_held = self._may_go_on(claim.job, worker_id)
        assert getattr(transitions, verb)(Job.objects, claim.job, worker_id, **details) == is_held
        self.called = verb
        return is_held

    def _may_go_on(self, job: Job, worker_id: uuid.UUID) -> bool:
        """What is to stop neither fails nor runs again."""
        return self._is_held(job, worker_id) and not self.expected[job.pk].is_to_stop

    def _is_held(self, job: Job, worker_id: uuid.UUID) -> bool:
        now = self.expected[job.pk]
        return (now.state, now.attempt, now.worker_id) == (State.ACTIVE, job.attempt, worker_id)

    # People, and who publishes ----------------------------------------------------------------------

    @rule(pks=some_jobs, verb=st.sampled_from(["cancel", "retry", "run_now"]))
    def decide(self, pks: set[int], verb: str) -> None:
        """Somebody cancels or retries jobs, or makes them due."""
        if verb == "cancel":
            for job in self._change(pks, verb, {State.WAITING}, "enough"):
                job.state = State.CANCELLED
        elif verb == "retry":
            for job in self._change(pks, verb, {State.FAILED, State.CANCELLED}):
                job.wait(is_due=True)
                job.attempt, job.failures, job.has_started, job.worker_id = job.attempt + 1, 0, True, None
                job.is_set_aside = job.is_to_stop = False
        else:
            for job in self._change(pks, verb, {State.WAITING}):
                job.wait(is_due=True)

    @rule(pks=some_jobs)
    def ask_to_stop(self, pks: set[int]) -> None:
        """Somebody asks for the end of jobs; of those that run, and only once."""
        asked = {pk for pk in pks if self.expected[pk].state == State.ACTIVE}
        first = [self.expected[pk] for pk in asked if not self.expected[pk].is_to_stop]
        assert transitions.ask_to_stop(Job.objects.filter(pk__in=pks), "stopped by anna") == len(first)
        self.called = "ask_to_stop"
        for job in first:
            job.is_to_stop = True

    @rule(pks=some_jobs)
    def set_aside(self, pks: set[int]) -> None:
        """Jobs turn out to be such that nobody can work on them."""
        for job in self._change(pks, "set_aside", {State.WAITING, State.ACTIVE}, "unreadable"):
            job.state, job.is_set_aside = State.FAILED, True

    @rule(pks=some_jobs, days=st.sampled_from([None, -1, 1]))
    def reschedule(self, pks: set[int], days: int | None) -> None:
        """Jobs get another time, or are due now and published by who says so."""
        moment = None if days is None else database_now("default") + timedelta(days=days)
        for job in self._change(pks, "reschedule", {State.WAITING}, moment):
            job.wait(is_due=days != 1, is_published=days is None)

    @rule(pks=some_jobs, is_published=st.booleans())
    def mark(self, pks: set[int], is_published: bool) -> None:
        """A message of these is in Redis, or it turns out that none is."""
        verb = "mark_published" if is_published else "mark_unpublished"
        for job in self._change(pks, verb, {State.WAITING}):
            job.is_published = is_published

    def _change(self, pks: set[int], verb: str, takes: set[Any], *arguments: Any) -> list[Expected]:
        """Call a verb for these jobs; those that it was to change, as many as it said."""
        changing = [self.expected[pk] for pk in pks if self.expected[pk].state in takes]
        changed = getattr(transitions, verb)(Job.objects.filter(pk__in=pks), *arguments)
        assert changed == len(changing)
        self.called = verb
        return changing

    # What always holds ------------------------------------------------------------------------------

    @invariant()
    def everything_agrees(self) -> None:
        """After every step."""
        due = ExpressionWrapper(Q(run_at__lte=Now()), BooleanField())
        columns = (
            "pk",
            "state",
            "attempt",
            "failures",
            "worker_id",
            "unique_key",
            "set_aside",
            "stop_reason",
        )
        times = ("published_at", "started_at", "is_due")
        found = Job.objects.order_by().annotate(is_due=due).values(*columns, *times)
        rows = {row["pk"]: row for row in found}
        self._every_row_is_as_the_model_says(rows)
        self._every_step_is_an_arrow(rows)
        self._a_key_is_held_at_most_once(rows)
        self._the_counts_are_those_of_the_rows()

    def _every_row_is_as_the_model_says(self, rows: Rows) -> None:
        """Its state, attempt, failures, holder, times and key."""
        assert rows.keys() == self.expected.keys()
        for pk, row in rows.items():
            job = self.expected[pk]
            assert (row["state"], row["attempt"], row["failures"]) == (job.state, job.attempt, job.failures)
            assert row["worker_id"] == job.worker_id
            assert bool(row["set_aside"]) == job.is_set_aside
            assert bool(row["stop_reason"]) == job.is_to_stop
            assert not (job.is_to_stop and row["state"] == State.WAITING)
            assert (row["started_at"] is not None) == job.has_started
            if job.state == State.WAITING:
                assert (row["published_at"] is not None, row["is_due"]) == (job.is_published, job.is_due)

    def _every_step_is_an_arrow(self, rows: Rows) -> None:
        """No verb takes a job where its arrow does not lead; only the named ones use up an attempt."""
        after = {pk: (row["state"], row["attempt"]) for pk, row in rows.items()}
        for pk, (state, attempt) in self.before.items():
            now, next_attempt = after[pk]
            if state != now:
                assert self.called in ARROWS[State(state), State(now)]
            assert next_attempt - attempt in ((0, 1) if self.called in NEXT_ATTEMPT else (0,))
        self.before = after

    def _a_key_is_held_at_most_once(self, rows: Rows) -> None:
        """While its job waits for its first start."""
        first = [row for row in rows.values() if row["state"] == State.WAITING and not row["started_at"]]
        keys = [row["unique_key"] for row in first if row["unique_key"] is not None]
        assert len(keys) == len(set(keys))

    def _the_counts_are_those_of_the_rows(self) -> None:
        """Whatever changed, the triggers saw it."""
        amounts = JobTally.objects.values_list("queue", "kind").annotate(amount=Sum("amount")).order_by()
        counted = {(queue, kind): amount for queue, kind, amount in amounts if amount}
        assert counted == Counter((job.queue, job.kind) for job in self.expected.values() if job.kind)


@pytest.mark.django_db
def test_whatever_is_called_rows_and_diagram_agree() -> None:
    run_state_machine_as_test(
        Verbs,
        settings=hypothesis.settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
