"""A worker that starts while something it needs is away, or is not as this code wants it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker
from tests.faults.steps import ONE_JOB, last_for
from tests.servers import ROOT, subprocess_environment
from tests.workload.fixtures import Workload, note

# How soon a worker begins once nothing keeps it.
WITHIN = 6.0
NOWHERE = "sqlite:////nowhere/at/all/site.sqlite3"


class Site:
    """A database of this test's own, which no test process uses."""

    def __init__(self, url: str, workload: Workload) -> None:
        self.environment = subprocess_environment(
            DATABASE_URL=url, OTHER_DATABASE_URL="", WORKLOAD_REDIS_URL=workload.url
        )
        self.url = url

    def manage(self, *arguments: str) -> None:
        """Run `manage.py` on it."""
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, check=True)

    def note(self, name: str) -> None:
        """Enqueue a job that has its effect at once."""
        code = f"from jobqueue.jobs import enqueue; enqueue('workload.note.email', name={name!r})"
        self.manage("shell", "-v", "0", "-c", code)


@pytest.fixture
def site(tmp_path: Path, workload: Workload) -> Site:
    """One without tables."""
    return Site(f"sqlite:///{tmp_path}/own.sqlite3", workload)


def test_on_a_schema_older_than_its_code_it_takes_no_job_until_that_is_migrated(
    rqworker: StartWorker, workload: Workload, site: Site
) -> None:
    site.manage("migrate", "-v", "0")
    site.manage("migrate", "-v", "0", "jobqueue", "0004")
    site.note("early")
    worker = rqworker(*ONE_JOB, wait=False, DATABASE_URL=site.url)
    worker.wait_for_line("the job queue's tables are missing or old; run: manage.py migrate$")
    last_for(2)
    assert not workload.effects()

    site.manage("migrate", "-v", "0")

    worker.wait_until_ready(WITHIN)
    assert workload.wait_for_effects(1, timeout=WITHIN) == {"early": 1}


@pytest.mark.one_database
def test_it_waits_for_the_tables_of_the_apps_whose_jobs_it_runs(
    rqworker: StartWorker, workload: Workload, site: Site
) -> None:
    site.manage("migrate", "-v", "0")
    site.manage("migrate", "-v", "0", "settlements", "0001")
    worker = rqworker(*ONE_JOB, wait=False, DATABASE_URL=site.url)
    worker.wait_for_line("the tables of settlements are missing or old; run: manage.py migrate$")

    site.manage("migrate", "-v", "0")

    worker.wait_until_ready(WITHIN)


def test_a_schema_that_gets_older_while_it_runs_loses_nothing(
    rqworker: StartWorker, workload: Workload, site: Site
) -> None:
    site.manage("migrate", "-v", "0")
    worker = rqworker(*ONE_JOB, DATABASE_URL=site.url)
    site.note("before")
    workload.wait_for_effects(1)

    site.manage("migrate", "-v", "0", "jobqueue", "0004")
    site.note("meanwhile")
    last_for(2)
    site.manage("migrate", "-v", "0")
    site.note("after")

    workload.wait_for_effects(3)
    assert workload.effects() == {"before": 1, "meanwhile": 1, "after": 1}
    assert worker.stop() == 0


@pytest.mark.one_database
def test_a_database_that_cannot_be_opened_yet_is_waited_for(
    rqworker: StartWorker, workload: Workload, tmp_path: Path
) -> None:
    site = Site(f"sqlite:///{tmp_path}/later/own.sqlite3", workload)
    worker = rqworker(*ONE_JOB, wait=False, DATABASE_URL=site.url)
    worker.wait_for_line("waiting for the database 'default': OperationalError: unable to open")

    (tmp_path / "later").mkdir()
    site.manage("migrate", "-v", "0")

    worker.wait_until_ready(WITHIN)
    assert "Traceback" not in worker.output


