"""What settling writes to the chart."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobqueue.broker.chart import OTHER, Group
from jobqueue.broker.tallies import bucket_of
from jobqueue.jobs import enqueue
from jobqueue.models import Job, transitions
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from tests.jobqueue.processors_for_tests import FAIL, FAIL_WITHOUT_RETRY, RETRY_LATER, SKIP, SUCCEED
from tests.jobqueue.reading import charted
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, claim_row, claimed, run, settle

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("processor", "outcome"),
    [(SUCCEED, "completed"), (SKIP, "skipped"), (FAIL, "retried"), (FAIL_WITHOUT_RETRY, "failed")],
)
def test_each_outcome_is_counted_by_queue_and_processor(processor: str, outcome: str) -> None:
    job = claimed(processor)
    run(job)

    assert {group: tally.jobs for group, tally in charted().items()} == {
        Group(job.queue, processor, outcome): 1
    }


def test_what_only_asked_for_a_later_time_is_not_counted_for_no_list_has_it() -> None:
    job = claimed(RETRY_LATER, seconds=60, reason="quiet hours")
    run(job)

    assert (job.state, charted()) == ("waiting", {})


def test_a_job_whose_stop_was_asked_for_is_counted_as_stopped() -> None:
    job = claimed(FAIL)
    transitions.ask_to_stop(Job.objects.filter(pk=job.pk), "stopped by anna")
    run(job)

    assert (job.state, [group.outcome for group in charted()]) == ("cancelled", ["stopped"])


def test_a_batch_is_counted_by_how_long_its_jobs_ran_and_had_waited() -> None:
    late = enqueue(SUCCEED)
    Job.objects.filter(pk=late.pk).update(run_at=Now() - timedelta(seconds=20))
    jobs = [claim_row(late), claimed(SUCCEED)]
    outcomes = [performing.perform(Claim(job, "default")) for job in jobs]
    outcomes[0].seconds, outcomes[1].seconds = 0.02, 7.0
    settle(outcomes)

    [tally] = charted().values()

    assert (tally.jobs, sum(tally.runs), sum(tally.waits)) == (2, 2, 2)
    assert (tally.runs[bucket_of(0.02)], tally.runs[bucket_of(7.0)]) == (1, 1)
    assert tally.waits[bucket_of(20.5)] == 1


def test_an_outcome_whose_claim_was_taken_away_is_not_charted() -> None:
    job = claimed(SUCCEED)
    settle([performing.perform(Claim(job, "default"))], OTHER_IDENTITY)

    assert charted() == {}


def test_a_processor_that_is_not_registered_is_counted_with_the_rest() -> None:
    job = claimed(SUCCEED)
    outcome = performing.perform(Claim(job, "default"))
    outcome.job.processor = "made up by somebody"
    settle([outcome])

    assert set(charted()) == {Group(job.queue, OTHER, "completed")}


def test_the_period_is_by_the_databases_clock_though_the_hosts_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    run(claimed(SUCCEED))

    assert sum(tally.jobs for tally in charted().values()) == 1


def test_what_cannot_be_charted_is_settled_and_the_counters_have_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jobqueue.worker.charted.bucket_of", lambda _seconds: 1 / 0)
    job = claimed(SUCCEED)
    run(job, IDENTITY)

    assert job.state == Job.State.COMPLETED
    assert "the charts lack them" in caplog.text
