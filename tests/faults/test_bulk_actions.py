"""A bulk action on real workers: it waits for no queue, and who walks it may end anywhere."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from jobqueue.jobs import enqueue_many
from jobqueue.models import BulkAction, Job, Queue, Selection, bulk, keep_choice
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import QUICK
from tests.workload.fixtures import Workload, wait_until_done

JOBS = 3_000


def _delayed_jobs(number: int = JOBS) -> list[str]:
    """So many delayed jobs, which have their effect once they are made due."""
    names = [f"job-{count}" for count in range(number)]
    enqueue_many(
        [("workload.note.email", {"name": name}) for name in names],
        run_at=database_now("default") + timedelta(hours=1),
    )
    return names


def _failed_jobs(number: int = JOBS) -> list[str]:
    """So many failed jobs, which have their effect once they are retried."""
    names = _delayed_jobs(number)
    Job.objects.update(state=Job.State.FAILED, cause="OSError", finished_at=Now())
    return names


def _ask(**fields: Any) -> BulkAction:
    highest = Job.objects.latest("pk").pk
    values = {"verb": "retry", "selection": Selection(cause="OSError").as_json(), **fields}
    action = BulkAction(key="key", highest_id=highest, expected=JOBS, **values)
    return bulk.ask(action, "default")[0]


def _ask_of_a_list(**fields: Any) -> BulkAction:
    """Of all jobs, as a list showed them."""
    with writing("default"):
        action = _ask(selection=Selection(state="", listed="all").as_json(), **fields)
        keep_choice(action, sorted(Job.objects.values_list("pk", flat=True)), "default")
    return action


def _changed(action: BulkAction) -> int:
    action.refresh_from_db()
    return action.changed


def _wait_until_ended(action: BulkAction) -> None:
    wait_until(
        lambda: not BulkAction.objects.filter(pk=action.pk, ended_at__isnull=True).exists(), timeout=60
    )
    action.refresh_from_db()


def test_a_worker_that_is_killed_in_a_bulk_retry_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = _failed_jobs()
    worker = rqworker("--processes", "1", jobqueue=QUICK)
    action = _ask(per_second=1_000)
    wait_until(lambda: 0 < _changed(action) < JOBS)

    worker.kill()
    rqworker("--processes", "1", jobqueue=QUICK)
    _wait_until_ended(action)
    wait_until_done()

    # A job that ran while its worker was killed runs again; none was retried twice by the action.
    assert action.changed == JOBS
    assert set(workload.effects()) == set(names)
    assert Job.objects.filter(bulk_action=action.pk).count() == JOBS
    retried_once = Job.objects.filter(attempt=2).count()
    assert (
        retried_once + Job.objects.filter(attempt=3, attempts__error_class="JobInterrupted").count() == JOBS
    )


def test_an_executor_that_is_killed_while_it_walks_is_followed_by_another(
    rqworker: StartWorker, workload: Workload
) -> None:
    _failed_jobs()
    Queue.objects.create(name="email", paused=True)
    worker = rqworker("--processes", "1")
    action = _ask(per_second=1_000)
    wait_until(lambda: 0 < _changed(action) < JOBS)

    worker.children()[0].kill()
    _wait_until_ended(action)

    assert action.changed == JOBS
    assert Job.objects.filter(attempt=2, state=Job.State.WAITING).count() == JOBS


def test_an_executor_that_is_killed_while_it_makes_a_list_due_doubles_no_job(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = _delayed_jobs()
    Queue.objects.create(name="email", paused=True)
    worker = rqworker("--processes", "1")
    action = _ask_of_a_list(verb="run_now", per_second=1_500)
    wait_until(lambda: 0 < _changed(action) < JOBS)

    worker.children()[0].kill()
    _wait_until_ended(action)
    assert (action.changed, Job.objects.due().filter(bulk_action=action.pk).count()) == (JOBS, JOBS)

    Queue.objects.update(paused=False)
    wait_until_done()
    assert workload.effects() == dict.fromkeys(names, 1)


def test_a_deploy_in_the_middle_lets_the_next_worker_go_on_at_once(
    rqworker: StartWorker, workload: Workload
) -> None:
    _failed_jobs()
    Queue.objects.create(name="email", paused=True)
    worker = rqworker("--processes", "1")
    action = _ask(per_second=1_000)
    wait_until(lambda: 0 < _changed(action) < JOBS)

    worker.signal(signal.SIGTERM)
    rqworker("--processes", "1")
    _wait_until_ended(action)

    assert (action.changed, Job.objects.filter(attempt=2).count()) == (JOBS, JOBS)


def test_a_bulk_retry_waits_for_no_pause_and_two_workers_walk_it_once(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = _failed_jobs()
    Queue.objects.create(name="email", paused=True)
    for _ in range(2):
        rqworker("--processes", "1")
    action = _ask()
    _wait_until_ended(action)
    assert (action.changed, Job.objects.filter(attempt=2).count()) == (JOBS, JOBS)

    Queue.objects.update(paused=False)
    wait_until_done()
    assert workload.effects() == dict.fromkeys(names, 1)


def test_a_stopped_bulk_retry_stops(rqworker: StartWorker, workload: Workload) -> None:
    _failed_jobs()
    rqworker("--processes", "1")
    action = _ask(per_second=500)
    wait_until(lambda: _changed(action) > 0)

    bulk.stop(action, "pia", "default")
    changed = _changed(action)
    wait_until_done()

    assert 0 < changed < JOBS
    assert (_changed(action), Job.objects.failed().count()) == (changed, JOBS - changed)
