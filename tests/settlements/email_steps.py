"""Steps that the tests of the processor `email.notification` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import LazySettings

from jobqueue import jobs
from jobqueue.models import Job
from settlements.models import EmailDelivery
from tests.settlements.smtp import Mailbox, smtp_server

ADDRESS = "pia@example.com"
Serve = Callable[[Mailbox], Mailbox]


@pytest.fixture
def serve(settings: LazySettings) -> Iterator[Serve]:
    """Runs an SMTP server for a mailbox and lets Django send through it."""
    with ExitStack() as servers:

        def start(mailbox: Mailbox) -> Mailbox:
            host, port = servers.enter_context(smtp_server(mailbox))
            settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
            settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = host, port, 10
            settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
            settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
            return mailbox

        yield start


def payload(**changes: Any) -> dict[str, Any]:
    """What an e-mail job of a caller's own carries."""
    return {
        "user_id": None,
        "email": ADDRESS,
        "email_subject": "",
        "template_type": "payment_failed",
        "template_data": {"description": "Dinner"},
    } | changes


def add(subject: str | None = None, **changes: Any) -> Job:
    """Enqueue an e-mail of a caller's own."""
    return jobs.enqueue("email.notification", subject=subject, **payload(**changes))


def delivery_of(job: Job) -> EmailDelivery:
    """The delivery row of an e-mail job."""
    return EmailDelivery.objects.get(job=job)
