"""How fast bulk actions are walked and how large a batch is, with the numbers that are in force."""

from __future__ import annotations

import pytest

from jobqueue.models import BulkAction, Job
from jobqueue.sql.clock import database_now
from jobqueue.worker import bulk_walker
from jobqueue.worker.bulk_walker import BulkWalker
from tests.jobqueue.models.test_bulk import FIRST, ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _many() -> None:
    """More failed jobs than one batch takes."""
    now = database_now("default")
    fields = {"processor": "sample.succeed", "queue": "email", "timeout": 30, "run_at": now}
    Job.objects.bulk_create(Job(**fields, state="failed", finished_at=now) for _ in range(700))


def _changed(action: BulkAction) -> int:
    action.refresh_from_db()
    return action.changed


def test_a_batch_is_of_500_jobs_where_a_higher_rate_is_named() -> None:
    action, walker = ask(per_second=100_000), BulkWalker(FIRST, lambda: None)
    walker.look()
    assert _changed(action) == 500


def test_without_a_rate_2_500_jobs_a_second_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_walker.time, "monotonic", lambda: 1_000.0)
    action, walker = ask(), BulkWalker(FIRST, lambda: None)
    walker.look()
    changed, pause = _changed(action), walker.look()
    assert (changed, _changed(action)) == (200, 200)
    assert changed / pause == pytest.approx(2_500)
