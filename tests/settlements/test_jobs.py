"""The three functions that add jobs: what they write, and what they refuse before anything is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_zone
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django import Settings as DjangoSettings

from jobqueue.exceptions import InvalidPayload, InvalidRunAt, InvalidUniqueKey, PayloadTooLarge
from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements import jobs
from settlements.emails import TEMPLATE_TYPES
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
from settlements.models import Payment, ReminderType, Settlement
from tests.settlements.steps import about, domain_settings

Add = Callable[..., Job]

NO_SETTLEMENTS: list[Any] = [
    uuid.UUID(int=7),
    str(uuid.UUID(int=7)),
    "not-a-uuid",
    "",
    None,
    7,
    1.5,
    ["x"],
    "\x00",
]
NO_USERS: list[Any] = [987_654_321, "987654321", "nobody", "", None, 2**80, ["x"], {"pk": 1}]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def add_email(payer: User) -> Add:
    """Adds an e-mail job; every argument has a good default."""

    def add(**changes: Any) -> Job:
        arguments: dict[str, Any] = {
            "user_id": payer.pk,
            "email": payer.email,
            "subject": "",
            "template_type": "payment_received",
            "template_data": {"description": "Dinner"},
        }
        return jobs.add_email_notification_job(**arguments | changes)

    return add


@pytest.fixture
def add_reminder(settlement: Settlement, payer: User) -> Add:
    """Adds a reminder job; every argument has a good default."""

    def add(**changes: Any) -> Job:
        arguments: dict[str, Any] = {
            "settlement_id": settlement.pk,
            "user_id": payer.pk,
            "due_date": settlement.due_date,
            "reminder_type": "final",
        }
        return jobs.add_settlement_reminder_job(**arguments | changes)

    return add


@pytest.fixture
def add_processing(settlement: Settlement) -> Add:
    """Adds a processing job; every argument has a good default."""

    def add(**changes: Any) -> Job:
        arguments: dict[str, Any] = {"settlement_id": settlement.pk, "process_type": "auto_complete"}
        return jobs.add_settlement_processing_job(**arguments | changes)

    return add


@pytest.fixture(params=["add_email", "add_reminder", "add_processing"])
def add(request: pytest.FixtureRequest) -> Add:
    """Each of the three functions in turn."""
    added: Add = request.getfixturevalue(request.param)
    return added


# E-mails ------------------------------------------------------------------------------------------


def test_an_email_job_is_one_for_the_email_processor_and_queue(add_email: Add) -> None:
    job = add_email()
    assert (job.processor, job.queue, job.state) == ("email.notification", "email", Job.State.WAITING)


def test_an_email_job_carries_what_it_was_given(add_email: Add, payer: User) -> None:
    job = add_email(subject="Hello", template_data={"description": "Tea", "amounts": [1, None]})
    assert Job.objects.get(pk=job.pk).payload == {
        "user_id": payer.pk,
        "email": payer.email,
        "email_subject": "Hello",
        "template_type": "payment_received",
        "template_data": {"description": "Tea", "amounts": [1, None]},
    }


def test_an_email_about_a_settlement_is_found_among_its_jobs(add_email: Add, settlement: Settlement) -> None:
    job = add_email(template_data={"settlement_id": str(settlement.pk)})
    assert job in Job.objects.about(settlement)


def test_an_email_about_nothing_is_found_among_its_users_jobs(add_email: Add, payer: User) -> None:
    assert add_email() in Job.objects.about(payer)


def test_an_email_may_go_to_an_address_without_a_user(add_email: Add) -> None:
    job = add_email(user_id=None)
    assert (job.payload["user_id"], job.subject) == (None, "")


@pytest.mark.parametrize("template_type", TEMPLATE_TYPES)
def test_every_template_type_can_be_asked_for(add_email: Add, template_type: str) -> None:
    assert add_email(template_type=template_type).payload["template_type"] == template_type


@pytest.mark.parametrize("unknown", ["welcome", "", None, "PAYMENT_RECEIVED", "../base", ["payment_failed"]])
def test_an_unknown_template_type_is_refused_with_what_is_allowed(add_email: Add, unknown: Any) -> None:
    with pytest.raises(UnknownTemplateType) as refused:
        add_email(template_type=unknown)
    assert repr(unknown) in str(refused.value)
    assert all(known in str(refused.value) for known in TEMPLATE_TYPES)


@pytest.mark.parametrize(
    "address",
    [
        "",
        None,
        7,
        "pia",
        "pia@",
        "@example.com",
        "a b@example.com",
        "Pia <pia@example.com>",
        "pia@example.com, emil@example.com",
        "pia@example.com\nBcc: all@example.com",
        "p" * 250 + "@example.com",
    ],
)
def test_an_address_that_is_none_is_refused(add_email: Add, address: Any) -> None:
    with pytest.raises(InvalidEmailAddress, match="name@example.com|characters"):
        add_email(email=address)


def test_a_refused_address_is_not_repeated_in_the_error(add_email: Add) -> None:
    with pytest.raises(InvalidEmailAddress) as refused:
        add_email(email="secret person@example.com")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("subject", [None, 7, "s" * 251])
def test_a_subject_that_is_no_text_or_too_long_is_refused(add_email: Add, subject: Any) -> None:
    with pytest.raises(InvalidEmailSubject, match="at most 250 characters"):
        add_email(subject=subject)


@pytest.mark.parametrize(
    "template_data",
    [
        {"amount": object()},
        {"due_date": datetime(2030, 1, 1, tzinfo=UTC)},
        {"id": uuid.UUID(int=1)},
        {"parts": {1, 2}},
        {"parts": (1, 2)},
        {1: "one"},
        {"rate": float("nan")},
        {"text": "a\x00b"},
        {"text": "\ud800"},
    ],
)
def test_a_payload_that_is_no_json_is_refused(add_email: Add, template_data: Any) -> None:
    with pytest.raises(InvalidPayload):
        add_email(template_data=template_data)


@pytest.mark.parametrize("template_data", [None, [], ["a"], "text", 7])
def test_template_data_that_is_no_dict_is_refused(add_email: Add, template_data: Any) -> None:
    with pytest.raises(InvalidPayload, match="template_data must be a dict"):
        add_email(template_data=template_data)


def test_a_payload_that_contains_itself_is_refused(add_email: Add) -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(InvalidPayload, match="contains itself"):
        add_email(template_data=endless)


def test_a_payload_of_more_than_16_kib_is_refused_with_both_sizes(add_email: Add) -> None:
    with pytest.raises(PayloadTooLarge, match=r"has \d+ bytes, allowed are 16384"):
        add_email(template_data={"description": "x" * 16_384})


def test_the_size_of_a_payload_is_counted_in_bytes(add_email: Add) -> None:
    with pytest.raises(PayloadTooLarge):
        add_email(template_data={"description": "ä" * 8_192})


def test_a_payload_just_below_the_limit_is_taken(add_email: Add) -> None:
    job = add_email(template_data={"description": "x" * 16_000})
    assert len(Job.objects.get(pk=job.pk).payload["template_data"]["description"]) == 16_000


# Reminders ----------------------------------------------------------------------------------------


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


# Settlement processing ----------------------------------------------------------------------------


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


# Times --------------------------------------------------------------------------------------------


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


# Transactions -------------------------------------------------------------------------------------


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
