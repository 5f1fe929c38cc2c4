"""What became of the jobs that a bulk action changed: how many are in which state now, with their lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse

from jobqueue.admin.words import state_label
from jobqueue.models import BulkAction, Job
from jobqueue.operating.words import grouped
from jobqueue.searching import CONDITIONS, Search, Word

MOST_COUNTED = 10_000
_WORDS = ("waiting", "delayed", "active", "completed", "failed", "cancelled")
"""Each job is in one of these."""


@dataclass(frozen=True, slots=True)
class InState:
    """How many are in a state now, and the list of them."""

    number: str
    label: str
    url: str


def shown(action: BulkAction, request: HttpRequest, site: AdminSite) -> dict[str, Any]:
    """The list of exactly its jobs, and how many are in which state: of the first MOST_COUNTED. One query."""
    if not request.user.has_perm("jobqueue.view_job"):
        return {}
    changed = Job.objects.filter(bulk_action=action.pk).order_by("pk").values("pk")
    counts = {word: Count("pk", filter=CONDITIONS[word]) for word in _WORDS}
    found = Job.objects.filter(pk__in=changed[:MOST_COUNTED]).order_by().aggregate(**counts)
    number = sum(found.values())
    if not number:
        return {}
    is_cut = number == MOST_COUNTED and action.changed > MOST_COUNTED
    states = [
        InState(grouped(found[word]), str(state_label(word)), _list(site, action, word))
        for word in _WORDS
        if found[word]
    ]
    return {"url": _list(site, action), "states": states, "cut_at": grouped(MOST_COUNTED) if is_cut else ""}


def _list(site: AdminSite, action: BulkAction, state: str = "") -> str:
    search = Search((Word("bulk", str(action.pk)),))
    query = {SEARCH_VAR: str(search), **({"state": state} if state else {})}
    return reverse(f"{site.name}:jobqueue_job_changelist", query=query)
