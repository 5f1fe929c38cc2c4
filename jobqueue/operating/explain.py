"""Why a job is not running, in words: the question operators ask most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.conf import get_settings
from jobqueue.exceptions import UnknownProcessor
from jobqueue.models import (
    OUTAGE_PREFIX,
    SKIPPED_PREFIX,
    Attempt,
    Job,
    Queue,
    Worker,
    alias_of,
)
from jobqueue.models.holding import due_time
from jobqueue.models.unknown import UNKNOWN_AFTER, never_ran, why_unknown
from jobqueue.operating.counted import told_retry
from jobqueue.operating.retelling import retold_reason, told_reason
from jobqueue.operating.retelling_failures import retold_failure
from jobqueue.operating.used_up import used_up_concurrency, used_up_of_processors, used_up_rate
from jobqueue.operating.words import absolute, exact_span, relative, span
from jobqueue.operating.workers import Crew, crews_of_queues, is_silent
from jobqueue.registry import get_processor
from jobqueue.sql.clock import database_now
from jobqueue.sql.tolerant import unreadable

_SOON, _TURNS = 5.0, 3
"""Seconds, and looks of a relay, after which what is due is about to be published no more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the explanation of one job needs to know of the world around it."""

    now: datetime
    is_stuck: bool = False
    is_paused: bool = False
    is_configured: bool = True
    is_registered: bool = True
    workers: int = 1
    quiet: int = 0
    """Living workers that serve its queue and claim nothing: they are quiet, or ending."""
    max_retries: int = 3
    last_error: str = ""
    """The class of the error that the run before ended with; empty if it ended without one."""
    used_up_rate: int | None = None
    """The queue's rate limit, if so many jobs have started just now."""
    used_up_concurrency: int | None = None
    """The queue's concurrency limit, if so many jobs run."""
    processor_rate: int | None = None
    """The processor's rate limit, if so many jobs have started just now."""
    processor_running: tuple[int, int] | None = None
    """How many jobs of the processor run, and its concurrency limit, if that is used up."""
    worker: Worker | None = None


def gather(
    job: Job,
    now: datetime | None = None,
    *,
    is_stuck: bool | None = None,
    last_error: str | None = None,
    decided: Queue | None = None,
) -> Facts:
    """The facts about a job of this moment, by the database's clock: what its state asks for, and no more.

    `now`, `is_stuck`, `last_error` and what is `decided` about its queue are looked up where the caller does
    not know them.
    """
    using = alias_of(job)
    now = now or database_now(using)
    if job.state == Job.State.WAITING:
        last_error = _last_error(job, using) if last_error is None else last_error
        return _of_waiting(job, now, last_error, decided or _decided_about(job.queue), using)
    if is_stuck is None and job.state == Job.State.ACTIVE:
        is_stuck = Job.objects.using(using).stuck().filter(pk=job.pk).exists()
    return Facts(
        now=now,
        is_stuck=bool(is_stuck),
        is_configured=job.queue in django_settings.RQ_QUEUES,
        is_registered=retries_of(job) is not None,
        worker=Worker.objects.using(using).filter(pk=job.worker_id).first() if job.worker_id else None,
    )


def _last_error(job: Job, using: str) -> str:
    failed = Attempt.objects.using(using).filter(job=job, number=job.attempt - 1)
    return failed.values_list("error_class", flat=True).first() or ""


def _decided_about(queue: str) -> Queue:
    """What operators decided about the queue, where the workers look."""
    return Queue.objects.filter(pk=queue).first() or Queue(queue)


def _of_waiting(job: Job, now: datetime, last_error: str, decided: Queue, using: str) -> Facts:
    """What a job that waits may wait for."""
    processor = retries_of(job)
    crew = crews_of_queues(using).get(job.queue, Crew())
    return Facts(
        now=now,
        is_paused=decided.is_paused_at(now),
        is_configured=job.queue in django_settings.RQ_QUEUES,
        is_registered=processor is not None,
        workers=len(crew.claiming),
        quiet=len(crew.quiet),
        max_retries=get_settings().retry.max_retries if processor is None else processor,
        last_error=last_error,
        used_up_rate=used_up_rate(decided),
        used_up_concurrency=used_up_concurrency(decided, using),
        **_used_up_of(job, now, using),
    )


