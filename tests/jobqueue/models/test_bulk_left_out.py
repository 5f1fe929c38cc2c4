"""What a bulk action leaves out, why, and what it comes back to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test import Client

from jobqueue.models import BulkAction, Job, Selection, Worker, bulk, bulk_moves
from jobqueue.operating.workers import is_a_worker_alive
from jobqueue.sql.clock import database_now
from jobqueue.worker.bulk_walker import BulkWalker
from tests.jobqueue.admin.steps import JOBS, ids_of, make_job, make_worker, text_of
from tests.jobqueue.models.test_bulk import FIRST, ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _page(action: BulkAction) -> str:
    return f"/admin/jobqueue/bulkaction/{action.pk}/change/"


def _walked(action: BulkAction) -> BulkAction:
    walker = BulkWalker(FIRST, lambda: None)
    for _look in range(5):
        walker.look()
    action.refresh_from_db()
    return action


def test_a_job_that_was_changed_meanwhile_is_named(admin_client: Client) -> None:
    jobs = [make_job("failed") for _number in range(3)]
    action = ask()
    bulk.take(action, FIRST, "default")
    ids = bulk.next_ids(action, 10, "default")
    jobs[1].retry()
    assert bulk.change(action, ids, FIRST, "default").changed == 2
    page = text_of(admin_client.get(_page(action)))
    assert "1 job was changed by somebody else" in page
    assert ids_of(admin_client.get(JOBS, {"left_out": action.pk})) == {jobs[1].pk}


def test_a_job_that_the_database_refuses_is_named(admin_client: Client) -> None:
    job = make_job("failed")
    action = ask()
    bulk.take(action, FIRST, "default")
    bulk.pass_over(action, job.pk, FIRST, "default")
    page = text_of(admin_client.get(_page(action)))
    assert "1 job was left out: the database refuses to change it." in page
    assert ids_of(admin_client.get(JOBS, {"left_out": action.pk})) == {job.pk}


def test_an_action_that_changed_all_leaves_nothing_out(admin_client: Client) -> None:
    make_job("failed")
    action = _walked(ask())
    assert (action.changed, action.left_out, action.held_back) == (1, None, None)
    assert "left out" not in text_of(admin_client.get(_page(action)))


@pytest.mark.parametrize("number", ["0", "x", "9" * 30])
def test_a_number_of_no_action_lists_no_jobs(admin_client: Client, number: str) -> None:
    make_job("failed")
    assert ids_of(admin_client.get(JOBS, {"left_out": number})) == set()


def test_a_worker_of_older_code_walks_none() -> None:
    worker = make_worker()
    assert is_a_worker_alive("default")
    Worker.objects.filter(pk=worker.pk).update(walks_bulk_actions=False)
    assert not is_a_worker_alive("default")


def test_who_asks_just_as_the_same_ends_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    make_job("failed")
    first = ask()
    asked = bulk.open_actions

    def ended_meanwhile(using: str) -> object:
        BulkAction.objects.filter(pk=first.pk).update(ended_at=first.asked_at)
        return asked(using)

    monkeypatch.setattr(bulk, "open_actions", ended_meanwhile)
    second = BulkAction(verb="retry", key=first.key, highest_id=first.highest_id, expected=1)
    made, is_new = bulk.ask(second, "default")
    assert (is_new, made.pk != first.pk) == (True, True)


def test_what_no_database_takes_is_refused_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> None:
        raise IntegrityError("no")

    monkeypatch.setattr(BulkAction, "save", refuse)
    with pytest.raises(IntegrityError):
        bulk.ask(BulkAction(verb="retry", key="k", highest_id=1, expected=1), "default")


@contextmanager
def _locked_by_somebody(job: Job) -> Iterator[None]:
    """Another session keeps the row of this job locked."""
    is_locked, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Job.objects.select_for_update().get(pk=job.pk)
            is_locked.set()
            may_end.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_locked.wait(30)
    try:
        yield
    finally:
        may_end.set()
        thread.join(30)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_locked_job_keeps_no_other_from_being_changed_and_follows() -> None:
    jobs = [make_job("failed") for _number in range(3)]
    action = ask()
    walker = BulkWalker(FIRST, lambda: None)
    if not connection.features.has_select_for_update_skip_locked:
        walker.look()  # such a database has no locks of rows that anybody could hold
    else:
        with _locked_by_somebody(jobs[1]):
            walker.look()
            action.refresh_from_db()
            assert (action.changed, action.waiting_for, action.is_open) == (2, [jobs[1].pk], True)
    for walks in walker._walks.values():
        for walk in walks.values():
            walk.not_before = 0.0
    walker.look()
    action.refresh_from_db()
    assert (action.changed, action.waiting_for) == (3, [])


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_locked_job_keeps_no_other_from_being_moved_and_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_moves, "LOCK_SECONDS", 1)
    first = database_now("default") + timedelta(days=2)
    jobs = [make_job(run_at=first) for _number in range(3)]
    action = ask(
        "move",
        selection=Selection(state="waiting", due_from=first, due_to=first + timedelta(hours=1)).as_json(),
        details={"days": 2, "zone": "UTC"},
        expected=3,
    )
    walker = BulkWalker(FIRST, lambda: None)
    if not connection.features.has_select_for_update_skip_locked:
        walker.look()  # such a database has no locks of rows that anybody could hold
    else:
        with _locked_by_somebody(jobs[1]):
            walker.look()
            action.refresh_from_db()
            assert (action.changed, action.held_back) == (2, [jobs[1].pk])
    for walks in walker._walks.values():
        for walk in walks.values():
            walk.not_before = 0.0
    for _look in range(3):
        walker.look()
    action.refresh_from_db()
    assert (action.changed, action.left_out) == (3, None)
    assert Job.objects.filter(run_at=first + timedelta(days=2)).count() == 3


def test_what_stopped_an_action_that_cannot_be_read_is_told_in_the_readers_language(
    admin_client: Client,
) -> None:
    action = ask()
    bulk.stop(action, bulk.UNREADABLE, "default")
    page = text_of(admin_client.get(_page(action), headers={"Accept-Language": "de"}))
    assert "(its selection cannot be read)" not in page
    assert "Auswahl" in page
