"""Steps and questions that the tests of the domain's lifecycle share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from jobqueue.models import Job
from jobqueue.testing import drain
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement

Row = TypeVar("Row", Settlement, Payment)
Answer = TypeVar("Answer")

NOTIFICATION = "settlement.settlement_notification"
AUTO_COMPLETE = "settlement.auto_complete"
STATUS_CHECK = "settlement.payment_status_check"
REMINDER = "reminders.send"
EMAIL = "email.notification"

FIRST_CHECK = timedelta(seconds=60)
NOTIFICATION_DELAY = timedelta(seconds=2)
SOON = timedelta(seconds=10)
"""Longer than a notification waits, shorter than a payment check."""


def domain_settings(**changes: Any) -> dict[str, Any]:
    """`SETTLEMENTS` for these tests: nothing in it depends on the hour at which they run.

    `reminders` and `payment_check` change keys of the inner dicts, everything else keys of the outer one.
    """
    reminders = {
        "FOLLOW_UP_AFTER": [timedelta(days=3), timedelta(days=7)],
        "OVERDUE_AFTER": [timedelta(days=1), timedelta(days=3)],
        "QUIET_HOURS": None,
        "TIME_ZONE": "UTC",
        "MINIMUM_GAP": 0,
        "LAPSED_AFTER": timedelta(hours=1),
    }
    payment_check = {"FIRST_DELAY": FIRST_CHECK, "FACTOR": 2.0, "MAX_DELAY": timedelta(minutes=10)}
    return {
        "REMINDERS": reminders | changes.pop("reminders", {}),
        "PAYMENT_CHECK": payment_check | changes.pop("payment_check", {}),
        "NOTIFICATION_DELAY": NOTIFICATION_DELAY,
        **changes,
    }


# Jobs ---------------------------------------------------------------------------------------------


def jobs_of(settlement: Settlement, processor: str = "", using: str = "default") -> list[Job]:
    """The jobs about a settlement, oldest first."""
    jobs = Job.objects.using(using).about(settlement).order_by("pk")
    return list(jobs.filter(processor=processor) if processor else jobs)


def waiting_of(settlement: Settlement, processor: str = "", using: str = "default") -> list[Job]:
    """The waiting jobs about a settlement, oldest first."""
    return [job for job in jobs_of(settlement, processor, using) if job.state == Job.State.WAITING]


def only(settlement: Settlement, processor: str, using: str = "default") -> Job:
    """The one waiting job of that processor."""
    [job] = waiting_of(settlement, processor, using)
    return job


def events_of(settlement: Settlement, using: str = "default") -> list[str]:
    """What the waiting notifications are about."""
    return sorted(job.payload["event"] for job in waiting_of(settlement, NOTIFICATION, using))


def reminders_of(settlement: Settlement, using: str = "default") -> dict[tuple[str, int], Job]:
    """The waiting reminders by type and step."""
    jobs = waiting_of(settlement, REMINDER, using)
    reminders = {(job.payload["reminder_type"], job.payload["step"]): job for job in jobs}
    assert len(reminders) == len(jobs), "a reminder waits twice"
    return reminders


def stages_of(settlement: Settlement, using: str = "default") -> set[tuple[str, int]]:
    """Type and step of the waiting reminders."""
    return set(reminders_of(settlement, using))


def run_soon(using: str = "default") -> None:
    """Run what is due, the notifications that wait a moment included."""
    drain(until=timezone.now() + SOON, using=using)


def forget_jobs() -> None:
    """Remove every trace of a job, so that a test sees only what comes next."""
    Job.objects.all().delete()
    EmailDelivery.objects.all().delete()


def give_status(settlement: Settlement, status: str) -> None:
    """Save the settlement with this status, and with payments for as much of it as the status says."""
    Payment.objects.filter(settlement=settlement)._raw_delete("default")
    if status == Settlement.Status.PARTIALLY_PAID:
        part = {"amount": settlement.amount / 2, "status": "completed", "announced_status": "completed"}
        Payment.objects.bulk_create([Payment(settlement=settlement, **part)])
    settlement.status = status
    settlement.save()


def initial_reminder_went_out(settlement: Settlement) -> None:
    """Make it so that the payer has had the initial reminder."""
    ReminderDelivery.objects.create(
        settlement=settlement,
        reminder_type="initial",
        due_date=settlement.due_date,
        recipient=settlement.payer,
    )


# Effects ------------------------------------------------------------------------------------------


def emails_sent(using: str = "default") -> list[tuple[str, str]]:
    """(template type, recipient) of the e-mails that went out, sorted."""
    sent = EmailDelivery.objects.using(using).filter(status=EmailDelivery.Status.SENT)
    return sorted(sent.values_list("template_type", "recipient"))


def emails_asked_for(settlement: Settlement, using: str = "default") -> list[tuple[str, str]]:
    """(template type, recipient) of the e-mail jobs about a settlement, sorted."""
    jobs = jobs_of(settlement, EMAIL, using)
    return sorted((job.payload["template_type"], address_of(job, using)) for job in jobs)


def address_of(job: Job, using: str = "default") -> str:
    """Where an e-mail job's letter goes as things are now: the system's own carry no address."""
    if "email" in job.payload:
        return str(job.payload["email"])
    return str(User.objects.using(using).get(pk=job.payload["user_id"]).email)


def delivered(settlement: Settlement, using: str = "default") -> list[tuple[str, int]]:
    """Type and step of the reminders that went out or are on their way, in their order."""
    rows = ReminderDelivery.objects.using(using).filter(settlement=settlement).order_by("pk")
    left = rows.exclude(status=ReminderDelivery.Status.NOT_DELIVERED)
    return list(left.values_list("reminder_type", "step"))


def stored(row: Row, using: str = "default") -> Row:
    """The row as the database has it now."""
    return type(row)._base_manager.using(using).get(pk=row.pk)


def about(moment: datetime, expected: datetime, tolerance: float = 3.0) -> bool:
    """Whether two moments are the same but for the time a test takes."""
    return abs((moment - expected).total_seconds()) <= tolerance


# Threads ------------------------------------------------------------------------------------------


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """Make the calls in threads of their own, started together; their answers, or the first error."""
    barrier = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []

    def run(index: int, call: Callable[[], Answer]) -> None:
        try:
            barrier.wait(10)
            answers[index] = call()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a call did not return"
    if errors:
        raise errors[0]
    return answers


# A payment provider -------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that hang up."""


class Provider:
    """A payment provider: answers by payment id as told, and remembers whom it was asked about."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {}
        self.before_answer: Callable[[], None] = lambda: None

    def answer(self, payment: Payment, status: str = "", *, code: int = 200, **headers: str) -> None:
        """From now on answer questions about the payment with this."""
        self.answers[str(payment.pk)] = (code, {"status": status, "reason": "as told"}, headers)


@contextmanager
def payment_provider() -> Iterator[Provider]:
    """A real HTTP server on a free local port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            payment_id = self.path.rpartition("/")[2]
            provider.asked.append(payment_id)
            provider.before_answer()
            code, body, headers = provider.answers.get(payment_id, (200, {"status": "pending"}, {}))
            content = json.dumps(body).encode()
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
