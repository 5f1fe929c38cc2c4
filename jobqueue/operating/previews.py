"""What letters a waiting job would send, as they would be now: told by the apps that own the processors.

`jobqueue` knows no letters. An app registers a function for a processor that is given one of
its waiting jobs and answers with each letter that the job leads to, decided by the code that decides when it
is sent. It writes nothing and sends nothing:

    from jobqueue.operating import Preview, tells_preview

    @tells_preview("shop.invoice")
    def of_invoice(job):
        return [Preview(to="pia@example.com", subject="Your invoice", text="…", html="<p>…</p>")]
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.conf import settings as django_settings
from django.utils import translation
from django.utils.translation import gettext

from jobqueue.exceptions import UnknownProcessor
from jobqueue.models import Job, Queue, alias_of, due_time
from jobqueue.operating.retelling import retold_reason
from jobqueue.operating.words import mask_addresses
from jobqueue.registry import get_processor
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.clock import database_now

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """One letter as it would leave; `skipped` says why it would not, `waits_until` that it would wait."""

    to: str
    subject: str
    text: str
    html: str = ""
    skipped: str = ""
    waits_until: datetime | None = None
    leaves: Departure | None = None
    """When it leaves, where that is not when the job does."""


@dataclass(frozen=True, slots=True)
class Departure:
    """When a letter leaves at the earliest, and which paused queues it waits for.

    `is_known` is False while a queue that it goes through is paused until somebody resumes it, or the job is
    held: then it leaves after `at`, nobody knows when.
    """

    at: datetime
    is_known: bool = True
    paused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Previewed:
    """The letters of a job, why the job would be skipped, or what keeps its letters from being made."""

    letters: Sequence[Preview] = ()
    trouble: str = ""


Teller = TypeVar("Teller", bound=Callable[[Job], Sequence[Preview]])
SkipTeller = TypeVar("SkipTeller", bound=Callable[[Sequence[Job]], Mapping[int, str]])
_tellers: dict[str, Callable[[Job], Sequence[Preview]]] = {}
_skip_tellers: dict[str, Callable[[Sequence[Job]], Mapping[int, str]]] = {}


def tells_preview(processor: str) -> Callable[[Teller], Teller]:
    """Register a function that tells what letters a waiting job of `processor` would send."""

    def register(function: Teller) -> Teller:
        _tellers[processor] = function
        return function

    return register


def tells_skips(*processors: str) -> Callable[[SkipTeller], SkipTeller]:
    """Register a function that tells which of many waiting jobs of `processors` would be skipped, and why.

    It answers by id, and asks as much for one job as for five hundred.
    """

    def register(function: SkipTeller) -> SkipTeller:
        _skip_tellers.update(dict.fromkeys(processors, function))
        return function

    return register


def skips_of(jobs: Iterable[Job]) -> dict[int, str]:
    """Of these jobs those that would be skipped if they ran now, by id, and why, as an app tells it."""
    asked: dict[Callable[..., Mapping[int, str]], list[Job]] = {}
    for job in jobs:
        if job.state == Job.State.WAITING and job.processor in _skip_tellers:
            asked.setdefault(_skip_tellers[job.processor], []).append(job)
    found: dict[int, str] = {}
    for teller, some in asked.items():
        try:
            found.update(teller(some))
        except Exception as error:  # of what stands in an app's own rows: the page is shown without it
            if not may_be_of_a_row(error):
                raise
            logger.warning("%s cannot tell what is skipped: %s", teller.__qualname__, type(error).__name__)
    return found


def would_be_skipped(why: str) -> str:
    """What a page says of a job that waits and would be skipped."""
    return gettext("would be skipped: %(why)s") % {"why": retold_reason(why)}


def departure_of(job: Job, through: Collection[str] = ()) -> Departure:
    """When the letters of a waiting job leave: not before its time, nor before a pause ends.

    `through` names the processors whose jobs the letters still go through, besides the job itself.
    """
    now = database_now(alias_of(job))
    queues = {job.queue}
    for name in through:
        with suppress(UnknownProcessor):
            queues.add(get_processor(name).queue)
    # Where the workers look.
    paused = [one for one in Queue.objects.filter(pk__in=queues).order_by("pk") if one.is_paused_at(now)]
    ends = [one.paused_until for one in paused if one.paused_until is not None]
    return Departure(
        at=max(due_time(job), now, *ends),
        is_known=len(ends) == len(paused) and job.held_run_at is None,
        paused=tuple(one.name for one in paused),
    )


def has_preview(job: Job) -> bool:
    """Whether an app can tell what this job would send: it waits, and somebody knows its processor."""
    return job.state == Job.State.WAITING and job.processor in _tellers


def preview_of(job: Job) -> Previewed:
    """What the job would send now, in the language in which workers write."""
    try:
        with translation.override(django_settings.LANGUAGE_CODE):
            return Previewed(tuple(_tellers[job.processor](job)))
    except Exception as error:  # of a template or of a payload that somebody wrote: the page says so
        logger.warning("job %s has no preview: %s", job.pk, type(error).__name__)
        return Previewed(trouble=f"{type(error).__name__}: {mask_addresses(str(error))[:300]}")
