"""Jobs of all kinds, as they are asked for: when they are due, and with whose transaction they come."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django import Settings as DjangoSettings

from jobqueue.exceptions import InvalidPayload, InvalidRunAt, InvalidUniqueKey, PayloadTooLarge
from jobqueue.models import Job
from settlements.exceptions import (
    InvalidDueDate,
    InvalidEmailAddress,
    InvalidEmailSubject,
    InvalidReminderStep,
    SettlementNotFound,
    UnknownProcessType,
    UnknownReminderType,
    UnknownTemplateType,
    UserNotFound,
)
from settlements.models import Settlement
from tests.settlements.job_steps import Add, add_email, add_processing, add_reminder
from tests.settlements.steps import about, domain_settings

__all__ = ["add_email", "add_processing", "add_reminder"]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture(params=["add_email", "add_reminder", "add_processing"])
def add(request: pytest.FixtureRequest) -> Add:
    """Each of the three functions in turn."""
    added: Add = request.getfixturevalue(request.param)
    return added


# Times ----------------------------------------------------------------------------------------------


def test_without_a_time_a_job_is_due_now(add: Add) -> None:
    assert add() in Job.objects.due()


def test_run_at_is_when_a_job_is_due(add: Add) -> None:
    moment = timezone.now() + timedelta(hours=5)
    job = Job.objects.get(pk=add(run_at=moment).pk)
    assert job.run_at == moment
    assert job in Job.objects.delayed()


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(seconds=90)])
def test_delay_is_counted_from_now(add: Add, delay: Any) -> None:
    job = Job.objects.get(pk=add(delay=delay).pk)
    assert about(job.run_at, timezone.now() + timedelta(seconds=90))


@pytest.mark.parametrize(
    "past",
    [
        {"run_at": datetime(2001, 1, 1, tzinfo=UTC)},
        {"delay": -5},
        {"delay": 0},
        {"delay": timedelta(days=-9)},
    ],
)
def test_a_past_time_means_now(add: Add, past: dict[str, Any]) -> None:
    job = Job.objects.get(pk=add(**past).pk)
    assert about(job.run_at, timezone.now())
    assert job in Job.objects.due()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"run_at": datetime(2030, 1, 1)}, "no time zone"),
        ({"run_at": "2030-01-01T00:00:00Z"}, "must be an aware datetime, not str"),
        ({"delay": "60"}, "must be a timedelta or a number of seconds, not str"),
        ({"delay": float("nan")}, "no usable length of time"),
        ({"delay": float("inf")}, "no usable length of time"),
        ({"delay": 10**12}, "no usable length of time"),
        ({"run_at": datetime.max.replace(tzinfo=UTC)}, "it must lie before the year 9000"),
        ({"run_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1}, "not both"),
    ],
)
def test_a_time_that_is_none_is_refused(add: Add, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRunAt, match=text):
        add(**wrong)


# Transactions ---------------------------------------------------------------------------------------


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


REFUSED: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("add_email", {"template_type": "welcome"}, UnknownTemplateType),
    ("add_email", {"email": "nobody"}, InvalidEmailAddress),
    ("add_email", {"subject": None}, InvalidEmailSubject),
    ("add_email", {"template_data": {"a": object()}}, InvalidPayload),
    ("add_email", {"template_data": None}, InvalidPayload),
    ("add_email", {"template_data": {"a": "x" * 17_000}}, PayloadTooLarge),
    ("add_email", {"template_data": {"a": _nested(940)}}, InvalidPayload),
    ("add_email", {"delay": "soon"}, InvalidRunAt),
    ("add_email", {"delay": float("inf")}, InvalidRunAt),
    ("add_email", {"unique_key": "x" * 201}, InvalidUniqueKey),
    ("add_reminder", {"reminder_type": "first"}, UnknownReminderType),
    ("add_reminder", {"settlement_id": uuid.UUID(int=7)}, SettlementNotFound),
    ("add_reminder", {"settlement_id": "not-a-uuid"}, SettlementNotFound),
    ("add_reminder", {"settlement_id": None}, SettlementNotFound),
    ("add_reminder", {"user_id": 987_654_321}, UserNotFound),
    ("add_reminder", {"user_id": 2**80}, UserNotFound),
    ("add_reminder", {"due_date": datetime(2030, 1, 1)}, InvalidDueDate),
    ("add_reminder", {"step": -1}, InvalidReminderStep),
    ("add_reminder", {"run_at": datetime(2030, 1, 1)}, InvalidRunAt),
    ("add_reminder", {"run_at": datetime.max.replace(tzinfo=UTC)}, InvalidRunAt),
    ("add_processing", {"run_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1}, InvalidRunAt),
    ("add_processing", {"unique_key": 5}, InvalidUniqueKey),
    ("add_processing", {"process_type": "complete"}, UnknownProcessType),
    ("add_processing", {"settlement_id": uuid.UUID(int=7)}, SettlementNotFound),
    ("add_processing", {"settlement_id": "\x00"}, SettlementNotFound),
    ("add_processing", {"process_type": "settlement_notification", "event": "x"}, UnknownTemplateType),
    ("add_processing", {"event": "payment_failed"}, InvalidPayload),
]


@pytest.mark.parametrize(("function", "wrong", "error"), REFUSED)
def test_a_refused_job_writes_nothing_and_leaves_the_callers_transaction_usable(
    request: pytest.FixtureRequest,
    settlement: Settlement,
    function: str,
    wrong: dict[str, Any],
    error: type[Exception],
) -> None:
    add_one: Add = request.getfixturevalue(function)
    before = Job.objects.count()
    with transaction.atomic():
        with pytest.raises(error):
            add_one(**wrong)
        assert Job.objects.count() == before
        good = add_one()
    assert Job.objects.filter(pk=good.pk).exists()


def test_a_job_exists_only_if_the_callers_transaction_commits(add: Add) -> None:
    before = Job.objects.count()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        add()
        raise ZeroDivisionError
    assert Job.objects.count() == before


@pytest.mark.parametrize(("function", "most"), [("add_email", 1), ("add_reminder", 3), ("add_processing", 2)])
def test_adding_a_job_takes_few_queries(
    request: pytest.FixtureRequest,
    settlement: Settlement,
    django_assert_num_queries: DjangoAssertNumQueries,
    function: str,
    most: int,
) -> None:
    add_one: Add = request.getfixturevalue(function)
    with django_assert_num_queries(most):
        add_one()
