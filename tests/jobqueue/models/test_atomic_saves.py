"""A save or a delete is one transaction with what its signals write, in the database that it goes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from settlements.models import Settlement

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

SAVES = [lambda row: row.save(using="other")]
if django.VERSION < (6,):
    SAVES.append(lambda row: row.save(False, False, "other"))
DELETES: list[Callable[[Any], Any]] = [lambda row: row.delete(using="other"), lambda row: row.delete("other")]


@pytest.mark.filterwarnings("ignore:Passing positional arguments to save")
@pytest.mark.parametrize("change", [*SAVES, *DELETES])
def test_the_database_may_be_named_by_position_too(change: Callable[[Any], Any]) -> None:
    people = [User.objects.using("other").create(username=name) for name in ("payer", "payee")]
    settlement = Settlement(payer=people[0], payee=people[1], amount=5, due_date=timezone.now())
    settlement.save(using="other")
    settlement._state.db = "default"
    seen: list[tuple[str, bool]] = []

    def listener(using: str, **_: Any) -> None:
        seen.append((using, transaction.get_connection(using).in_atomic_block))

    for signal in (post_save, post_delete):
        signal.connect(listener, sender=Settlement)
    try:
        change(settlement)
    finally:
        for signal in (post_save, post_delete):
            signal.disconnect(listener, sender=Settlement)

    assert seen == [("other", True)]
