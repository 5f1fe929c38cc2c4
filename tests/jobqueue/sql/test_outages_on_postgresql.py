"""What PostgreSQL's errors say: try again, or never. Collected on PostgreSQL only (conftest.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections, transaction

from jobqueue.sql.outages import is_outage
from tests.jobqueue.sql.outages_for_tests import caught, execute

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def _raised(state: str, using: str = "default") -> Exception:
    sql = f"DO $$ BEGIN RAISE SQLSTATE '{state}' USING MESSAGE = 'for a test'; END $$"
    return caught(lambda: execute(connections[using], sql))


@pytest.mark.parametrize(
    "state",
    [
        *("08000", "08006", "53000", "53100", "53200", "53300"),
        *("40001", "40P01", "55P03", "57P01", "57P02", "57P03"),
    ],
)
def test_these_may_work_later(state: str) -> None:
    assert is_outage(_raised(state))


@pytest.mark.parametrize(
    "state",
    ["22012", "23505", "25P02", "42501", "42601", "42703", "42P01", "54000", "57014", "P0001", "XX000"],
)
def test_these_will_never_work(state: str) -> None:
    assert not is_outage(_raised(state))


def test_a_connection_that_was_ended_can_be_opened_again() -> None:
    def end_and_ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert is_outage(caught(end_and_ask))
    assert is_outage(caught(lambda: execute(connection, "SELECT 1")))
    connection.close()


def test_a_deadlock_can_be_tried_again() -> None:
    from django.contrib.auth.models import Group

    first, second = (Group.objects.create(name=name) for name in ("first", "second"))
    both_hold = threading.Barrier(2)
    errors: list[Exception] = []

    def lock(*groups: Group) -> None:
        try:
            with transaction.atomic():
                for group in groups:
                    Group.objects.select_for_update().get(pk=group.pk)
                    if group is groups[0]:
                        both_hold.wait(10)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=lock, args=pair) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert [is_outage(error) for error in errors] == [True]


@pytest.mark.parametrize(
    ("name", "user"), [("there_is_no_such_database", "postgres"), ("postgres", "nobody_of_this_name")]
)
def test_a_database_or_role_that_does_not_exist_will_not_be_there_later(name: str, user: str) -> None:
    own = connection.copy()
    own.settings_dict |= {"NAME": name, "USER": user}

    assert not is_outage(caught(lambda: execute(own, "SELECT 1")))


def _made_read_only(using: str) -> Callable[[], None]:
    def write() -> None:
        execute(connections[using], "SET default_transaction_read_only = on")
        execute(connections[using], "CREATE TABLE refused (id int)")

    return write


def test_a_refused_write_where_jobs_are_claimed_comes_of_a_failover() -> None:
    assert is_outage(caught(_made_read_only("default")))
    connection.close()


def test_a_refused_write_of_a_database_that_has_no_jobs_will_always_be(
    settings: pytest.FixtureRequest,
) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}  # type: ignore[attr-defined]

    assert not is_outage(caught(_made_read_only("other")))
    connections["other"].close()
