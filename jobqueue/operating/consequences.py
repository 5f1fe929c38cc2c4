"""What people outside will notice when jobs run: told by the apps, shown before a bulk action."""

from __future__ import annotations

from collections.abc import Mapping

_emails_by_processor: dict[str, int] = {}


def sends_emails(processor: str, at_most: int = 1) -> None:
    """Declare that one job of `processor` leads to `at_most` e-mails."""
    _emails_by_processor[processor] = at_most


def count_emails(jobs_by_processor: Mapping[str, int]) -> int:
    """How many e-mails so many jobs of these processors lead to, at most."""
    return sum(_emails_by_processor.get(name, 0) * number for name, number in jobs_by_processor.items())
