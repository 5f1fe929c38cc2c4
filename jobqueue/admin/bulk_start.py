"""Beginning a bulk action on the pages: what it would do is told, asked for, and confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext

from jobqueue.admin.bulk_rate import rate_field, rate_of, trouble_with_rate
from jobqueue.admin.frozen_list import OF_THE_LIST, are_more, confirmed_number, hidden_fields
from jobqueue.admin.search import limits_of
from jobqueue.models import BulkAction, Job
from jobqueue.operating.bulk_plans import LONGEST_REASON, WORDS, Plan, write_down
from jobqueue.operating.rights import demand, permissions_of
from jobqueue.operating.words import typed_number
from jobqueue.operating.workers import is_a_worker_alive
from jobqueue.sql.clock import database_now


def words_of(address: Mapping[str, str], only_state: str) -> dict[str, str] | None:
    """The words that mean the jobs of a list of failed jobs; None if it is narrowed by others too."""
    asked = {name: text for name, text in address.items() if text and name not in OF_THE_LIST}
    if (only_state or asked.pop("state", "")) != Job.State.FAILED or not set(asked).issubset(WORDS):
        return None
    return asked


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
    if are_more(plan, request.POST.get("seen", "")):
        problems.append(gettext("Meanwhile more jobs match: look at the number again."))
    return _ask(pages, request, plan, problems) if problems else _write_down(pages, request, plan)


def ask(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan) -> HttpResponse:
    """Tell what it means and ask for it, whatever was confirmed before: that was about fewer jobs."""
    return _refusal(pages, request, plan) or _ask(pages, request, plan, [])


def _refusal(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan) -> HttpResponse | None:
    """The answer where nothing can be begun. Raises PermissionDenied for who may not."""
    demand(request, *permissions_of(plan.verb.right))
    if plan.number:
        return None
    pages.message_user(request, _nothing(plan), messages.WARNING)
    return HttpResponseRedirect(_back(pages, request, plan))


def _nothing(plan: Plan) -> str:
    if plan.problem:
        return gettext("Nothing was begun: %(problem)s.") % {"problem": plan.problem}
    return gettext("Nothing was begun: no job matches (%(which)s).") % {"which": plan.in_words}


def _problems(request: HttpRequest, plan: Plan) -> list[str]:
    """What keeps a confirmed action from being begun."""
    found = []
    typed = typed_number(request.POST.get("typed", ""))
    if plan.is_large and typed != str(plan.number):
        found.append(
            gettext("Type the number of jobs, %(number)s, to begin.") % {"number": plan.shown_number}
        )
    reason = request.POST.get("reason", "").strip()
    if plan.is_large and not reason:
        found.append(gettext("Say why: an action on so many jobs takes a reason."))
    if len(reason) > LONGEST_REASON:
        found.append(gettext("A reason may have %(most)s characters.") % {"most": LONGEST_REASON})
    if "\x00" in reason:
        found.append(gettext("A reason cannot have the character U+0000."))
    if trouble := trouble_with_rate(request):
        found.append(trouble)
    return found


def _ask(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan, problems: list[str]) -> HttpResponse:
    label = gettext("Discard") if plan.verb.name == "delete" else plan.verb.label
    context = {
        **pages.admin_site.each_context(request),
        "title": gettext("%(verb)s: are you sure?") % {"verb": label},
        "opts": BulkAction._meta,
        "media": pages.media,
        "plan": plan,
        "concerned": plan.concerned(request),
        "label": label,
        "limits": limits_of(request),
        "problems": problems,
        "typed": request.POST.get("typed", "")[:20],
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
        **rate_field(request),
        "nobody_walks": not is_a_worker_alive(Job.objects.db),
        "shown_at": request.POST.get("shown_at") or database_now(Job.objects.db).isoformat(),
        "start_url": reverse(f"{pages.admin_site.name}:jobqueue_bulkaction_start"),
        "hidden": {**plan.words, "seen": plan.number},
        "back_url": _back(pages, request, plan),
    }
    if plan.listed is not None:
        context |= {"start_url": context["back_url"], "hidden": hidden_fields(plan, ACTION_CHECKBOX_NAME)}
    return TemplateResponse(request, "admin/jobqueue/bulk_confirm.html", context)


def _write_down(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()[:LONGEST_REASON]
    seen = confirmed_number(request.POST.get("seen", ""))
    action, is_new = write_down(request, plan, reason, rate_of(request), confirmed=seen or 0)
    if not is_new:
        pages.message_user(request, _under_way(action, plan), messages.WARNING)
    name = f"{pages.admin_site.name}:jobqueue_bulkaction_change"
    return HttpResponseRedirect(reverse(name, args=[action.pk]))


def _under_way(action: BulkAction, plan: Plan) -> str:
    """That nothing was begun, and when it can be: what failed since is not in the one that is under way."""
    if not plan.words.get("cause"):
        return gettext("The same is under way already: %(who)s began it.") % {"who": action.asked_by}
    text = gettext(
        "Nothing was begun: this one, which %(who)s began, is under way for the same cause. "
        "What failed after it was asked for is not in it: begin again once it has ended."
    )
    return text % {"who": action.asked_by}


def _back(pages: admin.ModelAdmin[Any], request: HttpRequest, plan: Plan) -> str:
    """Where the question came from: the list, or the failures by cause."""
    if plan.listed is not None:
        return f"{request.path}?{request.GET.urlencode()}"
    words = {name: text for name, text in plan.words.items() if text and name != "cause"}
    address = reverse(f"{pages.admin_site.name}:jobqueue_cause_changelist")
    return f"{address}?{urlencode(words)}" if words else address
