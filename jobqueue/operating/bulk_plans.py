"""What a bulk action would do: what is meant is frozen, told in numbers, and written down when it begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import Count, Max, Q
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, gettext_noop

from jobqueue.models import BulkAction, Job, JobQuerySet, Selection, bulk, keep_choice
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because, counted
from jobqueue.operating.concerned import concerned
from jobqueue.operating.consequences import count_emails, count_perhaps_sent
from jobqueue.operating.failing_times import YEARS, length_of_age
from jobqueue.operating.failures import Question, question
from jobqueue.operating.language import in_english
from jobqueue.operating.verbs import VERBS, Mail, Verb
from jobqueue.operating.words import absolute, grouped
from jobqueue.searching import Search, parse
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.clock import database_now
from jobqueue.sql.tolerant import AsText, as_text
from jobqueue.sql.writing import writing

WORDS = ("cause", "queue", "processor", "age", "from", "to")
"""The words of an address by which jobs are meant."""
OF_FAILURES = (BulkAction.Verb.RETRY.value, BulkAction.Verb.DELETE.value)
"""What is done in bulk to failed jobs that words mean; others to what a list, a search or a day shows."""
TYPED_ABOVE = 1_000
"""An action on more jobs takes their number, typed, and a reason."""
OF_ALL = gettext_noop("of all")
"""What is kept of a list that nothing narrows, in the place of its words."""
LONGEST_REASON = 500
MOST_PER_SECOND = 100_000
_LONGEST_LISTED = 1_000
_SEARCHES = ("search", "q")
"""By which words of an address a list is searched: over HTTP and by commands, and in the admin."""
_A_MOMENT = timedelta(minutes=1)
"""So long at most it takes from when an age is counted back to when its action is written down."""
LONGEST_ID = len(str(2**63))


@dataclass(frozen=True)
class Plan:
    """What a bulk action would do, in numbers; nothing is changed by asking for it."""

    verb: Verb
    words: Mapping[str, str]
    selection: Selection
    newest: int
    problem: str = ""
    listed: JobQuerySet | None = None
    """What a list showed, where no words of a selection say which jobs are meant."""

    @cached_property
    def by_processor(self) -> dict[str, int]:
        """The jobs that are meant, by processor, the most frequent first."""
        return {} if self.problem else _by_processor(self.jobs)

    @property
    def jobs(self) -> JobQuerySet:
        """The jobs that are meant."""
        chosen = self.selection.of(Job.objects.all() if self.listed is None else self.listed)
        return self.verb.eligible(chosen.order_by()).filter(pk__lte=self.newest)

    @property
    def number(self) -> int:
        """How many."""
        return sum(self.by_processor.values())

    @property
    def means(self) -> str:
        """What the verb means for the jobs."""
        return self.verb.means(self.number)

    @property
    def shown_number(self) -> str:
        """How many, to be read."""
        return grouped(self.number)

    @cached_property
    def mail(self) -> str:
        """What happens to e-mails; to discard jobs that are over holds back none."""
        if self.verb.mail is not Mail.GOES_OUT:
            return self.verb.mail.of(count_emails(self._held_back()))
        perhaps_sent = count_perhaps_sent(self.jobs, self.by_processor)
        return self.verb.mail.of(count_emails(self.by_processor), perhaps_sent)

    def _held_back(self) -> dict[str, int]:
        if self.verb.name != "delete":
            return self.by_processor  # whatever else holds mail back takes no other jobs
        return {} if self.listed is None else _by_processor(self.jobs.unfinished())

    def concerned(self, request: HttpRequest) -> str:
        """Whom they are about and what it is worth; "at least" where that is not known of all."""
        return concerned(self.jobs, request, self.number)

    @property
    def is_large(self) -> bool:
        """Whether the number is to be typed."""
        return self.number > TYPED_ABOVE

    @property
    def in_words(self) -> str:
        """Which jobs are meant, for people and the audit."""
        return in_words(self.selection)


def _by_processor(jobs: JobQuerySet) -> dict[str, int]:
    try:
        return _numbers(jobs, "processor")
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
    return _numbers(jobs, AsText("processor"))  # a row may hold one that is no text


def _numbers(jobs: JobQuerySet, column: str | AsText) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, number in jobs.order_by().values_list(column).annotate(number=Count("pk")):
        found[as_text(name)] += number
    return dict(found.most_common())


def in_words(selection: Selection) -> str:
    """Which jobs are meant: "failed jobs, cause ValueError, failed since 2026-11-26 16:00:00 UTC"."""
    if selection.listed:
        listed = gettext(OF_ALL) if selection.listed == OF_ALL else selection.listed
        return gettext("jobs of the list %(words)s") % {"words": listed}
    parts = [_jobs_that_are(_state_word(selection))]
    for label, text in (
        (gettext("cause"), selection.cause),
        (gettext("queue"), selection.queue),
        (gettext("processor"), selection.processor),
        (gettext("failed since"), selection.ended_from and absolute(selection.ended_from)),
        (gettext("failed before"), selection.ended_to and absolute(selection.ended_to)),
        (gettext("kind"), selection.kind),
        (gettext("to run from"), selection.due_from and absolute(selection.due_from)),
        (gettext("to"), selection.due_to and absolute(selection.due_to)),
    ):
        if text:
            parts.append(f"{label} {text}")
    return ", ".join(parts)


def _state_word(selection: Selection) -> str:
    """The word by which a search finds them: what is to run from some time on is delayed."""
    if selection.held:
        return "held"
    is_delayed = selection.state == Job.State.WAITING and selection.due_from is not None
    return "delayed" if is_delayed else selection.state


def _jobs_that_are(state: str) -> str:
    known = {
        "delayed": gettext("delayed jobs"),
        "held": gettext("held jobs"),
        Job.State.WAITING: gettext("waiting jobs"),
        Job.State.ACTIVE: gettext("active jobs"),
        Job.State.COMPLETED: gettext("completed jobs"),
        Job.State.FAILED: gettext("failed jobs"),
        Job.State.CANCELLED: gettext("cancelled jobs"),
    }
    return known.get(state, f"{state} jobs")


def which(action: BulkAction) -> str:
    """Which jobs a bulk action means; empty if nothing readable says it."""
    try:
        return in_words(Selection.from_json(action.selection))
    except (AttributeError, TypeError, ValueError):
        return ""


def plan(verb: Verb, words: Mapping[str, str], newest: str = "", shown_at: str = "") -> Plan:
    """What this verb would do to the failed jobs that these words mean.

    Nobody was asked about jobs that came, or failed, after the page was shown.
    """
    until = _moment(shown_at)
    asked: Question = question(words, until)
    highest = Job.objects.aggregate(highest=Max("pk"))["highest"] or 0
    if newest.isascii() and newest.isdecimal() and len(newest) <= LONGEST_ID:
        highest = min(highest, int(newest))
    selection = asked.selection
    if until is not None and (selection.ended_to is None or until < selection.ended_to):
        selection = replace(selection, ended_to=until)
    return Plan(verb, dict(words), selection, highest, asked.problem)


def plan_of_list(
    verb: Verb, jobs: JobQuerySet, words: Mapping[str, str], newest: str = "", shown_at: str = ""
) -> Plan:
    """What this verb would do to the jobs that a list shows, which the words of its address narrow.

    Nobody was asked about jobs that came, or ended, after its number was told.
    """
    before = plan(verb, {}, newest, shown_at)
    text = " ".join(f"{name}={value}" for name, value in sorted(words.items()) if value) or OF_ALL
    until = before.selection.ended_to
    if until is not None:
        jobs = jobs.filter(Q(finished_at__isnull=True) | Q(finished_at__lt=until))
    selection = Selection(state="", queue=_queue_of(words), listed=text[:_LONGEST_LISTED])
    return Plan(verb, dict(words), selection, before.newest, "", jobs)


def _queue_of(words: Mapping[str, str]) -> str:
    """The queue that all of a list are in, by its filter or a word of its search; empty if none is named."""
    named = {words["queue"]} if words.get("queue") else set()
    for name in _SEARCHES:
        search = parse(words.get(name, ""))
        if isinstance(search, Search):
            named |= {word.value for word in search.named("queue") if not word.negated}
    return named.pop() if len(named) == 1 else ""


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    is_one = moment is not None and moment.tzinfo is not None and moment.year in YEARS
    return moment if is_one else None


def write_down(
    request: HttpRequest, plan: Plan, reason: str, per_second: int | None, *, confirmed: int = 0
) -> tuple[BulkAction, bool]:
    """Begin what is planned, with one entry in the audit, or find the same under way. Whether it is new.

    Of few jobs more may have been `confirmed` by who saw them earlier: so many are expected, and those that
    are not there any more the action tells as left out. Of many the number is typed, and is that of the plan.
    """
    expected = plan.number if plan.is_large else max(plan.number, min(confirmed, TYPED_ABOVE))
    action = BulkAction(
        verb=plan.verb.name,
        selection=plan.selection.as_json(),
        key=bulk.key_of(plan.verb.name, plan.words),
        highest_id=plan.newest,
        expected=expected,
        per_second=per_second,
        reason=reason,
        asked_by=request.user.get_username()[:200],
    )
    with writing(Job.objects.db):
        ids = [] if plan.listed is None else _ids(plan)
        action, is_new = bulk.ask(action, Job.objects.db)
        if is_new:
            keep_choice(action, ids, Job.objects.db)
            with in_english():
                text = f"{plan.verb.label}: {counted(expected, 'job', 'jobs')} ({plan.in_words})"
            log_change(request, action, because(text, reason))
    return action, is_new


def is_the_same(action: BulkAction, plan: Plan) -> bool:
    """Whether what is under way is what was planned, of which it has the key.

    Of a cause every action has the same key, so its verb and its other words are compared: moments by their
    value, an age by its length, as counted back from when the action was asked for. Two who ask for the same
    age mean the same, though the moments differ by the seconds between them.
    """
    if not plan.words.get("cause"):
        return True  # the key is made of all that was asked
    chosen = action.selection if isinstance(action.selection, dict) else {}
    planned = plan.selection.as_json()
    same = [chosen.get(name) == planned.get(name) for name in ("cause", "queue", "processor", "listed")]
    same += [_is_same_time(name, chosen, planned, action, plan) for name in ("ended_from", "ended_to")]
    return action.verb == plan.verb.name and all(same)


def _is_same_time(
    name: str, chosen: Mapping[str, str], planned: Mapping[str, str], action: BulkAction, plan: Plan
) -> bool:
    length = length_of_age(plan.words, name.removeprefix("ended_"))
    if chosen.get(name) == planned.get(name) or length is None or name not in chosen:
        return chosen.get(name) == planned.get(name)
    asked = ((action.asked_at, chosen[name]), (database_now(Job.objects.db), planned[name]))
    return all(abs(at - length - datetime.fromisoformat(moment)) <= _A_MOMENT for at, moment in asked)


def _ids(plan: Plan) -> list[int]:
    """The ids of what a list showed, no more than were told."""
    return list(plan.jobs.order_by("pk").values_list("pk", flat=True)[: plan.number])


def verb_of(name: str) -> Verb | None:
    """The verb of that name, if the words of a selection may mean its jobs: failed ones."""
    return VERBS[name] if name in OF_FAILURES else None
