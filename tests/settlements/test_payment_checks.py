"""Unsettled payments are asked about, at growing distances."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements.jobs import add_settlement_processing_job
from settlements.models import Settlement
from tests.settlements.payment_check_steps import MakePayment, check, status_of
from tests.settlements.steps import (
    FIRST_CHECK,
    NOTIFICATION,
    STATUS_CHECK,
    Provider,
    about,
    domain_settings,
    emails_sent,
    forget_jobs,
    jobs_of,
    only,
    payment_provider,
    run_soon,
    stored,
    waiting_of,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def provider(settings: DjangoSettings) -> Iterator[Provider]:
    """A real payment provider that the domain asks."""
    with payment_provider() as provider:
        settings.SETTLEMENTS = domain_settings(
            GATEWAY="settlements.gateways.HttpGateway",
            GATEWAY_OPTIONS={"base_url": provider.url, "token": "a-token"},
        )
        yield provider


@pytest.mark.parametrize("status", ["completed", "failed", "refunded", "processing"])
def test_what_the_provider_answers_is_applied(
    settlement: Settlement, make_payment: MakePayment, provider: Provider, status: str
) -> None:
    payment = make_payment(settlement)
    provider.answer(payment, status)
    check(settlement)
    assert (stored(payment).status, stored(payment).failure_reason) == (status, "as told")


def test_every_unsettled_payment_is_asked_about_and_no_other(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    unsettled = [make_payment(settlement), make_payment(settlement, status="processing")]
    for status in ("completed", "failed", "refunded"):
        make_payment(settlement, status=status)
    make_payment()
    for job in waiting_of(settlement, STATUS_CHECK)[: len(unsettled)]:
        run_job(job)
    assert provider.asked == [str(payment.pk) for payment in unsettled]


def test_a_check_of_no_payment_asks_about_the_oldest_and_gives_each_other_its_own(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payments = [make_payment(settlement) for _ in range(3)]
    forget_jobs()
    run_job(add_settlement_processing_job(settlement.pk, "payment_status_check"))
    assert provider.asked == [str(payments[0].pk)]
    others = [job.payload for job in jobs_of(settlement, STATUS_CHECK) if "payment_id" in job.payload]
    assert [payload["payment_id"] for payload in others] == [str(payment.pk) for payment in payments[1:]]


def test_a_check_that_settles_everything_is_the_last(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    provider.answer(make_payment(settlement), "completed")
    job = check(settlement)
    assert (job.state, job.reason) == (Job.State.COMPLETED, "")
    assert waiting_of(settlement, STATUS_CHECK) == []


def test_an_answer_has_the_consequences_of_any_other_save(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    provider.answer(make_payment(settlement), "completed")
    forget_about(settlement, NOTIFICATION)
    check(settlement)
    run_soon()
    assert status_of(settlement) == "completed"
    assert ("payment_received", "payee@example.com") in emails_sent()


def forget_about(settlement: Settlement, processor: str) -> None:
    """Remove a settlement's jobs of one kind."""
    Job.objects.about(settlement).filter(processor=processor).delete()


def test_a_payment_that_stays_unsettled_is_checked_at_growing_intervals(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    make_payment(settlement)
    job = only(settlement, STATUS_CHECK)
    assert about(job.run_at, timezone.now() + FIRST_CHECK)
    waits = []
    for _ in range(6):
        run_job(job)
        waits.append(round((job.run_at - timezone.now()).total_seconds() / 60))
    assert waits == [2, 4, 8, 10, 10, 10]


def test_coming_again_is_no_failure(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    make_payment(settlement)
    job = check(settlement)
    assert (job.state, job.failures, job.attempts.count()) == (Job.State.WAITING, 0, 0)
    assert job.reason == "the payment is unsettled"


def test_the_intervals_follow_the_policy(
    settlement: Settlement, make_payment: MakePayment, settings: DjangoSettings
) -> None:
    settings.SETTLEMENTS = domain_settings(payment_check={"FIRST_DELAY": 10, "FACTOR": 3, "MAX_DELAY": 3600})
    make_payment(settlement)
    job = only(settlement, STATUS_CHECK)
    assert about(job.run_at, timezone.now() + timedelta(seconds=10))
    run_job(job)
    assert about(job.run_at, timezone.now() + timedelta(seconds=30))


def test_a_payment_that_the_provider_does_not_know_yet_is_asked_about_again(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    provider.answer(payment, code=404)
    assert check(settlement).state == Job.State.WAITING
    assert status_of(payment) == "pending"


def test_a_provider_that_is_down_is_asked_again(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    provider.answer(payment, code=503)
    job = check(settlement)
    assert (job.state, job.failures) == (Job.State.WAITING, 0)
    assert job.reason == (f"the payment is unsettled; the payment gateway at {provider.url} answered 503")
    assert about(job.run_at, timezone.now() + 2 * FIRST_CHECK)


def test_a_provider_that_cannot_be_reached_is_asked_again(
    settlement: Settlement, make_payment: MakePayment, settings: DjangoSettings
) -> None:
    with payment_provider() as gone:
        pass
    settings.SETTLEMENTS = domain_settings(
        GATEWAY="settlements.gateways.HttpGateway",
        GATEWAY_OPTIONS={"base_url": gone.url, "token": "a-token"},
    )
    make_payment(settlement)
    job = check(settlement)
    assert job.state == Job.State.WAITING
    assert "cannot be reached" in job.reason


def test_a_provider_that_comes_back_is_believed(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    provider.answer(payment, code=500)
    check(settlement)
    provider.answer(payment, "completed")
    check(settlement)
    assert status_of(payment) == "completed"


def test_a_provider_that_asks_for_more_time_gets_it(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    provider.answer(make_payment(settlement), code=429, Retry_After="5000")
    assert about(check(settlement).run_at, timezone.now() + timedelta(seconds=5000))


def test_a_provider_that_asks_for_less_time_is_not_asked_sooner(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    provider.answer(make_payment(settlement), code=429, Retry_After="1")
    assert about(check(settlement).run_at, timezone.now() + 2 * FIRST_CHECK)


def test_trouble_with_one_payment_does_not_keep_the_other_from_being_settled(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    troubled, good = make_payment(settlement), make_payment(settlement)
    provider.answer(troubled, code=503)
    provider.answer(good, "completed")
    for job in waiting_of(settlement, STATUS_CHECK):
        run_job(job)
    assert (status_of(troubled), status_of(good)) == ("pending", "completed")
    assert len(waiting_of(settlement, STATUS_CHECK)) == 1


def test_a_refused_question_fails_the_job_without_retry(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    provider.answer(payment, code=401)
    job = check(settlement)
    assert (job.state, job.failures) == (Job.State.FAILED, 1)
    assert job.reason == (f"Discard: the payment gateway at {provider.url} refused the question with 401")
    assert status_of(payment) == "pending"


def test_a_refused_question_does_not_end_the_checks_of_the_others(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    refused, other = make_payment(settlement), make_payment(settlement)
    provider.answer(refused, code=400)
    provider.answer(other, "completed")
    assert "refused the question with 400" in check(settlement).reason
    assert check(settlement).state == Job.State.COMPLETED
    assert (status_of(refused), status_of(other)) == ("pending", "completed")


def test_a_check_that_was_refused_can_be_retried(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    provider.answer(payment, code=401)
    job = check(settlement)
    provider.answer(payment, "completed")
    job.retry()
    run_job(job)
    assert status_of(payment) == "completed"
