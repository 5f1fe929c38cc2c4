"""What happened, and will, around one record: its jobs and what operators did, for the page of another app.

    from jobqueue.admin import happenings_about

    happenings = happenings_about(invoice, request, site, also={"shop.refund": ["7", "8"]})

The jobs are those about the record; `also` names further records, by label and keys, whose changes by
operators belong to the same story. An action on many jobs is one line, be it of a list or in the background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.admin import AdminSite
from django.db import models
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from jobqueue.admin.listing import listed, state_of
from jobqueue.admin.panel import MOST_JOBS, jobs_about, kind_of
from jobqueue.admin.subjects import page_of_object
from jobqueue.admin.ways import address_of
from jobqueue.admin.words import badge
from jobqueue.models import AuditEntry, BulkAction, Job, subject_of
from jobqueue.models.audit import entries_about
from jobqueue.models.holding import due_time
from jobqueue.operating.audit_entry import is_about_jobs
from jobqueue.operating.kinds import name_of
from jobqueue.operating.reading import shown_text
from jobqueue.operating.retelling import kind_of_several, retold_beside, retold_verb, told_reason
from jobqueue.operating.words import grouped
from jobqueue.sql.clock import about_now

MOST_ACTIONS = 100
_MOST_LOOKED_THROUGH = 200
"""So many of the latest actions on lists of jobs are looked through for jobs about the record."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line: when, what (with its page, if there is one to be seen), who, how it stands, and why."""

    at: datetime
    what: str
    url: str = ""
    who: str = ""
    state: SafeString | str = ""
    detail: str = ""
    job: Job | None = None
    is_by_operator: bool = False
    """Whether it stands in the audit, as something done to one record or to chosen jobs."""


@dataclass(frozen=True, slots=True)
class Happenings:
    """The lines, in no order. What happened before `since` may be missing; None where nothing is."""

    rows: list[Happening]
    now: datetime
    since: datetime | None = None
    jobs_url: str = ""


def happenings_about(
    record: models.Model,
    request: HttpRequest,
    site: AdminSite,
    *,
    also: Mapping[str, Sequence[str]] | None = None,
) -> Happenings:
    """The record's jobs, as far as the user may see jobs, and what operators did to it, them and others.

    It takes at most four queries; none again for the jobs that the panel below the form has read.
    """
    may_see = request.user.has_perm("jobqueue.view_job")
    subject = subject_of(record)
    found = jobs_about(subject, request) if may_see else []
    jobs, rest = _shown(found, subject)
    records = {record._meta.label_lower: [str(record.pk)], **(also or {})}
    entries = entries_about(records, jobs, MOST_ACTIONS + 1, _MOST_LOOKED_THROUGH)
    bounds = [job.created_at for job in rest] + [entry.at for entry in entries[MOST_ACTIONS:]]
    url = address_of(Job, "changelist", site=site, q=subject) if may_see else ""
    rows = [
        *(_of_job(job, request, site) for job in jobs),
        *(_of_entry(entry, record, request, site) for entry in entries[:MOST_ACTIONS]),
        *_of_bulk_actions(jobs, request, site),
    ]
    now = listed(jobs[0]).now if jobs else about_now()
    return Happenings(rows, now, max(bounds, default=None), url)


def _shown(found: Sequence[Job], subject: str) -> tuple[list[Job], list[Job]]:
    """The newest jobs and all that are still to come; and the first of those that are left out."""
    shown, rest = list(found[:MOST_JOBS]), list(found[MOST_JOBS : MOST_JOBS + 1])
    if rest:
        # Planned long ago, and to come: older than what has happened since.
        ahead = Job.objects.about(subject).unfinished().filter(pk__lt=shown[-1].pk).order_by("run_at")
        for job in ahead[:MOST_JOBS]:
            vars(job)["_listed"] = listed(shown[-1])
            shown.append(job)
    return shown, rest


def _of_job(job: Job, request: HttpRequest, site: AdminSite) -> Happening:
    return Happening(
        at=_moment_of(job),
        what=shown_text(name_of(job.processor, kind_of(job)), request),
        url=address_of(Job, "change", job.pk, site=site),
        who=gettext("job #%(number)s") % {"number": job.pk},
        state=badge(state_of(job)),
        detail=shown_text(told_reason(job), request),
        job=job,
    )


def _moment_of(job: Job) -> datetime:
    """When it runs, since when it runs, or when it ended."""
    if job.state == Job.State.WAITING:
        return due_time(job)
    moment = job.started_at if job.state == Job.State.ACTIVE else job.finished_at
    return moment or job.created_at


def _of_entry(entry: AuditEntry, record: models.Model, request: HttpRequest, site: AdminSite) -> Happening:
    if (entry.object_type, entry.object_id) == (record._meta.label_lower, str(record.pk)):
        url = about = ""  # it is the page that is looked at
    elif entry.object_id:
        url = page_of_object(entry.object_type, entry.object_id, request, site)
        about = entry.object_name
    elif not is_about_jobs(entry.object_type):
        url = about = ""  # the text names them
    else:
        url = address_of(Job, "changelist", site=site, audit=str(entry.pk))
        about = ngettext("%(n)s job", "%(n)s jobs", entry.jobs) % {"n": grouped(entry.jobs)}
    text = retold_beside(entry.verb, shown_text(entry.text, request), kind_of_several(entry)).rstrip(".")
    reason, verb = shown_text(entry.reason, request), retold_verb(entry.verb)
    return Happening(
        at=entry.at,
        what=f"{verb}: {shown_text(about, request)}" if about else verb,
        url=url,
        who=entry.who,
        is_by_operator=True,
        detail=" – ".join(part for part in (text, reason) if part),
    )


def _of_bulk_actions(jobs: Iterable[Job], request: HttpRequest, site: AdminSite) -> Iterable[Happening]:
    """One line an action, however many of these jobs it changed."""
    numbers = Counter(job.bulk_action for job in jobs if job.bulk_action)
    actions = BulkAction.objects.in_bulk(list(numbers)) if numbers else {}
    for number, action in actions.items():
        changed = max(action.changed, numbers[number])
        said = ngettext(
            "about this: %(n)s of the %(all)s job that it changed",
            "about this: %(n)s of the %(all)s jobs that it changed",
            changed,
        ) % {"n": grouped(numbers[number]), "all": grouped(changed)}
        reason = shown_text(action.reason, request)
        yield Happening(
            at=action.began_at or action.asked_at,
            what=gettext("Bulk action: %(what)s") % {"what": action},
            url=page_of_object(action._meta.label_lower, str(number), request, site),
            who=action.asked_by,
            detail=" – ".join(part for part in (said, reason) if part),
        )
