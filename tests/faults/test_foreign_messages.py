"""Attacks and garbage in Redis start nothing, and stop nobody."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import django_rq
import pytest
import redis
from django.test import Client
from rq.job import Job as RQJob
from rq.registry import FailedJobRegistry

from jobqueue.broker import queues
from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.faults import attacks
from tests.faults.attacks import Attack, Fields, inject
from tests.faults.foreign_steps import all_attacks, next_job_runs, run_attacks
from tests.servers import REDIS_DATABASE, ROOT
from tests.workload.fixtures import Workload, note

pytestmark = pytest.mark.one_database


@pytest.fixture
def markers(tmp_path: Path) -> Iterator[Path]:
    """Where every attack that is run leaves a folder of its own name."""
    folder = tmp_path / "markers"
    folder.mkdir()
    with attacks.marking_web_server(folder / attacks.webhook.__name__):
        yield folder


def quarantined(client: redis.Redis, queue: str = "email") -> set[bytes]:
    """The messages that RQ's tools show as failed, where foreign ones are kept."""
    return set(client.zrange(f"rq:failed:{queue}", 0, -1))


# Attacks --------------------------------------------------------------------------------------------


STOCK_WORKER = """
import sys, redis, rq
from rq.serializers import DefaultSerializer, JSONSerializer
connection = redis.Redis(port=int(sys.argv[1]), db=int(sys.argv[2]))
serializer = DefaultSerializer if sys.argv[3] == "pickle" else JSONSerializer
queue = rq.Queue("email", connection=connection, serializer=serializer)
rq.SimpleWorker([queue], connection=connection, serializer=serializer).work(burst=True, logging_level="ERROR")
"""


@pytest.mark.parametrize(
    ("kind", "which"), [("pickle", attacks.PICKLE_ATTACKS), ("json", attacks.JSON_ATTACKS)]
)
def test_a_stock_worker_would_run_every_attack(
    kind: str, which: list[Attack], redis_client: redis.Redis, markers: Path
) -> None:
    for name, fields in all_attacks(markers, which).items():
        inject(redis_client, name, fields)
    port = str(redis_client.connection_pool.connection_kwargs["port"])

    arguments = [sys.executable, "-c", STOCK_WORKER, port, str(REDIS_DATABASE), kind]
    subprocess.run(arguments, cwd=ROOT, timeout=30, check=True)

    assert run_attacks(markers) == {attack.__name__ for attack in which}


def test_an_attack_runs_nothing_and_is_quarantined(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis, markers: Path
) -> None:
    worker = rqworker("--processes", "1")
    processes = worker.children()
    for name, fields in all_attacks(markers).items():
        inject(redis_client, name, fields)
        next_job_runs(workload, f"behind {name}")
    wait_until(lambda: not redis_client.exists("rq:queue:email"))

    assert worker.children() == processes
    assert worker.stop() == 0
    assert run_attacks(markers) == set()
    assert quarantined(redis_client) == {name.encode() for name in all_attacks(markers)}


def pages_of_the_site(client: Client) -> Iterator[str]:
    """The addresses of every page that links lead to from the admin's first page, and of the monitoring."""
    found = deque(["/admin/", "/health/queues", "/health/ready", "/health/live", "/metrics"])
    known = set(found)
    while found:
        address = found.popleft()
        yield address
        response = client.get(address)
        assert response.status_code in (200, 302), (address, response.status_code)
        if not response["Content-Type"].startswith("text/html"):
            continue
        for link in re.findall(r'href="(/admin/[^"#]*)"', response.content.decode()):
            # One page of each form: other orders and filters of a list read nothing else.
            if link.partition("?")[0] not in known and "logout" not in link:
                known.add(link.partition("?")[0])
                found.append(link.replace("&amp;", "&"))


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_no_page_of_the_site_runs_an_attack(
    admin_client: Client, redis_client: redis.Redis, markers: Path
) -> None:
    note("ours", delay=60)
    for name, fields in all_attacks(markers).items():
        inject(redis_client, f"{name}-queued", fields)
        # Where RQ's own pages would look for them.
        failed = f"{name}-failed"
        redis_client.hset(f"rq:job:{failed}", mapping={"status": "failed", "origin": "email", **fields})
        for registry in ("failed", "wip", "finished", "scheduled", "deferred", "canceled"):
            redis_client.zadd(f"rq:{registry}:email", {failed: 9e9})

    visited = list(pages_of_the_site(admin_client))

    assert run_attacks(markers) == set()
    assert len(visited) > 15
    assert not [address for address in visited if "django_rq" in address]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_no_page_of_the_site_runs_what_is_quarantined(
    admin_client: Client, redis_client: redis.Redis, markers: Path
) -> None:
    for name, fields in all_attacks(markers).items():
        inject(redis_client, name, fields)
    claimed = queues.claim(["email"], 100, uuid.uuid4().hex, "tests")
    assert len(claimed.quarantined) == len(attacks.ATTACKS)

    list(pages_of_the_site(admin_client))

    assert run_attacks(markers) == set()


