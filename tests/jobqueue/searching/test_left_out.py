"""A word and the same left out: together they find every job, and each job once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from jobqueue.searching import NAMES, STATES
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker
from tests.jobqueue.searching.test_finding import ANNA, OTHER, ids

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def operator(db: None) -> User:
    """Somebody who may do all."""
    return User.objects.create_superuser("chief")


VALUES = {
    "": ("refused", "sample.skip", "removed.long.ago", "shop.order:17"),
    "id": ("1", "9223372036854775808"),
    "state": tuple(STATES),
    "queue": ("email",),
    "processor": ("skip", "removed.long.ago"),
    "about": ("shop.order:17",),
    "bulk": ("7",),
    "email": ("anna@example.com",),
    "error": ("refused", "SMTPError", "mailbox"),
    "worker": ("web-7",),
    "since": ("2h",),
    "until": ("2h",),
    "args.user_id": ("5",),
    "args.data.kind": ("final",),
}
"""Of every word what may follow it: some of the jobs below have it, others have something else or nothing."""
WORDS = [f'{name}:"{value}"' if name else f'"{value}"' for name in VALUES for value in VALUES[name]]


def _jobs_of_all_kinds() -> None:
    for payload in ({}, {"user_id": None}, {"user_id": 5, "data": 7}, {"data": {}}, ANNA, OTHER):
        make_job(payload=payload)
    long_ago = database_now("default") - timedelta(days=9)
    for state in ("delayed", "stuck", "failed", "completed", "skipped", "cancelled"):
        make_job(state, created_at=long_ago, payload=ANNA, subject="shop.order:17", queue="reminders")
    for processor in ("sample.skip", "removed.long.ago"):
        make_job("active", processor=processor, worker_id=make_worker(hostname="web-7").pk, started_at=None)
        add_attempt(make_job("delayed", processor=processor), error="SMTPError", message="mailbox full")
    make_job("completed", worker_id=None, finished_at=None, bulk_action=7)
    add_attempt(make_job("failed", reason=""), worker_name="web-7.1", message="refused")


def test_every_word_has_values_here() -> None:
    assert {name.partition(".")[0] for name in VALUES} == {"", *NAMES}


@pytest.mark.parametrize("before", ["", "state:active ", "state:failed "])
def test_a_word_and_the_same_left_out_find_every_job_once(operator: User, before: str) -> None:
    _jobs_of_all_kinds()
    every = sorted(ids(before.strip(), operator))
    for word in WORDS:
        found, left = ids(f"{before}{word}", operator), ids(f"{before}-{word}", operator)
        assert sorted([*found, *left]) == every, word
