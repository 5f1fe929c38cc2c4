"""Jobs that send an e-mail, as they are asked for."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings as DjangoSettings

from jobqueue.exceptions import InvalidPayload, PayloadTooLarge
from jobqueue.models import Job
from settlements.emails import TEMPLATE_TYPES
from settlements.exceptions import (
    InvalidEmailAddress,
    InvalidEmailSubject,
    UnknownTemplateType,
)
from settlements.models import Settlement
from tests.settlements.job_steps import Add, add_email
from tests.settlements.steps import domain_settings

__all__ = ["add_email"]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


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
