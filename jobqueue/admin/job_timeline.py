"""What happened to a job and what comes next, as far as its rows know it: one timeline, attempt by attempt.

A failed attempt has a row; the last run stands on the job. An attempt that left none, because it asked for
another time or because its row is gone, is named as such: nothing is made up for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.admin.attempt_ends import attempt_never_ran, badge_of, badge_of_last, put_back
from jobqueue.admin.words import badge, time_tag
from jobqueue.exceptions import DatabaseUnavailable
from jobqueue.models import Attempt, Job, Worker
from jobqueue.models.holding import due_time
from jobqueue.models.parking import is_parked
from jobqueue.models.transitions import HANDED_BACK
from jobqueue.operating.audit import Done
from jobqueue.operating.logs import ShownLog
from jobqueue.operating.reading import shown_text
from jobqueue.operating.retelling import retold_message, told_reason
from jobqueue.operating.retelling_failures import retold_failure
from jobqueue.operating.words import exact_span, printable
from jobqueue.operating.workers import is_silent

MOST_ATTEMPTS = 50
"""Failed attempts that the page shows, the newest."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, or is to come.

    `state` is a badge, and `moment` is when it came to be that: of a run that is over its end, beside which
    `begun` stands. `facts` are pairs of a word and a length of time or a name, `details` is shown below a
    line that opens it, as `log` is; `who` is the operator whose doing it was.
    """

    label: str
    moment: datetime | None
    kind: str = "event"
    state: SafeString | str = ""
    facts: Sequence[tuple[str, str]] = ()
    text: str = ""
    details: str = ""
    worker: str = ""
    log: ShownLog | None = None
    who: str = ""
    is_open: bool = False
    begun: datetime | None = None
    time: SafeString | str = ""
    began: SafeString | str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a job: its failed attempts and what operators did, each in their order."""

    job: Job
    now: datetime
    request: HttpRequest
    attempts: Sequence[Attempt] = ()
    history: Sequence[Done] = ()
    worker: Worker | None = None
    logs: Mapping[int, ShownLog] = field(default_factory=dict)
    """What attempts logged, by their number."""
    earlier: bool = False
    """Whether there are failed attempts before the first of these."""

    def shown(self, text: str) -> str:
        """A text as this user may see it."""
        return shown_text(text, self.request)


def timeline_of(known: Known) -> list[Step]:
    """All of it, in the order in which it happened; what is to come last."""
    job = known.job
    placed = [(step.moment or job.created_at, rank, step) for rank, step in enumerate(_past(known))]
    ordered = [step for _moment, _rank, step in sorted(placed, key=lambda one: one[:2])]
    return list(_timed([Step(_("Created"), job.created_at), *ordered, *_coming(known)], known.now))


def _past(known: Known) -> Iterator[Step]:
    """What happened; of one moment the first comes first."""
    job = known.job
    yield from _attempts(known)
    is_told = job.published_at is not None and not is_parked(job, known.now)
    if is_told and job.state in (Job.State.WAITING, Job.State.ACTIVE):
        yield Step(_("Published"), job.published_at)
    for done in known.history:
        said = retold_message(known.shown(done.what))
        yield Step("", done.at, kind="action", text=said, who=printable(done.who))
    if job.finished_at is not None and not _ran_last(job):
        yield Step(_("Ended"), job.finished_at, state=badge(job.state), text=known.shown(told_reason(job)))


def _coming(known: Known) -> Iterator[Step]:
    job = known.job
    if job.state == Job.State.WAITING:
        yield Step(_label_of_next_run(job), due_time(job), kind="coming")
    if job.state == Job.State.ACTIVE and job.deadline_at and not _is_lost(known):
        yield Step(_("Time limit"), job.deadline_at, kind="coming")


def _label_of_next_run(job: Job) -> str:
    if job.held_run_at is not None:
        return _("Held; was to run")
    return _("Next run") if job.attempt > 1 else _("Runs")


def _timed(steps: Sequence[Step], now: datetime) -> Iterator[Step]:
    """Each with its time, and how long after the one before it was."""
    before: datetime | None = None
    for step in steps:
        after = ""
        if step.moment is not None and before is not None and step.moment >= before:
            after = _("%(span)s later") % {"span": exact_span(step.moment - before)}
        time = "" if step.moment is None else time_tag(step.moment, now)
        began = "" if step.begun is None else time_tag(step.begun, now)
        yield replace(step, time=time, after=after, began=began)
        before = step.moment or before


