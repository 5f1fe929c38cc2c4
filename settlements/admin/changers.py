"""Who or what changed a record while somebody had its page open."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.models import Job
from settlements.decisions import CHECKS
from settlements.models import Payment, Settlement

CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""By how much the database's clock, which jobs go by, may be behind that of the page."""

A_PROGRAM: Final = _("a program")

_CHANGE_A_PAYMENT: Final = (CHECKS,)
_CHANGE_A_SETTLEMENT: Final = ("settlement.auto_complete",)


def changed_by(model: type[models.Model], pk: Any, since: datetime, settlement_id: Any = None) -> str:
    """The operators and the job that changed a record since then; A_PROGRAM if neither is known."""
    job = _job(model, settlement_id if model is Payment else pk, since)
    words = {"processor": job.processor, "number": job.pk} if job else {}
    jobs = [gettext("job %(processor)s #%(number)s") % words] if job else []
    both = [*_operators(model, pk, since), *jobs]
    if len(both) == 2:
        return gettext("%(operator)s and %(job)s") % {"operator": both[0], "job": both[1]}
    return both[0] if both else str(A_PROGRAM)


def added_or_deleted_by(model: type[models.Model], pk: Any, since: datetime) -> str:
    """The operator who made or removed a record since then: no job does."""
    return next(iter(_operators(model, pk, since)), str(A_PROGRAM))


def _operators(model: type[models.Model], pk: Any, since: datetime) -> list[str]:
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(model), object_id=str(pk), action_time__gte=since
    )
    newest = entries.select_related("user").order_by("-action_time", "-pk").first()
    return [newest.user.get_username()] if newest else []


def _job(model: type[models.Model], settlement_id: Any, since: datetime) -> Job | None:
    """The newest job that may have changed it: it ended since then, or is about to end."""
    if model not in (Payment, Settlement) or settlement_id is None:
        return None
    about = Job.objects.about(f"{Settlement._meta.label_lower}:{settlement_id}")
    jobs = about.filter(processor__in=_CHANGE_A_PAYMENT if model is Payment else _CHANGE_A_SETTLEMENT)
    ended = Q(state=Job.State.COMPLETED, finished_at__gte=since - CLOCKS_DIFFER)
    jobs = jobs.filter(ended | Q(state=Job.State.ACTIVE))
    newest = jobs.order_by(F("finished_at").desc(nulls_last=True), "-pk")
    return next((job for job in newest[:50] if not job.is_skipped), None)
