"""Asks for a job of each kind."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from jobqueue.models import Job
from settlements import jobs
from settlements.models import Settlement

Add = Callable[..., Job]


NO_SETTLEMENTS: list[Any] = [
    uuid.UUID(int=7),
    str(uuid.UUID(int=7)),
    "not-a-uuid",
    "",
    None,
    7,
    1.5,
    ["x"],
    "\x00",
]


@pytest.fixture
def add_email(payer: User) -> Add:
    """Adds an e-mail job; every argument has a good default."""

    def add(**changes: Any) -> Job:
        arguments: dict[str, Any] = {
            "user_id": payer.pk,
            "email": payer.email,
            "subject": "",
            "template_type": "payment_received",
            "template_data": {"description": "Dinner"},
        }
        return jobs.add_email_notification_job(**arguments | changes)

    return add


@pytest.fixture
def add_reminder(settlement: Settlement, payer: User) -> Add:
    """Adds a reminder job; every argument has a good default."""

    def add(**changes: Any) -> Job:
        arguments: dict[str, Any] = {
            "settlement_id": settlement.pk,
            "user_id": payer.pk,
            "due_date": settlement.due_date,
            "reminder_type": "final",
        }
        return jobs.add_settlement_reminder_job(**arguments | changes)

    return add


@pytest.fixture
def add_processing(settlement: Settlement) -> Add:
    """Adds a processing job; every argument has a good default."""

    def add(**changes: Any) -> Job:
        arguments: dict[str, Any] = {"settlement_id": settlement.pk, "process_type": "auto_complete"}
        return jobs.add_settlement_processing_job(**arguments | changes)

    return add