def _used_up_of(job: Job, now: datetime, using: str) -> dict[str, Any]:
    if job.run_at > now:
        return {}
    return used_up_of_processors({job.processor}, using).get(job.processor, {})


def retries_of(job: Job) -> int | None:
    """How often its processor's jobs are retried; None if nobody registered it here."""
    try:
        return get_processor(job.processor).retry_policy.max_retries
    except UnknownProcessor:
        return None


def explain(job: Job, facts: Facts) -> str:
    """One or more sentences: what the job waits for, who runs it, or how it ended."""
    odd = unreadable(job)
    told = [_("In its row %(columns)s.") % {"columns": odd}] if odd else []
    return " ".join([_explain(job, facts), *told])


def _explain(job: Job, facts: Facts) -> str:
    if job.state == Job.State.WAITING:
        return " ".join([_waits_for(job, facts), *_obstacles(job, facts)])
    if job.state == Job.State.ACTIVE:
        return _runs(job, facts)
    return _ended(job, facts)


def _held(job: Job, facts: Facts) -> str:
    """Of a job that somebody holds: who, why, and what follows."""
    when = due_time(job)
    runs = _("at once") if when <= facts.now else f"{relative(when, facts.now)}, {absolute(when)}"
    why = told_reason(job).removesuffix(".") or _("held")
    text = _("%(why)s. It does not go out until somebody releases it; then it runs %(runs)s.")
    return text % {"why": f"{why[:1].upper()}{why[1:]}", "runs": runs}


def _waits_for(job: Job, facts: Facts) -> str:
    if job.held_run_at is not None:
        return _held(job, facts)
    if job.unfit_since is not None:
        return _unknown(job, facts)
    if job.run_at > facts.now:
        return _delayed(job, facts)
    words = {"span": span(facts.now - job.run_at), "queue": job.queue, "workers": facts.workers}
    if facts.is_paused or not facts.workers or not facts.is_configured or _limits(job, facts):
        return _("Due for %(span)s.") % words
    if job.published_at is None:
        return _unpublished(facts.now - job.run_at) % words
    text = ngettext(
        "Waiting for a free worker on queue %(queue)s for %(span)s: %(workers)s worker serves it.",
        "Waiting for a free worker on queue %(queue)s for %(span)s: %(workers)s workers serve it.",
        facts.workers,
    )
    return text % words


def _unpublished(due_for: timedelta) -> str:
    """What is said of a due job that no relay has published, with places for its numbers.

    A relay looks once in RELAY_INTERVAL: some turns later something keeps it, and nobody here knows what.
    """
    if due_for <= timedelta(seconds=max(_SOON, _TURNS * get_settings().relay_interval)):
        return _("Due for %(span)s: about to be published to queue %(queue)s.")
    return _(
        "Due for %(span)s, and could not be published to queue %(queue)s yet: Redis may be away, no "
        "worker's relay alive, or very many jobs due before it. It is not lost: it goes out when that has "
        "passed."
    )


def _unknown(job: Job, facts: Facts) -> str:
    """Of a job that no worker could run so far. Before each has had its time to see it nobody is blamed."""
    assert job.unfit_since is not None
    since, why = facts.now - job.unfit_since, retold_failure(why_unknown(job.reason))
    if since < UNKNOWN_AFTER:
        text = _(
            "A worker that does not know it handed it on: %(why)s. "
            "One that knows it takes it as soon as it may."
        )
        return text % {"why": why}
    left = timedelta(seconds=get_settings().unknown_processor_timeout) - since
    end = _("in %(span)s") % {"span": span(left)} if left > timedelta(0) else _("with the next try")
    text = _(
        "No worker knows it since %(since)s: %(why)s. "
        "A worker that can run it takes it at once; without one it fails %(end)s. "
        "Deploy the code that knows it, or cancel the job."
    )
    return text % {"since": span(since), "why": why, "end": end}


