"""Bulk actions: what is meant is frozen, one walks at a time, and no job is taken twice."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobqueue.delivery import rescue
from jobqueue.models import BulkAction, BulkChoice, Job, Selection, bulk, failures, keep_choice
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db
FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)


def ask(verb: str = "retry", key: str = "key", **fields: Any) -> BulkAction:
    """An action on all failed jobs, or on those of a selection."""
    highest = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    values = {"selection": Selection().as_json(), "highest_id": highest, "expected": 1, "asked_by": "pia"}
    return bulk.ask(BulkAction(verb=verb, key=key, **values | fields), "default")[0]


def walk(action: BulkAction, holder: uuid.UUID = FIRST, size: int = 100) -> int:
    """Walk it to its end, as a worker does; how many jobs were changed."""
    changed = 0
    while bulk.take(action, holder, "default"):
        action.refresh_from_db()
        ids = bulk.next_ids(action, size, "default")
        if not ids:
            bulk.finish(action, holder, "default")
            break
        more = rescue.IN_BULK.get(action.verb)
        changed += bulk.change(action, ids, holder, "default", more).changed
    action.refresh_from_db()
    return changed


def test_all_that_were_meant_are_retried_in_batches() -> None:
    jobs = [make_job("failed") for _ in range(5)]
    action = ask()
    assert walk(action, size=2) == 5
    assert Job.objects.due().count() == len(jobs)
    assert (action.changed, action.is_open, action.holder) == (5, False, None)


def test_an_action_that_is_stopped_lets_go_of_the_ids_that_it_meant() -> None:
    ids = [make_job("failed").pk for _ in range(3)]
    action = ask(selection=Selection(state="", listed="of all").as_json())
    keep_choice(action, ids, "default")
    assert bulk.take(action, FIRST, "default")
    assert bulk.stop(action, "anna", "default")
    assert not BulkChoice.objects.exists()
    assert not bulk.change(action, ids, FIRST, "default").is_ours
    assert Job.objects.failed().count() == 3


def test_a_discarded_job_is_gone() -> None:
    make_job("failed")
    assert walk(ask("delete")) == 1
    assert not Job.objects.exists()


def test_a_retried_job_points_to_the_action() -> None:
    job = make_job("failed")
    action = ask()
    walk(action)
    job.refresh_from_db()
    assert bulk.of_job(job, "default") == action


@pytest.mark.parametrize(
    "fields",
    [{"cause": "OSError"}, {"queue": "reminders"}, {"processor": "sample.skip"}, {"ended": "long ago"}],
)
def test_only_what_the_selection_means_is_changed(fields: dict[str, str]) -> None:
    now = database_now("default")
    lately = {"ended_from": now - timedelta(hours=1), "ended_to": now + timedelta(seconds=60)}
    other = make_job("failed", finished_at=now - timedelta(hours=2))
    wanted = make_job("failed", **({} if "ended" in fields else fields))
    selection = Selection(**lately) if "ended" in fields else Selection(**fields)
    walk(ask(selection=selection.as_json()))
    assert [Job.objects.get(pk=job.pk).state for job in (wanted, other)] == ["waiting", "failed"]


def test_failures_without_a_cause_can_be_meant() -> None:
    wanted, other = make_job("failed"), make_job("failed", cause="OSError")
    walk(ask(selection=Selection(cause="(unknown cause)").as_json()))
    assert [Job.objects.get(pk=job.pk).state for job in (wanted, other)] == ["waiting", "failed"]


def test_what_came_after_it_was_asked_for_is_not_meant() -> None:
    make_job("failed")
    action = ask()
    later = make_job("failed")
    walk(action)
    assert Job.objects.get(pk=later.pk).state == "failed"


def test_a_job_that_fails_once_more_is_not_taken_again() -> None:
    jobs = [make_job("failed") for _ in range(2)]
    action = ask()
    bulk.take(action, FIRST, "default")
    bulk.change(action, [jobs[0].pk], FIRST, "default")
    Job.objects.filter(pk=jobs[0].pk).update(state="failed", finished_at=Now())
    assert walk(action) == 1
    assert Job.objects.get(pk=jobs[0].pk).state == "failed"


def test_two_actions_that_were_asked_for_at_once_take_a_job_once() -> None:
    job = make_job("failed")
    first, second = ask(key="one"), ask(key="other")
    walk(first)
    Job.objects.filter(pk=job.pk).update(state="failed", finished_at=Now() + timedelta(milliseconds=5))
    assert walk(second) == 0


def test_the_same_is_not_begun_twice_while_it_is_under_way() -> None:
    make_job("failed")
    assert ask() == ask()
    assert BulkAction.objects.count() == 1


def test_the_same_can_be_begun_again_afterwards() -> None:
    walk(ask())
    walk(ask())
    assert BulkAction.objects.count() == 2


def test_one_walks_at_a_time() -> None:
    action = ask()
    assert bulk.take(action, FIRST, "default")
    assert not bulk.take(action, SECOND, "default")


def test_another_goes_on_where_the_first_is_silent_and_the_first_changes_nothing_any_more() -> None:
    jobs = [make_job("failed") for _ in range(2)]
    action = ask()
    bulk.take(action, FIRST, "default")
    bulk.change(action, [jobs[0].pk], FIRST, "default")
    BulkAction.objects.update(held_until=Now() - timedelta(seconds=1))
    assert bulk.take(action, SECOND, "default")
    assert not bulk.change(action, [jobs[1].pk], FIRST, "default").is_ours
    assert walk(action, SECOND) == 1


def test_who_leaves_in_order_lets_others_go_on_at_once() -> None:
    action = ask()
    bulk.take(action, FIRST, "default")
    bulk.give_up(FIRST, "default")
    assert bulk.take(action, SECOND, "default")


def test_a_stopped_action_stops() -> None:
    jobs = [make_job("failed") for _ in range(2)]
    action = ask()
    bulk.take(action, FIRST, "default")
    bulk.change(action, [jobs[0].pk], FIRST, "default")
    assert bulk.stop(action, "pia", "default")
    assert not bulk.change(action, [jobs[1].pk], FIRST, "default").is_ours
    assert walk(action) == 0
    assert (action.stopped_by, Job.objects.failed().count()) == ("pia", 1)


def test_what_has_ended_cannot_be_stopped() -> None:
    action = ask()
    walk(action)
    assert not bulk.stop(action, "pia", "default")


def test_failures_of_older_workers_get_the_cause_that_their_reason_tells() -> None:
    job = make_job("failed", reason="ConnectionError: no route to 10.0.0.7")
    assert failures.name_causes("default") == 1
    job.refresh_from_db()
    assert job.cause == "ConnectionError: no route to #"
    assert failures.name_causes("default") == 0


def test_failures_without_a_cause_get_none_while_an_action_means_them() -> None:
    make_job("failed", reason="OSError: no disk 7")
    action = ask(selection=Selection(cause="(unknown cause)").as_json())
    odd = ask(key="odd", selection=["cause"])
    assert failures.name_causes("default") == 0
    assert walk(action) == 1

    make_job("failed", reason="OSError: no disk 7")
    assert failures.name_causes("default") == 1
    assert odd.is_open


@pytest.mark.parametrize("values", [{"colour": "red"}, {"ended_from": "soon"}])
def test_a_selection_that_nobody_wrote_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a selection has no colour|isoformat"):
        Selection.from_json(values)
