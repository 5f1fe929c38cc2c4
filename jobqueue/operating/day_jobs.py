"""The jobs of a day that an operator means: one, those of a kind, or all; and what is begun with many.

A kind and a day are changed in the background, as a bulk action: it says on its page how far it is and which
jobs were left out, and it can be stopped there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Max
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from jobqueue.exceptions import NothingLeft, PastRunAt
from jobqueue.models import BulkAction, Job, JobQuerySet, Selection, bulk, keep_choice
from jobqueue.models.bulk_moves import shifted
from jobqueue.models.guards import is_ahead
from jobqueue.models.holding import held_between
from jobqueue.models.scheduled import between, of_kind
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because, by_days, counted
from jobqueue.operating.bulk_plans import in_words
from jobqueue.operating.days import edge_of, kind_keys
from jobqueue.operating.kinds import name_of
from jobqueue.operating.language import in_english
from jobqueue.operating.rights import Right
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing

FURTHEST = 366
"""Days by which jobs are moved at once, at most."""
RIGHTS = {
    "move": Right.MOVE,
    "cancel": Right.CANCEL,
    "hold": Right.HOLD,
    "release": Right.RELEASE,
}
"""What may be done to the jobs of a day, and what that takes."""
_BULK = {
    "move": BulkAction.Verb.MOVE,
    "cancel": BulkAction.Verb.CANCEL,
    "hold": BulkAction.Verb.HOLD,
    "release": BulkAction.Verb.LET_GO,
}


@dataclass(frozen=True, slots=True)
class OfADay:
    """Which jobs of a day are meant: one, those of a kind, or all."""

    day: date
    processor: str = ""
    kind: str = ""
    job: int | None = None

    @property
    def has_no_such_kind(self) -> bool:
        """Whether a kind is named of a processor that has none, or of no processor: all would be meant."""
        return bool(self.kind) and self.processor not in kind_keys()

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


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a question told and somebody confirmed: so many jobs, of few the ids in their order."""

    number: int = 0
    ids: Sequence[int] = ()


def begin_and_log(
    request: HttpRequest,
    asked: OfADay,
    verb: str,
    *,
    number: int,
    newest: int,
    reason: str,
    confirmed: Confirmed = Confirmed(),
    days: int = 0,
    per_second: int | None = None,
) -> tuple[BulkAction, bool]:
    """Write a bulk action down, with one entry in the audit, or find the same under way. Whether it is new.

    Raises NothingLeft where nothing of it is there any more when it would begin, PastRunAt where even the
    last of it would move to a time that is past; then nothing is written. It takes the `number` of jobs that
    whoever asked was told of, none behind the id `newest`, and none that comes to that day later: their ids
    are kept. A move goes by so many `days`, at most so many jobs `per_second` are taken. More may have been
    `confirmed` by who saw them earlier: so many are expected, and those that are gone are told as left out.
    """
    selection = asked.selection(verb)
    words = {**asked.words, "day": asked.day.isoformat(), "days": str(days)}
    action = BulkAction(
        verb=_BULK[verb],
        selection=selection.as_json(),
        details={"days": days, "zone": timezone.get_current_timezone_name(), "chosen": True},
        key=bulk.key_of(_BULK[verb], words),
        highest_id=newest,
        expected=number,
        per_second=per_second,
        reason=reason,
        asked_by=request.user.get_username()[:200],
    )
    with writing(Job.objects.db):
        action, is_new = bulk.ask(action, Job.objects.db)
        if is_new:
            # Looked for now that the same is not under way: what somebody else did just now is done.
            _expect(action, _ids(asked.meant_by(verb).filter(pk__lte=newest), number, days), confirmed)
            _log(request, action, _told(verb, action.expected, days), selection)
    return action, is_new


def _told(verb: str, number: int, days: int) -> str:
    by = f" by {by_days(days)}" if days else ""
    return f"{verb.capitalize()}: {counted(number, 'job', 'jobs')}{by}"


def _log(request: HttpRequest, action: BulkAction, what: str, selection: Selection) -> None:
    with in_english():
        log_change(request, action, because(f"{what} ({in_words(selection)})", action.reason))


def _expect(action: BulkAction, ids: list[int], confirmed: Confirmed) -> None:
    """Keep these, or those that were confirmed, for the action. Raises NothingLeft where there are none."""
    if not ids:
        raise NothingLeft
    ids = list(confirmed.ids) or ids
    expected = max(len(ids), confirmed.number)
    if action.expected != expected:
        action.expected = expected
        action.save(using=Job.objects.db, update_fields=["expected"])
    keep_choice(action, ids, Job.objects.db)


def _check_ahead(jobs: JobQuerySet, days: int) -> None:
    """Raise PastRunAt if even the last of these jobs, if there is one, would move to the past."""
    last = jobs.order_by().aggregate(last=Max("run_at"))["last"] if days < 0 else None
    if last is None:
        return
    moment = shifted(last, days, timezone.get_current_timezone_name())
    if not is_ahead(moment, Job.objects.db):
        text = _(
            "even the last of these jobs would run %(moment)s, which is past: "
            "a job moves to a time ahead; “Run now” makes it due"
        )
        raise PastRunAt(text % {"moment": moment.isoformat()})


def _ids(jobs: JobQuerySet, most: int, days: int) -> list[int]:
    """Their ids in order, no more than were told. Raises PastRunAt if none can move by so many days."""
    _check_ahead(jobs, days)
    return list(jobs.order_by("pk").values_list("pk", flat=True)[:most])
