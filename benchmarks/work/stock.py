"""Producer for stock django-rq."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import django

from benchmarks.work import body


class StockClient:
    """Enqueues with `django_rq.get_queue("email")`: no row, Redis only."""

    def __init__(self) -> None:
        import django_rq

        self._queue = django_rq.get_queue("email")

    def add(self, work: str, number: int) -> None:
        """One `enqueue`."""
        function, arguments = _call(work, number)
        self._queue.enqueue(function, kwargs=arguments)

    def add_many(self, work: str, numbers: Sequence[int]) -> None:
        """One `enqueue_many`."""
        calls = (_call(work, number) for number in numbers)
        self._queue.enqueue_many(
            [self._queue.prepare_data(function, kwargs=arguments) for function, arguments in calls]
        )

    def add_at(self, work: str, number: int, due: float) -> None:
        """One `enqueue_at`."""
        function, arguments = _call(work, number)
        self._queue.enqueue_at(datetime.fromtimestamp(due, UTC), function, kwargs=arguments)


def _call(work: str, number: int) -> tuple[Callable[..., Any], dict[str, Any]]:
    if work == "email":
        from benchmarks.site import emails

        return emails.send, emails.payload_of(number)
    return body.run, {"work": work, "number": number, "padding": body.PADDING}


def client() -> StockClient:
    """The client of a process of its own."""
    django.setup()
    return StockClient()
