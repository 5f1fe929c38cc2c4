"""Beginning a bulk action: what is meant is frozen, told in numbers, confirmed, and written down once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, ngettext

from jobqueue.admin.audit import log_change
from jobqueue.admin.concerns import MOST_SUBJECTS, Sum, concerns_of, is_anybody_asked
from jobqueue.admin.consequences import count_emails
from jobqueue.admin.failing_times import YEARS
from jobqueue.admin.failures import Question, question
from jobqueue.admin.verbs import VERBS, Mail, Verb
from jobqueue.admin.words import absolute
from jobqueue.models import BulkAction, Job, JobQuerySet, Selection, bulk
from jobqueue.models.failures import subjects_by_cause
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.clock import database_now
from jobqueue.sql.tolerant import AsText, as_text
from jobqueue.sql.writing import writing

WORDS = ("cause", "queue", "processor", "age", "from", "to")
"""The words of an address by which jobs are meant."""
# What an address says of a list without narrowing it: its page, its order.
_OF_THE_LIST = ("p", "o")
OF_FAILURES = (BulkAction.Verb.RETRY.value, BulkAction.Verb.DELETE.value)
TYPED_ABOVE = 1_000
"""An action on more jobs takes their number, typed, and a reason."""
LONGEST_REASON = 500
_LONGEST_ID = len(str(2**63))
MOST_PER_SECOND = 100_000
_RATE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Plan:
    """What a bulk action would do, in numbers; nothing is changed by asking for it."""

    verb: Verb
    words: Mapping[str, str]
    selection: Selection
    newest: int
    problem: str = ""

    @cached_property
    def by_processor(self) -> dict[str, int]:
        """The jobs that are meant, by processor, the most frequent first."""
        if self.problem:
            return {}
        try:
            return self._numbers("processor")
        except Exception as error:
            if not may_be_of_a_row(error):
                raise
        return self._numbers(AsText("processor"))  # a row may hold one that is no text

    def _numbers(self, column: str | AsText) -> dict[str, int]:
        found: Counter[str] = Counter()
        for name, number in self.jobs.order_by().values_list(column).annotate(number=Count("pk")):
            found[as_text(name)] += number
        return dict(found.most_common())

    @property
    def jobs(self) -> JobQuerySet:
        """The jobs that are meant."""
        return self.verb.eligible(self.selection.of(Job.objects.all())).filter(pk__lte=self.newest)

    @property
    def number(self) -> int:
        """How many."""
        return sum(self.by_processor.values())

    @property
    def shown_number(self) -> str:
        """How many, to be read."""
        return f"{self.number:,}"

    @property
    def mail(self) -> str:
        """What happens to e-mails. Those of failed jobs do not wait: to discard them holds back none."""
        emails = count_emails(self.by_processor) if self.verb.mail is Mail.GOES_OUT else 0
        text = ngettext(
            "Up to %(number)s e-mail will go out.", "Up to %(number)s e-mails will go out.", emails
        )
        return text % {"number": f"{emails:,}"} if emails else ""

    def concerned(self, request: HttpRequest) -> str:
        """Whom they are about and what it is worth; "at least" where there are too many to read."""
        if not is_anybody_asked():
            return ""
        by_cause = subjects_by_cause(self.jobs, MOST_SUBJECTS)
        subjects: set[str] = set().union(*by_cause.values())
        text = Sum.of(concerns_of(subjects, request).values()).in_words()
        is_cut = sum(map(len, by_cause.values())) >= MOST_SUBJECTS
        return gettext("at least %(whom)s") % {"whom": text} if text and is_cut else text

    @property
    def is_large(self) -> bool:
        """Whether the number is to be typed."""
        return self.number > TYPED_ABOVE

    @property
    def in_words(self) -> str:
        """Which jobs are meant, for people and the audit."""
        return in_words(self.selection)


def in_words(selection: Selection) -> str:
    """Which jobs are meant: "failed jobs, cause ValueError, failed since 2026-11-26 16:00:00 UTC"."""
    state = gettext("held") if selection.held else selection.state
    parts = [gettext("%(state)s jobs") % {"state": state}]
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
    if newest.isascii() and newest.isdecimal() and len(newest) <= _LONGEST_ID:
        highest = min(highest, int(newest))
    selection = asked.selection
    if until is not None and (selection.ended_to is None or until < selection.ended_to):
        selection = replace(selection, ended_to=until)
    return Plan(verb, dict(words), selection, highest, asked.problem)


def words_of(address: Mapping[str, str], only_state: str) -> dict[str, str] | None:
    """The words that mean the jobs of a list of failed jobs; None if it is narrowed by others too."""
    asked = {name: text for name, text in address.items() if text and name not in _OF_THE_LIST}
    if (only_state or asked.pop("state", "")) != Job.State.FAILED or not set(asked).issubset(WORDS):
        return None
    return asked


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    is_one = moment is not None and moment.tzinfo is not None and moment.year in YEARS
    return moment if is_one else None


def begin(
    pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan, *, at_once: bool = False
) -> HttpResponse:
    """Begin what was confirmed, or ask for it; `at_once` where the page itself said what it means."""
    needs_no_question = at_once and not plan.is_large and not plan.verb.is_dangerous
    if not needs_no_question and request.POST.get("confirmed") != plan.verb.name:
        return ask(pages, request, plan)
    refusal = _refusal(pages, request, plan)
    if refusal is not None:
        return refusal
    problems = _problems(request, plan)
    return _ask(pages, request, plan, problems) if problems else _write_down(pages, request, plan)


def ask(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan) -> HttpResponse:
    """Tell what it means and ask for it, whatever was confirmed before: that was about fewer jobs."""
    return _refusal(pages, request, plan) or _ask(pages, request, plan, [])


def _refusal(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan) -> HttpResponse | None:
    """The answer where nothing can be begun. Raises PermissionDenied for who may not."""
    if not request.user.has_perm(f"jobqueue.{plan.verb.permission}_job"):
        raise PermissionDenied
    if plan.number:
        return None
    pages.message_user(request, _nothing(plan), messages.WARNING)
    return HttpResponseRedirect(_causes(pages, plan))


def _nothing(plan: Plan) -> str:
    if plan.problem:
        return gettext("Nothing was begun: %(problem)s.") % {"problem": plan.problem}
    return gettext("Nothing was begun: no job matches (%(which)s).") % {"which": plan.in_words}


def _problems(request: HttpRequest, plan: Plan) -> list[str]:
    """What keeps a confirmed action from being begun."""
    found = []
    typed = request.POST.get("typed", "").replace(",", "").strip()
    if plan.is_large and typed != str(plan.number):
        found.append(gettext("Type the number of jobs, %(number)s, to begin.") % {"number": plan.number})
    reason = request.POST.get("reason", "").strip()
    if plan.is_large and not reason:
        found.append(gettext("Say why: an action on so many jobs takes a reason."))
    if len(reason) > LONGEST_REASON:
        found.append(gettext("A reason may have %(most)s characters.") % {"most": LONGEST_REASON})
    if "\x00" in reason:
        found.append(gettext("A reason cannot have the character U+0000."))
    rate = request.POST.get("per_second", "").strip()
    if rate and not (_RATE.fullmatch(rate) and 1 <= int(rate) <= MOST_PER_SECOND):
        found.append(
            gettext("At most a second: a whole number from 1 to %(most)s, or nothing.")
            % {"most": MOST_PER_SECOND}
        )
    return found


def _ask(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan, problems: list[str]) -> HttpResponse:
    context = {
        **pages.admin_site.each_context(request),
        "title": gettext("Are you sure?"),
        "opts": BulkAction._meta,
        "media": pages.media,
        "plan": plan,
        "concerned": plan.concerned(request),
        "label": gettext("Discard") if plan.verb.name == "delete" else plan.verb.label,
        "problems": problems,
        "typed": request.POST.get("typed", "")[:20],
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
        "per_second": request.POST.get("per_second", "")[:9],
        "shown_at": request.POST.get("shown_at") or database_now(Job.objects.db).isoformat(),
        "start_url": reverse(f"{pages.admin_site.name}:jobqueue_bulkaction_start"),
        "back_url": _causes(pages, plan),
    }
    return TemplateResponse(request, "admin/jobqueue/bulk_confirm.html", context)


def _write_down(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan) -> HttpResponse:
    rate = request.POST.get("per_second", "").strip()
    reason = request.POST.get("reason", "").strip()[:LONGEST_REASON]
    action, is_new = write_down(request, plan, reason, int(rate) if rate else None)
    if not is_new:
        text = gettext("The same is under way already: %(who)s began it.") % {"who": action.asked_by}
        pages.message_user(request, text, messages.WARNING)
    name = f"{pages.admin_site.name}:jobqueue_bulkaction_change"
    return HttpResponseRedirect(reverse(name, args=[action.pk]))


def write_down(
    request: HttpRequest, plan: Plan, reason: str, per_second: int | None
) -> tuple[BulkAction, bool]:
    """Begin what is planned, with one entry in the audit, or find the same under way. Whether it is new."""
    action = BulkAction(
        verb=plan.verb.name,
        selection=plan.selection.as_json(),
        key=bulk.key_of(plan.verb.name, plan.words),
        highest_id=plan.newest,
        expected=plan.number,
        per_second=per_second,
        reason=reason,
        asked_by=request.user.get_username()[:200],
    )
    with writing(Job.objects.db):
        action, is_new = bulk.ask(action, Job.objects.db)
        if is_new:
            text = f"{plan.verb.label}: {plan.number} jobs ({plan.in_words})"
            log_change(request, action, f"{text}. Reason: {reason}" if reason else text)
    return action, is_new


def _causes(pages: admin.ModelAdmin[Any], plan: Plan) -> str:
    words = {name: text for name, text in plan.words.items() if text and name != "cause"}
    address = reverse(f"{pages.admin_site.name}:jobqueue_cause_changelist")
    return f"{address}?{urlencode(words)}" if words else address


def verb_of(name: str) -> Verb | None:
    """The verb of that name, if it can be a bulk action."""
    return VERBS[name] if name in OF_FAILURES else None