def _delayed(job: Job, facts: Facts) -> str:
    when = relative(job.run_at, facts.now)
    if job.reason.startswith(OUTAGE_PREFIX):
        why = job.reason.removeprefix(OUTAGE_PREFIX).removesuffix(".")
        text = _(
            "Waits for the database, and runs again %(when)s without having used up an attempt: %(why)s."
        )
        return text % {"when": when, "why": why}
    if job.attempt > 1 and job.failures and facts.last_error:
        return told_retry(job, when, facts.last_error, facts.max_retries)
    if job.attempt > 1 and job.reason:
        return _("Runs again %(when)s: %(why)s.") % {"when": when, "why": told_reason(job)}
    return _("Delayed until %(moment)s, %(when)s.") % {"moment": absolute(job.run_at), "when": when}


def _obstacles(job: Job, facts: Facts) -> list[str]:
    """What keeps the job from running even when its time has come."""
    found = []
    if not facts.is_configured:
        found.append(
            _("RQ_QUEUES has no queue %(queue)s, so no worker can serve it: add it again, or move the job.")
        )
    elif facts.is_paused:
        found.append(_("The queue %(queue)s is paused: resume it to let the job run."))
    found += _limits(job, facts)
    if facts.is_configured and not facts.workers:
        found.append(_nobody_serves(facts))
    if not facts.is_registered and job.unfit_since is None:
        found.append(_("No processor %(processor)s is registered in this process."))
    words = {
        "queue": job.queue,
        "processor": job.processor,
        "processor_rate": facts.processor_rate,
        "running": facts.processor_running and facts.processor_running[0],
        "limit": facts.processor_running and facts.processor_running[1],
        "rate": facts.used_up_rate,
        "concurrency": facts.used_up_concurrency,
    }
    return [text % words for text in found]


def _nobody_serves(facts: Facts) -> str:
    """What is said of a queue of which nobody claims jobs, as the overview says it; with places."""
    if facts.quiet:
        return _(
            "Waiting for a worker on queue %(queue)s: every worker that serves it is quiet or ending. "
            "Let one claim again, or start another: manage.py rqworker %(queue)s"
        )
    return _(
        "Waiting for a worker on queue %(queue)s: no worker serves it. "
        "Start one with: manage.py rqworker %(queue)s"
    )


def _limits(job: Job, facts: Facts) -> list[str]:
    """What a limit does to a job that could start otherwise, with places for its numbers."""
    found: list[str] = []
    if job.run_at > facts.now or facts.is_paused:
        return found
    if facts.used_up_rate is not None:
        found.append(_("Held back by the queue's rate limit: no more than %(rate)s jobs start in a second."))
    if facts.used_up_concurrency is not None:
        found.append(
            _("Held back by the queue's concurrency limit: no more than %(concurrency)s jobs run at once.")
        )
    if facts.processor_running is not None:
        found.append(
            _("It waits because processor %(processor)s is at its limit: %(running)s of %(limit)s running.")
        )
    if facts.processor_rate is not None:
        found.append(
            _(
                "It waits because processor %(processor)s is at its limit: no more than "
                "%(processor_rate)s of its jobs start in a second."
            )
        )
    return found


def what_keeps(processor: str) -> str:
    """What keeps a job of this processor that is enqueued now from running; empty if nothing does."""
    using = Job.objects.db
    now = database_now(using)
    job = Job(processor=processor, queue=get_processor(processor).queue, run_at=now)
    return " ".join(_obstacles(job, _of_waiting(job, now, "", _decided_about(job.queue), using)))


def _runs(job: Job, facts: Facts) -> str:
    running = facts.now - job.started_at if job.started_at else timedelta(0)
    words = {
        "worker": facts.worker.title if facts.worker else _("unknown"),
        "exact": exact_span(running),
        "running": span(running),
        "limit": f"{job.timeout:.0f}",
    }
    if facts.is_stuck:
        return " ".join([_stuck(facts, words), _after_stuck(job, facts)]).strip()
    if job.stop_asked_at is not None:
        return _stopping(job, facts)
    return _("Claimed by worker %(worker)s, running for %(exact)s (its limit is %(limit)s s).") % words


