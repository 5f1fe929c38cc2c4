"""Probes answer in time, whatever hangs, and hold nobody else meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test import Client
from django.urls import resolve

from jobqueue.monitoring.probes import Answered, Probe
from jobqueue.sql.clock import about_now
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import wait_until

LIMIT = 2.0
SHORT = {"HEALTH_TIMEOUT": 0.3}
PATHS = ["/health/queues", "/health/ready", "/metrics"]

with_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class Hanging:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        self.may_answer.wait(30)
        return "answer"


@pytest.fixture
def hanging(settings: LazySettings) -> Iterator[Hanging]:
    settings.JOBQUEUE = SHORT
    store = Hanging()
    yield store
    store.may_answer.set()


def test_an_answer_in_time_is_given() -> None:
    assert Probe("a store", lambda: 5).ask() == Answered(True, 5)


def test_what_a_store_refuses_is_no_answer() -> None:
    def refuse() -> None:
        raise OSError("refused")

    assert Probe("a store", refuse).ask() == Answered(False)


def test_it_is_known_since_when_a_store_was_asked_in_vain() -> None:
    answers: list[str] = []
    probe = Probe("a store", lambda: answers[0])
    assert probe.silent_since is None
    probe.ask()
    since = probe.silent_since
    assert since is not None
    probe.ask()
    assert probe.silent_since == since
    answers.append("there")
    probe.ask()
    assert probe.silent_since is None


def test_since_when_a_store_hangs_is_known_from_the_question(hanging: Hanging) -> None:
    probe = Probe("a store", hanging)
    before = about_now()
    probe.ask()
    assert probe.silent_since is not None
    assert before <= probe.silent_since <= about_now()


def test_a_store_that_hangs_is_given_up_in_time(hanging: Hanging) -> None:
    started = time.monotonic()

    assert not Probe("a store", hanging).ask().is_there
    assert time.monotonic() - started < LIMIT


def test_twenty_that_ask_a_store_that_hangs_wait_as_long_as_one(hanging: Hanging) -> None:
    probe = Probe("a store", hanging)
    started = time.monotonic()
    answers = [probe.ask() for _ in range(20)]

    assert not any(answer.is_there for answer in answers)
    assert time.monotonic() - started < LIMIT  # one after the other they would wait for 6 s
    assert hanging.asked == 1


def test_a_store_that_hung_is_asked_anew_when_it_is_back(hanging: Hanging) -> None:
    probe = Probe("a store", hanging)
    assert not probe.ask().is_there
    hanging.may_answer.set()

    wait_until(lambda: probe.ask().is_there)


def test_a_failure_that_took_long_is_remembered_for_a_moment(settings: LazySettings) -> None:
    settings.JOBQUEUE = SHORT
    asked: list[float] = []

    def time_out() -> None:
        asked.append(time.monotonic())
        threading.Event().wait(0.28)
        raise TimeoutError

    probe = Probe("a store", time_out)
    probe.ask()

    assert not probe.ask().is_there
    assert len(asked) == 1


def test_a_process_that_was_forked_while_a_question_was_under_way_asks_its_own(hanging: Hanging) -> None:
    """As gunicorn does with --preload."""
    probe = Probe("a store", hanging)
    assert not probe.ask().is_there
    hanging.may_answer.set()
    child = os.fork()
    if child == 0:
        os._exit(0 if probe.ask() == Answered(True, "answer") else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@with_databases
@pytest.mark.one_database
@pytest.mark.parametrize("path", PATHS)
def test_twenty_probes_of_a_redis_that_hangs_hold_a_site_with_one_worker_no_longer_than_one(
    client: Client,
    path: str,
    use_redis: Callable[[str, int], None],
    private_redis: Callable[..., RedisServer],
) -> None:
    server = private_redis()
    use_redis(server.host, server.port)
    as_usual = _seconds_of_twenty(client, path)
    server.pause()

    assert _seconds_of_twenty(client, path) < 2 * as_usual + LIMIT


def _seconds_of_twenty(client: Client, path: str) -> float:
    started = time.monotonic()
    for _ in range(20):
        client.get(path)
    return time.monotonic() - started


@with_databases
@pytest.mark.parametrize("path", ["/health/queues", "/metrics"])
@pytest.mark.parametrize("table", ["jobqueue_job", "jobqueue_jobtally"])
def test_a_table_that_somebody_has_locked_holds_no_probe(
    client: Client, path: str, table: str, settings: LazySettings
) -> None:
    """SQLite has no locks that hold a reader in its mode of the site (WAL)."""
    settings.JOBQUEUE = SHORT
    resolve(path)  # what is read of the site's code for the first request of a process is not of the probe
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        client.get(path)

        assert time.monotonic() - started < LIMIT


@with_databases
def test_the_page_of_metrics_says_that_a_locked_table_could_not_be_read(client: Client) -> None:
    is_locked = connection.vendor == "postgresql"
    with transaction.atomic():
        if is_locked:
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE jobqueue_job IN ACCESS EXCLUSIVE MODE")
        page = client.get("/metrics").content.decode()

    assert f'jobqueue_up{{store="database"}} {0.0 if is_locked else 1.0}' in page