# Attempts -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Walk:
    """How far the attempts have been told: the number that comes next, and when the one before ended."""

    following: int
    ended: datetime | None = None
    told: list[Step] = field(default_factory=list)


def _attempts(known: Known) -> list[Step]:
    """The failed attempts, the run that stands on the job, and between them what left no row."""
    job, walk = known.job, _Walk(1)
    if known.earlier:
        first = known.attempts[0].number
        text = _(
            "Attempts before number %(number)s are not shown: the page shows the last %(most)s that failed."
        )
        walk.told.append(_gap(text % {"number": first, "most": MOST_ATTEMPTS}, None))
        walk.following = first
    for attempt in known.attempts:
        _tell_failed(attempt, known, walk)
    is_told = bool(known.attempts) and known.attempts[-1].number >= job.attempt
    if _ran_last(job) and not is_told:
        _tell_missing(known, walk, job.attempt - 1, job.started_at)
        walk.told.append(_last_run(known, walk))
    elif job.state == Job.State.WAITING and walk.following < job.attempt:
        _tell_missing(known, walk, job.attempt - 1, job.started_at)
    if job.state == Job.State.WAITING and job.reason.startswith(HANDED_BACK):
        walk.told.append(_handed_back(job))
    return walk.told


def _handed_back(job: Job) -> Step:
    """The run that a worker gave back: the row knows of it until the same attempt begins anew."""
    return Step(
        _("Attempt %(number)s") % {"number": job.attempt},
        job.run_at,
        kind="attempt",
        state=badge("waiting", _("handed back")),
        text=told_reason(job),
        begun=job.started_at,
    )


def _is_lost(known: Known) -> bool:
    """Whether it seems to run, and its worker gives no sign of life."""
    worker = known.worker
    return known.job.state == Job.State.ACTIVE and (worker is None or is_silent(worker, known.now))


def _ran_last(job: Job) -> bool:
    """Whether the attempt that the job's row counts has been started: not if it was cancelled before."""
    if job.state == Job.State.CANCELLED:
        return job.stop_asked_at is not None
    return job.state != Job.State.WAITING and job.started_at is not None


def _tell_failed(attempt: Attempt, known: Known, walk: _Walk) -> None:
    job, begun, ended = known.job, attempt.started_at, attempt.finished_at
    is_outage = attempt.error_class == DatabaseUnavailable.__name__
    (_tell_logged if is_outage else _tell_missing)(known, walk, attempt.number - 1, begun or ended)
    label = _("Up to attempt %(number)s") if is_outage else _("Attempt %(number)s")
    walk.told.append(
        Step(
            label % {"number": attempt.number},
            ended or begun,
            kind="attempt",
            state=badge_of(attempt, job, known.history, is_outage=is_outage),
            facts=_facts_of_failed(attempt, known, walk),
            text=known.shown(retold_failure(f"{attempt.error_class}: {attempt.message}")).removesuffix(": "),
            details=known.shown(attempt.traceback),
            worker="" if attempt_never_ran(attempt) else attempt.worker_name,
            log=known.logs.get(attempt.number),
            is_open=attempt is known.attempts[-1],
            begun=None if attempt_never_ran(attempt) else begun,
        )
    )
    walk.following, walk.ended = max(walk.following, attempt.number + 1), ended


def _facts_of_failed(attempt: Attempt, known: Known, walk: _Walk) -> list[tuple[str, str]]:
    job, begun, ran = known.job, attempt.started_at, _ran(attempt.started_at, attempt.finished_at)
    if attempt_never_ran(attempt):
        return [(_("ran"), _("never"))]
    if attempt.error_class == DatabaseUnavailable.__name__:
        return [ran]
    due = _due(job, begun) if attempt.number == job.attempt else None
    return [_waited(begun, due, known, walk), ran]


def _due(job: Job, begun: datetime | None) -> datetime | None:
    """When the run that stands on the row was due; None where the row does not know it any more."""
    is_known = begun is not None and job.run_at <= begun and job.unfit_since is None
    return job.run_at if is_known else None


