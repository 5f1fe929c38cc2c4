"""The newest jobs of a processor that have run, as bars, and as a table for those who cannot see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from django.contrib.admin import AdminSite
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.admin.words import badge
from jobqueue.charting.drawing import Span, Tick, spans
from jobqueue.models import Job, alias_of
from jobqueue.models.runs import NEWEST, Run, last_runs
from jobqueue.operating.words import absolute, exact_span, grouped, rough_span

MOST_RUNS = 60


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as a row of the table."""

    job_id: int
    url: str
    state: SafeString
    ended: str
    took: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Runs:
    """The bars, what they say in a sentence, and the same as rows, the newest first."""

    drawn: SafeString
    words: str
    outcomes: Sequence[tuple[str, str]]
    rows: Sequence[RunRow]
    note: str


def runs_of(job: Job, site: AdminSite) -> Runs | None:
    """The newest jobs of the processor that have run; None if there are none."""
    runs = last_runs(job.processor, MOST_RUNS, alias_of(job))
    if not runs:
        return None
    rows = [_row(run, job, site) for run in runs]
    drawn = [
        Span(
            run.outcome,
            run.seconds,
            f"#{row.job_id}: {words_of(run.outcome)}, {row.took}, {row.ended}",
            row.url,
            row.is_here,
        )
        for run, row in zip(runs, rows, strict=True)
    ]
    ticks = [Tick(0.0, absolute(runs[0].ended_at)), Tick(len(runs) / MOST_RUNS, absolute(runs[-1].ended_at))]
    outcomes = Counter(run.outcome for run in runs)
    note = _("Looked for among the newest %(number)s jobs.") % {"number": grouped(NEWEST)}
    return Runs(
        drawn=spans(drawn, MOST_RUNS, ticks if len(runs) > MOST_RUNS / 2 else ticks[:1], shown=rough_span),
        words=_in_words(runs, outcomes),
        outcomes=[(kind, words_of(kind)) for kind in _KINDS if kind in outcomes],
        rows=rows[::-1],
        note=note if len(runs) < MOST_RUNS else "",
    )


_KINDS = ("completed", "skipped", "failed", "cancelled")


def words_of(outcome: str) -> str:
    """What people call it."""
    return {
        "completed": _("completed"),
        "skipped": _("skipped"),
        "failed": _("failed"),
        "cancelled": _("stopped"),
    }[outcome]


def _row(run: Run, job: Job, site: AdminSite) -> RunRow:
    return RunRow(
        job_id=run.job_id,
        url=reverse(f"{site.name}:jobqueue_job_change", args=[run.job_id]),
        state=badge(run.outcome, words_of(run.outcome)),
        ended=absolute(run.ended_at),
        took=_length(run.seconds),
        is_here=run.job_id == job.pk,
    )


def _length(seconds: float) -> str:
    """As the timeline of the same page has it."""
    return exact_span(timedelta(seconds=seconds))


def _in_words(runs: Sequence[Run], outcomes: Counter[str]) -> str:
    """ "60 runs: 57 completed, 3 failed. Half took up to 20 ms, the longest 3 s." """
    number = ngettext("%(n)s run", "%(n)s runs", len(runs)) % {"n": len(runs)}
    parts = ", ".join(f"{outcomes[kind]} {words_of(kind)}" for kind in _KINDS if outcomes[kind])
    lengths = [run.seconds for run in runs]
    said = {"half": _length(median(lengths)), "longest": _length(max(lengths))}
    return f"{number}: {parts}. {_('Half took up to %(half)s, the longest %(longest)s.') % said}"