# Garbage --------------------------------------------------------------------------------------------


def wrong_type(client: redis.Redis) -> bytes:
    client.set("rq:job:broken", "no hash")
    inject(client, "broken", None)
    return b"broken"


def no_hash(client: redis.Redis) -> bytes:
    inject(client, "../../etc/passwd", None)
    return b"../../etc/passwd"


def no_text(client: redis.Redis) -> bytes:
    inject(client, b"\xff\xfe\x00\r\n", None)
    return b"\xff\xfe\x00\r\n"


def with_fields(garbage: Callable[[], Fields]) -> Callable[[redis.Redis], bytes]:
    def put(client: redis.Redis) -> bytes:
        inject(client, garbage.__name__, garbage())
        return garbage.__name__.encode()

    put.__name__ = garbage.__name__
    return put


def test_garbage_is_quarantined_and_the_next_job_runs(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--processes", "1")
    processes = worker.children()
    messages = set()
    for put in [*map(with_fields, attacks.GARBAGE), wrong_type, no_hash, no_text]:
        messages.add(put(redis_client))
        next_job_runs(workload, f"behind {put.__name__}")
    wait_until(lambda: not redis_client.exists("rq:queue:email"))

    assert worker.children() == processes
    assert worker.stop() == 0
    assert quarantined(redis_client) == messages


# The quarantine -------------------------------------------------------------------------------------


def plain_function(client: redis.Redis, markers: Path) -> str:
    """A job that somebody enqueued with django-rq, by mistake."""
    return str(django_rq.get_queue("email").enqueue("os.mkdir", str(markers / "plain")).id)


def test_a_foreign_job_is_in_rqs_failed_registry_and_says_why(
    rqworker: StartWorker, redis_client: redis.Redis, markers: Path
) -> None:
    rqworker()
    job_id = plain_function(redis_client, markers)

    failed = FailedJobRegistry("email", connection=redis_client)
    wait_until(lambda: job_id in failed.get_job_ids())

    job = RQJob.fetch(job_id, connection=redis_client)
    wait_until(lambda: job.get_status(refresh=True) == "failed")
    text = redis_client.hget(f"rq:job:{job_id}", "exc_info")
    assert b"was not published by jobqueue and was not run" in text
    assert b"jobqueue.jobs.enqueue()" in text
    assert run_attacks(markers) == set()


def test_a_quarantined_message_is_logged_once(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload, markers: Path
) -> None:
    worker = rqworker()
    job_id = plain_function(redis_client, markers)
    worker.wait_for_line("Quarantined")
    note("next")
    workload.wait_for_effects(1)

    assert [line.count(job_id) for line in worker.output.splitlines() if "Quarantined" in line] == [1]


# Ids like ours --------------------------------------------------------------------------------------


def test_an_attack_under_the_id_of_one_of_our_jobs_runs_nothing_but_the_job(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis, markers: Path
) -> None:
    for name, fields in all_attacks(markers).items():
        redis_client.hset(f"rq:job:{note(name).message_id}", mapping=dict(fields))

    rqworker("--burst", wait=False).wait()

    assert run_attacks(markers) == set()
    assert workload.effects() == dict.fromkeys(all_attacks(markers), 1)


def test_an_attack_under_an_id_like_ours_runs_nothing(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis, markers: Path
) -> None:
    worker = rqworker("--processes", "1")
    for number, fields in enumerate(all_attacks(markers).values(), start=777_777):
        inject(redis_client, f"{number}-1", fields)

    next_job_runs(workload, "next")
    wait_until(lambda: redis_client.zcard("rq:wip:email") == 0)

    assert worker.stop() == 0
    assert run_attacks(markers) == set()
    assert workload.effects() == {"next": 1}


def test_a_message_of_an_unknown_job_starts_nothing(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload
) -> None:
    rqworker()
    inject(redis_client, "424242-1", {"data": "[]"})

    note("next")
    workload.wait_for_effects(1)

    assert workload.effects() == {"next": 1}
    wait_until(lambda: redis_client.zcard("rq:wip:email") == 0)


def test_a_message_published_again_and_again_runs_its_job_once(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload
) -> None:
    job = note("once")
    for _ in range(20):
        redis_client.rpush("rq:queue:email", job.message_id)

    rqworker("--burst", wait=False).wait()

    assert workload.effects() == {"once": 1}
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)


def test_a_message_ahead_of_its_jobs_time_does_not_start_it(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload
) -> None:
    job = note("delayed", delay=2)
    redis_client.rpush("rq:queue:email", job.message_id)

    rqworker()
    workload.wait_for_start("delayed")

    assert workload.start_times("delayed")[0] >= job.run_at.timestamp()


def test_a_message_of_a_cancelled_job_starts_nothing(rqworker: StartWorker, workload: Workload) -> None:
    job = note("cancelled")
    Job.objects.get(pk=job.pk).cancel()
    note("next")

    rqworker("--burst", wait=False).wait()

    assert workload.effects() == {"next": 1}
