"""What the admin's index pages say of the job queue: what is set aside, and who else uses its Redis.

Whoever looks after something else comes by these pages: they fail for nothing, and wait for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from jobqueue.admin import set_aside
from jobqueue.monitoring import set_aside as counting

PATIENCE = 0.25
"""Seconds that a page waits for a store which hangs: most answer in a hundredth of that."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence, and where there is more about it; an empty address if there is not."""

    text: str
    url: str = ""


def on_index(request: HttpRequest) -> list[Notice]:
    """What this user may know of it, within PATIENCE; nothing is asked for one who may look at neither."""
    sees_jobs = request.user.has_perm("jobqueue.view_job")
    sees_queues = request.user.has_perm("jobqueue.view_queue")
    if not (sees_jobs or sees_queues):
        return []
    said = counting.finish(counting.begin_on_page(), within=PATIENCE)
    found = []
    if not said.has_redis:
        found.append(Notice(_("Redis does not answer the job queue for now."), _page(request, "queue")))
    if sees_queues and said.warning:
        found.append(Notice(said.warning, _page(request, "queue")))
    if sees_jobs and (text := set_aside.counted_text(said.counts)):
        found.append(Notice(_("Set aside: %(counts)s") % {"counts": text}, _page(request, "setasidejob")))
    return found


def _page(request: HttpRequest, model: str) -> str:
    """Its list, unless this admin site does without that page."""
    try:
        name = f"admin:jobqueue_{model}_changelist"
        return reverse(name, current_app=getattr(request, "current_app", None))
    except NoReverseMatch:
        return ""
