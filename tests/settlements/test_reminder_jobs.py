"""Jobs that remind of a settlement, as they are asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_zone
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements import jobs
from settlements.exceptions import (
    InvalidDueDate,
    InvalidReminderStep,
    SettlementNotFound,
    UnknownReminderType,
    UserNotFound,
)
from settlements.models import ReminderType, Settlement
from tests.settlements.job_steps import NO_SETTLEMENTS, Add, add_reminder
from tests.settlements.steps import domain_settings

__all__ = ["add_reminder"]

NO_USERS: list[Any] = [987_654_321, "987654321", "nobody", "", None, 2**80, ["x"], {"pk": 1}]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def test_a_reminder_job_is_one_for_the_reminders_processor_and_queue(
    add_reminder: Add, settlement: Settlement
) -> None:
    job = add_reminder()
    assert (job.processor, job.queue) == ("reminders.send", "reminders")
    assert job in Job.objects.about(settlement)


def test_a_reminder_job_carries_what_it_was_given(
    add_reminder: Add, settlement: Settlement, payee: User
) -> None:
    job = add_reminder(user_id=payee.pk, reminder_type="overdue", step=4)
    assert Job.objects.get(pk=job.pk).payload == {
        "settlement_id": str(settlement.pk),
        "user_id": payee.pk,
        "due_date": settlement.due_date.isoformat(),
        "reminder_type": "overdue",
        "step": 4,
    }


@pytest.mark.parametrize(
    "as_given", [str, uuid.UUID, lambda text: text.upper(), lambda text: text.replace("-", "")]
)
def test_a_settlement_id_may_be_a_uuid_or_its_text(
    settlement: Settlement, payer: User, as_given: Callable[[str], Any]
) -> None:
    settlement_id = as_given(str(settlement.pk))
    reminder = jobs.add_settlement_reminder_job(settlement_id, payer.pk, settlement.due_date, "final")
    processing = jobs.add_settlement_processing_job(settlement_id, "auto_complete")
    for job in (reminder, processing):
        assert job.payload["settlement_id"] == str(settlement.pk)
        assert job.subject == f"settlements.settlement:{settlement.pk}"


def test_a_user_id_may_be_text(add_reminder: Add, payer: User) -> None:
    assert add_reminder(user_id=str(payer.pk)).payload["user_id"] == payer.pk


@pytest.mark.parametrize("reminder_type", [*ReminderType.values, *ReminderType])
def test_every_reminder_type_can_be_asked_for(add_reminder: Add, reminder_type: str) -> None:
    assert add_reminder(reminder_type=reminder_type).payload["reminder_type"] == str(reminder_type)


@pytest.mark.parametrize("unknown", ["first", "", None, "FINAL", 1])
def test_an_unknown_reminder_type_is_refused_with_what_is_allowed(add_reminder: Add, unknown: Any) -> None:
    with pytest.raises(UnknownReminderType) as refused:
        add_reminder(reminder_type=unknown)
    assert str(refused.value) == (
        f"there is no reminder type {unknown!r}; allowed are: initial, follow_up, final, overdue"
    )


@pytest.mark.parametrize("missing", NO_SETTLEMENTS, ids=repr)
def test_a_reminder_of_a_missing_settlement_is_refused(add_reminder: Add, missing: Any) -> None:
    with pytest.raises(SettlementNotFound, match="there is no settlement with the id"):
        add_reminder(settlement_id=missing)


@pytest.mark.parametrize("missing", NO_USERS, ids=repr)
def test_a_reminder_to_a_missing_user_is_refused(add_reminder: Add, missing: Any) -> None:
    with pytest.raises(UserNotFound, match="there is no user with the id"):
        add_reminder(user_id=missing)


def test_a_due_date_may_be_a_datetime_or_its_text(add_reminder: Add, settlement: Settlement) -> None:
    as_datetime = add_reminder(due_date=settlement.due_date)
    as_text = add_reminder(due_date=settlement.due_date.isoformat())
    assert as_datetime.payload["due_date"] == as_text.payload["due_date"] == settlement.due_date.isoformat()


@pytest.mark.parametrize(
    "as_written",
    [
        lambda moment: moment.astimezone(fixed_zone(timedelta(hours=5, minutes=30))),
        lambda moment: moment.astimezone(fixed_zone(timedelta(hours=-8))).isoformat(),
        lambda moment: moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        lambda moment: moment.astimezone(UTC).isoformat(" "),
    ],
)
def test_a_due_date_written_in_another_way_is_the_same_due_date(
    add_reminder: Add, settlement: Settlement, as_written: Callable[[datetime], Any]
) -> None:
    job = add_reminder(due_date=as_written(settlement.due_date))
    run_job(job)
    assert (job.state, job.reason) == (Job.State.COMPLETED, "")


@pytest.mark.parametrize(
    "due_date",
    [
        datetime(2030, 1, 1, 12),
        datetime(2030, 1, 1).date(),
        "2030-01-01T12:00:00",
        "2030-01-01",
        "2030-02-31T00:00:00Z",
        "tomorrow",
        "",
        None,
        1_900_000_000,
    ],
    ids=repr,
)
def test_a_due_date_that_is_no_aware_moment_is_refused(add_reminder: Add, due_date: Any) -> None:
    with pytest.raises(InvalidDueDate, match="must be an aware datetime"):
        add_reminder(due_date=due_date)


@pytest.mark.parametrize("step", [-1, 1.5, "1", None, True, 2**31])
def test_a_step_that_is_no_count_is_refused(add_reminder: Add, step: Any) -> None:
    with pytest.raises(InvalidReminderStep, match="step must be a whole number from 0"):
        add_reminder(step=step)
