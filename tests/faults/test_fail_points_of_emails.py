"""A worker that ends at any step on the way of an e-mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import EmailDelivery, ReminderDelivery, Settlement
from tests.conftest import StartWorker, wait_until
from tests.faults.fail_steps import QUICK
from tests.settlements.smtp import Mailbox, smtp_server
from tests.workload.fail_points import FailPoint
from tests.workload.fixtures import Workload

SENT_ONCE = ("created to payee", "created to payer", "initial to payer")


@pytest.mark.parametrize(
    ("function", "moment"),
    [
        ("settlements.processors.reminders._deliver", "before"),
        ("settlements.processors.reminders._deliver", "after"),
        ("settlements.models.deliveries.EmailDeliveryManager.begin", "before"),
        ("settlements.models.deliveries.EmailDeliveryManager.begin", "after"),
        ("settlements.emails.send", "before"),
        ("settlements.deliveries.mark_sent", "after"),
    ],
)
def test_a_worker_that_ends_on_the_way_of_an_email_sends_it_once(
    function: str,
    moment: str,
    rqworker: StartWorker,
    make_settlement: Callable[..., Settlement],
    settings: DjangoSettings,
    workload: Workload,
) -> None:
    settings.SETTLEMENTS = {"NOTIFICATION_DELAY": 0.2}
    mailbox = Mailbox()
    with smtp_server(mailbox) as address:
        send_emails_of(make_settlement(), FailPoint(function, moment), rqworker, address)

    assert workload.struck()
    assert sorted(map(about, mailbox.messages)) == list(SENT_ONCE)
    assert ReminderDelivery.objects.count() == 1


def test_an_email_whose_worker_ends_before_it_can_say_so_goes_out_again_under_its_message_id(
    rqworker: StartWorker,
    make_settlement: Callable[..., Settlement],
    settings: DjangoSettings,
    workload: Workload,
) -> None:
    settings.SETTLEMENTS = {"NOTIFICATION_DELAY": 0.2}
    mailbox = Mailbox()
    with smtp_server(mailbox) as address:
        send_emails_of(make_settlement(), FailPoint("settlements.emails.send", "after"), rqworker, address)

    assert workload.struck()
    assert set(map(about, mailbox.messages)) == set(SENT_ONCE)
    sent = Counter(str(message["Message-ID"]) for message in mailbox.messages)
    assert sorted(sent.values()) == [1, 1, 2]
    assert sent == Counter(dict(EmailDelivery.objects.values_list("message_id", "tries")))


def send_emails_of(
    settlement: Settlement, point: FailPoint, rqworker: StartWorker, address: tuple[str, int]
) -> None:
    """Let a worker do what is due for a settlement, one process of which ends at the point."""
    host, port = address
    rqworker(
        *("--processes", "1", "--threads", "1"),  # of which one e-mail is on its way
        jobqueue=QUICK,
        WORKLOAD_FAIL_POINT=str(point),
        EMAIL_URL=f"smtp://{host}:{port}",
        NOTIFICATION_DELAY="0.2",
    )
    jobs = Job.objects.about(settlement)
    sent = EmailDelivery.objects.filter(status=EmailDelivery.Status.SENT)
    # The reminders of the days to come wait on.
    wait_until(lambda: sent.count() == len(SENT_ONCE) and not (jobs.due() | jobs.active()).exists(), 30)


def about(message: EmailMessage) -> str:
    """What an e-mail is and to whom it goes."""
    delivery = EmailDelivery.objects.get(message_id=str(message["Message-ID"]))
    return f"{delivery.template_type.split('_')[1]} to {message['To'].split('@')[0]}"
