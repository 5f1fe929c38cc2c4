"""What a person was told already: a letter that would say nothing new does not leave.

A letter says what the rows say as it leaves. So two that were decided on one after the other may say the same
(two refunds, one sum), and read together they say it twice. The rows of e-mails keep what was told: which
letter, to whom, about what, and by its subject with which facts. Where that cannot be known any more, because
the job that names the payment was pruned, the letter leaves: better told twice than never.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from django.db.models import Q, QuerySet

from jobqueue.models import Job
from settlements.letters import OF_REFUNDS
from settlements.models import EmailDelivery, Settlement
from settlements.rows import NEWEST_FIRST, Question, letters_about, of_payment

OF_STATUS: Final = ("settlement_completed", "settlement_cancelled", "settlement_reopened")
_UPDATED: Final = "settlement_updated"
OF_TERMS: Final = ("settlement_created", _UPDATED)
"""The letters that say amount, due date and description, as they are when they leave."""
SAID_ONCE: Final = (*OF_REFUNDS, *OF_STATUS, _UPDATED)
"""The letters that do not leave where they say nothing new."""

ALREADY_TOLD: Final = "already told"
_MOST: Final = 50
_ON_ITS_WAY: Final = (Job.State.ACTIVE, Job.State.WAITING)


class Told(Enum):
    """What became of the same news before."""

    NOT_YET = auto()
    PERHAPS = auto()
    """Another letter is with the mail server at this moment: what becomes of it decides."""
    ALREADY = auto()


@dataclass(frozen=True, slots=True)
class News:
    """What a letter tells whom. `job_id` is the letter's own job, which says nothing of earlier ones."""

    template_type: str
    subject: str
    settlement: Settlement
    payment_id: Any
    person: Any
    job_id: int | None
    asked_at: datetime | None
    """When the letter was decided on."""


def takes_turns(question: Question) -> bool:
    """Whether the letter is looked at and claimed under the lock of its settlement: what others go by is."""
    return question.template_type in (*SAID_ONCE, *OF_TERMS) and not question.address


def is_said_once(job: Job | None, question: Question) -> bool:
    """Whether the letter is skipped where it says nothing new: not if somebody asks for it, or copied it."""
    is_news = question.template_type in SAID_ONCE and not question.address
    return is_news and job is not None and job.copied_from is None


def told_before(news: News, using: str) -> Told:
    """Whether the last that the person was told of it is the same.

    Of a refund that is the last letter about refunds of the payment; of a status the last letter of any kind
    about the settlement, for nearly each of them says whether money is owed. Of changed terms it is any that
    was made ready since the letter was decided on.
    """
    rows = letters_about(news.settlement, news.person, using)
    if news.template_type == _UPDATED:
        return _told_since(news, rows)
    if news.template_type in OF_REFUNDS:
        rows = rows.filter(of_payment(news.payment_id), template_type__in=OF_REFUNDS)
    if news.job_id is not None:
        rows = rows.exclude(job=news.job_id)
    found = rows.order_by(*NEWEST_FIRST).values_list("status", "template_type", "subject", "job__state")[
        :_MOST
    ]
    return _judge(found, (news.template_type, news.subject[:250]))


def _told_since(news: News, rows: QuerySet[EmailDelivery]) -> Told:
    """What became of letters about the terms that were made ready after this one was decided on.

    What is tried again is made ready anew, after its job began so: the row tells the first time alone.
    """
    made_ready = Q(created_at__gt=news.asked_at) | Q(job__started_at__gt=news.asked_at)
    since = rows.filter(made_ready, template_type__in=OF_TERMS).exclude(job=news.job_id)
    found = set(since.values_list("status", "job__state"))
    if any(status != EmailDelivery.Status.SENDING for status, _state in found):
        return Told.ALREADY
    return Told.PERHAPS if any(state in _ON_ITS_WAY for _status, state in found) else Told.NOT_YET


def _judge(found: Iterable[tuple[str, str, str, str | None]], same: tuple[str, str]) -> Told:
    """By the rows, those that are being sent before the others, and these from the newest."""
    leaving, last = [], None
    for status, template_type, subject, job_state in found:
        if status != EmailDelivery.Status.SENDING:
            last = (template_type, subject)
            break
        # Where its worker was lost it begins anew, and perhaps the server has it: that decides then.
        if job_state in _ON_ITS_WAY:
            leaving.append((template_type, subject))
    if same in leaving or (leaving and last == same):
        return Told.PERHAPS
    return Told.ALREADY if last == same else Told.NOT_YET
