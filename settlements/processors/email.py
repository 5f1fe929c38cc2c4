"""`email.notification`: one job is one e-mail, sent once.

An `EmailDelivery` row is claimed before the mail server is spoken to and marked afterwards, each in a
transaction of its own: none is open meanwhile. Where a worker dies between "the server has it" and "the row
says so", nobody can know which it was; the e-mail then goes out again under the same Message-ID, by which
mailboxes recognise a repeat.
"""

import logging
import re
import smtplib
import uuid
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parseaddr
from typing import Any, Final, NoReturn

from anymail.exceptions import AnymailInvalidAddress, AnymailRecipientsRefused
from django.conf import settings
from django.db import router
from django.db.models import Exists, F
from django.db.models.functions import Now

from jobqueue.execution import current_database, current_job
from jobqueue.jobs import Discard, RetryLater, Skipped, TypeCounter, processor
from jobqueue.models import Job
from settlements import emails
from settlements.exceptions import InvalidEmailAddress, UnknownTemplateType
from settlements.models import EmailDelivery

logger = logging.getLogger("settlements.email")

BUSY_DELAY: Final = timedelta(seconds=30)
"""When to look again at an e-mail that another run has just taken."""

_LONGEST_ERROR: Final = 500
_ANY_ADDRESS: Final = re.compile(r"""[^\s<>"'(),:;\[\]]+@[^\s<>"'(),:;\[\]]+""")


@processor(
    "email.notification",
    queue="email",
    timeout=60,
    counter=TypeCounter("email_notifications_total", payload_key="template_type"),
)
def send(
    user_id: int | str | None,
    email: str,
    email_subject: str,
    template_type: str,
    template_data: dict[str, Any],
) -> Skipped | None:
    """Send one e-mail, unless this job has sent it already."""
    _check(email, template_type)
    job = current_job()
    using = current_database() or router.db_for_write(EmailDelivery)
    rendered = emails.render(template_type, email_subject, {"user_id": user_id, **template_data}, using=using)

    delivery = _take(job, _facts(job, email, template_type, rendered.subject), using)
    if delivery is None:
        return Skipped("already sent")
    try:
        emails.send(rendered, email, delivery.message_id)
    except Exception as error:
        _mark_failed(delivery, describe(error), using)
        _raise_without_address(error)
    _mark_sent(delivery, using)
    logger.info("e-mail delivery %s (%s) sent", delivery.pk, template_type)
    return None


def _check(address: str, template_type: str) -> None:
    """Payloads are checked when the job is added; one that was added past those checks never gets better."""
    try:
        emails.check_template_type(template_type)
        emails.check_address(address)
    except (UnknownTemplateType, InvalidEmailAddress) as error:
        raise Discard(str(error)) from None


# The delivery row -------------------------------------------------------------------------------


def message_id_of(job: Job | None) -> str:
    """The Message-ID of a job's e-mail. The time is in it because a restored database counts ids anew."""
    unique = f"job-{job.pk}-{int(job.created_at.timestamp())}" if job else f"mail-{uuid.uuid4().hex}"
    return f"<{unique}@{_message_id_domain()}>"


def _message_id_domain() -> str:
    configured = str(getattr(settings, "EMAIL_MESSAGE_ID_DOMAIN", ""))
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    return configured or (sender.rpartition("@")[2] if "@" in sender else "localhost")


def _facts(job: Job | None, recipient: str, template_type: str, subject: str) -> dict[str, str]:
    """What the delivery row says about the e-mail."""
    return {
        "recipient": recipient,
        "template_type": template_type,
        "subject": subject[:250],
        "about": job.subject if job else "",
        "message_id": message_id_of(job),
    }


