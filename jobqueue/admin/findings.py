"""What is wrong right now: findings, the weightiest first, each with since when, how many and what to do.

An app adds findings of its own. In its `admin` it registers a function that is given the request:

    from jobqueue.admin import Finding, register_finding

    @register_finding
    def unpaid_invoices(request):
        if request.user.has_perm("shop.view_invoice") and (late := count_late_invoices()):
            yield Finding(60, f"{late} invoices are late.", url="/admin/shop/invoice/", cure="Call them.")

It is asked each time somebody looks at the overview: it takes one query that does not grow with the rows,
writes nothing, and yields only what this user may know. One that fails is left out. The jobs that it counts
are listed under `?finding=<name>` where it registers them with `lists_finding`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpRequest

from jobqueue.models import JobQuerySet
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `weight` says how much: no worker at all weighs 101, stores that are away 100, jobs that nobody runs 90,
    stuck ones 80, a paused queue 70, what waits for long 60, what is held past its time 55, what is set aside
    50, a queue without jobs that nobody serves 45.
    """

    weight: int
    text: str
    """What is wrong and how many, a sentence."""
    url: str = ""
    """Where it is cured; empty if no page does."""
    since: datetime | None = None
    cure: str = ""
    """What to do, a sentence or two."""


Finder = TypeVar("Finder", bound=Callable[[HttpRequest], Iterable[Finding]])
_finders: list[Callable[[HttpRequest], Iterable[Finding]]] = []


def register_finding(finder: Finder) -> Finder:
    """Let the overview ask this function too."""
    if finder not in _finders:
        _finders.append(finder)
    return finder


Listing = TypeVar("Listing", bound=Callable[[JobQuerySet], JobQuerySet])


@dataclass(frozen=True, slots=True)
class ListedFinding:
    """The jobs that a finding counts, as the list of jobs shows them with `?finding=<name>`."""

    label: Any
    of: Callable[[JobQuerySet], JobQuerySet]


_listed: dict[str, ListedFinding] = {}


def lists_finding(name: str, label: Any) -> Callable[[Listing], Listing]:
    """Let the list of jobs show what a finding counts: the function is given all jobs and returns these."""

    def register(listing: Listing) -> Listing:
        _listed[name] = ListedFinding(label, listing)
        return listing

    return register


def listed_finding(name: str) -> ListedFinding | None:
    """What an app registered under this name."""
    return _listed.get(name)


def names_of_listed() -> list[str]:
    """The names under which jobs are listed."""
    return sorted(_listed)


def findings_of_apps(request: HttpRequest) -> list[Finding]:
    """What the apps found, as far as each could tell."""
    return [finding for finder in _finders for finding in _asked(finder, request)]


def _asked(finder: Callable[[HttpRequest], Iterable[Finding]], request: HttpRequest) -> list[Finding]:
    try:
        with _apart():
            return list(finder(request))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("%s cannot tell what is wrong: %s", finder.__qualname__, type(error).__name__)
    except Exception as error:  # of what stands in an app's own rows
        if not may_be_of_a_row(error):
            raise
        logger.warning("%s cannot tell what is wrong: %s", finder.__qualname__, type(error).__name__)
    return []


def _apart() -> AbstractContextManager[object]:
    """What fails in a transaction of the request must not take the page along."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()
