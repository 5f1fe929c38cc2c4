"""Checks of payments beside what others do meanwhile, and beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements.gateways import GatewayAnswer
from settlements.jobs import add_settlement_processing_job
from settlements.models import Payment, Settlement
from settlements.processors import settlement as settlement_processor
from tests.settlements.payment_check_steps import MakePayment, check, status_of
from tests.settlements.steps import (
    FIRST_CHECK,
    STATUS_CHECK,
    Provider,
    about,
    domain_settings,
    jobs_of,
    only,
    payment_provider,
    stored,
    waiting_of,
)

MakeSettlement = Callable[..., Settlement]


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


def test_a_payment_that_was_settled_while_the_provider_answered_keeps_its_status(
    settlement: Settlement, make_payment: MakePayment, settings: DjangoSettings
) -> None:
    payment = make_payment(settlement)
    settings.SETTLEMENTS = domain_settings(GATEWAY=f"{__name__}.SlowGateway")
    job = check(settlement)
    assert (stored(payment).status, stored(payment).failure_reason) == ("completed", "")
    assert job.state == Job.State.COMPLETED


class SlowGateway:
    """While it answers "failed", somebody else finds out that the payment came."""

    def status_of(self, payment: Payment) -> GatewayAnswer:
        """The answer, late."""
        other = Payment.objects.get(pk=payment.pk)
        other.status = "completed"
        other.save()
        return GatewayAnswer("failed", "no money")


def test_a_payment_that_was_deleted_while_the_provider_answered_is_left_alone(
    settlement: Settlement, make_payment: MakePayment, settings: DjangoSettings
) -> None:
    make_payment(settlement)
    settings.SETTLEMENTS = domain_settings(GATEWAY=f"{__name__}.DeletingGateway")
    assert check(settlement).state == Job.State.COMPLETED
    assert not Payment.objects.exists()


class DeletingGateway:
    """While it answers, the payment is deleted."""

    def status_of(self, payment: Payment) -> GatewayAnswer:
        """The answer, late."""
        Payment.objects.filter(pk=payment.pk).delete()
        return GatewayAnswer("completed")


def test_an_error_of_the_gateways_own_is_retried_as_any_failure(
    settlement: Settlement, make_payment: MakePayment, settings: DjangoSettings
) -> None:
    make_payment(settlement)
    settings.SETTLEMENTS = domain_settings(GATEWAY=f"{__name__}.BrokenGateway")
    job = check(settlement)
    assert (job.state, job.failures) == (Job.State.WAITING, 1)
    assert job.reason == "ZeroDivisionError: a bug"


class BrokenGateway:
    """Has a bug."""

    def status_of(self, payment: Payment) -> GatewayAnswer:
        """Raises."""
        raise ZeroDivisionError("a bug")


def test_the_default_gateway_comes_again_until_somebody_settles_the_payment(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement)
    assert check(settlement).state == Job.State.WAITING
    Payment.objects.filter(pk=payment.pk).update(status="completed")
    assert check(settlement).reason == "skipped: payment is completed"


def test_a_new_payment_has_its_own_check_soon(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    make_payment(settlement)
    old = check(settlement)
    make_payment(settlement)
    [_, new] = waiting_of(settlement, STATUS_CHECK)
    assert new.pk != old.pk
    assert about(new.run_at, timezone.now() + FIRST_CHECK)


def doubt(payment: Payment) -> None:
    """Save the payment as one that came, and then as one of which nobody knows."""
    for status in ("completed", "pending"):
        payment.status = status
        payment.save()


def test_a_newer_check_of_the_payment_takes_over(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    old = check(settlement)
    doubt(payment)
    run_job(old)
    assert old.reason == "skipped: a newer check takes over"
    assert len(waiting_of(settlement, STATUS_CHECK)) == 1


def test_a_newer_check_that_comes_again_itself_has_taken_over_as_well(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    old = check(settlement)
    doubt(payment)
    [_, new] = waiting_of(settlement, STATUS_CHECK)
    run_job(new)
    run_job(old)
    assert old.reason == "skipped: a newer check takes over"
    assert waiting_of(settlement, STATUS_CHECK) == [new]


def test_an_answer_that_a_payment_is_processing_does_not_double_the_checks(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    provider.answer(make_payment(settlement), "processing")
    check(settlement)
    for _ in range(4):
        for job in sorted(waiting_of(settlement, STATUS_CHECK), key=lambda job: job.run_at):
            run_job(job)
    assert len(waiting_of(settlement, STATUS_CHECK)) == 1


def test_a_check_outside_a_worker_asks_as_well(
    settlement: Settlement, make_payment: MakePayment, provider: Provider
) -> None:
    payment = make_payment(settlement)
    provider.answer(payment, "completed")
    ids = {"settlement_id": str(settlement.pk), "payment_id": str(payment.pk)}
    assert settlement_processor.payment_status_check(**ids) is None
    assert status_of(payment) == "completed"


def test_a_check_of_a_deleted_settlement_finds_nothing_to_ask(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement)
    job = only(settlement, STATUS_CHECK)
    Payment.objects.all().delete()
    run_job(job)
    assert job.reason == "skipped: payment was deleted"
    run_job(add_settlement_processing_job(settlement.pk, "payment_status_check"))
    assert jobs_of(settlement, STATUS_CHECK)[-1].reason == "skipped: no payment is unsettled"


def test_the_check_of_a_payment_that_moved_outlives_the_settlement_that_it_left(
    make_settlement: MakeSettlement, make_payment: MakePayment
) -> None:
    left, joined = make_settlement(), make_settlement()
    payment = make_payment(left)
    payment.settlement = joined
    payment.save()
    left.delete()
    assert only(joined, STATUS_CHECK).payload["payment_id"] == str(payment.pk)


def test_the_checks_of_the_payments_that_stay_are_left_alone(
    make_settlement: MakeSettlement, make_payment: MakePayment
) -> None:
    left, joined = make_settlement(), make_settlement()
    moved, stays = make_payment(left), make_payment(left)
    moved.settlement = joined
    moved.save()
    assert only(left, STATUS_CHECK).payload["payment_id"] == str(stays.pk)
