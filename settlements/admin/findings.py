"""What is wrong with reminders and addresses, told on the overview of the job queue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobqueue.admin import Finding, lists_finding, register_finding
from jobqueue.models import Cause, Job, JobQuerySet
from jobqueue.operating import grouped
from settlements.admin.concerns import key_of
from settlements.models import BarredAddress, Settlement

LATE = timedelta(minutes=15)
"""A reminder that was due so long ago and is not sent is late."""
LATELY = timedelta(days=1)
LATE_REMINDERS = "late_reminders"
"""What the list of jobs calls those that are late, in its address."""
_MOST = 1_000
_FEWEST_BOUNCES = 3
_BY_THE_SERVER = (BarredAddress.Cause.REFUSED, BarredAddress.Cause.BOUNCED, BarredAddress.Cause.COMPLAINED)


@register_finding
def late_reminders(request: HttpRequest) -> Iterator[Finding]:
    """Reminders that were due and are not sent: they wait, or their jobs have failed."""
    if not request.user.has_perm("jobqueue.view_job"):
        return
    late = _late()
    if late:
        text = ngettext(
            "%(number)s reminder was due and is not sent.",
            "%(number)s reminders were due and are not sent.",
            len(late),
        ) % {"number": _shown(len(late))}
        url = reverse("admin:jobqueue_job_changelist", query={"finding": LATE_REMINDERS})
        cure = _(
            "See why they wait, and retry those that failed: a reminder that is late is still sent once."
        )
        yield Finding(78, text, url, min(late.values()), cure)


@lists_finding(LATE_REMINDERS, gettext_lazy("reminders that were due and are not sent"))
def jobs_of_late_reminders(jobs: JobQuerySet) -> JobQuerySet:
    """Those of the jobs that `late_reminders` counts."""
    return jobs.filter(pk__in=list(_late()))


def _late() -> dict[int, datetime]:
    """The ids of late reminders with the times at which they were due, up to one more than _MOST.

    Of a muted cause, or of a settlement that is not open any more, none is missed.
    """
    using = Job.objects.db
    due = Job.objects.filter(queue="reminders", run_at__lte=Now() - LATE)
    muted = Cause.objects.using(using).filter(muted_at__isnull=False).values("name")
    # Each state by itself: an index has its jobs in this order, and of both at once all would be sorted.
    # Failures stay until they are pruned: of too many the latest tell what is wrong now.
    waiting = due.filter(state=Job.State.WAITING).order_by("run_at")
    failed = due.filter(state=Job.State.FAILED).exclude(cause__in=muted).order_by("-run_at")
    rows = [
        row for some in (waiting, failed) for row in some.values_list("pk", "run_at", "subject")[: _MOST + 1]
    ]
    missed = _missed({subject for _number, _moment, subject in rows})
    found = [(number, moment) for number, moment, subject in rows if subject in missed]
    return dict(found[: _MOST + 1])


def _missed(subjects: set[str]) -> set[str]:
    """Those of the subjects whose reminders are still to be sent: none of a settlement that is over."""
    keys = {subject: key_of(subject) for subject in subjects}
    asked = [key for key in keys.values() if key is not None]
    rows = Settlement.objects.filter(pk__in=asked, status__in=Settlement.OPEN)
    are_open = set(rows.values_list("pk", flat=True)) if asked else set()
    return {subject for subject, key in keys.items() if key is None or key in are_open}


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
        text = _("%(number)s addresses bounced within a day: nothing is sent to them any more.") % {
            "number": _shown(number)
        }
        cure = _("Ask these people for another address. If many are of one provider, look at its answers.")
        yield Finding(40, text, reverse("admin:settlements_barredaddress_changelist"), since=since, cure=cure)


def _counted(rows: QuerySet[BarredAddress], moment: str) -> tuple[int, Any]:
    """How many there are, up to one more than _MOST, and the earliest moment of these."""
    found = rows[: _MOST + 1].aggregate(number=Count("pk"), since=Min(moment))
    return found["number"], found["since"]


def _shown(number: int) -> str:
    return f"{grouped(_MOST)}+" if number > _MOST else grouped(number)
