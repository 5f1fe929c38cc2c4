"""Bulk actions on jobs: say in numbers what will happen, do it in batches, write down who did it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext

from jobqueue.admin import bulk_start, frozen_list
from jobqueue.admin.listing import BoundedCount, count_up_to_limit
from jobqueue.admin.reasons import optional_reason_of
from jobqueue.admin.search import limits_of
from jobqueue.models import Job, JobQuerySet, bulk
from jobqueue.models.audit import LONGEST_REASON
from jobqueue.operating import bulk_plans
from jobqueue.operating.audit import entries_of, history_of, write_down
from jobqueue.operating.concerned import concerned
from jobqueue.operating.consequences import count_emails, count_perhaps_sent
from jobqueue.operating.retelling import retold_message
from jobqueue.operating.verbs import BULK_VERBS, Mail, Verb
from jobqueue.operating.words import grouped
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing

if TYPE_CHECKING:
    JobAdmin = admin.ModelAdmin[Job]

MOST_PER_REQUEST = 5_000
BATCH = 500
A_MOMENT = timedelta(minutes=1)
"""So long ago at most somebody else was quicker, and did not just do it before."""
_BACK_TO_JOB = "back"
_ID = re.compile(r"-?\d{1,18}", re.ASCII)


def action_for(verb: Verb) -> Callable[[JobAdmin, HttpRequest, JobQuerySet], HttpResponse]:
    """The admin action of a verb."""

    @admin.action(description=format_lazy("{} …", verb.label))
    def act(model_admin: JobAdmin, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse:
        in_background = _in_background(model_admin, request, jobs, verb)
        if in_background is not None:
            # What words say is begun at an address of its own; what a list shows the list itself says.
            answer = bulk_start.ask if in_background.listed is None else bulk_start.begin
            return answer(model_admin, request, in_background)
        if request.POST.get("confirmed") != verb.name:
            return _ask(model_admin, request, jobs, verb)
        reason, problem = optional_reason_of(request)
        asked_about = up_to_the_newest(jobs, request)
        ids, are_more = confirmed(asked_about, verb, request)
        if are_more:
            problem = gettext("Meanwhile more jobs match: look at the number again.")
        if problem or ids is None:
            return _ask(model_admin, request, jobs, verb, problem)
        chosen = count_up_to_limit(jobs)
        return _carry_out(model_admin, request, asked_about, verb, Order(ids, chosen, reason))

    act.__name__ = verb.name
    return act


def _in_background(
    model_admin: JobAdmin, request: HttpRequest, jobs: JobQuerySet, verb: Verb
) -> bulk_plans.Plan | None:
    """What a worker is to do: all jobs that match a list, where they are more than one batch."""
    if request.POST.get("select_across") != "1":
        return None
    words = bulk_start.words_of(request.GET.dict(), getattr(model_admin, "only_state", ""))
    if verb.eligible(jobs.order_by())[: bulk.BATCH + 1].count() <= bulk.BATCH:
        return None
    if words is None or bulk_plans.verb_of(verb.name) is None:
        return frozen_list.plan_of(model_admin, request, jobs, verb)
    return bulk_plans.plan(verb, words, request.POST.get("newest", ""))


ACTIONS = {name: action_for(verb) for name, verb in BULK_VERBS.items()}


# Asking -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What a verb would do to the chosen jobs, in numbers."""

    verb: Verb
    chosen: BoundedCount
    eligible: BoundedCount
    by_processor: dict[str, int]
    emails: int
    perhaps_sent: int
    """How many of these perhaps went out already."""
    newest: int
    ids: list[int]
    stopped: int
    """How many of them end as cancelled instead, for their stop was asked for."""

    @property
    def counted(self) -> str:
        """The ids of the jobs that this request takes, as its form brings them back."""
        return ",".join(map(str, self.ids))

    @property
    def now(self) -> int:
        """How many jobs this request takes."""
        return sum(self.by_processor.values())

    @property
    def later(self) -> str:
        """How many more match and are left for the next request."""
        left = BoundedCount(self.eligible - self.now)
        left.stopped = self.eligible.stopped
        return str(left) if left or left.stopped else ""

    @property
    def refused(self) -> int:
        """How many of the chosen jobs the verb does not take."""
        return 0 if self.eligible.stopped or self.chosen.stopped else self.chosen - self.eligible

    @property
    def mail(self) -> str:
        """What happens to e-mails."""
        return self.verb.mail.of(self.emails, self.perhaps_sent)

    @property
    def means(self) -> str:
        """What it means for the jobs."""
        return self.verb.means(self.now)

    @property
    def number(self) -> str:
        """How many jobs this request takes, in words."""
        return _jobs(self.now)


