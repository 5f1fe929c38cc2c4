"""Of a cause one action at a time is under way, whatever is asked for by whom."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from jobqueue.models import AuditEntry, BulkAction
from tests.jobqueue.admin.bulk_steps import BULK, SMTP, start
from tests.jobqueue.admin.steps import make_job, text_of

OTHERS = [{"cause": SMTP}, {"cause": SMTP, "queue": "email"}, {"cause": SMTP, "age": "hour"}]


@pytest.mark.django_db
@pytest.mark.parametrize("words", OTHERS)
@pytest.mark.parametrize("verb", ["retry", "delete"])
def test_a_second_action_for_a_cause_is_not_begun_and_the_first_is_shown(
    admin_client: Client, words: dict[str, str], verb: str
) -> None:
    make_job("failed", cause=SMTP)
    start(admin_client, cause=SMTP, per_second="1")
    [said] = start(admin_client, verb=verb, confirmed=verb, **words)
    assert said.startswith("Nothing was begun: this one, which admin began, is under way for the same cause.")
    assert BulkAction.objects.count() == 1


@pytest.mark.django_db
def test_another_cause_waits_for_nothing(admin_client: Client) -> None:
    for cause in (SMTP, "KeyError"):
        make_job("failed", cause=cause)
        start(admin_client, cause=cause)
    assert BulkAction.objects.count() == 2


@pytest.mark.django_db
def test_once_it_has_ended_another_is_begun(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    start(admin_client, cause=SMTP)
    BulkAction.objects.update(ended_at="2026-11-20T12:00Z")
    start(admin_client, cause=SMTP)
    assert BulkAction.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_begin_one_action_with_one_entry(admin_user: User) -> None:
    make_job("failed", cause=SMTP)
    together = threading.Barrier(2)
    pages: list[str] = []

    def click(words: dict[str, str]) -> None:
        client = Client()
        client.force_login(admin_user)
        together.wait(10)
        fields = {"verb": "retry", "confirmed": "retry", **words}
        # Its text: what templates were given is told of all threads.
        pages.append(text_of(client.post(f"{BULK}start/", fields, follow=True)))
        connection.close()

    operators = [threading.Thread(target=click, args=[words]) for words in OTHERS[:2]]
    for thread in operators:
        thread.start()
    for thread in operators:
        thread.join(30)
    assert (BulkAction.objects.count(), AuditEntry.objects.count()) == (1, 1)
    assert sorted("Nothing was begun" in page for page in pages) == [False, True]
