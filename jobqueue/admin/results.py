"""What a job led to: told by the apps that own the processors, shown on the page of the job.

`jobqueue` knows no letters and no payments. An app registers, in its `admin`, a function for a processor that
is given one of its jobs and the request, and answers with each thing that came of the job, as far as this
user may know it:

    from jobqueue.admin import Result, tells_results

    @tells_results("shop.invoice")
    def of_invoice(job, request):
        for invoice in Invoice.objects.filter(job=job) if request.user.has_perm("shop.view_invoice") else ():
            yield Result(f"Invoice {invoice}", state=invoice.status, url=invoice.page, at=invoice.sent_at)

It is asked each time somebody looks at such a job: it takes a query or two by an index, writes nothing, and
says only what the rows say. One that fails is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobqueue.admin.words import badge, time_tag
from jobqueue.models import Job, alias_of
from jobqueue.operating.words import printable
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that came of a job."""

    text: str
    """What it is: a letter and to whom, a payment."""
    state: str = ""
    """Its state now, as a word of the style sheet ("sent", "failed", "completed")."""
    label: str = ""
    """The state as people read it; without one the word itself."""
    url: str = ""
    """Its page; empty if it has none, or none that the user may see."""
    at: datetime | None = None
    note: str = ""
    """What else is known of it, such as the answer of a mail server."""


Teller = TypeVar("Teller", bound=Callable[[Job, HttpRequest], Iterable[Result]])
_tellers: dict[str, Callable[[Job, HttpRequest], Iterable[Result]]] = {}


def tells_results(processor: str) -> Callable[[Teller], Teller]:
    """Register a function that tells what a job of `processor` led to."""

    def register(function: Teller) -> Teller:
        _tellers[processor] = function
        return function

    return register


def results_of(job: Job, request: HttpRequest) -> list[Result]:
    """What came of the job, as far as its app can tell; nothing before it has run."""
    teller = _tellers.get(job.processor)
    if teller is None or job.started_at is None:
        return []
    try:
        with _apart(alias_of(job)):
            return list(teller(job, request))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("nobody can tell what job %s led to: %s", job.pk, type(error).__name__)
    except Exception as error:  # of what stands in a payload, or in an app's own rows
        if not may_be_of_a_row(error):
            raise
        logger.warning("nobody can tell what job %s led to: %s", job.pk, type(error).__name__)
    return []


Shown = tuple[Result, SafeString | str, SafeString | str]


def shown_results(job: Job, now: datetime, request: HttpRequest) -> list[Shown]:
    """Each with its state as a badge and its time; texts as a page can carry them."""
    return [
        (
            replace(one, text=printable(one.text), note=printable(one.note)),
            badge(one.state, one.label) if one.state else "",
            time_tag(one.at, now) if one.at else "",
        )
        for one in results_of(job, request)
    ]


def _apart(using: str) -> AbstractContextManager[object]:
    """What fails in a transaction of the request must not take the page along."""
    return transaction.atomic(using=using) if connections[using].in_atomic_block else nullcontext()
