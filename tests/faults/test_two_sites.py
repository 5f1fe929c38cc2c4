"""Two sites with databases of their own share a database of Redis, and the names of the queues."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from django.db import connections
from django.test import Client

from jobqueue.broker import neighbours
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import QUICK
from tests.servers import subprocess_environment
from tests.workload.fixtures import Workload, note_jobs
from tests.workload.processors import NOTE

pytestmark = pytest.mark.one_database
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
IMPATIENT = QUICK | {"LOST_AFTER": 1}


def start_other_site(rqworker: StartWorker, **jobqueue: object) -> object:
    """A worker of a site whose only database is this process's other one."""
    url = subprocess_environment()["OTHER_DATABASE_URL"]
    return rqworker("--processes", "1", jobqueue=IMPATIENT | jobqueue, DATABASE_URL=url)


def note_at_the_other_site(ids: list[int]) -> list[str]:
    """As many jobs of the other site as these, with the same ids; its relay publishes them."""
    names = [f"theirs-{number}" for number in ids]
    for number, name in zip(ids, names, strict=True):
        job = enqueue(NOTE["email"].name, name=name, using="other", run_at=LONG_AGO)
        if job.pk != number:
            Job.objects.using("other").filter(pk=number).update(id=number + 1_000_000)
            Job.objects.using("other").filter(pk=job.pk).update(id=number)
    return names


def all_done() -> bool:
    """Whether no job waits or runs at either site."""
    return not any(Job.objects.using(using).unfinished().exists() for using in ("default", "other"))


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_two_sites_on_one_redis_run_their_own_jobs_once_and_name_the_cause_and_the_cure(
    rqworker: StartWorker, workload: Workload, admin_client: Client
) -> None:
    ours = note_jobs(30, prefix="ours")
    theirs = note_at_the_other_site(list(Job.objects.values_list("pk", flat=True)))
    here, there = rqworker("--processes", "1", jobqueue=IMPATIENT), start_other_site(rqworker)
    wait_until(all_done, 60)

    assert workload.effects() == dict.fromkeys([*ours, *theirs], 1)
    for using, names in (("default", ours), ("other", theirs)):
        rows = Job.objects.using(using).filter(state=Job.State.COMPLETED)
        assert sorted(job.payload["name"] for job in rows) == sorted(names)
    for worker in (here, there):
        line = worker.wait_for_line("Two installations use the queues in this Redis database", 60)
        assert "REDIS_JOB_QUEUE_DB" in line
        name = os.path.basename(str(connections["other"].settings_dict["NAME"]))
        assert name in line
    assert "REDIS_JOB_QUEUE_DB" in admin_client.get("/admin/jobqueue/queue/").content.decode()


def test_workers_of_one_site_are_no_two_installations(rqworker: StartWorker, workload: Workload) -> None:
    workers = [rqworker("--processes", "2", jobqueue=IMPATIENT) for _ in range(2)]
    names = note_jobs(10)
    workload.wait_for_effects(10)
    workers[0].kill()
    workers.append(rqworker("--processes", "1", jobqueue=IMPATIENT))
    # By then each has looked at the others several times, and at what the killed one left behind.
    names += [f"late-{number}" for number in range(5)]
    for name in names[10:]:
        enqueue(NOTE["email"].name, name=name, delay=4)
    workload.wait_for_effects(15)

    assert neighbours.warning() == ""
    assert not any("Two installations" in worker.output for worker in workers)
