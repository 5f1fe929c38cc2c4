"""What people outside will notice when jobs run: told by the apps, shown before a bulk action."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from jobqueue.models import JobQuerySet

Counter = TypeVar("Counter", bound=Callable[[JobQuerySet], int])
_emails_by_processor: dict[str, int] = {}
_perhaps_sent_by_processor: dict[str, Callable[[JobQuerySet], int]] = {}


def sends_emails(processor: str, at_most: int = 1) -> None:
    """Declare that one job of `processor` leads to `at_most` e-mails."""
    _emails_by_processor[processor] = at_most


def tells_perhaps_sent(processor: str) -> Callable[[Counter], Counter]:
    """Register what counts the jobs of `processor`, among given ones, whose e-mail perhaps went out already.

    It takes one statement, however many they are.
    """

    def register(count: Counter) -> Counter:
        _perhaps_sent_by_processor[processor] = count
        return count

    return register


def count_emails(jobs_by_processor: Mapping[str, int]) -> int:
    """How many e-mails so many jobs of these processors lead to, at most."""
    return sum(_emails_by_processor.get(name, 0) * number for name, number in jobs_by_processor.items())


def count_perhaps_sent(jobs: JobQuerySet, processors: Iterable[str]) -> int:
    """Of how many of these jobs, which are of these processors, the e-mail perhaps went out already."""
    counts = [_perhaps_sent_by_processor[name] for name in processors if name in _perhaps_sent_by_processor]
    return sum(count(jobs) for count in counts)
