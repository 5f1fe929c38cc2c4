"""What is wrong with reminders and addresses, told on the overview of the job queue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.admin import Finding, register_finding
from jobqueue.models import Job
from jobqueue.operating import grouped
from settlements.models import BarredAddress

LATE = timedelta(minutes=15)
"""A reminder that was due so long ago and is not sent is late."""
LATELY = timedelta(days=1)
_MOST = 1_000
_FEWEST_BOUNCES = 3
_BY_THE_SERVER = (BarredAddress.Cause.REFUSED, BarredAddress.Cause.BOUNCED, BarredAddress.Cause.COMPLAINED)


@register_finding
def late_reminders(request: HttpRequest) -> Iterator[Finding]:
    """Reminders that were due and are not sent: they wait, or their jobs have failed."""
    if not request.user.has_perm("jobqueue.view_job"):
        return
    due = Job.objects.filter(queue="reminders", run_at__lte=Now() - LATE).order_by("run_at")
    # Each state by itself: an index has its jobs in this order, and of both at once all would be sorted.
    found = [_counted(due.filter(state=state), "run_at") for state in (Job.State.WAITING, Job.State.FAILED)]
    number = min(sum(counted for counted, _moment in found), _MOST + 1)
    since = min((moment for _number, moment in found if moment), default=None)
    if number:
        text = ngettext(
            "%(number)s reminder was due and is not sent.",
            "%(number)s reminders were due and are not sent.",
            number,
        ) % {"number": _shown(number)}
        url = reverse("admin:jobqueue_job_changelist", query={"queue": "reminders"})
        cure = _(
            "See why they wait, and retry those that failed: a reminder that is late is still sent once."
        )
        yield Finding(78, text, url, since, cure)


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


def _counted(rows: QuerySet[Job] | QuerySet[BarredAddress], moment: str) -> tuple[int, Any]:
    """How many there are, up to one more than _MOST, and the earliest moment of these."""
    found = rows[: _MOST + 1].aggregate(number=Count("pk"), since=Min(moment))
    return found["number"], found["since"]


def _shown(number: int) -> str:
    return f"{grouped(_MOST)}+" if number > _MOST else grouped(number)
