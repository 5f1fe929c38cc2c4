"""What is set aside, gathered for one list: rows of every database, messages and keys of every Redis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import PAGE_VAR
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext

from jobqueue import masking
from jobqueue.admin import on_every_page
from jobqueue.admin.keyed_list import Way, ways_of
from jobqueue.admin.payloads import shown_payload
from jobqueue.admin.set_aside_list import InRedis, SetAsidePages
from jobqueue.admin.words import mask_addresses, time_tag
from jobqueue.broker import set_aside
from jobqueue.broker.connections import clients
from jobqueue.exceptions import BrokerUnavailable, JobTransitionRefused
from jobqueue.models import Job, alias_of, guards
from jobqueue.monitoring import set_aside as counting
from jobqueue.operating.audit import log_change, log_change_in_redis
from jobqueue.operating.audit_entry import because
from jobqueue.operating.reading import shown_text
from jobqueue.operating.words import grouped, printable
from jobqueue.sql.clock import about_now
from jobqueue.sql.databases import databases
from jobqueue.sql.read_only import sentence, why_not_written
from jobqueue.sql.writing import writing

PAGE = 100
_JOB_ID = re.compile(r"-?\d{1,19}", re.ASCII)
_LONGEST_CONTENT = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list; by `choice` it is put back."""

    kind: str
    name: str
    label: str
    url: str
    queue: str
    reason: str
    since: SafeString | str
    content: str

    @property
    def shown_kind(self) -> str:
        """What it is, in a word."""
        known = {counting.JOB: gettext("job"), counting.MESSAGE: gettext("message")}
        return known.get(self.kind, gettext("key"))

    @property
    def choice(self) -> str:
        """What a button or a box of this line sends."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class SetAsideList:
    """The lines of one page, the ways to the others, and the stores that did not answer."""

    entries: list[Entry]
    notices: list[str]
    ways: list[Way]


def gather(request: HttpRequest, site: AdminSite) -> SetAsideList:
    """A page of everything that is set aside."""
    told: dict[str, None] = {}

    def away(using: str, error: Exception) -> None:
        told[_away_text(using, error)] = None

    for using in databases():
        try:
            if why := why_not_written(using):
                told[f"{capfirst(sentence(using, why))}."] = None
        except (DatabaseError, InterfaceError) as error:
            away(using, error)
    page = SetAsidePages(away, PAGE).page(request.GET.get(PAGE_VAR, ""))
    entries = [
        _in_redis(row) if isinstance(row, InRedis) else _of_job(row, request, site) for row in page.rows
    ]
    labels = (gettext("First"), gettext("Previous"), gettext("Next"), gettext("Last"))
    ways = ways_of(page, labels, lambda place: f"?{urlencode({PAGE_VAR: place})}" if place else "?")
    return SetAsideList(entries, list(told), list(ways))


def _away_text(using: str, error: Exception) -> str:
    if not using:
        return gettext("Redis cannot be reached: which messages and keys are set aside is unknown.")
    text = gettext("The database %(name)s cannot be reached: %(error)s.")
    return text % {"name": using, "error": type(error).__name__}


def _of_job(job: Job, request: HttpRequest, site: AdminSite) -> Entry:
    using = alias_of(job)
    is_here = using == Job.objects.db
    return Entry(
        kind=counting.JOB,
        name=f"{using}:{job.pk}",
        label=f"#{job.pk} {printable(job.processor)}",
        url=reverse(f"{site.name}:jobqueue_job_change", args=[job.pk]) if is_here else "",
        queue=printable(job.queue),
        reason=shown_text(job.set_aside, request),
        since=time_tag(job.finished_at or job.created_at, about_now()),
        # Lists are looked at over shoulders: its page shows it in full, to who may read it.
        content=mask_addresses(" ".join(shown_payload(job, request).split()))[:_LONGEST_CONTENT],
    )


def _in_redis(row: InRedis) -> Entry:
    known = row.known
    return Entry(
        kind=known.kind,
        name=f"{row.server}:{known.name}",
        label=printable(known.name),
        url="",
        queue=printable(known.queue),
        reason=printable(mask_addresses(known.reason)),
        since=time_tag(known.since, about_now()),
        content=printable(mask_addresses(known.content))[:_LONGEST_CONTENT],
    )


def notice(request: HttpRequest, site: AdminSite) -> dict[str, str] | None:
    """What other pages say of it: how much there is, and where; None where nothing is, or nobody may look."""
    if not request.user.has_perm("jobqueue.view_job"):
        return None
    text = counted_text(counting.counts(on_every_page.set_aside(request)))
    return {"text": text, "url": reverse(f"{site.name}:jobqueue_setasidejob_changelist")} if text else None


def counted_text(counts: dict[str, int]) -> str:
    """How much there is of each kind, in words; empty if nothing is."""
    found = {kind: count for kind, count in counts.items() if count}
    return ", ".join(_counted(kind, count) for kind, count in found.items())


def _counted(kind: str, count: int) -> str:
    if kind == counting.JOB:
        text = ngettext("%(number)s job", "%(number)s jobs", count)
    elif kind == counting.MESSAGE:
        text = ngettext("%(number)s message", "%(number)s messages", count)
    else:
        text = ngettext("%(number)s key", "%(number)s keys", count)
    return text % {"number": grouped(count)}


def put_back(choice: str, request: HttpRequest, reason: str) -> str:
    """Put back what a line of the list stands for, and write it down; why not, if it is not done."""
    kind, _colon, name = choice.partition(":")
    store, _colon, name = name.partition(":")
    if kind == counting.JOB:
        return _put_job_back(store, name, request, reason)
    servers = clients("probe")
    if store not in map(str, range(len(servers))):
        return gettext("There is nothing of that name.")
    try:
        why_not = set_aside.put_back(servers[int(store)], kind, name)
    except BrokerUnavailable:
        return gettext("Redis cannot be reached.")
    if not why_not:
        log_change_in_redis(request, choice, because("Put back: set aside → as it was", reason))
    return why_not


def _put_job_back(using: str, name: str, request: HttpRequest, reason: str) -> str:
    if using not in databases() or not _JOB_ID.fullmatch(name):
        return gettext("There is no such job.")
    try:
        with writing(using):
            rows = Job.objects.using(using).set_aside().filter(pk=int(name))
            if (seen := guards.guarded(rows).first()) is not None:
                guards.ask(seen, using)
            job = rows.select_for_update().first()
            if job is None:
                return gettext("It is not set aside any more.")
            text = f"Put back: set aside ({masking.mask_addresses(job.set_aside)}) → waiting"
            if not rows.retry_all():
                job.retry()
            log_change(request, job, because(text, reason))
    except JobTransitionRefused as error:
        return str(error)
    except (OperationalError, InterfaceError):
        return gettext("The database cannot be reached.")
    return ""
