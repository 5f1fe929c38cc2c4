"""The processor of e-mails works with any backend, and in the database of its job."""

from __future__ import annotations

from typing import Any

import pytest
from anymail.exceptions import AnymailRecipientsRefused
from django.conf import LazySettings
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend as MemoryBackend

from jobqueue import jobs
from jobqueue.jobs import running
from jobqueue.models import Job
from jobqueue.registry import Skipped, get_processor
from jobqueue.testing import drain, run_job
from jobqueue.worker.outcomes import OutcomeStatus
from settlements.models import EmailDelivery
from tests.settlements.email_steps import ADDRESS, add, delivery_of, payload


def test_anymail_backend_needs_configuration_only(db: None, settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = "anymail.backends.test.EmailBackend"
    job = add()
    assert run_job(job).status == OutcomeStatus.COMPLETED
    message: Any = mail.outbox[0]
    assert message.anymail_status.status == {"sent"}
    assert message.anymail_test_params["extra_headers"]["Message-ID"] == delivery_of(job).message_id


def test_recipient_that_anymail_refuses_ends_the_job(db: None, settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.RefusingBackend"
    job = add()
    (outcome,) = drain()
    assert outcome.status == OutcomeStatus.FAILED
    assert delivery_of(job).error.startswith("AnymailRecipientsRefused")


class RefusingBackend(MemoryBackend):
    """Answers as a provider does that has the recipient on its list of refused ones."""

    def send_messages(self, messages: Any) -> int:
        raise AnymailRecipientsRefused(f"{ADDRESS} is on the suppression list")


@pytest.mark.django_db(databases=["default", "other"])
def test_delivery_is_written_where_the_job_lives() -> None:
    job = jobs.enqueue("email.notification", using="other", **payload())
    run_job(job, using="other")
    assert EmailDelivery.objects.using("other").get().job_id == job.pk
    assert not EmailDelivery.objects.using("default").exists()


def test_processor_serves_the_email_queue_and_counts_by_template_type() -> None:
    registered = get_processor("email.notification")
    assert registered.queue == "email"
    assert registered.counter is not None
    assert registered.counter.name == "email_notifications_total"
    assert registered.counter.type_of(payload()) == "payment_failed"


def test_skipped_is_the_answer_and_not_an_error(db: None) -> None:
    job = add()
    run_job(job)
    with running(Job.objects.get(pk=job.pk), "default"):
        assert get_processor("email.notification")(**payload()) == Skipped("already sent")
