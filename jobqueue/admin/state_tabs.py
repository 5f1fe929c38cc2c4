"""The states above a list: each a link to the rows in it, with how many there are where that is known.

A number is never wrong: with a search or a filter only the list that is shown has one, which was counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import IGNORED_PARAMS, ORDER_VAR, PAGE_VAR, ChangeList
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext

from jobqueue.admin import listing
from jobqueue.admin.listing import bounded
from jobqueue.admin.words import state_label
from jobqueue.counts.states import KEPT, StateCounts, read_states
from jobqueue.operating.failing_times import AGE, FROM, TO
from jobqueue.operating.words import grouped
from jobqueue.searching import OF_ANY_STATE, STATES

STATE = "state"
NO_FILTER = "admin/jobqueue/no_filter.html"
"""The template of a filter whose choices the tabs show."""
_OF_ALL_LISTS = ("q", "queue", "processor", AGE, FROM, TO)
"""The words of an address that the list of all jobs takes as the lists of failed and stuck ones do."""


class TabsFilter(admin.ChoicesFieldListFilter):
    """The choices of a field, beside the tabs that show them: `list_filter = [("status", TabsFilter)]`."""

    template = NO_FILTER


@dataclass(frozen=True, slots=True)
class Tab:
    """One state; `number` is empty where nobody knows it."""

    label: str
    url: str
    number: str
    is_current: bool


def state_counts(request: HttpRequest, using: str) -> StateCounts:
    """How many jobs are in each state; asked once a request."""
    found: StateCounts | None = vars(request).get("_state_counts")
    if found is None:
        found = vars(request)["_state_counts"] = read_states(using, listing.COUNT_LIMIT)
    return found


def tabs_of_jobs(changes: ChangeList, request: HttpRequest, site_name: str) -> list[Tab]:
    """The states of jobs, for the list of all jobs and for those of one state."""
    pages: Any = changes.model_admin
    current = pages.state_of_list(request)
    known = _known(changes, request, is_of_all=pages.has_state_filter)
    ways = _within if pages.has_state_filter else _to_all_jobs(request, site_name)
    words = [word for word in STATES if word not in OF_ANY_STATE or word == current]
    tabs = [("", gettext("All")), *((word, str(capfirst(state_label(word)))) for word in words)]
    return [
        _tab(label, ways(changes, STATE, word), word == current, known(word), changes) for word, label in tabs
    ]


def tabs_of_field(changes: ChangeList, parameter: str, choices: Iterable[tuple[str, Any]]) -> list[Tab]:
    """The values of a filter of any list, with the number of the one that is shown."""
    current = changes.params.get(parameter, "")
    tabs = [("", gettext("All")), *((value, str(capfirst(label))) for value, label in choices)]
    return [
        _tab(label, _within(changes, parameter, value), value == current, "", changes)
        for value, label in tabs
    ]


def _tab(label: str, url: str, is_current: bool, known: str, changes: ChangeList) -> Tab:
    number: Any = changes.result_count  # of a list that was cut as 10,000+
    counted = str(number) if isinstance(number, listing.BoundedCount) else grouped(number)
    if getattr(changes, "refusals", None):
        counted = ""  # nothing was counted
    return Tab(label, url, known or (counted if is_current else ""), is_current)


def _known(changes: ChangeList, request: HttpRequest, *, is_of_all: bool) -> Callable[[str], str]:
    """What is known of the states without counting what a search or a filter leaves."""
    words = {name: text for name, text in changes.params.items() if text and name not in IGNORED_PARAMS}
    if is_of_all:
        words.pop(STATE, None)
    queue = words.pop("queue", "")
    if words or changes.query:
        return lambda word: ""
    counts = state_counts(request, changes.queryset.db)

    def number(word: str) -> str:
        found = counts.number(word or "all", queue)
        if found is None:
            return ""
        return grouped(found) if word in KEPT else str(bounded(found))

    return number


def _within(changes: ChangeList, parameter: str, value: str) -> str:
    """The address of the same list with another state, from its beginning and in that state's order."""
    return str(changes.get_query_string({parameter: value or None, PAGE_VAR: None, ORDER_VAR: None}))


def _to_all_jobs(request: HttpRequest, site_name: str) -> Callable[[ChangeList, str, str], str]:
    """The way to the list of all jobs from one of a single state, which is itself the way to that state."""
    kept = {name: request.GET[name] for name in _OF_ALL_LISTS if request.GET.get(name)}
    address = f"{site_name}:jobqueue_job_changelist"

    def way(changes: ChangeList, parameter: str, value: str) -> str:
        if value == changes.model_admin.only_state:  # type: ignore[attr-defined]
            return _within(changes, parameter, "")
        return reverse(address, query={**kept, **({parameter: value} if value else {})})

    return way
