"""What the job queue itself finds wrong, in words, for who may see the page that cures it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings as django_settings
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobqueue.admin import set_aside
from jobqueue.admin.findings import Finding, lists_finding
from jobqueue.conf import get_settings
from jobqueue.counts.signs import LATELY, MOST_COUNTED, SOON, USUALLY, Sign
from jobqueue.models import Attempt, Cause, Job, JobQuerySet, ProcessorLimits
from jobqueue.models.unknown import known_to_none
from jobqueue.monitoring.overview import Overview, QueueNow
from jobqueue.operating.reading import shown_text
from jobqueue.operating.words import absolute, grouped, printable, span
from jobqueue.registry import all_processors

UNKNOWN, NOT_MUTED, TO_RETRY = "unknown", "not_muted", "to_retry"
"""What the list of jobs calls, in its address, those that the overview counts."""
_FEWEST_FAILURES = 5
"""Fewer failures in an hour are no finding: the list of failed jobs tells of them."""
_MOST_NAMED = 5
_UNUSUAL = 3
"""So many times the usual number of failures in an hour is too many."""


def findings_of_queues(seen: Overview, request: HttpRequest) -> Iterator[Finding]:
    """What is wrong with stores, queues and jobs."""
    sees_jobs = request.user.has_perm("jobqueue.view_job")
    sees_queues = request.user.has_perm("jobqueue.view_queue")
    yield from _stores(seen, request, sees_queues=sees_queues)
    yield from _workers(seen, request)
    for queue in seen.queues.values():
        finding = _of_queue(queue, seen, request)
        if finding is not None:
            yield finding
    if sees_jobs:
        yield from _jobs(seen, request)


def page(request: HttpRequest, model: str, **query: str) -> str:
    """The list of a model, unless this admin site does without that page."""
    try:
        name = f"admin:jobqueue_{model}_changelist"
        url = reverse(name, current_app=getattr(request, "current_app", None))
    except NoReverseMatch:
        return ""
    return f"{url}?{urlencode(query)}" if query else url


def number(count: int) -> str:
    """A number that was counted no further than MOST_COUNTED."""
    return f"{grouped(MOST_COUNTED)}+" if count > MOST_COUNTED else grouped(count)


# Stores -----------------------------------------------------------------------------------------------


def _stores(seen: Overview, request: HttpRequest, *, sees_queues: bool) -> Iterator[Finding]:
    for using in seen.away:
        text = _("The database %(alias)s does not answer.") % {"alias": using}
        cure = _("Its jobs wait, and what is shown leaves them out. They go on as soon as it is there.")
        yield Finding(100, text, cure=cure)
    for using in seen.read_only:
        text = _("The database %(alias)s takes no changes.") % {"alias": using}
        cure = _(
            "It is read-only: until that is over none of its jobs can be run, and nothing in it changed."
        )
        yield Finding(100, text, cure=cure)
    queues = page(request, "queue")
    if not seen.has_redis:
        text = _("Redis does not answer the job queue for now.")
        cure = _(
            "Due jobs wait in the database; none is lost, and they go out as soon as it answers. "
            "See whether the server at the address in RQ_QUEUES runs, and what the log of the workers says."
        )
        yield Finding(99, text, queues, seen.redis_silent_since, cure)
    if sees_queues and seen.warning:
        yield Finding(95, seen.warning, queues)


# Workers ----------------------------------------------------------------------------------------------


def _workers(seen: Overview, request: HttpRequest) -> Iterator[Finding]:
    """That none is alive, whether or not a job is due already; else which queues nobody would serve."""
    if seen.alive == 0:
        yield Finding(101, _("No worker is alive."), page(request, "worker"), cure=_start_one(seen))
    elif seen.alive and (idle := [queue.name for queue in seen.queues.values() if _is_unserved(queue)]):
        text = _("No worker serves %(queues)s: nothing is due there now.") % {"queues": _named(idle)}
        cure = _("What comes there waits. Start one: %(command)s") % {"command": _command(idle)}
        yield Finding(45, text, page(request, "worker"), cure=cure)


def _start_one(seen: Overview) -> str:
    due = [queue for queue in seen.queues.values() if queue.is_configured and queue.counts.waiting]
    held = sum(queue.counts.waiting for queue in due)
    start = _("Start one: %(command)s") % {"command": _command(list(django_settings.RQ_QUEUES))}
    if not held:
        return _("What comes due waits; nothing is lost. %(start)s") % {"start": start}
    oldest = min((queue.oldest for queue in due if queue.oldest is not None), default=seen.now)
    text = ngettext(
        "%(number)s job waits, for %(time)s; it is not lost. %(start)s",
        "%(number)s jobs wait, the oldest for %(time)s; none is lost. %(start)s",
        held,
    )
    return text % {"number": grouped(held), "time": span(seen.now - oldest), "start": start}


def _is_unserved(queue: QueueNow) -> bool:
    """Whether nobody serves a queue on which nothing is due; one with due jobs has a finding of its own."""
    return queue.is_configured and not (queue.workers or queue.quiet or queue.counts.waiting)


def _command(queues: list[str]) -> str:
    return f"manage.py rqworker {' '.join(queues)}"


def _named(queues: list[str]) -> str:
    """The first of them by their names, and how many there are besides."""
    more = len(queues) - _MOST_NAMED
    names = ", ".join(map(printable, queues[:_MOST_NAMED]))
    return _("%(names)s and %(number)s more") % {"names": names, "number": more} if more > 0 else names


# Queues -----------------------------------------------------------------------------------------------


def _of_queue(queue: QueueNow, seen: Overview, request: HttpRequest) -> Finding | None:
    """The weightiest that is wrong with it."""
    if queue.counts.waiting and queue.decided.is_paused_at(seen.now):
        return _paused(queue, request)
    if not queue.is_configured:
        return _not_configured(queue, request)
    if seen.alive == 0:
        return None  # it is said of all queues at once
    if queue.counts.waiting and not queue.workers:
        return _no_worker(queue, request)
    late = timedelta(seconds=queue.decided.late_after or get_settings().late_after)
    if queue.oldest is not None and seen.now - queue.oldest > late and queue.counts.waiting:
        return _late(queue, seen, request)
    return None


def _jobs_of(queue: QueueNow, request: HttpRequest) -> str:
    return page(request, "job", queue=queue.name, state="waiting")


def _paused(queue: QueueNow, request: HttpRequest) -> Finding:
    held = queue.counts.waiting
    text = ngettext(
        "%(queue)s is paused and holds %(number)s job.",
        "%(queue)s is paused and holds %(number)s jobs.",
        held,
    ) % {"queue": printable(queue.name), "number": grouped(held)}
    who, why = printable(queue.decided.paused_by), shown_text(queue.decided.pause_reason, request)
    parts = [_("Paused by %(name)s") % {"name": who}] if who else []
    quoted = [_("“%(text)s”") % {"text": why}] if why else []
    parts = [": ".join([*parts, *quoted]) + "."] if who or why else []
    if queue.decided.paused_until:
        parts.append(_("It ends by itself at %(time)s.") % {"time": absolute(queue.decided.paused_until)})
    else:
        parts.append(_("Resume it to let them run."))
    return Finding(70, text, page(request, "queue"), queue.decided.paused_at, " ".join(parts))


def _not_configured(queue: QueueNow, request: HttpRequest) -> Finding | None:
    held = queue.counts.waiting + queue.counts.delayed
    if not held:
        return None
    text = ngettext(
        "RQ_QUEUES has no queue %(queue)s, on which %(number)s job waits.",
        "RQ_QUEUES has no queue %(queue)s, on which %(number)s jobs wait.",
        held,
    ) % {"queue": printable(queue.name), "number": grouped(held)}
    cure = _("Add it again until it is empty, or move its jobs to another queue.")
    return Finding(88, text, _jobs_of(queue, request), queue.oldest, cure)


def _no_worker(queue: QueueNow, request: HttpRequest) -> Finding:
    held = queue.counts.waiting
    text = ngettext(
        "%(number)s job waits on %(queue)s, and no worker serves it.",
        "%(number)s jobs wait on %(queue)s, and no worker serves it.",
        held,
    ) % {"queue": printable(queue.name), "number": grouped(held)}
    command = _command([queue.name])
    cure = _("Start one: %(command)s") % {"command": command}
    if queue.quiet:
        text = ngettext(
            "%(number)s job waits on %(queue)s, and every worker that serves it is quiet or ending.",
            "%(number)s jobs wait on %(queue)s, and every worker that serves it is quiet or ending.",
            held,
        ) % {"queue": printable(queue.name), "number": grouped(held)}
        cure = _("Let one claim again, or start another: %(command)s") % {"command": command}
    return Finding(90, text, page(request, "worker"), queue.oldest, cure)


def _late(queue: QueueNow, seen: Overview, request: HttpRequest) -> Finding:
    assert queue.oldest is not None
    text = _("The oldest due job of %(queue)s has waited for %(time)s, of %(number)s that wait.") % {
        "queue": printable(queue.name),
        "time": span(seen.now - queue.oldest),
        "number": grouped(queue.counts.waiting),
    }
    if queue.decided.rate_limit is not None or queue.decided.concurrency_limit is not None:
        cure = _("The queue is limited: see whether its limits are too low, or add workers.")
    elif limited := limited_processors(queue, seen):
        cure = _("Processors of it are limited (%(names)s): see whether their limits are too low.") % {
            "names": ", ".join(printable(row.name) for row in limited[:_MOST_NAMED])
        }
    else:
        cure = _("Add workers, or look at what keeps those there are.")
    return Finding(60, text, _jobs_of(queue, request), queue.oldest, cure)


def limited_processors(queue: QueueNow, seen: Overview) -> list[ProcessorLimits]:
    """The processors with limits whose jobs go to this queue."""
    names = {each.name for each in all_processors() if each.queue == queue.name} if seen.processors else set()
    return [row for row in seen.processors if row.name in names]


# Jobs -------------------------------------------------------------------------------------------------


@lists_finding(UNKNOWN, gettext_lazy("jobs that no worker knows"))
def jobs_that_no_worker_knows(jobs: JobQuerySet) -> JobQuerySet:
    """Those that are counted as unknown."""
    return known_to_none(jobs)


@lists_finding(NOT_MUTED, gettext_lazy("failed jobs of causes that are not muted"))
def jobs_whose_failures_count(jobs: JobQuerySet) -> JobQuerySet:
    """Those that are counted as failed: of a muted cause none is."""
    muted = Cause.objects.using(jobs.db).filter(muted_at__isnull=False).values("name")
    return jobs.failed().exclude(cause__in=muted)


@lists_finding(TO_RETRY, gettext_lazy("jobs that are soon to be retried after an error"))
def jobs_to_retry(jobs: JobQuerySet) -> JobQuerySet:
    """Those that a tile counts as to be retried."""
    soon = jobs.filter(state=Job.State.WAITING, run_at__gt=Now(), run_at__lte=Now() + SOON)
    last = Attempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt") - 1, is_retried=True)
    return soon.filter(Exists(last), published_at=None, attempt__gt=1)


def _jobs(seen: Overview, request: HttpRequest) -> Iterator[Finding]:
    if seen.stuck.number:
        text = ngettext(
            "%(number)s job is stuck: its worker is gone, or its time is up.",
            "%(number)s jobs are stuck: their worker is gone, or their time is up.",
            seen.stuck.number,
        ) % {"number": number(seen.stuck.number)}
        cure = _("Any worker brings them back within half a minute; put them back by hand where none is.")
        yield Finding(80, text, page(request, "stuckjob"), seen.stuck.since, cure)
    yield from _failures(seen, request)
    if seen.unknown.number:
        text = ngettext(
            "No worker can run %(number)s job: its code is missing there, or refuses the payload.",
            "No worker can run %(number)s jobs: their code is missing there, or refuses the payload.",
            seen.unknown.number,
        ) % {"number": number(seen.unknown.number)}
        cure = _("Deploy the code that knows them, or cancel them.")
        yield Finding(65, text, page(request, "job", finding=UNKNOWN), seen.unknown.since, cure)
    if seen.held_late.number:
        yield _held(seen, request)
    if text := set_aside.counted_text(seen.aside):
        cure = _("Nobody can work on it until somebody has mended it and puts it back.")
        yield Finding(
            50, _("Set aside: %(counts)s") % {"counts": text}, page(request, "setasidejob"), None, cure
        )


def _held(seen: Overview, request: HttpRequest) -> Finding:
    late, held = seen.held_late.number, seen.held_late.number + seen.held.number
    text = ngettext(
        "%(held)s jobs are held, and %(late)s of them is past its time.",
        "%(held)s jobs are held, and %(late)s of them are past their time.",
        late,
    )
    if held == late:
        text = ngettext(
            "%(held)s job is held and past its time.", "%(held)s jobs are held and past their time.", held
        )
    cure = _("They do not run until somebody releases them; cancel what is no longer to run.")
    shown = text % {"held": number(held), "late": number(late)}
    return Finding(55, shown, page(request, "job", state="held"), seen.held_late.since, cure)


def _failures(seen: Overview, request: HttpRequest) -> Iterator[Finding]:
    failed = sum((queue.failed for queue in seen.queues.values()), Sign())
    usual = usual_failures(seen)
    if failed.number < _FEWEST_FAILURES or failed.number <= _UNUSUAL * usual:
        return
    text = ngettext(
        "%(number)s job failed within the last hour; about %(usual)s are usual.",
        "%(number)s jobs failed within the last hour; about %(usual)s are usual.",
        failed.number,
    )
    if seen.has_muted:
        text = ngettext(
            "%(number)s job of causes that are not muted failed within the last hour;"
            " about %(usual)s are usual.",
            "%(number)s jobs of causes that are not muted failed within the last hour;"
            " about %(usual)s are usual.",
            failed.number,
        )
    text = text % {"number": number(failed.number), "usual": grouped(round(usual))}
    cure = _("See what caused them, then retry them by cause, or mute a cause that is known.")
    yield Finding(75, text, page(request, "cause", age="hour"), failed.since, cure)


def usual_failures(seen: Overview) -> float:
    """How many jobs of causes that are not muted fail in an hour usually: of the day before the last hour.

    The hours of the charts know also what was retried, discarded or pruned since, and know no causes; the
    rows that are failed still know how many of them are of muted ones, and tell where nothing was counted.
    """
    still, muted = seen.usual.number, seen.usual_muted.number
    since = min(filter(None, (seen.usual.since, seen.usual_muted.since)), default=None)
    is_cut = still + muted > MOST_COUNTED and since is not None
    length = (seen.now - LATELY - since) if is_cut and since is not None else USUALLY
    of_an_hour = 3600 / max(1.0, length.total_seconds())
    counted = seen.counted * 3600 / USUALLY.total_seconds()
    return max(still * of_an_hour, counted - muted * of_an_hour)
