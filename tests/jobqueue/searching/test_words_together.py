"""Words together find what each of them finds, whatever is asked of an index and what of each row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobqueue.models import Job
from jobqueue.searching import conditions
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker
from tests.jobqueue.searching.test_finding import _found, ids
from tests.jobqueue.searching.test_left_out import WORDS, _jobs_of_all_kinds

pytestmark = pytest.mark.django_db(databases=["default", "other"])
# Beside `state:failed` an error is the one that the job shows, not those of its attempts.
OTHERS = [word for word in WORDS if word != 'state:"failed"']
TEXTS = ("sample skip", "skip refused", "removed.long.ago mailbox", "#1")


@pytest.fixture
def operator(db: Any) -> User:
    """Somebody who may do all."""
    return User.objects.create_superuser("chief")


@pytest.mark.parametrize("first", ["error:refused", "worker:web-7"])
def test_two_words_find_what_both_of_them_find(operator: User, first: str) -> None:
    _jobs_of_all_kinds()
    has_first = ids(first, operator)
    others = [*OTHERS, *(f"-{word}" for word in OTHERS), *TEXTS]
    together = {other: ids(f"{first} {other}", operator) for other in others}
    assert together == {other: has_first & ids(other, operator) for other in others}


def test_an_error_with_a_queue_is_looked_for_once(operator: User) -> None:
    add_attempt(make_job("completed"), message="mailbox full")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert len(ids("error:mailbox queue:email", operator)) == 1
    assert sum("message" in query["sql"] for query in asked.captured_queries) == 1


def test_of_skipped_jobs_those_among_the_newest_of_all_are_looked_at(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_job("skipped"), make_job("skipped")
    make_job("completed")
    monkeypatch.setattr(conditions, "NEWEST", 2)
    found = _found("state:skipped -queue:reminders", operator)
    assert set(found.jobs.values_list("pk", flat=True)) == {new.pk}
    assert found.newest_only
    assert ids("state:skipped", operator) == {old.pk, new.pk}


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        ("Mailbox FULL", "mAILBOX full"),
        ("100% of_it\\gone", "% OF_IT\\g"),
        ("Bödele läuft über", "BöDELE LäUFT"),
        ("Bödele läuft über", "DELE L"),
    ],
)
def test_an_error_is_found_in_any_case_and_letter_by_letter(operator: User, kept: str, asked: str) -> None:
    wanted = make_job("failed", reason=kept)
    make_job("failed", reason="100 of it, gone; mailbox empty")
    quoted = asked.replace("\\", "\\\\")
    assert ids(f'state:failed error:"{quoted}"', operator) == {wanted.pk}


def test_a_worker_of_long_ago_and_a_text_are_found_together(operator: User) -> None:
    worker = make_worker(hostname="web-7")
    wanted = make_job(
        "completed", worker_id=worker.pk, created_at=database_now("default") - timedelta(days=9)
    )
    make_job("completed", worker_id=worker.pk, processor="sample.skip")
    assert ids("worker:web-7 succeed", operator) == {wanted.pk}
    assert Job.objects.count() == 2