@pytest.mark.one_database
def test_with_database_and_redis_away_it_waits_for_both(
    rqworker: StartWorker, workload: Workload, tmp_path: Path, private_redis: Callable[..., RedisServer]
) -> None:
    site = Site(f"sqlite:///{tmp_path}/later/own.sqlite3", workload)
    server = private_redis()
    server.stop()
    worker = rqworker(*ONE_JOB, wait=False, redis=server, DATABASE_URL=site.url)
    worker.wait_for_line("waiting for the database 'default'")

    (tmp_path / "later").mkdir()
    site.manage("migrate", "-v", "0")
    worker.wait_for_line("waiting for Redis", timeout=WITHIN)
    server.start()

    worker.wait_until_ready(WITHIN)
    assert "Traceback" not in worker.output


@pytest.mark.one_database
def test_while_it_waits_for_the_database_a_signal_ends_it_at_once(rqworker: StartWorker) -> None:
    worker = rqworker(wait=False, DATABASE_URL=NOWHERE)
    worker.wait_for_line("waiting for the database")
    asked = time.monotonic()

    assert worker.stop() == 0
    assert time.monotonic() - asked < 5


def test_one_database_of_two_that_is_away_does_not_keep_the_others_jobs(
    rqworker: StartWorker, workload: Workload, tmp_path: Path
) -> None:
    other = Site(f"sqlite:///{tmp_path}/later/other.sqlite3", workload)
    worker = rqworker(*ONE_JOB, OTHER_DATABASE_URL=other.url)
    assert "beginning without a database: waiting for the database 'other'" in worker.output
    note("of the first")
    workload.wait_for_effects(1)

    (tmp_path / "later").mkdir()
    other.manage("migrate", "-v", "0")
    both = Site(subprocess_environment()["DATABASE_URL"], workload)
    both.environment |= {"OTHER_DATABASE_URL": other.url}
    code = "from jobqueue.jobs import enqueue; enqueue('workload.note.email', name='of both', using='other')"
    both.manage("shell", "-v", "0", "-c", code)

    assert workload.wait_for_effects(2) == {"of the first": 1, "of both": 1}


def test_a_password_that_redis_refuses_ends_it_with_a_sentence(
    rqworker: StartWorker, private_redis: Callable[..., RedisServer]
) -> None:
    server = private_redis()
    with redis.Redis(host=server.host, port=server.port) as client:
        client.config_set("requirepass", "right")

        worker = rqworker(wait=False, redis=server, REDIS_PASSWORD="wrong")

        assert worker.wait() == 1
        client.auth("right")
        client.config_set("requirepass", "")
    last = worker.output.strip().splitlines()[-1]
    assert last.startswith("CommandError: Redis refuses this worker (queue email): AuthenticationError")
    assert "PASSWORD and USERNAME in RQ_QUEUES (from REDIS_PASSWORD" in last
    assert "Traceback" not in worker.output


def test_a_database_number_that_redis_does_not_have_ends_it_with_a_sentence(rqworker: StartWorker) -> None:
    worker = rqworker(wait=False, REDIS_JOB_QUEUE_DB="999")

    assert worker.wait() == 1
    assert "DB index is out of range. Look at DB or URL in RQ_QUEUES" in worker.output
    assert "Traceback" not in worker.output


def test_a_file_that_is_no_database_ends_it_with_a_sentence(rqworker: StartWorker, tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("this is no database\n" * 100)

    worker = rqworker(wait=False, DATABASE_URL=f"sqlite:///{tmp_path}/text.sqlite3")

    assert worker.wait() == 1
    assert "file is not a database. Look at NAME of DATABASES['default']" in worker.output
    assert "Traceback" not in worker.output


def test_without_shared_memory_of_the_system_it_works(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker(WORKLOAD_NO_SHARED_MEMORY="1")
    note("anyway")

    workload.wait_for_effects(1)
    assert worker.stop() == 0
