"""What a real worker's log says of mail and payments that fail: what happened, no address and no amount."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.contrib.auth.models import User
from moneyed import Money

from jobqueue.models import Job
from settlements.jobs import add_email_notification_job, add_settlement_processing_job
from settlements.models import Payment, Settlement
from tests.conftest import StartWorker, WorkerProcess
from tests.faults.steps import ONE_JOB
from tests.settlements.mail_providers import Mailgun, SendGrid, running
from tests.settlements.provider import TOKEN, Provider
from tests.settlements.smtp import (
    LOOPBACK,
    BreakingMailbox,
    BusyMailbox,
    Mailbox,
    RefusingContent,
    UnknownMailbox,
    smtp_server,
)
from tests.workload.fixtures import Workload, wait_until_done

ADDRESS = "somebody.private@example.com"
AMOUNT = "123.45"
FOREVER = 10**6
ONE_RETRY = {"RETRY": {"max_retries": 1}}

Environment = dict[str, str]


@contextmanager
def _smtp(mailbox: Mailbox) -> Iterator[Environment]:
    with smtp_server(mailbox) as (host, port):
        yield {"EMAIL_URL": f"smtp://{host}:{port}"}


@contextmanager
def _nobody() -> Iterator[Environment]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    yield {"EMAIL_URL": f"smtp://{LOOPBACK}:{port}"}


@contextmanager
def _provider(kind: type[SendGrid | Mailgun]) -> Iterator[Environment]:
    with running(kind) as server:
        server.says(400, {"message": f"to parameter is not a valid address: {ADDRESS} owes {AMOUNT}"})
        yield {
            "EMAIL_BACKEND": server.backend,
            "ANYMAIL": json.dumps({"REQUESTS_TIMEOUT": 10, **server.anymail}),
            "NO_PROXY": "*",
        }


MAIL = {
    "unknown mailbox": lambda: _smtp(UnknownMailbox()),
    "greylisting": lambda: _smtp(BusyMailbox(FOREVER)),
    "hangs up": lambda: _smtp(BreakingMailbox(FOREVER)),
    "refuses the content": lambda: _smtp(RefusingContent(f"554 5.7.1 <{ADDRESS}> is no friend")),
    "no server": _nobody,
    "SendGrid": lambda: _provider(SendGrid),
    "Mailgun": lambda: _provider(Mailgun),
}


@pytest.mark.parametrize(
    ("trouble", "tries_for"), [*((trouble, "0") for trouble in MAIL), ("greylisting", "1")]
)
def test_mail_that_fails_is_logged_without_address_and_amount(
    trouble: str, tries_for: str, rqworker: StartWorker, workload: Workload, payer: User
) -> None:
    with ExitStack() as servers:
        environment = servers.enter_context(MAIL[trouble]())
        worker = rqworker(*ONE_JOB, jobqueue=ONE_RETRY, EMAIL_RETRY_FOR=tries_for, **environment)
        payer.email = ADDRESS
        payer.save()
        data = {"amount": AMOUNT, "currency": "EUR", "payee_name": "Emil"}
        job = add_email_notification_job(payer.pk, ADDRESS, "You owe", "settlement_reminder", data)
        wait_until_done(30)

    _assert_logged(worker, job)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (400, {"error": f"no payment of {AMOUNT} by {ADDRESS}"}),
        (200, {"status": "completed", "amount": "999.99", "payer": ADDRESS}),
    ],
    ids=["refuses", "contradicts"],
)
def test_payments_that_cannot_be_checked_are_logged_without_address_and_amount(
    code: int, answer: object, rqworker: StartWorker, workload: Workload, settlement: Settlement
) -> None:
    provider = Provider()
    provider.answers(code, answer)
    payment = Payment.objects.create(settlement=settlement, amount=Money(AMOUNT, "EUR"), status="processing")
    Job.objects.all().delete()
    job = add_settlement_processing_job(settlement.pk, "payment_status_check", payment_id=payment.pk)
    worker = rqworker(*ONE_JOB, GATEWAY_URL=provider.url, GATEWAY_TOKEN=TOKEN, NO_PROXY="*")
    wait_until_done(30)
    provider.close()

    _assert_logged(worker, job)
    assert "999.99" not in worker.output


def _assert_logged(worker: WorkerProcess, job: Job) -> None:
    """The job ended as failed, with an error in the log that names nobody and nothing."""
    worker.stop()
    job.refresh_from_db()
    assert job.state == "failed"
    assert f"ERROR jobqueue.jobs job {job.pk} ({job.processor}) failed" in worker.output
    for private in (ADDRESS, "somebody.private", AMOUNT, "123,45", "payer@example.com"):
        assert private not in worker.output
