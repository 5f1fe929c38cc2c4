"""What of the calendar somebody asks for: one job, those of a kind, or all of a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _

from jobqueue.admin.calendar import edge_of, kind_keys
from jobqueue.admin.kinds import name_of
from jobqueue.admin.moments import YEARS
from jobqueue.models import Job, JobQuerySet, Selection
from jobqueue.models.holding import held_between
from jobqueue.models.scheduled import between, of_kind
from jobqueue.sql.clock import database_now


@dataclass(frozen=True, slots=True)
class Asked:
    """Which jobs of a day are meant: one, those of a kind, or all."""

    day: date
    processor: str = ""
    kind: str = ""
    job: int | None = None

    @classmethod
    def of(cls, day: str, words: Any) -> Asked:
        """What an address asks for. Raises Http404 if that can be nothing."""
        try:
            chosen = date.fromisoformat(day)
            job = int(words["job"]) if words.get("job") else None
        except ValueError:
            raise Http404(_("A day is written as 2026-01-31, and a job is a number.")) from None
        text = words.get("processor", "") + words.get("kind", "")
        if chosen.year not in YEARS or "\x00" in text or (job is not None and abs(job) >= 2**63):
            raise Http404(_("There is no such day, kind or job."))
        return cls(chosen, words.get("processor", ""), words.get("kind", ""), job)

    @property
    def edges(self) -> tuple[datetime, datetime]:
        """Where the day begins and ends."""
        return edge_of(self.day), edge_of(self.day + timedelta(days=1))

    def jobs(self) -> JobQuerySet:
        """The delayed jobs that are meant, by their time."""
        return self._narrowed(between(*self.edges, Job.objects.db))

    def held(self) -> JobQuerySet:
        """The held jobs that are meant, by the time at which they were to run."""
        return self._narrowed(held_between(*self.edges, Job.objects.db))

    def meant_by(self, verb: str) -> JobQuerySet:
        """The jobs that the verb would take."""
        return self.held() if verb == "release" else self.jobs()

    def selection(self, verb: str) -> Selection:
        """The same as a value that a bulk action keeps; what is due by now is on the calendar no more."""
        first, end = self.edges
        is_release = verb == "release"
        has_kind = self.kind and self.processor in kind_keys()
        return Selection(
            state=Job.State.WAITING.value,
            processor=self.processor,
            due_from=first if is_release else max(first, database_now(Job.objects.db)),
            due_to=end,
            kind_key=kind_keys()[self.processor] if has_kind else "",
            kind=self.kind if has_kind else "",
            held="yes" if is_release else "",
        )

    def _narrowed(self, jobs: JobQuerySet) -> JobQuerySet:
        if self.job is not None:
            return jobs.filter(pk=self.job)
        return of_kind(jobs, self.processor, self.kind, kind_keys()) if self.processor else jobs

    @property
    def words(self) -> dict[str, str]:
        """What of it stands behind the question mark of an address."""
        words = {"processor": self.processor, "kind": self.kind, "job": self.job or ""}
        return {name: str(text) for name, text in words.items() if text}

    @property
    def name(self) -> str:
        """What is meant, for people."""
        if self.job is not None:
            return _("job #%(number)s") % {"number": self.job}
        return name_of(self.processor, self.kind) if self.processor else _("all jobs of the day")
