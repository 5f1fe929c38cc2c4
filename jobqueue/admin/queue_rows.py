"""The rows of queues: each configured queue is shown, and gets a row with the first order, not by a look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from jobqueue.admin.not_found import FramedNotFound
from jobqueue.models import Queue
from jobqueue.operating.rights import Right, may

if TYPE_CHECKING:
    QueueModelAdmin = admin.ModelAdmin[Queue]
else:
    QueueModelAdmin = admin.ModelAdmin


def with_all_configured(rows: Iterable[Queue]) -> list[Queue]:
    """The rows, and for each other queue of RQ_QUEUES one that is not saved, by name."""
    known = {queue.name: queue for queue in rows}
    return [known.get(name) or Queue(name=name) for name in sorted({*known, *django_settings.RQ_QUEUES})]


class QueueRows(FramedNotFound, QueueModelAdmin):
    """The pages of the configured queues, whether they have a row or not."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        """The rows of the configured queues; for an order each gets one."""
        queues = super().get_queryset(request).filter(name__in=django_settings.RQ_QUEUES)
        if request.method == "POST" and self._may_order(request):
            missing = [queue for queue in with_all_configured(queues) if queue._state.adding]
            Queue.objects.bulk_create(missing, ignore_conflicts=True)
        return queues

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The queue of that name; one that has no row yet is as it is without limits."""
        found = super().get_object(request, object_id, from_field)
        is_configured = object_id in django_settings.RQ_QUEUES
        return Queue(name=object_id) if found is None and is_configured else found

    def _may_order(self, request: HttpRequest) -> bool:
        rights = (Right.LIMIT_QUEUE, Right.PAUSE_QUEUE, Right.RESUME_QUEUE)
        return any(may(request, right) for right in rights)
