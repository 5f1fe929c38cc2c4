"""From a parsed search to the jobs that it finds: one builder for the admin, the API and commands.

What an index answers narrows the rows first. What none answers is looked for among the NEWEST rows of what is
left then, so that a search ends in time whatever the table holds; whoever shows the rows says so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from operator import and_
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from jobqueue.models import Attempt, Job, JobQuerySet
from jobqueue.searching.causes import Failures, FoundCause, causes_among
from jobqueue.searching.conditions import (
    about_any,
    about_text,
    any_of,
    erred_with,
    has_address,
    has_argument,
    held_by,
    is_not,
    may_name_processor,
    of_processor,
    subjects_of_key,
    tried_again_with,
    tried_by,
)
from jobqueue.searching.looked_at import LookedAt
from jobqueue.searching.parsing import JOB_NUMBER, Unreadable, refuse
from jobqueue.searching.records import Records, processors_and_others, subjects_of
from jobqueue.searching.retried import RETRIED, narrowed_by_retries
from jobqueue.searching.sources import FoundRecord, MaySee, RecordSource
from jobqueue.searching.states import CONDITIONS, ENDED, STATES
from jobqueue.searching.times import time_from
from jobqueue.searching.words import Search, Word
from jobqueue.sql.masked import is_exact

VIEW_PAYLOAD = "jobqueue.view_payload"
_MOST_SUBJECTS = 1_000
"""Subjects that a plain text may stand for: with more of them it says too little, and each is looked up."""
_APART = ("waiting", "delayed", "failed", RETRIED)
"""The states whose rows an index has by their queue, or apart from all others: they are counted first."""


@dataclass(frozen=True, slots=True)
class Found:
    """The jobs that a search finds, and what it found besides."""

    jobs: QuerySet[Any]
    records: dict[str, list[FoundRecord]] = field(default_factory=dict)
    """What the plain text of the search matches, by the names of the sources."""
    newest_only: bool = False
    """Whether there are older rows, among which no index finds what was asked for."""
    records_cut: bool = False
    """Whether more records may match than those whose jobs these are: only the newest of each kind are."""
    causes: list[FoundCause] = field(default_factory=list)
    """The most frequent errors of failed jobs that have the plain text in them, if they were asked for."""
    by_worker: bool = False
    """Whether a worker was named: what one completed is known only until it ends."""
    errors_cut: bool = False
    """Whether errors were looked into for who sees no addresses, and of those with odd ones not all."""
    hidden: list[RecordSource] = field(default_factory=list)
    """The people and records that were not looked in, as the user may not see them."""


def find_jobs(
    jobs: QuerySet[Any], search: Search, user: MaySee, *, state: str = "", causes: int = 0
) -> Found | Unreadable:
    """Those of the jobs that meet every word; why nothing is looked for, if the user may not ask that.

    `state` is the state word that the jobs are narrowed to already; so many `causes` are looked up besides.
    """
    refusal = why_refused(search, user)
    return refusal or _Query(jobs, search, user, state, causes).answer()


def why_refused(search: Search, user: MaySee) -> Unreadable | None:
    """Why this user may not ask for that: no search tells what stands in a payload that one may not read."""
    for word in search.named("args", "email"):
        if not user.has_perm(VIEW_PAYLOAD):
            reason = _(
                "%(word)s looks into payloads, which you may not read: that takes the permission %(allowed)s."
            )
            return refuse(word.before, reason, VIEW_PAYLOAD)
    return None


class _Query:
    """One search on its way to a queryset."""

    def __init__(self, jobs: QuerySet[Any], search: Search, user: MaySee, state: str, causes: int) -> None:
        self.jobs = jobs
        self.search = search
        self.user = user
        self.may_read = user.has_perm(VIEW_PAYLOAD)
        self.states = [word.value for word in search.named("state") if not word.negated]
        self.states += [state] if state else []
        self.looked_at = LookedAt(jobs, search, self.states)
        self.looked_up = Records(search, user)
        self.records: dict[str, list[FoundRecord]] = {}
        self.most_causes = causes
        self.causes: list[FoundCause] = []

    def answer(self) -> Found:
        """Narrow by indexes first, then among the newest that are left."""
        rows, words = narrowed_by_retries(self.jobs, self.search, self.states)
        by_index = [word for word in words if self._has_index(word)]
        others = [word for word in words if (word.name or word.negated) and word not in by_index]
        # What looks among the newest rows leaves few enough, and once more to count these took as long again.
        are_few = any(word.name in ("error", "worker") for word in by_index)
        if others and not by_index:
            self.looked_at.foresee(rows, has_index=any(state in _APART for state in self.states))
        for word in by_index:
            rows = self._narrowed(rows, word)
        if others and not are_few:
            rows = self.looked_at.newest(rows)
        for word in others:
            rows = self._narrowed(rows, word)
        found = self._with_texts(rows, are_few=are_few)
        limits = self.looked_at.is_cut, self.looked_up.is_cut
        by_worker, by_error = bool(self.search.named("worker")), bool(self.search.named("error", ""))
        errors_cut = by_error and not self.may_read and not is_exact(self.jobs.db)
        hidden = self.looked_up.hidden
        return Found(found, self.records, *limits, self.causes, by_worker, errors_cut, hidden)

    def _has_index(self, word: Word) -> bool:
        if word.negated or not word.name:
            return False
        if word.name == "queue":
            return any(state in _APART for state in self.states)
        if word.name in ("since", "until"):
            return _moment_of(self.states) == "created_at" or "failed" in self.states
        return word.name in ("id", "bulk", "state", "about", "worker") or (
            word.name == "error" and "failed" not in self.states
        )

    # Words with a name ---------------------------------------------------------------------------

    def _narrowed(self, rows: QuerySet[Any], word: Word) -> QuerySet[Any]:
        if word.name == "state" and not word.negated:
            assert isinstance(rows, JobQuerySet)
            return STATES[word.value](rows)
        return rows.filter(is_not(self._left_out(word)) if word.negated else self._condition(word))

    def _left_out(self, word: Word) -> Q:
        """What is left out, asked of each row: to look it up in a list of 100,000 others takes minutes."""
        match word.name:
            case "state":
                stuck = Q(pk__in=_keys(self.looked_at.all_jobs.stuck()))
                return CONDITIONS.get(word.value, stuck)
            case "error":
                by_text = self._failures.by(word.value)
                if "failed" in self.states:
                    return by_text
                return by_text | self._again(word.value) | _tried(self._erred(word.value))
            case "worker":
                return held_by(word.value, self.jobs.db) | _tried(self._tried_by(word.value))
            case "":
                subjects = about_any(self.looked_up.subjects([word.value]))
                return subjects | self._named_by(word.value) | _in_job(self._failures, word.value)
            case _:
                return self._condition(word)

    def _condition(self, word: Word) -> Q:
        match word.name:
            case "id" | "bulk":
                return _numbered(word.value, "pk" if word.name == "id" else "bulk_action")
            case "queue":
                return Q(queue=word.value)
            case "processor":
                return of_processor(word.value)
            case "about":
                return self._about(word.value)
            case "email":
                return self._for_address(word.value)
            case "error":
                return self._failed_with(word.value)
            case "worker":
                return self._run_by(word.value)
            case "args":
                return has_argument(word.path, word.value)
            case _:
                comparison = "gte" if word.name == "since" else "lt"
                return Q(**{f"{_moment_of(self.states)}__{comparison}": time_from(word.value)})

    def _about(self, text: str) -> Q:
        return self._subject_is(text) | about_any(subjects_of_key(text) + self.looked_up.subjects([text]))

    def _subject_is(self, text: str) -> Q:
        return about_text(text, is_subject=self.looked_at.is_subject(text), may_read=self.may_read)

    def _for_address(self, address: str) -> Q:
        people = self.looked_up.people(address)
        named = [has_argument([name], str(value)) for one in people for name, value in one.arguments.items()]
        return any_of([has_address(address), *named])

    def _failed_with(self, text: str) -> Q:
        """Failed jobs by the error that they show, and others by those of their attempts."""
        by_text = self._failures.by(text)
        if "failed" in self.states:
            return by_text
        failed, again = (
            self.looked_at.failed.filter(by_text),
            self.looked_at.newest_jobs.filter(self._again(text)),
        )
        return Q(pk__in=_keys(failed).union(_keys(again), self._erred(text).values("job_id")))

    def _erred(self, text: str) -> QuerySet[Attempt]:
        return self.looked_at.attempts.filter(erred_with(text, may_read=self.may_read))

    def _again(self, text: str) -> Q:
        return tried_again_with(text, may_read=self.may_read)

    def _run_by(self, text: str) -> Q:
        held = held_by(text, self.jobs.db)
        claimed = self.looked_at.newest_jobs.filter(held)
        running = self.looked_at.all_jobs.active().filter(held)
        return Q(pk__in=_keys(running).union(_keys(claimed), self._tried_by(text).values("job_id")))

    def _tried_by(self, text: str) -> QuerySet[Attempt]:
        return self.looked_at.attempts.filter(tried_by(text, self.looked_at.worker_names))

    # Text without a name -------------------------------------------------------------------------

    def _with_texts(self, rows: QuerySet[Any], *, are_few: bool) -> QuerySet[Any]:
        """Jobs about records that the words find, with that number, or whose processor or error has them.

        Where the rows are few, or took long to find, each is asked for all of that; else indexes are.
        """
        texts = self.search.texts
        if not texts:
            return rows
        self.records = self.looked_up.of(texts)
        by_index, by_failure = self._by_index(texts), self._by_failure(texts)
        by_processor = reduce(and_, map(of_processor, texts)) if all(map(may_name_processor, texts)) else None
        if are_few:
            return rows.filter(any_of(q for q in (*by_index, by_failure, by_processor) if q is not None))
        parts = [_keys(rows.filter(condition)) for condition in by_index]
        if by_failure is not None:
            parts.append(_keys(self.looked_at.failed.filter(by_failure)))
        if by_processor is not None:
            parts.append(_keys(self.looked_at.newest(rows).filter(by_processor)))
        return rows.filter(pk__in=parts[0].union(*parts[1:]))

    def _by_index(self, texts: Sequence[str]) -> list[Q]:
        """Jobs about what all words find; or of processors that some name, about what the others find."""
        subjects = subjects_of(self.records)
        self.looked_up.is_cut |= len(subjects) > _MOST_SUBJECTS
        found = about_any(subjects[:_MOST_SUBJECTS])
        if len(texts) == 1:
            found |= self._named_by(texts[0])
        processors, others = processors_and_others(texts)
        if not others:
            return [found]
        about = about_any(self.looked_up.subjects(others))
        return [found, reduce(and_, map(of_processor, processors), about)]

    def _by_failure(self, texts: Sequence[str]) -> Q | None:
        """Failed jobs with the texts in their errors; None if their causes were looked up and there are none.

        To look into the errors of 100,000 takes longer than all else on the page: twice only if need be.
        """
        in_job = partial(_in_job, self._failures) if len(texts) > 1 else self._failures.by
        wanted = reduce(and_, map(in_job, texts))
        if self.most_causes:
            names_processors = len(texts) > 1 and any(map(may_name_processor, texts))
            said = reduce(and_, map(self._failures.by, texts)) if names_processors else None
            self.causes, are_there = causes_among(self.looked_at.failed, wanted, said, self.most_causes)
            if not are_there:
                return None
        return Q(state=Job.State.FAILED) & wanted

    @cached_property
    def _failures(self) -> Failures:
        return self.looked_at.failures(may_read=self.may_read)

    def _named_by(self, text: str) -> Q:
        """Jobs with that number, or whose subject is or begins with that."""
        by_number = _numbered(text) if JOB_NUMBER.fullmatch(text) else Q(pk__in=[])
        by_subject = self._subject_is(text) if ":" in text else Q(pk__in=[])
        return by_number | by_subject | about_any(subjects_of_key(text))


def _moment_of(states: Collection[str]) -> str:
    """The column of the time that is meant: of what is over when it ended, of what runs since when."""
    if not set(ENDED).isdisjoint(states):
        return "finished_at"
    return "created_at" if {"active", "stuck"}.isdisjoint(states) else "started_at"


def _in_job(failures: Failures, text: str) -> Q:
    """Failed jobs with the text in their error, and jobs of the processors that it names."""
    return failures.by(text) | of_processor(text) if may_name_processor(text) else failures.by(text)


def _tried(attempts: QuerySet[Attempt]) -> Q:
    """Jobs that have one of these failed attempts."""
    return Q(Exists(attempts.filter(job=OuterRef("pk"))))


def _keys(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.order_by().values("pk")


def _numbered(text: str, column: str = "pk") -> Q:
    number = JOB_NUMBER.fullmatch(text)
    return Q(**{column: int(number[1])}) if number else Q(pk__in=[])
