"""Pages show whatever is in the tables: all of them answer, and the good rows are seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from jobqueue.models import Attempt, Job, Queue
from tests.jobqueue.admin.steps import (
    FAILED,
    JOBS,
    QUEUES,
    STUCK,
    WORKERS,
    add_attempt,
    make_job,
    make_worker,
    text_of,
)
from tests.jobqueue.hostile import ALL, IS_POSTGRESQL, spoil
from tests.jobqueue.processors_for_tests import COUNTED

pytestmark = pytest.mark.django_db(databases=["default", "other"])
STATES = ("waiting", "delayed", "active", "stuck", "completed", "failed", "cancelled")
LAST = "9999-12-31 23:59:59.999999"
ODD_PAYLOADS: dict[str, Any] = {
    "half of a character": '{"a": "\\ud800"}',
    "nested 940 deep": '{"a":' * 940 + "1" + "}" * 940,
    "a number of 4,000 digits": '{"a": ' + "9" * 4_000 + "}",
    "a list": "[1]",
    "a text": '"text"',
    "null": "null",
}
if IS_POSTGRESQL:
    del ODD_PAYLOADS["half of a character"]  # it refuses them


def _write(table: str, column: str, expression: str, where: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = {expression} WHERE {where}")


def _assert_all_pages_are_there(client: Client, bad: int, good: Job) -> None:
    for url in (JOBS, FAILED, STUCK, QUEUES, WORKERS, f"{JOBS}?state={good.state}", f"{JOBS}{bad}/change/"):
        text_of(client.get(url))
    assert f">#{good.pk}<" in text_of(client.get(JOBS))
    assert f"#{good.pk} " in text_of(client.get(f"{JOBS}{good.pk}/change/"))


@pytest.mark.parametrize("state", ["waiting", "failed", "stuck"])
def test_pages_show_rows_with_anything_in_any_column(admin_client: Client, state: str) -> None:
    good = make_job("waiting")
    bad = [spoil(make_job(state), column, value) for column, value in ALL]

    _assert_all_pages_are_there(admin_client, bad[0], good)
    for pk in bad[1:]:
        text_of(admin_client.get(f"{JOBS}{pk}/change/"))


@pytest.mark.parametrize("state", STATES)
def test_pages_show_the_last_moment_there_is(admin_client: Client, settings: Any, state: str) -> None:
    settings.TIME_ZONE = "Pacific/Auckland"
    good, bad = make_job("waiting"), make_job(state, subject="settlements.settlement:1")
    add_attempt(bad)
    last = f"'{LAST}{'+00' if IS_POSTGRESQL else ''}'"
    for column in ("run_at", "created_at", "started_at", "finished_at", "deadline_at"):
        _write("jobqueue_job", column, last, f"id = {bad.pk}")
    _write("jobqueue_attempt", "finished_at", last, f"job_id = {bad.pk}")

    _assert_all_pages_are_there(admin_client, bad.pk, good)


@pytest.mark.parametrize("may_read", [True, False])
def test_pages_show_any_payload(admin_client: Client, may_read: bool) -> None:
    good = make_job("waiting")
    if not may_read:
        User.objects.update(is_superuser=False)
        User.objects.get().user_permissions.set(Permission.objects.exclude(codename="view_payload"))
    for payload in ODD_PAYLOADS.values():
        bad = make_job("failed", processor=COUNTED, subject="settlements.settlement:1")
        _write("jobqueue_job", "payload", f"'{payload}'", f"id = {bad.pk}")
        text_of(admin_client.get(f"{JOBS}{bad.pk}/change/"))

    _assert_all_pages_are_there(admin_client, bad.pk, good)


@pytest.mark.parametrize("state", ["garbage", "", "<b>&\"'", "ACTIVE"])
def test_pages_show_unknown_states_and_processors(admin_client: Client, state: str) -> None:
    good, bad = make_job("waiting"), make_job("failed")
    Job.objects.filter(pk=bad.pk).update(state=state, processor="nobody's <b>", queue="nobody's")

    _assert_all_pages_are_there(admin_client, bad.pk, good)


@pytest.mark.parametrize("pk", [0, -5, 10**18, 2**63 - 1, -(2**63)])
def test_pages_show_any_id(admin_client: Client, pk: int) -> None:
    good, bad = make_job("waiting"), make_job("failed", pk=pk)

    _assert_all_pages_are_there(admin_client, bad.pk, good)
    assert f"#{pk} " in text_of(admin_client.get(f"{JOBS}{pk}/change/"))


@pytest.mark.parametrize("queues", ["5", '{"a": 1}', '[1, null, {"a": []}]', '"email"'])
def test_pages_show_workers_with_anything_as_their_queues(admin_client: Client, queues: str) -> None:
    good = make_job("waiting")
    worker = make_worker(queues=json.loads(queues), name="odd " * 40)

    _assert_all_pages_are_there(admin_client, good.pk, good)
    assert worker.name in text_of(admin_client.get(WORKERS)).replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("column", "value"),
    [("started_at", "'infinity'"), ("heartbeat_at", "'infinity'"), ("started_at", "'-infinity'")]
    if IS_POSTGRESQL
    else [
        ("heartbeat_at", "'garbage'"),
        ("started_at", "'2020-13-13 00:00:00'"),
        ("pid", "'none'"),
        ("threads", "'many'"),
        ("queues", "'[\"email\"'"),
        ("name", "CAST(x'ff' AS TEXT)"),
    ],
)
def test_pages_show_workers_with_anything_in_a_column(admin_client: Client, column: str, value: str) -> None:
    good, worker = make_job("waiting"), make_worker()
    make_worker(name="a good one")
    if not IS_POSTGRESQL:
        connection.cursor().execute("PRAGMA ignore_check_constraints = ON")
    key = worker.pk if IS_POSTGRESQL else worker.pk.hex
    _write("jobqueue_worker", column, value, f"id = '{key}'")
    if not IS_POSTGRESQL:
        connection.cursor().execute("PRAGMA ignore_check_constraints = OFF")

    _assert_all_pages_are_there(admin_client, good.pk, good)
    assert "a good one" in text_of(admin_client.get(WORKERS))


@pytest.mark.parametrize("subject", [
    "settlements.settlement:99999999999999999999999999", "auth.user:99999999999999999999999999",
    "auth.user:-1", "auth.user:x", "nobody.nothing:1", ":", "settlements.settlement:", "auth.user:1\n",
    "auth.user:٣", "a" * 200,
])  # fmt: skip
def test_pages_show_any_subject(admin_client: Client, subject: str) -> None:
    good, bad = make_job("waiting"), make_job("failed", subject=subject)

    _assert_all_pages_are_there(admin_client, bad.pk, good)


def test_pages_show_a_record_that_cannot_say_its_name(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(user: User) -> str:
        raise TypeError("no name")

    user = User.objects.create(username="nameless")
    good, bad = make_job("waiting"), make_job("failed", subject=f"auth.user:{user.pk}")
    monkeypatch.setattr(User, "__str__", broken)
    client = admin_client

    for url in (JOBS, FAILED):
        assert f"#{bad.pk}" in text_of(client.get(url))
    assert good.pk


def test_a_queue_whose_limits_cannot_be_read_is_shown(admin_client: Client) -> None:
    Queue.objects.create(name="email", rate_limit=5)
    if not IS_POSTGRESQL:
        _write("jobqueue_queue", "rate_limit", "'many'", "name = 'email'")

    assert "reminders" in text_of(admin_client.get(QUEUES))
    assert Attempt.objects.count() == 0
