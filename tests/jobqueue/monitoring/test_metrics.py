"""/metrics: what was counted, by whoever settled it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import redis
from django.db import OperationalError
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from jobqueue.broker import counters, keys, message, queues
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from jobqueue.monitoring import health, metrics
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from tests.jobqueue.processors_for_tests import (
    COUNTED,
    DISCARD,
    FAIL,
    ON_REMINDERS,
    RETRY_LATER,
    SKIP,
    SUCCEED,
)
from tests.jobqueue.steps import IDENTITY, claimed, make_worker, run, settle

pytestmark = pytest.mark.django_db(databases=["default", "other"])
# The counts are read on a thread of their own.
with_committed_rows = pytest.mark.django_db(transaction=True, databases=["default", "other"])

LABELS = ("queue", "type", "store", "state", "status", "le")


def _page(client: Client) -> str:
    response = client.get("/metrics")
    assert response.status_code == 200
    return response.content.decode()


def _families(client: Client) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(_page(client))}


def _samples(client: Client, family: str, name: str = "") -> dict[tuple[str, ...], float]:
    """The values of a family's samples by the values of their labels, in the order of LABELS."""
    return {
        tuple(sample.labels[label] for label in LABELS if label in sample.labels): sample.value
        for sample in _families(client)[family].samples
        if sample.name == (name or f"{family}_total")
    }


def _settle(processor: str, payload: dict[str, Any], status: OutcomeStatus, queue: str = "email") -> None:
    job = Job.objects.create(
        processor=processor, queue=queue, payload=payload, timeout=1, state="active", worker_id=IDENTITY.id
    )
    settle([Outcome(job, "default", status, 0.02)], IDENTITY)


def test_runs_are_counted_by_queue_and_status(client: Client) -> None:
    for name in (SUCCEED, SUCCEED, SKIP, FAIL, RETRY_LATER, DISCARD, ON_REMINDERS):
        run(claimed(name))

    assert _samples(client, "job_processing") == {
        ("email", "completed"): 2,
        ("email", "skipped"): 1,
        ("email", "retried"): 2,
        ("email", "failed"): 1,
        ("reminders", "completed"): 1,
    }


@pytest.mark.parametrize(
    ("family", "processor", "payload", "kind"),
    [
        ("email_notifications", "email.notification", {"template_type": "payment_failed"}, "payment_failed"),
        ("settlement_reminders", "reminders.send", {"reminder_type": "overdue"}, "overdue"),
        ("settlement_processing", "settlement.auto_complete", {}, "auto_complete"),
        ("settlement_processing", "settlement.payment_status_check", {}, "payment_status_check"),
        ("settlement_processing", "settlement.settlement_notification", {}, "settlement_notification"),
        ("settlement_processing", "settlement.periodic_reminder", {}, "periodic_reminder"),
    ],
)
@pytest.mark.parametrize("status", [OutcomeStatus.COMPLETED, OutcomeStatus.SKIPPED, OutcomeStatus.FAILED])
def test_the_domains_counters_have_type_and_status(
    client: Client, family: str, processor: str, payload: dict[str, Any], kind: str, status: OutcomeStatus
) -> None:
    _settle(processor, payload, status)

    assert _samples(client, family) == {(kind, str(status)): 1}


def test_all_five_families_are_there_before_anything_ran(client: Client) -> None:
    families = _families(client)

    for name in ("job_processing", "email_notifications", "settlement_reminders", "settlement_processing"):
        assert families[name].type == "counter"
    assert families["job_processing_duration_seconds"].type == "histogram"


@pytest.mark.parametrize(
    ("family", "labels"),
    [
        ("job_processing", {"queue", "status"}),
        ("job_processing_duration_seconds", {"queue", "status"}),
        ("email_notifications", {"type", "status"}),
        ("settlement_reminders", {"type", "status"}),
        ("settlement_processing", {"type", "status"}),
    ],
)
def test_the_labels_are_these_and_no_others(client: Client, family: str, labels: set[str]) -> None:
    for processor, payload in (
        ("email.notification", {"template_type": "payment_failed"}),
        ("reminders.send", {"reminder_type": "final"}),
        ("settlement.auto_complete", {}),
    ):
        _settle(processor, payload, OutcomeStatus.COMPLETED)
    samples = _families(client)[family].samples

    assert samples
    assert {label for sample in samples for label in sample.labels} - {"le"} == labels


def test_durations_are_a_cumulative_histogram(client: Client) -> None:
    for seconds in (0.003, 0.02, 0.02, 0.7, 1000):
        job = claimed()
        settle([Outcome(job, "default", OutcomeStatus.COMPLETED, seconds)], IDENTITY)
    family = "job_processing_duration_seconds"
    buckets = {
        dict(sample.labels)["le"]: sample.value
        for sample in _families(client)[family].samples
        if sample.name == f"{family}_bucket"
    }

    assert [buckets[le] for le in ("0.005", "0.01", "0.025", "0.5", "1.0", "60.0", "+Inf")] == [
        1,
        1,
        3,
        3,
        4,
        4,
        5,
    ]
    assert list(buckets.values()) == sorted(buckets.values())
    assert _samples(client, family, f"{family}_count") == {("email", "completed"): 5}
    assert _samples(client, family, f"{family}_sum") == {("email", "completed"): pytest.approx(1000.743)}