def plan(jobs: JobQuerySet, verb: Verb) -> Plan:
    """Look at the jobs as `verb` would take them. Reads at most COUNT_LIMIT rows."""
    eligible = verb.eligible(jobs.order_by())
    rows = list(eligible.order_by("pk").only("processor", "state", "stop_asked_at")[:MOST_PER_REQUEST])
    return Plan(
        verb=verb,
        chosen=count_up_to_limit(jobs),
        eligible=count_up_to_limit(eligible) if len(rows) == MOST_PER_REQUEST else BoundedCount(len(rows)),
        by_processor=dict(Counter(job.processor for job in rows).most_common()),
        emails=count_emails(Counter(job.processor for job in rows if _has_mail(verb, job))),
        perhaps_sent=_perhaps_sent(eligible, verb, rows),
        newest=jobs.order_by("-pk").values_list("pk", flat=True).first() or 0,
        ids=[job.pk for job in rows],
        stopped=sum(map(verb.ends_stopped, rows)),
    )


def _perhaps_sent(eligible: JobQuerySet, verb: Verb, rows: list[Job]) -> int:
    """Of how many of these jobs the e-mail perhaps went out already, where it would go out once more."""
    if verb.mail is not Mail.GOES_OUT:
        return 0
    ids = [job.pk for job in rows]
    return count_perhaps_sent(eligible.filter(pk__in=ids), {job.processor for job in rows})


def _has_mail(verb: Verb, job: Job) -> bool:
    """Deleting or cancelling holds back the e-mails of waiting jobs only."""
    if verb.mail is Mail.GOES_OUT:
        return not verb.ends_stopped(job)
    return job.state in (Job.State.WAITING, Job.State.ACTIVE)


def _ask(
    model_admin: JobAdmin, request: HttpRequest, jobs: JobQuerySet, verb: Verb, problem: str = ""
) -> HttpResponse:
    planned = plan(jobs, verb)
    if not planned.now:
        model_admin.message_user(request, _nothing_to_do(planned), messages.WARNING)
        return _back(model_admin, request)
    across = request.POST.get("select_across") == "1"
    context = {
        **model_admin.admin_site.each_context(request),
        "title": gettext("%(verb)s: are you sure?") % {"verb": verb.label},
        "opts": model_admin.opts,
        "media": model_admin.media,
        "plan": planned,
        "concerned": concerned(_meant(jobs, verb, planned), request),
        "problem": problem,
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
        "longest_reason": LONGEST_REASON,
        "verb": verb,
        "across": across,
        "limits": limits_of(request) if across else [],
        "selected": ["0"] if across else request.POST.getlist(ACTION_CHECKBOX_NAME),
        "checkbox": ACTION_CHECKBOX_NAME,
        "back": request.POST.get(_BACK_TO_JOB, ""),
        "back_url": _back(model_admin, request).url,
        "most": MOST_PER_REQUEST,
    }
    return TemplateResponse(request, "admin/jobqueue/confirm.html", context)


def _meant(jobs: JobQuerySet, verb: Verb, planned: Plan) -> JobQuerySet:
    """The jobs that one request takes, and no others."""
    eligible = verb.eligible(jobs.order_by())
    if not planned.later:
        return eligible
    taken = eligible.order_by("pk").values_list("pk", flat=True)[:MOST_PER_REQUEST]
    return Job.objects.using(eligible.db).filter(pk__in=list(taken))