def _last_run(known: Known, walk: _Walk) -> Step:
    """The run that stands on the job: it goes on, or it ended without a failed attempt of its own."""
    job, begun = known.job, known.job.started_at
    is_over = job.state != Job.State.ACTIVE
    until = job.finished_at if is_over else None if _is_lost(known) else known.now
    return Step(
        _("Attempt %(number)s") % {"number": job.attempt},
        (job.finished_at if is_over else None) or begun,
        kind="attempt",
        state=badge_of_last(job),
        facts=[_waited(begun, _due(job, begun), known, walk), _ran(begun, until)],
        text=known.shown(told_reason(job)) if is_over else "",
        worker=known.worker.name if known.worker else "",
        log=known.logs.get(job.attempt) if is_over else None,
        begun=begun if is_over else None,
    )


def _waited(begun: datetime | None, due: datetime | None, known: Known, walk: _Walk) -> tuple[str, str]:
    """For how long a run had waited when it began, where it is known since when it was due.

    Since its run before had ended it may also have been delayed, held, or begun and handed back.
    """
    is_first = walk.following == 1
    since = due or (known.job.created_at if is_first else walk.ended)
    if begun is None or since is None or begun < since:
        return _("waited"), _("unknown")
    words = {"span": exact_span(begun - since)}
    if due:
        return _("waited"), _("%(span)s since it was due") % words
    text = (
        _("%(span)s after it was created") if is_first else _("%(span)s after the attempt before had ended")
    )
    return _("begun"), text % words


def _ran(begun: datetime | None, ended: datetime | None) -> tuple[str, str]:
    if begun is None or ended is None or ended < begun:
        return _("ran"), _("unknown")
    return _("ran"), exact_span(ended - begun)


def _tell_missing(known: Known, walk: _Walk, last: int, moment: datetime | None) -> None:
    """Name the attempts up to that number that left no failure, some of which may have logged."""
    _tell_logged(known, walk, last, moment, names_others=True)
    _tell_gap(known, walk, last, moment)


def _tell_logged(
    known: Known, walk: _Walk, last: int, moment: datetime | None, *, names_others: bool = False
) -> None:
    text = _("It left no failure: it asked for another time, or was cancelled.") if names_others else ""
    for number in sorted(number for number in known.logs if walk.following <= number <= last):
        log = known.logs[number]
        ended = log.written_at if moment is None else min(log.written_at, moment)
        if names_others:
            _tell_gap(known, walk, number - 1, ended)
        walk.told.append(
            Step(
                _("Attempt %(number)s") % {"number": number},
                ended,
                kind="attempt",
                text=text,
                log=log,
            )
        )
        walk.following, walk.ended = number + 1, ended


def _tell_gap(known: Known, walk: _Walk, last: int, moment: datetime | None) -> None:
    missing = last - walk.following + 1
    if missing <= 0:
        return
    is_latest = known.job.state == Job.State.WAITING and last == known.job.attempt - 1
    back = list(put_back(known.history, walk.ended, None if is_latest else moment))
    if len(back) == missing:
        for at, who in back:
            _tell_put_back(known, walk, at, who)
        return
    text = ngettext(
        "Attempt %(first)s left no failure: it asked for another time, was cancelled or put back, or its row "
        "is gone.",
        "Attempts %(first)s to %(last)s left no failure: they asked for another time, were cancelled or put "
        "back, or their rows are gone.",
        missing,
    )
    walk.told.append(_gap(text % {"first": walk.following, "last": last}, moment))
    walk.following, walk.ended = last + 1, None


def _tell_put_back(known: Known, walk: _Walk, at: datetime, who: str) -> None:
    """A run that was stuck until an operator put it back. When it began is known until the next begins."""
    job, number = known.job, walk.following
    is_known = job.state == Job.State.WAITING and number == job.attempt - 1
    begun = job.started_at if is_known and job.started_at and job.started_at <= at else None
    walk.told.append(
        Step(
            _("Attempt %(number)s") % {"number": number},
            at,
            kind="attempt",
            state=badge("stuck", _("put back")),
            text=_("It was stuck, and %(who)s put it back on the road.") % {"who": printable(who)},
            log=known.logs.get(number),
            begun=begun,
        )
    )
    walk.following, walk.ended = number + 1, at


def _gap(text: str, moment: datetime | None) -> Step:
    return Step("", moment, kind="gap", text=text)


def latest_attempts(job: Job) -> tuple[list[Attempt], bool]:
    """The failed attempts that the page shows, in their order, and whether there are earlier ones."""
    rows = list(job.attempts.order_by("-number")[: MOST_ATTEMPTS + 1])
    return rows[:MOST_ATTEMPTS][::-1], len(rows) > MOST_ATTEMPTS
