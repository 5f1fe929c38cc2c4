"""Two operators, of whom one waits for the other's lock. Collected on PostgreSQL only (conftest.py)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.test import Client

from jobqueue.models import AuditEntry, Job
from jobqueue.sql.clock import database_now
from tests.conftest import wait_until
from tests.jobqueue.admin.steps import JOBS, make_job, text_of

_WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees one picture of the others
        cursor.execute(_WAITING)
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_who_waited_for_the_lock_of_a_job_that_was_made_due_meanwhile_is_not_in_the_audit(
    admin_client: Client,
) -> None:
    job = make_job("waiting", run_at=database_now("default") + timedelta(days=1))
    data = {"action": "run_now", "confirmed": "run_now", "_selected_action": [job.pk]}
    told: list[str] = []

    def click() -> None:
        told.append(text_of(admin_client.post(JOBS, data, follow=True)))
        connections.close_all()

    late = threading.Thread(target=click, daemon=True)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=job.pk)
        late.start()
        wait_until(_somebody_waits)
        Job.objects.filter(pk=job.pk).update(run_at=Now())  # later than the other's statement began
    late.join(60)
    assert "1 job left alone" in told[0]
    assert not AuditEntry.objects.exists()
