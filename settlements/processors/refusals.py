"""What becomes of an e-mail that was not taken: tried again, given up, its address barred."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final, NoReturn

from jobqueue.jobs import Discard, RetryLater, database_now
from jobqueue.models import Job
from settlements import addresses, deliveries, emails
from settlements.conf import get_settings
from settlements.mail_answers import Judgement, Kind, judge, names_an_address
from settlements.models import BarredAddress, EmailDelivery

logger = logging.getLogger("settlements.email")


class EmailNotSent(emails.EmailNotSent, Discard):
    """It is not tried again. It has the same name: what the mail server said is one cause."""


LONGEST_PAUSE: Final = timedelta(hours=1)
"""After 1, 2 and 4 s the pauses double up to this."""


def settle(error: Exception, delivery: EmailDelivery, job: Job | None, using: str) -> NoReturn:
    """Note what the mail backend raised, and raise what the job queue is to do about it.

    RetryLater: once more, for EMAIL_RETRY_FOR. EmailNotSent that is a Discard: never again. Anything else:
    three retries as for any job.
    """
    judgement = judge(error)
    if judgement.kind == Kind.SERVER:
        logger.error("the mail server cannot be used: %s", judgement.text)
    if judgement.kind == Kind.REFUSED:
        _refuse(judgement, delivery, job, using)
    if judgement.kind in (Kind.TEMPORARY, Kind.SERVER) and get_settings().email_retry_for:
        _try_again(error, judgement, delivery, job, using)
    deliveries.mark_failed(delivery, judgement.text, using)
    _raise_without_address(error, judgement)


def _refuse(judgement: Judgement, delivery: EmailDelivery, job: Job | None, using: str) -> NoReturn:
    deliveries.mark_failed(delivery, judgement.text, using)
    deliveries.give_up_reminder(job, using)
    if judgement.bars_address:
        addresses.bar(delivery.recipient, BarredAddress.Cause.REFUSED, judgement.text, using=using)
    raise EmailNotSent(judgement.text) from None


def _try_again(
    error: Exception, judgement: Judgement, delivery: EmailDelivery, job: Job | None, using: str
) -> NoReturn:
    limit = get_settings().email_retry_for
    delivery.refresh_from_db(using=using, fields=["created_at", "trying_since", "tries_before"])
    tried_for = database_now(using) - (delivery.trying_since or delivery.created_at)
    if tried_for >= limit:
        text = f"not taken within {_in_words(limit)}: {judgement.text}"
        deliveries.mark_failed(delivery, text, using)
        deliveries.give_up_reminder(job, using)
        raise EmailNotSent(text) from None
    # The last try is at the end of the time; a provider's own wish is kept even beyond it.
    pause = min(_pause(delivery.tries - delivery.tries_before), limit - tried_for)
    deliveries.mark_deferred(delivery, judgement.text, using)
    raise RetryLater(
        max(pause, judgement.retry_after or timedelta(0)),
        judgement.text,
        error=_without_address(error, judgement),
    ) from None


def _pause(tries: int) -> timedelta:
    """How long to wait after so many tries: 1, 2, 4 s and so on, at most LONGEST_PAUSE."""
    return min(timedelta(seconds=2 ** min(max(tries - 1, 0), 20)), LONGEST_PAUSE)


def _in_words(length: timedelta) -> str:
    hours = length.total_seconds() / 3600
    return f"{hours:g} h" if hours >= 1 else f"{length.total_seconds():g} s"


def _without_address(error: Exception, judgement: Judgement) -> Exception:
    return emails.EmailNotSent(judgement.text) if names_an_address(error) else error


def _raise_without_address(error: Exception, judgement: Judgement) -> NoReturn:
    """Raise the error, or its description if it quotes an address."""
    if names_an_address(error):
        raise emails.EmailNotSent(judgement.text) from None
    raise error