def _take(job: Job | None, facts: dict[str, str], using: str) -> EmailDelivery | None:
    """The job's delivery row, with the right to send; None if the e-mail was sent.

    A call outside a worker gets a row of its own. RetryLater if another run has the right.
    """
    rows = EmailDelivery.objects.db_manager(using)
    if job is not None and job.attempt == 1 and (begun := rows.begin(job, **facts)) is not None:
        return begun
    untried = {**facts, "tries": 0}
    delivery = rows.get_or_create(job=job, defaults=untried)[0] if job else rows.create(**untried)
    if delivery.status == EmailDelivery.Status.SENT:
        return None
    _claim(delivery, job, using)
    return delivery


def _claim(delivery: EmailDelivery, job: Job | None, using: str) -> None:
    """Take the right to send: of two runs of one job that saw the same row, one gets it.

    Only the job's newest attempt may have it: a worker that was declared gone, and whose job runs
    elsewhere, finds out here. The loser comes back later instead of ending the job, because the winner
    may yet fail.
    """
    seen = EmailDelivery.objects.using(using).filter(
        pk=delivery.pk, status=delivery.status, tries=delivery.tries
    )
    if job is not None and job.attempt == 1:
        # Another run of this first attempt has begun, perhaps just now.
        seen = seen.exclude(status=EmailDelivery.Status.SENDING, tries=1)
    if job is not None:
        # A subquery, not a join: PostgreSQL then checks status and tries again after it waited for the row.
        seen = seen.filter(Exists(Job.objects.using(using).filter(pk=job.pk, attempt=job.attempt)))
    if not seen.update(status=EmailDelivery.Status.SENDING, tries=F("tries") + 1, error=""):
        raise RetryLater(BUSY_DELAY, "another run of this job is sending the e-mail")
    delivery.status, delivery.tries = EmailDelivery.Status.SENDING, delivery.tries + 1


def _mark_sent(delivery: EmailDelivery, using: str) -> None:
    """True whatever another run thinks, so nothing else is asked of the row."""
    EmailDelivery.objects.using(using).filter(pk=delivery.pk).update(
        status=EmailDelivery.Status.SENT, sent_at=Now(), error=""
    )


def _mark_failed(delivery: EmailDelivery, error: str, using: str) -> None:
    """Only while the row is still this run's: another may have sent the e-mail meanwhile."""
    EmailDelivery.objects.using(using).filter(
        pk=delivery.pk, status=EmailDelivery.Status.SENDING, tries=delivery.tries
    ).update(status=EmailDelivery.Status.FAILED, error=error)


# Errors -----------------------------------------------------------------------------------------


def is_permanent(error: Exception) -> bool:
    """Whether the mail server or provider refused this e-mail for good.

    A refused login or greeting says nothing about the e-mail: an operator sets that right, so it is retried.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return bool(codes) and all(500 <= code <= 599 for code in codes)
    if isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return False
    if isinstance(error, smtplib.SMTPResponseException):
        return 500 <= error.smtp_code <= 599
    return isinstance(error, AnymailRecipientsRefused | AnymailInvalidAddress)


def describe(error: Exception) -> str:
    """What went wrong in one line, without e-mail addresses: it is stored and logged."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        text = "; ".join(_answer(code, answer) for code, answer in error.recipients.values())
    elif isinstance(error, smtplib.SMTPResponseException):
        text = _answer(error.smtp_code, error.smtp_error)
    else:
        text = str(error)
    line = " ".join(_ANY_ADDRESS.sub("(address)", f"{type(error).__name__}: {text}").split())
    return line[:_LONGEST_ERROR]


def _answer(code: int, answer: bytes | str) -> str:
    return f"{code} {answer.decode(errors='replace') if isinstance(answer, bytes) else answer}"


def _raise_without_address(error: Exception) -> NoReturn:
    """Raise Discard for a permanent error, else `error`, or its description if it quotes an address."""
    if is_permanent(error):
        raise Discard(describe(error)) from None
    if any(_ANY_ADDRESS.search(str(link)) for link in _chain(error)):
        raise emails.EmailNotSent(describe(error)) from None
    raise error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it was raised from or in, as a traceback shows them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