def _stuck(facts: Facts, words: dict[str, str]) -> str:
    if facts.worker is None:
        return _("Stuck: its worker is gone, and the job has been active for %(running)s.") % words
    if is_silent(facts.worker, facts.now):
        words["silence"] = span(facts.now - facts.worker.heartbeat_at)
        return _("Stuck: worker %(worker)s has given no sign of life for %(silence)s.") % words
    return _("Stuck: running on worker %(worker)s for %(running)s, past its limit of %(limit)s s.") % words


def _after_stuck(job: Job, facts: Facts) -> str:
    """What becomes of a stuck job: nobody can stop it any more, but what was to stop runs no more."""
    if job.stop_asked_at is None:
        is_lost = facts.worker is None or is_silent(facts.worker, facts.now)
        text = _(
            "The next worker that is alive puts it back on the road, or fails it if its retries are used up."
        )
        return text if is_lost else ""
    return _(
        "Its stop was asked for (%(why)s): whatever ends it, it ends as cancelled and is not retried."
    ) % {"why": job.stop_reason}


def _stopping(job: Job, facts: Facts) -> str:
    """Of a running job whose stop was asked for: how long it takes, and what follows if it does not yield."""
    assert job.stop_asked_at is not None
    waits, grace = facts.now - job.stop_asked_at, get_settings().timeout_grace
    text = _("Stopping for %(span)s (%(why)s): it ends as cancelled and is not retried.") % {
        "span": exact_span(waits),
        "why": job.stop_reason,
    }
    if waits <= timedelta(seconds=grace + 2):
        return f"{text} {_('What it has done until then is done.')}"
    more = _(
        "It does not yield: a call into C lets nothing else run in its process. It ends with its "
        "time limit at the latest; ending its process on its host ends it now, and what runs beside it then "
        "begins anew."
    )
    return f"{text} {more}"


def _ended(job: Job, facts: Facts) -> str:
    when = relative(job.finished_at, facts.now) if job.finished_at else _("some time ago")
    words = {"when": when, "reason": f": {told_reason(job)}" if job.reason else ""}
    if job.state == Job.State.FAILED:
        return _failed(job, words)
    if job.state == Job.State.CANCELLED and job.stop_asked_at is not None:
        text = _("Cancelled %(when)s while it ran%(reason)s. It may have had its effect, or a part of it.")
        return text % words
    if job.state == Job.State.CANCELLED:
        return _("Cancelled %(when)s%(reason)s.") % words
    if job.is_skipped:
        words["reason"] = retold_reason(job.reason.removeprefix(SKIPPED_PREFIX))
        return _("Skipped %(when)s: there was nothing to do, %(reason)s.") % words
    return _completed(job, words)


def _failed(job: Job, words: dict[str, str]) -> str:
    if job.set_aside:
        text = _("Set aside %(when)s: %(why)s. It stays here until somebody puts it back, by a retry.")
        return text % {**words, "why": job.set_aside}
    # `failures` counts those since somebody retried it last, and an attempt may have ended otherwise.
    text = _(
        "Failed %(when)s in attempt %(number)s%(reason)s. It stays here until somebody retries or deletes it."
    )
    if never_ran(job.reason):
        text = _(
            "Failed %(when)s and never ran%(reason)s. It stays here until somebody retries or deletes it."
        )
    return text % {**words, "number": job.attempt}


def _completed(job: Job, words: dict[str, str]) -> str:
    said: dict[str, object] = {**words, "number": job.attempt, "why": job.stop_reason}
    text = _("Completed %(when)s in attempt %(number)s.")
    if job.finished_at and job.started_at:
        said["took"] = exact_span(job.finished_at - job.started_at)
        text = _("Completed %(when)s after %(took)s in attempt %(number)s.")
    late = "" if job.stop_asked_at is None else _("It completed before its stop arrived (%(why)s).")
    return " ".join(filter(None, [text, late])) % said
