"""The health endpoints, with everything up and with each part away."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import OperationalError, connection, transaction
from django.test import Client

from jobqueue.broker import server
from jobqueue.conf import Settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import enqueue
from jobqueue.models import Job, holding
from jobqueue.monitoring import health
from spendsync_site.demo.processes import LOOPBACK, free_port
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import wait_until
from tests.jobqueue.processors_for_tests import DISCARD, FAIL, ON_REMINDERS, ON_SETTLEMENT, SKIP, SUCCEED
from tests.jobqueue.steps import claimed, run

# Committed rows: the probe looks at the database from a thread of its own.
with_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])
# Enough where no row is written.
with_empty_databases = pytest.mark.django_db(databases=["default", "other"])
NOTHING = {"waiting": 0, "active": 0, "completed": 0, "failed": 0, "delayed": 0}
LIMIT = 2.0


def _get(client: Client, path: str = "/health/queues") -> tuple[int, dict[str, Any]]:
    response = client.get(path)
    return response.status_code, json.loads(response.content)


# Queues -------------------------------------------------------------------------------------------


@with_empty_databases
def test_the_answer_has_exactly_this_form_and_order(client: Client) -> None:
    response = client.get("/health/queues")
    body = json.loads(response.content)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert list(body) == ["status", "queues", "timestamp"]
    assert list(body["queues"]) == ["email", "reminders", "settlement"]
    for counts in body["queues"].values():
        assert list(counts) == ["waiting", "active", "completed", "failed", "delayed"]
    assert body["status"] == "UP"
    assert body["queues"] == {"email": NOTHING, "reminders": NOTHING, "settlement": NOTHING}


@with_databases
def test_jobs_that_are_held_past_their_time_are_no_outage(client: Client) -> None:
    holding.hold(enqueue(SUCCEED), "pia", "wrong text", "default")
    status, body = _get(client)
    assert (status, body["status"]) == (200, "UP")


@with_empty_databases
def test_the_time_is_utc_with_milliseconds(client: Client) -> None:
    before = datetime.now(UTC)
    timestamp = _get(client)[1]["timestamp"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp)
    assert before - timedelta(seconds=1) <= datetime.fromisoformat(timestamp) <= datetime.now(UTC)


@with_databases
def test_jobs_are_counted_by_queue_and_state(client: Client) -> None:
    enqueue(SUCCEED)
    enqueue(SUCCEED, delay=60)
    enqueue(SUCCEED, delay=60)
    claimed(SUCCEED)
    run(claimed(SUCCEED))
    run(claimed(SKIP))
    run(claimed(DISCARD))
    run(claimed(ON_REMINDERS))
    Job.objects.filter(pk=enqueue(ON_SETTLEMENT).pk).update(state="cancelled")

    assert _get(client)[1]["queues"] == {
        "email": {"waiting": 1, "active": 1, "completed": 2, "failed": 1, "delayed": 2},
        "reminders": NOTHING | {"completed": 1},
        "settlement": NOTHING,
    }


@with_databases
def test_a_job_that_waits_for_its_retry_is_delayed_and_not_failed(client: Client) -> None:
    run(claimed(FAIL))

    assert _get(client)[1]["queues"]["email"] == NOTHING | {"delayed": 1}


@with_databases
def test_jobs_of_every_database_are_counted(client: Client) -> None:
    enqueue(SUCCEED)
    enqueue(SUCCEED, using="other")

    assert _get(client)[1]["queues"]["email"]["waiting"] == 2


@with_databases
def test_completed_counts_go_on_when_the_rows_are_pruned(client: Client) -> None:
    run(claimed())
    Job.objects.all().delete()

    assert _get(client)[1]["queues"]["email"]["completed"] == 1


@with_databases
def test_jobs_of_a_queue_that_is_not_configured_any_more_are_not_shown(client: Client) -> None:
    Job.objects.create(processor=SUCCEED, queue="old", timeout=1)

    assert list(_get(client)[1]["queues"]) == ["email", "reminders", "settlement"]


@with_databases
def test_with_redis_away_the_answer_is_down_in_time_with_the_same_form(
    client: Client, redis_outage: str
) -> None:
    enqueue(SUCCEED)
    started = time.perf_counter()
    status, body = _get(client)

    assert time.perf_counter() - started < LIMIT
    assert (status, body["status"]) == (503, "DOWN")
    assert list(body) == ["status", "queues", "timestamp"]
    assert body["queues"]["email"] == NOTHING | {"waiting": 1}


def _full(server: RedisServer, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)


def _evicting(server: RedisServer, client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.03))


def _replica(server: RedisServer, client: redis.Redis) -> None:
    client.replicaof(LOOPBACK, free_port())


def _unable_to_save(server: RedisServer, client: redis.Redis) -> None:
    client.config_set("save", "3600 1")
    shutil.rmtree(server.directory)
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def _without_replicas(server: RedisServer, client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", 1)


@with_databases
@pytest.mark.parametrize("spoil", [_full, _evicting, _replica, _unable_to_save, _without_replicas])
def test_a_redis_that_answers_but_keeps_no_messages_is_down(
    client: Client,
    private_redis: Callable[..., RedisServer],
    use_redis: Callable[[str, int], None],
    spoil: Callable[[RedisServer, redis.Redis], None],
) -> None:
    server = private_redis()
    use_redis(server.host, server.port)
    run(claimed())
    with redis.Redis(host=server.host, port=server.port) as spoiler:
        spoil(server, spoiler)
    status, body = _get(client)
    server.kill()  # one that cannot save refuses to end

    assert (status, body["status"]) == (503, "DOWN")
    assert body["queues"]["email"] == NOTHING | {"completed": 1}


def _room_left(client: redis.Redis) -> None:
    client.config_set("maxmemory", "100mb")


def _cache_with_room_left(client: redis.Redis) -> None:
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")


def _says_nothing_about_itself(client: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "default", "-info", "-config")


def _failed_to_save_but_needs_not(client: redis.Redis) -> None:
    client.config_set("stop-writes-on-bgsave-error", "no")
    client.config_set("save", "3600 1")
    shutil.rmtree(client.config_get("dir")["dir"])
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


@with_databases
@pytest.mark.parametrize(
    "prepare",
    [_room_left, _cache_with_room_left, _says_nothing_about_itself, _failed_to_save_but_needs_not],
)
def test_a_redis_that_takes_messages_is_up(
    client: Client,
    private_redis: Callable[..., RedisServer],
    use_redis: Callable[[str, int], None],
    prepare: Callable[[redis.Redis], None],
) -> None:
    server = private_redis()
    use_redis(server.host, server.port)
    with redis.Redis(host=server.host, port=server.port, decode_responses=True) as operator:
        prepare(operator)
    status, body = _get(client)
    server.kill()  # one that cannot save refuses to end

    assert (status, body["status"]) == (200, "UP")


@with_databases
def test_with_the_database_away_the_answer_is_down(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run(claimed())

    def away() -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(health, "queue_counts", away)
    status, body = _get(client)

    assert (status, body["status"]) == (503, "DOWN")
    assert body["queues"]["email"] == NOTHING | {"completed": 1}


def test_a_health_check_waits_less_than_two_seconds_unless_told_otherwise() -> None:
    assert Settings().health_timeout < LIMIT


@with_databases
def test_a_database_that_hangs_is_down_in_time(client: Client, settings: LazySettings) -> None:
    """SQLite has nothing to hang on: its readers do not wait for writers."""
    settings.JOBQUEUE = {"HEALTH_TIMEOUT": 0.3}
    hangs = connection.vendor == "postgresql"
    with transaction.atomic():
        Job.objects.create(processor=SUCCEED, queue="email", timeout=1)
        if hangs:
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE jobqueue_job IN ACCESS EXCLUSIVE MODE")
        started = time.perf_counter()
        status, body = _get(client)
        took = time.perf_counter() - started

    assert took < LIMIT
    assert (status, body["status"]) == ((503, "DOWN") if hangs else (200, "UP"))


@with_empty_databases
def test_a_hanging_redis_is_down_in_time_for_many_probes_at_once(
    settings: LazySettings, blackhole: tuple[str, int], use_redis: Callable[[str, int], None]
) -> None:
    use_redis(*blackhole)
    settings.JOBQUEUE = {"HEALTH_TIMEOUT": 0.2}
    started = time.perf_counter()
    answers = [health.check_queues() for _ in range(5)]

    assert time.perf_counter() - started < LIMIT
    assert not any(answer.is_up for answer in answers)


@with_databases
def test_monitoring_changes_nothing_in_redis(client: Client, redis_client: redis.Redis) -> None:
    run(claimed())
    enqueue(SUCCEED)
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    for path in ("/health/queues", "/health/ready", "/health/live"):
        client.get(path)

    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


@with_databases
def test_monitoring_writes_no_row(client: Client) -> None:
    enqueue(SUCCEED)
    before = list(Job.objects.values())
    client.get("/health/queues")

    assert list(Job.objects.values()) == before


# All of them --------------------------------------------------------------------------------------

PATHS = ["/health/queues", "/health/live", "/health/ready"]


@with_empty_databases
@pytest.mark.parametrize("path", [variant for path in PATHS for variant in (path, f"{path}/")])
def test_a_missing_or_extra_slash_is_no_redirect(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


@with_empty_databases
@pytest.mark.parametrize("path", PATHS)
def test_answers_are_never_cached(client: Client, path: str) -> None:
    assert client.get(path)["Cache-Control"] == "no-store"


@with_empty_databases
@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_without_a_body(client: Client, path: str) -> None:
    response = client.head(path)

    assert (response.status_code, response.content) == (200, b"")


@with_empty_databases
def test_head_of_what_is_down_is_503(client: Client, redis_closed: object) -> None:
    assert client.head("/health/queues").status_code == 503


@pytest.mark.parametrize("path", [*PATHS, "/metrics"])
@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_other_methods_are_refused(path: str, method: str) -> None:
    assert getattr(Client(enforce_csrf_checks=True), method)(path).status_code == 405


@with_empty_databases
@pytest.mark.parametrize("path", PATHS)
def test_probes_need_no_login_and_get_no_cookie(client: Client, path: str) -> None:
    response = client.get(path, headers={"accept": "*/*"})

    assert response.status_code == 200
    assert not response.cookies


@with_empty_databases
@pytest.mark.parametrize("accept", ["text/html", "text/plain", "application/xml", "nonsense"])
def test_whatever_a_probe_accepts_it_gets_json(client: Client, accept: str) -> None:
    response = client.get("/health/queues", headers={"accept": accept})

    assert (response.status_code, json.loads(response.content)["status"]) == (200, "UP")


# Live and ready -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health/live", "/health/live/"])
def test_live_touches_neither_redis_nor_the_database(client: Client, redis_closed: object, path: str) -> None:
    assert _get(client, path) == (200, {"status": "UP"})  # pytest-django would refuse a query here


@with_empty_databases
def test_ready_when_redis_and_the_database_answer(client: Client) -> None:
    assert _get(client, "/health/ready") == (200, {"status": "UP"})


@with_empty_databases
def test_not_ready_with_redis_away(client: Client, redis_outage: str) -> None:
    started = time.perf_counter()

    assert _get(client, "/health/ready") == (503, {"status": "DOWN"})
    assert time.perf_counter() - started < LIMIT


@with_empty_databases
def test_not_ready_with_the_database_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> int:
        raise OperationalError("the database is away")

    monkeypatch.setattr(health, "_select_one", away)

    assert _get(client, "/health/ready") == (503, {"status": "DOWN"})


def test_a_ping_asks_every_redis(redis_closed: object) -> None:
    with pytest.raises(BrokerUnavailable):
        server.ping()


@with_databases
def test_on_a_schema_older_than_the_code_it_is_down(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobqueue_job RENAME COLUMN unfit_since TO of_another_version")
    try:
        code, body = _get(client)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobqueue_job RENAME COLUMN of_another_version TO unfit_since")

    assert (code, body["status"]) == (503, "DOWN")
