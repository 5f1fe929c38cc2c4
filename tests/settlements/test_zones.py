"""Due dates of any zone that Python knows, which PostgreSQL itself does not read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone

import pytest
from django.utils.timezone import now
from pytest_django import Settings as DjangoSettings

from settlements.models import Cancellation, MovedReminder, Settlement
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.mark.parametrize("offset", [timedelta(hours=20), -timedelta(hours=23, minutes=59)])
def test_reminders_of_such_a_due_date_are_planned_moved_and_cancelled(
    make_settlement: Callable[..., Settlement], offset: timedelta
) -> None:
    settlement = make_settlement(due_date=(now() + timedelta(days=30)).astimezone(timezone(offset)))
    run_soon()
    first, second, *others = sorted(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)
    second.move((second.run_at + timedelta(days=1)).astimezone(timezone(offset)))
    first.cancel()
    due = settlement.due_date - timedelta(days=1)
    Settlement.objects.filter(pk=settlement.pk).update(due_date=due)
    assert others
    assert Cancellation.objects.count() == 1
    assert Settlement.objects.get(due_date=due).pk == settlement.pk
    assert MovedReminder.objects.get().due_date == settlement.due_date
