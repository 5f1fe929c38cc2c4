"""What is wrong with reminders, e-mails and addresses, told on the overview of the job queue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import router
from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
    Window,
)
from django.db.models.functions import Coalesce, Least, Now
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobqueue.admin import COUNT_LIMIT, Finding, address_of, lists_finding, mask_addresses, register_finding
from jobqueue.models import Attempt, Cause, Job, JobQuerySet
from jobqueue.operating import grouped, shown_text, span
from jobqueue.searching import columns_together, has_key
from settlements.admin.concerns import key_of
from settlements.conf import get_settings
from settlements.decisions import REMINDERS
from settlements.deliveries import deferred_among_newest
from settlements.models import BarredAddress, EmailDelivery, ReminderDelivery, Settlement
from settlements.processors import reminders
from settlements.processors.refusals import LONGEST_PAUSE
from settlements.truth import QUIET_HOURS

LATE = timedelta(minutes=15)
"""A reminder that was due so long ago and is not sent is late."""
LATELY = timedelta(days=1)
LATE_REMINDERS = "late_reminders"
"""What the list of jobs calls those that are late, in its address."""
_MOST = 1_000
_NEWEST = 10_000
"""Among so many of the newest reminders e-mails are looked for that did not get out."""
_FEWEST_BOUNCES = 3
_FEWEST_NOT_TAKEN, _NOT_TAKEN_FOR = 3, timedelta(minutes=5)
"""So many e-mails that wait for the mail server, the oldest for so long, are a finding."""
_ONE_NOT_TAKEN_FOR = timedelta(hours=1)
"""Fewer are one when the oldest waits for so long: a letter that is greylisted is taken before."""
_LONGEST_ANSWER = 200
_BY_THE_SERVER = (BarredAddress.Cause.REFUSED, BarredAddress.Cause.BOUNCED, BarredAddress.Cause.COMPLAINED)


@register_finding
def late_reminders(request: HttpRequest) -> Iterator[Finding]:
    """Reminders that were due and are not sent: their jobs, or those of their e-mails, wait or failed.

    However often they are tried: each retry moves the time of a job, not that at which it was due.
    """
    if not request.user.has_perm("jobqueue.view_job"):
        return
    late = _late()
    if late:
        text = ngettext(
            "%(number)s reminder was due and is not sent.",
            "%(number)s reminders were due and are not sent.",
            len(late),
        ) % {"number": _shown(len(late))}
        url = address_of(Job, "changelist", finding=LATE_REMINDERS)
        cure = _(
            "See why they wait, and retry those that failed: a reminder that is late is still sent once. "
            "Letters to addresses that are barred, or whose people paused them, stay unsent: their retry is "
            "skipped until the address is cleared or the letters are resumed."
        )
        yield Finding(78, text, url, min(filter(None, late.values()), default=None), cure)


@lists_finding(LATE_REMINDERS, gettext_lazy("reminders that were due and are not sent"))
def jobs_of_late_reminders(jobs: JobQuerySet) -> JobQuerySet:
    """Those of the jobs that `late_reminders` counts."""
    return jobs.filter(pk__in=list(_late()))


def _late() -> dict[int, datetime | None]:
    """The jobs of late reminders by id, with the times at which they were due, up to one more than _MOST.

    The time of a row that cannot be read as usual is None.

    Of a muted cause, or of a settlement that is not open any more, none is missed.
    """
    muted = Cause.objects.using(Job.objects.db).filter(muted_at__isnull=False).values("name")
    asked = [late[: _MOST + 1] for late in (*_of_reminders(muted), _of_their_emails(muted))]
    rows = columns_together(asked, "pk", "due", "subject")
    missed = _missed({subject for _number, _moment, subject in rows})
    found = [(number, moment) for number, moment, subject in rows if subject in missed]
    return dict(found[: _MOST + 1])


def _of_reminders(muted: QuerySet[Any, Any]) -> Iterable[JobQuerySet]:
    """The jobs of those of which nothing has come yet."""
    # Each retry moves the time of a job: it was due when it was tried first, or before.
    due = Least("run_at", Coalesce(Subquery(_ATTEMPTS.values("started_at")[:1]), "run_at"))
    # The index is led by the queue.
    jobs = Job.objects.filter(queue=reminders.send.queue, processor=REMINDERS).annotate(due=due)
    # Each state by itself: an index has its jobs in this order, and of both at once all would be sorted.
    # Failures stay until they are pruned: of too many the latest tell what is wrong now.
    waiting = jobs.filter(state=Job.State.WAITING).order_by("run_at")
    yield waiting.filter(_OVERDUE)
    yield waiting.filter(_TRIED_AGAIN)
    yield jobs.filter(state=Job.State.FAILED).exclude(cause__in=muted).order_by("-run_at")


def _of_their_emails(muted: QuerySet[Any, Any]) -> JobQuerySet:
    """The jobs of those whose e-mail was asked for, and waits past its time or has failed.

    Looked for among the newest reminders: no index has those alone that are not delivered.
    """
    # With both ends: of those above a number that it does not know PostgreSQL expects a third of all, and
    # reads all; of those between two, few.
    newest = Subquery(ReminderDelivery.objects.order_by("-pk").values("pk")[:1])
    lately = ReminderDelivery.objects.filter(pk__range=(newest - (_NEWEST - 1), newest))
    emails = lately.exclude(status=ReminderDelivery.Status.DELIVERED).values("email_job")
    # Due as it was asked for where it was tried in vain then, else when it was put off to and tried first.
    in_vain = Case(When(number=1, then=OuterRef("created_at")), default="started_at", output_field=_MOMENT)
    first = Subquery(_ATTEMPTS.annotate(due=in_vain).values("due")[:1])
    jobs = Job.objects.filter(pk__in=emails).annotate(due=Least("run_at", Coalesce(first, "run_at")))
    is_late = Q(state=Job.State.WAITING) & (_OVERDUE | _TRIED_AGAIN)
    has_failed = Q(state=Job.State.FAILED) & ~Q(cause__in=muted)
    return jobs.filter(is_late | has_failed).order_by("-pk")


_MOMENT = DateTimeField()
_ATTEMPTS = Attempt.objects.filter(job=OuterRef("pk")).order_by("number")
"""The failed attempts of a job, the first one first."""
_OVERDUE = Q(run_at__lte=Now() - LATE)
_TRIED_AGAIN = Q(
    ~Q(reason=QUIET_HOURS),
    attempt__gt=1,
    run_at__gt=Now() - LATE,
    run_at__lte=Now() + LONGEST_PAUSE,
    due__lte=Now() - LATE,
)
"""What will be tried again soon. What lies further ahead somebody moved there, or holds it."""


def _missed(subjects: set[str]) -> set[str]:
    """Those of the subjects whose reminders are still to be sent: none of a settlement that is over."""
    keys = {subject: key_of(subject) for subject in subjects}
    asked = [key for key in keys.values() if key is not None]
    one_of_them = has_key(asked, router.db_for_read(Settlement))
    rows = Settlement.objects.filter(one_of_them, status__in=Settlement.OPEN)
    are_open = set(rows.values_list("pk", flat=True)) if asked else set()
    return {subject for subject, key in keys.items() if key is None or key in are_open}


@register_finding
def emails_not_taken(request: HttpRequest) -> Iterator[Finding]:
    """E-mails that the mail server did not take, and that are tried again."""
    if not request.user.has_perm("settlements.view_emaildelivery"):
        return
    for waiting, since, answer, now in _not_taken():
        waits = now - since
        is_told = waits > (_NOT_TAKEN_FOR if waiting >= _FEWEST_NOT_TAKEN else _ONE_NOT_TAKEN_FOR)
        if is_told:
            text = ngettext(
                "%(number)s e-mail was not taken and is tried again: %(answer)s",
                "%(number)s e-mails were not taken and are tried again: %(answer)s",
                waiting,
            ) % {"number": _shown_up_to(COUNT_LIMIT, waiting), "answer": _quoted(answer, request)}
            url = address_of(EmailDelivery, "changelist", status__exact=EmailDelivery.Status.DEFERRED)
            yield Finding(77, text, url, since, _cure_of_not_taken())


def _not_taken() -> QuerySet[EmailDelivery, tuple[Any, ...]]:
    """One row, if any waits: how many, since when the oldest is tried, what was said last, and the time."""
    waiting = deferred_among_newest(COUNT_LIMIT).annotate(
        number=Window(Count("pk")),
        since=Window(Min(Coalesce("trying_since", "created_at"))),
        now=Now(),
    )
    return waiting.order_by("-pk").values_list("number", "since", "error", "now")[:1]


def _quoted(answer: str, request: HttpRequest) -> str:
    """What the mail server said, on a line, without addresses."""
    return shown_text(" ".join(mask_addresses(answer).split()), request)[:_LONGEST_ANSWER] or _("no answer")


def _cure_of_not_taken() -> str:
    return _(
        "See whether the mail server runs and takes mail of this site. They leave by themselves as soon as it"
        " takes them, unless their queue is paused; each is given up %(time)s after its first try"
        " (EMAIL_RETRY_FOR)."
    ) % {"time": span(get_settings().email_retry_for)}


@register_finding
def bouncing_addresses(request: HttpRequest) -> Iterator[Finding]:
    """Addresses that mail servers refused or bounced, or whose owners complained, within a day."""
    if not request.user.has_perm("settlements.view_barredaddress"):
        return
    newest = BarredAddress.objects.order_by("-pk")[:_MOST]
    lately = BarredAddress.objects.barred().filter(
        pk__in=newest.values("pk"), cause__in=_BY_THE_SERVER, barred_at__gte=Now() - LATELY
    )
    number, since = _counted(lately.order_by(), "barred_at")
    if number >= _FEWEST_BOUNCES:
        text = _(
            "%(number)s addresses bounced or complained within a day: nothing is sent to them any more."
        ) % {"number": _shown(number)}
        cure = _("Ask these people for another address. If many are of one provider, look at its answers.")
        yield Finding(40, text, address_of(BarredAddress, "changelist"), since=since, cure=cure)


def _counted(rows: QuerySet[BarredAddress], moment: str) -> tuple[int, Any]:
    """How many there are, up to one more than _MOST, and the earliest moment of these."""
    found = rows[: _MOST + 1].aggregate(number=Count("pk"), since=Min(moment))
    return found["number"], found["since"]


def _shown(number: int) -> str:
    return _shown_up_to(_MOST + 1, number)


def _shown_up_to(end: int, number: int) -> str:
    """A number that was counted up to an end."""
    return f"{grouped(end - 1)}+" if number >= end else grouped(number)
