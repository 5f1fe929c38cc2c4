"""What operators did: who, what, when and why, the latest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext

from jobqueue.admin import audit_rows
from jobqueue.admin.bounded_search import shorten
from jobqueue.admin.own_pages import OnePage
from jobqueue.admin.subjects import page_of_object
from jobqueue.admin.words import time_tag
from jobqueue.models import AuditEntry
from jobqueue.models.audit import known_values
from jobqueue.operating.audit_entry import is_about_jobs
from jobqueue.operating.audit_numbers import Jobs, with_jobs
from jobqueue.operating.audit_questions import ASKED, question
from jobqueue.operating.reading import shown_text
from jobqueue.operating.retelling import kind_of_several, retold_beside, retold_verb
from jobqueue.operating.retelling_names import retold_name
from jobqueue.operating.words import grouped
from jobqueue.sql.clock import about_now

BEFORE, AFTER = "before", "after"
_MOST_CHOICES = 200
_MOST_RECENT = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One action as the page shows it; `text` says more than the verb, or nothing.

    Each address is empty where there is no page that the user may see.
    """

    at: SafeString | str
    who: str
    verb: str
    text: str
    reason: str
    about: str
    about_url: str
    kind: str
    number: int
    jobs: str
    jobs_url: str


@admin.register(AuditEntry)
class AuditAdmin(OnePage):
    """Every action of an operator, by person, verb, day and object."""

    view_permission = "jobqueue.view_audit"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A page of them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shorten(request)
        words = request.GET.dict()
        asked = question(words)
        found = audit_rows.read(asked, words.get(BEFORE, ""), words.get(AFTER, ""))
        chosen = {name: words[name] for name in ASKED if words.get(name) and "\x00" not in words[name]}
        now = about_now()
        context = {
            "rows": _all_shown(found.entries, now, request, self.admin_site),
            "problem": asked.problem,
            "asked": chosen,
            "older": urlencode({**chosen, BEFORE: found.older}) if found.older else "",
            "newer": urlencode({**chosen, AFTER: found.newer}) if found.newer else "",
            **_choices(chosen),
            **(extra_context or {}),
        }
        return self.page(request, "audit.html", context)


def recent_actions(request: HttpRequest) -> dict[str, Any]:
    """What this user did last, one row an action; and the way to what everybody did, for who may read it."""
    site = admin.site
    entries = AuditEntry.objects.filter(who=request.user.get_username()).defer("job_ids").order_by("-pk")
    now = about_now()
    pages = site.is_registered(AuditEntry) and site.get_model_admin(AuditEntry)
    may_see_all = bool(pages and pages.has_view_permission(request))
    return {
        "rows": _all_shown(entries[:_MOST_RECENT], now, request, site),
        "all_url": reverse(f"{site.name}:jobqueue_auditentry_changelist") if may_see_all else "",
    }


def _all_shown(
    entries: Iterable[AuditEntry], now: datetime, request: HttpRequest, site: AdminSite
) -> list[Row]:
    """The rows; of a bulk action it is said how many of its jobs it changed. One query for all of them."""
    return [_shown(entry, now, request, site, jobs) for entry, jobs in with_jobs(entries)]


def _shown(entry: AuditEntry, now: datetime, request: HttpRequest, site: AdminSite, jobs: Jobs) -> Row:
    return Row(
        at=time_tag(entry.at, now),
        who=entry.who,
        verb=retold_verb(entry.verb),
        text=retold_beside(entry.verb, shown_text(entry.text, request), kind_of_several(entry)),
        reason=shown_text(entry.reason, request),
        about=shown_text(retold_name(entry.object_type, entry.object_name), request),
        about_url=page_of_object(entry.object_type, entry.object_id, request, site),
        kind=_kind(entry.object_type),
        number=jobs.expected,
        jobs=_counted(jobs),
        jobs_url=_jobs_of(entry, request, site),
    )


def _counted(jobs: Jobs) -> str:
    if jobs.changed == jobs.expected:
        return grouped(jobs.changed) if jobs.changed else ""
    return gettext("%(done)s of %(all)s") % {"done": grouped(jobs.changed), "all": grouped(jobs.expected)}


def _jobs_of(entry: AuditEntry, request: HttpRequest, site: AdminSite) -> str:
    """Where the jobs are listed that this action changed; of a bulk action that is its page."""
    if entry.pk and entry.jobs and not entry.object_id and request.user.has_perm("jobqueue.view_job"):
        return reverse(f"{site.name}:jobqueue_job_changelist", query={"audit": entry.pk})
    is_one = is_about_jobs(entry.object_type) or entry.object_type == "jobqueue.bulkaction"
    return page_of_object(entry.object_type, entry.object_id, request, site) if is_one else ""


def _kind(label: str) -> str:
    """What people call records of this model; of one that is gone its name."""
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label.rpartition(".")[2]


def _choices(chosen: Mapping[str, str]) -> dict[str, Any]:
    """What the filters offer, and what is chosen in them."""
    verbs = _and_chosen(known_values("verb", _MOST_CHOICES), chosen.get("verb", ""))
    types = _and_chosen(known_values("object_type", _MOST_CHOICES), chosen.get("type", ""))
    return {
        "people": _and_chosen(known_values("who", _MOST_CHOICES), chosen.get("who", "")),
        "verbs": [(verb, retold_verb(verb)) for verb in verbs],
        "types": [(label, capfirst(_kind(label))) for label in types],
        "queues": _and_chosen(list(django_settings.RQ_QUEUES), chosen.get("queue", "")),
    }


def _and_chosen(names: Any, chosen: str) -> list[str]:
    return list(names) if not chosen or chosen in names else [*names, chosen]