@given(st.floats(0, 10_000))
def test_every_duration_falls_into_the_first_bucket_that_holds_it(seconds: float) -> None:
    bound = float(counters.bucket_of(seconds))
    lower = [each for each in counters.BUCKETS if each < bound]

    assert seconds <= bound
    assert all(seconds > each for each in lower)


def test_the_counts_of_several_workers_add_up(client: Client) -> None:
    for number in range(3):
        identity = Identity(uuid.UUID(int=100 + number), f"worker-{number}", ["email"])
        run(claimed(identity=identity), identity)

    assert _samples(client, "job_processing") == {("email", "completed"): 3}


def test_a_batch_counts_each_of_its_outcomes(client: Client) -> None:
    outcomes = [performing.perform(Claim(claimed(), "default")) for _ in range(4)]
    settle(outcomes, IDENTITY)

    assert _samples(client, "job_processing") == {("email", "completed"): 4}


def test_no_worker_is_named_on_the_page(client: Client) -> None:
    worker = Identity(uuid.uuid4(), "a-very-special-worker", ["email"])
    make_worker(worker)
    run(claimed(identity=worker), worker)
    page = _page(client)

    assert worker.name not in page
    assert worker.id.hex not in page


@with_committed_rows
def test_jobs_that_are_not_done_are_shown_by_queue_and_state(client: Client) -> None:
    enqueue(SUCCEED)
    enqueue(SUCCEED, delay=60)
    claimed(ON_REMINDERS)
    gauge = _samples(client, "jobqueue_jobs", "jobqueue_jobs")

    assert (gauge["email", "waiting"], gauge["email", "delayed"], gauge["reminders", "active"]) == (1, 1, 1)
    assert gauge["settlement", "failed"] == 0


@with_committed_rows
def test_jobs_of_every_database_are_shown(client: Client) -> None:
    enqueue(SUCCEED)
    enqueue(SUCCEED, using="other")

    assert _samples(client, "jobqueue_jobs", "jobqueue_jobs")["email", "waiting"] == 2


def test_with_redis_away_the_page_is_there_and_says_so(client: Client, redis_outage: str) -> None:
    enqueue(SUCCEED)

    assert _samples(client, "jobqueue_up", "jobqueue_up") == {("redis",): 0, ("database",): 1}


def test_with_the_database_away_the_page_is_there_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(claimed())

    def away() -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(health, "queue_counts", away)

    assert _samples(client, "jobqueue_up", "jobqueue_up") == {("redis",): 1, ("database",): 0}
    assert _samples(client, "job_processing") == {("email", "completed"): 1}


def test_when_all_is_well_the_page_says_so(client: Client) -> None:
    assert _samples(client, "jobqueue_up", "jobqueue_up") == {("redis",): 1, ("database",): 1}


@pytest.mark.parametrize(
    "field", ["no json", "5", "[]", '["job_processing_total"]', '{"a": 1}', '[["a"], "b"]']
)
def test_a_counter_that_somebody_else_wrote_does_not_break_the_page(
    client: Client, redis_client: redis.Redis, field: str
) -> None:
    run(claimed())
    redis_client.hset("rq:jobqueue:counters", field, 1)

    assert _samples(client, "job_processing") == {("email", "completed"): 1}


def test_values_of_labels_are_escaped(client: Client) -> None:
    _settle(COUNTED, {"kind": 'a"b\\c\nd'}, OutcomeStatus.COMPLETED)

    assert _samples(client, "sample_runs") == {('a"b\\c\nd', "completed"): 1}


def test_types_that_no_letter_has_are_counted_as_one(client: Client) -> None:
    for number in range(5):
        _settle("email.notification", {"template_type": f"invented {number}"}, OutcomeStatus.COMPLETED)

    assert _samples(client, "email_notifications") == {("other", "completed"): 5}


def test_whatever_stands_in_redis_a_counter_has_at_most_a_thousand_series(
    client: Client, redis_client: redis.Redis
) -> None:
    names = [counters.field(counters.JOBS, f"queue {number}", "completed") for number in range(2_000)]
    redis_client.hset(keys.COUNTERS, mapping=dict.fromkeys(names, 1))

    assert len(_samples(client, "job_processing")) == 1_000


def test_a_scrape_changes_nothing_in_redis(client: Client, redis_client: redis.Redis) -> None:
    run(claimed())
    queues.publish([message.Message("email", 99, 1)])
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    _page(client)

    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


def test_the_metrics_of_django_stand_beside_ours(client: Client) -> None:
    assert any(name.startswith("django_http_") for name in _families(client))


def test_the_collector_is_registered_once() -> None:
    metrics.register()
    ours = [each for each in REGISTRY._collector_to_names if isinstance(each, metrics.JobQueueCollector)]

    assert len(ours) == 1
