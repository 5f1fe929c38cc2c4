"""What became of the jobs that a bulk action changed: how many are in which state now, with their lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Count, Exists, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from jobqueue.admin import live
from jobqueue.admin.words import state_label
from jobqueue.models import BulkAction, Job
from jobqueue.models.bulk_verbs import BulkVerb
from jobqueue.operating.words import grouped
from jobqueue.searching import CONDITIONS, PART_OF, Search, Word

MOST_COUNTED = 10_000
SOON = timedelta(minutes=5)
"""A delayed job that is due by then is waited for as one that waits."""
SELDOM_SECONDS = 60
"""So often is looked whether jobs that are due later run, and whether those that are held are released."""
_WORDS = ("waiting", "delayed", "held", "active", "completed", "skipped", "failed", "cancelled")
"""Each job is in one of these, if what is a part of another is not counted there too."""
_PARTS = {word: PART_OF[word] for word in _WORDS if word in PART_OF}


@dataclass(frozen=True, slots=True)
class InState:
    """How many are in a state now, and the list of them; none where there are none."""

    number: str
    label: str
    url: str


def shown(action: BulkAction, request: HttpRequest, site: AdminSite, now: datetime) -> dict[str, Any]:
    """The list of exactly its jobs, and how many are in which state: of the first MOST_COUNTED. One query.

    `seconds`: how often is looked whether these numbers are others; 0 once no job is to run any more.
    """
    if not request.user.has_perm("jobqueue.view_job"):
        return {}
    found = _counted(action, now)
    for part, whole in _PARTS.items():
        found[whole] -= found[part]
    number = sum(found[word] for word in _WORDS)
    gone = _gone(action, number)
    if not number and not gone:
        return {}
    is_cut = number == MOST_COUNTED and action.changed > MOST_COUNTED
    return {
        "url": _list(site, action) if number else "",
        "gone": gone,
        "states": [_in_state(site, action, word, found) for word in _WORDS if _is_told(word, found)],
        "cut_at": grouped(MOST_COUNTED) if is_cut else "",
        "seconds": _seconds(found),
        "go_on": _go_on(found),
    }


def _gone(action: BulkAction, number: int) -> str:
    """What is said of those that it changed and that point to it no more: a row knows its last action alone.

    Empty where it deleted them itself, and where not all were counted.
    """
    gone = action.changed - number
    if action.verb == BulkVerb.DELETE or number >= MOST_COUNTED or gone <= 0:
        return ""
    text = ngettext(
        "%(n)s of the %(all)s that it changed was changed by another bulk action since, or is deleted.",
        "%(n)s of the %(all)s that it changed were changed by another bulk action since, or are deleted.",
        gone,
    )
    return text % {"n": grouped(gone), "all": grouped(action.changed)}


def _counted(action: BulkAction, now: datetime) -> dict[str, int]:
    """How many of the first MOST_COUNTED are in each state, and how many run soon."""
    due_soon = (Q(state=Job.State.WAITING) & (Q(published_at__isnull=False) | Q(run_at__lte=now + SOON))) | Q(
        state=Job.State.ACTIVE
    )
    changed = Job.objects.filter(bulk_action=action.pk)
    by_number = changed.order_by("pk").values("pk")
    counts = {word: Count("pk", filter=CONDITIONS[word]) for word in _WORDS}
    counts["soon"] = Count("pk", filter=due_soon)
    if action.changed > MOST_COUNTED:
        # Asked of no row: each is counted if there is such a job behind them.
        counts["others_soon"] = Count("pk", filter=Exists(changed.filter(due_soon)))
    return Job.objects.filter(pk__in=by_number[:MOST_COUNTED]).order_by().aggregate(**counts)


def _seconds(found: Mapping[str, int]) -> int:
    if found["soon"] or found.get("others_soon"):
        return live.SECONDS
    return SELDOM_SECONDS if found["delayed"] or found["held"] else 0


def _go_on(found: Mapping[str, int]) -> bool:
    """Whether any of them is to run by itself: what is held waits for somebody."""
    return bool(found["soon"] or found.get("others_soon") or found["delayed"])


def _is_told(word: str, found: Mapping[str, int]) -> bool:
    """Whether there are such jobs; "0 completed" too, where all that are completed are told apart."""
    return bool(found[word] or (word == "completed" and found["skipped"]))


def _in_state(site: AdminSite, action: BulkAction, word: str, found: Mapping[str, int]) -> InState:
    apart = [part for part, whole in _PARTS.items() if whole == word and found[part]]
    url = _list(site, action, word, apart) if found[word] else ""
    return InState(grouped(found[word]), _label(action, word), url)


def _label(action: BulkAction, word: str) -> str:
    """The state; of jobs that had failed, and were retried, that they failed again."""
    if word == "failed" and action.verb == BulkVerb.RETRY and not action.is_listed:
        return gettext("failed again")
    return str(state_label(word))


def _list(site: AdminSite, action: BulkAction, state: str = "", apart: list[str] | None = None) -> str:
    without = [Word("state", word, negated=True) for word in apart or []]
    search = Search((Word("bulk", str(action.pk)), *without))
    query = {SEARCH_VAR: str(search), **({"state": state} if state else {})}
    return reverse(f"{site.name}:jobqueue_job_changelist", query=query)
