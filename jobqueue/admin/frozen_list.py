"""A list as a bulk action means it: its address with moments for ages, so that it asks for the same later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.http import HttpRequest, QueryDict

from jobqueue.models import Job, JobQuerySet
from jobqueue.operating.bulk_plans import Plan, plan_of_list
from jobqueue.operating.failing_times import AGE, FROM, TO, failing_time
from jobqueue.operating.verbs import Verb
from jobqueue.searching import frozen
from jobqueue.sql.clock import database_now

if TYPE_CHECKING:
    JobAdmin = admin.ModelAdmin[Job]

# What an address says of a list without narrowing it: its page, its order.
OF_THE_LIST = (PAGE_VAR, ORDER_VAR)


def plan_of(pages: JobAdmin, request: HttpRequest, jobs: JobQuerySet, verb: Verb) -> Plan:
    """What the verb would do to all jobs of the list; from here on the address of the request is frozen."""
    words = _frozen_words(request.GET.dict())
    if words != request.GET.dict():
        address = QueryDict(mutable=True)
        address.update(words)
        request.GET = address  # type: ignore[assignment]
        changes: Any = pages.get_changelist_instance(request)
        jobs = changes.get_queryset(request)
    only_state = getattr(pages, "only_state", "")
    state = {"state": only_state} if only_state else {}
    asked = {name: text for name, text in words.items() if text and name not in OF_THE_LIST}
    newest, shown_at = request.POST.get("newest", ""), request.POST.get("shown_at", "")
    return plan_of_list(verb, jobs, {**asked, **state}, newest, shown_at)


def hidden_fields(plan: Plan, checkbox: str) -> dict[str, Any]:
    """What the form says besides that begins it: that all of the list are meant, and what number was told."""
    return {"action": plan.verb.name, "select_across": "1", checkbox: "0", "seen": plan.number}


def are_more(plan: Plan, seen: str) -> bool:
    """Whether more jobs are meant now than the operator was told; a list takes that number."""
    if not seen and plan.listed is None:
        return False
    number = confirmed_number(seen)
    return number is None or plan.number > number


def confirmed_number(seen: str) -> int | None:
    """The number that a page told and somebody confirmed; None where it says none."""
    return int(seen[:19]) if seen.isascii() and seen.isdecimal() else None


def _frozen_words(address: Mapping[str, str]) -> dict[str, str]:
    words = dict(address)
    now = database_now(Job.objects.db)
    if words.get(SEARCH_VAR):
        words[SEARCH_VAR] = frozen(words[SEARCH_VAR], now)
    time = failing_time(words, Job.objects.db, now)
    if words.get(AGE) and not time.problem:
        del words[AGE]
        moments = ((FROM, time.begin), (TO, time.end))
        words.update({name: moment.isoformat() for name, moment in moments if moment is not None})
    return words
