"""Jobs that process a settlement, as they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings as DjangoSettings

from jobqueue.exceptions import InvalidPayload
from jobqueue.models import Job
from settlements import jobs
from settlements.exceptions import (
    SettlementNotFound,
    UnknownProcessType,
    UnknownTemplateType,
)
from settlements.models import Payment, Settlement
from tests.settlements.job_steps import NO_SETTLEMENTS, Add, add_processing
from tests.settlements.steps import domain_settings

__all__ = ["add_processing"]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.mark.parametrize("process_type", jobs.PROCESS_TYPES)
def test_every_process_type_can_be_asked_for(
    add_processing: Add, settlement: Settlement, process_type: str
) -> None:
    job = add_processing(process_type=process_type)
    assert (job.processor, job.queue) == (f"settlement.{process_type}", "settlement")
    assert job.payload == {"settlement_id": str(settlement.pk)}
    assert job in Job.objects.about(settlement)


def test_the_process_types_are_the_four_that_there_are() -> None:
    assert set(jobs.PROCESS_TYPES) == {
        "auto_complete",
        "payment_status_check",
        "settlement_notification",
        "periodic_reminder",
    }


@pytest.mark.parametrize("unknown", ["complete", "", None, "settlement.auto_complete", ["auto_complete"]])
def test_an_unknown_process_type_is_refused_with_what_is_allowed(add_processing: Add, unknown: Any) -> None:
    with pytest.raises(UnknownProcessType) as refused:
        add_processing(process_type=unknown)
    assert repr(unknown) in str(refused.value)
    assert all(known in str(refused.value) for known in jobs.PROCESS_TYPES)


@pytest.mark.parametrize("missing", NO_SETTLEMENTS, ids=repr)
def test_processing_a_missing_settlement_is_refused(add_processing: Add, missing: Any) -> None:
    with pytest.raises(SettlementNotFound, match="there is no settlement with the id"):
        add_processing(settlement_id=missing)


def test_processing_a_deleted_settlement_is_refused(add_processing: Add, settlement: Settlement) -> None:
    settlement_id = settlement.pk
    settlement.delete()
    with pytest.raises(SettlementNotFound):
        add_processing(settlement_id=settlement_id)


def test_a_notification_says_what_it_is_about(
    add_processing: Add, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment()
    job = add_processing(
        process_type="settlement_notification", event="payment_failed", payment_id=payment.pk
    )
    assert job.payload["event"] == "payment_failed"
    assert job.payload["payment_id"] == str(payment.pk)


def test_a_notification_about_an_unknown_event_is_refused(add_processing: Add) -> None:
    with pytest.raises(UnknownTemplateType, match="'birthday'; allowed are"):
        add_processing(process_type="settlement_notification", event="birthday")


def test_an_event_is_refused_where_there_is_nobody_to_tell(add_processing: Add) -> None:
    with pytest.raises(InvalidPayload, match="does not take this payload"):
        add_processing(process_type="auto_complete", event="payment_failed")