def _nothing_to_do(planned: Plan) -> str:
    verb = planned.verb
    if planned.chosen == 1:
        return _nothing_done(verb)
    return gettext("None of the %(number)s jobs can be %(done)s: that takes %(takes)s.") % {
        "number": planned.chosen,
        "done": verb.done,
        "takes": verb.takes,
    }


def _nothing_done(verb: Verb) -> str:
    words = {"done": verb.done, "takes": verb.takes}
    return gettext("Nothing was %(done)s: that takes %(takes)s.") % words


def _back(model_admin: JobAdmin, request: HttpRequest) -> HttpResponseRedirect:
    """To the job that the action started from, else to the list with its filter."""
    selected = request.POST.getlist(ACTION_CHECKBOX_NAME)
    if request.POST.get(_BACK_TO_JOB) and len(selected) == 1 and selected[0].isdecimal():
        if Job.objects.filter(pk=selected[0]).exists():
            name = f"{model_admin.admin_site.name}:jobqueue_job_change"
            return HttpResponseRedirect(reverse(name, args=[selected[0]]))
        return HttpResponseRedirect(reverse(f"{model_admin.admin_site.name}:jobqueue_job_changelist"))
    return HttpResponseRedirect(request.get_full_path())


# Doing --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """What was confirmed: these jobs, of so many that were chosen, and why."""

    ids: list[int]
    chosen: BoundedCount
    reason: str


@dataclass
class Progress:
    """What a bulk action has changed so far, the id of the last job it looked at, and its audit entries."""

    changed: int = 0
    stopped: int = 0
    """How many of these ended as cancelled instead, for their stop was asked for."""
    last: int = -(2**63)
    entries: list[int] = field(default_factory=list)


def up_to_the_newest(jobs: JobQuerySet, request: HttpRequest) -> JobQuerySet:
    """Those that were there when it was asked: nobody was asked about jobs that came after the question."""
    newest = request.POST.get("newest", "")
    if newest.isascii() and newest.isdecimal() and len(newest) <= bulk_plans.LONGEST_ID:
        return jobs.filter(pk__lte=int(newest))
    return jobs


def confirmed(jobs: JobQuerySet, verb: Verb, request: HttpRequest) -> tuple[list[int] | None, bool]:
    """The ids of the jobs whose number was told, and whether there would be more than these now.

    None where that number did not come back, and no selection says which jobs are meant.
    """
    now = list(verb.eligible(jobs.order_by()).order_by("pk").values_list("pk", flat=True)[:MOST_PER_REQUEST])
    counted = request.POST.get("counted")
    if counted is None:
        return (None if request.POST.get("select_across") == "1" else now), False
    numbers = [text for text in counted.split(",")[:MOST_PER_REQUEST] if _ID.fullmatch(text)]
    return sorted(map(int, numbers)), len(now) > len(numbers)


def _carry_out(
    model_admin: JobAdmin, request: HttpRequest, jobs: JobQuerySet, verb: Verb, order: Order
) -> HttpResponse:
    chosen, progress = order.chosen, _in_batches(verb.eligible(jobs.order_by()), verb, request, order)
    across = request.POST.get("select_across") == "1"
    left = count_up_to_limit(verb.eligible(jobs.filter(pk__gt=progress.last))) if across else BoundedCount(0)
    shown_at = _list_of(model_admin, request, verb, progress)
    for text, level in _messages(verb, progress, 0 if across else chosen - progress.changed, left, shown_at):
        model_admin.message_user(request, text, level)
    if chosen == 1 and not progress.changed and (quicker := _who_was_quicker(jobs)):
        model_admin.message_user(request, quicker, messages.WARNING)
    return _back(model_admin, request)


