"""Jobs of which a failed attempt was followed by another: what the charts count as retried.

It is no state, for they have gone on. Times beside the word are those at which one such attempt ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from jobqueue.models import Attempt
from jobqueue.searching.times import time_from
from jobqueue.searching.words import Word

RETRIED: Final = "retried"
_WAS_RETRIED: Final = Q(is_retried=True)
HAS_RETRIES: Final = Q(Exists(Attempt.objects.filter(_WAS_RETRIED, job=OuterRef("pk"))))
"""Asked of each row: for what is left out."""


def was_retried(*times: Q) -> Q:
    """Jobs with a retried attempt that meets all of these: an index has such attempts by their end."""
    return Q(pk__in=Attempt.objects.filter(_WAS_RETRIED, *times).order_by().values("job_id"))


def retried_between(begin: datetime | None, end: datetime | None) -> Q:
    """Jobs with a retried attempt that ended in a time; None where that has no bound."""
    times = [] if begin is None else [Q(finished_at__gte=begin)]
    return was_retried(*times, *([] if end is None else [Q(finished_at__lt=end)]))


def narrowed_by_retries(
    jobs: QuerySet[Any], words: Iterable[Word], states: Collection[str]
) -> tuple[QuerySet[Any], list[Word]]:
    """The jobs that were retried when the words say it, and the words that are left to be asked.

    Without the word "retried" among the states that is all of both.
    """
    if RETRIED not in states:
        return jobs, list(words)
    said, times, others = [], [], []
    for word in words:
        if word.name in ("since", "until"):
            times.append(_time(word))
        elif (word.name, word.value, word.negated) == ("state", RETRIED, False):
            said.append(word)
        else:
            others.append(word)
    return (jobs.filter(was_retried(*times)) if said or times else jobs), others


def _time(word: Word) -> Q:
    time = Q(**{f"finished_at__{'gte' if word.name == 'since' else 'lt'}": time_from(word.value)})
    return ~time if word.negated else time
