"""Run now and retry of a selection: what an app guards is asked for one by one, and told of where it says no.

All else is done as every other action. More than a batch goes to the background, where the same is asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from jobqueue.admin import actions
from jobqueue.admin.asked import refused_text
from jobqueue.admin.reasons import optional_reason_of
from jobqueue.exceptions import JobTransitionRefused, WrongState
from jobqueue.models import Job, JobQuerySet, bulk, guards
from jobqueue.operating.forward import BRING_FORWARD, take_and_log
from jobqueue.operating.verbs import BULK_VERBS, Verb
from jobqueue.operating.words import grouped

if TYPE_CHECKING:
    from jobqueue.admin.actions import JobAdmin

Act = Callable[["JobAdmin", HttpRequest, JobQuerySet], HttpResponse]
_MOST_SAID = 5


def _asking(verb: Verb, plain: Act) -> Act:
    @functools.wraps(plain)
    def act(model_admin: JobAdmin, request: HttpRequest, jobs: JobQuerySet) -> HttpResponse:
        ids = _guarded(verb, request, jobs)
        if not ids:
            return plain(model_admin, request, jobs)
        reason, problem = optional_reason_of(request)
        if problem:
            return plain(model_admin, request, jobs)
        rest = jobs.exclude(pk__in=ids)
        answer = plain(model_admin, request, rest) if rest.exists() else _back(model_admin, request)
        if isinstance(answer, HttpResponseRedirect):  # else something is asked anew, and nothing was done
            _one_by_one(model_admin, request, verb, ids, reason)
        return answer

    return act


ACTIONS: dict[str, Any] = actions.ACTIONS | {
    name: _asking(BULK_VERBS[name], actions.ACTIONS[name]) for name in BRING_FORWARD
}
"""The actions of all verbs."""


def _guarded(verb: Verb, request: HttpRequest, jobs: JobQuerySet) -> list[int]:
    """The ids of those that are asked for here, among what was counted: none before it is confirmed, nor of
    what a worker does.
    """
    if request.POST.get("confirmed") != verb.name:
        return []
    eligible = verb.eligible(jobs.order_by())
    if request.POST.get("select_across") == "1" and eligible[: bulk.BATCH + 1].count() > bulk.BATCH:
        return []
    told, are_more = actions.confirmed(actions.up_to_the_newest(jobs, request), verb, request)
    if told is None or are_more:
        return []  # it is asked anew
    rows = guards.guarded(eligible.filter(pk__in=told)).order_by("run_at", "pk")
    return list(rows.values_list("pk", flat=True)[: bulk.BATCH])


def _one_by_one(
    model_admin: JobAdmin, request: HttpRequest, verb: Verb, ids: Sequence[int], reason: str
) -> None:
    done, said, changed = 0, [], 0
    for number in ids:
        try:
            take_and_log(verb, number, request, reason)
            done += 1
        except (WrongState, Job.DoesNotExist):
            changed += 1
        except JobTransitionRefused as error:
            said.append(f"#{number}: {refused_text(error, request)}")
    if done:
        words = {"jobs": _jobs(done), "done": verb.done}
        model_admin.message_user(request, gettext("%(jobs)s %(done)s.") % words, messages.SUCCESS)
    if changed:
        words = {"jobs": _jobs(changed), "verb": str(verb.label).lower(), "takes": verb.takes}
        text = gettext("%(jobs)s left alone: %(verb)s takes %(takes)s.")
        model_admin.message_user(request, text % words, messages.WARNING)
    if said:
        model_admin.message_user(request, _left_alone(said), messages.WARNING)


def _left_alone(said: Sequence[str]) -> str:
    text = ngettext(
        "%(number)s job was left alone: what it is about does not allow that. %(said)s.",
        "%(number)s jobs were left alone: what they are about does not allow that. %(said)s.",
        len(said),
    )
    more = "; …" if len(said) > _MOST_SAID else ""
    return text % {"number": grouped(len(said)), "said": "; ".join(said[:_MOST_SAID]) + more}


def _jobs(number: int) -> str:
    return ngettext("%(number)s job", "%(number)s jobs", number) % {"number": grouped(number)}


def _back(model_admin: JobAdmin, request: HttpRequest) -> HttpResponseRedirect:
    """To the job that the action started from, else to the list with its filter."""
    [job] = request.POST.getlist("_selected_action")[:1] or [""]
    if request.POST.get("back") and job.isdecimal():
        return HttpResponseRedirect(reverse(f"{model_admin.admin_site.name}:jobqueue_job_change", args=[job]))
    return HttpResponseRedirect(request.get_full_path())