def _who_was_quicker(jobs: JobQuerySet) -> str:
    """Who did something to the one job a moment ago, so that it cannot be done now; empty if nobody did."""
    job = jobs.order_by().first()
    latest = next(iter(history_of(job)), None) if job is not None else None
    if latest is None or database_now(jobs.db) - latest.at > A_MOMENT:
        return ""
    words = {"who": latest.who, "what": retold_message(latest.what).rstrip(".")}
    return gettext("Somebody was quicker: %(who)s (%(what)s).") % words


def _list_of(model_admin: JobAdmin, request: HttpRequest, verb: Verb, progress: Progress) -> str:
    """Where exactly these jobs are listed; empty where none are left, or they are not of one entry."""
    if len(progress.entries) != 1 or verb.name == "delete" or request.POST.get(_BACK_TO_JOB):
        return ""
    name = f"{model_admin.admin_site.name}:jobqueue_job_changelist"
    return reverse(name, query={"audit": progress.entries[0]})


def _in_batches(eligible: JobQuerySet, verb: Verb, request: HttpRequest, order: Order) -> Progress:
    progress = Progress()
    for start in range(0, len(order.ids), BATCH):
        ids = order.ids[start : start + BATCH]
        _one_batch(eligible.filter(pk__in=ids), verb, request, progress, order.reason)
        progress.last = ids[-1]
    return progress


def _one_batch(
    eligible: JobQuerySet, verb: Verb, request: HttpRequest, progress: Progress, reason: str
) -> None:
    """Lock a batch, change it and write it down, in one transaction.

    The lock makes of two operators who click at once one who changes a job and one who finds it changed.
    """
    with writing(eligible.db):
        ours = list(eligible.select_for_update().order_by("pk").values_list("pk", flat=True))
        # Looked at again: what waited for its lock was taken by the time at which the wait began.
        rows = eligible.filter(pk__in=ours).order_by("pk")
        batch = list(rows.only("processor", "queue", "state", "run_at", "held_run_at", "stop_asked_at"))
        entries = entries_of(verb, batch, request, reason)
        if not entries:
            return
        progress.changed += verb.apply(
            Job.objects.using(eligible.db).filter(pk__in=entries), request.user.get_username(), reason
        )
        progress.stopped += sum(map(verb.ends_stopped, batch))
        progress.entries += write_down(entries.values())


def _messages(
    verb: Verb, progress: Progress, refused: int, left: BoundedCount, shown_at: str
) -> Iterator[tuple[str, int]]:
    if done := progress.changed - progress.stopped:
        words = {"jobs": _jobs(done), "done": verb.done}
        yield _with_list(gettext("%(jobs)s %(done)s.") % words, shown_at), messages.SUCCESS
    if progress.stopped:
        yield _ended_stopped(progress.stopped), messages.SUCCESS
    if refused > 0:
        words = {"jobs": _jobs(refused), "verb": str(verb.label).lower(), "takes": verb.takes}
        yield gettext("%(jobs)s left alone: %(verb)s takes %(takes)s.") % words, messages.WARNING
    if not progress.changed and refused <= 0:
        yield _nothing_done(verb), messages.WARNING
    if left:
        text = gettext(
            "%(number)s more match: one request takes at most %(most)s. Repeat the action to go on."
        )
        yield text % {"number": left, "most": grouped(MOST_PER_REQUEST)}, messages.WARNING


def _ended_stopped(number: int) -> str:
    text = ngettext(
        "%(number)s job ended as cancelled: its stop was asked for.",
        "%(number)s jobs ended as cancelled: their stop was asked for.",
        number,
    )
    return text % {"number": grouped(number)}


def _with_list(text: str, url: str) -> str | SafeString:
    """What was done, with the way to how it goes on with exactly these jobs."""
    if not url:
        return text
    return format_html('{} <a href="{}">{}</a>', text, url, gettext("How they go on"))


def _jobs(number: int) -> str:
    return ngettext("%(number)s job", "%(number)s jobs", number) % {"number": grouped(number)}
