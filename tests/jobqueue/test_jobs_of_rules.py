"""Saves that become jobs, by a rule that enqueues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import transaction

from jobqueue.models import Job
from jobqueue.rules import enqueue_on_save
from jobqueue.sql.clock import database_now
from settlements.models import Settlement
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.rule_steps import in_both_databases, made_settlement
from tests.jobqueue.steps import claim_row, list_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_rules_of_the_test")]


def _enqueue_for_users(**options: Any) -> None:
    enqueue_on_save(User, SUCCEED, fields=["email"], **options)


def test_a_new_row_becomes_a_job_about_it() -> None:
    _enqueue_for_users()
    user = User.objects.create_user("somebody")
    job = Job.objects.about(user).get()

    assert (job.processor, job.payload) == (SUCCEED, {"pk": str(user.pk)})


def test_a_save_without_a_change_enqueues_nothing() -> None:
    user = User.objects.create_user("somebody")
    _enqueue_for_users()
    user.save()

    assert not Job.objects.exists()


def test_quick_saves_make_one_job_while_it_waits() -> None:
    _enqueue_for_users()
    user = User.objects.create_user("somebody")
    for number in range(3):
        user.email = f"{number}@example.com"
        user.save()

    assert Job.objects.count() == 1


def test_a_save_after_the_job_started_makes_another() -> None:
    _enqueue_for_users()
    user = User.objects.create_user("somebody")
    claim_row(Job.objects.get())
    user.email = "new@example.com"
    user.save()

    assert Job.objects.about(user).count() == 2


def test_rows_have_jobs_of_their_own() -> None:
    _enqueue_for_users()
    for name in ("one", "other"):
        User.objects.create_user(name)

    assert Job.objects.count() == 2


def test_when_decides_with_the_instance_and_the_change() -> None:
    _enqueue_for_users(when=lambda user, change: not change.created and user.email.startswith("new"))
    user = User.objects.create_user("somebody")
    user.email = "other@example.com"
    user.save()
    assert not Job.objects.exists()

    user.email = "new@example.com"
    user.save()
    assert Job.objects.count() == 1


def test_the_payload_can_be_chosen() -> None:
    _enqueue_for_users(payload=lambda user: {"name": user.username})
    User.objects.create_user("somebody")

    assert Job.objects.get().payload == {"name": "somebody"}


def test_the_job_can_be_delayed() -> None:
    _enqueue_for_users(delay=60)
    User.objects.create_user("somebody")

    assert Job.objects.get().run_at > database_now("default") + timedelta(seconds=50)


@in_both_databases
def test_the_job_is_written_in_the_database_of_the_save() -> None:
    _enqueue_for_users()
    User(username="there").save(using="other")

    assert not Job.objects.exists()
    assert Job.objects.using("other").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_neither_row_nor_job_nor_message(redis_client: redis.Redis) -> None:
    enqueue_on_save(Settlement, SUCCEED, fields=["status"])
    settlement = made_settlement()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settlement.save()
        assert Job.objects.exists()
        raise ZeroDivisionError

    assert not Settlement.objects.exists()
    assert not Job.objects.exists()
    assert redis_client.dbsize() == 0


@pytest.mark.django_db(transaction=True)
def test_row_and_job_are_committed_together_and_the_message_follows(redis_client: redis.Redis) -> None:
    enqueue_on_save(Settlement, SUCCEED, fields=["status"])
    made_settlement().save()

    assert list_of(redis_client) == [Job.objects.get().message_id]
