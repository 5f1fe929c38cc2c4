"""A rule that remembers what it was told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from moneyed import Money

from jobqueue.rules import Change
from settlements.models import Settlement

in_both_databases = pytest.mark.django_db(databases=["default", "other"])


class Rule:
    """A rule that remembers what it was told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, instance: Any, change: Change) -> None:
        self.changes.append(change)

    def last(self) -> dict[str, tuple[Any, Any]]:
        """What changed in the one save that was told; forgets it."""
        [change] = self.changes
        self.changes.clear()
        return change.fields


def made_settlement(**fields: Any) -> Settlement:
    values: dict[str, Any] = {
        "payer": User.objects.get_or_create(username="payer")[0],
        "payee": User.objects.get_or_create(username="payee")[0],
        "amount": Money(100, "EUR"),
        "due_date": timezone.now() + timedelta(days=1),
    }
    return Settlement(**values | fields)
